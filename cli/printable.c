#include "cli/printable.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define ESCAPE_BYTES 4 /* \xNN */

/* The bytes of the character at the start, which has 1 at least; 0: it is not UTF-8 (RFC 3629). */
static size_t character_bytes(struct slice s)
{
    unsigned char first = (unsigned char)s.data[0];
    size_t bytes = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (first > 0xf4 || bytes > s.len)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if (((unsigned char)s.data[i] & 0xc0) != 0x80)
            return 0;
    if (bytes >= 3) { /* no longer than needed, no surrogates, not beyond U+10FFFF */
        unsigned char second = (unsigned char)s.data[1];

        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
            return 0;
    }
    return bytes;
}

static bool is_harmless(struct slice c)
{
    const unsigned char *b = (const unsigned char *)c.data;

    if (c.len == 1)
        return b[0] >= 0x20 && b[0] != 0x7f;
    if (c.len == 2)
        return b[0] != 0xc2 || b[1] > 0x9f;
    if (c.len == 3 && b[0] == 0xe2 && b[1] == 0x80)
        return b[2] < 0xaa || b[2] > 0xae;
    if (c.len == 3 && b[0] == 0xe2 && b[1] == 0x81)
        return b[2] < 0xa6 || b[2] > 0xa9;
    return true;
}

const char *cli_printable(struct slice from, char *text, size_t room)
{
    size_t len = 0;

    ASSERT(room > 0);
    while (from.len > 0) {
        size_t bytes = character_bytes(from);
        struct slice c = slice_first(from, bytes > 0 ? bytes : 1);

        if (bytes > 0 && is_harmless(c)) {
            if (room - len <= c.len)
                break;
            memcpy(text + len, c.data, c.len);
            len += c.len;
        } else {
            if (room - len <= c.len * ESCAPE_BYTES)
                break;
            for (size_t i = 0; i < c.len; i++, len += ESCAPE_BYTES)
                (void)snprintf(text + len, ESCAPE_BYTES + 1, "\\x%02X", (unsigned char)c.data[i]);
        }
        from = slice_after(from, c.len);
    }
    text[len] = '\0';
    return text;
}
