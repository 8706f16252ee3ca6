/* spool/recovery_parts.h - what the files of recovery share; private to recovery*.c.
 *
 * recovery.c is the order of steps and the messages; recovery_segments.c lists and reads
 * segment files; recovery_damage.c judges holes; recovery_bodies.c looks at body files.
 */
#pragma once
#include "spool/recovery.h"
#include "spool/scan.h"

/* A hole of a segment, kept until all segments were read. */
struct recovery_hole {
    size_t segment; /* index */
    uint64_t offset;
    uint64_t bytes;
    uint64_t batch;
    uint64_t mid;
};

struct recovery_work {
    struct spool_recovery *r;
    struct spool_recovery_options options;
    struct spool_recovered_message **last; /* where the next one is linked */
    struct recovery_hole *holes;
    size_t holes_count;
    size_t holes_capacity;
    uint32_t leaders[SPOOL_LOGS_MAX]; /* logs that refer to each other */
};

/* --- recovery_segments.c --- */

/* Lists the files, reads their headers, sorts by generation. */
MUST_USE enum status recovery_list_segments(struct recovery_work *w);

/* Reads the whole file into r->buffer; what cannot be read is zeros and counted. */
MUST_USE enum status recovery_read_segment(struct recovery_work *w, size_t index,
                                           struct slice *bytes_out);
MUST_USE enum status recovery_need_buffer(struct spool_recovery *r, size_t bytes);

/* --- recovery_damage.c --- */

void recovery_report(struct spool_recovery *r, const struct spool_damage *damage);
MUST_USE enum status recovery_add_hole(struct recovery_work *w, size_t segment,
                                       const struct spool_scan *scan);

/* Turns holes into damage or torn writes, and finds batches that are missing. */
void recovery_judge(struct recovery_work *w);

/* --- recovery_bodies.c --- */

MUST_USE enum status recovery_check_bodies(struct recovery_work *w);

/* --- recovery.c --- */

struct spool_recovered_message *recovery_find(const struct spool_recovery *r, uint64_t mid);
