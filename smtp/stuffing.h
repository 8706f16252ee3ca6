/* smtp/stuffing.h - puts the dots in that a body needs to go by DATA, RFC 5321 4.5.2, and takes
 * them off for BDAT, which has none (RFC 3030 section 2).
 *
 *     init
 *     while there is body: next -> send what it gives
 *     end -> send what it gives, then ".\r\n"
 *
 *     init
 *     while there is body: undo -> send what it gives
 *
 * A line begins behind CRLF and nowhere else, as for smtp/body.h: what another program may take for
 * a line end, a lone LF, gets no dot, because the dot would stay in for all who read it right. No
 * copy, no memory: what is given lies in the input, or is constant. What undo takes off is what
 * smtp_body.dots_count counts.
 */
#pragma once
#include "base/slice.h"

enum smtp_stuffing_state {
    SMTP_STUFFING_LINE_START,
    SMTP_STUFFING_WITHIN, /* a line */
    SMTP_STUFFING_CR      /* behind a CR */
};

struct smtp_stuffing { /* Fields are private. */
    uint8_t state;     /* enum smtp_stuffing_state */
};

void smtp_stuffing_init(struct smtp_stuffing *s);

/* The next bytes to send; *used_out of the input have been dealt with, which may be none where a
 * dot goes in. Empty only when input is. Going on with the rest always makes progress. */
struct slice smtp_stuffing_next(struct smtp_stuffing *s, struct slice input, size_t *used_out);

/* The other way. Empty when input is, or is no more than a dot to be taken off; *used_out is
 * then 1.
 */
struct slice smtp_stuffing_undo(struct smtp_stuffing *s, struct slice input, size_t *used_out);

/* What is missing at the end of the body: CRLF where its last line has none, or nothing. */
struct slice smtp_stuffing_end(const struct smtp_stuffing *s);
