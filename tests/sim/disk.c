#include "tests/sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/fds.h"
#include "tests/sim/fiber.h"
#include "tests/sim/file.h"
#include "tests/sim/world.h"

#define ENTRIES_MAX 512
#define CHANGES_MAX 1024 /* a file system writes names by itself after a while */
#define BLOCK_BYTES 4096

struct entry {
    char name[SIM_DISK_NAME_MAX];
    struct sim_node *node; /* NULL, of a change: the name is gone */
};

struct folder {
    struct entry entries[ENTRIES_MAX];
    unsigned count;
};

struct sim_node {
    struct sim_node *parent; /* of a folder */
    struct folder *now;      /* NULL: a file */
    struct folder *kept;
    struct entry *changes; /* since the last sync; a rename is two that arrive together */
    bool *joined;          /* with the next one */
    unsigned changes_count;
    struct sim_file file;
    uint64_t position; /* nobody opens a file twice to read or write it in order */
    unsigned names;    /* in both kinds of folders */
    unsigned fds;
};

struct sim_disk_faults sim_disk_faults;

static struct {
    struct sim_node *root;
    struct sim_node *nodes[16384]; /* all there ever were */
    unsigned nodes_count;
    uint64_t calls_left;
    void (*die)(void);
} disk;

/* --- time and death -------------------------------------------------------------------------- */

uint64_t sim_disk_delay_us(enum sim_disk_work work)
{
    static const uint64_t most_us[] = { 20, 400, 4000 };

    if (sim_chance(sim_disk_faults.is_slow))
        return sim_between(1, sim_disk_faults.slow_ms * SIM_MS);
    return sim_between(1, most_us[work]);
}

void sim_disk_arm(uint64_t calls, void (*die)(void))
{
    disk.calls_left = calls;
    disk.die = die;
}

static bool is_over(void)
{
    return disk.calls_left > 0 && --disk.calls_left == 0;
}

void sim_disk_count(void)
{
    if (is_over())
        disk.die();
}

void sim_disk_wait(enum sim_disk_work work)
{
    if (sim_fiber_current() == NULL)
        return;
    if (is_over()) {
        disk.die();
        sim_fiber_die();
    }
    sim_fiber_sleep(sim_disk_delay_us(work));
}

/* --- names ----------------------------------------------------------------------------------- */

static struct sim_node *node_create(bool is_folder)
{
    struct sim_node *node = sim_allocate(sizeof(*node));

    ASSERT(disk.nodes_count < sizeof(disk.nodes) / sizeof(disk.nodes[0]));
    disk.nodes[disk.nodes_count++] = node;
    if (is_folder) {
        node->now = sim_allocate(sizeof(struct folder));
        node->kept = sim_allocate(sizeof(struct folder));
        node->changes = sim_allocate(CHANGES_MAX * sizeof(struct entry));
        node->joined = sim_allocate(CHANGES_MAX * sizeof(bool));
    }
    return node;
}

static struct entry *find(struct folder *folder, const char *name)
{
    for (unsigned i = 0; i < folder->count; i++)
        if (strcmp(folder->entries[i].name, name) == 0)
            return &folder->entries[i];
    return NULL;
}

/* A file that no name and no descriptor leads to gives its memory back. */
static void forget(struct sim_node *node)
{
    if (node->names > 0 || node->fds > 0 || node->now != NULL)
        return;
    sim_file_finish(&node->file);
}

static void apply(struct folder *folder, const struct entry *change)
{
    struct entry *entry = find(folder, change->name);
    struct sim_node *before = entry != NULL ? entry->node : NULL;

    if (change->node == NULL && entry != NULL) {
        *entry = folder->entries[--folder->count];
    } else if (change->node != NULL) {
        ASSERT(entry != NULL || folder->count < ENTRIES_MAX);
        if (entry == NULL)
            entry = &folder->entries[folder->count++];
        *entry = *change;
        change->node->names++;
    }
    if (before != NULL) {
        before->names--;
        forget(before);
    }
}

static void settle(struct sim_node *folder, unsigned changes);

static void change(struct sim_node *folder, const char *name, struct sim_node *node, bool is_joined)
{
    struct entry *c;

    if (folder->changes_count == CHANGES_MAX)
        settle(folder, CHANGES_MAX);
    c = &folder->changes[folder->changes_count];
    ASSERT(folder->changes_count < CHANGES_MAX && strlen(name) < SIM_DISK_NAME_MAX);
    folder->joined[folder->changes_count++] = is_joined;
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    c->node = node;
    if (node != NULL)
        node->names++; /* of the change */
    apply(folder->now, c);
}

static void settle(struct sim_node *folder, unsigned changes)
{
    for (unsigned i = 0; i < folder->changes_count; i++) {
        struct entry *c = &folder->changes[i];

        if (i < changes)
            apply(folder->kept, c);
        if (c->node == NULL)
            continue;
        c->node->names--;
        forget(c->node);
    }
    folder->changes_count = 0;
}

