/* smtp/tls_required.h - whether a message says "TLS-Required: No" (RFC 8689 3).
 *
 * Is fed the header section as it comes, in pieces of its lines; how it was cut makes no
 * difference. What says anything else than No, and a field that is there more than once, which 3
 * forbids, counts as if there were none: the safe side is the one with TLS. Pure.
 *
 * Embedded; zeroed at first. Fields are private.
 */
#pragma once
#include "base/slice.h"

enum smtp_tls_required_state {
    SMTP_TLS_REQUIRED_OTHER, /* a field of no interest, or a value that is not No */
    SMTP_TLS_REQUIRED_NAME,  /* it may be the one; `matched` bytes of its name */
    SMTP_TLS_REQUIRED_BLANK, /* behind the colon */
    SMTP_TLS_REQUIRED_N,
    SMTP_TLS_REQUIRED_NO
};

struct smtp_tls_required {
    uint8_t state;
    uint8_t matched;
    uint8_t fields_count; /* stops at 2 */
    bool is_no;           /* as far as the value has come */
};

/* A piece of a line of the header section, with its line end if that has come; begins_line: it is
 * the first one of its line. A line that goes on with the field before begins with a blank. */
void smtp_tls_required_look(struct smtp_tls_required *t, struct slice piece, bool begins_line);

/* When the header section, or the message, is over. */
static inline bool smtp_tls_required_is_no(const struct smtp_tls_required *t)
{
    return t->fields_count == 1 && t->is_no;
}
