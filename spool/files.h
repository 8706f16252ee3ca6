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

#define SPOOL_SEGMENT_NAME_MAX   16       /* "00000001.seg", NUL included */
#define SPOOL_SEGMENT_NUMBER_MAX 99999999 /* from 1 */
#define SPOOL_SEGMENTS_MAX       8192     /* files; 512 GiB of the default size */

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

/* --- small files ------------------------------------------------------------------------------ */

/* Replaces a file durably: a crash leaves the old one or the new one. temporary is a name in the
 * same folder that nobody else uses. */
MUST_USE enum status spool_file_replace(int folder_fd, const char *name, const char *temporary,
                                        struct slice contents);

/* Reads at most bytes_max of a file. */
MUST_USE enum status spool_file_read(int folder_fd, const char *name, char *to, size_t bytes_max,
                                     size_t *bytes_out);