static struct sim_node *folder_of(int fd)
{
    struct sim_node *node = sim_fd_object(fd, SIM_FD_FILE);

    return node != NULL && node->now != NULL ? node : NULL;
}

/* Where a path begins, and its last part. */
static struct sim_node *start_of(int folder_fd, const char *path, const char **name_out)
{
    struct sim_node *node = folder_of(folder_fd);

    if (strncmp(path, SIM_DISK_ROOT "/", sizeof(SIM_DISK_ROOT)) == 0) {
        node = disk.root;
        path += sizeof(SIM_DISK_ROOT);
    }
    *name_out = path;
    return node;
}

static int open_node(struct sim_node *node, int flags)
{
    int fd;

    if ((flags & O_DIRECTORY) != 0 && node->now == NULL)
        return -ENOTDIR;
    fd = sim_fd_take(SIM_FD_FILE, node);
    if (fd < 0)
        return fd;
    node->fds++;
    node->position = 0;
    return fd;
}

int sim_disk_open(int folder_fd, const char *path, int flags)
{
    const char *name;
    struct sim_node *folder = start_of(folder_fd, path, &name), *node;
    struct entry *entry;

    if (folder == NULL)
        return -EBADF;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return open_node(name[1] == '\0' ? folder : folder->parent, flags);
    entry = find(folder->now, name);
    if ((flags & O_DIRECT) != 0 && sim_disk_faults.refuses_direct)
        return -EINVAL;
    if (entry != NULL && (flags & O_EXCL) != 0)
        return -EEXIST;
    if (entry == NULL && (flags & O_CREAT) == 0)
        return -ENOENT;
    node = entry != NULL ? entry->node : node_create(false);
    if (entry == NULL)
        change(folder, name, node, false);
    if ((flags & O_TRUNC) != 0)
        sim_file_truncate(&node->file);
    return open_node(node, flags);
}

int sim_disk_make_folder(int folder_fd, const char *path)
{
    const char *name;
    struct sim_node *folder = start_of(folder_fd, path, &name), *node;

    if (folder == NULL)
        return -EBADF;
    if (find(folder->now, name) != NULL)
        return -EEXIST;
    node = node_create(true);
    node->parent = folder;
    change(folder, name, node, false);
    return 0;
}

int sim_disk_unlink(int folder_fd, const char *name)
{
    struct sim_node *folder = folder_of(folder_fd);

    if (folder == NULL)
        return -EBADF;
    if (find(folder->now, name) == NULL)
        return -ENOENT;
    change(folder, name, NULL, false);
    return 0;
}

int sim_disk_rename(int folder_fd, const char *from, const char *to)
{
    struct sim_node *folder = folder_of(folder_fd);
    struct entry *entry;

    if (folder == NULL)
        return -EBADF;
    entry = find(folder->now, from);
    if (entry == NULL)
        return -ENOENT;
    change(folder, to, entry->node, true);
    change(folder, from, NULL, false);
    return 0;
}

/* --- contents -------------------------------------------------------------------------------- */

static struct sim_node *file_of(int fd)
{
    struct sim_node *node = sim_fd_object(fd, SIM_FD_FILE);

    return node != NULL && node->now == NULL ? node : NULL;
}

static uint64_t bytes_used(void)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < disk.nodes_count; i++)
        used += (disk.nodes[i]->file.bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    return used;
}

static bool has_room(const struct sim_node *node, uint64_t bytes)
{
    if (sim_disk_faults.bytes_max == 0 || bytes <= node->file.bytes)
        return true;
    return bytes_used() + (bytes - node->file.bytes) <= sim_disk_faults.bytes_max;
}

ssize_t sim_disk_read(int fd, char *to, size_t bytes, uint64_t offset)
{
    struct sim_node *node = file_of(fd);

    if (node == NULL)
        return -EBADF;
    if (offset >= node->file.bytes)
        return 0;
    if (bytes > node->file.bytes - offset)
        bytes = node->file.bytes - offset;
    sim_file_get(&node->file, to, bytes, offset);
    return (ssize_t)bytes;
}

ssize_t sim_disk_write(int fd, const char *data, size_t bytes, uint64_t offset)
{
    struct sim_node *node = file_of(fd);

    if (node == NULL)
        return -EBADF;
    if (!has_room(node, offset + bytes))
        return -ENOSPC;
    if (sim_chance(sim_disk_faults.write_fails)) {
        sim_disk_scatter(fd, data, bytes, offset);
        return -EIO;
    }
    if (bytes > BLOCK_BYTES && sim_chance(sim_disk_faults.write_is_short))
        bytes = (size_t)sim_between(1, bytes / BLOCK_BYTES) * BLOCK_BYTES;
    sim_file_put(&node->file, data, bytes, offset);
    return (ssize_t)bytes;
}

void sim_disk_persist(int fd, size_t bytes, uint64_t offset)
{
    struct sim_node *node = file_of(fd);

    ASSERT(node != NULL);
    sim_file_keep(&node->file, bytes, offset);
}

