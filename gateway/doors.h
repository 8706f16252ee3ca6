/* gateway/doors.h - the listening sockets of all workers, bound by the supervisor.
 *
 * One socket per listener and worker (SO_REUSEPORT), so that the kernel spreads connections and
 * a port in use is an error of the configuration, reported before anything changes.
 */
#pragma once
#include "config/problems.h"
#include "gateway/process.h"
#include "gateway/worker.h"

#define GATEWAY_DOORS_TROUBLE_MAX 256

/* What the workers are to be given for one configuration. */
struct gateway_doors {
    size_t listeners_count;
    unsigned workers_count;
    struct gateway_door *doors; /* workers_count rows of listeners_count */
};

/* Who hears of each listener that cannot be bound: a line, lent for the call. */
struct gateway_doors_watch {
    void (*trouble)(struct gateway_doors_watch *watch, const char *text);
};

/* Binds what no worker listens on yet. STATUS_BUSY, STATUS_DENIED...: all that is wrong was said,
 * and nothing stays bound. */
MUST_USE enum status gateway_doors_open(struct gateway_doors *d, struct gateway_process *process,
                                        const struct config_settings *settings,
                                        struct gateway_doors_watch *watch);

/* The row of one worker. */
struct gateway_door *gateway_doors_of(const struct gateway_doors *d, unsigned worker);

/* The workers have theirs, and close what these settings do not list. */
void gateway_doors_finish(struct gateway_doors *d, struct gateway_process *process,
                          const struct config_settings *settings);

/* Nobody took them: closes what was bound. */
void gateway_doors_close(struct gateway_doors *d);

/* After gateway_doors_open() for these settings: tells other threads of them. */
void gateway_doors_tell(struct gateway_process *process, const struct config_settings *settings,
                        uint64_t generation);
