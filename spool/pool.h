/* spool/pool.h - segment files to have, and to give back.
 *
 * One pool serves the logs of all workers and is used by one helper thread at a time. It gives
 * out generations and file numbers, and keeps released files for the next prepare, because a
 * file that was written once from end to end is overwritten without touching any metadata.
 *
 * Plain blocking calls. Each function's effects are durable when it returns, except that a file
 * which was unlinked may be there again after a power cut, free or empty.
 */
#pragma once
#include "spool/files.h"

struct spool_pool { /* Fields are private. */
    const struct spool_directory *directory;
    uint32_t segment_bytes;
    uint64_t generation_next;
    uint32_t number_next;
    size_t files_count;     /* all segment files, in use and free */
    uint32_t *free_numbers; /* SPOOL_SEGMENTS_MAX of them */
    size_t free_count;
    size_t free_kept_max;
    uint32_t *damaged_numbers; /* SPOOL_SEGMENTS_MAX of them */
    size_t damaged_count;
};

/* Borrows the directory. generation_next, number_next, files_count: from recovery; 1, 1 and 0 in
 * an empty spool. Of released files free_kept_max are kept, the rest unlinked. */
MUST_USE enum status spool_pool_init(struct spool_pool *p, const struct spool_directory *d,
                                     uint32_t segment_bytes, uint64_t generation_next,
                                     uint32_t number_next, size_t files_count,
                                     size_t free_kept_max);
void spool_pool_finish(struct spool_pool *p); /* accepts a zeroed one */

/* A segment that recovery found free; header.bytes says whether its size is ours (another one
 * is unlinked). */
MUST_USE enum status spool_pool_add_free(struct spool_pool *p, uint32_t number, uint32_t bytes);

/* So many of files_count were unlinked since, by somebody else. */
void spool_pool_forget(struct spool_pool *p, size_t files);

/* Storage operation segment_prepare: takes a free file or makes one. file_out->handle is -1:
 * the caller opens it as it likes. STATUS_NO_SPACE, STATUS_LIMIT past SPOOL_SEGMENTS_MAX. A free
 * file that fails stays free and is tried again behind the others; a new one takes its place. */
MUST_USE enum status spool_pool_prepare(struct spool_pool *p, uint32_t log_id,
                                        struct spool_segment_file *file_out);

/* A segment that recovery found damaged (is_damaged) and that is in use: when it is released it is
 * moved to the quarantine (spool/quarantine.h) and not used again. */
void spool_pool_add_damaged(struct spool_pool *p, uint32_t number);
bool spool_pool_is_damaged(const struct spool_pool *p, uint32_t number);

/* Storage operation segment_release. Does not close the handle. STATUS_LIMIT for a damaged one when
 * the quarantine is full; it stays where it is then. One that somebody has deleted is free. */
MUST_USE enum status spool_pool_release(struct spool_pool *p,
                                        const struct spool_segment_file *file);

/* Of the segments that are not free; for a limit on the spool. */
uint64_t spool_pool_bytes_in_use(const struct spool_pool *p);
