/* policy/range_map.h - ranges of addresses, each with a number: the lowest number at a point.
 *
 * Ranges may overlap in any way. They are swept once into pieces that do not overlap, each with
 * the lowest number over it, and the starts of the pieces are laid out as a static B+ tree: a node
 * is a cache line or two, so a lookup reads four to six of them, whatever the distribution. The
 * other choice, a table indexed by the first bits, is as fast on random addresses and degrades
 * to a long search where the ranges crowd, as those of IPv6 do.
 *
 * A piece is 8 bytes (IPv4) or 20 (IPv6) and a fourteenth, or a sixth, of its start for the tree.
 * Most ranges of a block list are prefixes with nothing around them but the range over
 * everything. Such a piece carries its size, so that where it ends no piece has to begin.
 */
#pragma once
#include "base/arena.h"
#include "base/ip.h"
#include "base/status.h"

#define POLICY_RANGE_NUMBER_BITS 26
#define POLICY_RANGE_NONE        (((uint32_t)1 << POLICY_RANGE_NUMBER_BITS) - 1)
#define POLICY_RANGE_LEVELS_MAX  12

struct policy_range {
    unsigned __int128 first; /* policy_range_key() of both ends, which belong to it */
    unsigned __int128 last;
    uint32_t number; /* below POLICY_RANGE_NONE */
};

struct policy_range_map { /* Fields are private; a zeroed map is none and may not be asked. */
    const void *levels[POLICY_RANGE_LEVELS_MAX]; /* starts of pieces, and of every Nth of those */
    size_t counts[POLICY_RANGE_LEVELS_MAX];
    unsigned levels_count;
    uint32_t other;         /* where no piece is; POLICY_RANGE_NONE: nothing */
    const uint32_t *pieces; /* number and size */
};

/* The key of an IPv4 address, from 0 to UINT32_MAX, or of an IPv6 one. */
unsigned __int128 policy_range_key(const struct ip_address *a);

/* ranges is put into another order. The map belongs to the arena, scratch is for the time of the
 * call. Keys above UINT32_MAX belong to a wide map only. */
MUST_USE enum status policy_range_map_init(struct policy_range_map *m, bool is_wide,
                                           struct policy_range *ranges, size_t count,
                                           struct arena *arena, struct arena *scratch);

/* The lowest number of the ranges that hold the key; POLICY_RANGE_NONE when none does. The first
 * for a map that is not wide. */
uint32_t policy_range_map_find(const struct policy_range_map *m, uint32_t key);
uint32_t policy_range_map_find_wide(const struct policy_range_map *m, unsigned __int128 key);
