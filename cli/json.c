#include "cli/json.h"

#include <stdio.h>

#include "base/json.h"

void cli_json_text(struct slice text)
{
    char escaped[JSON_ESCAPE_MAX];

    putchar('"');
    while (text.len > 0) {
        size_t len = json_escape(&text, escaped);

        fwrite(escaped, 1, len, stdout);
    }
    putchar('"');
}

void cli_json_name(bool is_first, const char *name)
{
    if (!is_first)
        fputs(", ", stdout);
    cli_json_text(slice_from(name));
    fputs(": ", stdout);
}

void cli_json_member(bool is_first, const char *name, struct slice text)
{
    cli_json_name(is_first, name);
    cli_json_text(text);
}

void cli_json_number(bool is_first, const char *name, uint64_t number)
{
    cli_json_name(is_first, name);
    printf("%llu", (unsigned long long)number);
}

void cli_json_bool(bool is_first, const char *name, bool value)
{
    cli_json_name(is_first, name);
    fputs(value ? "true" : "false", stdout);
}
