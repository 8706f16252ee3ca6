#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/hash.h"
#include "engine/timer.h"

#define TIMERS 200
#define STEPS  4000

/* What the wheel should do, done the slow way. */
struct naive {
    bool running;
    uint64_t due_tick;
};

struct run {
    struct engine_wheel wheel;
    struct engine_timer timers[TIMERS];
    struct naive naive[TIMERS];
    uint64_t now_ms;
    uint64_t seed;
};

static uint64_t next(struct run *r)
{
    r->seed += 0x9e3779b97f4a7c15ull;
    return hash_number(r->seed);
}

/* Delays of every size: each level of the wheel gets its share. */
static uint64_t pick_delay(struct run *r)
{
    uint64_t bits = next(r) % 34;

    return next(r) & ((1ull << bits) - 1);
}

static void start_one(struct run *r, unsigned i)
{
    uint64_t delay_ms = pick_delay(r);
    uint64_t cut_ms = delay_ms < ENGINE_DELAY_MS_MAX ? delay_ms : ENGINE_DELAY_MS_MAX;
    uint64_t due = (r->now_ms + cut_ms + ENGINE_TICK_MS - 1) / ENGINE_TICK_MS;

    engine_wheel_start(&r->wheel, &r->timers[i], r->now_ms, delay_ms);
    r->naive[i].running = true;
    r->naive[i].due_tick = due > r->now_ms / ENGINE_TICK_MS ? due : r->now_ms / ENGINE_TICK_MS + 1;
}

static void stop_one(struct run *r, unsigned i)
{
    engine_wheel_stop(&r->wheel, &r->timers[i]);
    r->naive[i].running = false;
}

static uint64_t naive_wait_ms(const struct run *r)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++)
        if (r->naive[i].running && r->naive[i].due_tick * ENGINE_TICK_MS < first)
            first = r->naive[i].due_tick * ENGINE_TICK_MS;
    return first == UINT64_MAX ? first : first - r->now_ms;
}

/* Every timer that fires was due and has run; afterwards none that is due still runs. */
static void advance(struct run *r, uint64_t by_ms)
{
    struct engine_timer *t;
    uint64_t last_tick = 0;

    r->now_ms += by_ms;
    engine_wheel_advance(&r->wheel, r->now_ms);
    while ((t = engine_wheel_take(&r->wheel)) != NULL) {
        unsigned i = (unsigned)(t - r->timers);

        assert_true(r->naive[i].running);
        assert_true(r->naive[i].due_tick * ENGINE_TICK_MS <= r->now_ms);
        assert_true(r->naive[i].due_tick >= last_tick);
        last_tick = r->naive[i].due_tick;
        r->naive[i].running = false;
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_false(r->naive[i].running && r->naive[i].due_tick <= r->now_ms / ENGINE_TICK_MS);
        assert_int_equal(engine_timer_is_running(&r->timers[i]), r->naive[i].running);
    }
}

static void compare_with_a_naive_list(uint64_t seed, uint64_t start_ms)
{
    static struct run r;

    r = (struct run){ .now_ms = start_ms, .seed = seed };
    engine_wheel_init(&r.wheel, start_ms);
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t wait_ms;

        switch (next(&r) % 4) {
        case 0:
        case 1: start_one(&r, (unsigned)(next(&r) % TIMERS)); break;
        case 2: stop_one(&r, (unsigned)(next(&r) % TIMERS)); break;
        default: advance(&r, pick_delay(&r) >> (next(&r) % 20)); break;
        }
        wait_ms = engine_wheel_wait_ms(&r.wheel, r.now_ms);
        assert_true(wait_ms <= naive_wait_ms(&r));
        assert_true((wait_ms == UINT64_MAX) == (naive_wait_ms(&r) == UINT64_MAX));
    }
}

static void the_wheel_does_what_a_sorted_list_would_do(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        compare_with_a_naive_list(seed * 7919, seed * 1234567);
        compare_with_a_naive_list(seed * 7919, (1ull << 40) - 5000 + seed);
    }
}

/* Sleeping as long as the wheel says, again and again, must bring each timer in its tick. */
static void waiting_as_told_brings_a_timer_in_its_tick(void **unused)
{
    static const uint64_t delays_ms[] = {
        0,     1,     9,      10,    11,     630,     640,      650,       40950,
        40960, 41000, 300000, 86400, 999999, 2621440, 86400000, 604800000, ENGINE_DELAY_MS_MAX
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(delays_ms); i++) {
        struct engine_wheel w;
        struct engine_timer t = { .due_tick = 0 };
        uint64_t start_ms = 123456789 + i;
        uint64_t now_ms = start_ms;
        unsigned waits = 0;

        engine_wheel_init(&w, now_ms);
        engine_wheel_start(&w, &t, now_ms, delays_ms[i]);
        while (engine_timer_is_running(&t)) {
            uint64_t wait_ms = engine_wheel_wait_ms(&w, now_ms);

            assert_true(wait_ms != UINT64_MAX);
            assert_true(waits++ < 3 * ENGINE_WHEEL_LEVELS);
            now_ms += wait_ms;
            engine_wheel_advance(&w, now_ms);
            (void)engine_wheel_take(&w);
        }
        assert_true(now_ms >= start_ms + delays_ms[i]);
        assert_true(now_ms <= start_ms + delays_ms[i] + ENGINE_TICK_MS);
        assert_true(engine_wheel_wait_ms(&w, now_ms) == UINT64_MAX);
    }
}

static void a_timer_that_is_due_can_still_be_stopped_or_moved(void **unused)
{
    struct engine_wheel w;
    struct engine_timer a = { .due_tick = 0 };
    struct engine_timer b = { .due_tick = 0 };

    (void)unused;
    engine_wheel_init(&w, 1000);
    engine_wheel_start(&w, &a, 1000, 50);
    engine_wheel_start(&w, &b, 1000, 50);
    engine_wheel_advance(&w, 2000);
    engine_wheel_stop(&w, &a);
    engine_wheel_start(&w, &b, 2000, 500);
    assert_null(engine_wheel_take(&w));
    assert_int_equal(engine_wheel_wait_ms(&w, 2000), 500);
    engine_wheel_advance(&w, 2500);
    assert_ptr_equal(engine_wheel_take(&w), &b);
    assert_null(engine_wheel_take(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_does_what_a_sorted_list_would_do),
        cmocka_unit_test(waiting_as_told_brings_a_timer_in_its_tick),
        cmocka_unit_test(a_timer_that_is_due_can_still_be_stopped_or_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
