#include "gateway/peer_count.h"

#include <assert.h>

#include <stdlib.h>

#define COUNT_BITS 16
#define COUNT_MASK ((uint64_t)PEER_COUNT_MAX)

static_assert(PEER_COUNT_MAX == (1 << COUNT_BITS) - 1, "the count fills its bits");
static_assert((PEER_COUNT_WORDS & (PEER_COUNT_WORDS - 1)) == 0, "a power of two");

struct gateway_peer_count {
    struct hash_seed seed;
    _Atomic uint64_t words[PEER_COUNT_WORDS]; /* fingerprint above, count below; 0: free */
};

enum status gateway_peer_count_create(const struct hash_seed *seed,
                                      struct gateway_peer_count **count_out)
{
    struct gateway_peer_count *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return STATUS_NO_MEMORY;
    c->seed = *seed;
    *count_out = c;
    return STATUS_OK;
}

void gateway_peer_count_destroy(struct gateway_peer_count *count)
{
    free(count);
}

static uint64_t fingerprint_of(const struct gateway_peer_count *c, const struct gateway_peer *peer,
                               size_t *first_out)
{
    struct slice bytes = { (const char *)peer->address.bytes,
                           ip_is_v4(&peer->address) ? sizeof(peer->address.bytes)
                                                    : sizeof(peer->address.bytes) / 2 };
    uint64_t hash = hash_number(hash_bytes(&c->seed, bytes) + peer->listener);

    *first_out = (size_t)hash & (PEER_COUNT_WORDS - 1);
    return hash & ~COUNT_MASK;
}

static size_t word_at(size_t first, size_t probe)
{
    return (first + probe) & (PEER_COUNT_WORDS - 1);
}

static bool is_of(uint64_t word, uint64_t fingerprint)
{
    return (word & COUNT_MASK) != 0 && (word & ~COUNT_MASK) == fingerprint;
}

/* The word that counts this peer, or -1. */
static long find(const struct gateway_peer_count *c, size_t first, uint64_t fingerprint)
{
    for (size_t i = 0; i < PEER_COUNT_PROBES; i++)
        if (is_of(atomic_load(&c->words[word_at(first, i)]), fingerprint))
            return (long)word_at(first, i);
    return -1;
}

/* Adds one to a word that counts this peer; false when it no longer does. */
static bool add(struct gateway_peer_count *c, size_t at, uint64_t fingerprint, unsigned limit,
                bool *over_out)
{
    uint64_t word = atomic_load(&c->words[at]);

    do {
        if (!is_of(word, fingerprint))
            return false;
        *over_out = (word & COUNT_MASK) >= limit || (word & COUNT_MASK) == COUNT_MASK;
        if (*over_out)
            return true;
    } while (!atomic_compare_exchange_weak(&c->words[at], &word, word + 1));
    return true;
}

/* Claims a free word for a first connection; -1 when all of them are taken. */
static long claim(struct gateway_peer_count *c, size_t first, uint64_t fingerprint)
{
    for (size_t i = 0; i < PEER_COUNT_PROBES; i++) {
        uint64_t word = atomic_load(&c->words[word_at(first, i)]);

        while ((word & COUNT_MASK) == 0)
            if (atomic_compare_exchange_weak(&c->words[word_at(first, i)], &word, fingerprint | 1))
                return (long)word_at(first, i);
    }
    return -1;
}

bool gateway_peer_count_enter(struct gateway_peer_count *count, const struct gateway_peer *peer,
                              unsigned limit, struct gateway_peer_hold *hold_out)
{
    size_t first;
    uint64_t fingerprint = fingerprint_of(count, peer, &first);
    bool over = limit == 0;
    long at;

    *hold_out = (struct gateway_peer_hold){ 0 };
    if (over)
        return false;
    at = find(count, first, fingerprint);
    if (at < 0 || !add(count, (size_t)at, fingerprint, limit, &over)) {
        /* Two workers may claim two words for one peer at the same instant; each then
         * counts its own, and the limit is passed by at most the number of workers. */
        at = claim(count, first, fingerprint);
    }
    if (over)
        return false;
    if (at >= 0)
        hold_out->word_plus_one = (uint32_t)at + 1;
    return true;
}

void gateway_peer_count_leave(struct gateway_peer_count *count, struct gateway_peer_hold *hold)
{
    uint64_t before;

    if (hold->word_plus_one == 0)
        return;
    before = atomic_fetch_sub(&count->words[hold->word_plus_one - 1], 1);
    ASSERT((before & COUNT_MASK) > 0);
    hold->word_plus_one = 0;
}

unsigned gateway_peer_count_get(const struct gateway_peer_count *count,
                                const struct gateway_peer *peer)
{
    size_t first;
    uint64_t fingerprint = fingerprint_of(count, peer, &first);
    unsigned sum = 0;

    for (size_t i = 0; i < PEER_COUNT_PROBES; i++) {
        uint64_t word = atomic_load(&count->words[word_at(first, i)]);

        if (is_of(word, fingerprint))
            sum += (unsigned)(word & COUNT_MASK);
    }
    return sum;
}
