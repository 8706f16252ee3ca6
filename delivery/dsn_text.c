#include "delivery/dsn_text.h"

#include <stdio.h>

#include "delivery/dsn.h"

#define FIELD_COLUMNS   76 /* where lines of ours are folded, if there is a space */
#define WRITTEN_OUT_MAX 16 /* of one character, NUL included */

void delivery_dsn_put(struct delivery_dsn_text *t, struct slice bytes)
{
    if (t->status == STATUS_OK)
        t->status = buffer_append(&t->text, bytes);
}

void delivery_dsn_put_text(struct delivery_dsn_text *t, const char *text)
{
    delivery_dsn_put(t, slice_from(text));
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

bool delivery_dsn_has_eight_bit(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] >= 0x80)
            return true;
    return false;
}

/* The bytes, 2..4, of the character beyond ASCII that s begins with; 0: it does not, or they are
 * not well-formed. */
static size_t character_bytes(struct slice s, uint32_t *point_out)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* in so many bytes */
    unsigned char first = (unsigned char)s.data[0];
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t point = first & (0x7fu >> len);

    if (first < 0xc2 || first > 0xf4 || s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s.data[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((unsigned char)s.data[i] & 0x3f);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *point_out = point;
    return len;
}

bool delivery_dsn_is_utf8(struct slice text)
{
    while (text.len > 0) {
        uint32_t point;
        size_t used = (unsigned char)text.data[0] < 0x80 ? 1 : character_bytes(text, &point);

        if (used == 0)
            return false;
        text = slice_after(text, used);
    }
    return true;
}

/* Those of ISO 6429, which a terminal may obey. */
static bool is_c1_control(uint32_t point)
{
    return point < 0xa0;
}

/* Copies a value as it may stand on a line, as far as there is room. */
static struct slice clean(struct slice value, bool keeps_utf8,
                          char room[static DELIVERY_DSN_VALUE_MAX])
{
    size_t len = 0;

    while (value.len > 0 && len < DELIVERY_DSN_VALUE_MAX) {
        char c = value.data[0];
        uint32_t point = 0;
        size_t used = keeps_utf8 ? character_bytes(value, &point) : 0;

        if (used > DELIVERY_DSN_VALUE_MAX - len)
            break;
        if (used > 0 && !is_c1_control(point)) {
            memcpy(room + len, value.data, used);
            len += used;
        } else {
            room[len++] = is_control(c) || used > 0 ? ' ' : (unsigned char)c >= 0x80 ? '?' : c;
        }
        value = slice_after(value, used > 0 ? used : 1);
    }
    return (struct slice){ room, len };
}

void delivery_dsn_put_value(struct delivery_dsn_text *t, struct slice value)
{
    char room[DELIVERY_DSN_VALUE_MAX];

    delivery_dsn_put(t, slice_trim(clean(value, t->is_utf8, room)));
}

void delivery_dsn_put_utf8(struct delivery_dsn_text *t, struct slice value)
{
    char room[DELIVERY_DSN_VALUE_MAX];

    delivery_dsn_put(t, slice_trim(clean(value, true, room)));
}

void delivery_dsn_put_folded(struct delivery_dsn_text *t, size_t column, const char *indent,
                             struct slice value)
{
    char room[DELIVERY_DSN_VALUE_MAX];
    struct slice rest = clean(value, t->is_utf8, room);
    bool is_first = true;

    while (rest.len > 0) {
        struct slice word = slice_cut(&rest, ' ');

        if (word.len == 0)
            continue;
        if (!is_first && column + 1 + word.len > FIELD_COLUMNS) {
            delivery_dsn_put_text(t, "\r\n");
            delivery_dsn_put_text(t, indent);
            column = strlen(indent);
        } else if (!is_first) {
            delivery_dsn_put_text(t, " ");
            column++;
        }
        delivery_dsn_put(t, word);
        column += word.len;
        is_first = false;
    }
}

void delivery_dsn_put_field(struct delivery_dsn_text *t, const char *name, struct slice value)
{
    delivery_dsn_put_text(t, name);
    delivery_dsn_put_value(t, value);
    delivery_dsn_put_text(t, "\r\n");
}

void delivery_dsn_put_folded_field(struct delivery_dsn_text *t, const char *name,
                                   struct slice value)
{
    delivery_dsn_put_text(t, name);
    delivery_dsn_put_folded(t, strlen(name), "    ", value);
    delivery_dsn_put_text(t, "\r\n");
}

/* Writes out the character that s begins with, or copies it where it may stand for itself. Returns
 * the bytes used. */
static size_t write_out(struct slice s, bool is_coded, char text[static WRITTEN_OUT_MAX])
{
    char c = is_control(s.data[0]) ? ' ' : s.data[0];
    uint32_t point = (unsigned char)c;
    size_t used = 1;

    if ((unsigned char)c >= 0x80) {
        used = character_bytes(s, &point);
        if (used == 0)
            c = '?';
    }
    if (used > 1 || (!is_coded && memchr(" \\+=", c, 4) != NULL))
        (void)snprintf(text, WRITTEN_OUT_MAX, "\\x{%02X}", (unsigned)point);
    else
        (void)snprintf(text, WRITTEN_OUT_MAX, "%c", c);
    return used == 0 ? 1 : used;
}

void delivery_dsn_put_address(struct delivery_dsn_text *t, struct slice address, bool is_coded)
{
    size_t len = 0;

    if (t->is_utf8 || !delivery_dsn_has_eight_bit(address)) {
        delivery_dsn_put_value(t, address);
        return;
    }
    while (address.len > 0) {
        char text[WRITTEN_OUT_MAX];

        address = slice_after(address, write_out(address, is_coded, text));
        len += strlen(text);
        if (len > DELIVERY_DSN_VALUE_MAX)
            return;
        delivery_dsn_put_text(t, text);
    }
}
