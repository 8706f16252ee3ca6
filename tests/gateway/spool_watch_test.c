#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>

#include "base/clock.h"
#include "gateway/spool_watch.h"

#define FAR_MS ((uint64_t)1 << 40)

static struct gateway_process process;
static sem_t begun, may_end;
static unsigned looks;

/* From the second on, it waits until it may end. */
static void look(struct gateway_spool_watch *watch, struct gateway_spool_facts *facts)
{
    assert_ptr_equal(watch->process, &process);
    looks++;
    facts->quarantined++;
    facts->is_low = looks == 1;
    if (looks == 1)
        return;
    assert_int_equal(sem_post(&begun), 0);
    while (sem_wait(&may_end) != 0)
        ;
}

static int setup(void **unused)
{
    (void)unused;
    looks = 0;
    return sem_init(&begun, 0, 0) != 0 || sem_init(&may_end, 0, 0) != 0;
}

static int teardown(void **unused)
{
    (void)unused;
    return sem_destroy(&begun) != 0 || sem_destroy(&may_end) != 0;
}

static void a_look_that_hangs_holds_nobody(void **unused)
{
    struct gateway_spool_watch watch;
    struct gateway_spool_facts facts;
    uint64_t now_ms;

    (void)unused;
    gateway_spool_watch_init(&watch, &process, look);
    watch.rest_ms = 0;
    assert_int_equal(gateway_spool_watch_start(&watch), STATUS_OK);
    facts = gateway_spool_watch_facts(&watch, 0);
    assert_true(facts.is_low && !facts.is_silent);
    assert_int_equal(facts.quarantined, 1);

    while (sem_wait(&begun) != 0)
        ;
    now_ms = clock_monotonic_ms();
    facts = gateway_spool_watch_facts(&watch, now_ms);
    assert_true(facts.is_low && !facts.is_silent); /* as they were found before */
    facts = gateway_spool_watch_facts(&watch, now_ms + GATEWAY_SPOOL_SILENT_MS + 1);
    assert_true(facts.is_low && facts.is_silent);
    gateway_spool_watch_set_limits(&watch, 1, 1);
    assert_false(gateway_spool_watch_stop(&watch, 0));

    assert_int_equal(sem_post(&may_end), 0);
    assert_true(gateway_spool_watch_stop(&watch, GATEWAY_SPOOL_STOP_MS));
    facts = gateway_spool_watch_facts(&watch, FAR_MS);
    assert_true(!facts.is_low && !facts.is_silent);
    assert_int_equal(facts.quarantined, 2);
    assert_int_equal(looks, 2);
    gateway_spool_watch_finish(&watch);
}

static void one_that_was_not_started_can_be_stopped(void **unused)
{
    struct gateway_spool_watch watch;

    (void)unused;
    gateway_spool_watch_init(&watch, &process, look);
    assert_false(gateway_spool_watch_facts(&watch, FAR_MS).is_silent);
    assert_true(gateway_spool_watch_stop(&watch, 0));
    assert_int_equal(looks, 0);
    gateway_spool_watch_finish(&watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_look_that_hangs_holds_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_was_not_started_can_be_stopped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
