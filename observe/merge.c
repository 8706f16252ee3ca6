#include "observe/merge.h"

#include <stdlib.h>

#include "base/check.h"

struct observe_merge_ring {
    uint64_t stamp_ns; /* of its next line */
    struct observe_ring *ring;
};

enum status observe_merge_init(struct observe_merge *m, unsigned rings_max)
{
    *m = (struct observe_merge){ .heap = calloc(rings_max, sizeof(*m->heap)) };
    if (m->heap == NULL)
        return STATUS_NO_MEMORY;
    m->rings_max = rings_max;
    return STATUS_OK;
}

void observe_merge_finish(struct observe_merge *m)
{
    free(m->heap);
    m->heap = NULL;
}

void observe_merge_begin(struct observe_merge *m, uint64_t before_ns)
{
    m->count = 0;
    m->before_ns = before_ns;
}

static bool is_due(const struct observe_merge *m, const struct observe_ring *ring,
                   uint64_t *stamp_ns_out)
{
    uint64_t stamp_ns;

    if (!observe_ring_stamp(ring, &stamp_ns) || stamp_ns >= m->before_ns)
        return false;
    *stamp_ns_out = stamp_ns;
    return true;
}

void observe_merge_add(struct observe_merge *m, struct observe_ring *ring)
{
    struct observe_merge_ring added = { .ring = ring };
    unsigned at = m->count;

    ASSERT(m->count < m->rings_max);
    observe_ring_look(ring);
    if (!is_due(m, ring, &added.stamp_ns))
        return;
    m->count++;
    for (; at > 0 && added.stamp_ns < m->heap[(at - 1) / 2].stamp_ns; at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = added;
}

/* Lets the first of the heap sink to where it belongs. */
static void sink_first(struct observe_merge *m)
{
    struct observe_merge_ring first = m->heap[0];
    unsigned at = 0;

    for (unsigned child = 1; child < m->count; child = 2 * at + 1) {
        if (child + 1 < m->count && m->heap[child + 1].stamp_ns < m->heap[child].stamp_ns)
            child++;
        if (first.stamp_ns <= m->heap[child].stamp_ns)
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = first;
}

size_t observe_merge_take(struct observe_merge *m, char line[static OBSERVE_LINE_BYTES_MAX])
{
    size_t len;

    if (m->count == 0)
        return 0;
    len = observe_ring_take(m->heap[0].ring, line);
    if (!is_due(m, m->heap[0].ring, &m->heap[0].stamp_ns))
        m->heap[0] = m->heap[--m->count];
    if (m->count > 1)
        sink_first(m);
    return len;
}
