#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtp/reply_parser.h"

static void replies_are_written_whole(void **unused)
{
    static const struct {
        unsigned code;
        const char *enhanced, *text, *written;
    } cases[] = {
        { 250, "2.0.0", "Ok", "250 2.0.0 Ok\r\n" },
        { 354, NULL, "Go", "354 Go\r\n" },
        { 250, NULL, "", "250 \r\n" },
        { 554, "5.7.1", "a\nb", "554-5.7.1 a\r\n554 5.7.1 b\r\n" },
        { 554, NULL, "a\r\n\nb\n", "554-a\r\n554-\r\n554 b\r\n" },
        { 550, NULL, "x\ry\x01\x7f", "550 x?y??\r\n" },
        { 550, NULL, "\n", "550 \r\n" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer out;

        buffer_init(&out, 4096);
        assert_int_equal(
            smtp_reply_write(&out, cases[i].code, cases[i].enhanced, slice_from(cases[i].text)),
            STATUS_OK);
        assert_true(slice_equal(buffer_contents(&out), slice_from(cases[i].written)));
        buffer_finish(&out);
        buffer_init(&out, 5);
        assert_int_not_equal(
            smtp_reply_write(&out, cases[i].code, cases[i].enhanced, slice_from(cases[i].text)),
            STATUS_OK);
        assert_int_equal(buffer_len(&out), 0);
        buffer_finish(&out);
    }
}

static void no_line_and_no_reply_grows_beyond_its_limit(void **unused)
{
    static char text[200000];
    struct slice rest, line;
    struct buffer out;
    size_t lines = 0;

    (void)unused;
    buffer_init(&out, 1024 * 1024);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 1000 == 999 ? '\n' : 'x';
    assert_int_equal(smtp_reply_write(&out, 550, "5.700.100", (struct slice){ text, sizeof(text) }),
                     STATUS_OK);
    for (rest = buffer_contents(&out); rest.len > 0; lines++) {
        line = slice_cut(&rest, '\n');
        assert_true(line.len + 1 <= SMTP_REPLY_LINE_BYTES_MAX);
        assert_int_equal(line.data[3], rest.len > 0 ? '-' : ' ');
    }
    assert_int_equal(lines, SMTP_REPLY_LINES_MAX);
    buffer_finish(&out);
}

static void status_codes_are_recognised(void **unused)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        { "5.7.1 No", 6 }, { "2.0.0", 5 },    { "4.123.999 x", 10 }, { "5.7.1", 5 },
        { "3.0.0 x", 0 },  { "5.7 x", 0 },    { "5.7.1x", 0 },       { "5.7.1000 x", 0 },
        { "5..1 x", 0 },   { "5.07.1 x", 0 }, { "57.1.1 x", 0 },     { "", 0 },
        { "5.7.", 0 },     { "5.7.1. x", 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_enhanced e;

        assert_int_equal(smtp_enhanced_parse(slice_from(cases[i].text), &e), cases[i].len);
    }
}

/* "code class.subject.detail text" for each reply, with "+" for each line before its last, and
 * "bad" at the end when it was bad. */
static void parse(struct slice text, size_t cut, char log[static 4096])
{
    struct slice pieces[2] = { slice_first(text, cut), slice_after(text, cut) };
    struct smtp_reply_parser p;
    size_t n = 0;

    smtp_reply_parser_init(&p);
    log[0] = '\0';
    for (int i = 0; i < 2; i++) {
        for (;;) {
            struct slice line;
            struct smtp_reply r;
            size_t used;
            enum smtp_reply_result result = smtp_reply_parser_next(&p, pieces[i], &used, &line, &r);

            pieces[i] = slice_after(pieces[i], used);
            if (result == SMTP_REPLY_MORE)
                break;
            if (result == SMTP_REPLY_BAD) {
                (void)snprintf(log + n, 4096 - n, "bad");
                smtp_reply_parser_finish(&p);
                return;
            }
            if (result == SMTP_REPLY_LINE)
                n += (size_t)snprintf(log + n, 4096 - n, "+");
            else
                n += (size_t)snprintf(log + n, 4096 - n, "%u %u.%u.%u %.*s;", r.code,
                                      r.enhanced.class, r.enhanced.subject, r.enhanced.detail,
                                      SLICE_ARGS(r.text));
        }
    }
    smtp_reply_parser_finish(&p);
}

static void replies_are_read_wherever_they_are_cut(void **unused)
{
    static const struct {
        const char *text, *log;
    } cases[] = {
        { "250 ok\r\n", "250 0.0.0 ok;" },
        { "250\r\n", "250 0.0.0 ;" },
        { "250 \r\n", "250 0.0.0 ;" },
        { "550-5.7.1 a\r\n550 5.7.1 b\r\n", "+550 5.7.1 a b;" },
        { "550 4.7.1 x\r\n", "550 0.0.0 4.7.1 x;" },
        { "250-\r\n250-a\r\n250\r\n354 go\r\n", "++250 0.0.0 a;354 0.0.0 go;" },
        { "571 x\ty\r\n", "571 0.0.0 x?y;" },
        { "250-a\r\n251 b\r\n", "+bad" },
        { "250 a\n", "bad" },
        { "25\r\n", "bad" },
        { "250x\r\n", "bad" },
        { "150 a\r\n", "bad" },
        { "650 a\r\n", "bad" },
        { "SSH-2.0-x\r\n", "bad" },
        { "\r\n", "bad" },
        { "250-a\r\n\r\n", "+bad" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_from(cases[i].text);
        char log[4096];

        for (size_t cut = 0; cut <= text.len; cut++) {
            parse(text, cut, log);
            assert_string_equal(log, cases[i].log);
        }
    }
}

static void what_is_kept_of_a_reply_is_bounded(void **unused)
{
    struct buffer text;
    char log[4096];

    (void)unused;
    buffer_init(&text, 1024 * 1024);
    for (int i = 0; i < SMTP_REPLY_LINES_MAX - 1; i++)
        assert_int_equal(buffer_printf(&text, "250-%0100d\r\n", i), STATUS_OK);
    assert_int_equal(buffer_append_text(&text, "250 end\r\n"), STATUS_OK);
    parse(buffer_contents(&text), 77, log);
    assert_int_equal(strlen(log),
                     SMTP_REPLY_LINES_MAX - 1 + strlen("250 0.0.0 ;") + SMTP_REPLY_TEXT_BYTES_MAX);
    buffer_clear(&text);
    for (int i = 0; i < SMTP_REPLY_LINES_MAX + 1; i++)
        assert_int_equal(buffer_append_text(&text, "250-x\r\n"), STATUS_OK);
    parse(buffer_contents(&text), 0, log);
    assert_string_equal(log + SMTP_REPLY_LINES_MAX, "bad");
    buffer_clear(&text);
    assert_int_equal(buffer_printf(&text, "250 %02100d\r\n", 0), STATUS_OK);
    parse(buffer_contents(&text), 0, log);
    assert_string_equal(log, "bad");
    buffer_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_written_whole),
        cmocka_unit_test(no_line_and_no_reply_grows_beyond_its_limit),
        cmocka_unit_test(status_codes_are_recognised),
        cmocka_unit_test(replies_are_read_wherever_they_are_cut),
        cmocka_unit_test(what_is_kept_of_a_reply_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
