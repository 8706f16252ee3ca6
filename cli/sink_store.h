/* cli/sink_store.h - writes a received message to a file of its own.
 *
 * The file has its final name, N.eml, only when it is complete; until then it is N.part. It is
 * not synced. Writing goes to the page cache and is done in the worker's thread: a tool may.
 */
#pragma once
#include "base/buffer.h"

#define SINK_STORE_BYTES_MAX (128 * 1024) /* gathered before a write */

struct sink_store {
    struct buffer lines; /* unstuffed, not yet written */
    int directory;       /* borrowed */
    int fd;              /* -1: none is open, or it has failed */
    uint64_t number;
    bool at_line_start;
};

/* `number` is the file's name. head: lines in front of the message. */
MUST_USE enum status sink_store_open(struct sink_store *s, int directory, uint64_t number,
                                     struct slice head);

/* The next bytes of the body as they came, dot-stuffed. */
MUST_USE enum status sink_store_write(struct sink_store *s, struct slice bytes);

/* Gives it its name. After any failure the .part file is gone. */
MUST_USE enum status sink_store_close(struct sink_store *s);

/* Throws it away; accepts one that is not open, or all zero with fd -1. */
void sink_store_drop(struct sink_store *s);

/* Appends bytes to out without the dots that stuffing added (RFC 5321 4.5.2). *at_line_start says
 * where they begin, and then where they end: true at first, and behind each LF. */
MUST_USE enum status sink_store_unstuff(struct slice bytes, bool *at_line_start,
                                        struct buffer *out);
