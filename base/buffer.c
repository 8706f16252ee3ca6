#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/pool.h"

#define FIRST_CAPACITY 256

void buffer_init(struct buffer *b, size_t bytes_max)
{
    ASSERT(bytes_max <= UINT32_MAX);
    *b = (struct buffer){ .bytes_max = (uint32_t)bytes_max };
}

void buffer_finish(struct buffer *b)
{
    pool_give(b->data, b->capacity);
    *b = (struct buffer){ .bytes_max = b->bytes_max };
}

enum status buffer_reserve(struct buffer *b, size_t bytes, char **room_out)
{
    size_t len = buffer_len(b);
    size_t capacity = b->capacity > 0 ? b->capacity : FIRST_CAPACITY;
    char *data;

    ASSERT(b->start <= b->end && b->end <= b->capacity);
    if (bytes > b->bytes_max - len)
        return STATUS_LIMIT;
    if (b->capacity - b->end < bytes && b->start > 0) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = (uint32_t)len;
    }
    if (b->capacity - b->end < bytes) {
        while (capacity - len < bytes)
            capacity *= 2;
        if (capacity > b->bytes_max)
            capacity = b->bytes_max;
        data = pool_exchange(b->data, b->capacity, b->end, capacity);
        if (data == NULL)
            return STATUS_NO_MEMORY;
        b->data = data;
        b->capacity = (uint32_t)capacity;
    }
    ASSERT(b->capacity - b->end >= bytes);
    *room_out = b->data + b->end;
    return STATUS_OK;
}

void buffer_commit(struct buffer *b, size_t bytes)
{
    ASSERT(bytes <= b->capacity - b->end);
    b->end += (uint32_t)bytes;
}

enum status buffer_append(struct buffer *b, struct slice bytes)
{
    char *room;

    if (bytes.len == 0)
        return STATUS_OK;
    TRY(buffer_reserve(b, bytes.len, &room));
    memcpy(room, bytes.data, bytes.len);
    buffer_commit(b, bytes.len);
    return STATUS_OK;
}

enum status buffer_append_text(struct buffer *b, const char *text)
{
    return buffer_append(b, slice_from(text));
}

enum status buffer_printf(struct buffer *b, const char *format, ...)
{
    enum status status = STATUS_OK;
    va_list args, again;
    char *room;
    int len;

    /* vsnprintf writes its NUL as well; the byte is reserved and not committed. */
    TRY(buffer_reserve(b, 1, &room));
    va_start(args, format);
    va_copy(again, args);
    /* Most of the time it fits at once. */
    len = vsnprintf(room, b->capacity - b->end, format, args);
    ASSERT(len >= 0);
    if ((size_t)len >= b->capacity - b->end) {
        status = buffer_reserve(b, (size_t)len + 1, &room);
        if (status == STATUS_OK)
            (void)vsnprintf(room, (size_t)len + 1, format, again);
    }
    if (status == STATUS_OK)
        buffer_commit(b, (size_t)len);
    va_end(again);
    va_end(args);
    return status;
}

void buffer_consume(struct buffer *b, size_t bytes)
{
    ASSERT(bytes <= buffer_len(b));
    b->start += (uint32_t)bytes;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buffer_clear(struct buffer *b)
{
    b->start = b->end = 0;
}

void buffer_release(struct buffer *b)
{
    buffer_finish(b);
}
