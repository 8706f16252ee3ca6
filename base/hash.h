/* base/hash.h - keyed hashing of bytes that a peer may choose.
 *
 * SipHash-1-3 (Aumasson, Bernstein; the reduced-round variant used for hash tables): without
 * the seed nobody can aim many keys at one bucket. Not for integrity; see spool/ for CRC32C.
 */
#pragma once
#include "base/slice.h"

struct hash_seed {
    uint64_t k0;
    uint64_t k1;
};

uint64_t hash_bytes(const struct hash_seed *seed, struct slice bytes);

/* The same for ASCII text whose case does not matter (domains). */
uint64_t hash_text_nocase(const struct hash_seed *seed, struct slice text);

/* Mixes a number whose values we choose ourselves (identifiers, slots). */
static inline uint64_t hash_number(uint64_t n)
{
    n ^= n >> 33;
    n *= 0xff51afd7ed558ccdull;
    n ^= n >> 33;
    n *= 0xc4ceb9fe1a85ec53ull;
    return n ^ (n >> 33);
}
