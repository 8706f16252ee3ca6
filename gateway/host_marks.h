/* gateway/host_marks.h - hosts of which something is remembered for the next connections to them.
 *
 *     init -> add, has, take, in any order -> finish
 *
 * One set for one worker and one thing to remember. Each mark is forgotten keep_ms after it was
 * added last: a host may have been mended. The set has room for as many broken hosts as one worker
 * may meet while it remembers them: one that is full forgets the oldest mark at every new one, and
 * hosts that are met in turn would all be found out again each time. Memory is taken by mark, 64
 * bytes each. Every call is O(1), for keys that peers choose as well.
 *
 * Time is any steady clock that never goes back.
 */
#pragma once
#include "base/hash.h"
#include "base/ip.h"
#include "base/list.h"
#include "base/table.h"

#define GATEWAY_HOST_MARKS_MAX 4096

struct gateway_host_marks { /* Fields are private. */
    struct table by_host;
    struct list by_age; /* the oldest first: they are forgotten in this order */
    size_t count;
    struct hash_seed seed;
    uint64_t keep_ms;
};

/* keep_ms: at least 1. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_host_marks_init(struct gateway_host_marks *marks,
                                             const struct hash_seed *seed, uint64_t keep_ms);
void gateway_host_marks_finish(struct gateway_host_marks *marks); /* accepts a zeroed one */

bool gateway_host_marks_has(const struct gateway_host_marks *marks, uint64_t now_ms,
                            const struct ip_endpoint *host);

/* One that is there counts as new. False: there was no memory, and the host has no mark. */
bool gateway_host_marks_add(struct gateway_host_marks *marks, uint64_t now_ms,
                            const struct ip_endpoint *host);

/* Whether it was there; it is not any more. */
bool gateway_host_marks_take(struct gateway_host_marks *marks, uint64_t now_ms,
                             const struct ip_endpoint *host);

/* Those that take memory: at most GATEWAY_HOST_MARKS_MAX. */
size_t gateway_host_marks_count(const struct gateway_host_marks *marks);
