#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/sink_options.h"
#include "cli/sink_store.h"

static void stuffing_is_taken_off_wherever_the_body_is_cut(void **unused)
{
    static const struct row {
        const char *stuffed;
        const char *expected;
    } rows[] = {
        { "", "" },
        { "..\r\n", ".\r\n" },
        { "..a\r\nb.\r\n...\r\n", ".a\r\nb.\r\n..\r\n" },
        { "a..b\r\n\r\n..\r\n", "a..b\r\n\r\n.\r\n" },
        { "a\n..b\r..c\r\n", "a\n.b\r..c\r\n" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice whole = slice_from(rows[i].stuffed);

        for (size_t first = 0; first <= whole.len; first++) {
            for (size_t second = first; second <= whole.len; second++) {
                struct slice pieces[] = { slice_first(whole, first),
                                          slice_after(slice_first(whole, second), first),
                                          slice_after(whole, second) };
                bool at_line_start = true;
                struct buffer out;

                buffer_init(&out, 100);
                for (size_t p = 0; p < ARRAY_LEN(pieces); p++)
                    assert_int_equal(sink_store_unstuff(pieces[p], &at_line_start, &out),
                                     STATUS_OK);
                assert_true(slice_equal(buffer_contents(&out), slice_from(rows[i].expected)));
                buffer_finish(&out);
            }
        }
    }
}

static void a_pattern_refuses_what_it_matches_in_any_case(void **unused)
{
    static const struct sink_options o = { .rejects = { "*@bad.example", "root@*" },
                                           .rejects_count = 2 };
    static const struct row {
        const char *recipient;
        bool is_rejected;
    } rows[] = {
        { "a@bad.example", true },
        { "A@BAD.EXAMPLE", true },
        { "root@good.example", true },
        { "a@good.example", false },
        { "", false },
        { "a@bad.example.org", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(sink_options_rejects(&o, slice_from(rows[i].recipient)),
                         rows[i].is_rejected);
}

static void as_many_fail_as_the_rate_says(void **unused)
{
    static const uint32_t rates[] = { 0, 10000, 100000, 500000, 1000000 };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct sink_options o = { .fail_millionth = rates[i], .seed = 5 };
        uint32_t failed = 0, expected = rates[i] / 10;

        for (uint64_t n = 0; n < 100000; n++)
            failed += sink_options_fails(&o, n) ? 1 : 0;
        assert_in_range(failed, expected - expected / 5, expected + expected / 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stuffing_is_taken_off_wherever_the_body_is_cut),
        cmocka_unit_test(a_pattern_refuses_what_it_matches_in_any_case),
        cmocka_unit_test(as_many_fail_as_the_rate_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
