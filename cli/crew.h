/* cli/crew.h - the threads of the sink and of the load generator.
 *
 * A crew is a few hands: each is one thread with one loop, embedded in what the program keeps for
 * each thread. The supervisor's thread starts them, waits for signals, asks for the state now and
 * then, tells them to stop, and joins them:
 *
 *     init -> start -> (stop, reset) -> cli_hand_is_done() ... -> cli_hand_join()
 *
 * All handlers run in the hand's own thread.
 */
#pragma once
#include "engine/loop.h"
#include "engine/mailbox.h"
#include "engine/thread.h"

#define CLI_CREW_MAX 64

struct cli_hand;

struct cli_hand_handlers {
    void (*begin)(struct cli_hand *hand);  /* first of all; the loop is there */
    void (*turned)(struct cli_hand *hand); /* after each turn of the loop */

    /* Finish what is under way and begin nothing. The second one, with at_once, drops all. */
    void (*stop)(struct cli_hand *hand, bool at_once);

    /* Nothing is left to do; asked after each turn. */
    bool (*is_done)(const struct cli_hand *hand);
};

struct cli_hand { /* Fields are private, but for loop and index, which the handlers may read. */
    struct engine_thread thread;
    struct engine_loop *loop;
    const struct cli_hand_handlers *handlers;
    unsigned index;
    struct engine_message order_stop;
    struct engine_message order_reset;
    struct engine_message order_leave;
    bool is_stop_posted; /* the supervisor's */
    bool is_reset_posted;
    bool is_leaving; /* the hand's */
    _Atomic int state;
    struct engine_reason reason;
};

/* Starts the thread and waits until its loop is there. On failure *reason_out says why. */
MUST_USE enum status cli_hand_start(struct cli_hand *hand, unsigned index,
                                    const struct cli_hand_handlers *handlers,
                                    struct engine_reason *reason_out);

/* Each may be called more than once, and on a hand that was not started. */
void cli_hand_stop(struct cli_hand *hand);
void cli_hand_reset(struct cli_hand *hand);

bool cli_hand_is_done(const struct cli_hand *hand);

/* Waits for the end of a hand that is done, or that was told to reset. Accepts one that was not
 * started. */
void cli_hand_join(struct cli_hand *hand);

/* As many open files as the system allows. Returns that number. */
uint64_t cli_raise_files_max(void);

/* Nanoseconds from an arbitrary start, for latencies: an engine's clock stands still in a turn. */
uint64_t cli_now_ns(void);

/* Random bits of the system, for identifiers and for seeds that nobody gave. */
uint64_t cli_random(void);
