#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/mta_sts.h"

#define V       "version: STSv1\n"
#define ENFORCE "mode: enforce\n"
#define AGE     "max_age: 86400\n"
#define MX      "mx: mx.example.com\n"

static void a_record_is_counted_by_its_first_bytes(void **unused)
{
    static const struct {
        const char *record;
        bool counts;
    } cases[] = {
        { "v=STSv1;", true },        { "v=STSv1; id=1;", true },  { "v=STSv1;garbage", true },
        { "v=STSv1", false },        { "v=STSv1 ; id=1", false }, { "v=STSv10; id=1", false },
        { " v=STSv1; id=1", false }, { "V=STSv1; id=1", false },  { "v=stsv1; id=1", false },
        { "id=1; v=STSv1;", false }, { "v=spf1 -all", false },    { "", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (policy_mta_sts_is_record(slice_from(cases[i].record)) != cases[i].counts)
            fail_msg("%s", cases[i].record);
}

static void a_record_has_an_id_or_is_no_record(void **unused)
{
    static const struct {
        const char *record;
        const char *id; /* NULL: not of the form */
    } cases[] = {
        { "v=STSv1; id=20160831085700Z;", "20160831085700Z" }, /* the example of 3.1 */
        { "v=STSv1;id=a", "a" },
        { "v=STSv1; id=a ", "a" },
        { "v=STSv1; \t id=a\t; ", "a" },
        { "v=STSv1; x=1; id=a; y.z-0_=!#$;", "a" },
        { "v=STSv1; id=a; id=b;", "a" },
        { "v=STSv1; id=0123456789abcdef0123456789ABCDEF", "0123456789abcdef0123456789ABCDEF" },
        { "v=STSv1; id=0123456789abcdef0123456789ABCDEF0", NULL },
        { "v=STSv1;", NULL },
        { "v=STSv1; ", NULL },
        { "v=STSv1; x=1;", NULL },
        { "v=STSv1; id=;", NULL },
        { "v=STSv1; id", NULL },
        { "v=STSv1; id=a-b;", NULL },
        { "v=STSv1; id=a b;", NULL },
        { "v=STSv1; id =a;", NULL },
        { "v=STSv1; id= a;", NULL },
        { "v=STSv1; ID=a;", NULL },
        { "v=STSv1; id=a;;", NULL },
        { "v=STSv1;; id=a", NULL },
        { "v=STSv1; id=a; =b", NULL },
        { "v=STSv1; id=a; b=c=d", NULL },
        { "v=STSv1; id=a; -b=c", NULL },
        { "v=STSv1; id=a; b=\x7f", NULL },
        { "v=STSv1; id=a; b=\xc3\xa4", NULL },
        { "v=STSv1; id=a; a23456789012345678901234567890123=c", NULL },
        { "v=STSv1; id=a\n", NULL },
        { "x=STSv1; id=a;", NULL },
        { "", NULL },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice id = { 0 };
        bool ok = policy_mta_sts_record_id(slice_from(cases[i].record), &id);

        if (ok != (cases[i].id != NULL) || (ok && !slice_equal(id, slice_from(cases[i].id))))
            fail_msg("%s gives %.*s", cases[i].record, SLICE_ARGS(id));
    }
}

static const struct {
    const char *text;
    const char *why; /* NULL: it is a policy */
    enum policy_mta_sts_mode mode;
    uint32_t age_s;
    size_t mx;
} files[] = {
    /* the example of 3.2 */
    { "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
      "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
      NULL, POLICY_MTA_STS_ENFORCE, 604800, 3 },
    { V ENFORCE AGE MX, NULL, POLICY_MTA_STS_ENFORCE, 86400, 1 },
    { AGE MX ENFORCE V, NULL, POLICY_MTA_STS_ENFORCE, 86400, 1 },
    { V "mode: testing\n" AGE MX, NULL, POLICY_MTA_STS_TESTING, 86400, 1 },
    { V "mode: none\n" AGE, NULL, POLICY_MTA_STS_NONE, 86400, 0 },
    { V "mode: none\n" AGE MX, NULL, POLICY_MTA_STS_NONE, 86400, 1 },
    { "version:STSv1\nmode:\t enforce \t\nmax_age:1 \r\nmx:a.b", NULL, POLICY_MTA_STS_ENFORCE, 1,
      1 },
    { V ENFORCE AGE MX "\r\n\n \n", NULL, POLICY_MTA_STS_ENFORCE, 86400, 1 },
    { V ENFORCE AGE MX "x-new.0_: any thing: \xc3\xa4 \"*\"\n", NULL, POLICY_MTA_STS_ENFORCE, 86400,
      1 },
    { V ENFORCE "max_age: 0\n" MX, NULL, POLICY_MTA_STS_ENFORCE, 0, 1 },
    { V ENFORCE "max_age: 31557600\n" MX, NULL, POLICY_MTA_STS_ENFORCE, 31557600, 1 },
    { V ENFORCE "max_age: 0031557600\n" MX, NULL, POLICY_MTA_STS_ENFORCE, 31557600, 1 },
    /* the first of repeated ones counts, whatever the others say */
    { V ENFORCE AGE MX "version: 2\nmode: x\nmax_age: -1\n", NULL, POLICY_MTA_STS_ENFORCE, 86400,
      1 },
    { "version: 2\n" V ENFORCE AGE MX, "not version STSv1" },
    { V "mode: x\n" ENFORCE AGE MX, "an unknown mode" },
    { "", "no version" },
    { ENFORCE AGE MX, "no version" },
    { V AGE MX, "no mode" },
    { V ENFORCE MX, "no max_age" },
    { V ENFORCE AGE, "no mx" },
    { V "mode: testing\n" AGE, "no mx" },
    { "Version: STSv1\n" ENFORCE AGE MX, "no version" },
    { "version: stsv1\n" ENFORCE AGE MX, "not version STSv1" },
    { V "mode: Enforce\n" AGE MX, "an unknown mode" },
    { V ENFORCE "max_age: 31557601\n" MX, "a max_age that is none" },
    { V ENFORCE "max_age: 99999999999999999999999\n" MX, "a max_age that is none" },
    { V ENFORCE "max_age: 00000000001\n" MX, "a max_age that is none" },
    { V ENFORCE "max_age: -1\n" MX, "a max_age that is none" },
    { V ENFORCE "max_age: 1d\n" MX, "a max_age that is none" },
    { V ENFORCE AGE "mx: *\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: *.\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: .example.com\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: a.*.example.com\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: m*.example.com\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: *.*.example.com\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: 192.0.2.1\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: mx.example.com.\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: m\xc3\xbc.example\n", "an mx that is no name" },
    { V ENFORCE AGE "mx: a.example, b.example\n", "an mx that is no name" },
    { V ENFORCE AGE MX "mx:\n", "a line that is no field" },
    { V ENFORCE AGE MX "hello\n", "a line that is no field" },
    { V ENFORCE AGE MX " mode: none\n", "a line that is no field" },
    { V ENFORCE AGE MX "mode : none\n", "a line that is no field" },
    { V ENFORCE AGE MX ": x\n", "a line that is no field" },
    { V ENFORCE AGE MX "a\x01: x\n", "a line that is no field" },
    { V ENFORCE AGE MX "a: \x1b[2J\n", "a line that is no field" },
    { "version: STSv1\rmode: enforce\rmax_age: 1\rmx: a.b\r", "a line that is no field" },
    { "<!DOCTYPE html>\n<html></html>\n", "a line that is no field" },
    { "\xef\xbb\xbf" V ENFORCE AGE MX, "a line that is no field" },
};

static void a_file_is_a_policy_or_says_what_is_wrong(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct policy_mta_sts p = { 0 };
        const char *why = NULL;
        bool ok = policy_mta_sts_parse(slice_from(files[i].text), &p, &why);

        if (ok != (files[i].why == NULL) || (!ok && strcmp(why, files[i].why) != 0))
            fail_msg("%s: %s", files[i].text, why != NULL ? why : "a policy");
        if (ok &&
            (p.mode != files[i].mode || p.max_age_s != files[i].age_s || p.mx_count != files[i].mx))
            fail_msg("%s: mode %d, age %u, mx %zu", files[i].text, (int)p.mode, p.max_age_s,
                     p.mx_count);
    }
}

/* A file with the given number of patterns, padded to a length; the caller frees it. */
static struct slice make_file(size_t patterns, size_t len)
{
    char *text = malloc(len + 1);
    size_t fill = (size_t)snprintf(text, len + 1, V ENFORCE AGE);

    for (size_t i = 0; i < patterns; i++)
        fill += (size_t)snprintf(text + fill, len + 1 - fill, "mx: m%zu.a\n", i);
    memset(text + fill, '\n', len - fill);
    return (struct slice){ text, len };
}

static void a_file_has_named_maxima(void **unused)
{
    static const struct {
        size_t patterns, len;
        const char *why;
    } cases[] = {
        { POLICY_MTA_STS_MX_MAX, POLICY_MTA_STS_TEXT_MAX, NULL },
        { POLICY_MTA_STS_MX_MAX + 1, POLICY_MTA_STS_TEXT_MAX, "too many mx patterns" },
        { 1, POLICY_MTA_STS_TEXT_MAX + 1, "too long" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = make_file(cases[i].patterns, cases[i].len);
        struct policy_mta_sts p;
        const char *why = NULL;

        assert_int_equal(policy_mta_sts_parse(text, &p, &why), cases[i].why == NULL);
        if (cases[i].why != NULL)
            assert_string_equal(why, cases[i].why);
        free((char *)text.data);
    }
}

static void a_wildcard_stands_for_exactly_the_first_label(void **unused)
{
    static const char text[] = V ENFORCE AGE
        "mx: mail.example.com\r\nmx: *.example.net\nmx:*.Mixed.Example \nx-mx: other.example\n";
    static const struct {
        const char *host;
        bool is_allowed;
    } cases[] = {
        { "mail.example.com", true },
        { "MAIL.Example.COM", true },
        { "mail.example.com.", true },
        { "mail.example.com..", false },
        { "example.com", false },
        { "a.mail.example.com", false },
        { "mail.example.co", false },
        { "xmail.example.com", false },
        { "mx.example.net", true },
        { "mx.example.net.", true },
        { "*.example.net", true }, /* no host has this name */
        { "example.net", false },
        { ".example.net", false },
        { "a.b.example.net", false },
        { "mx.example.net.evil.test", false },
        { "mxexample.net", false },
        { "a.mixed.example", true },
        { "other.example", false },
        { "net", false },
        { ".", false },
        { "", false },
    };
    struct policy_mta_sts p;
    const char *why;

    (void)unused;
    assert_true(policy_mta_sts_parse(slice_from(text), &p, &why));
    assert_int_equal(p.mx_count, 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (policy_mta_sts_allows(&p, slice_from(cases[i].host)) != cases[i].is_allowed)
            fail_msg("%s", cases[i].host);
}

static void the_patterns_come_in_their_order(void **unused)
{
    static const char text[] = "mx: b.example\r\n" V "mx:\t*.a.example \n" ENFORCE AGE;
    struct slice rest = slice_from(text), pattern;

    (void)unused;
    assert_true(policy_mta_sts_pattern_next(&rest, &pattern));
    assert_true(slice_equal(pattern, SLICE("b.example")));
    assert_true(policy_mta_sts_pattern_next(&rest, &pattern));
    assert_true(slice_equal(pattern, SLICE("*.a.example")));
    assert_false(policy_mta_sts_pattern_next(&rest, &pattern));
}

/* Wherever a file is cut it gives no policy that allows more, or lives longer, than the whole. */
static void a_file_that_is_cut_allows_no_other_host(void **unused)
{
    static const char text[] = V ENFORCE "mx: mail.example.com\r\n" AGE "mx: *.example.net\r\n";

    (void)unused;
    for (size_t len = 0; len < sizeof(text); len++) {
        struct policy_mta_sts p;
        const char *why = NULL;

        if (!policy_mta_sts_parse((struct slice){ text, len }, &p, &why)) {
            assert_non_null(why);
            continue;
        }
        assert_int_equal(p.mode, POLICY_MTA_STS_ENFORCE);
        assert_true(p.max_age_s <= 86400 && p.mx_count >= 1);
        assert_true(policy_mta_sts_allows(&p, SLICE("mail.example.com")));
        assert_false(policy_mta_sts_allows(&p, SLICE("mx.evil.test")));
    }
}

static void garbage_is_no_policy_and_hurts_nobody(void **unused)
{
    static const char *const pieces[] = { "version", "mode", "mx", "max_age", ":",
                                          " ",       "\n",   "\r", "STSv1",   "enforce",
                                          "*.",      "a.b",  "1",  "\xff",    "\x01" };
    unsigned seed = 8461;

    (void)unused;
    for (unsigned round = 0; round < 20000; round++) {
        char text[256];
        size_t len = 0;
        struct policy_mta_sts p;
        struct slice rest, pattern;
        const char *why = NULL;
        size_t count = 0;

        for (unsigned i = 0; i < 24; i++) {
            const char *piece;

            seed = seed * 1103515245 + 12345;
            piece = pieces[(seed >> 16) % ARRAY_LEN(pieces)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        rest = (struct slice){ text, len };
        if (!policy_mta_sts_parse(rest, &p, &why))
            continue;
        while (policy_mta_sts_pattern_next(&rest, &pattern))
            count++;
        assert_int_equal(count, p.mx_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_counted_by_its_first_bytes),
        cmocka_unit_test(a_record_has_an_id_or_is_no_record),
        cmocka_unit_test(a_file_is_a_policy_or_says_what_is_wrong),
        cmocka_unit_test(a_file_has_named_maxima),
        cmocka_unit_test(a_wildcard_stands_for_exactly_the_first_label),
        cmocka_unit_test(the_patterns_come_in_their_order),
        cmocka_unit_test(a_file_that_is_cut_allows_no_other_host),
        cmocka_unit_test(garbage_is_no_policy_and_hurts_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
