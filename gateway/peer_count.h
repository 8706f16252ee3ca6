/* gateway/peer_count.h - how many connections each client has open, over all workers.
 *
 * A fixed table of atomic words, no locks: each word holds a fingerprint of the peer and its
 * count. Counting needs at most PEER_COUNT_PROBES words to be looked at. When all of these are
 * taken by other peers the connection is not counted (its hold is empty): the table has
 * several times as many words as there may be connections, so this is rare, and refusing an
 * honest client for it would be worse.
 *
 * The table outlives every configuration: a reload does not reset the counts.
 */
#pragma once
#include <stdatomic.h>

#include "base/hash.h"
#include "base/ip.h"
#include "base/status.h"

#define PEER_COUNT_WORDS  ((size_t)1 << 17)
#define PEER_COUNT_PROBES 8
#define PEER_COUNT_MAX    65535 /* connections of one peer */

struct gateway_peer_count; /* opaque */

/* One counted connection; zeroed: nothing is counted. */
struct gateway_peer_hold {
    uint32_t word_plus_one;
};

MUST_USE enum status gateway_peer_count_create(const struct hash_seed *seed,
                                               struct gateway_peer_count **count_out);
void gateway_peer_count_destroy(struct gateway_peer_count *count);

/* A client at a listener; which listener is told by a number of the caller's. An IPv6 client is
 * its /64: who has one address of a /64 has them all (RFC 6177, RFC 7421). */
struct gateway_peer {
    struct ip_address address;
    uint32_t listener;
};

/* Counts a connection of the peer unless it has `limit` already; false: over the limit, and
 * nothing was counted. */
bool gateway_peer_count_enter(struct gateway_peer_count *count, const struct gateway_peer *peer,
                              unsigned limit, struct gateway_peer_hold *hold_out);

/* Takes back what hold says, once; an empty hold is fine. */
void gateway_peer_count_leave(struct gateway_peer_count *count, struct gateway_peer_hold *hold);

/* Connections counted for the peer now. */
unsigned gateway_peer_count_get(const struct gateway_peer_count *count,
                                const struct gateway_peer *peer);
