/* engine/loop.h - one thread, one ring: turns requests into events.
 *
 * A loop is created, run and destroyed in one thread, and all of its sockets, timers, files and
 * tasks are touched by that thread only. Other threads reach it through engine/mailbox.h.
 *
 *     while (running)
 *         engine_loop_turn(loop);
 *
 * One turn: hand over everything queued since the last turn and wait for a completion or the
 * next timer (one system call), collect the completions, then run in this order: the handlers of
 * the completions, the messages, the timers that are due, the deferred tasks, and last the
 * receives that had found no buffer. Each of these has a budget; what is left over makes the
 * next turn begin at once. No handler is ever called from inside another call of the engine.
 */
#pragma once
#include <time.h>

#include "base/list.h"
#include "base/status.h"
#include "engine/backend.h"

struct engine_loop; /* private */

struct engine_loop_options { /* a zero means the default */
    unsigned requests_max;   /* submission queue; default 1024, the completions get 4 times that */
    unsigned buffers_small;  /* of ENGINE_SMALL_BYTES; default 1024, rounded up to a power of 2 */
    unsigned buffers_large;  /* of ENGINE_LARGE_BYTES; default 128 */
    unsigned buffers_huge;   /* of ENGINE_HUGE_BYTES; default 32 */
    unsigned owners_max;     /* sockets, listeners and file requests at a time; default 1 << 20 */
    const struct engine_backend_ops *backend; /* NULL: the ring */
};

/* STATUS_UNSUPPORTED or STATUS_DENIED when the kernel has no usable io_uring; *reason_out, which
 * may be NULL, then says in one line what is missing or who forbids it. */
MUST_USE enum status engine_loop_create(const struct engine_loop_options *options,
                                        struct engine_loop **loop_out,
                                        struct engine_reason *reason_out);

/* Everything on the loop must have been closed, stopped and finished, because the kernel may
 * write to the memory of whatever is still in flight. Accepts NULL. */
void engine_loop_destroy(struct engine_loop *loop);

/* The part of that which needs the loop's thread. Loops that post to each other are destroyed when
 * all of them are closed: the bell of a last message may ring late, at a descriptor that must not
 * be somebody else's by then. */
void engine_loop_close(struct engine_loop *loop);

void engine_loop_turn(struct engine_loop *loop);

/* Read once per turn, so all handlers of a turn see the same time. */
uint64_t engine_loop_now_ms(const struct engine_loop *loop);
time_t engine_loop_wall_s(const struct engine_loop *loop);

/* What carries out the requests; a test gets at its simulator with CONTAINER_OF. */
struct engine_backend *engine_loop_backend(struct engine_loop *loop);

/* Sockets, listeners, polls and file requests that have not had their last event; 0 means that
 * the loop may be destroyed. */
unsigned engine_loop_owners(const struct engine_loop *loop);

/* A task is embedded in its owner, zeroed at first. */
struct engine_task {
    struct list_node node;
    void (*handler)(struct engine_task *task);
};

/* Runs task->handler once, after the completions of this turn (from a task: of the next turn).
 * A task that is already waiting is not queued twice. */
void engine_loop_defer(struct engine_loop *loop, struct engine_task *task,
                       void (*handler)(struct engine_task *task));
void engine_loop_defer_cancel(struct engine_loop *loop, struct engine_task *task);

struct engine_counters {
    uint64_t turns;
    uint64_t enters;
    uint64_t completions;
    uint64_t completions_late; /* dropped: their owner is gone */
    uint64_t cq_overflows;
    uint64_t recvs;
    uint64_t recv_bytes;
    uint64_t recvs_starved; /* ENOBUFS: no buffer was free */
    uint64_t sends;
    uint64_t send_bytes;
    uint64_t sends_short;
    uint64_t accepts;
    uint64_t accepts_failed;
    uint64_t accept_pauses; /* out of descriptors or memory: waited before trying again */
    uint64_t connects;
    uint64_t closes;
    uint64_t file_requests;
    uint64_t timers_fired;
    uint64_t messages;
    uint64_t doorbells; /* rung by this loop */
};

/* In the loop's thread. */
void engine_loop_counters(const struct engine_loop *loop, struct engine_counters *counters_out);