void sim_disk_scatter(int fd, const char *data, size_t bytes, uint64_t offset)
{
    struct sim_node *node = file_of(fd);
    unsigned arrives = (unsigned)sim_below(1001);

    for (size_t done = 0; node != NULL && done < bytes;) {
        uint64_t at = offset + done;
        size_t now = SIM_SECTOR_BYTES - (size_t)(at % SIM_SECTOR_BYTES);

        if (now > bytes - done)
            now = bytes - done;
        if (at + now <= node->file.bytes && sim_chance(arrives)) {
            sim_file_put(&node->file, data + done, now, at);
            sim_file_keep(&node->file, now, at);
        }
        done += now;
    }
}

int sim_disk_allocate(int fd, uint64_t offset, uint64_t bytes)
{
    struct sim_node *node = file_of(fd);

    if (node == NULL)
        return -EBADF;
    if (!has_room(node, offset + bytes))
        return -ENOSPC;
    sim_file_extend(&node->file, offset + bytes);
    return 0;
}

int sim_disk_sync(int fd)
{
    struct sim_node *node = sim_fd_object(fd, SIM_FD_FILE);
    bool fails = sim_chance(sim_disk_faults.sync_fails);

    if (node == NULL)
        return -EBADF;
    if (node->now != NULL) {
        if (!fails)
            settle(node, node->changes_count);
        return fails ? -EIO : 0;
    }
    sim_file_sync(&node->file, fails);
    return fails ? -EIO : 0;
}

int sim_disk_sync_all(int fd)
{
    bool fails = sim_chance(sim_disk_faults.sync_fails);

    if (sim_fd_object(fd, SIM_FD_FILE) == NULL)
        return -EBADF;
    for (unsigned i = 0; i < disk.nodes_count; i++) {
        struct sim_node *node = disk.nodes[i];

        if (node->now == NULL)
            sim_file_sync(&node->file, fails);
        else if (!fails)
            settle(node, node->changes_count);
    }
    return fails ? -EIO : 0;
}

void sim_disk_close(struct sim_node *node)
{
    ASSERT(node->fds > 0);
    node->fds--;
    forget(node);
}

uint64_t *sim_disk_position(int fd)
{
    struct sim_node *node = file_of(fd);

    return node != NULL ? &node->position : NULL;
}

bool sim_disk_is_folder(int fd)
{
    return folder_of(fd) != NULL;
}

uint64_t sim_disk_bytes(int fd)
{
    const struct sim_node *node = file_of(fd);

    return node != NULL ? node->file.bytes : 0;
}

const char *sim_disk_entry(int folder_fd, unsigned index)
{
    const struct sim_node *folder = folder_of(folder_fd);

    return folder != NULL && index < folder->now->count ? folder->now->entries[index].name : NULL;
}

int sim_disk_look_up(int folder_fd, const char *name, bool *is_folder_out, uint64_t *bytes_out)
{
    struct sim_node *folder = folder_of(folder_fd);
    struct entry *entry = folder != NULL ? find(folder->now, name) : NULL;

    if (entry == NULL)
        return -ENOENT;
    *is_folder_out = entry->node->now != NULL;
    *bytes_out = entry->node->file.bytes;
    return 0;
}

/* --- the power cut --------------------------------------------------------------------------- */

static void lose_names(struct sim_node *folder)
{
    unsigned arrived = (unsigned)sim_below(folder->changes_count + 1u);

    while (arrived > 0 && folder->joined[arrived - 1])
        arrived--;
    settle(folder, arrived);
    for (unsigned i = 0; i < folder->now->count; i++)
        folder->now->entries[i].node->names--;
    *folder->now = *folder->kept;
    for (unsigned i = 0; i < folder->now->count; i++)
        folder->now->entries[i].node->names++;
}

void sim_disk_lose_power(void)
{
    for (unsigned i = 0; i < disk.nodes_count; i++)
        if (disk.nodes[i]->now != NULL)
            lose_names(disk.nodes[i]);
        else
            sim_file_lose_power(&disk.nodes[i]->file);
    for (unsigned i = 0; i < disk.nodes_count; i++)
        forget(disk.nodes[i]);
}

void sim_disk_begin(void)
{
    disk.root = node_create(true);
}

unsigned sim_disk_files(const char *folder)
{
    struct sim_node *node = disk.root;

    while (node != NULL && folder[0] != '\0') {
        char name[SIM_DISK_NAME_MAX];
        size_t len = strcspn(folder, "/");
        struct entry *entry;

        ASSERT(len < sizeof(name));
        memcpy(name, folder, len);
        name[len] = '\0';
        folder += len + (folder[len] == '/');
        entry = node->now != NULL ? find(node->now, name) : NULL;
        node = entry != NULL ? entry->node : NULL;
    }
    return node != NULL && node->now != NULL ? node->now->count : 0;
}
