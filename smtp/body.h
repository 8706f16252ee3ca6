/* smtp/body.h - finds the end of a message after DATA, and looks at what goes by.
 *
 * The body is passed on exactly as it comes, dot-stuffed (RFC 5321 4.5.2). Only <CRLF>.<CRLF>
 * ends it (4.1.1.4), where the first CRLF may be that of the DATA command; no lone CR or LF
 * takes part in that, wherever it stands. The CRLF before the dot belongs to the body, the line
 * with the dot does not.
 */
#pragma once
#include "base/slice.h"
#include "smtp/tls_required.h"

enum smtp_body_result {
    SMTP_BODY_MORE, /* all input was taken, nothing of it to pass on */
    SMTP_BODY_RUN,  /* *run_out are the next bytes of the body */
    SMTP_BODY_END   /* the line with the dot was taken */
};

enum smtp_body_state {
    SMTP_BODY_STATE_LINE_START,
    SMTP_BODY_STATE_DOT,       /* a dot at the start of a line, held back */
    SMTP_BODY_STATE_DOT_CR,    /* and the CR behind it */
    SMTP_BODY_STATE_WITHIN,    /* inside a line */
    SMTP_BODY_STATE_WITHIN_CR, /* behind a CR that was passed on */
    SMTP_BODY_STATE_ENDED
};

struct smtp_body {           /* Facts so far; read them when the message has ended. */
    uint64_t bytes_count;    /* as received, dot-stuffed */
    uint64_t dots_count;     /* dots that stuffing added: less these it is the size of RFC 1870 */
    uint32_t line_bytes_max; /* longest line, CRLF included; saturates */
    uint32_t received_count; /* "Received:" lines in the header section; saturates */
    struct smtp_tls_required tls_required;
    bool has_bare_lf;
    bool has_bare_cr;
    bool has_8bit;
    bool has_8bit_header; /* in the header section: what only SMTPUTF8 allows, RFC 6532 3.2 */
    bool in_header;       /* the rest is private */
    uint8_t state;
    uint8_t matched_bytes;
    uint32_t line_bytes;
};

void smtp_body_init(struct smtp_body *b);

/* Takes bytes; *used_out says how many. On RUN, *run_out borrows from input, or points at
 * constant memory (a dot that was held back); *used_out may then be 0. Calling again with the
 * rest of the input always makes progress. Not to be called after END. */
enum smtp_body_result smtp_body_next(struct smtp_body *b, struct slice input, size_t *used_out,
                                     struct slice *run_out);

/* The facts of a body that is at hand as a whole. False: it is not one that DATA brings, because it
 * does not end in CRLF or has the line with the dot in it. */
bool smtp_body_look(struct slice body, struct smtp_body *facts_out);

/* The size of RFC 1870 section 3: without the dots that stuffing added. */
static inline uint64_t smtp_body_size(const struct smtp_body *b)
{
    return b->bytes_count - b->dots_count;
}
