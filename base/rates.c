#include "base/rates.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/ip.h"

/* A word, from the top: 23 bits of the key, one that says "tentative", the second in which the
 * window ends, and the count. Zero is a free word; so is one whose window has ended. */
#define COUNT_BITS 20
#define END_BITS   20
#define END_MASK   (((uint64_t)1 << END_BITS) - 1)
#define COUNT_MASK ((uint64_t)RATES_COUNT_MAX)
#define TENTATIVE  ((uint64_t)1 << (COUNT_BITS + END_BITS))
#define KEY_MASK   (~(uint64_t)0 << (COUNT_BITS + END_BITS + 1))

#define BUCKET_WORDS 8
#define LINE_BYTES   64
#define ODDS_COUNT   256 /* (25/27)^256 is 3e-9: below what 32 bits can say */
#define TRIES_MAX    (1u << 16)

static_assert(RATES_COUNT_MAX == (1u << COUNT_BITS) - 1, "the count fills its bits");
static_assert(BUCKET_WORDS * sizeof(uint64_t) == LINE_BYTES, "a bucket is one cache line");
static_assert(RATES_WORDS_MAX / BUCKET_WORDS <= (size_t)1 << (COUNT_BITS + END_BITS + 1),
              "the bits that choose the bucket are not those in the word");
static_assert(RATES_PERIOD_S_MAX < END_MASK / 8, "what has ended is told from what will end");

struct bucket {
    alignas(LINE_BYTES) _Atomic uint64_t words[BUCKET_WORDS];
};

struct rates_table {
    struct bucket *buckets; /* in memory, aligned */
    void *memory;
    size_t buckets_mask;
    size_t part_buckets; /* of one call of rates_sweep() */
    size_t swept;        /* the part that is next */
    struct hash_seed seed;
    uint32_t odds[ODDS_COUNT];                    /* of replacing a count, times 2^32 */
    alignas(LINE_BYTES) _Atomic uint64_t tickets; /* one for each claim; apart from the rest */
    /* Some word of that part was taken. Reading the others would make their memory real. */
    alignas(LINE_BYTES) _Atomic bool used[RATES_SWEEP_STEPS];
};

enum claim { CLAIM_DONE, CLAIM_AGAIN, CLAIM_NO_ROOM };

/* What is being counted. */
struct event {
    uint64_t fingerprint; /* within KEY_MASK */
    uint64_t now_s;
    uint32_t add;
    uint32_t limit;
    uint32_t period_s;
};

enum status rates_create(size_t words_count, const struct hash_seed *seed,
                         struct rates_table **table_out)
{
    size_t buckets_count = words_count / BUCKET_WORDS;
    struct rates_table *t;
    uint64_t odds = UINT32_MAX;

    ASSERT(words_count >= RATES_WORDS_MIN && words_count <= RATES_WORDS_MAX);
    ASSERT((words_count & (words_count - 1)) == 0);
    t = aligned_alloc(alignof(struct rates_table), sizeof(*t));
    if (t == NULL)
        return STATUS_NO_MEMORY;
    *t = (struct rates_table){ .seed = *seed,
                               .buckets_mask = buckets_count - 1,
                               .part_buckets =
                                   (buckets_count + RATES_SWEEP_STEPS - 1) / RATES_SWEEP_STEPS };
    /* Not aligned_alloc(): calloc() leaves pages alone that the system gave zeroed. */
    t->memory = calloc(buckets_count + 1, sizeof(struct bucket));
    if (t->memory == NULL) {
        free(t);
        return STATUS_NO_MEMORY;
    }
    t->buckets =
        (struct bucket *)(((uintptr_t)t->memory + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1));
    for (size_t i = 0; i < ODDS_COUNT; i++, odds = odds * 25 / 27)
        t->odds[i] = (uint32_t)odds;
    *table_out = t;
    return STATUS_OK;
}

void rates_destroy(struct rates_table *table)
{
    if (table == NULL)
        return;
    free(table->memory);
    free(table);
}

uint64_t rates_key_address(const struct rates_table *table, uint32_t kind,
                           const struct ip_address *address, unsigned bits)
{
    char bytes[sizeof(address->bytes) + 1] = { 0 };

    ASSERT(bits <= 8 * sizeof(address->bytes));
    memcpy(bytes, address->bytes, bits / 8);
    if (bits % 8 != 0)
        bytes[bits / 8] = (char)(address->bytes[bits / 8] & 0xff00u >> bits % 8);
    bytes[sizeof(address->bytes)] = (char)bits;
    return hash_number(hash_bytes(&table->seed, (struct slice){ bytes, sizeof(bytes) }) + kind);
}

