#include "cli/json.h"

#include <stdio.h>

/* Length of the UTF-8 sequence at the start of s (RFC 3629), 0 when there is none. */
static size_t sequence_len(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.data;
    size_t len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;

    if (b[0] > 0xf4 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
        (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return len;
}

void cli_json_text(struct slice text)
{
    putchar('"');
    while (text.len > 0) {
        size_t len = sequence_len(text);
        unsigned char c = (unsigned char)text.data[0];

        if (len == 0)
            fputs("\\ufffd", stdout);
        else if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ' || c == 0x7f)
            printf("\\u%04x", c);
        else
            fwrite(text.data, 1, len, stdout);
        text = slice_after(text, len > 0 ? len : 1);
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
