/* smtp/reply_parser.h - cuts what a server sends into replies, RFC 5321 4.2.1.
 *
 * A multi-line reply must have one code on all its lines, and may have SMTP_REPLY_LINES_MAX of
 * them, of SMTP_COMMAND_BYTES_MAX each; anything else is BAD, after which the parser is of no use
 * any more. Of the text the first SMTP_REPLY_TEXT_BYTES_MAX are kept; each line is also shown
 * whole, for the capabilities of EHLO.
 */
#pragma once
#include "smtp/line.h"
#include "smtp/reply.h"

enum smtp_reply_result {
    SMTP_REPLY_MORE, /* all input was taken */
    SMTP_REPLY_LINE, /* one line of a reply that goes on: *line_out */
    SMTP_REPLY_DONE, /* the last line: *line_out and *reply_out */
    SMTP_REPLY_BAD,  /* what the peer says is not SMTP */
    SMTP_REPLY_NO_MEMORY
};

struct smtp_reply_parser { /* Fields are private. */
    struct smtp_line line;
    struct buffer text;
    struct smtp_enhanced enhanced;
    uint16_t code;
    uint16_t lines_count;
    bool is_done; /* the next call begins a new reply */
    bool is_bad;
};

void smtp_reply_parser_init(struct smtp_reply_parser *p);
void smtp_reply_parser_finish(struct smtp_reply_parser *p);

/* Takes at most one line. *line_out is the text behind the code, as sent; both results are valid
 * until the next call. */
enum smtp_reply_result smtp_reply_parser_next(struct smtp_reply_parser *p, struct slice input,
                                              size_t *used_out, struct slice *line_out,
                                              struct smtp_reply *reply_out);

/* The last result is not needed any more. */
void smtp_reply_parser_release(struct smtp_reply_parser *p);

/* No reply has begun that is not finished. */
bool smtp_reply_parser_is_idle(const struct smtp_reply_parser *p);
