/* cli/load_message.h - the messages that the load generator makes up, piece by piece.
 *
 * A message has an ordinary header, a line "X-Postern-Load-Id: RUN-NUMBER" that no other message
 * has, and a body of the wanted size in lines of 78 bytes, dot-stuffed as DATA needs it. The same
 * facts make the same bytes. It is made as it is sent, so a large one needs no memory.
 *
 * Pure.
 */
#pragma once
#include "base/buffer.h"

#define LOAD_MESSAGE_HEADER_MAX 1024
#define LOAD_MESSAGE_ID_MAX     40 /* NUL included */
#define LOAD_MESSAGE_BODY_MAX   (UINT64_C(16) << 30)

struct load_message_facts {
    uint64_t run;
    uint64_t number;        /* unique in the run */
    struct slice sender;    /* at most SMTP_MAILBOX_BYTES_MAX, as is the recipient */
    struct slice recipient; /* for the To: line */
    struct slice date;
    uint64_t body_bytes; /* at most LOAD_MESSAGE_BODY_MAX; 1 becomes 2, the length of a CRLF */
    bool dots;           /* lines that begin with dots, and a content that varies */
};

struct load_message { /* Fields are private. */
    char header[LOAD_MESSAGE_HEADER_MAX];
    size_t header_bytes;
    uint64_t body_bytes;
    uint64_t body_left;
    uint64_t random;
    bool dots;
    bool is_header_out;
};

void load_message_init(struct load_message *m, const struct load_message_facts *facts);

/* Header and body, without what stuffing adds: for SIZE=, RFC 1870. */
uint64_t load_message_bytes(const struct load_message *m);

/* Appends whole lines until about `bytes` more are in out. *done_out: that was the last of them,
 * only the final ".\r\n" is missing. STATUS_LIMIT, STATUS_NO_MEMORY. */
MUST_USE enum status load_message_next(struct load_message *m, size_t bytes, struct buffer *out,
                                       bool *done_out);

/* The value of X-Postern-Load-Id. Returns text. */
const char *load_message_id(uint64_t run, uint64_t number, char text[static LOAD_MESSAGE_ID_MAX]);
