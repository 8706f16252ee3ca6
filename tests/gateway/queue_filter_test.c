/* Which entries of the queue are meant, and by which words. */
#include "gateway/queue_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW_S 1000000

static void a_request_is_a_verb_and_words(void **state)
{
    struct gateway_queue_request r;
    const char *why;

    (void)state;
    assert_true(gateway_queue_parse(SLICE("list"), &r, &why));
    assert_int_equal(r.verb, GATEWAY_QUEUE_LIST);
    assert_false(gateway_queue_is_chosen(&r.filter));
    assert_true(gateway_queue_parse(
        SLICE(" hold  mid=7 mid=8 domain=A.example  sender=%22a%20b%22@c.example older=60 held "
              "limit=3 all "),
        &r, &why));
    assert_int_equal(r.verb, GATEWAY_QUEUE_HOLD);
    assert_int_equal(r.filter.mids_count, 2);
    assert_int_equal(r.filter.mids[1], 8);
    assert_string_equal(r.filter.domain, "A.example");
    assert_string_equal(r.filter.sender, "\"a b\"@c.example");
    assert_int_equal(r.filter.older_s, 60);
    assert_true(r.filter.is_held && r.filter.is_all);
    assert_int_equal(r.filter.limit, 3);
    assert_true(gateway_queue_parse(SLICE("retry sender=<>"), &r, &why));
    assert_true(r.filter.has_sender && r.filter.sender[0] == '\0');
    assert_true(gateway_queue_parse(SLICE("flush domain=b.example"), &r, &why));
}

static void what_is_no_request_is_refused_with_a_word_why(void **state)
{
    static const char *const cases[] = {
        "",
        "lists",
        "list mid=0",
        "list mid=-1",
        "list mid=18446744073709551616",
        "list mids=1",
        "list domain=",
        "list domain=a domain=b",
        "list domain=%4",
        "list domain=%",
        "list domain=%4g",
        "list domain=%00",
        "list sender=",
        "list older=0",
        "list older=1h",
        "list limit=0",
        "list held=1",
        "list all=yes",
        "show", /* which? */
        "show domain=a.example",
        "hold", /* all of them? then say so */
        "delete limit=1",
        "flush",
        "flush domain=.example.com",
        "flush domain=a.example mid=1",
        "flush domain=a.example all",
    };
    char long_one[1024] = "list domain=";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_queue_request r;
        const char *why = NULL;

        if (gateway_queue_parse(slice_from(cases[i]), &r, &why))
            fail_msg("\"%s\" was taken", cases[i]);
        assert_non_null(why);
    }
    memset(long_one + strlen(long_one), 'a', GATEWAY_QUEUE_DOMAIN_MAX);
    assert_false(gateway_queue_parse(slice_from(long_one), &(struct gateway_queue_request){ 0 },
                                     &(const char *){ NULL }));
}

static void there_are_so_many_mids_and_no_more(void **state)
{
    char text[1024] = "show";
    size_t len = strlen(text);
    struct gateway_queue_request r;
    const char *why;

    (void)state;
    for (unsigned i = 1; i <= GATEWAY_QUEUE_MIDS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, " mid=%u", i);
    assert_true(gateway_queue_parse(slice_from(text), &r, &why));
    assert_int_equal(r.filter.mids_count, GATEWAY_QUEUE_MIDS_MAX);
    (void)snprintf(text + len, sizeof(text) - len, " mid=99");
    assert_false(gateway_queue_parse(slice_from(text), &r, &why));
}

static void a_mid_that_comes_twice_is_kept_once(void **state)
{
    struct gateway_queue_request r;
    const char *why;

    (void)state;
    assert_true(gateway_queue_parse(SLICE("show mid=7 mid=8 mid=7"), &r, &why));
    assert_int_equal(r.filter.mids_count, 2);
    assert_int_equal(gateway_queue_mid_place(&r.filter, 7), 0);
    assert_int_equal(gateway_queue_mid_place(&r.filter, 8), 1);
    assert_int_equal(gateway_queue_mid_place(&r.filter, 9), 2);
}

