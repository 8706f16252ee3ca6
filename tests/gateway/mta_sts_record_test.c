#include "gateway/mta_sts_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "spool/crc32c.h"

static const struct gateway_mta_sts_record sample = {
    .domain = { "example.com", 11 },
    .id = { "20160831085700Z", 15 },
    .fetched_s = 1700000000,
    .expires_s = 1700604800,
    .tried_s = 1700000300,
    .text = { "version: STSv1\r\nmode: none\r\n\r\nmax_age: 1", 40 },
};

static struct buffer buffer;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&buffer, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    return gateway_mta_sts_record_write(&sample, &buffer) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_finish(&buffer);
    return 0;
}

static void what_was_written_is_read(void **state)
{
    struct gateway_mta_sts_record r;

    (void)state;
    assert_true(gateway_mta_sts_record_read(buffer_contents(&buffer), &r));
    assert_true(slice_equal(r.domain, sample.domain));
    assert_true(slice_equal(r.id, sample.id));
    assert_true(slice_equal(r.text, sample.text));
    assert_int_equal(r.fetched_s, sample.fetched_s);
    assert_int_equal(r.expires_s, sample.expires_s);
    assert_int_equal(r.tried_s, sample.tried_s);
}

static void the_form_on_disk_stays_as_it_is(void **state)
{
    static const char form[] = "domain: example.com\nid: 20160831085700Z\nfetched: 1700000000\n"
                               "expires: 1700604800\ntried: 1700000300\n\nversion: STSv1\r\n"
                               "mode: none\r\n\r\nmax_age: 1";
    struct slice text = buffer_contents(&buffer);

    (void)state;
    assert_true(slice_equal(slice_cut(&text, '\n'), SLICE("postern mta-sts 1 2fb1ad05")));
    assert_true(slice_equal(text, slice_from(form)));
}

static void the_longest_policy_fits(void **state)
{
    char *text = calloc(1, POLICY_MTA_STS_TEXT_MAX);
    char name[DNS_NAME_MAX];
    struct gateway_mta_sts_record longest = sample, r;

    (void)state;
    memset(name, 'a', sizeof(name));
    for (size_t i = 50; i < sizeof(name); i += 51)
        name[i] = '.';
    longest.domain = (struct slice){ name, DNS_NAME_MAX - 1 };
    longest.text = (struct slice){ text, POLICY_MTA_STS_TEXT_MAX };
    longest.fetched_s = longest.expires_s = longest.tried_s = INT64_MAX;
    buffer_clear(&buffer);
    assert_int_equal(gateway_mta_sts_record_write(&longest, &buffer), STATUS_OK);
    assert_true(gateway_mta_sts_record_read(buffer_contents(&buffer), &r));
    assert_true(slice_equal(r.text, longest.text));
    free(text);
}

static void a_file_that_is_cut_or_grown_is_none(void **state)
{
    struct slice whole = buffer_contents(&buffer);
    struct gateway_mta_sts_record r;

    (void)state;
    for (size_t len = 0; len < whole.len; len++)
        assert_false(gateway_mta_sts_record_read(slice_first(whole, len), &r));
    assert_int_equal(buffer_append(&buffer, SLICE("\n")), STATUS_OK);
    assert_false(gateway_mta_sts_record_read(buffer_contents(&buffer), &r));
}

static void a_file_with_a_wrong_bit_is_none(void **state)
{
    struct slice whole = buffer_contents(&buffer);
    struct gateway_mta_sts_record r;

    (void)state;
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        ((char *)whole.data)[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(gateway_mta_sts_record_read(whole, &r));
        ((char *)whole.data)[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(gateway_mta_sts_record_read(whole, &r));
}

static void a_sound_file_of_another_form_is_none(void **state)
{
#define TIMES "fetched: 1\nexpires: 2\ntried: 3\n"
    static const struct {
        const char *body;
        bool is_record;
    } cases[] = {
        { "domain: a.b\nid: x\n" TIMES "\ntext", true },
        { "domain: a.b\nid: x\n" TIMES "\n", true },
        { "domain: a.b\nid: x\n" TIMES, true }, /* and an empty text */
        { "domain: a.b\nid: x\n" TIMES "text\n", false },
        { "id: x\ndomain: a.b\n" TIMES "\ntext", false },
        { "domain: a b\nid: x\n" TIMES "\ntext", false },
        { "domain: ../b\nid: x\n" TIMES "\ntext", false },
        { "domain: \nid: x\n" TIMES "\ntext", false },
        { "domain:a.b\nid: x\n" TIMES "\ntext", false },
        { "domain: a.b\nid: \n" TIMES "\ntext", false },
        { "domain: a.b\nid: 012345678901234567890123456789012\n" TIMES "\ntext", false },
        { "domain: a.b\nid: x\nfetched: -1\nexpires: 2\ntried: 3\n\ntext", false },
        { "domain: a.b\nid: x\nfetched: 1\nexpires: 9223372036854775808\ntried: 3\n\n", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_mta_sts_record r;

        buffer_clear(&buffer);
        assert_int_equal(buffer_printf(&buffer, "postern mta-sts 1 %08x\n%s",
                                       spool_crc32c(0, cases[i].body, strlen(cases[i].body)),
                                       cases[i].body),
                         STATUS_OK);
        if (gateway_mta_sts_record_read(buffer_contents(&buffer), &r) != cases[i].is_record)
            fail_msg("%s", cases[i].body);
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(what_was_written_is_read),        EACH(the_form_on_disk_stays_as_it_is),
        EACH(the_longest_policy_fits),         EACH(a_file_that_is_cut_or_grown_is_none),
        EACH(a_file_with_a_wrong_bit_is_none), EACH(a_sound_file_of_another_form_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
