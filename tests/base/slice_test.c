#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

static void numbers_are_read_up_to_their_maximum(void **unused)
{
    static const struct {
        struct slice text;
        uint64_t max;
        bool is_number;
        uint64_t value;
    } cases[] = {
        { SLICE("0"), 0, true, 0 },
        { SLICE("1"), 0, false, 0 },
        { SLICE("9"), 2, false, 0 },
        { SLICE("2"), 2, true, 2 },
        { SLICE("3"), 2, false, 0 },
        { SLICE("20"), 2, false, 0 },
        { SLICE("0002"), 2, true, 2 },
        { SLICE("10"), 10, true, 10 },
        { SLICE("11"), 10, false, 0 },
        { SLICE("19"), 19, true, 19 },
        { SLICE("99"), 98, false, 0 },
        { SLICE("18446744073709551615"), UINT64_MAX, true, UINT64_MAX },
        { SLICE("18446744073709551616"), UINT64_MAX, false, 0 },
        { SLICE("99999999999999999999"), UINT64_MAX, false, 0 },
        { SLICE(""), 9, false, 0 },
        { SLICE("-1"), 9, false, 0 },
        { SLICE("1 "), 9, false, 0 },
        { SLICE("/"), 99, false, 0 },
        { SLICE(":"), 99, false, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t value = 0;

        if (slice_to_number(cases[i].text, cases[i].max, &value) != cases[i].is_number ||
            value != cases[i].value)
            fail_msg("%.*s up to %llu", SLICE_ARGS(cases[i].text),
                     (unsigned long long)cases[i].max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_up_to_their_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
