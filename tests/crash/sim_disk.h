/* tests/crash/sim_disk.h - a disk with a file system in memory, and its power.
 *
 * The linker puts sim_calls.c in the place of open, pwrite, fsync, renameat... (--wrap), so that
 * the code of spool/ and gateway/ runs on this disk unchanged. What a program sees is what a
 * kernel would show it; beside that the disk knows what is on stable storage, and keeps in order
 * every change that is not:
 *
 *     data          each sector of 512 bytes of each write; of a sector that was written several
 *                   times, any version
 *     sizes         of each growth and cut of a file; a file may have its size and not its data: it
 *                   has zeros there, or old contents of blocks that were freed, the latter not
 *                   where it was allocated before it was written
 *     names         each name made, removed or changed, by directory; a change of a name is one,
 *                   and a move to another directory makes the names of both stable at once
 *
 * fsync and fdatasync of a file make its data and size stable, fsync of a directory the names in
 * it and nothing else, syncfs everything, a write with RWF_DSYNC its own sectors. A cut of the
 * power keeps what is stable and of the rest any subset. After an error of a sync some of the
 * sectors are stable, and the others are forgotten although a reader still sees them.
 *
 * A process that is killed leaves all changes where they are. Single-threaded.
 */
#pragma once
#include <sys/types.h>

#include "base/check.h"
#include "base/slice.h"

#define SIM_SECTOR   512u
#define SIM_BLOCK    4096u
#define SIM_FD_FIRST (1 << 20) /* descriptors below are of the real world */
#define SIM_NAME_MAX 32

/* What a planted bug makes of it; bits. */
enum sim_lie {
    SIM_LIE_WRITES = 1 << 0,      /* RWF_DSYNC and fdatasync: said to be done, and were not */
    SIM_LIE_FILES = 1 << 1,       /* fsync of a file */
    SIM_LIE_DIRECTORIES = 1 << 2, /* fsync of a directory */
    SIM_LIE_SYNCFS = 1 << 3,
    SIM_LIE_ERRORS = 1 << 4, /* what failed is said to have gone well */
};

struct sim_disk;

/* Called before each step that changes or syncs something, and once within each durable write. */
typedef void sim_hook(void *owner);

uint64_t sim_random(uint64_t *state);                /* xorshift; *state is not 0 */
uint64_t sim_below(uint64_t *state, uint64_t limit); /* limit > 0 */
uint64_t sim_seed(uint64_t seed, uint64_t number);   /* a state for each pair; never 0 */

/* An empty file system with its root directory. */
struct sim_disk *sim_disk_create(uint64_t seed);
void sim_disk_destroy(struct sim_disk *d); /* accepts NULL */

/* The disk after a cut of the power now: another object; d stays as it is. */
struct sim_disk *sim_disk_cut(const struct sim_disk *d, uint64_t *random);

/* Where open() and mkdir() go from now on; returns the one before. */
struct sim_disk *sim_disk_use(struct sim_disk *d);

/* The process is over: every call fails with EIO and does nothing, until revive(), which also
 * closes what it had left open. */
void sim_disk_die(struct sim_disk *d);
void sim_disk_revive(struct sim_disk *d);
bool sim_disk_is_dead(const struct sim_disk *d);

void sim_disk_set_hook(struct sim_disk *d, sim_hook *hook, void *owner);
void sim_disk_set_size(struct sim_disk *d, uint64_t bytes_max);    /* 0: no end */
void sim_disk_set_faults(struct sim_disk *d, unsigned one_in);     /* 0: none */
void sim_disk_set_direct(struct sim_disk *d, bool is_allowed);     /* O_DIRECT and RWF_DSYNC */
void sim_disk_set_allocation(struct sim_disk *d, bool is_allowed); /* fallocate */
void sim_disk_set_lies(struct sim_disk *d, unsigned lies);
unsigned sim_disk_lies(const struct sim_disk *d);
uint64_t sim_disk_bytes_used(const struct sim_disk *d);

/* A durable write of the ring, in flight between the two: 0, or an errno. What is written must
 * not have changed in between. */
int sim_write_begin(int fd, const char *data, size_t bytes, off_t offset);
int sim_write_end(int fd, const char *data, size_t bytes, off_t offset);
