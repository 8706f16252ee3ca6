/* engine/helper.h - a few threads for what can only be done blocking.
 *
 * A job is embedded in its owner. run() is called on a helper thread and must touch only what the
 * job owns; done() is called later in the loop that submitted it. There is no cancel: the job
 * stays pinned until done().
 */
#pragma once
#include "engine/loop.h"
#include "engine/mailbox.h"

#define ENGINE_HELPER_THREADS_MAX 64

struct engine_helper; /* private */

struct engine_job {
    struct engine_message message; /* private */
    struct list_node node;         /* private */
    struct engine_loop *loop;      /* private */
    void (*run)(struct engine_job *job);
    void (*done)(struct engine_loop *loop, struct engine_job *job);
};

/* With 0 threads each job runs inside engine_helper_submit(), which makes a simulation
 * repeatable; done() still comes from the loop. All signals are blocked in the threads. */
MUST_USE enum status engine_helper_create(unsigned threads, unsigned jobs_max,
                                          struct engine_helper **helper_out);

/* Runs what is queued, then joins the threads. The loops must still be there; they get the last
 * done() in their next turns. Accepts NULL. */
void engine_helper_destroy(struct engine_helper *helper);

/* From the thread of loop. STATUS_LIMIT when jobs_max are waiting: the job was not taken. */
MUST_USE enum status engine_helper_submit(struct engine_helper *helper, struct engine_loop *loop,
                                          struct engine_job *job);
