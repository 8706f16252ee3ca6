#include "tests/sim/file.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

#define BLOCK_BYTES 4096
#define SECTORS     (BLOCK_BYTES / SIM_SECTOR_BYTES)

enum sector { CLEAN, DIRTY, LOST /* its sync has failed */ };

struct sim_block {
    char now[BLOCK_BYTES];
    char kept[BLOCK_BYTES];
    uint8_t sectors[SECTORS];
};

static const char zeros[BLOCK_BYTES];

void sim_file_finish(struct sim_file *f)
{
    for (size_t i = 0; i < f->blocks_count; i++)
        free(f->blocks[i]);
    free(f->blocks);
    *f = (struct sim_file){ .bytes = 0 };
}

static void make_room(struct sim_file *f, uint64_t bytes)
{
    size_t count = (size_t)((bytes + BLOCK_BYTES - 1) / BLOCK_BYTES);

    if (count <= f->blocks_count)
        return;
    if (count < 2 * f->blocks_count)
        count = 2 * f->blocks_count;
    f->blocks = realloc(f->blocks, count * sizeof(struct sim_block *));
    ASSERT(f->blocks != NULL);
    memset(f->blocks + f->blocks_count, 0, (count - f->blocks_count) * sizeof(struct sim_block *));
    f->blocks_count = count;
}

void sim_file_extend(struct sim_file *f, uint64_t bytes)
{
    make_room(f, bytes);
    if (f->bytes < bytes)
        f->bytes = bytes;
}

/* The part of a block that the next step of a walk over [offset, offset + left) touches. */
static size_t part_of(uint64_t offset, size_t left, size_t unit)
{
    size_t rest = unit - (size_t)(offset % unit);

    return rest < left ? rest : left;
}

void sim_file_get(const struct sim_file *f, char *to, size_t bytes, uint64_t offset)
{
    for (size_t done = 0, part; done < bytes; done += part) {
        uint64_t at = offset + done;
        const struct sim_block *b = f->blocks[at / BLOCK_BYTES];

        part = part_of(at, bytes - done, BLOCK_BYTES);
        if (b != NULL)
            memcpy(to + done, b->now + at % BLOCK_BYTES, part);
        else
            memset(to + done, 0, part);
    }
}

void sim_file_put(struct sim_file *f, const char *data, size_t bytes, uint64_t offset)
{
    sim_file_extend(f, offset + bytes);
    for (size_t done = 0, part; done < bytes; done += part) {
        uint64_t at = offset + done;
        struct sim_block **b = &f->blocks[at / BLOCK_BYTES];
        size_t from = (size_t)(at % BLOCK_BYTES);

        part = part_of(at, bytes - done, BLOCK_BYTES);
        if (*b == NULL && memcmp(data + done, zeros, part) == 0)
            continue;
        if (*b == NULL)
            *b = sim_allocate(sizeof(**b));
        memcpy((*b)->now + from, data + done, part);
        memset((*b)->sectors + from / SIM_SECTOR_BYTES, DIRTY,
               (from + part - 1) / SIM_SECTOR_BYTES - from / SIM_SECTOR_BYTES + 1);
    }
}

void sim_file_truncate(struct sim_file *f)
{
    for (size_t i = 0; i < f->blocks_count; i++)
        if (f->blocks[i] != NULL) {
            memset(f->blocks[i]->now, 0, BLOCK_BYTES);
            memset(f->blocks[i]->sectors, DIRTY, SECTORS);
        }
    f->bytes = 0;
}

static void keep_sector(struct sim_block *b, size_t s)
{
    memcpy(b->kept + s * SIM_SECTOR_BYTES, b->now + s * SIM_SECTOR_BYTES, SIM_SECTOR_BYTES);
    b->sectors[s] = CLEAN;
}

void sim_file_sync(struct sim_file *f, bool fails)
{
    for (size_t i = 0; i < f->blocks_count; i++)
        for (size_t s = 0; f->blocks[i] != NULL && s < SECTORS; s++)
            if (f->blocks[i]->sectors[s] == DIRTY && (!fails || sim_chance(500)))
                keep_sector(f->blocks[i], s);
            else if (f->blocks[i]->sectors[s] == DIRTY)
                f->blocks[i]->sectors[s] = LOST;
    if (!fails)
        f->kept_bytes = f->bytes;
}

void sim_file_keep(struct sim_file *f, size_t bytes, uint64_t offset)
{
    for (size_t done = 0, part; done < bytes; done += part) {
        uint64_t at = offset + done;
        struct sim_block *b = f->blocks[at / BLOCK_BYTES];

        part = part_of(at, bytes - done, SIM_SECTOR_BYTES);
        if (b != NULL)
            keep_sector(b, (size_t)(at % BLOCK_BYTES) / SIM_SECTOR_BYTES);
    }
    if (f->kept_bytes < offset + bytes)
        f->kept_bytes = offset + bytes;
}

/* Behind its end nothing is kept. */
static void cut(struct sim_file *f)
{
    for (uint64_t at = f->bytes; at < f->blocks_count * BLOCK_BYTES;) {
        struct sim_block *b = f->blocks[at / BLOCK_BYTES];
        size_t part = part_of(at, BLOCK_BYTES, BLOCK_BYTES);

        if (b != NULL)
            memset(b->kept + at % BLOCK_BYTES, 0, part);
        at += part;
    }
}

void sim_file_lose_power(struct sim_file *f)
{
    unsigned arrives = sim_chance(300) ? 0 : (unsigned)sim_below(1001);

    if (sim_chance(500))
        f->kept_bytes = f->bytes;
    f->bytes = f->kept_bytes;
    make_room(f, f->bytes);
    for (size_t i = 0; i < f->blocks_count; i++)
        for (size_t s = 0; f->blocks[i] != NULL && s < SECTORS; s++)
            if (f->blocks[i]->sectors[s] == DIRTY && sim_chance(arrives))
                keep_sector(f->blocks[i], s);
    cut(f);
    for (size_t i = 0; i < f->blocks_count; i++)
        if (f->blocks[i] != NULL) {
            memcpy(f->blocks[i]->now, f->blocks[i]->kept, BLOCK_BYTES);
            memset(f->blocks[i]->sectors, CLEAN, SECTORS);
        }
}
