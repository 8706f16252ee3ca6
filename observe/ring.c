#include "observe/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"

#define MASK (OBSERVE_RING_BYTES - 1)

static_assert((OBSERVE_RING_BYTES & MASK) == 0, "positions are masked");
static_assert(OBSERVE_RING_BYTES >= 16 * OBSERVE_LINE_BYTES_MAX, "a ring holds more than a line");

enum status observe_ring_init(struct observe_ring *r)
{
    *r = (struct observe_ring){ .bytes = malloc(OBSERVE_RING_BYTES) };
    return r->bytes != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void observe_ring_finish(struct observe_ring *r)
{
    free(r->bytes);
    r->bytes = NULL;
}

bool observe_ring_put(struct observe_ring *r, struct slice line)
{
    size_t at = r->put & MASK;
    size_t first = OBSERVE_RING_BYTES - at < line.len ? OBSERVE_RING_BYTES - at : line.len;

    ASSERT(line.len > 0 && line.len <= OBSERVE_LINE_BYTES_MAX);
    if (r->put - r->tail_old + line.len > OBSERVE_RING_BYTES) {
        r->tail_old = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (r->put - r->tail_old + line.len > OBSERVE_RING_BYTES)
            return false;
    }
    memcpy(r->bytes + at, line.data, first);
    memcpy(r->bytes, line.data + first, line.len - first);
    r->put += line.len;
    atomic_store_explicit(&r->head, r->put, memory_order_release);
    return true;
}

uint64_t observe_ring_publish(struct observe_ring *r)
{
    /* Sequentially consistent, where the store in observe_ring_put() is not. */
    atomic_store(&r->head, r->put);
    return r->put - atomic_load_explicit(&r->tail, memory_order_relaxed);
}

uint64_t observe_ring_waiting(const struct observe_ring *r)
{
    return atomic_load(&r->head) - atomic_load_explicit(&r->tail, memory_order_relaxed);
}

int observe_ring_peek(struct observe_ring *r, struct iovec pieces_out[static OBSERVE_RING_PIECES])
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    size_t len = (size_t)(atomic_load_explicit(&r->head, memory_order_acquire) - tail);
    size_t at = tail & MASK;
    size_t first = OBSERVE_RING_BYTES - at < len ? OBSERVE_RING_BYTES - at : len;

    ASSERT(len <= OBSERVE_RING_BYTES);
    pieces_out[0] = (struct iovec){ r->bytes + at, first };
    pieces_out[1] = (struct iovec){ r->bytes, len - first };
    return len == 0 ? 0 : len == first ? 1 : 2;
}

void observe_ring_take(struct observe_ring *r, size_t bytes)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    ASSERT(bytes <= atomic_load_explicit(&r->head, memory_order_relaxed) - tail);
    atomic_store_explicit(&r->tail, tail + bytes, memory_order_release);
}
