#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/backoff.h"

static void the_interval_doubles_up_to_the_maximum_within_ten_percent(void **unused)
{
    static const struct {
        uint64_t initial_ms, max_ms;
        unsigned failed_before;
        uint64_t mean_ms;
    } cases[] = {
        { 60000, 3600000, 0, 60000 },
        { 60000, 3600000, 1, 120000 },
        { 60000, 3600000, 5, 1920000 },
        { 60000, 3600000, 6, 3600000 },
        { 60000, 3600000, 65535, 3600000 },
        { 60000, 60000, 2, 60000 },
        { 7200000, 3600000, 0, 3600000 }, /* the maximum goes before the start */
        { 0, 0, 0, DELIVERY_RETRY_MS_MIN },
        { 0, 3600000, 3, 8 * DELIVERY_RETRY_MS_MIN },
        { UINT64_MAX, UINT64_MAX, 9, DELIVERY_RETRY_MS_MAX },
        { 60000, UINT64_MAX, 65535, DELIVERY_RETRY_MS_MAX },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct delivery_profile p = { .retry_initial_ms = cases[i].initial_ms,
                                      .retry_ms_max = cases[i].max_ms };
        uint64_t mean = cases[i].mean_ms, low = UINT64_MAX, high = 0;

        for (uint64_t seed = 0; seed < 1000; seed++) {
            uint64_t wait = delivery_backoff_ms(&p, cases[i].failed_before, seed);

            assert_in_range(wait, mean - mean / 10, mean + mean / 10);
            low = wait < low ? wait : low;
            high = wait > high ? wait : high;
        }
        /* The jitter is there, on both sides. */
        assert_true(low < mean - mean / 20 && high > mean + mean / 20);
    }
}

static void the_same_seed_gives_the_same_interval(void **unused)
{
    struct delivery_profile p = { .retry_initial_ms = 60000, .retry_ms_max = 3600000 };

    (void)unused;
    for (uint64_t seed = 0; seed < 100; seed++)
        assert_int_equal(delivery_backoff_ms(&p, 2, seed), delivery_backoff_ms(&p, 2, seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interval_doubles_up_to_the_maximum_within_ten_percent),
        cmocka_unit_test(the_same_seed_gives_the_same_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
