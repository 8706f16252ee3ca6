/* delivery/dsn_original.h - what a DSN returns of the original. For delivery/dsn.c. */
#pragma once
#include "delivery/dsn_text.h"

/* Proper lines only: CRLF ends, no bare CR or LF, no NUL, none too long. */
bool delivery_dsn_original_is_proper(struct slice original);

/* The lines of the header with their last CRLF, without the empty line; cut at
 * DELIVERY_DSN_HEADER_MAX, at the end of a line where there is one. */
struct slice delivery_dsn_original_header(struct slice original);

/* Any bytes, as proper and stuffed lines. */
void delivery_dsn_put_original(struct delivery_dsn_text *t, struct slice text, bool is_stuffed);
