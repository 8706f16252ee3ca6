/* delivery/dsn_text.h - a DSN while it is written, and the values in it, made harmless.
 *
 * Values may come from an enemy: control bytes become spaces, so none can start a line, and each
 * is cut at DELIVERY_DSN_VALUE_MAX (delivery/dsn.h). For delivery/dsn.c.
 */
#pragma once
#include "base/buffer.h"

/* The first error stays, and later appends do nothing. */
struct delivery_dsn_text {
    struct buffer text;
    enum status status;
};

bool delivery_dsn_has_eight_bit(struct slice text);

/* As they are. */
void delivery_dsn_put(struct delivery_dsn_text *t, struct slice bytes);
void delivery_dsn_put_text(struct delivery_dsn_text *t, const char *text);

/* A value on one line; bytes above 127 become "?" unless they are kept. */
void delivery_dsn_put_value(struct delivery_dsn_text *t, struct slice value, bool keep_eight_bit);

/* The same, folded at spaces: each further line starts with `indent`, so it is never taken for
 * a field or a boundary and never starts with a dot. column: where it begins. */
void delivery_dsn_put_folded(struct delivery_dsn_text *t, size_t column, const char *indent,
                             struct slice value);

/* A line: the name, with its colon, and the value. */
void delivery_dsn_put_field(struct delivery_dsn_text *t, const char *name, struct slice value);
void delivery_dsn_put_folded_field(struct delivery_dsn_text *t, const char *name,
                                   struct slice value);

/* With what is not ASCII written out. An address is not folded: a space in it may be part of a
 * quoted string. */
void delivery_dsn_put_address_field(struct delivery_dsn_text *t, const char *name,
                                    struct slice address);
