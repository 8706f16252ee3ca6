/* gateway/watch.h - what the supervisor looks at once a second, and tells of (gateway/alerts.h).
 *
 * Conditions that last are raised again every GATEWAY_WATCH_REPEAT_MS, so that the alert's waits
 * remind of them; the table holds back what is too much.
 *
 * Belongs to the supervisor's thread.
 */
#pragma once
#include "gateway/certificate_watch.h"
#include "gateway/process.h"
#include "gateway/spool_watch.h"

#define GATEWAY_WATCH_REPEAT_MS 60000

struct gateway_watch { /* Fields are private. */
    struct gateway_process *process;
    struct gateway_certificate_watch certificates;
    uint64_t repeated_ms;
    struct gateway_spool_watch spool;
    struct gateway_spool_facts told; /* of the spool */
    bool is_silent[CONFIG_WORKERS_MAX];
};

/* Borrows the process, whose spool is open by the time of start. */
void gateway_watch_init(struct gateway_watch *watch, struct gateway_process *process);

/* Begins to look after the spool, with the limits of a configuration. */
MUST_USE enum status gateway_watch_start(struct gateway_watch *watch,
                                         const struct config_settings *settings);

/* False: the disk of the spool hangs, and its watch with it; nothing that it uses may be closed.
 * Accepts one that was not started. */
MUST_USE bool gateway_watch_stop(struct gateway_watch *watch);
void gateway_watch_finish(struct gateway_watch *watch);

/* The view of a configuration that comes into force: its certificates are looked at, and its
 * people are told, from now on. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_watch_take(struct gateway_watch *watch,
                                        const struct gateway_view *view);

/* A line for the log when something of the spool has turned; then once more. NULL: nothing to
 * say. */
const char *gateway_watch_look(struct gateway_watch *watch, uint64_t now_ms,
                               enum observe_level *level_out);

/* Whether all workers beat. */
bool gateway_watch_workers(struct gateway_watch *watch, uint64_t now_ms);

/* Once a second, last: certificates, and conditions that still last. */
void gateway_watch_repeat(struct gateway_watch *watch, uint64_t now_ms, int64_t now_s);
