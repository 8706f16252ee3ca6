#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "smtp/body.h"
#include "smtp/stuffing.h"

static void put(struct buffer *b, struct slice bytes)
{
    assert_int_equal(buffer_append(b, bytes), STATUS_OK);
}

static void feed(struct smtp_stuffing *s, struct slice input, struct buffer *out)
{
    size_t idle_rounds = 0;

    while (input.len > 0) {
        size_t used;
        struct slice run = smtp_stuffing_next(s, input, &used);

        assert_true(run.len > 0 && used <= input.len);
        idle_rounds = used > 0 ? 0 : idle_rounds + 1;
        assert_true(idle_rounds < 2);
        put(out, run);
        input = slice_after(input, used);
    }
}

/* The whole of it, cut at two places, its end included. */
static void stuff(struct slice body, size_t first, size_t second, struct buffer *out)
{
    struct smtp_stuffing s;

    buffer_clear(out);
    smtp_stuffing_init(&s);
    feed(&s, slice_first(body, first), out);
    feed(&s, slice_after(slice_first(body, second), first), out);
    feed(&s, slice_after(body, second), out);
    put(out, smtp_stuffing_end(&s));
}

static void a_dot_goes_where_a_line_begins_with_one(void **unused)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "a\r\n", "a\r\n" },
        { ".", "..\r\n" },
        { ".\r\n", "..\r\n" },
        { "..\r\n", "...\r\n" },
        { "a\r\n.\r\n", "a\r\n..\r\n" },
        { "a\r\n.\r\n.\r\n.b", "a\r\n..\r\n..\r\n..b\r\n" },
        { "a.\r\n", "a.\r\n" },
        { "a\n.\r\n", "a\n.\r\n" }, /* no line begins there, whatever others think */
        { "a\r.\r\n", "a\r.\r\n" },
        { "a\r\r\n.\r\n", "a\r\r\n..\r\n" },
        { "a\r\n\n.\r\n", "a\r\n\n.\r\n" },
        { "\r\n.\r\n", "\r\n..\r\n" },
        { "\n.\r\n", "\n.\r\n" },
        { "a\r", "a\r\r\n" },
        { "a\n", "a\n\r\n" },
    };
    struct buffer out;

    (void)unused;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice body = slice_from(cases[i][0]);

        for (size_t first = 0; first <= body.len; first++) {
            for (size_t second = first; second <= body.len; second++) {
                stuff(body, first, second, &out);
                if (!slice_equal(buffer_contents(&out), slice_from(cases[i][1])))
                    fail_msg("%zu, cut at %zu and %zu: %.*s", i, first, second,
                             SLICE_ARGS(buffer_contents(&out)));
            }
        }
    }
    buffer_finish(&out);
}

/* The same, the other way. */
static void undo(struct slice stuffed, size_t cut, struct buffer *out)
{
    struct slice pieces[] = { slice_first(stuffed, cut), slice_after(stuffed, cut) };
    struct smtp_stuffing s;

    buffer_clear(out);
    smtp_stuffing_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        while (pieces[i].len > 0) {
            size_t used;
            struct slice run = smtp_stuffing_undo(&s, pieces[i], &used);

            assert_true(used > 0 && used <= pieces[i].len && run.len <= used);
            put(out, run);
            pieces[i] = slice_after(pieces[i], used);
        }
    }
}

/* Takes off what the stuffing added, as a server does. */
static void unstuff(struct slice stuffed, struct buffer *out)
{
    bool at_start = true;

    buffer_clear(out);
    for (size_t i = 0; i < stuffed.len; i++) {
        if (!at_start || stuffed.data[i] != '.')
            put(out, (struct slice){ stuffed.data + i, 1 });
        at_start = i > 0 && stuffed.data[i] == '\n' && stuffed.data[i - 1] == '\r';
    }
}

/* All bodies of up to eight bytes from the alphabet that matters. */
static void no_body_ends_before_its_end_and_each_comes_back(void **unused)
{
    static const char letters[] = { '.', '\r', '\n', 'x' };
    struct buffer out, back, undone;

    (void)unused;
    buffer_init(&out, 4096);
    buffer_init(&back, 4096);
    buffer_init(&undone, 4096);
    for (size_t len = 0; len <= 8; len++) {
        for (size_t n = 0; n < (size_t)1 << (2 * len); n++) {
            char text[8];
            struct smtp_body b;
            struct slice rest, run;
            size_t used;

            for (size_t i = 0; i < len; i++)
                text[i] = letters[n >> (2 * i) & 3];
            stuff((struct slice){ text, len }, len / 2, len, &out);
            unstuff(buffer_contents(&out), &back);
            assert_true(
                slice_equal(slice_first(buffer_contents(&back), len), (struct slice){ text, len }));
            for (size_t cut = 0; cut <= buffer_len(&out); cut++) {
                undo(buffer_contents(&out), cut, &undone);
                assert_true(slice_equal(buffer_contents(&undone), buffer_contents(&back)));
            }
            put(&out, SLICE(".\r\n"));
            rest = buffer_contents(&out);
            smtp_body_init(&b);
            while (smtp_body_next(&b, rest, &used, &run) != SMTP_BODY_END)
                rest = slice_after(rest, used);
            assert_int_equal(rest.len, used); /* not a byte behind it */
            assert_int_equal(smtp_body_size(&b), buffer_len(&undone));
        }
    }
    buffer_finish(&out);
    buffer_finish(&back);
    buffer_finish(&undone);
}

/* What is promised to BDAT is what is sent: also of a body whose sender stuffed it wrongly. */
static void undo_takes_off_what_was_counted(void **unused)
{
    static const char letters[] = { '.', '\r', '\n', 'x' };
    struct buffer undone;

    (void)unused;
    buffer_init(&undone, 4096);
    for (size_t n = 0; n < (size_t)1 << 18; n++) {
        char text[11];
        struct slice body = { text, sizeof(text) };
        struct smtp_body facts;

        for (size_t i = 0; i < 9; i++)
            text[i] = letters[n >> (2 * i) & 3];
        memcpy(text + 9, "\r\n", 2);
        if (!smtp_body_look(body, &facts))
            continue;
        undo(body, n % sizeof(text), &undone);
        assert_int_equal(smtp_body_size(&facts), buffer_len(&undone));
    }
    buffer_finish(&undone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dot_goes_where_a_line_begins_with_one),
        cmocka_unit_test(no_body_ends_before_its_end_and_each_comes_back),
        cmocka_unit_test(undo_takes_off_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
