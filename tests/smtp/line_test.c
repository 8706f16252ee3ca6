#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtp/line.h"

/* "(line)" for each line, "!" for a lone LF, "L" for a line too long, "E" for one without end. */
static void cut(struct slice text, size_t first, size_t second, struct buffer *log)
{
    struct slice pieces[3] = { slice_first(text, first),
                               slice_after(slice_first(text, second), first),
                               slice_after(text, second) };
    struct smtp_line l;

    smtp_line_init(&l);
    for (int i = 0; i < 3; i++) {
        while (pieces[i].len > 0) {
            struct slice line = { NULL, 0 };
            size_t used;
            enum smtp_line_result result = smtp_line_next(&l, pieces[i], &used, &line);

            assert_true(used > 0 && used <= pieces[i].len);
            pieces[i] = slice_after(pieces[i], used);
            if (result == SMTP_LINE_DONE)
                assert_int_equal(buffer_printf(log, "(%.*s)", SLICE_ARGS(line)), STATUS_OK);
            if (result == SMTP_LINE_BARE_LF)
                assert_int_equal(buffer_append_text(log, "!"), STATUS_OK);
            if (result == SMTP_LINE_TOO_LONG)
                assert_int_equal(buffer_append_text(log, "L"), STATUS_OK);
            if (result == SMTP_LINE_ENDLESS) {
                assert_int_equal(buffer_append_text(log, "E"), STATUS_OK);
                smtp_line_finish(&l);
                return;
            }
        }
    }
    smtp_line_finish(&l);
}

static void expect(struct slice text, size_t step, const char *expected)
{
    for (size_t i = 0; i <= text.len; i += step) {
        for (size_t j = i; j <= text.len; j += step) {
            struct buffer log;

            buffer_init(&log, 1024 * 1024);
            cut(text, i, j, &log);
            assert_true(slice_equal(buffer_contents(&log), slice_from(expected)));
            buffer_finish(&log);
        }
    }
}

static void only_crlf_ends_a_line_wherever_it_is_cut(void **unused)
{
    static const struct {
        const char *text, *lines;
    } cases[] = {
        { "a\r\nbc\r\n", "(a)(bc)" },
        { "\r\n\r\n", "()()" },
        { "a", "" },
        { "a\nb\r\n", "!(a\nb)" },
        { "a\rb\r\n", "(a\rb)" },
        { "\n", "!" },
        { "\n\r\n", "!(\n)" },
        { "\r\r\n", "(\r)" },
        { "\r\n\n\r\n", "()!(\n)" },
        { "a\r\n\rb\n\r\n", "(a)!(\rb\n)" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(slice_from(cases[i].text), 1, cases[i].lines);
}

static void overlong_lines_are_skipped_not_kept(void **unused)
{
    static char text[SMTP_LINE_SKIP_BYTES_MAX + 10];

    (void)unused;
    memset(text, 'x', sizeof(text));
    memcpy(text + 3000, "\r\nNOOP\r\n", 8);
    expect((struct slice){ text, 3008 }, 111, "L(NOOP)");
    memcpy(text + 2500, "\n", 1);
    expect((struct slice){ text, 3008 }, 111, "!L(NOOP)");
    memset(text, 'x', sizeof(text));
    expect((struct slice){ text, sizeof(text) }, 20000, "E");
}

static void memory_is_held_only_while_a_line_is_unfinished(void **unused)
{
    struct smtp_line l;
    struct slice line;
    size_t used;

    (void)unused;
    smtp_line_init(&l);
    assert_int_equal(smtp_line_next(&l, SLICE("NOOP\r\n"), &used, &line), SMTP_LINE_DONE);
    assert_null(l.partial.data);
    assert_int_equal(smtp_line_next(&l, SLICE("NO"), &used, &line), SMTP_LINE_PARTIAL);
    assert_non_null(l.partial.data);
    smtp_line_release(&l);
    assert_non_null(l.partial.data);
    assert_int_equal(smtp_line_next(&l, SLICE("OP\r\n"), &used, &line), SMTP_LINE_DONE);
    assert_true(slice_equal(line, SLICE("NOOP")));
    smtp_line_release(&l);
    assert_null(l.partial.data);
    smtp_line_finish(&l);
    smtp_line_finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_crlf_ends_a_line_wherever_it_is_cut),
        cmocka_unit_test(overlong_lines_are_skipped_not_kept),
        cmocka_unit_test(memory_is_held_only_while_a_line_is_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
