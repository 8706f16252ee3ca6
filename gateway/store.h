/* gateway/store.h - a worker's log of the spool, bound to the ring and to helper threads.
 *
 * THE COMMIT. A message is handed over with gateway_store_append(). At the end of the turn all
 * messages handed over meanwhile become one batch of the worker's segment, written with O_DIRECT
 * and RWF_DSYNC (or by the committer thread with pwrite and fdatasync, where the file system
 * refuses these). Only when that write has completed does gateway_message_ticket_back() run for
 * each of them, and only there is the 250 said: at that moment envelope, Received header and
 * body are on stable storage in one checksummed record (docs/SPOOL.md). A body in a file of its
 * own was synced, file and directory, before its message was handed over. A segment that somebody
 * has deleted meanwhile is no stable storage: its batch has failed.
 */
#pragma once
#include "engine/file.h"
#include "engine/helper.h"
#include "engine/timer.h"
#include "spool/log.h"

#define GATEWAY_STORE_FLUSH_MS 200  /* results wait at most so long for a batch to ride with */
#define GATEWAY_STORE_RETRY_MS 1000 /* between attempts to get or free a segment */

/* A log that has stopped tries to write the results that wait, and no more often in a row. */
#define GATEWAY_STORE_RESCUE_MS     10000  /* after so long, then after twice as long... */
#define GATEWAY_STORE_RESCUE_MS_MAX 600000 /* up to this */
#define GATEWAY_STORE_RESCUES_MAX   32     /* each that fails costs a segment */

struct gateway_worker;

struct gateway_store { /* Fields are private. */
    struct gateway_worker *worker;
    struct spool_storage storage;
    struct spool_log log;
    struct engine_task run;
    struct engine_timer flush;
    struct engine_timer retry;
    struct engine_timer rescue;
    unsigned rescues;                   /* that were tried since a write went well */
    struct engine_file_request request; /* the write in flight, by the ring */
    struct engine_job write_job;        /* the same, by the committer */
    struct spool_write write;
    enum status write_status;
    struct engine_job prepare_job;
    struct spool_segment_file prepared;
    enum status prepare_status;
    struct engine_job release_job;
    struct spool_segment_file released;
    enum status release_status;
    bool released_is_damaged;
    uint64_t damaged_generation; /* of a segment that goes to the quarantine */
    unsigned trouble;            /* that an alert tells of: a bit for each enum spool_log_event */
    bool is_settled;
    bool is_unlinked; /* the segment of the last write has no name any more */
};

/* batch_first, sequence_first: of the recovery. */
MUST_USE enum status gateway_store_init(struct gateway_store *store, struct gateway_worker *worker,
                                        uint64_t batch_first, uint64_t sequence_first);

/* Nothing may be in flight: gateway_store_is_quiet(). */
void gateway_store_finish(struct gateway_store *store);

/* Asks for the first segments; on the worker's thread. */
void gateway_store_start(struct gateway_store *store);

/* As spool_log_reserve(), and sees to it that more room is made ready while it gets scarce. */
MUST_USE bool gateway_store_reserve(struct gateway_store *store,
                                    struct spool_reservation *reservation, size_t bytes);

/* As spool_log_append_message(), and sees to it that the log runs at the end of the turn. */
MUST_USE enum status gateway_store_append(struct gateway_store *store,
                                          const struct spool_message *message,
                                          struct spool_reservation *reservation,
                                          struct spool_ticket *ticket);
void gateway_store_results(struct gateway_store *store, uint64_t mid,
                           const struct spool_result *results, size_t count);
void gateway_store_done(struct gateway_store *store, uint64_t mid,
                        const struct spool_location *location, struct spool_ticket *ticket);

/* As spool_log_await_results(); never from inside follows, without a mid,
 * gateway_queue_job_synced(), with one gateway_message_ticket_back(). */
void gateway_store_await_results(struct gateway_store *store, uint64_t mid,
                                 struct spool_ticket *ticket);

/* spool_log_adopted(), which is awaited from the beginning. */
void gateway_store_adopted(struct gateway_store *store);

/* The segment is not used again: when it is released it goes to the quarantine. For the head. */
void gateway_store_damaged(struct gateway_store *store, const struct spool_segment *segment);

/* Results that wait are written now; quiet comes soon after. A log that has stopped tries it only
 * every GATEWAY_STORE_RESCUE_MS, and longer. */
void gateway_store_flush(struct gateway_store *store);

/* The same at the end of a run: one that has stopped tries it once more. */
void gateway_store_flush_last(struct gateway_store *store);

/* The first segment is there, or could not be had: connections can be answered. */
bool gateway_store_is_settled(const struct gateway_store *store);
bool gateway_store_is_quiet(const struct gateway_store *store);

/* Results wait to be written. */
bool gateway_store_has_results(const struct gateway_store *store);

/* No operation is in flight, whatever waits. */
bool gateway_store_is_still(const struct gateway_store *store);

/* The worker has run its last turn but those in which its loop ends: nothing begins any more. */
void gateway_store_stop(struct gateway_store *store);

/* After a reload: a log that had stopped begins again. */
void gateway_store_resume(struct gateway_store *store);
