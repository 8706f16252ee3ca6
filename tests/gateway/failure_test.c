#include "gateway/failure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct ip_endpoint host = { 0 };

static struct gateway_failure *made(uint16_t code, const char *text)
{
    const struct smtp_reply reply = { .code = code, .text = slice_from(text) };

    return gateway_failure_create(&(struct gateway_failure_facts){
        .endpoint = &host, .name = SLICE("mx.example"), .reply = &reply, .at_s = 7 });
}

static void a_failure_keeps_what_was_said_cut_to_its_bounds(void **unused)
{
    static char longest[2000];
    static const struct {
        struct smtp_reply reply;
        const char *words, *whole, *said;
    } cases[] = {
        { { 550, { 5, 1, 1 }, { "no", 2 } }, "", "550 5.1.1 no", "5.1.1 no" },
        { { 550, { 5, 1, 1 }, { "no", 2 } }, "x", "550 5.1.1 no", "5.1.1 no" },
        { { 421, { 0, 0, 0 }, { "", 0 } }, "", "421 ", "" },
        { { 0, { 5, 1, 1 }, { "no", 2 } }, "", "", "" },
        { { 0, { 0, 0, 0 }, { "", 0 } }, "No answer", "No answer", "No answer" },
    };
    const struct smtp_reply wordy = { 550, { 5, 1, 1 }, { longest, sizeof(longest) } };
    struct gateway_failure *f, *copy;

    (void)unused;
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        f = gateway_failure_create(&(struct gateway_failure_facts){
            .reply = &cases[i].reply, .words = slice_from(cases[i].words), .name = SLICE("a") });
        assert_non_null(f);
        assert_true(slice_equal(gateway_failure_reply(f), slice_from(cases[i].whole)));
        assert_true(slice_equal(gateway_failure_said(f), slice_from(cases[i].said)));
        assert_int_equal(f->code, cases[i].reply.code);
        assert_false(f->has_host);
        assert_int_equal(f->is_ours, cases[i].reply.code == 0);
        free(f);
    }
    f = gateway_failure_create(
        &(struct gateway_failure_facts){ .reply = &wordy,
                                         .name = { longest, sizeof(longest) },
                                         .endpoint = &host,
                                         .is_ours = true });
    assert_non_null(f);
    copy = gateway_failure_copy(f);
    free(f);
    assert_non_null(copy);
    assert_int_equal(gateway_failure_name(copy).len, GATEWAY_FAILURE_NAME_MAX);
    assert_int_equal(gateway_failure_reply(copy).len, GATEWAY_FAILURE_REPLY_MAX);
    assert_true(copy->has_host && copy->is_ours);
    free(copy);
    assert_null(gateway_failure_copy(NULL));
}

static unsigned code_at(const struct gateway_failures *fs, unsigned place)
{
    const struct gateway_failure *f = gateway_failures_find(fs, place);

    return f != NULL ? f->code : 0;
}

static void the_last_word_about_each_recipient_is_found(void **unused)
{
    struct gateway_failures fs = { 0 };

    (void)unused;
    assert_int_equal(code_at(&fs, 2), 0);
    gateway_failures_note(&fs, 3, 0, NULL);
    gateway_failures_note_common(&fs, made(451, "later"));
    assert_int_equal(code_at(&fs, 0), 451);
    gateway_failures_note(&fs, 3, 1, made(450, "full"));
    assert_int_equal(code_at(&fs, 0), 451);
    assert_int_equal(code_at(&fs, 1), 450);
    gateway_failures_note(&fs, 3, 1, made(452, "fuller"));
    assert_int_equal(code_at(&fs, 1), 452);
    gateway_failures_note(&fs, 3, 1, NULL);
    gateway_failures_note_common(&fs, made(421, "bye"));
    assert_int_equal(code_at(&fs, 1), 421);
    gateway_failures_note_common(&fs, NULL);
    assert_int_equal(code_at(&fs, 0), 0);
    gateway_failures_finish(&fs, 3);
    gateway_failures_finish(&fs, 3);
}

static void beyond_the_bound_nothing_is_told_rather_than_something_wrong(void **unused)
{
    enum { PLACES = GATEWAY_FAILURES_MAX + 5 };
    struct gateway_failures fs = { 0 };

    (void)unused;
    gateway_failures_note_common(&fs, made(421, "bye"));
    for (unsigned i = 0; i < PLACES; i++)
        gateway_failures_note(&fs, PLACES, i, made(450, "full"));
    for (unsigned i = 0; i < PLACES; i++)
        assert_int_equal(code_at(&fs, i), i < GATEWAY_FAILURES_MAX ? 450 : 0);
    /* One that goes makes room for another. */
    gateway_failures_note(&fs, PLACES, 3, NULL);
    assert_int_equal(code_at(&fs, 3), 421);
    gateway_failures_note(&fs, PLACES, PLACES - 1, made(452, "full"));
    assert_int_equal(code_at(&fs, PLACES - 1), 452);
    gateway_failures_note(&fs, PLACES, PLACES - 2, made(452, "full"));
    assert_int_equal(code_at(&fs, PLACES - 2), 0);
    gateway_failures_finish(&fs, PLACES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_keeps_what_was_said_cut_to_its_bounds),
        cmocka_unit_test(the_last_word_about_each_recipient_is_found),
        cmocka_unit_test(beyond_the_bound_nothing_is_told_rather_than_something_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
