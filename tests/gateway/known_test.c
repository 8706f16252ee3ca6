#include "gateway/known.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/slice.h"

static void test_what_is_known_is_merged_as_the_spool_does_it(void **state)
{
    static const struct spool_result said[] = {
        { .rid = 7, .state = SPOOL_RESULT_DEFERRED, .attempts = 2, .next_attempt_wall_s = 100 },
        { .rid = 7, .state = SPOOL_RESULT_DEFERRED, .warned_wall_s = 50, .warnings = 1 },
        { .rid = 7, .state = SPOOL_RESULT_DEFERRED, .attempts = 3, .next_attempt_wall_s = 99 },
        { .rid = 7, .state = SPOOL_RESULT_DEFERRED, .attempts = 3, .holds = 5 },
        { .rid = 7, .state = SPOOL_RESULT_BOUNCED, .attempts = 1 },
        { .rid = 7, .state = SPOOL_RESULT_DEFERRED, .attempts = 9 },
    };
    struct gateway_known known = { 0 };
    struct spool_result merged = { .rid = 7 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        struct spool_result r;

        gateway_known_merge(&known, &said[i]);
        spool_result_merge(&merged, &said[i]);
        r = gateway_known_result(&known, 7);
        assert_int_equal(r.rid, 7);
        assert_int_equal(r.state, merged.state);
        assert_int_equal(r.attempts, merged.attempts);
        assert_int_equal(r.next_attempt_wall_s, merged.next_attempt_wall_s);
        assert_int_equal(r.warnings, merged.warnings);
        assert_int_equal(r.holds, 0);
    }
}

static void test_what_is_too_large_is_the_largest_that_fits(void **state)
{
    static const struct {
        uint32_t attempts, kept_attempts;
        int64_t next_s, kept_next_s;
    } cases[] = {
        { 65535, 65535, UINT32_MAX, UINT32_MAX },
        { 65536, 65535, INT64_C(1) << 32, UINT32_MAX },
        { UINT32_MAX, 65535, INT64_MAX, UINT32_MAX },
        { 1, 1, INT64_MIN, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct spool_result said = { .state = SPOOL_RESULT_DEFERRED,
                                           .attempts = cases[i].attempts,
                                           .next_attempt_wall_s = cases[i].next_s };
        struct gateway_known known = { 0 };
        struct spool_result r;

        gateway_known_merge(&known, &said);
        r = gateway_known_result(&known, 0);
        assert_int_equal(r.attempts, cases[i].kept_attempts);
        assert_int_equal(r.next_attempt_wall_s, cases[i].kept_next_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_known_is_merged_as_the_spool_does_it),
        cmocka_unit_test(test_what_is_too_large_is_the_largest_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
