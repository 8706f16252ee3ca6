#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/load_message.h"
#include "smtp/body.h"

static const uint64_t sizes[] = { 0, 1, 2, 3, 76, 77, 78, 79, 80, 155, 156, 157, 158, 4096, 70001 };

static struct load_message_facts facts_of(uint64_t number, uint64_t body_bytes, bool dots)
{
    return (struct load_message_facts){
        .run = 7,
        .number = number,
        .sender = SLICE("a@load.invalid"),
        .recipient = SLICE("b@example.com"),
        .date = SLICE("Sun, 22 Nov 2026 17:54:00 +0000"),
        .body_bytes = body_bytes,
        .dots = dots,
    };
}

/* All of it, made in steps of so many bytes. */
static void make(const struct load_message_facts *facts, size_t step, struct buffer *out)
{
    struct load_message m;
    bool is_done = false;

    load_message_init(&m, facts);
    buffer_init(out, 1024 * 1024);
    while (!is_done)
        assert_int_equal(load_message_next(&m, step, out, &is_done), STATUS_OK);
}

/* Reads it as a server does: it must end with the final dot and nowhere before. */
static struct smtp_body receive(const struct buffer *message)
{
    struct slice rest = buffer_contents(message), run;
    struct smtp_body b;
    size_t used;

    smtp_body_init(&b);
    while (rest.len > 0) {
        assert_int_not_equal(smtp_body_next(&b, rest, &used, &run), SMTP_BODY_END);
        rest = slice_after(rest, used);
    }
    rest = SLICE(".\r\n");
    while (smtp_body_next(&b, rest, &used, &run) != SMTP_BODY_END) {
        rest = slice_after(rest, used);
        assert_true(rest.len > 0);
    }
    assert_int_equal(used, rest.len);
    return b;
}

static void a_server_receives_the_size_that_was_announced(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (uint64_t number = 0; number < 20; number++) {
            struct load_message_facts facts = facts_of(number, sizes[i], number % 2 == 1);
            struct load_message m;
            struct smtp_body received;
            struct buffer out;

            make(&facts, 1000, &out);
            received = receive(&out);
            load_message_init(&m, &facts);
            assert_int_equal(smtp_body_size(&received), load_message_bytes(&m));
            assert_false(received.has_bare_cr || received.has_bare_lf || received.has_8bit);
            assert_true(received.line_bytes_max <= 79);
            buffer_finish(&out);
        }
    }
}

static void the_steps_in_which_it_is_made_do_not_matter(void **unused)
{
    (void)unused;
    for (int dots = 0; dots < 2; dots++) {
        struct load_message_facts facts = facts_of(3, 5000, dots == 1);
        struct buffer whole;

        make(&facts, 1000000, &whole);
        for (size_t step = 1; step < 6000; step += 97) {
            struct buffer pieces;

            make(&facts, step, &pieces);
            assert_true(slice_equal(buffer_contents(&pieces), buffer_contents(&whole)));
            buffer_finish(&pieces);
        }
        buffer_finish(&whole);
    }
}

static void dots_are_there_when_they_are_wanted(void **unused)
{
    (void)unused;
    for (int dots = 0; dots < 2; dots++) {
        struct load_message_facts facts = facts_of(3, 50000, dots == 1);
        struct smtp_body received;
        struct buffer out;

        make(&facts, 1000, &out);
        received = receive(&out);
        assert_true((received.dots_count > 0) == (dots == 1));
        buffer_finish(&out);
    }
}

static void each_message_has_its_own_id_in_its_header(void **unused)
{
    char first[LOAD_MESSAGE_ID_MAX], second[LOAD_MESSAGE_ID_MAX];
    struct load_message_facts facts = facts_of(12, 100, false);
    struct buffer out;

    (void)unused;
    assert_string_equal(load_message_id(7, 12, first), "0000000000000007-12");
    assert_string_not_equal(load_message_id(7, 13, second), first);
    assert_string_not_equal(load_message_id(8, 12, second), first);
    make(&facts, 1000, &out);
    assert_int_equal(buffer_append(&out, (struct slice){ "", 1 }), STATUS_OK);
    assert_non_null(
        strstr(buffer_contents(&out).data, "\r\nX-Postern-Load-Id: 0000000000000007-12\r\n"));
    buffer_finish(&out);
}

static void a_full_buffer_is_told(void **unused)
{
    struct load_message_facts facts = facts_of(1, 5000, false);
    struct load_message m;
    struct buffer out;
    bool is_done;

    (void)unused;
    for (size_t room = 0; room < 5000; room += 333) {
        load_message_init(&m, &facts);
        buffer_init(&out, room);
        assert_int_equal(load_message_next(&m, 100000, &out, &is_done), STATUS_LIMIT);
        buffer_finish(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_receives_the_size_that_was_announced),
        cmocka_unit_test(the_steps_in_which_it_is_made_do_not_matter),
        cmocka_unit_test(dots_are_there_when_they_are_wanted),
        cmocka_unit_test(each_message_has_its_own_id_in_its_header),
        cmocka_unit_test(a_full_buffer_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
