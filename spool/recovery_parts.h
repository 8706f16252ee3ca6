/* spool/recovery_parts.h - what the files of recovery share; private to recovery*.c.
 *
 * recovery.c is the order of steps and the messages; recovery_segments.c lists segment files;
 * recovery_blanks.c unlinks those that were never written to; recovery_read.c reads the others;
 * recovery_damage.c judges holes; recovery_bodies.c looks at body files.
 */
#pragma once
#include <dirent.h>
#include <sys/types.h>

#include "spool/recovery.h"
#include "spool/scan.h"

/* A hole of a segment, kept until all segments were read. */
struct recovery_hole {
    size_t segment; /* index */
    uint64_t offset;
    uint64_t bytes;
    uint64_t batch;
    uint64_t mid;
    bool is_spoilt;
};

#define RECOVERY_INPUTS 2 /* one is looked at, the next one read */

/* A segment's bytes. */
struct recovery_input {
    struct spool_recovery_buffer buffer;
    size_t index; /* of the segment that was to be read ahead; SIZE_MAX: none */
    bool is_read; /* and was, whole */
};

struct recovery_work {
    struct spool_recovery *r;
    struct spool_recovery_options options;
    struct recovery_input inputs[RECOVERY_INPUTS]; /* that of a segment: by its index */
    size_t ahead_next;                             /* index; the reader's */
    size_t blanks_end;                             /* blanks are looked for before this index */
    bool has_blanks;                               /* there may be one before it */
    bool is_continued[SPOOL_LOGS_MAX];             /* by what is behind it, within an era */
    struct spool_message *view;                    /* of the record that is looked at */
    struct spool_recovered_message **last;         /* where the next one is linked */
    bool is_judged;
    size_t *next_of_log;   /* for each segment; see recovery_damage.c */
    DIR *bodies;           /* while they are looked at */
    size_t bodies_missing; /* living messages with body_missing */
    struct recovery_hole *holes;
    size_t holes_count;
    size_t holes_capacity;
    uint32_t leaders[SPOOL_LOGS_MAX]; /* logs that refer to each other */
};

/* --- recovery_segments.c --- */

/* Lists the files, reads their headers, sorts by generation. */
MUST_USE enum status recovery_list_segments(struct recovery_work *w);
bool recovery_is_zero(struct slice bytes);

/* --- recovery_blanks.c --- */

/* Segments that a run had prepared, and ended before it wrote to them. Looked at from the last one
 * on, one by one and before all others: a gateway that is killed again and again while it starts
 * must not leave more of them than one start makes. What turns out not to be blank stays in its
 * place. Not for a reader. */
void recovery_begin_blanks(struct recovery_work *w);
bool recovery_has_blanks(const struct recovery_work *w);
void recovery_look_at_blank(struct recovery_work *w);

/* --- recovery_read.c --- */

/* Reads up to bytes; *got_out is less at the end of the file. */
MUST_USE enum status recovery_read_at(int fd, char *to, size_t bytes, off_t offset,
                                      size_t *got_out);

/* The whole file, unless it has been read ahead; what cannot be read is zeros and counted. It stays
 * until the step is over. */
MUST_USE enum status recovery_read_segment(struct recovery_work *w, size_t index,
                                           struct slice *bytes_out);

/* The whole file past the page cache; false when any of it did not come. It stays until the next
 * segment is read. */
MUST_USE bool recovery_read_whole(struct recovery_work *w, size_t index, struct slice *bytes_out);
MUST_USE enum status recovery_buffer_need(struct spool_recovery_buffer *b, size_t bytes);
void recovery_buffer_finish(struct spool_recovery_buffer *b);

/* --- recovery_damage.c --- */

void recovery_report(struct spool_recovery *r, const struct spool_damage *damage);
MUST_USE enum status recovery_add_hole(struct recovery_work *w, size_t segment,
                                       const struct spool_scan *scan);

/* Turns holes into damage or torn writes, and finds batches that are missing. STATUS_NO_MEMORY. */
MUST_USE enum status recovery_judge(struct recovery_work *w);

/* --- recovery_bodies.c --- */

#define RECOVERY_BODIES_STEP 4096u /* files */

/* Looks at the next files; STATUS_LIMIT: there are more. */
MUST_USE enum status recovery_check_bodies(struct recovery_work *w);
void recovery_leave_bodies(struct recovery_work *w); /* also when they were not looked at */
