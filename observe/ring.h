/* observe/ring.h - bytes from one thread to one other, bounded, without a lock.
 *
 * The producer puts whole lines in, the consumer sees whole lines only. Internal to observe/.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "base/status.h"
#include "observe/maillog.h"

#define OBSERVE_RING_PIECES 2 /* the contents may run over the end of the memory */

struct observe_ring { /* Positions count all bytes ever put in or taken out. */
    char *bytes;
    uint64_t put;      /* the producer's own copy of head */
    uint64_t tail_old; /* what the producer last saw of tail */
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
};

MUST_USE enum status observe_ring_init(struct observe_ring *r);
void observe_ring_finish(struct observe_ring *r); /* accepts a zeroed ring */

/* Producer. False when there is no room; nothing is put in then. */
MUST_USE bool observe_ring_put(struct observe_ring *r, struct slice line);

/* Producer: publishes what was put in so that it is ordered before a later look at whether the
 * consumer sleeps. Returns how many bytes wait. */
uint64_t observe_ring_publish(struct observe_ring *r);

/* Consumer: the contents, in up to OBSERVE_RING_PIECES pieces; returns how many. */
int observe_ring_peek(struct observe_ring *r, struct iovec pieces_out[static OBSERVE_RING_PIECES]);
void observe_ring_take(struct observe_ring *r, size_t bytes);

/* Consumer. */
uint64_t observe_ring_waiting(const struct observe_ring *r);
