/* spool/files.h - the spool on a file system: its directory, its lock, its segment files.
 *
 *     PATH/format     "postern spool 1\n"
 *     PATH/lock       held with flock() by the one instance that runs
 *     PATH/ids        reserved identifiers (spool/ids.h)
 *     PATH/segments/NNNNNNNN.seg
 *     PATH/bodies/XXXXXXXXXXXXXXXX
 *
 * Plain blocking calls: for start-up, for tools and for a helper thread, never for a worker.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"
#include "spool/record.h"
#include "spool/storage.h"

#define SPOOL_SEGMENT_NAME_MAX 16   /* "00000001.seg", NUL included */
#define SPOOL_SEGMENTS_MAX     8192 /* files; 512 GiB of the default size */

struct spool_directory {
    int path_fd;
    int segments_fd;
    int bodies_fd;
    int lock_fd;
    const char *step; /* what failed, for the message: "open", "lock", "format"...; errno is set */
};

/* Opens the spool, making it (mode 0700) where it does not exist; with is_reader nothing is
 * made, changed or locked. STATUS_BUSY: another instance has it. STATUS_UNSUPPORTED: a format
 * this version does not know. STATUS_INVALID: a folder with other things in it. On failure
 * everything is closed and d->step says where it stopped. */
MUST_USE enum status spool_directory_open(struct spool_directory *d, const char *path,
                                          bool is_reader);
void spool_directory_close(struct spool_directory *d); /* accepts one that failed to open */

/* "00000001.seg". Returns text. */
const char *spool_segment_name(uint32_t number, char text[static SPOOL_SEGMENT_NAME_MAX]);

/* The number in a segment's file name; false when it is no such name. */
bool spool_segment_number(const char *name, uint32_t *number_out);

/* A descriptor, close-on-exec; flags as for open(), for example O_RDWR | O_DIRECT. */
MUST_USE enum status spool_segment_open(const struct spool_directory *d, uint32_t number, int flags,
                                        int *fd_out);

/* bodies/NAME of a message. flags as for open(); mode 0600. */
MUST_USE enum status spool_body_open(const struct spool_directory *d, uint64_t mid, int flags,
                                     int *fd_out);
MUST_USE enum status spool_body_unlink(const struct spool_directory *d, uint64_t mid);
MUST_USE enum status spool_bodies_sync(const struct spool_directory *d);

/* --- the pool: segments to have, and to give back -------------------------------------------- */

/* One for the whole spool, used by one helper thread at a time. */
struct spool_pool { /* Fields are private. */
    const struct spool_directory *directory;
    uint32_t segment_bytes;
    uint64_t generation_next;
    uint32_t number_next;
    uint32_t *free_numbers; /* released files, to be used again */
    size_t free_count;
    size_t free_capacity;
    size_t free_kept_max; /* more than this are unlinked */
};

/* generation_next and number_next: from recovery, 1 and 1 in an empty spool. */
MUST_USE enum status spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                                     uint32_t segment_bytes, uint64_t generation_next,
                                     uint32_t number_next, size_t free_kept_max);
void spool_pool_finish(struct spool_pool *p);

/* A segment that recovery found free. */
MUST_USE enum status spool_pool_add_free(struct spool_pool *p, uint32_t number);

/* Storage operation segment_prepare, blocking: takes a free file or makes one, header written,
 * everything durable. file_out->handle is -1: the caller opens it as it likes. */
MUST_USE enum status spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                                        struct spool_segment_file *file_out);

/* Storage operation segment_release, blocking: marks it free, durably. Does not close. */
MUST_USE enum status spool_pool_release(struct spool_pool *p,
                                        const struct spool_segment_file *file);
