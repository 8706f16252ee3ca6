/* tests/sim/disk.h - a file system in memory that can fail, be slow, and lose power.
 *
 * Each file is there twice: as processes see it (the page cache), and as it would be found after a
 * power cut. A write changes the first; a sync, or a durable write, carries it over. When the power
 * goes, everything synced is kept, and of the rest any of the 512-byte sectors may have arrived;
 * names that were made, removed or moved since the last sync of their folder are there up to any
 * point in their order. A process that is killed loses nothing but what it had in flight.
 *
 * A sync that fails is final, as on Linux: what it could not write counts as clean from then on,
 * and is gone with the page cache.
 *
 * The calls here take effect at once and give a result or a negated errno; the time that they take,
 * and whether the process dies in them, is sim_disk_wait()'s part, which callers on a fiber make.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SIM_DISK_ROOT     "/sim"
#define SIM_DISK_NAME_MAX 48

struct sim_node; /* a file or a folder */

struct sim_disk_faults {  /* chances out of 1000 */
    unsigned write_fails; /* EIO; some of its sectors may have been written */
    unsigned sync_fails;  /* EIO */
    unsigned read_fails;  /* EIO, or a byte differs; of those through the ring */
    unsigned write_is_short;
    unsigned is_slow; /* takes up to slow_ms */
    unsigned slow_ms;
    uint64_t bytes_max;  /* then ENOSPC; 0: endless */
    bool refuses_direct; /* O_DIRECT is EINVAL, as on tmpfs */
};

extern struct sim_disk_faults sim_disk_faults;

enum sim_disk_work { SIM_DISK_QUICK, SIM_DISK_WRITES, SIM_DISK_SYNCS };

void sim_disk_begin(void);

/* How long the next piece of work takes. */
uint64_t sim_disk_delay_us(enum sim_disk_work work);

/* For the current fiber (without one: no time passes). The process may crash in it. */
void sim_disk_wait(enum sim_disk_work work);

/* After so many more calls the process is to die: `die` is called then. 0: not. */
void sim_disk_arm(uint64_t calls, void (*die)(void));
void sim_disk_count(void); /* one more call, where no fiber waits */

int sim_disk_open(int folder_fd, const char *path, int flags); /* an fd */
int sim_disk_make_folder(int folder_fd, const char *path);
int sim_disk_unlink(int folder_fd, const char *name);
int sim_disk_rename(int folder_fd, const char *from, const char *to);
ssize_t sim_disk_read(int fd, char *to, size_t bytes, uint64_t offset);
ssize_t sim_disk_write(int fd, const char *data, size_t bytes, uint64_t offset);
int sim_disk_allocate(int fd, uint64_t offset, uint64_t bytes);
int sim_disk_sync(int fd);
int sim_disk_sync_all(int fd); /* the file system of fd: there is one */
void sim_disk_close(struct sim_node *node);

/* What was written there is on stable storage now: the end of a durable write. */
void sim_disk_persist(int fd, size_t bytes, uint64_t offset);

/* Some sectors of it have arrived, others not: a durable write that fails, or is cut off. */
void sim_disk_scatter(int fd, const char *data, size_t bytes, uint64_t offset);

/* For read(2) and write(2). */
uint64_t *sim_disk_position(int fd);
bool sim_disk_is_folder(int fd);
uint64_t sim_disk_bytes(int fd);
const char *sim_disk_entry(int folder_fd, unsigned index); /* NULL: behind the last one */
int sim_disk_look_up(int folder_fd, const char *name, bool *is_folder_out, uint64_t *bytes_out);

/* No process is there. What was not synced is lost, or not. */
void sim_disk_lose_power(void);

unsigned sim_disk_files(const char *folder); /* below the root; how many */
