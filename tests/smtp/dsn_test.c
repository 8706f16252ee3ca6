#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/dsn.h"
#include "smtp/xtext.h"

static void lists_of_notify_are_read(void **unused)
{
    static const struct {
        const char *value;
        unsigned notify; /* 0: refused */
    } cases[] = {
        { "NEVER", SMTP_NOTIFY_NEVER },
        { "never", SMTP_NOTIFY_NEVER },
        { "SUCCESS", SMTP_NOTIFY_SUCCESS },
        { "Failure,Delay", SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY },
        { "DELAY,SUCCESS,FAILURE", SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY },
        { "SUCCESS,SUCCESS", SMTP_NOTIFY_SUCCESS },
        { "", 0 },
        { ",", 0 },
        { "SUCCESS,", 0 },
        { ",SUCCESS", 0 },
        { "SUCCESS,,DELAY", 0 },
        { "NEVER,SUCCESS", 0 },
        { "DELAY,NEVER", 0 },
        { "ALWAYS", 0 },
        { "SUCCES", 0 },
        { "SUCCESS;DELAY", 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned notify = 99;
        bool is_good = smtp_notify_parse(slice_from(cases[i].value), &notify);

        if (is_good != (cases[i].notify != 0) || notify != (is_good ? cases[i].notify : 99))
            fail_msg("%s: %u", cases[i].value, notify);
    }
}

static void each_set_of_notify_is_written_as_it_is_read(void **unused)
{
    unsigned valid = 0;

    (void)unused;
    for (unsigned set = 0; set < 64; set++) {
        unsigned again = 0;

        if (!smtp_notify_is_valid(set))
            continue;
        valid++;
        assert_true(smtp_notify_parse(slice_from(smtp_notify_text(set)), &again));
        assert_int_equal(again, set);
    }
    assert_int_equal(valid, 8);
}

static void who_says_nothing_wants_to_hear_of_trouble(void **unused)
{
    static const struct {
        unsigned notify;
        bool failure, delay, success;
    } cases[] = {
        { 0, true, true, false },
        { SMTP_NOTIFY_NEVER, false, false, false },
        { SMTP_NOTIFY_SUCCESS, false, false, true },
        { SMTP_NOTIFY_FAILURE, true, false, false },
        { SMTP_NOTIFY_DELAY, false, true, false },
        { SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, true, false, true },
        { SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, true, true, false },
        { SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY, true, true, true },
        { SMTP_NOTIFY_NEVER | SMTP_NOTIFY_SUCCESS, true, true, false }, /* no set: damage */
        { 1u << 7, true, true, false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(smtp_notify_wants_failure(cases[i].notify), cases[i].failure);
        assert_int_equal(smtp_notify_wants_delay(cases[i].notify), cases[i].delay);
        assert_int_equal(smtp_notify_wants_success(cases[i].notify), cases[i].success);
    }
}

static void ret_is_full_or_hdrs(void **unused)
{
    enum smtp_ret ret = SMTP_RET_UNSAID;

    (void)unused;
    assert_true(smtp_ret_parse(SLICE("full"), &ret));
    assert_int_equal(ret, SMTP_RET_FULL);
    assert_true(smtp_ret_parse(SLICE("HDRS"), &ret));
    assert_int_equal(ret, SMTP_RET_HDRS);
    assert_false(smtp_ret_parse(SLICE(""), &ret));
    assert_false(smtp_ret_parse(SLICE("HDR"), &ret));
    assert_int_equal(ret, SMTP_RET_HDRS);
}

static void coded_values_are_judged_by_what_they_stand_for(void **unused)
{
    static const struct {
        const char *value;
        bool is_envid;
        bool is_orcpt;
    } cases[] = {
        { "QQ314159", true, false },
        { "a+20b", true, false },
        { "a+2Bb+3Dc", true, false },
        { "rfc822;a@b.example", true, true },
        { "rfc822;a+2Bb@c.example", true, true },
        { "RFC822;a", true, true },
        { "x400;/G=a", false, false },
        { "x400;/G+3Da", true, true },
        { "x-local;a;b", true, true },
        { "", false, false },
        { "rfc822;", true, false },
        { ";a@b", true, false },
        { "rfc 822;a@b", false, false },
        { "r(c);a@b", true, false },
        { "rfc822;a b", false, false },
        { "rfc822;a=b", false, false },
        { "rfc822;a+2bb", false, false }, /* small digits */
        { "rfc822;a+", false, false },
        { "rfc822;a+2", false, false },
        { "rfc822;a+G0", false, false },
        /* What would end a line of the report, or of the header it goes to. */
        { "rfc822;a+0D+0ABcc:+20x", false, false },
        { "rfc822;a+00", false, false },
        { "rfc822;a+7F", false, false },
        { "rfc822;a+C3+A4", false, false },
        { "rfc822;\xc3\xa4@b", false, false },
        { "utf-8;\xc3\xa4@b", false, true },
        { "UTF-8;\\x{E4}@b", true, true },
        { "utf-8;\xc3@b", false, false },
        { "utf-8;\xc3\xa4+0A", false, false },
        { "utf-8;\xc3\xa4+\xc3\xa4", false, false },
        { "utf-8;\xc3\xa4=", false, false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice value = slice_from(cases[i].value);

        if (smtp_envid_is_valid(value) != cases[i].is_envid ||
            smtp_orcpt_is_valid(value) != cases[i].is_orcpt)
            fail_msg("%s", cases[i].value);
    }
}

static void values_have_their_maximum(void **unused)
{
    char text[SMTP_ORCPT_BYTES_MAX + 1];

    (void)unused;
    memset(text, 'x', sizeof(text));
    assert_true(smtp_envid_is_valid((struct slice){ text, SMTP_ENVID_BYTES_MAX }));
    assert_false(smtp_envid_is_valid((struct slice){ text, SMTP_ENVID_BYTES_MAX + 1 }));
    text[6] = ';';
    assert_true(smtp_orcpt_is_valid((struct slice){ text, SMTP_ORCPT_BYTES_MAX }));
    assert_false(smtp_orcpt_is_valid((struct slice){ text, SMTP_ORCPT_BYTES_MAX + 1 }));
    memcpy(text, "utf-8;", 6);
    assert_true(smtp_orcpt_is_valid((struct slice){ text, SMTP_ORCPT_BYTES_MAX }));
    assert_false(smtp_orcpt_is_valid((struct slice){ text, SMTP_ORCPT_BYTES_MAX + 1 }));
}

static void what_is_coded_comes_out_as_it_went_in(void **unused)
{
    static const char digits[] = "0123456789ABCDEF";

    (void)unused;
    for (unsigned byte = 0; byte < 256; byte++) {
        char coded[3] = { '+', digits[byte / 16], digits[byte % 16] };
        char plain = (char)byte, out[3];
        size_t len = 0;

        assert_true(smtp_xtext_decode((struct slice){ coded, 3 }, SMTP_XTEXT_CAPITALS, out, &len));
        assert_int_equal(len, 1);
        assert_int_equal(out[0], plain);
        /* As it stands: printable, and neither of the two that mean something. */
        assert_int_equal(
            smtp_xtext_decode((struct slice){ &plain, 1 }, SMTP_XTEXT_CAPITALS, out, &len),
            byte > ' ' && byte < 0x7f && byte != '+' && byte != '=');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_notify_are_read),
        cmocka_unit_test(each_set_of_notify_is_written_as_it_is_read),
        cmocka_unit_test(who_says_nothing_wants_to_hear_of_trouble),
        cmocka_unit_test(ret_is_full_or_hdrs),
        cmocka_unit_test(coded_values_are_judged_by_what_they_stand_for),
        cmocka_unit_test(values_have_their_maximum),
        cmocka_unit_test(what_is_coded_comes_out_as_it_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
