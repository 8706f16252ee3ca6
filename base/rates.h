/* base/rates.h - how many events each key had in its present window of time, over all threads.
 *
 * One fixed table of 64-bit words for every kind of key: whatever keys come, it takes the memory
 * that it was created with. Keys are keyed hashes (below), so that nobody can aim at a word. A
 * window belongs to a key: it begins with the key's first event and ends period_s later, then
 * the count begins anew. Time is an argument, in whole seconds of a monotonic clock; threads may
 * differ by some seconds, which moves the end of a window by as much.
 *
 * A key lives in one of the eight words of its bucket, which is one cache line. A word holds 23
 * bits of the key, the window's end and the count. A new key shares a word, and so a count, with
 * another's with a probability of at most 8 / 2^23, one in a million. Take at least four words for
 * each key that is active in one period: then one key in 6,000 finds its bucket full (with eight
 * words for each: one in 800,000).
 *
 * When all eight words are taken by running windows, a new key may replace the one with the
 * smallest count c, with the probability (25/27)^c; otherwise it is not counted, and let through.
 * That is the exponentially weakening decay of HeavyKeeper (Yang, Zhang, Li, Gong, Uhlig, Chen,
 * Li: "HeavyKeeper: An Accurate Algorithm for Finding Top-k Elephant Flows", USENIX ATC 2018 and
 * IEEE/ACM ToN 2019; its base 1.08), taken for a whole word instead of one count. So a peer with
 * a new address for every event fights for the words of others of his kind, while a key that
 * counts more than its neighbours stays (rates_test measures it). Refusing what cannot be
 * counted would hand that peer the means to shut honest clients out.
 *
 * No locks: a count is one compare-and-swap, and no thread waits for one that was put to sleep.
 * A limit is exact, however many threads count, for as long as the key has its word.
 */
#pragma once
#include "base/hash.h"
#include "base/status.h"

#define RATES_WORDS_DEFAULT ((size_t)1 << 20) /* 8 MiB */
#define RATES_WORDS_MIN     ((size_t)8)
#define RATES_WORDS_MAX     ((size_t)1 << 30)
#define RATES_COUNT_MAX     1048575u /* a count that reaches it stays there */
#define RATES_PERIOD_S_MAX  86400u
#define RATES_SWEEP_STEPS   1024

struct rates_table; /* opaque */
struct ip_address;

struct rates_result {
    bool allowed;
    uint32_t count; /* in this window, the events of this call included when allowed */
};

/* words_count is a power of two, RATES_WORDS_MIN..RATES_WORDS_MAX; 8 bytes each, and pages that
 * were never used take no memory. The seed is secret and for this table only. */
MUST_USE enum status rates_create(size_t words_count, const struct hash_seed *seed,
                                  struct rates_table **table_out);
void rates_destroy(struct rates_table *table); /* accepts NULL */

/* The key of the first `bits` bits of an address (0..128, of the mapped form: an IPv4 /24 is 120;
 * base/ip.h), or of a text whose ASCII case does not matter. Kinds (numbers of the caller's) have
 * nothing in common; what is counted with different periods has to be of different kinds. */
uint64_t rates_key_address(const struct rates_table *table, uint32_t kind,
                           const struct ip_address *address, unsigned bits);
uint64_t rates_key_text(const struct rates_table *table, uint32_t kind, struct slice text);

/* Any thread, from here to rates_get(). Counts `add` events (1..RATES_COUNT_MAX) unless the count
 * would pass limit (at most RATES_COUNT_MAX; 0: none, it still counts). period_s
 * (1..RATES_PERIOD_S_MAX) is that of a window which begins now; a running one keeps its end. */
struct rates_result rates_add(struct rates_table *table, uint64_t key, uint32_t add, uint32_t limit,
                              uint32_t period_s, uint64_t now_s);

/* Gives back events that rates_add() let through and that came to nothing: from the window that
 * runs now, down to 0; nothing when there is none. */
void rates_take_back(struct rates_table *table, uint64_t key, uint32_t subtract, uint64_t now_s);

/* The count of the key's running window; 0 when there is none. */
uint32_t rates_get(const struct rates_table *table, uint64_t key, uint64_t now_s);

/* One thread at a time: empties the words of ended windows in one part in RATES_SWEEP_STEPS of the
 * table, the next part at each call. The end of a window is kept modulo 2^20 seconds, so all parts
 * must have had their turn within five days; calling it once in a second does it with room. */
void rates_sweep(struct rates_table *table, uint64_t now_s);
