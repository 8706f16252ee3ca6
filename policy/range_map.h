/* policy/range_map.h - ranges of addresses, each with a number: the lowest number at a point.
 *
 * Ranges may overlap in any way. They are swept once into pieces that do not overlap, each with
 * the lowest number over it, and the starts of the pieces are laid out as a static B+ tree whose
 * nodes are cache lines. Of a million pieces only the leaf is outside of the nearer caches,
 * whatever the distribution. The other choice, a table indexed by the first bits, is as fast on
 * random addresses and degrades to a long search where the ranges crowd, as those of IPv6 do.
 *
 * Most addresses of the world are on no list. A large IPv4 map has a bit for each /24 that says
 * whether anything but the number over everything is in it; a leaf is read only where it is.
 *
 * Most ranges of a block list are prefixes with nothing around them but the range over everything.
 * Such a piece carries its size, so that where it ends no piece has to begin. A piece is 8.5
 * bytes (IPv4; the bits come on top, 2 MiB) or 23 (IPv6).
 */
#pragma once
#include "base/arena.h"
#include "base/ip.h"
#include "base/status.h"

#define POLICY_RANGE_NUMBER_BITS 26
#define POLICY_RANGE_NONE        (((uint32_t)1 << POLICY_RANGE_NUMBER_BITS) - 1)
#define POLICY_RANGE_LEVELS_MAX  12

struct policy_range {
    unsigned __int128 first; /* keys of both ends, which belong to it */
    unsigned __int128 last;
    uint32_t number; /* below POLICY_RANGE_NONE */
};

struct policy_range_map { /* Fields are private; a zeroed map is none and may not be asked. */
    const void *levels[POLICY_RANGE_LEVELS_MAX]; /* starts of every Nth node below; 0: of leaves */
    size_t counts[POLICY_RANGE_LEVELS_MAX];
    unsigned levels_count;
    uint32_t other;         /* where no piece is; POLICY_RANGE_NONE: nothing */
    size_t count;           /* of the pieces */
    const void *leaves;     /* starts and pieces */
    const uint64_t *lows;   /* wide: the second halves of the starts */
    const uint64_t *filter; /* a bit for each 256 keys; NULL: every one of them may matter */
};

/* The key of an IPv4 address, and of an IPv6 one. An IPv6 range may end in an address that is an
 * IPv4 one by itself ("::/80" does), so the family is that of the range. */
uint32_t policy_range_key(const struct ip_address *a);
unsigned __int128 policy_range_key_wide(const struct ip_address *a);

/* ranges is put into another order. The map belongs to the arena, scratch is for the time of the
 * call. Keys above UINT32_MAX belong to a wide map only. */
MUST_USE enum status policy_range_map_init(struct policy_range_map *m, bool is_wide,
                                           struct policy_range *ranges, size_t count,
                                           struct arena *arena, struct arena *scratch);

/* The lowest number of the ranges that hold the key; POLICY_RANGE_NONE when none does. The first
 * for a map that is not wide. */
uint32_t policy_range_map_find(const struct policy_range_map *m, uint32_t key);
uint32_t policy_range_map_find_wide(const struct policy_range_map *m, unsigned __int128 key);
