/* delivery/dsn_text.h - a DSN while it is written, and the values in it, made harmless.
 *
 * Values may come from an enemy: control characters become spaces, so none can start a line, what
 * is no well-formed UTF-8 becomes "?", and each is cut at DELIVERY_DSN_VALUE_MAX (delivery/dsn.h).
 * For delivery/dsn.c.
 */
#pragma once
#include "base/buffer.h"

/* The first error stays, and later appends do nothing. */
struct delivery_dsn_text {
    struct buffer text;
    enum status status;
    bool is_utf8; /* values may hold UTF-8 where they are put; else that becomes "?" */
};

bool delivery_dsn_has_eight_bit(struct slice text);

/* Well-formed (RFC 3629), whatever else it is. */
bool delivery_dsn_is_utf8(struct slice text);

/* As they are. */
void delivery_dsn_put(struct delivery_dsn_text *t, struct slice bytes);
void delivery_dsn_put_text(struct delivery_dsn_text *t, const char *text);

/* A value on one line. The second keeps UTF-8 always. */
void delivery_dsn_put_value(struct delivery_dsn_text *t, struct slice value);
void delivery_dsn_put_utf8(struct delivery_dsn_text *t, struct slice value);

/* The same as the first, folded at spaces: each further line starts with `indent`, so it is never
 * taken for a field or a boundary and never starts with a dot. column: where it begins. */
void delivery_dsn_put_folded(struct delivery_dsn_text *t, size_t column, const char *indent,
                             struct slice value);

/* A line: the name, with its colon, and the value. */
void delivery_dsn_put_field(struct delivery_dsn_text *t, const char *name, struct slice value);
void delivery_dsn_put_folded_field(struct delivery_dsn_text *t, const char *name,
                                   struct slice value);

/* An address; where UTF-8 may not stand, one that is not ASCII is written out as RFC 6533 3 has it,
 * "\x{FC}" for U+00FC (utf-8-addr-xtext). It is not folded: a space in it may be part of a quoted
 * string. is_coded: it came in that form, and only what is not ASCII is still to be done. */
void delivery_dsn_put_address(struct delivery_dsn_text *t, struct slice address, bool is_coded);
