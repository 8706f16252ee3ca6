#include "base/hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline struct sip sip_start(const struct hash_seed *seed)
{
    return (struct sip){
        .v0 = seed->k0 ^ 0x736f6d6570736575ull,
        .v1 = seed->k1 ^ 0x646f72616e646f6dull,
        .v2 = seed->k0 ^ 0x6c7967656e657261ull,
        .v3 = seed->k1 ^ 0x7465646279746573ull,
    };
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline uint64_t sip_finish(struct sip *s, uint64_t last_word)
{
    sip_word(s, last_word);
    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Little-endian word of up to eight bytes, each passed through lower() when fold is set. */
static inline uint64_t load(const char *p, size_t n, bool fold)
{
    uint64_t word = 0;

    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)(uint8_t)(fold ? ascii_lower(p[i]) : p[i]) << (8 * i);
    return word;
}

static inline uint64_t hash(const struct hash_seed *seed, struct slice s, bool fold)
{
    struct sip sip = sip_start(seed);
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8)
        sip_word(&sip, load(s.data + i, 8, fold));
    return sip_finish(&sip,
                      (uint64_t)s.len << 56 | (i < s.len ? load(s.data + i, s.len - i, fold) : 0));
}

uint64_t hash_bytes(const struct hash_seed *seed, struct slice bytes)
{
    return hash(seed, bytes, false);
}

uint64_t hash_text_nocase(const struct hash_seed *seed, struct slice text)
{
    return hash(seed, text, true);
}
