#include "delivery/dsn_original.h"

#include "delivery/dsn.h"

#define UTF8_BYTES_MAX 4u /* of a character */

bool delivery_dsn_original_is_proper(struct slice text)
{
    size_t column = 0;

    if (text.len < 2 || text.data[text.len - 2] != '\r' || text.data[text.len - 1] != '\n')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '\0' || (c == '\n') != (i > 0 && text.data[i - 1] == '\r'))
            return false;
        column = c == '\n' ? 0 : column + (c != '\r');
        /* Stuffing may add a byte. */
        if (column >= DELIVERY_DSN_LINE_MAX)
            return false;
    }
    return true;
}

struct slice delivery_dsn_original_header(struct slice original)
{
    size_t end = 0, start = 0;

    if (original.len > DELIVERY_DSN_HEADER_MAX)
        original.len = DELIVERY_DSN_HEADER_MAX;
    for (size_t i = 0; i < original.len; i++) {
        if (original.data[i] != '\n')
            continue;
        if (i == start || (i == start + 1 && original.data[start] == '\r'))
            return slice_first(original, end);
        end = start = i + 1;
    }
    return end > 0 ? slice_first(original, end) : original;
}

/* Where the text may be cut, at or before `at`, so that a character of UTF-8 stays whole. */
static size_t boundary_before(struct slice text, size_t at)
{
    size_t back = 0;

    while (back < UTF8_BYTES_MAX - 1 && back < at && at < text.len &&
           ((unsigned char)text.data[at - back] & 0xc0) == 0x80)
        back++;
    return at - back;
}

/* One line of the original. What a proper message may not hold becomes a space; what is too long
 * goes on in a folded line, so that it stays one field. */
static void put_original_line(struct delivery_dsn_text *t, struct slice line, bool is_stuffed)
{
    size_t column = 0;

    /* A lone dot would end the DSN on its way out (behind a bare LF, for example, it was not a
     * line before), so what is said to be stuffed is not simply believed. */
    if (line.len > 0 && line.data[0] == '.' &&
        (!is_stuffed || line.len == 1 || line.data[1] != '.')) {
        delivery_dsn_put_text(t, ".");
        column = 1;
    }
    while (line.len > 0) {
        size_t room = DELIVERY_DSN_LINE_MAX - column, run = 0;
        bool is_full;

        while (run < line.len && run < room && line.data[run] != '\r' && line.data[run] != '\0')
            run++;
        is_full = run == room;
        if (is_full)
            run = boundary_before(line, run);
        delivery_dsn_put(t, slice_first(line, run));
        column += run;
        line = slice_after(line, run);
        if (line.len == 0)
            break;
        if (is_full) {
            delivery_dsn_put_text(t, "\r\n ");
            column = 1;
            continue;
        }
        delivery_dsn_put_text(t, " ");
        column++;
        line = slice_after(line, 1);
    }
    delivery_dsn_put_text(t, "\r\n");
}

void delivery_dsn_put_original(struct delivery_dsn_text *t, struct slice text, bool is_stuffed)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        put_original_line(t, line, is_stuffed);
    }
}
