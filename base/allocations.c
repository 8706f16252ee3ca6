#include "base/allocations.h"

#include <stdio.h>

#include "base/check.h"

#define NAME_ROOM  64
#define ARENAS_ALL 4096 /* MALLCTL_ARENAS_ALL of jemalloc 5 */

/* Of jemalloc. Not in its header's way, so that a program without it can be linked. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));

const uint64_t *allocations_thread_bytes(void)
{
    static const uint64_t none;
    uint64_t *bytes = NULL;
    size_t size = sizeof(bytes);

    if (mallctl == NULL || mallctl("thread.allocatedp", &bytes, &size, NULL, 0) != 0 ||
        bytes == NULL)
        return &none;
    return bytes;
}

static uint64_t requests(const char *kind)
{
    char name[NAME_ROOM];
    uint64_t count = 0;
    size_t size = sizeof(count);

    (void)snprintf(name, sizeof(name), "stats.arenas.%d.%s.nrequests", ARENAS_ALL, kind);
    return mallctl(name, &count, &size, NULL, 0) == 0 ? count : 0;
}

uint64_t allocations_count(void)
{
    uint64_t epoch = 1;

    /* The statistics are of the moment when the epoch was last written. */
    if (mallctl == NULL || mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) != 0)
        return 0;
    return requests("small") + requests("large");
}
