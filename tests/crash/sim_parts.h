/* tests/crash/sim_parts.h - what the files of the simulated disk share.
 *
 * sim_data.c keeps contents in blocks that disks share until one writes; sim_disk.c is the file
 * system and what is stable of it; sim_cut.c cuts the power; sim_calls.c is what programs call.
 */
#pragma once
#include "tests/crash/sim_disk.h"

#define SIM_STALE_MAX 64 /* freed blocks that may show through */

struct sim_block {
    unsigned references;
    char bytes[SIM_BLOCK];
};

/* A file's contents. Bytes without a block are zeros. */
struct sim_data {
    struct sim_block **blocks;
    size_t blocks_count;
    uint64_t bytes;
};

struct sim_inode;

struct sim_entry {
    char name[SIM_NAME_MAX];
    struct sim_inode *inode;
};

struct sim_names {
    struct sim_entry *entries;
    size_t count;
    size_t capacity;
};

enum sim_change_kind { SIM_DATA, SIM_SIZE, SIM_LINK, SIM_UNLINK, SIM_RENAME };

/* Not yet stable. */
struct sim_change {
    enum sim_change_kind kind;
    uint64_t offset;
    uint64_t bytes; /* of data; the new size */
    char *data;
    char name[SIM_NAME_MAX];
    char old_name[SIM_NAME_MAX];
    struct sim_inode *inode;
};

struct sim_inode {
    struct sim_inode *next; /* of the disk */
    bool is_directory;
    bool is_linked;  /* as programs see it */
    int lock_fd;     /* that holds it; -1 */
    unsigned opened; /* descriptors */
    uint64_t allocated;
    uint64_t prepared; /* so far fallocate() has gone: that shows no old contents */
    struct sim_data now, stable;
    struct sim_names names_now, names_stable;
    struct sim_change *changes;
    size_t changes_count;
    size_t changes_capacity;
    struct sim_inode *copy; /* on the disk that a cut is making */
};

struct sim_disk {
    struct sim_inode *inodes;
    struct sim_inode *root;
    struct sim_block *stale[SIM_STALE_MAX];
    size_t stale_count;
    uint64_t random; /* for salts and faults */
    uint64_t bytes_max;
    uint64_t bytes_used;
    unsigned faults_one_in;
    unsigned lies;
    bool refuses_direct;
    bool refuses_allocation;
    bool is_dead;
    sim_hook *hook;
    void *hook_owner;
};

struct sim_file {
    struct sim_disk *disk; /* NULL: the descriptor is free */
    struct sim_inode *inode;
    uint64_t at;
    bool is_direct;
    size_t listed; /* entries that readdir() has still to give */
};

/* --- sim_data.c --- */

void sim_data_free(struct sim_data *d);
void sim_data_share(struct sim_data *to, const struct sim_data *from); /* what `to` had is freed */

/* Beyond the size as well; the size stays. */
void sim_data_write(struct sim_data *d, uint64_t offset, const char *from, size_t bytes);
size_t sim_data_read(const struct sim_data *d, uint64_t offset, char *to, size_t bytes);
void sim_data_resize(struct sim_data *d, uint64_t bytes);
void sim_block_release(struct sim_block *b);

struct sim_inode *sim_names_find(const struct sim_names *n, const char *name);
void sim_names_set(struct sim_names *n, const char *name, struct sim_inode *inode);
void sim_names_remove(struct sim_names *n, const char *name);
void sim_names_copy(struct sim_names *to, const struct sim_names *from);
void sim_names_apply(struct sim_names *n, const struct sim_change *c, struct sim_inode *inode);

/* --- sim_disk.c --- */

struct sim_disk *sim_current(void);
struct sim_file *sim_file_of(int fd); /* NULL: there is none */
int sim_file_open(struct sim_disk *d, struct sim_inode *inode);
void sim_file_close(int fd);

/* Before each step. False: the process is over. */
bool sim_step(struct sim_disk *d);
bool sim_fails(struct sim_disk *d); /* this step meets an error of the device */

struct sim_inode *sim_inode_make(struct sim_disk *d, bool is_directory);
int sim_inode_allocate(struct sim_disk *d, struct sim_inode *i, uint64_t bytes); /* or ENOSPC */
void sim_inode_write(struct sim_inode *i, uint64_t offset, const char *from, size_t bytes);
void sim_inode_resize(struct sim_inode *i, uint64_t bytes);
void sim_inode_sync(struct sim_inode *i);
void sim_inode_sync_fails(struct sim_disk *d, struct sim_inode *i);
void sim_inode_link(struct sim_inode *folder, const char *name, struct sim_inode *inode);
void sim_inode_unlink(struct sim_disk *d, struct sim_inode *folder, const char *name);
void sim_inode_rename(struct sim_disk *d, struct sim_inode *folder, const char *from,
                      const char *to);
void sim_inode_move(struct sim_inode *folder, struct sim_inode *to, const char *name);
void sim_inode_drop(struct sim_disk *d, struct sim_inode *i); /* frees its room if nobody has it */
