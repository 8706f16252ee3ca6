/* spool/crc32c.h - CRC32C (Castagnoli, reflected), the checksum of everything in the spool.
 *
 * Finds what a disk, a torn write or a stray pointer breaks; it is no protection against a
 * person who writes to the disk. The SSE4.2 instruction is used where the processor has
 * it, on three streams at once.
 */
#pragma once
#include "base/slice.h"

/* Continues a checksum; the first call takes 0. crc(ab) == spool_crc32c(crc(a), b). */
uint32_t spool_crc32c(uint32_t crc, const void *data, size_t len);

/* The two ways of computing it, for the test that compares them. The fast one falls back to the
 * plain one where the processor lacks the instructions. */
uint32_t spool_crc32c_plain(uint32_t crc, const void *data, size_t len);
uint32_t spool_crc32c_fast(uint32_t crc, const void *data, size_t len);
