#include <stdlib.h>
#include <string.h>

#include "tests/crash/sim_parts.h"

static void *must(void *memory)
{
    ASSERT(memory != NULL);
    return memory;
}

void sim_block_release(struct sim_block *b)
{
    if (b != NULL && --b->references == 0)
        free(b);
}

void sim_data_free(struct sim_data *d)
{
    for (size_t i = 0; i < d->blocks_count; i++)
        sim_block_release(d->blocks[i]);
    free(d->blocks);
    *d = (struct sim_data){ 0 };
}

void sim_data_share(struct sim_data *to, const struct sim_data *from)
{
    struct sim_data fresh = { .blocks_count = from->blocks_count, .bytes = from->bytes };

    if (from->blocks_count > 0) {
        fresh.blocks = must(malloc(from->blocks_count * sizeof(struct sim_block *)));
        memcpy(fresh.blocks, from->blocks, from->blocks_count * sizeof(struct sim_block *));
    }
    for (size_t i = 0; i < fresh.blocks_count; i++)
        if (fresh.blocks[i] != NULL)
            fresh.blocks[i]->references++;
    sim_data_free(to);
    *to = fresh;
}

/* The block, not shared with anybody. */
static struct sim_block *own_block(struct sim_data *d, size_t index)
{
    struct sim_block *block;

    if (index >= d->blocks_count) {
        d->blocks = must(realloc(d->blocks, (index + 1) * sizeof(struct sim_block *)));
        memset(d->blocks + d->blocks_count, 0,
               (index + 1 - d->blocks_count) * sizeof(struct sim_block *));
        d->blocks_count = index + 1;
    }
    if (d->blocks[index] == NULL) {
        d->blocks[index] = must(calloc(1, sizeof(struct sim_block)));
        d->blocks[index]->references = 1;
    } else if (d->blocks[index]->references > 1) {
        block = must(malloc(sizeof(*block)));
        memcpy(block, d->blocks[index], sizeof(*block));
        block->references = 1;
        d->blocks[index]->references--;
        d->blocks[index] = block;
    }
    return d->blocks[index];
}

void sim_data_write(struct sim_data *d, uint64_t offset, const char *from, size_t bytes)
{
    while (bytes > 0) {
        size_t within = offset % SIM_BLOCK;
        size_t now = bytes < SIM_BLOCK - within ? bytes : SIM_BLOCK - within;

        memcpy(own_block(d, offset / SIM_BLOCK)->bytes + within, from, now);
        offset += now;
        from += now;
        bytes -= now;
    }
}

size_t sim_data_read(const struct sim_data *d, uint64_t offset, char *to, size_t bytes)
{
    size_t done = 0;

    if (offset >= d->bytes)
        return 0;
    if (bytes > d->bytes - offset)
        bytes = d->bytes - offset;
    while (done < bytes) {
        size_t index = offset / SIM_BLOCK, within = offset % SIM_BLOCK;
        size_t now = bytes - done < SIM_BLOCK - within ? bytes - done : SIM_BLOCK - within;

        if (index < d->blocks_count && d->blocks[index] != NULL)
            memcpy(to + done, d->blocks[index]->bytes + within, now);
        else
            memset(to + done, 0, now);
        offset += now;
        done += now;
    }
    return bytes;
}

void sim_data_resize(struct sim_data *d, uint64_t bytes)
{
    size_t blocks = (bytes + SIM_BLOCK - 1) / SIM_BLOCK;
    size_t within = bytes % SIM_BLOCK;

    while (d->blocks_count > blocks)
        sim_block_release(d->blocks[--d->blocks_count]);
    if (within > 0 && blocks > 0 && blocks == d->blocks_count && d->blocks[blocks - 1] != NULL)
        memset(own_block(d, blocks - 1)->bytes + within, 0, SIM_BLOCK - within);
    d->bytes = bytes;
}

/* --- names ----------------------------------------------------------------------------------- */

static struct sim_entry *entry_of(const struct sim_names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->entries[i].name, name) == 0)
            return &n->entries[i];
    return NULL;
}

struct sim_inode *sim_names_find(const struct sim_names *n, const char *name)
{
    struct sim_entry *e = entry_of(n, name);

    return e != NULL ? e->inode : NULL;
}

void sim_names_set(struct sim_names *n, const char *name, struct sim_inode *inode)
{
    struct sim_entry *e = entry_of(n, name);

    if (e == NULL) {
        if (n->count == n->capacity) {
            n->capacity = 2 * n->capacity + 8;
            n->entries = must(realloc(n->entries, n->capacity * sizeof(struct sim_entry)));
        }
        e = &n->entries[n->count++];
        *e = (struct sim_entry){ .inode = NULL };
        ASSERT(strlen(name) < sizeof(e->name));
        memcpy(e->name, name, strlen(name) + 1);
    }
    e->inode = inode;
}

void sim_names_remove(struct sim_names *n, const char *name)
{
    struct sim_entry *e = entry_of(n, name);

    if (e != NULL)
        *e = n->entries[--n->count];
}

void sim_names_copy(struct sim_names *to, const struct sim_names *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        sim_names_set(to, from->entries[i].name, from->entries[i].inode);
}

/* inode: whom the change is about, on this disk. */
void sim_names_apply(struct sim_names *n, const struct sim_change *c, struct sim_inode *inode)
{
    switch (c->kind) {
    case SIM_LINK: sim_names_set(n, c->name, inode); return;
    case SIM_UNLINK: sim_names_remove(n, c->name); return;
    case SIM_RENAME:
        sim_names_remove(n, c->old_name);
        sim_names_set(n, c->name, inode);
        return;
    case SIM_DATA:
    case SIM_SIZE: break;
    }
    UNREACHABLE();
}
