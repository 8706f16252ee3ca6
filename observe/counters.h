/* observe/counters.h - what a worker counts, readable from every thread.
 *
 * Each worker owns one set and is the only one who writes it, so counting is a plain load and
 * store; readers see each value whole but not all values of one moment.
 */
#pragma once
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"

enum observe_counter {
    OBSERVE_CONNECTIONS_IN,      /* accepted by a listener, refused ones included */
    OBSERVE_CONNECTIONS_OUT,     /* connected, or tried to */
    OBSERVE_CONNECTIONS_IN_NOW,  /* gauge */
    OBSERVE_CONNECTIONS_OUT_NOW, /* gauge */
    OBSERVE_CONNECTIONS_CAPPED,  /* 421 because a cap of ours was reached */
    OBSERVE_HAT_REJECTED,
    OBSERVE_HAT_REFUSED, /* TCPREFUSE */
    OBSERVE_RAT_REJECTED,
    OBSERVE_RECIPIENTS_LIMITED, /* refused because of a rate, or of too many invalid ones */
    OBSERVE_CALL_AHEADS,        /* questions about recipients put to their hosts */
    OBSERVE_CALL_AHEAD_CACHED,  /* answered by what was known */
    OBSERVE_TLS_IN_SUCCESS,
    OBSERVE_TLS_IN_FAILED,
    OBSERVE_TLS_IN_REQUIRED_MISSED, /* the policy demands TLS and the peer did not start it */
    OBSERVE_TLS_OUT_SUCCESS,
    OBSERVE_TLS_OUT_FAILED,
    OBSERVE_TLS_RESUMED,
    OBSERVE_KTLS_SEND, /* sessions whose records the kernel makes, by direction */
    OBSERVE_KTLS_RECEIVE,
    OBSERVE_KTLS_UNDECIDED, /* directions that stayed in user space, by reason: tls/kernel.h */
    OBSERVE_KTLS_SWITCHED_OFF,
    OBSERVE_KTLS_NO_MODULE,
    OBSERVE_KTLS_HALF_RECORDS,
    OBSERVE_KTLS_VERSION,
    OBSERVE_KTLS_CIPHER,
    OBSERVE_KTLS_FRAGMENT,
    OBSERVE_KTLS_UPDATED,
    OBSERVE_KTLS_UNSURE,
    OBSERVE_KTLS_REFUSED,
    OBSERVE_MESSAGES_ACCEPTED,  /* committed and answered 250 */
    OBSERVE_MESSAGES_ABORTED,   /* begun and never committed */
    OBSERVE_MESSAGES_FINISHED,  /* every recipient delivered or bounced */
    OBSERVE_MESSAGES_NOW,       /* gauge: accepted and not finished */
    OBSERVE_MESSAGES_COMPACTED, /* moved out of an old segment */
    OBSERVE_RECIPIENTS_ACCEPTED,
    OBSERVE_RECIPIENTS_DELIVERED,
    OBSERVE_RECIPIENTS_BOUNCED,
    OBSERVE_RECIPIENTS_DELETED,  /* by an operator */
    OBSERVE_RECIPIENTS_RETURNED, /* the same, of the bounced ones */
    OBSERVE_RECIPIENTS_HELD_NOW, /* gauge */
    OBSERVE_RECIPIENTS_DEFERRED, /* events, each failed try of a recipient: a host said 4xx, broke
                                    off, or none could be reached */
    OBSERVE_BOUNCES_GENERATED,
    OBSERVE_BOUNCES_WITHHELD, /* recipients: nobody was to be told, or there was nobody to tell */
    OBSERVE_DOUBLE_BOUNCES,   /* recipients of bounces, and of other mail from nobody */
    OBSERVE_DELAY_WARNINGS,
    OBSERVE_RELAY_REPORTS,
    OBSERVE_BYTES_RECEIVED, /* of messages, as accepted */
    OBSERVE_BYTES_DELIVERED,
    OBSERVE_SPOOL_COMMITS, /* synced writes; messages per commit is the batching */
    OBSERVE_SPOOL_BYTES,   /* of these writes, what fills their last blocks included */
    OBSERVE_SPOOL_ERRORS,
    OBSERVE_RESULTS_WAITING_NOW, /* gauge: records of results that a crash would forget */
    OBSERVE_LOG_LINES_LOST,
    OBSERVE_RING_ENTERS, /* system calls of the rings; per message is how well work is gathered */
    OBSERVE_RING_COMPLETIONS,
    OBSERVE_SOCKET_RECEIVES,
    OBSERVE_SOCKET_SENDS,
    OBSERVE_ALLOCATED_BYTES, /* by workers, freed since or not; 0 where the allocator is another */
    OBSERVE_COUNTERS_COUNT
};

struct observe_counters { /* Fields are private; it is open so that a worker can embed it. */
    alignas(64) _Atomic uint64_t values[OBSERVE_COUNTERS_COUNT];
};

void observe_counters_init(struct observe_counters *c);

/* "messages_accepted": lower case, stable, for metrics and the status command. */
const char *observe_counter_name(enum observe_counter which);

/* Adds up count sets; a gauge may look briefly negative to a reader, it is cut to 0. */
void observe_counters_sum(const struct observe_counters *const *sets, size_t count,
                          uint64_t sums_out[static OBSERVE_COUNTERS_COUNT]);

/* Owner only. */
static inline void observe_count(struct observe_counters *c, enum observe_counter which,
                                 uint64_t add)
{
    uint64_t value = atomic_load_explicit(&c->values[which], memory_order_relaxed);

    atomic_store_explicit(&c->values[which], value + add, memory_order_relaxed);
}

/* Owner only; for gauges. */
static inline void observe_uncount(struct observe_counters *c, enum observe_counter which,
                                   uint64_t subtract)
{
    observe_count(c, which, 0 - subtract);
}

/* Owner only; for gauges whose value is known. */
static inline void observe_set(struct observe_counters *c, enum observe_counter which,
                               uint64_t value)
{
    atomic_store_explicit(&c->values[which], value, memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t observe_counter_value(const struct observe_counters *c,
                                             enum observe_counter which)
{
    return atomic_load_explicit(&c->values[which], memory_order_relaxed);
}
