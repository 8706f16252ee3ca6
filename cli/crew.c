#include "cli/crew.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "base/hash.h"

enum hand_state {
    HAND_STARTING,
    HAND_FAILED,
    HAND_RUNS,
    HAND_DONE /* but its thread turns on until it is joined: orders may still be on their way */
};

static void run(struct engine_thread *thread)
{
    struct cli_hand *hand = CONTAINER_OF(thread, struct cli_hand, thread);
    struct engine_loop_options options = { 0 };

    if (engine_loop_create(&options, &hand->loop, &hand->reason) != STATUS_OK) {
        atomic_store(&hand->state, HAND_FAILED);
        return;
    }
    atomic_store(&hand->state, HAND_RUNS);
    hand->handlers->begin(hand);
    while (!hand->is_leaving || atomic_load(&hand->state) != HAND_DONE) {
        engine_loop_turn(hand->loop);
        hand->handlers->turned(hand);
        if (engine_loop_owners(hand->loop) == 0 && hand->handlers->is_done(hand))
            atomic_store(&hand->state, HAND_DONE);
    }
    engine_loop_destroy(hand->loop);
}

enum status cli_hand_start(struct cli_hand *hand, unsigned index,
                           const struct cli_hand_handlers *handlers,
                           struct engine_reason *reason_out)
{
    char name[ENGINE_THREAD_NAME_MAX];
    enum status status;

    ASSERT(index < CLI_CREW_MAX);
    hand->index = index;
    hand->handlers = handlers;
    (void)snprintf(name, sizeof(name), "hand %u", index % 1000);
    status = engine_thread_start(&hand->thread, name, (int)index, run);
    if (status != STATUS_OK) {
        (void)snprintf(reason_out->text, sizeof(reason_out->text), "thread: %s",
                       status_text(status));
        return status;
    }
    while (atomic_load(&hand->state) == HAND_STARTING)
        (void)sched_yield();
    if (atomic_load(&hand->state) != HAND_FAILED)
        return STATUS_OK;
    engine_thread_join(&hand->thread);
    *reason_out = hand->reason;
    return STATUS_UNSUPPORTED;
}

static void deliver_stop(struct engine_loop *here, struct engine_message *m)
{
    struct cli_hand *hand = CONTAINER_OF(m, struct cli_hand, order_stop);

    (void)here;
    hand->handlers->stop(hand, false);
}

static void deliver_reset(struct engine_loop *here, struct engine_message *m)
{
    struct cli_hand *hand = CONTAINER_OF(m, struct cli_hand, order_reset);

    (void)here;
    hand->handlers->stop(hand, true);
}

static void deliver_leave(struct engine_loop *here, struct engine_message *m)
{
    struct cli_hand *hand = CONTAINER_OF(m, struct cli_hand, order_leave);

    (void)here;
    hand->is_leaving = true;
}

static void post(struct cli_hand *hand, struct engine_message *order,
                 void (*deliver)(struct engine_loop *here, struct engine_message *m))
{
    order->deliver = deliver;
    engine_mailbox_post(hand->loop, NULL, order);
}

void cli_hand_stop(struct cli_hand *hand)
{
    if (!hand->thread.started || hand->is_stop_posted)
        return;
    hand->is_stop_posted = true;
    post(hand, &hand->order_stop, deliver_stop);
}

void cli_hand_reset(struct cli_hand *hand)
{
    if (!hand->thread.started || hand->is_reset_posted)
        return;
    hand->is_reset_posted = true;
    post(hand, &hand->order_reset, deliver_reset);
}

bool cli_hand_is_done(const struct cli_hand *hand)
{
    return !hand->thread.started || atomic_load(&hand->state) == HAND_DONE;
}

void cli_hand_join(struct cli_hand *hand)
{
    if (!hand->thread.started)
        return;
    post(hand, &hand->order_leave, deliver_leave);
    engine_thread_join(&hand->thread);
}

uint64_t cli_raise_files_max(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    return getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;

    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t cli_random(void)
{
    uint64_t bits = 0;

    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        bits = hash_number(cli_now_ns());
    return bits;
}