uint64_t rates_key_text(const struct rates_table *table, uint32_t kind, struct slice text)
{
    return hash_number(hash_text_nocase(&table->seed, text) + kind);
}

static struct bucket *bucket_of(const struct rates_table *table, uint64_t key)
{
    return &table->buckets[(size_t)key & table->buckets_mask];
}

static void note_use(struct rates_table *table, const struct bucket *bucket)
{
    _Atomic bool *used = &table->used[(size_t)(bucket - table->buckets) / table->part_buckets];

    if (!atomic_load_explicit(used, memory_order_relaxed))
        atomic_store(used, true);
}

static bool is_of(uint64_t word, uint64_t fingerprint)
{
    return word != 0 && (word & KEY_MASK) == fingerprint;
}

static bool is_counted(uint64_t word, uint64_t fingerprint)
{
    return is_of(word, fingerprint) && (word & TENTATIVE) == 0;
}

/* Ends lie at most half the circle ahead: who is behind by some seconds sees a window as it is. */
static bool has_ended(uint64_t word, uint64_t now_s)
{
    uint64_t left = ((word >> COUNT_BITS) - now_s) & END_MASK;

    return left == 0 || left > END_MASK / 2;
}

static uint64_t word_of(const struct event *e, uint64_t count)
{
    return e->fingerprint | ((e->now_s + e->period_s) & END_MASK) << COUNT_BITS | count;
}

/* The word that counts the key, its window ended or not; NULL when there is none. */
static _Atomic uint64_t *find(struct bucket *bucket, uint64_t fingerprint)
{
    for (size_t i = 0; i < BUCKET_WORDS; i++)
        if (is_counted(atomic_load(&bucket->words[i]), fingerprint))
            return &bucket->words[i];
    return NULL;
}

/* False when the word no longer counts this key. */
static bool add_to(_Atomic uint64_t *at, const struct event *e, struct rates_result *result_out)
{
    uint64_t word = atomic_load(at), next;
    uint32_t count, total;

    do {
        bool is_over;

        if (!is_counted(word, e->fingerprint))
            return false;
        is_over = has_ended(word, e->now_s);
        count = is_over ? 0 : (uint32_t)(word & COUNT_MASK);
        if (e->limit > 0 && (e->add > e->limit || count > e->limit - e->add)) {
            *result_out = (struct rates_result){ .allowed = false, .count = count };
            return true;
        }
        total = count + e->add < RATES_COUNT_MAX ? count + e->add : RATES_COUNT_MAX;
        next = is_over ? word_of(e, total) : (word & ~COUNT_MASK) | total;
    } while (!atomic_compare_exchange_weak(at, &word, next));
    *result_out = (struct rates_result){ .allowed = true, .count = total };
    return true;
}

/* Which word a new key is to take: another's attempt for the same key, a free one, or that of the
 * smallest count when luck has it. Equal counts are tried from a place that depends on the key:
 * else the latest would always be the next to go, and no new key could take root in a full bucket.
 * BUCKET_WORDS: none. */
static size_t choose(const struct rates_table *table, struct bucket *bucket, const struct event *e,
                     uint64_t ticket, uint64_t *seen_out)
{
    uint64_t least = UINT64_MAX, draw = hash_number(table->seed.k0 ^ ticket) >> 32;
    size_t at = BUCKET_WORDS, first = (size_t)(e->fingerprint >> 61);

    for (size_t n = 0; n < BUCKET_WORDS; n++) {
        size_t i = (first + n) % BUCKET_WORDS;
        uint64_t word = atomic_load(&bucket->words[i]);
        bool is_free = word == 0 || has_ended(word, e->now_s);
        uint64_t rank = is_free ? 0 : (word & COUNT_MASK) + 1;

        if (is_of(word, e->fingerprint)) {
            *seen_out = word;
            return i;
        }
        if ((is_free || (word & TENTATIVE) == 0) && rank < least) {
            least = rank;
            at = i;
            *seen_out = word;
        }
    }
    if (least == 0 || at == BUCKET_WORDS)
        return at;
    return least - 1 < ODDS_COUNT && draw < table->odds[least - 1] ? at : BUCKET_WORDS;
}

/* Makes one word count the key, so that never two of a bucket do, or a limit would be passed by
 * threads that chose differently. Four steps: put a tentative word in a place; look at all the
 * others; where one counts the key already, withdraw; where one is tentative, kill it; make the
 * own one count, which fails when it was killed.
 *
 * Of two threads that want the same key, one put its word in place later; it looks after that, so
 * it sees the other's. If that counts, it withdraws, if not, it kills it: in no order do both
 * succeed. The ticket stands in the count of a tentative word, so that one attempt is not taken for
 * another with the same end. */
