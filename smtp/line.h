/* smtp/line.h - cuts a byte stream into CRLF lines of bounded length.
 *
 * Only CRLF ends a line (RFC 5321 2.3.8). A lone LF is reported as soon as it is seen, because a
 * peer that ends its lines so would wait for ever; it never ends a line, and calling again goes
 * on with the same line, the LF inside it. A lone CR simply stays in the line.
 *
 * A line that lies whole in the input is borrowed from there. Only an unfinished one is kept, in
 * memory that is given back by smtp_line_release(), so that an idle session holds none. What is
 * returned does not depend on how the stream was cut.
 */
#pragma once
#include "base/buffer.h"

/* RFC 5321 4.5.3.1.4 asks for 512 octets, CRLF included, and each extension adds to it (1870: 26,
 * 6152: 17, 6531: 10 and longer addresses, 3461: 116 and 536, 8689: 11). Replies of other servers
 * get the same room. */
#define SMTP_COMMAND_BYTES_MAX 2048

/* A line of which this many bytes have come without an end is no line any more. */
#define SMTP_LINE_SKIP_BYTES_MAX (64 * 1024)

enum smtp_line_result {
    SMTP_LINE_PARTIAL,  /* all input was taken, the line goes on */
    SMTP_LINE_DONE,     /* *line_out is a line */
    SMTP_LINE_BARE_LF,  /* everything up to a lone LF was taken; the line goes on */
    SMTP_LINE_TOO_LONG, /* a line above SMTP_COMMAND_BYTES_MAX was skipped to its CRLF */
    SMTP_LINE_ENDLESS,  /* SMTP_LINE_SKIP_BYTES_MAX went by: give the peer up */
    SMTP_LINE_NO_MEMORY /* the unfinished line cannot be kept: give the session up */
};

struct smtp_line { /* Fields are private. */
    struct buffer partial;
    uint32_t bytes; /* of the unfinished line, kept or skipped */
    bool ends_in_cr;
    bool is_skipped;
    bool is_lent; /* `partial` is what the last call returned */
};

void smtp_line_init(struct smtp_line *l);

/* Takes bytes up to one line end; *used_out says how many. On DONE *line_out, without its CRLF,
 * borrows from input or from l until the next call on l. */
enum smtp_line_result smtp_line_next(struct smtp_line *l, struct slice input, size_t *used_out,
                                     struct slice *line_out);

/* Gives back the memory of a line that was returned; an unfinished line is kept. */
void smtp_line_release(struct smtp_line *l);

/* Forgets everything; accepts a finished one. */
void smtp_line_finish(struct smtp_line *l);
