#include "observe/ring.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"

#define MASK (OBSERVE_RING_BYTES - 1)

/* Stands before each line. Entries begin at multiples of its size, so that only a line ever
 * runs over the end of the memory. */
struct entry {
    uint64_t stamp_ns;
    uint64_t line_bytes;
};

static_assert(sizeof(struct entry) == OBSERVE_RING_ENTRY_BYTES, "the room of a line is right");
static_assert((OBSERVE_RING_BYTES & MASK) == 0, "positions are masked");
static_assert(OBSERVE_RING_BYTES % sizeof(struct entry) == 0, "an entry is in one piece");
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

static size_t until_end(size_t at, size_t len)
{
    return OBSERVE_RING_BYTES - at < len ? OBSERVE_RING_BYTES - at : len;
}

bool observe_ring_put(struct observe_ring *r, uint64_t stamp_ns, struct slice line)
{
    struct entry entry = { .stamp_ns = stamp_ns, .line_bytes = line.len };
    uint64_t room = OBSERVE_RING_ROOM(line.len);
    size_t at = (r->put + sizeof(entry)) & MASK;
    size_t first = until_end(at, line.len);

    ASSERT(line.len > 0 && line.len <= OBSERVE_LINE_BYTES_MAX);
    if (r->put - r->tail_old + room > OBSERVE_RING_BYTES) {
        r->tail_old = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (r->put - r->tail_old + room > OBSERVE_RING_BYTES)
            return false;
    }
    memcpy(r->bytes + (r->put & MASK), &entry, sizeof(entry));
    memcpy(r->bytes + at, line.data, first);
    memcpy(r->bytes, line.data + first, line.len - first);
    r->put += room;
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

void observe_ring_look(struct observe_ring *r)
{
    r->seen = atomic_load_explicit(&r->head, memory_order_acquire);
    ASSERT(r->seen - r->taken <= OBSERVE_RING_BYTES);
}

static struct entry next_entry(const struct observe_ring *r)
{
    struct entry entry;

    memcpy(&entry, r->bytes + (r->taken & MASK), sizeof(entry));
    return entry;
}

bool observe_ring_stamp(const struct observe_ring *r, uint64_t *stamp_ns_out)
{
    if (r->taken == r->seen)
        return false;
    *stamp_ns_out = next_entry(r).stamp_ns;
    return true;
}

size_t observe_ring_take(struct observe_ring *r, char line[static OBSERVE_LINE_BYTES_MAX])
{
    size_t at = (r->taken + sizeof(struct entry)) & MASK;
    size_t len, first;

    ASSERT(r->taken != r->seen);
    len = next_entry(r).line_bytes;
    ASSERT(len > 0 && len <= OBSERVE_LINE_BYTES_MAX);
    ASSERT(OBSERVE_RING_ROOM(len) <= r->seen - r->taken);
    first = until_end(at, len);
    memcpy(line, r->bytes + at, first);
    memcpy(line + first, r->bytes, len - first);
    r->taken += OBSERVE_RING_ROOM(len);
    return len;
}

void observe_ring_release(struct observe_ring *r)
{
    if (atomic_load_explicit(&r->tail, memory_order_relaxed) != r->taken)
        atomic_store_explicit(&r->tail, r->taken, memory_order_release);
}
