/* Parts of TLS reports: their files and their targets. */
#include "gateway/tls_report_part.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DAY    ((time_t)1459468800) /* 2016-04-01 */
#define OPENED (DAY + 17)
#define DUE    (DAY + GATEWAY_TLS_DAY_S + 700)

static const struct hash_seed seed = { 3, 4 };

static void add(struct observe_tls_results *r, const char *domain,
                enum observe_tls_result_type type, uint64_t count)
{
    const struct observe_tls_result result = { .result_type = type,
                                               .report_domain = slice_from(domain),
                                               .mx_host = SLICE("mx.example"),
                                               .reason = SLICE("why") };

    observe_tls_results_add(r, &result, count);
}

/* Three domains that can have a record, and one that cannot. */
static struct gateway_tls_part *make(void)
{
    struct gateway_tls_part *part;
    struct observe_tls_results r;

    assert_int_equal(gateway_tls_part_create(DAY, OPENED, DUE, &seed, &part), STATUS_OK);
    assert_int_equal(observe_tls_results_init(&r, &seed), STATUS_OK);
    add(&r, "A.example", OBSERVE_TLS_SUCCESS, 5);
    add(&r, "[192.0.2.1]", OBSERVE_TLS_SUCCESS, 1);
    add(&r, "b.example", OBSERVE_TLS_CERTIFICATE_EXPIRED, 2);
    gateway_tls_part_add(part, &r);
    add(&r, "c.example", OBSERVE_TLS_SUCCESS, 1);
    gateway_tls_part_add(part, &r);
    observe_tls_results_finish(&r);
    return part;
}

static void write(const struct gateway_tls_part *part, struct buffer *text)
{
    buffer_init(text, GATEWAY_TLS_PART_BYTES_MAX);
    assert_int_equal(gateway_tls_part_write(part, text), STATUS_OK);
}

static void a_day_is_a_date_and_back(void **unused)
{
    static const struct {
        const char *text;
        time_t day_s; /* -1: none */
    } cases[] = {
        { "2016-04-01", DAY },          { "1970-01-01", 0 },
        { "2024-02-29", 1709164800 },   { "2023-02-29", -1 },
        { "2016-04-31", -1 },           { "2016-4-01", -1 },
        { "2016-04-01 ", -1 },          { "2016-00-01", -1 },
        { "2016-13-01", -1 },           { "", -1 },
        { "2016-04-0x", -1 },           { "16-04-00001", -1 },
        { "9999-12-31", 253402214400 }, { "1969-12-31", -1 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char date[GATEWAY_TLS_PART_DATE_MAX];
        time_t day_s = -1;

        assert_int_equal(gateway_tls_part_parse_date(slice_from(cases[i].text), &day_s),
                         cases[i].day_s >= 0);
        assert_int_equal(day_s, cases[i].day_s);
        if (day_s >= 0)
            assert_string_equal(gateway_tls_part_date(day_s, date), cases[i].text);
    }
}

static void a_name_of_a_file_is_a_day_and_a_time(void **unused)
{
    static const struct {
        const char *name;
        bool is_one;
    } cases[] = {
        { "2016-04-01-1459468817", true },
        { "2016-04-01-0", true },
        { "2016-04-01-", false },
        { "2016-04-01", false },
        { "2016-04-01-1x", false },
        { "2016-04-31-1", false },
        { "2016-04-01-99999999999999999999", false },
        { "~new", false },
        { "", false },
    };
    struct gateway_tls_part *part = make();
    char name[GATEWAY_TLS_PART_NAME_MAX];

    (void)unused;
    assert_string_equal(gateway_tls_part_name(part, name), cases[0].name);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        time_t day_s, opened_s;

        assert_int_equal(gateway_tls_part_parse_name(slice_from(cases[i].name), &day_s, &opened_s),
                         cases[i].is_one);
    }
    gateway_tls_part_destroy(part);
}

static void a_domain_is_one_target_whatever_its_policies(void **unused)
{
    struct gateway_tls_part *part = make();
    struct gateway_tls_target *t;

    (void)unused;
    assert_int_equal(part->sessions, 17);
    assert_null(gateway_tls_part_next(part));
    assert_false(gateway_tls_part_is_over(part));
    assert_int_equal(gateway_tls_part_close(part, DUE), STATUS_OK);
    assert_int_equal(part->targets_count, 4);
    assert_int_equal(part->counts[GATEWAY_TLS_TARGET_WAITING], 3);
    assert_int_equal(part->counts[GATEWAY_TLS_TARGET_UNWANTED], 1);
    t = gateway_tls_part_next(part);
    assert_string_equal(t->domain, "a.example");
    t->next_s = DUE + 10;
    for (const char *const *domain =
             (const char *[]){ "b.example", "c.example", "a.example", NULL };
         *domain != NULL; domain++) {
        t = gateway_tls_part_next(part);
        assert_string_equal(t->domain, *domain);
        assert_false(gateway_tls_part_is_over(part));
        gateway_tls_part_enter(part, t, GATEWAY_TLS_TARGET_ACTIVE);
        assert_false(gateway_tls_part_is_over(part));
        gateway_tls_part_enter(part, t, GATEWAY_TLS_TARGET_SENT);
    }
    assert_true(gateway_tls_part_is_over(part));
    gateway_tls_part_destroy(part);
}