static enum claim claim(struct rates_table *table, struct bucket *bucket, const struct event *e)
{
    uint64_t ticket = atomic_fetch_add_explicit(&table->tickets, 1, memory_order_relaxed);
    uint64_t mine = word_of(e, ticket & COUNT_MASK) | TENTATIVE, seen = 0, expected = mine;
    size_t at = choose(table, bucket, e, ticket, &seen);

    note_use(table, bucket);
    if (at == BUCKET_WORDS)
        return CLAIM_NO_ROOM;
    if (is_counted(seen, e->fingerprint) ||
        !atomic_compare_exchange_strong(&bucket->words[at], &seen, mine))
        return CLAIM_AGAIN;
    for (size_t i = 0; i < BUCKET_WORDS; i++) {
        uint64_t word = atomic_load(&bucket->words[i]);

        while (i != at && is_of(word, e->fingerprint)) {
            if ((word & TENTATIVE) == 0) {
                (void)atomic_compare_exchange_strong(&bucket->words[at], &expected, 0);
                return CLAIM_AGAIN;
            }
            if (atomic_compare_exchange_strong(&bucket->words[i], &word, 0))
                break;
        }
    }
    return atomic_compare_exchange_strong(&bucket->words[at], &expected, word_of(e, e->add))
               ? CLAIM_DONE
               : CLAIM_AGAIN;
}

struct rates_result rates_add(struct rates_table *table, uint64_t key, uint32_t add, uint32_t limit,
                              uint32_t period_s, uint64_t now_s)
{
    const struct event e = { key & KEY_MASK, now_s, add, limit, period_s };
    struct bucket *bucket = bucket_of(table, key);
    struct rates_result result = { .allowed = true, .count = add };

    ASSERT(add > 0 && add <= RATES_COUNT_MAX && limit <= RATES_COUNT_MAX);
    ASSERT(period_s > 0 && period_s <= RATES_PERIOD_S_MAX);
    /* Threads may kill each other's attempts for a while; one try is some 50 ns, and somebody's
     * succeeds as soon as one is not disturbed for so long. */
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        _Atomic uint64_t *at = find(bucket, e.fingerprint);

        if (at != NULL) {
            if (add_to(at, &e, &result))
                return result;
            continue;
        }
        if (limit > 0 && add > limit)
            return (struct rates_result){ .allowed = false, .count = 0 };
        switch (claim(table, bucket, &e)) {
        case CLAIM_DONE:
        case CLAIM_NO_ROOM: return result;
        case CLAIM_AGAIN: break;
        }
    }
    return result;
}

void rates_take_back(struct rates_table *table, uint64_t key, uint32_t subtract, uint64_t now_s)
{
    uint64_t fingerprint = key & KEY_MASK, word, count;
    _Atomic uint64_t *at = find(bucket_of(table, key), fingerprint);

    if (at == NULL)
        return;
    word = atomic_load(at);
    do {
        if (!is_counted(word, fingerprint) || has_ended(word, now_s))
            return;
        count = word & COUNT_MASK;
        count -= subtract < count ? subtract : count;
    } while (!atomic_compare_exchange_weak(at, &word, (word & ~COUNT_MASK) | count));
}

uint32_t rates_get(const struct rates_table *table, uint64_t key, uint64_t now_s)
{
    const struct bucket *bucket = bucket_of(table, key);

    for (size_t i = 0; i < BUCKET_WORDS; i++) {
        uint64_t word = atomic_load(&bucket->words[i]);

        if (is_counted(word, key & KEY_MASK))
            return has_ended(word, now_s) ? 0 : (uint32_t)(word & COUNT_MASK);
    }
    return 0;
}

static void sweep_bucket(struct bucket *bucket, uint64_t now_s)
{
    for (size_t i = 0; i < BUCKET_WORDS; i++) {
        uint64_t word = atomic_load(&bucket->words[i]);

        /* A failed exchange is a word that lives again. */
        if (word != 0 && has_ended(word, now_s))
            (void)atomic_compare_exchange_strong(&bucket->words[i], &word, 0);
    }
}

void rates_sweep(struct rates_table *table, uint64_t now_s)
{
    size_t first = table->swept * table->part_buckets;
    size_t behind = first + table->part_buckets;

    if (behind > table->buckets_mask + 1)
        behind = table->buckets_mask + 1;
    if (atomic_load(&table->used[table->swept]))
        for (size_t i = first; i < behind; i++)
            sweep_bucket(&table->buckets[i], now_s);
    table->swept = (table->swept + 1) % RATES_SWEEP_STEPS;
}
