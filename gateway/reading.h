/* gateway/reading.h - reads a configuration while the gateway runs, behind everything else.
 *
 * A block list of a million lines takes seconds to compile, and a name in a route as long as the
 * resolver likes. So that happens on a thread of its own, at the lowest priority: on a machine
 * whose processors all serve, it runs when they wait. A thread for each reading, because without
 * privileges a thread that has stepped back cannot step forward again.
 *
 *     start -> is_done, until true -> finish
 */
#pragma once
#include <stdatomic.h>

#include "config/load.h"
#include "engine/thread.h"

#define GATEWAY_READING_NICE 19

struct gateway_reading { /* Fields are private. Zeroed at first. */
    struct engine_thread thread;
    const char *path;
    struct config_load_options options;
    struct config_problems problems;
    struct config_loaded *loaded;
    enum status status;
    _Atomic bool is_done;
    bool is_running;
};

/* Borrows path and what the options name until finish. */
MUST_USE enum status gateway_reading_start(struct gateway_reading *r, const char *path,
                                           const struct config_load_options *options);
bool gateway_reading_is_done(const struct gateway_reading *r);
static inline bool gateway_reading_is_running(const struct gateway_reading *r)
{
    return r->is_running;
}

/* Waits for the end. As config_load_file(); problems is initialised by the caller. Without effect,
 * STATUS_INVALID, when nothing was started. */
MUST_USE enum status gateway_reading_finish(struct gateway_reading *r,
                                            struct config_loaded **loaded_out,
                                            struct config_problems *problems);
