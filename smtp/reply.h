/* smtp/reply.h - replies: what they are, and how they are written (RFC 5321 4.2, RFC 2034). */
#pragma once
#include "base/buffer.h"

#define SMTP_REPLY_LINE_BYTES_MAX 512 /* RFC 5321 4.5.3.1.5, CRLF included */
#define SMTP_REPLY_TEXT_BYTES_MAX 512 /* what is kept of a reply that was received */
#define SMTP_REPLY_LINES_MAX      100

/* A status code of RFC 3463; class 0 when there is none. */
struct smtp_enhanced {
    uint8_t class; /* 2, 4 or 5 */
    uint16_t subject;
    uint16_t detail;
};

/* A reply that was received. */
struct smtp_reply {
    uint16_t code; /* 200..599 */
    struct smtp_enhanced enhanced;
    struct slice text; /* the lines joined by a space, without codes, printable, bounded */
};

static inline bool smtp_reply_is_positive(const struct smtp_reply *r)
{
    return r->code >= 200 && r->code < 300;
}

static inline bool smtp_reply_is_temporary(const struct smtp_reply *r)
{
    return r->code >= 400 && r->code < 500;
}

static inline bool smtp_reply_is_permanent(const struct smtp_reply *r)
{
    return r->code >= 500;
}

/* Reads "5.7.1" off the start of text if it is followed by a space or the end; returns how many
 * bytes that was (with one space behind), 0 when it is no status code. */
size_t smtp_enhanced_parse(struct slice text, struct smtp_enhanced *out);

/* Appends a reply, whole or not at all. A newline in text begins another line of the reply; the
 * code, and enhanced ("5.7.1", or NULL) unless it is NULL, stand on every line (RFC 2034 section
 * 4). Other control characters become '?'; a line too long is cut, as are lines beyond
 * SMTP_REPLY_LINES_MAX. STATUS_LIMIT, STATUS_NO_MEMORY. */
MUST_USE enum status smtp_reply_write(struct buffer *out, unsigned code, const char *enhanced,
                                      struct slice text);
