#include "spool/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, bits reversed */

/* table[k][b]: the effect of byte b with k more bytes behind it (slicing by 8). */
static uint32_t table[8][256];

__attribute__((constructor)) static void table_fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;

        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        table[0][b] = crc;
    }
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

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const unsigned char *p,
                                                            size_t len)
{
    uint64_t wide = (uint32_t)~crc;
    uint32_t narrow;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;

        memcpy(&word, p, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    narrow = (uint32_t)wide;
    for (; len > 0; len--)
        narrow = _mm_crc32_u8(narrow, *p++);
    return ~narrow;
}

uint32_t spool_crc32c_fast(uint32_t crc, const void *data, size_t len)
{
    if (!__builtin_cpu_supports("sse4.2"))
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
