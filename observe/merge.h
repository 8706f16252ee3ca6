/* observe/merge.h - the lines of many rings as one run, in the order of their stamps.
 *
 *     observe_merge_init -> (observe_merge_begin -> observe_merge_add for each ring
 *         -> observe_merge_take until it returns 0)... -> observe_merge_finish
 *
 * Borrows the rings, of which it is the consumer. Lines of one ring keep their order whatever
 * their stamps say. Internal to observe/.
 */
#pragma once
#include "observe/ring.h"

struct observe_merge {
    struct observe_merge_ring *heap; /* the ring with the earliest line first */
    unsigned count;
    unsigned rings_max;
    uint64_t before_ns;
};

MUST_USE enum status observe_merge_init(struct observe_merge *m, unsigned rings_max);
void observe_merge_finish(struct observe_merge *m); /* accepts a zeroed one */

/* From now on only lines stamped earlier than before_ns are taken; the others stay. */
void observe_merge_begin(struct observe_merge *m, uint64_t before_ns);

/* Looks what is in the ring; at most rings_max of them. */
void observe_merge_add(struct observe_merge *m, struct observe_ring *ring);

/* Copies the earliest line of all and returns its length; 0 when none is left. */
size_t observe_merge_take(struct observe_merge *m, char line[static OBSERVE_LINE_BYTES_MAX]);