static void an_entry_has_to_meet_all_words(void **state)
{
    static const struct gateway_queue_facts entry = {
        .mid = 7,
        .arrival_wall_s = NOW_S - 100,
        .domain = SLICE("Mail.Example.com"),
        .sender = SLICE("News@shop.example"),
        .is_held = true,
    };
    static const struct {
        const char *words;
        bool matches;
    } cases[] = {
        { "", true },
        { "all", true },
        { "mid=7", true },
        { "mid=6 mid=7", true },
        { "mid=6", false },
        { "domain=mail.example.com", true },
        { "domain=example.com", false },
        { "domain=.example.com", true },
        { "domain=.mail.example.com", false },
        { "domain=.ample.com", false },
        { "sender=news@SHOP.example", true },
        { "sender=@shop.example", true },
        { "sender=@hop.example", false },
        { "sender=shop.example", false },
        { "sender=<>", false },
        { "older=99", true },
        { "older=100", false },
        { "held", true },
        { "mid=7 domain=.example.com sender=@shop.example older=10 held", true },
        { "mid=7 domain=.example.com sender=<> older=10 held", false },
    };
    struct gateway_queue_facts other = entry;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_queue_request r;
        const char *why;
        char text[128];

        (void)snprintf(text, sizeof(text), "list %s", cases[i].words);
        assert_true(gateway_queue_parse(slice_from(text), &r, &why));
        if (gateway_queue_matches(&r.filter, &entry, NOW_S) != cases[i].matches)
            fail_msg("%s", cases[i].words);
    }
    other.is_held = false;
    assert_false(
        gateway_queue_matches(&(struct gateway_queue_filter){ .is_held = true }, &other, NOW_S));
    other.sender = (struct slice){ 0 };
    assert_true(
        gateway_queue_matches(&(struct gateway_queue_filter){ .has_sender = true }, &other, NOW_S));
    /* The clock was set back. */
    other.arrival_wall_s = NOW_S + 100;
    assert_false(
        gateway_queue_matches(&(struct gateway_queue_filter){ .older_s = 1 }, &other, NOW_S));
}

static void every_value_comes_back_from_a_request(void **state)
{
    struct gateway_queue_request r;
    const char *why;

    (void)state;
    for (unsigned first = 1; first < 256; first++)
        for (unsigned second = 1; second < 256; second++) {
            char value[3] = { (char)first, (char)second, '\0' }, coded[16], text[64];

            assert_true(gateway_queue_encode(slice_from(value), coded, sizeof(coded)));
            for (const char *c = coded; *c != '\0'; c++)
                assert_true(*c > ' ' && *c < 0x7f);
            (void)snprintf(text, sizeof(text), "list domain=%s", coded);
            assert_true(gateway_queue_parse(slice_from(text), &r, &why));
            assert_string_equal(r.filter.domain, value);
        }
}

static void a_value_that_does_not_fit_is_told(void **state)
{
    char text[8];

    (void)state;
    assert_true(gateway_queue_encode(SLICE("1234567"), text, sizeof(text)));
    assert_string_equal(text, "1234567");
    assert_false(gateway_queue_encode(SLICE("12345678"), text, sizeof(text)));
    assert_true(gateway_queue_encode(SLICE("1234 "), text, sizeof(text)));
    assert_string_equal(text, "1234%20");
    assert_false(gateway_queue_encode(SLICE("12345 "), text, sizeof(text)));
    assert_false(gateway_queue_encode(SLICE(""), text, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_a_verb_and_words),
        cmocka_unit_test(what_is_no_request_is_refused_with_a_word_why),
        cmocka_unit_test(there_are_so_many_mids_and_no_more),
        cmocka_unit_test(a_mid_that_comes_twice_is_kept_once),
        cmocka_unit_test(an_entry_has_to_meet_all_words),
        cmocka_unit_test(every_value_comes_back_from_a_request),
        cmocka_unit_test(a_value_that_does_not_fit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
