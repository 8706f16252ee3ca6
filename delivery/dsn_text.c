#include "delivery/dsn_text.h"

#include <stdio.h>

#include "delivery/dsn.h"

#define FIELD_COLUMNS 76 /* where lines of ours are folded, if there is a space */

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

void delivery_dsn_put_value(struct delivery_dsn_text *t, struct slice value, bool keep_eight_bit)
{
    char clean[DELIVERY_DSN_VALUE_MAX];
    size_t len = value.len < sizeof clean ? value.len : sizeof clean;

    for (size_t i = 0; i < len; i++) {
        char c = value.data[i];

        clean[i] = is_control(c) ? ' ' : c;
        if ((unsigned char)c >= 0x80 && !keep_eight_bit)
            clean[i] = '?';
    }
    delivery_dsn_put(t, slice_trim((struct slice){ clean, len }));
}

void delivery_dsn_put_folded(struct delivery_dsn_text *t, size_t column, const char *indent,
                             struct slice value)
{
    char clean[DELIVERY_DSN_VALUE_MAX];
    size_t len = value.len < sizeof clean ? value.len : sizeof clean;
    struct slice rest = { clean, len };
    bool is_first = true;

    for (size_t i = 0; i < len; i++) {
        char c = value.data[i];

        clean[i] = is_control(c) ? ' ' : (unsigned char)c >= 0x80 ? '?' : c;
    }
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
    delivery_dsn_put_value(t, value, false);
    delivery_dsn_put_text(t, "\r\n");
}

void delivery_dsn_put_folded_field(struct delivery_dsn_text *t, const char *name,
                                   struct slice value)
{
    delivery_dsn_put_text(t, name);
    delivery_dsn_put_folded(t, strlen(name), "    ", value);
    delivery_dsn_put_text(t, "\r\n");
}

/* One code point of UTF-8 as \x{HEX} (RFC 6533 3); a byte that is no UTF-8 as "?". Returns the
 * bytes used. */
static size_t put_code_point(struct delivery_dsn_text *t, struct slice s)
{
    unsigned char first = (unsigned char)s.data[0];
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t point = first & (0x7fu >> len);
    char text[16];

    if (first < 0xc2 || first > 0xf4 || s.len < len) {
        delivery_dsn_put_text(t, "?");
        return 1;
    }
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s.data[i] & 0xc0) != 0x80) {
            delivery_dsn_put_text(t, "?");
            return 1;
        }
        point = point << 6 | ((unsigned char)s.data[i] & 0x3f);
    }
    (void)snprintf(text, sizeof text, "\\x{%04X}", (unsigned)point);
    delivery_dsn_put_text(t, text);
    return len;
}

void delivery_dsn_put_address_field(struct delivery_dsn_text *t, const char *name,
                                    struct slice address)
{
    if (!delivery_dsn_has_eight_bit(address)) {
        delivery_dsn_put_field(t, name, address);
        return;
    }
    delivery_dsn_put_text(t, name);
    /* Two bytes become up to eight. */
    if (address.len > DELIVERY_DSN_VALUE_MAX / 4)
        address.len = DELIVERY_DSN_VALUE_MAX / 4;
    while (address.len > 0) {
        char c = address.data[0];
        size_t used = 1;

        if ((unsigned char)c >= 0x80)
            used = put_code_point(t, address);
        else
            delivery_dsn_put(t, (struct slice){ is_control(c) ? " " : address.data, 1 });
        address = slice_after(address, used);
    }
    delivery_dsn_put_text(t, "\r\n");
}
