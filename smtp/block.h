/* smtp/block.h - looks at 64 bytes at once: where the line ends, the dots and the 8-bit bytes are.
 *
 * Bit i of each mask stands for byte i. The two versions do the same (tests/smtp/body_test.c).
 */
#pragma once
#include <stdint.h>

#define SMTP_BLOCK_BYTES 64

struct smtp_block {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
    uint64_t high; /* the top bit is set */
};

static inline struct smtp_block smtp_block_look_plain(const char *bytes)
{
    struct smtp_block b = { 0 };

    for (unsigned i = 0; i < SMTP_BLOCK_BYTES; i++) {
        unsigned char c = (unsigned char)bytes[i];

        b.cr |= (uint64_t)(c == '\r') << i;
        b.lf |= (uint64_t)(c == '\n') << i;
        b.dot |= (uint64_t)(c == '.') << i;
        b.high |= (uint64_t)(c >> 7) << i;
    }
    return b;
}

#if defined(__SSE2__)
#include <emmintrin.h>

static inline struct smtp_block smtp_block_look(const char *bytes)
{
    struct smtp_block b = { 0 };

    for (unsigned i = 0; i < SMTP_BLOCK_BYTES; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(bytes + i));
        __m128i is_cr = _mm_cmpeq_epi8(v, _mm_set1_epi8('\r'));
        __m128i is_lf = _mm_cmpeq_epi8(v, _mm_set1_epi8('\n'));
        __m128i is_dot = _mm_cmpeq_epi8(v, _mm_set1_epi8('.'));

        b.cr |= (uint64_t)(unsigned)_mm_movemask_epi8(is_cr) << i;
        b.lf |= (uint64_t)(unsigned)_mm_movemask_epi8(is_lf) << i;
        b.dot |= (uint64_t)(unsigned)_mm_movemask_epi8(is_dot) << i;
        b.high |= (uint64_t)(unsigned)_mm_movemask_epi8(v) << i;
    }
    return b;
}
#else
static inline struct smtp_block smtp_block_look(const char *bytes)
{
    return smtp_block_look_plain(bytes);
}
#endif
