#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/allocations.h"
#include "base/check.h"
#include "base/pool.h"
#include "gateway/heap.h"
#include <jemalloc/jemalloc.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static extent_hooks_t *usual; /* of any other arena; NULL: they cannot be had */
static extent_hooks_t ours;   /* theirs but for the first */

static void *extent_alloc(extent_hooks_t *hooks, void *new_address, size_t bytes, size_t alignment,
                          bool *zero, bool *commit, unsigned arena)
{
    void *extent;

    (void)hooks;
    /* A huge page begins where its size divides the address. */
    if (new_address == NULL && bytes >= HUGE_PAGE_BYTES && alignment < HUGE_PAGE_BYTES)
        alignment = HUGE_PAGE_BYTES;
    extent = usual->alloc(usual, new_address, bytes, alignment, zero, commit, arena);
    if (extent != NULL)
        (void)madvise(extent, bytes, MADV_HUGEPAGE); /* without it all is as it was */
    return extent;
}

static void make_hooks(void)
{
    size_t bytes = sizeof(usual);

    if (mallctl("arena.0.extent_hooks", &usual, &bytes, NULL, 0) != 0)
        return;
    ours = *usual;
    ours.alloc = extent_alloc;
}

/* What is given back in pieces of 4 KiB breaks a huge page, and comes back in faults. */
static void keep_longer(unsigned arena)
{
    ssize_t decay_ms = GATEWAY_HEAP_KEEP_MS;
    char name[64];

    (void)snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena);
    (void)mallctl(name, NULL, NULL, &decay_ms, sizeof(decay_ms));
}

void gateway_heap_own(void)
{
    extent_hooks_t *hooks = &ours;
    unsigned arena;
    size_t bytes = sizeof(arena);

    pool_open();
    ASSERT(pthread_once(&once, make_hooks) == 0);
    if (usual == NULL || mallctl("arenas.create", &arena, &bytes, &hooks, sizeof(hooks)) != 0)
        return;
    keep_longer(arena);
    (void)mallctl("thread.arena", NULL, NULL, &arena, sizeof(arena));
}

void gateway_heap_disown(void)
{
    pool_close();
}

void gateway_heap_sweep(void)
{
    static _Thread_local uint64_t bytes_before;
    static _Thread_local unsigned idle_sweeps;
    uint64_t bytes = *allocations_thread_bytes();

    pool_sweep();
    idle_sweeps = bytes - bytes_before < GATEWAY_HEAP_IDLE_BYTES ? idle_sweeps + 1 : 0;
    bytes_before = bytes;
    if (idle_sweeps == GATEWAY_HEAP_IDLE_SWEEPS)
        (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}
