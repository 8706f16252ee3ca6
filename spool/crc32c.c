#include "spool/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, bits reversed */

/* table[k][b]: the effect of byte b with k more bytes behind it (slicing by 8). */
static uint32_t table[8][256];

/* The checksum of these bits, read as a polynomial, with so many zero bits behind them. */
static uint32_t shift_bits(uint32_t crc, unsigned bits)
{
    for (; bits > 0; bits--)
        crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
    return crc;
}

__attribute__((constructor)) static void table_fill(void)
{
    for (uint32_t b = 0; b < 256; b++)
        table[0][b] = shift_bits(b, 8);
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 8; k++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
}

static uint32_t byte_plain(uint32_t crc, unsigned char byte)
{
    return (crc >> 8) ^ table[0][(crc ^ byte) & 0xff];
}

uint32_t spool_crc32c_plain(uint32_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;

    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                              (uint32_t)p[3] << 24);

        crc = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^ table[5][(low >> 16) & 0xff] ^
              table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; len > 0; len--)
        crc = byte_plain(crc, *p++);
    return ~crc;
}

#if defined(__x86_64__)

#include <immintrin.h>

#define STREAM_BYTES ((size_t)1024)

/* x^(8n - 33) for n bytes of a stream: multiplied by it, and taken through the instruction, which
 * multiplies by x^33 more, a checksum is what it were with n bytes of zeros behind. */
static uint64_t behind_one, behind_two;

__attribute__((constructor)) static void shifts_fill(void)
{
    const uint32_t one = 1u << 31; /* x^0, bits reversed */

    behind_one = shift_bits(one, 8 * STREAM_BYTES - 33);
    behind_two = shift_bits(one, 2 * 8 * STREAM_BYTES - 33);
}

static uint64_t word_at(const unsigned char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* Three streams of STREAM_BYTES that lie one behind the other. The instruction has its result after
 * three cycles and can begin anew in each, so that three at a time take no longer than one. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t three_streams(uint64_t first,
                                                                       const unsigned char *p)
{
    uint64_t second = 0, third = 0;
    __m128i moved;

    for (size_t i = 0; i < STREAM_BYTES; i += 8) {
        first = _mm_crc32_u64(first, word_at(p + i));
        second = _mm_crc32_u64(second, word_at(p + STREAM_BYTES + i));
        third = _mm_crc32_u64(third, word_at(p + 2 * STREAM_BYTES + i));
    }
    moved = _mm_xor_si128(_mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)first),
                                               _mm_cvtsi64_si128((long long)behind_two), 0),
                          _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)second),
                                               _mm_cvtsi64_si128((long long)behind_one), 0));
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(moved)) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_sse42(uint32_t crc,
                                                                   const unsigned char *p,
                                                                   size_t len)
{
    uint64_t wide = (uint32_t)~crc;
    uint32_t narrow;

    for (; len >= 3 * STREAM_BYTES; len -= 3 * STREAM_BYTES, p += 3 * STREAM_BYTES)
        wide = three_streams(wide, p);
    for (; len >= 8; len -= 8, p += 8)
        wide = _mm_crc32_u64(wide, word_at(p));
    narrow = (uint32_t)wide;
    for (; len > 0; len--)
        narrow = _mm_crc32_u8(narrow, *p++);
    return ~narrow;
}

uint32_t spool_crc32c_fast(uint32_t crc, const void *data, size_t len)
{
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("pclmul"))
        return spool_crc32c_plain(crc, data, len);
    return crc_sse42(crc, data, len);
}

#else

uint32_t spool_crc32c_fast(uint32_t crc, const void *data, size_t len)
{
    return spool_crc32c_plain(crc, data, len);
}

#endif

uint32_t spool_crc32c(uint32_t crc, const void *data, size_t len)
{
    return spool_crc32c_fast(crc, data, len);
}
