/* gateway/call_ahead_cache.h - what hosts have said about recipients, for as long as it counts.
 *
 * Holds at most the number of entries given at the start; when it is full the one that was not
 * asked for the longest goes. Pure: the time is an argument and never goes back. One thread.
 *
 * A key is a recipient and the route that was asked about it. The case of ASCII letters does not
 * count, of the local part neither: hosts that tell "Ann" from "ann" are rarer than senders that
 * write both.
 */
#pragma once
#include "base/hash.h"
#include "base/status.h"

#define GATEWAY_CALL_AHEAD_CACHE_MAX 65536 /* entries of one worker; about 200 bytes each */

enum gateway_call_ahead_verdict {
    GATEWAY_CALL_AHEAD_VALID,
    GATEWAY_CALL_AHEAD_INVALID,
    GATEWAY_CALL_AHEAD_TEMPORARY,   /* the host cannot say now: 4xx to the recipient */
    GATEWAY_CALL_AHEAD_UNREACHABLE, /* no host could be asked */
    GATEWAY_CALL_AHEAD_STOPPING     /* we stop; never kept */
};

struct gateway_call_ahead_key {
    uint64_t route;         /* a number for where the question goes, and by which rules */
    struct slice recipient; /* "user@example.com"; empty: the route itself, whoever is asked for */
};

struct gateway_call_ahead_cache; /* private */

/* The same for equal keys, whatever their case. */
uint64_t gateway_call_ahead_key_hash(const struct hash_seed *seed,
                                     const struct gateway_call_ahead_key *key);
bool gateway_call_ahead_key_equal(const struct gateway_call_ahead_key *a,
                                  const struct gateway_call_ahead_key *b);

/* entries_max > 0. */
MUST_USE enum status gateway_call_ahead_cache_create(const struct hash_seed *seed,
                                                     size_t entries_max,
                                                     struct gateway_call_ahead_cache **cache_out);
void gateway_call_ahead_cache_destroy(struct gateway_call_ahead_cache *cache); /* accepts NULL */

/* Keeps a copy for lifetime_ms in place of what it knew of the key; 0: forgets the key. Without
 * memory the key is forgotten, which costs another question and nothing else. */
void gateway_call_ahead_cache_put(struct gateway_call_ahead_cache *cache,
                                  const struct gateway_call_ahead_key *key,
                                  enum gateway_call_ahead_verdict verdict, uint64_t now_ms,
                                  uint64_t lifetime_ms);

/* False: nothing is known, or no longer. */
bool gateway_call_ahead_cache_find(struct gateway_call_ahead_cache *cache,
                                   const struct gateway_call_ahead_key *key, uint64_t now_ms,
                                   enum gateway_call_ahead_verdict *verdict_out);

size_t gateway_call_ahead_cache_count(const struct gateway_call_ahead_cache *cache);
