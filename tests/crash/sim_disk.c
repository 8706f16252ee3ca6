#include "tests/crash/sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/sim_parts.h"

#define FILES_MAX 4096 /* descriptors, of all disks */

static struct sim_file files[FILES_MAX];
static struct sim_disk *current;

uint64_t sim_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t sim_below(uint64_t *state, uint64_t limit)
{
    ASSERT(limit > 0);
    return (sim_random(state) >> 11) % limit;
}

uint64_t sim_seed(uint64_t seed, uint64_t number)
{
    uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15) + number;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) | 1;
}

/* --- disks ----------------------------------------------------------------------------------- */

struct sim_disk *sim_disk_create(uint64_t seed)
{
    struct sim_disk *d = calloc(1, sizeof(*d));

    ASSERT(d != NULL);
    d->random = sim_seed(seed, 0);
    d->root = sim_inode_make(d, true);
    d->root->is_linked = true;
    return d;
}

static void free_changes(struct sim_inode *i)
{
    for (size_t n = 0; n < i->changes_count; n++)
        free(i->changes[n].data);
    i->changes_count = 0;
}

static void free_inode(struct sim_inode *i)
{
    free_changes(i);
    free(i->changes);
    sim_data_free(&i->now);
    sim_data_free(&i->stable);
    free(i->names_now.entries);
    free(i->names_stable.entries);
    free(i);
}

static void close_all(struct sim_disk *d)
{
    for (int n = 0; n < FILES_MAX; n++)
        if (files[n].disk == d)
            sim_file_close(SIM_FD_FIRST + n);
}

void sim_disk_destroy(struct sim_disk *d)
{
    struct sim_inode *next;

    if (d == NULL)
        return;
    close_all(d);
    for (struct sim_inode *i = d->inodes; i != NULL; i = next) {
        next = i->next;
        free_inode(i);
    }
    for (size_t n = 0; n < d->stale_count; n++)
        sim_block_release(d->stale[n]);
    if (current == d)
        current = NULL;
    free(d);
}

struct sim_disk *sim_current(void)
{
    ASSERT(current != NULL);
    return current;
}

struct sim_disk *sim_disk_use(struct sim_disk *d)
{
    struct sim_disk *before = current;

    current = d;
    return before;
}

void sim_disk_die(struct sim_disk *d)
{
    d->is_dead = true;
}

void sim_disk_revive(struct sim_disk *d)
{
    close_all(d);
    d->is_dead = false;
}

bool sim_disk_is_dead(const struct sim_disk *d)
{
    return d->is_dead;
}

void sim_disk_set_hook(struct sim_disk *d, sim_hook *hook, void *owner)
{
    d->hook = hook;
    d->hook_owner = owner;
}

void sim_disk_set_size(struct sim_disk *d, uint64_t bytes_max)
{
    d->bytes_max = bytes_max;
}

void sim_disk_set_faults(struct sim_disk *d, unsigned one_in)
{
    d->faults_one_in = one_in;
}

void sim_disk_set_direct(struct sim_disk *d, bool is_allowed)
{
    d->refuses_direct = !is_allowed;
}

void sim_disk_set_allocation(struct sim_disk *d, bool is_allowed)
{
    d->refuses_allocation = !is_allowed;
}

void sim_disk_set_lies(struct sim_disk *d, unsigned lies)
{
    d->lies = lies;
}

unsigned sim_disk_lies(const struct sim_disk *d)
{
    return d->lies;
}

uint64_t sim_disk_bytes_used(const struct sim_disk *d)
{
    return d->bytes_used;
}

bool sim_step(struct sim_disk *d)
{
    if (!d->is_dead && d->hook != NULL)
        d->hook(d->hook_owner);
    return !d->is_dead;
}

bool sim_fails(struct sim_disk *d)
{
    return d->faults_one_in > 0 && sim_below(&d->random, d->faults_one_in) == 0;
}

/* --- descriptors ----------------------------------------------------------------------------- */

struct sim_file *sim_file_of(int fd)
{
    int n = fd - SIM_FD_FIRST;

    return n >= 0 && n < FILES_MAX && files[n].disk != NULL ? &files[n] : NULL;
}

int sim_file_open(struct sim_disk *d, struct sim_inode *inode)
{
    for (int n = 0; n < FILES_MAX; n++) {
        if (files[n].disk != NULL)
            continue;
        files[n] = (struct sim_file){ .disk = d, .inode = inode };
        inode->opened++;
        return SIM_FD_FIRST + n;
    }
    UNREACHABLE();
}

void sim_file_close(int fd)
{
    struct sim_file *f = sim_file_of(fd);
    struct sim_inode *i = f->inode;
    struct sim_disk *d = f->disk;

    if (i->lock_fd == fd)
        i->lock_fd = -1;
    ASSERT(i->opened > 0);
    i->opened--;
    f->disk = NULL;
    sim_inode_drop(d, i);
}

/* --- inodes ---------------------------------------------------------------------------------- */

struct sim_inode *sim_inode_make(struct sim_disk *d, bool is_directory)
{
    struct sim_inode *i = calloc(1, sizeof(*i));

    ASSERT(i != NULL);
    i->is_directory = is_directory;
    i->lock_fd = -1;
    i->next = d->inodes;
    d->inodes = i;
    return i;
}

