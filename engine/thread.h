/* engine/thread.h - a named thread, pinned to a processor.
 *
 * Embedded in what the thread runs: run() finds its object with CONTAINER_OF. Once started, the
 * object stays until engine_thread_join().
 */
#pragma once
#include <pthread.h>

#include "base/slice.h"
#include "base/status.h"

#define ENGINE_THREAD_NAME_MAX 16   /* NUL included */
#define ENGINE_THREAD_ANY_CPU  (-1) /* not pinned */

struct engine_thread { /* Fields are private. */
    pthread_t id;
    void (*run)(struct engine_thread *thread);
    char name[ENGINE_THREAD_NAME_MAX];
    int cpu;
    bool started;
};

/* cpu counts the processors that this process may use, from 0, and wraps around; a pin that the
 * system refuses is left out. Signals: see engine/signals.h. */
MUST_USE enum status engine_thread_start(struct engine_thread *thread, const char *name, int cpu,
                                         void (*run)(struct engine_thread *thread));

/* Does nothing to a thread that was not started. */
void engine_thread_join(struct engine_thread *thread);

/* How many processors this process may use, at least 1. */
unsigned engine_thread_cpus(void);
