/* observe/ring.h - stamped lines from one thread to one other, bounded, without a lock.
 *
 * The producer puts whole lines in, each with the time at which it did so; the consumer takes
 * whole lines out, in the same order:
 *
 *     observe_ring_look -> observe_ring_stamp, observe_ring_take... -> observe_ring_release
 *
 * Internal to observe/.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "observe/maillog.h"

#define OBSERVE_RING_ENTRY_BYTES 16 /* what each line takes besides its text, before rounding */

/* The room that a line takes up. */
#define OBSERVE_RING_ROOM(line_bytes)                                                              \
    (((uint64_t)(line_bytes) + 2 * OBSERVE_RING_ENTRY_BYTES - 1) &                                 \
     ~(uint64_t)(OBSERVE_RING_ENTRY_BYTES - 1))

/* Positions count all bytes of room ever taken up or given back. Each of the four groups lies on
 * cache lines of its own, by who writes it how often. */
struct observe_ring {
    char *bytes;
    alignas(64) _Atomic uint64_t head;
    uint64_t put;      /* the producer's own copy of head */
    uint64_t tail_old; /* what the producer last saw of tail */
    alignas(64) _Atomic uint64_t tail;
    alignas(64) uint64_t seen; /* what the consumer last saw of head */
    uint64_t taken;            /* the consumer's place, from tail to seen */
};

MUST_USE enum status observe_ring_init(struct observe_ring *r);
void observe_ring_finish(struct observe_ring *r); /* accepts a zeroed ring */

/* Producer. line.len: 1..OBSERVE_LINE_BYTES_MAX. False when there is no room; nothing is put in
 * then. */
MUST_USE bool observe_ring_put(struct observe_ring *r, uint64_t stamp_ns, struct slice line);

/* Producer: publishes what was put in so that it is ordered before a later look at whether the
 * consumer sleeps. Returns how much room is taken up. */
uint64_t observe_ring_publish(struct observe_ring *r);

/* Consumer: looks what is in the ring. The three calls below know of nothing that came later. */
void observe_ring_look(struct observe_ring *r);

/* Consumer: when the next line was put in. False when there is none. */
MUST_USE bool observe_ring_stamp(const struct observe_ring *r, uint64_t *stamp_ns_out);

/* Consumer: copies the next line, of which there must be one, and returns its length. */
size_t observe_ring_take(struct observe_ring *r, char line[static OBSERVE_LINE_BYTES_MAX]);

/* Consumer: gives the room of the lines taken back to the producer. */
void observe_ring_release(struct observe_ring *r);

/* Consumer: how much room is taken up by now. */
uint64_t observe_ring_waiting(const struct observe_ring *r);
