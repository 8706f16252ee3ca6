#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "engine/signals.h"
#include "engine/thread.h"

struct worker {
    struct engine_thread thread;
    char name[ENGINE_THREAD_NAME_MAX];
    int cpus;
    bool term_is_blocked;
};

static void look_around(struct engine_thread *thread)
{
    struct worker *w = CONTAINER_OF(thread, struct worker, thread);
    cpu_set_t set;
    sigset_t blocked;

    (void)pthread_getname_np(pthread_self(), w->name, sizeof(w->name));
    (void)sched_getaffinity(0, sizeof(set), &set);
    w->cpus = CPU_COUNT(&set);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    w->term_is_blocked = sigismember(&blocked, SIGTERM) == 1;
}

static void a_thread_has_its_name_and_its_processor(void **unused)
{
    static const struct {
        int cpu;
        bool pinned;
    } cases[] = { { 0, true }, { 1, true }, { 12345, true }, { ENGINE_THREAD_ANY_CPU, false } };

    (void)unused;
    assert_true(engine_thread_cpus() >= 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct worker w = { .cpus = 0 };

        engine_thread_join(&w.thread); /* was never started */
        assert_int_equal(
            engine_thread_start(&w.thread, "a rather long name", cases[i].cpu, look_around),
            STATUS_OK);
        engine_thread_join(&w.thread);
        engine_thread_join(&w.thread);
        assert_string_equal(w.name, "a rather long n");
        assert_int_equal(w.cpus, cases[i].pinned ? 1 : (int)engine_thread_cpus());
        assert_true(w.term_is_blocked);
    }
}

static void a_signal_waits_until_it_is_fetched(void **unused)
{
    static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1 };

    (void)unused;
    engine_signals_block();
    assert_int_equal(engine_signals_wait(0), 0);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        assert_int_equal(kill(getpid(), numbers[i]), 0);
        assert_int_equal(engine_signals_wait(1000), numbers[i]);
    }
    assert_int_equal(kill(getpid(), SIGPIPE), 0); /* ignored */
    assert_int_equal(engine_signals_wait(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_its_name_and_its_processor),
        cmocka_unit_test(a_signal_waits_until_it_is_fetched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
