/* gateway/spool_watch.h - looks after the disk of the spool, once a second, on a thread of its own.
 *
 * Its place, its room and its quarantine; and it reserves more identifiers when they get few. Each
 * of these may hang with a device, or with the server that has it. No signal, no reload and no
 * watchdog may wait for that: the supervisor asks what was found last, and is told when a look
 * takes too long. Sets process->spool_is_low, spool_is_gone and quarantined.
 *
 *     init -> set_limits -> start -> facts, set_limits... -> stop -> finish
 *
 * All functions are the supervisor's.
 */
#pragma once
#include <limits.h>
#include <pthread.h>

#include "engine/thread.h"
#include "gateway/process.h"

#define GATEWAY_SPOOL_LOOK_MS   1000
#define GATEWAY_SPOOL_SILENT_MS 10000 /* a look that takes longer has met a disk that hangs */
#define GATEWAY_SPOOL_STOP_MS   2000

struct gateway_spool_facts {
    size_t quarantined; /* segments */
    bool is_gone;       /* its folder is not in its place: MAIL gets 451 */
    bool is_low;        /* at spool.max_size or spool.min_free: MAIL gets 452 */
    bool ids_failed;    /* identifiers could not be reserved */
    bool is_silent;     /* the look that is under way has been so for GATEWAY_SPOOL_SILENT_MS */
};

struct gateway_spool_watch { /* Fields are private. */
    struct engine_thread thread;
    struct gateway_process *process;
    void (*look)(struct gateway_spool_watch *watch, struct gateway_spool_facts *facts);
    unsigned rest_ms;     /* between two looks: GATEWAY_SPOOL_LOOK_MS; tests shorten it */
    char place[PATH_MAX]; /* of the spool's folder, when it was first looked at; empty: unknown */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct gateway_spool_facts found; /* under the lock, like the rest */
    uint64_t max_bytes, free_bytes;
    uint64_t began_ms; /* the look that is under way; 0: none is */
    bool is_ending;
    bool has_ended;
};

/* Borrows the process. Its spool is open. look: NULL, or another one, for tests. */
void gateway_spool_watch_init(struct gateway_spool_watch *watch, struct gateway_process *process,
                              void (*look)(struct gateway_spool_watch *watch,
                                           struct gateway_spool_facts *facts));

/* spool.max_size (0: none) and spool.min_free; from the next look on. */
void gateway_spool_watch_set_limits(struct gateway_spool_watch *watch, uint64_t max_bytes,
                                    uint64_t free_bytes);

/* Looks once, before it returns, so that no session begins without; then starts the thread. */
MUST_USE enum status gateway_spool_watch_start(struct gateway_spool_watch *watch);

/* What was found last. */
struct gateway_spool_facts gateway_spool_watch_facts(struct gateway_spool_watch *watch,
                                                     uint64_t now_ms);

/* False: a look is under way and does not end within wait_ms; neither
 * the watch nor what it looks at may be freed then; stop may be asked again. Accepts one that was
 * never started. */
MUST_USE bool gateway_spool_watch_stop(struct gateway_spool_watch *watch, unsigned wait_ms);
void gateway_spool_watch_finish(struct gateway_spool_watch *watch);