void sim_inode_drop(struct sim_disk *d, struct sim_inode *i)
{
    if (i->is_linked || i->opened > 0 || i->allocated == 0)
        return;
    ASSERT(d->bytes_used >= i->allocated);
    d->bytes_used -= i->allocated;
    i->allocated = 0;
    for (size_t n = 0; n < i->now.blocks_count; n++) {
        struct sim_block *b = i->now.blocks[n];
        size_t at = d->stale_count < SIM_STALE_MAX ? d->stale_count++
                                                   : sim_below(&d->random, SIM_STALE_MAX);

        sim_block_release(d->stale[at]);
        d->stale[at] = b;
        if (b != NULL)
            b->references++;
    }
}

int sim_inode_allocate(struct sim_disk *d, struct sim_inode *i, uint64_t bytes)
{
    uint64_t needed = (bytes + SIM_BLOCK - 1) / SIM_BLOCK * SIM_BLOCK;

    if (needed <= i->allocated)
        return 0;
    if (d->bytes_max > 0 && d->bytes_used + needed - i->allocated > d->bytes_max)
        return ENOSPC;
    d->bytes_used += needed - i->allocated;
    i->allocated = needed;
    return 0;
}

static struct sim_change *add_change(struct sim_inode *i, enum sim_change_kind kind)
{
    if (i->changes_count == i->changes_capacity) {
        i->changes_capacity = 2 * i->changes_capacity + 4;
        i->changes = realloc(i->changes, i->changes_capacity * sizeof(*i->changes));
        ASSERT(i->changes != NULL);
    }
    i->changes[i->changes_count] = (struct sim_change){ .kind = kind };
    return &i->changes[i->changes_count++];
}

void sim_inode_resize(struct sim_inode *i, uint64_t bytes)
{
    add_change(i, SIM_SIZE)->bytes = bytes;
    sim_data_resize(&i->now, bytes);
}

void sim_inode_write(struct sim_inode *i, uint64_t offset, const char *from, size_t bytes)
{
    struct sim_change *c;

    if (offset + bytes > i->now.bytes)
        sim_inode_resize(i, offset + bytes);
    c = add_change(i, SIM_DATA);
    c->offset = offset;
    c->bytes = bytes;
    c->data = malloc(bytes);
    ASSERT(c->data != NULL);
    memcpy(c->data, from, bytes);
    sim_data_write(&i->now, offset, from, bytes);
}

void sim_inode_sync(struct sim_inode *i)
{
    free_changes(i);
    if (i->is_directory)
        sim_names_copy(&i->names_stable, &i->names_now);
    else
        sim_data_share(&i->stable, &i->now);
}

/* Some of it has arrived; of the rest the kernel thinks that it is clean. Names stay to be
 * written: a file system keeps those in its journal. */
void sim_inode_sync_fails(struct sim_disk *d, struct sim_inode *i)
{
    if (i->is_directory)
        return;
    for (size_t n = 0; n < i->changes_count; n++) {
        const struct sim_change *c = &i->changes[n];

        if (c->kind == SIM_SIZE && sim_below(&d->random, 2) == 0)
            sim_data_resize(&i->stable, c->bytes);
        for (uint64_t at = 0; c->kind == SIM_DATA && at < c->bytes; at += SIM_SECTOR)
            if (sim_below(&d->random, 2) == 0)
                sim_data_write(&i->stable, c->offset + at, c->data + at,
                               c->bytes - at < SIM_SECTOR ? c->bytes - at : SIM_SECTOR);
    }
    sim_data_resize(&i->stable, i->stable.bytes);
    free_changes(i);
}

/* --- names ----------------------------------------------------------------------------------- */

static void name_change(struct sim_inode *folder, enum sim_change_kind kind, const char *name,
                        const char *old_name, struct sim_inode *inode)
{
    struct sim_change *c = add_change(folder, kind);

    ASSERT(strlen(name) < SIM_NAME_MAX && strlen(old_name) < SIM_NAME_MAX);
    memcpy(c->name, name, strlen(name) + 1);
    memcpy(c->old_name, old_name, strlen(old_name) + 1);
    c->inode = inode;
    sim_names_apply(&folder->names_now, c, inode);
}

void sim_inode_link(struct sim_inode *folder, const char *name, struct sim_inode *inode)
{
    inode->is_linked = true;
    name_change(folder, SIM_LINK, name, "", inode);
}

void sim_inode_unlink(struct sim_disk *d, struct sim_inode *folder, const char *name)
{
    struct sim_inode *i = sim_names_find(&folder->names_now, name);

    name_change(folder, SIM_UNLINK, name, "", i);
    i->is_linked = false;
    sim_inode_drop(d, i);
}

void sim_inode_rename(struct sim_disk *d, struct sim_inode *folder, const char *from,
                      const char *to)
{
    struct sim_inode *i = sim_names_find(&folder->names_now, from);
    struct sim_inode *replaced = sim_names_find(&folder->names_now, to);

    name_change(folder, SIM_RENAME, to, from, i);
    if (replaced == NULL || replaced == i)
        return;
    replaced->is_linked = false;
    sim_inode_drop(d, replaced);
}

/* One step of a journal, which has both. */
void sim_inode_move(struct sim_inode *folder, struct sim_inode *to, const char *name)
{
    struct sim_inode *i = sim_names_find(&folder->names_now, name);

    name_change(to, SIM_LINK, name, "", i);
    name_change(folder, SIM_UNLINK, name, "", i);
    sim_inode_sync(to);
    sim_inode_sync(folder);
}
