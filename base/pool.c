#include "base/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Sizes are multiples of 16 up to 64 bytes, then four for each power of two, as an allocator has
 * them: no more than a fifth of what is taken is not used, or 15 bytes. */
#define STEPS_BITS 2u
#define STEPS      (1u << STEPS_BITS)
#define SMALL_STEP ((size_t)16)
#define FIRST_BITS 6u /* SMALL_STEP * STEPS bytes */
#define LAST_BITS  16u
#define KINDS      (STEPS + (LAST_BITS - FIRST_BITS) * STEPS)

static_assert(POOL_OBJECT_MAX == (size_t)1 << LAST_BITS, "the last kind is the largest");
static_assert(SMALL_STEP * STEPS == (size_t)1 << FIRST_BITS, "no size is left out");

struct kept {
    struct kept *next;
};

static_assert(sizeof(struct kept) <= SMALL_STEP, "the smallest kind can be kept");

struct kind {
    struct kept *first;
    size_t bytes;
    bool is_used; /* since the last sweep */
};

struct pool {
    struct kind kinds[KINDS];
    size_t bytes; /* of all kinds */
    bool is_open;
};

static _Thread_local struct pool mine;

/* Which kind has room for so many bytes; *room_out is what it has. */
static unsigned kind_of(size_t bytes, size_t *room_out)
{
    unsigned bits, step;

    ASSERT(bytes > 0 && bytes <= POOL_OBJECT_MAX);
    if (bytes <= (size_t)1 << FIRST_BITS) {
        step = (unsigned)((bytes - 1) / SMALL_STEP);
        *room_out = (step + 1) * SMALL_STEP;
        return step;
    }
    /* The power of two below it, and how many quarters of that are on top. */
    bits = 63u - (unsigned)__builtin_clzl(bytes - 1);
    step = (unsigned)((bytes - 1) >> (bits - STEPS_BITS)) - STEPS + 1;
    *room_out = (size_t)(STEPS + step) << (bits - STEPS_BITS);
    return STEPS - 1 + (bits - FIRST_BITS) * STEPS + step;
}

size_t pool_room(size_t bytes)
{
    size_t room = bytes;

    if (bytes <= POOL_OBJECT_MAX)
        (void)kind_of(bytes, &room);
    return room;
}

void *pool_take(size_t bytes)
{
    struct kept *first;
    struct kind *kind;
    size_t room;

    if (bytes > POOL_OBJECT_MAX)
        return malloc(bytes);
    kind = &mine.kinds[kind_of(bytes, &room)];
    kind->is_used = true;
    first = kind->first;
    if (first == NULL)
        return malloc(room);
    ASSERT(kind->bytes >= room && mine.bytes >= room);
    kind->first = first->next;
    kind->bytes -= room;
    mine.bytes -= room;
    return first;
}

void *pool_take_zeroed(size_t bytes)
{
    void *memory = pool_take(bytes);

    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

/* Whether the pool may have another `room` bytes of this kind. */
static bool is_room(const struct kind *kind, size_t room)
{
    return mine.is_open && kind->bytes + room <= POOL_KIND_BYTES_MAX &&
           mine.bytes + room <= POOL_BYTES_MAX;
}

void pool_give(void *memory, size_t bytes)
{
    struct kept *kept = memory;
    struct kind *kind;
    size_t room;

    if (memory == NULL)
        return;
    kind = bytes <= POOL_OBJECT_MAX ? &mine.kinds[kind_of(bytes, &room)] : NULL;
    if (kind == NULL || !is_room(kind, room)) {
        free(memory);
        return;
    }
    kept->next = kind->first;
    kind->first = kept;
    kind->bytes += room;
    mine.bytes += room;
}

void *pool_exchange(void *memory, size_t bytes, size_t used, size_t new_bytes)
{
    void *other;

    ASSERT(used <= bytes && used <= new_bytes);
    if (memory == NULL)
        return pool_take(new_bytes);
    if (bytes > POOL_OBJECT_MAX && new_bytes > POOL_OBJECT_MAX)
        return realloc(memory, new_bytes);
    if (bytes <= POOL_OBJECT_MAX && pool_room(bytes) == pool_room(new_bytes))
        return memory;
    other = pool_take(new_bytes);
    if (other == NULL)
        return NULL;
    memcpy(other, memory, used);
    pool_give(memory, bytes);
    return other;
}

static void empty(struct kind *kind)
{
    while (kind->first != NULL) {
        struct kept *first = kind->first;

        kind->first = first->next;
        free(first);
    }
    mine.bytes -= kind->bytes;
    kind->bytes = 0;
}

void pool_open(void)
{
    mine.is_open = true;
}

void pool_close(void)
{
    for (unsigned i = 0; i < KINDS; i++)
        empty(&mine.kinds[i]);
    mine.is_open = false;
}

void pool_sweep(void)
{
    for (unsigned i = 0; i < KINDS; i++) {
        if (!mine.kinds[i].is_used)
            empty(&mine.kinds[i]);
        mine.kinds[i].is_used = false;
    }
}

size_t pool_bytes(void)
{
    return mine.bytes;
}
