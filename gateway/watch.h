/* gateway/watch.h - what the supervisor looks at once a second, and tells of (gateway/alerts.h).
 *
 * Conditions that last are raised again every GATEWAY_WATCH_REPEAT_MS, so that the alert's waits
 * remind of them; the table holds back what is too much.
 *
 * Belongs to the supervisor's thread.
 */
#pragma once
#include <limits.h>

#include "gateway/certificate_watch.h"
#include "gateway/process.h"

#define GATEWAY_WATCH_REPEAT_MS 60000

struct gateway_watch { /* Fields are private; zeroed at first, but for process. */
    struct gateway_process *process;
    struct gateway_certificate_watch certificates;
    uint64_t repeated_ms;
    size_t quarantined;   /* segments of the spool, when it was last looked at */
    char place[PATH_MAX]; /* of the spool's folder, when it was first looked at; empty: unknown */
    bool is_gone;
    bool is_low;
    bool ids_failed;
    bool is_silent[CONFIG_WORKERS_MAX];
};

/* The view of a configuration that comes into force: its certificates are looked at, and its
 * people are told, from now on. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_watch_take(struct gateway_watch *watch,
                                        const struct gateway_view *view);

/* Looks after the place of the spool, its room and its quarantine, and reserves more identifiers
 * when they get few. A line for the log when one of these has turned; then once more. NULL: nothing
 * to say. */
const char *gateway_watch_look(struct gateway_watch *watch, const struct config_settings *settings,
                               enum observe_level *level_out);

/* Whether all workers beat. */
bool gateway_watch_workers(struct gateway_watch *watch, uint64_t now_ms);

/* Once a second, last: certificates, and conditions that still last. */
void gateway_watch_repeat(struct gateway_watch *watch, uint64_t now_ms, int64_t now_s);
