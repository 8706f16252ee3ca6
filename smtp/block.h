/* smtp/block.h - looks at 64 bytes at once: where the line ends and the dots are, and whether a
 * byte is 8-bit.
 *
 * Bit i of each mask stands for byte i. All versions do the same (tests/smtp/body_test.c).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SMTP_BLOCK_BYTES 64

struct smtp_block {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
    bool has_high; /* the top bit of some byte is set */
};

static inline struct smtp_block smtp_block_look_plain(const char *bytes)
{
    struct smtp_block b = { .has_high = false };

    for (unsigned i = 0; i < SMTP_BLOCK_BYTES; i++) {
        unsigned char c = (unsigned char)bytes[i];

        b.cr |= (uint64_t)(c == '\r') << i;
        b.lf |= (uint64_t)(c == '\n') << i;
        b.dot |= (uint64_t)(c == '.') << i;
        b.has_high |= c >> 7 != 0;
    }
    return b;
}

#if defined(__SSE2__)
#include <immintrin.h>

static inline struct smtp_block smtp_block_look(const char *bytes)
{
    struct smtp_block b = { .has_high = false };
    __m128i all = _mm_setzero_si128();

    for (unsigned i = 0; i < SMTP_BLOCK_BYTES; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i));
        __m128i is_cr = _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'));
        __m128i is_lf = _mm_cmpeq_epi8(v, _mm_set1_epi8('\n'));
        __m128i is_dot = _mm_cmpeq_epi8(v, _mm_set1_epi8('.'));

        b.cr |= (uint64_t)(unsigned)_mm_movemask_epi8(is_cr) << i;
        b.lf |= (uint64_t)(unsigned)_mm_movemask_epi8(is_lf) << i;
        b.dot |= (uint64_t)(unsigned)_mm_movemask_epi8(is_dot) << i;
        all = _mm_or_si128(all, v);
    }
    b.has_high = _mm_movemask_epi8(all) != 0;
    return b;
}

#define SMTP_BLOCK_HAS_AVX2 1

__attribute__((target("avx2"))) static inline uint64_t smtp_block_equal(__m256i low, __m256i high,
                                                                        char c)
{
    __m256i all = _mm256_set1_epi8(c);

    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, all)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, all)) << 32;
}

/* Where __builtin_cpu_supports("avx2"). */
__attribute__((target("avx2"))) static inline struct smtp_block smtp_block_look_avx2(
    const char *bytes)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32));

    return (struct smtp_block){
        .cr = smtp_block_equal(low, high, '\r'),
        .lf = smtp_block_equal(low, high, '\n'),
        .dot = smtp_block_equal(low, high, '.'),
        .has_high = _mm256_movemask_epi8(_mm256_or_si256(low, high)) != 0,
    };
}
#else
static inline struct smtp_block smtp_block_look(const char *bytes)
{
    return smtp_block_look_plain(bytes);
}

#define SMTP_BLOCK_HAS_AVX2 0
#endif
