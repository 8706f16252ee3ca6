#include <stdlib.h>
#include <string.h>

#include "tests/crash/sim_parts.h"

#define CHANCES 16 /* a chance is so many in 16 */

/* How much arrives, so that extremes come as often as mixtures. */
enum style { STYLE_NOTHING, STYLE_EVERYTHING, STYLE_BY_INODE, STYLE_MIXED, STYLE_COUNT };

struct cut {
    struct sim_disk *disk;
    const struct sim_disk *from;
    uint64_t *random;
    enum style style;
    unsigned inode_chance;
    bool has_stale;
};

static unsigned any_chance(uint64_t *random)
{
    static const unsigned chances[] = { 0, 0, 1, 8, 8, 15, CHANCES, CHANCES };

    return chances[sim_below(random, ARRAY_LEN(chances))];
}

static unsigned chance_of_change(struct cut *c)
{
    switch (c->style) {
    case STYLE_NOTHING: return 0;
    case STYLE_EVERYTHING: return CHANCES;
    case STYLE_BY_INODE: return c->inode_chance;
    case STYLE_MIXED: return any_chance(c->random);
    case STYLE_COUNT: break;
    }
    UNREACHABLE();
}

static bool arrives(struct cut *c, unsigned chance)
{
    return sim_below(c->random, CHANCES) < chance;
}

static void cut_data(struct cut *c, struct sim_data *data, const struct sim_change *change)
{
    unsigned chance = chance_of_change(c);

    for (uint64_t at = 0; at < change->bytes;) {
        /* Up to the end of the sector that it lies in. */
        uint64_t bytes = SIM_SECTOR - (change->offset + at) % SIM_SECTOR;

        if (bytes > change->bytes - at)
            bytes = change->bytes - at;
        if (arrives(c, chance))
            sim_data_write(data, change->offset + at, change->data + at, bytes);
        at += bytes;
    }
}

/* What was written beyond the old end got blocks that somebody else had. */
static void show_stale(struct cut *c, const struct sim_inode *from, struct sim_data *data)
{
    for (size_t n = 0; n < from->changes_count; n++) {
        const struct sim_change *change = &from->changes[n];
        uint64_t at = (change->offset + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;

        if (change->kind != SIM_DATA)
            continue;
        if (at < from->stable.bytes)
            at = (from->stable.bytes + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
        if (at < from->prepared)
            at = (from->prepared + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;
        for (; at < change->offset + change->bytes; at += SIM_BLOCK) {
            const struct sim_block *b = c->from->stale[sim_below(c->random, c->from->stale_count)];

            if (b != NULL)
                sim_data_write(data, at, b->bytes, SIM_BLOCK);
        }
    }
}

static void cut_file(struct cut *c, const struct sim_inode *from, struct sim_inode *to)
{
    sim_data_share(&to->now, &from->stable);
    c->inode_chance = any_chance(c->random);
    if (c->has_stale)
        show_stale(c, from, &to->now);
    for (size_t n = 0; n < from->changes_count; n++) {
        const struct sim_change *change = &from->changes[n];

        if (change->kind == SIM_DATA)
            cut_data(c, &to->now, change);
        else if (!arrives(c, chance_of_change(c)))
            continue;
        else if (change->bytes < to->now.bytes)
            sim_data_resize(&to->now, change->bytes);
        else
            to->now.bytes = change->bytes; /* what has arrived there already stays */
    }
    sim_data_resize(&to->now, to->now.bytes);
    sim_data_share(&to->stable, &to->now);
    (void)sim_inode_allocate(c->disk, to, to->now.bytes);
}

/* The inode's counterpart on the new disk, without its contents. */
static struct sim_inode *counterpart(struct cut *c, struct sim_inode *of)
{
    if (of->copy == NULL)
        of->copy = sim_inode_make(c->disk, of->is_directory);
    return of->copy;
}

static void cut_names(struct cut *c, const struct sim_inode *from, struct sim_inode *to)
{
    c->inode_chance = any_chance(c->random);
    for (size_t n = 0; n < from->names_stable.count; n++)
        sim_names_set(&to->names_now, from->names_stable.entries[n].name,
                      counterpart(c, from->names_stable.entries[n].inode));
    for (size_t n = 0; n < from->changes_count; n++) {
        const struct sim_change *change = &from->changes[n];

        if (arrives(c, chance_of_change(c)))
            sim_names_apply(&to->names_now, change, counterpart(c, change->inode));
    }
    sim_names_copy(&to->names_stable, &to->names_now);
    for (size_t n = 0; n < to->names_now.count; n++)
        to->names_now.entries[n].inode->is_linked = true;
}

struct sim_disk *sim_disk_cut(const struct sim_disk *d, uint64_t *random)
{
    struct sim_disk *disk = calloc(1, sizeof(*disk));
    struct cut c = { .disk = disk, .from = d, .random = random };

    ASSERT(disk != NULL);
    disk->random = (d->random ^ sim_random(random)) | 1;
    disk->refuses_direct = d->refuses_direct;
    disk->refuses_allocation = d->refuses_allocation;
    c.style = (enum style)sim_below(random, STYLE_COUNT);
    c.has_stale = d->stale_count > 0 && sim_below(random, 3) == 0;
    disk->root = counterpart(&c, d->root);
    disk->root->is_linked = true;
    for (struct sim_inode *i = d->inodes; i != NULL; i = i->next) {
        if (i->is_directory)
            cut_names(&c, i, counterpart(&c, i));
    }
    for (struct sim_inode *i = d->inodes; i != NULL; i = i->next)
        if (!i->is_directory && i->copy != NULL && i->copy->is_linked)
            cut_file(&c, i, i->copy);
    for (struct sim_inode *i = d->inodes; i != NULL; i = i->next)
        i->copy = NULL;
    for (size_t n = 0; n < d->stale_count; n++) {
        disk->stale[n] = d->stale[n];
        if (disk->stale[n] != NULL)
            disk->stale[n]->references++;
    }
    disk->stale_count = d->stale_count;
    return disk;
}
