#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/counters.h"

static void sums_run_over_all_workers_and_gauges_never_look_negative(void **unused)
{
    static struct observe_counters a, b;
    const struct observe_counters *sets[] = { &a, &b };
    uint64_t sums[OBSERVE_COUNTERS_COUNT];

    (void)unused;
    observe_counters_init(&a);
    observe_counters_init(&b);
    observe_count(&a, OBSERVE_MESSAGES_ACCEPTED, 3);
    observe_count(&b, OBSERVE_MESSAGES_ACCEPTED, 4);
    observe_count(&a, OBSERVE_CONNECTIONS_IN_NOW, 2);
    observe_uncount(&b, OBSERVE_CONNECTIONS_IN_NOW, 1);
    observe_uncount(&b, OBSERVE_MESSAGES_NOW, 1);
    observe_counters_sum(sets, ARRAY_LEN(sets), sums);
    assert_int_equal(sums[OBSERVE_MESSAGES_ACCEPTED], 7);
    assert_int_equal(sums[OBSERVE_CONNECTIONS_IN_NOW], 1);
    assert_int_equal(sums[OBSERVE_MESSAGES_NOW], 0);
    assert_int_equal(sums[OBSERVE_SPOOL_COMMITS], 0);
    assert_int_equal(sums[OBSERVE_SPOOL_BYTES], 0);
    observe_counters_sum(sets, 0, sums);
    assert_int_equal(sums[OBSERVE_MESSAGES_ACCEPTED], 0);
}

static void every_counter_has_a_name_of_its_own(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < OBSERVE_COUNTERS_COUNT; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(observe_counter_name(i), observe_counter_name(k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_run_over_all_workers_and_gauges_never_look_negative),
        cmocka_unit_test(every_counter_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
