/* tests/crash/sim_run.h - one run of the gateway's spool over a simulated disk.
 *
 * Spool, gateway/store.c, gateway/body.c, gateway/spool_start.c and gateway/recovery.c are the real
 * ones. What they
 * stand on - loops, timers, files by the ring, helper threads - is here: nothing happens until
 * sim_run_step() picks one of the things that could happen next, by lot. What the rest of the
 * gateway would do is the owner's business (struct sim_run_ops, and gateway_message_ticket_back()
 * and gateway_receipt_body_moved(), which he defines).
 *
 *     start -> (step, whatever the owner hands over)... -> end
 */
#pragma once
#include "engine/file.h"
#include "gateway/process.h"
#include "gateway/receipt.h"
#include "gateway/worker.h"
#include "spool/recovery.h"
#include "tests/crash/sim_disk.h"

#define SIM_RUN_PATH          "/spool"
#define SIM_RUN_SEGMENT_BYTES (64u << 10)
#define SIM_RUN_RECORD_BYTES  (24u << 10)
#define SIM_RUN_LOGS_MAX      4

struct sim_run;

struct sim_run_ops {
    /* Recovery has read what the disk held at the start, and nobody was given any of it. */
    void (*recovered)(struct sim_run *run);
    /* A living message, which goes to this worker; takes it. */
    void (*adopted)(struct sim_run *run, unsigned worker, struct spool_message *message,
                    const struct spool_location *location,
                    const struct spool_recovered_message *found);
};

/* What engine/loop.h only names. */
struct engine_loop {
    struct sim_run *run;
    struct list tasks;
    struct list timers;
    struct list done;             /* jobs */
    struct engine_message *posts; /* the first one */
    struct list files;            /* requests on their way */
};

struct engine_helper {
    struct list jobs;
};

struct sim_run { /* Read freely. */
    struct gateway_process process;
    struct gateway_worker *workers;
    struct engine_loop loops[SIM_RUN_LOGS_MAX];
    struct engine_helper segments;
    struct engine_helper readers;
    struct engine_helper committer;
    struct sim_disk *disk;
    uint64_t *random;
    const struct sim_run_ops *ops;
    void *owner;
    uint64_t now_ms; /* for compaction, whose failures wait */
    bool is_ending;
    bool is_recovered;
};

/* What was there is read by and by, with the steps. STATUS_OK, or what the start failed with; then
 * there is nothing to end. The disk is alive, and the one in use for as long as the run lives. */
MUST_USE enum status sim_run_start(struct sim_disk *disk, unsigned workers, uint64_t *random,
                                   const struct sim_run_ops *ops, void *owner,
                                   struct sim_run **run_out);

/* Messages that compaction has moved. */
uint64_t sim_run_moved(const struct sim_run *run);

/* The process is killed: the disk is dead from here on, and what was in flight fails. */
void sim_run_end(struct sim_run *run);

/* One thing happens. False: nothing can, without a timer when timers are left out. */
bool sim_run_step(struct sim_run *run, bool with_timers);
