/* spool/log_parts.h - what the files of the log share; private to log*.c.
 *
 * log.c is the front: appends, answers, questions. log_segments.c keeps the chain, the spares
 * and the accounts of space. log_batch.c chooses what goes into a batch and lays it out.
 */
#pragma once
#include "spool/log.h"

struct spool_segment {
    struct list_node node; /* in the chain or in the spares */
    struct spool_segment_file file;
    uint32_t fill;   /* where the next batch goes; the size of the segment once it is sealed */
    size_t messages; /* living in it */
    uint64_t dones;  /* the log's results_appended behind the last DONE of a message in it */
};

/* Entry of log->results: this head, then count encoded results. No results: a DONE record. */
struct log_result_head {
    uint64_t mid;
    uint32_t count;
};

/* --- log_segments.c --- */

/* A record alone in a batch takes this much. */
static inline size_t log_blocks(size_t bytes)
{
    return (bytes + SPOOL_BLOCK_BYTES - 1) & ~(size_t)(SPOOL_BLOCK_BYTES - 1);
}

/* Bytes left in the current segment. */
size_t log_room(const struct spool_log *log);

/* Bytes of messages that surely find a place: in the current segment and the spares but
 * `kept_back` of them. */
size_t log_capacity(const struct spool_log *log, unsigned kept_back);

/* Seals the current segment and opens a spare; false when there is none. */
bool log_open_segment(struct spool_log *log);
void log_seal_segment(struct spool_log *log);

/* Asks the storage for a spare, and to release the head, where due. */
void log_want_segments(struct spool_log *log);
void log_release_head(struct spool_log *log);

void log_check_ready(struct spool_log *log); /* STARTING -> READY */

/* --- log_batch.c --- */

/* Whether the current segment has room for what is written next. */
bool log_next_fits(const struct spool_log *log);

/* Whether messages of the last batch have none behind them yet, and there is room for one. */
bool log_wants_confirmation(const struct spool_log *log);

/* Makes messages that wait part of the next batch. */
void log_lay_out(struct spool_log *log);

/* Starts a batch if none is in flight and something may go. */
void log_start_batch(struct spool_log *log);
void log_finish_batch(struct spool_log *log, enum status status);

/* Gives a buffer back when a record that went alone has made it larger than others are. Those for
 * the usual batches stay: a new one for each would be new memory for each. */
void log_trim_buffers(struct spool_log *log);

/* --- log.c --- */

void log_raise(struct spool_log *log, enum spool_log_event event);

/* Completes the tickets of all waiting messages, those laid out included. */
void log_fail_waiting(struct spool_log *log, enum status status);

/* Of those that await results. A DONE waits on: it will be written, by a rescue or later. */
void log_fail_awaiting(struct spool_log *log, enum status status);
