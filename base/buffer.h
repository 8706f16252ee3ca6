/* base/buffer.h - owned bytes that grow up to a maximum named at birth, below 4 GiB.
 *
 * Bytes are appended at the end and consumed from the start. Memory is taken at the first
 * append, from the thread's pool (base/pool.h), and given back by buffer_finish() or
 * buffer_release(): what has nothing to say need not hold any. A failed append changes nothing.
 * Slices borrowed from a buffer are valid until the next call that may append.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

struct buffer { /* Fields are private; it is open so that others can embed it. */
    char *data;
    uint32_t start; /* a connection embeds several: of 4 bytes each, these are half as much */
    uint32_t end;
    uint32_t capacity;
    uint32_t bytes_max;
};

/* bytes_max <= UINT32_MAX. */
void buffer_init(struct buffer *b, size_t bytes_max);
void buffer_finish(struct buffer *b); /* accepts an empty or a finished buffer */

static inline size_t buffer_len(const struct buffer *b)
{
    return b->end - b->start;
}

static inline struct slice buffer_contents(const struct buffer *b)
{
    return (struct slice){ b->data != NULL ? b->data + b->start : NULL, b->end - b->start };
}

/* How many bytes can still be appended before bytes_max is reached. */
static inline size_t buffer_room(const struct buffer *b)
{
    return b->bytes_max - (b->end - b->start);
}

/* STATUS_LIMIT when the contents would pass bytes_max, STATUS_NO_MEMORY. */
MUST_USE enum status buffer_append(struct buffer *b, struct slice bytes);
MUST_USE enum status buffer_append_text(struct buffer *b, const char *text);
MUST_USE enum status buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes room for at least `bytes` more and points at it; buffer_commit() then says how many of
 * them were written. */
MUST_USE enum status buffer_reserve(struct buffer *b, size_t bytes, char **room_out);
void buffer_commit(struct buffer *b, size_t bytes);

/* Drops bytes from the start; bytes <= buffer_len(). */
void buffer_consume(struct buffer *b, size_t bytes);

void buffer_clear(struct buffer *b);   /* empties it, keeps the memory */
void buffer_release(struct buffer *b); /* empties it, gives the memory back */
