/* cli/json.h - JSON values on standard output, RFC 8259. */
#pragma once
#include "base/slice.h"

/* A string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void cli_json_text(struct slice text);

/* "name": "text", with a comma in front unless is_first. */
void cli_json_member(bool is_first, const char *name, struct slice text);
void cli_json_number(bool is_first, const char *name, uint64_t number);
void cli_json_bool(bool is_first, const char *name, bool value);

/* Only the name and its colon, for a value that follows. */
void cli_json_name(bool is_first, const char *name);
