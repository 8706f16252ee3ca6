/* tests/sim/file.h - the contents of a file of disk.h: as processes see them, and as they would be
 * found after a power cut. Zeros that were never anything else take no memory.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_SECTOR_BYTES 512

struct sim_block; /* 4 KiB, both ways */

struct sim_file { /* Fields are private, but bytes to be read. */
    struct sim_block **blocks;
    size_t blocks_count;
    uint64_t bytes;
    uint64_t kept_bytes;
};

void sim_file_finish(struct sim_file *f); /* it is empty afterwards */

void sim_file_get(const struct sim_file *f, char *to, size_t bytes, uint64_t offset);
void sim_file_put(struct sim_file *f, const char *data, size_t bytes, uint64_t offset);
void sim_file_extend(struct sim_file *f, uint64_t bytes);
void sim_file_truncate(struct sim_file *f);

/* All of it is on stable storage, or a part of it and the rest never will be. */
void sim_file_sync(struct sim_file *f, bool fails);

/* So is what was put there. */
void sim_file_keep(struct sim_file *f, size_t bytes, uint64_t offset);

void sim_file_lose_power(struct sim_file *f);
