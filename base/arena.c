#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CHUNK_BYTES     16384
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define LARGE_BYTES     ((size_t)256 << 10) /* a piece from which a chunk is whole huge pages */

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t capacity;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t bytes_max)
{
    *a = (struct arena){ .bytes_max = bytes_max };
}

void arena_finish(struct arena *a)
{
    struct arena_chunk *next;

    for (struct arena_chunk *c = a->chunks; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct arena){ 0 };
}

/* Zeroed. A table of many megabytes is read here and there, and most of what that costs is the walk
 * through the page tables; in huge pages, where the kernel has some to spare, there is none. */
static struct arena_chunk *new_huge_chunk(size_t bytes)
{
    struct arena_chunk *c = aligned_alloc(HUGE_PAGE_BYTES, bytes);

    if (c == NULL)
        return NULL;
    (void)madvise(c, bytes, MADV_HUGEPAGE); /* advice: without it all is slower, not wrong */
    return memset(c, 0, bytes);
}

/* Puts a new chunk in front; a piece too large for the usual size gets one of its own, or, with
 * those behind it, as many huge pages as it needs. */
static bool add_chunk(struct arena *a, size_t bytes)
{
    bool is_large = bytes >= LARGE_BYTES;
    size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES, whole;
    struct arena_chunk *c;

    if (capacity > SIZE_MAX - sizeof(*c) - HUGE_PAGE_BYTES)
        return false;
    whole = sizeof(*c) + capacity;
    if (is_large)
        whole = (whole + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    capacity = whole - sizeof(*c);
    c = is_large ? new_huge_chunk(whole) : calloc(1, whole);
    if (c == NULL)
        return false;
    c->capacity = capacity;
    c->next = a->chunks;
    a->chunks = c;
    return true;
}

void *arena_take(struct arena *a, size_t count, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    size_t wanted;
    char *piece;

    if (__builtin_mul_overflow(count, bytes, &wanted) || wanted > SIZE_MAX - align)
        return NULL;
    wanted = wanted == 0 ? align : (wanted + align - 1) / align * align;
    if (wanted > a->bytes_max - a->bytes_used)
        return NULL;
    if ((a->chunks == NULL || wanted > a->chunks->capacity - a->chunks->used) &&
        !add_chunk(a, wanted))
        return NULL;
    piece = a->chunks->bytes + a->chunks->used;
    a->chunks->used += wanted;
    a->bytes_used += wanted;
    ASSERT(a->chunks->used <= a->chunks->capacity);
    return piece;
}

char *arena_text(struct arena *a, struct slice text)
{
    char *copy = arena_take(a, text.len + 1, 1);

    if (copy != NULL && text.len > 0)
        memcpy(copy, text.data, text.len);
    return copy;
}

bool arena_copy(struct arena *a, struct slice text, struct slice *copy_out)
{
    char *copy = arena_text(a, text);

    if (copy == NULL)
        return false;
    *copy_out = (struct slice){ copy, text.len };
    return true;
}