static void a_part_without_results_is_over_when_it_is_closed(void **unused)
{
    struct gateway_tls_part *part;

    (void)unused;
    assert_int_equal(gateway_tls_part_create(DAY, OPENED, DUE, &seed, &part), STATUS_OK);
    assert_int_equal(gateway_tls_part_close(part, DUE), STATUS_OK);
    assert_true(gateway_tls_part_is_over(part));
    gateway_tls_part_destroy(part);
}

static void what_is_written_is_read_as_it_was(void **unused)
{
    struct gateway_tls_part *part = make(), *again;
    const struct hash_seed other = { 8, 9 };
    struct buffer text, text_again;
    char name[GATEWAY_TLS_PART_NAME_MAX];

    (void)unused;
    (void)gateway_tls_part_name(part, name);
    for (int closed = 0; closed < 2; closed++) {
        if (closed == 1) {
            assert_int_equal(gateway_tls_part_close(part, DUE), STATUS_OK);
            gateway_tls_part_enter(part, &part->targets[2], GATEWAY_TLS_TARGET_GIVEN_UP);
            gateway_tls_part_enter(part, &part->targets[0], GATEWAY_TLS_TARGET_ACTIVE);
        }
        write(part, &text);
        assert_int_equal(
            gateway_tls_part_read(slice_from(name), buffer_contents(&text), &other, &again),
            STATUS_OK);
        assert_int_equal(again->day_s, DAY);
        assert_int_equal(again->opened_s, OPENED);
        assert_int_equal(again->due_s, DUE);
        assert_int_equal(again->is_closed, closed);
        assert_int_equal(again->sessions, 17);
        assert_false(again->is_dirty);
        if (closed == 1) {
            assert_int_equal(again->targets_count, 4);
            assert_int_equal(again->counts[GATEWAY_TLS_TARGET_WAITING], 2);
            assert_true(gateway_tls_target_is_over(&again->targets[2]));
            assert_false(gateway_tls_target_is_over(&again->targets[0]));
        }
        write(again, &text_again);
        assert_true(slice_equal(buffer_contents(&text), buffer_contents(&text_again)));
        gateway_tls_part_destroy(again);
        buffer_finish(&text);
        buffer_finish(&text_again);
    }
    gateway_tls_part_destroy(part);
}

static void what_is_no_file_of_ours_is_refused(void **unused)
{
#define HEAD "postern tls-reports 1\n"
    static const struct {
        const char *name, *text;
        enum status status;
    } cases[] = {
        { "2016-04-01-1", HEAD "due 5\nX 0\n", STATUS_OK },
        { "2016-04-01-1", HEAD "due 5\nclosed\nover 9\nover 18446744073709551615\n",
          STATUS_CORRUPT },
        { "2016-04-01-1", HEAD "due 5\nclosed\nover 9\nover 0\nover 0\nP 0 1 0 a.example\n",
          STATUS_OK },
        { "2016-04-01-1", HEAD "due 5\nover 0\nP 0 1 0 a.example\n", STATUS_OK },
        { "2016-04-01-1", HEAD "due -5\n", STATUS_CORRUPT },
        { "2016-04-01-1", HEAD "due 999999999999999\n", STATUS_CORRUPT },
        { "2016-04-01-1", HEAD "closed\n", STATUS_CORRUPT },
        { "2016-04-01-1", "postern tls-reports 2\ndue 5\n", STATUS_CORRUPT },
        { "2016-04-01-1", "", STATUS_CORRUPT },
        { "2016-04-01-1", HEAD "due 5\nnonsense\n", STATUS_CORRUPT },
        { "2016-04-01-1", HEAD "due 5\nP 9 1 0 a.example\n", STATUS_CORRUPT },
        { "2016-04-01", HEAD "due 5\nX 0\n", STATUS_CORRUPT },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_tls_part *part = NULL;

        assert_int_equal(gateway_tls_part_read(slice_from(cases[i].name), slice_from(cases[i].text),
                                               &seed, &part),
                         cases[i].status);
        gateway_tls_part_destroy(part);
    }
}

/* A crash leaves the whole file or none; a disk that lies may leave a piece. */
static void a_file_that_is_cut_anywhere_is_read_or_refused(void **unused)
{
    struct gateway_tls_part *part = make(), *again;
    struct buffer text;

    (void)unused;
    assert_int_equal(gateway_tls_part_close(part, DUE), STATUS_OK);
    gateway_tls_part_enter(part, &part->targets[0], GATEWAY_TLS_TARGET_SENT);
    write(part, &text);
    for (size_t len = 0; len < buffer_len(&text); len++) {
        enum status status = gateway_tls_part_read(
            SLICE("2016-04-01-1"), slice_first(buffer_contents(&text), len), &seed, &again);

        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        if (status == STATUS_OK) {
            assert_true(again->sessions <= 17 && again->targets_count <= 4);
            gateway_tls_part_destroy(again);
        }
    }
    buffer_finish(&text);
    gateway_tls_part_destroy(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_a_date_and_back),
        cmocka_unit_test(a_name_of_a_file_is_a_day_and_a_time),
        cmocka_unit_test(a_domain_is_one_target_whatever_its_policies),
        cmocka_unit_test(a_part_without_results_is_over_when_it_is_closed),
        cmocka_unit_test(what_is_written_is_read_as_it_was),
        cmocka_unit_test(what_is_no_file_of_ours_is_refused),
        cmocka_unit_test(a_file_that_is_cut_anywhere_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
