/* cli/values.h - values of options that more than one command takes.
 *
 * Each reads text as it was typed; NULL means that the option was not given. False: it is not
 * what it should be, and cli_misuse() has said so.
 */
#pragma once
#include "base/slice.h"

/* Decimal digits, from min to max. Without text *value_out stays as it is. */
bool cli_value_number(const char *command, const char *name, const char *text, uint64_t min,
                      uint64_t max, uint64_t *value_out);

/* Our name in SMTP: the text, else this system's name, else `otherwise`. The slice borrows from
 * text, or lives for ever. Not for two threads at a time. */
bool cli_value_hostname(const char *command, const char *text, const char *otherwise,
                        struct slice *hostname_out);
