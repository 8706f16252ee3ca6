#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "engine/core.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

static struct engine_loop *fake_loop(void)
{
    struct engine_loop_options options = { .backend = &fake_backend_ops };

    return peer_loop(&options);
}

struct step {
    struct engine_task task;
    struct engine_timer timer;
    struct engine_message message;
    struct engine_loop *loop;
    unsigned runs;
    unsigned order; /* the place in which it last ran */
    unsigned *count;
    bool again;
};

static void run(struct step *s)
{
    s->runs++;
    s->order = ++*s->count;
}

static void run_task(struct engine_task *task)
{
    struct step *s = CONTAINER_OF(task, struct step, task);

    run(s);
    if (s->again)
        engine_loop_defer(s->loop, task, run_task);
}

static void run_timer(struct engine_timer *timer)
{
    struct step *s = CONTAINER_OF(timer, struct step, timer);

    run(s);
    if (s->again)
        engine_timer_start(s->loop, timer, 0, run_timer);
}

static void run_message(struct engine_loop *here, struct engine_message *m)
{
    struct step *s = CONTAINER_OF(m, struct step, message);

    run(s);
    if (s->again)
        engine_mailbox_post(here, here, m);
}

static void a_turn_runs_messages_then_timers_then_tasks(void **unused)
{
    struct engine_loop *loop = fake_loop();
    unsigned count = 0;
    struct step task = { .loop = loop, .count = &count };
    struct step timer = task;
    struct step message = task;

    (void)unused;
    message.message.deliver = run_message;
    engine_loop_defer(loop, &task.task, run_task);
    engine_loop_defer(loop, &task.task, run_task);
    engine_timer_start(loop, &timer.timer, 5, run_timer);
    engine_mailbox_post(loop, loop, &message.message);
    fake_backend_of(loop)->now_ms += 20;
    engine_loop_turn(loop);
    assert_int_equal(message.order, 1);
    assert_int_equal(timer.order, 2);
    assert_int_equal(task.order, 3);
    assert_int_equal(count, 3);
    engine_loop_destroy(loop);
}

/* Whatever starts itself anew from its own handler runs once in each turn, and no turn waits
 * while there is something to do. */
static void what_comes_again_comes_in_the_next_turn(void **unused)
{
    struct engine_loop *loop = fake_loop();
    unsigned count = 0;
    struct step task = { .loop = loop, .count = &count, .again = true };
    struct step message = task;
    uint64_t begun_ms = engine_loop_now_ms(loop);

    (void)unused;
    message.message.deliver = run_message;
    engine_loop_defer(loop, &task.task, run_task);
    engine_mailbox_post(loop, loop, &message.message);
    for (unsigned turn = 1; turn <= 5; turn++) {
        engine_loop_turn(loop);
        assert_int_equal(task.runs, turn);
        assert_true(message.runs >= turn); /* within its budget it may come more often */
    }
    assert_int_equal(engine_loop_now_ms(loop), begun_ms);
    message.again = false;
    engine_loop_defer_cancel(loop, &task.task);
    engine_loop_turn(loop);
    assert_int_equal(task.runs, 5);
    engine_loop_destroy(loop);
}

static void a_loop_sleeps_until_its_next_timer(void **unused)
{
    static const uint64_t delays_ms[] = { 0, 1, 10, 300, 59000, 61000, 3600000 };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(delays_ms); i++) {
        unsigned count = 0;
        struct step timer = { .loop = loop, .count = &count };
        uint64_t begun_ms = engine_loop_now_ms(loop);
        unsigned waits = f->waits;

        engine_timer_start(loop, &timer.timer, delays_ms[i], run_timer);
        peer_turn_until(loop, &count, 1);
        assert_true(engine_loop_now_ms(loop) - begun_ms >= delays_ms[i]);
        assert_true(engine_loop_now_ms(loop) - begun_ms <= delays_ms[i] + ENGINE_TICK_MS);
        assert_true(f->waits - waits <= 6 + delays_ms[i] / ENGINE_WAIT_MS_MAX);
        engine_timer_stop(loop, &timer.timer);
    }
    engine_loop_destroy(loop);
}

static void a_bell_that_the_ring_cannot_carry_is_rung_by_hand(void **unused)
{
    static const int errors[] = { 0, EOVERFLOW, EBADFD };
    struct engine_loop *from = fake_loop();
    struct engine_loop *to = fake_loop();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        unsigned count = 0;
        struct step message = { .count = &count, .message = { .deliver = run_message } };

        fake_bells_rung = 0;
        fake_backend_of(from)->wake_error = errors[i];
        atomic_store(&to->mailbox.asleep, true);
        engine_mailbox_post(to, from, &message.message);
        peer_poll(from);
        assert_int_equal(fake_bells_rung, errors[i] != 0);
        engine_loop_turn(to);
        assert_int_equal(count, 1);
    }
    engine_loop_destroy(from);
    engine_loop_destroy(to);
}

static void more_messages_than_the_budget_take_more_turns(void **unused)
{
    enum { EXTRA = 10 };
    static struct step steps[ENGINE_MESSAGES_BUDGET + EXTRA];
    struct engine_loop *loop = fake_loop();
    uint64_t begun_ms = engine_loop_now_ms(loop);
    unsigned count = 0;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        steps[i] = (struct step){ .count = &count, .message = { .deliver = run_message } };
        engine_mailbox_post(loop, loop, &steps[i].message);
    }
    engine_loop_turn(loop);
    assert_int_equal(count, ENGINE_MESSAGES_BUDGET);
    engine_loop_turn(loop);
    assert_int_equal(count, ENGINE_MESSAGES_BUDGET + EXTRA);
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
        assert_int_equal(steps[i].order, i + 1);
    assert_int_equal(engine_loop_now_ms(loop), begun_ms);
    engine_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_runs_messages_then_timers_then_tasks),
        cmocka_unit_test(what_comes_again_comes_in_the_next_turn),
        cmocka_unit_test(a_loop_sleeps_until_its_next_timer),
        cmocka_unit_test(a_bell_that_the_ring_cannot_carry_is_rung_by_hand),
        cmocka_unit_test(more_messages_than_the_budget_take_more_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
