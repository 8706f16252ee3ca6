/* gateway/queue_job.h - one request about the queue, carried out by the workers in small steps.
 *
 * A job belongs to one thread at a time: the desk (gateway/queue_desk.h) posts it to a worker,
 * which does one leg of the work and gives it back. No locks, and no worker waits:
 *
 *     WALK   through the items of this worker, from where the last leg stopped, until a page of
 * text is full, enough has been changed for a sync, or there are no more SYNC   until what the
 * others have sent home to this worker is on stable storage LEAVE  gives up a walk, because nobody
 * listens any more
 *
 * A leg goes on over several turns of the loop, GATEWAY_QUEUE_STEP_ITEMS in each, so that a queue
 * of millions delays no session. The next leg comes when the client has taken the page: a client
 * that does not read costs nothing but its job.
 */
#pragma once
#include "engine/mailbox.h"
#include "gateway/holdings.h"
#include "gateway/queue_act.h"
#include "gateway/queue_filter.h"
#include "gateway/queue_summary.h"
#include "spool/log.h"

#define GATEWAY_QUEUE_STEP_ITEMS   512u        /* looked at in one turn of a loop */
#define GATEWAY_QUEUE_STEP_WORK    64u         /* of these written or changed */
#define GATEWAY_QUEUE_PAGE_BYTES   (16u << 10) /* a leg ends when it has written so much */
#define GATEWAY_QUEUE_PAGE_MAX     (64u << 10) /* with its last line */
#define GATEWAY_QUEUE_UNSYNCED_MAX 8192u       /* recipients changed before a sync comes */

enum gateway_queue_leg { GATEWAY_QUEUE_WALK, GATEWAY_QUEUE_SYNC, GATEWAY_QUEUE_LEAVE };

struct gateway_queue_job {
    /* Set by the desk. */
    struct gateway_queue_request request;
    struct gateway_worker *worker; /* whose leg it is */
    enum gateway_queue_leg leg;
    void (*back)(struct gateway_queue_job *job); /* in the worker's thread: the leg is done */
    struct gateway_queue_job *next_back;         /* for whoever that is */

    /* For the desk to read while it has the job. */
    struct buffer page;  /* lines; the desk takes them out */
    bool is_over;        /* WALK: this worker has no more */
    bool wants_sync;     /* WALK: before it goes on */
    bool is_stopping;    /* the worker is; there is nothing more from it */
    enum status status;  /* SYNC: whether it is on stable storage; WALK: no memory for a line */
    uint64_t matched;    /* items */
    uint32_t mids_seen;  /* WALK: bit by place in the filter: there are items of this MID, whether
                            they match the rest or not */
    uint64_t recipients; /* of those that were done */
    uint64_t results[GATEWAY_QUEUE_RESULTS_COUNT];

    /* Private to gateway/queue_job.c. */
    struct engine_message post;
    struct spool_ticket ticket;
    struct gateway_holdings_walk walk;
    const struct gateway_worker *walked; /* through whose items */
    struct gateway_queue_summary summary;
    const struct gateway_item *shown; /* SHOW: whose recipients are being written, if it is still
                                         the one that the walk stands at, and */
    uint64_t shown_mid;               /*   has this MID; only to compare */
    unsigned shown_place;
    unsigned unsynced; /* recipients */
    bool is_walking;
    bool is_through; /* no items are left; a SUMMARY is still to be written */
};

/* Prepares a job for its first leg; page is empty. */
void gateway_queue_job_init(struct gateway_queue_job *job,
                            const struct gateway_queue_request *request);

/* Any thread but a worker's. The job is the worker's until back(). */
void gateway_queue_job_post(struct gateway_queue_job *job, struct gateway_worker *worker,
                            enum gateway_queue_leg leg);

/* After the last WALK of all workers: whether mids[place] of the filter is in no queue. False where
 * the walk ended early, at the limit. */
bool gateway_queue_job_is_missing(const struct gateway_queue_job *job, unsigned place);

/* While nobody else has it: a worker knows of its walk, which has to go on or LEAVE. */
bool gateway_queue_job_is_walking(const struct gateway_queue_job *job);

/* After its last leg, when is_over or after LEAVE; or when no worker runs any more. */
void gateway_queue_job_finish(struct gateway_queue_job *job);

/* For the store: the ticket of a SYNC has come back. */
void gateway_queue_job_synced(struct spool_ticket *ticket);
