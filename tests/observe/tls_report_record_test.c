#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "observe/tls_report_record.h"

#define V "v=TLSRPTv1"

/* The URIs as "m:address h:uri", or NULL: no record. */
static const char *read(struct slice text, char out[static 4096])
{
    struct observe_tls_record record;
    size_t used = 0;

    if (!observe_tls_record_parse(text, &record))
        return NULL;
    out[0] = '\0';
    for (size_t i = 0; i < record.uris_count; i++)
        used += (size_t)snprintf(out + used, 4096 - used, "%s%c:%s", i > 0 ? " " : "",
                                 record.uris[i].kind == OBSERVE_TLS_MAILTO ? 'm' : 'h',
                                 record.uris[i].text);
    return out;
}

static void records_are_read(void **unused)
{
    static const struct {
        struct slice text;
        const char *expected;
    } cases[] = {
        /* RFC 8460 3.1 */
        { SLICE(V "; rua=mailto:reports@example.com"), "m:reports@example.com" },
        { SLICE(V "; rua=https://reporting.example.com/v1/tlsrpt"),
          "h:https://reporting.example.com/v1/tlsrpt" },
        { SLICE(V ";rua=mailto:a@b.example,https://c.example/;"),
          "m:a@b.example h:https://c.example/" },
        { SLICE(V " ; rua=MAILTO:a@b.example , HTTPS://c.example ; "),
          "m:a@b.example h:HTTPS://c.example" },
        { SLICE(V "; rua=mailto:a@b.example; ext=1:2; x-y.z=~"), "m:a@b.example" },
        { SLICE(V "; ext=1; rua=mailto:a@b.example"), "m:a@b.example" },
        { SLICE(V "; rua=mailto:a%2Cb@b.example,mailto:a%2bb%40c.example"), "m:a+b@c.example" },
        { SLICE(V "; rua=mailto:a@b.example?subject=x%0d%0aBcc:c@d"), "m:a@b.example" },
        { SLICE(V "; rua=mailto:a@b.example!10m"), "" }, /* DMARC's size, not ours */
        /* somewhere that reports cannot go to */
        { SLICE(V "; rua=http://c.example/"), "" },
        { SLICE(V "; rua=mailto:"), "" },
        { SLICE(V "; rua=mailto:a"), "" },
        { SLICE(V "; rua=mailto:@b.example"), "" },
        { SLICE(V "; rua=mailto:a@"), "" },
        { SLICE(V "; rua=mailto:a@b@c"), "" },
        { SLICE(V "; rua=mailto:a%40b%40c"), "" },
        { SLICE(V "; rua=mailto:<a@b.example>"), "" },
        { SLICE(V "; rua=mailto:%22a b%22@b.example"), "" },
        { SLICE(V "; rua=mailto:a%0d%0aRCPT@b.example"), "" },
        { SLICE(V "; rua=mailto:a%00@b.example"), "" },
        { SLICE(V "; rua=mailto:a%4@b.example"), "" },
        { SLICE(V "; rua=mailto:a%"), "" },
        { SLICE(V "; rua=mailto:a@[192.0.2.1]"), "" },
        { SLICE(V "; rua=mailto:\xc3\xa4@b.example"), "" },
        { SLICE(V "; rua=https://"), "" },
        { SLICE(V "; rua=https:///path"), "" },
        { SLICE(V "; rua=https://a b/"), "" },
        { SLICE(V "; rua=https://a.example/\"x"), "" },
        { SLICE(V "; rua=https://a.example/\0x"), "" },
        /* no record */
        { SLICE(""), NULL },
        { SLICE(V), NULL },
        { SLICE(V ";"), NULL },
        { SLICE("v=TLSRPTv2; rua=mailto:a@b.example"), NULL },
        { SLICE("V=TLSRPTV1; rua=mailto:a@b.example"), NULL },
        { SLICE(" " V "; rua=mailto:a@b.example"), NULL },
        { SLICE(V "x; rua=mailto:a@b.example"), NULL },
        { SLICE(V "; RUA=mailto:a@b.example"), NULL },
        { SLICE(V "; rua"), NULL },
        { SLICE(V "; rua="), NULL },
        { SLICE(V ";; rua=mailto:a@b.example"), NULL },
        { SLICE(V "; =x; rua=mailto:a@b.example"), NULL },
        { SLICE(V "; a b=x; rua=mailto:a@b.example"), NULL },
        { SLICE("v=spf1 -all"), NULL },
    };
    char out[4096];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *seen = read(cases[i].text, out);

        if ((seen == NULL) != (cases[i].expected == NULL) ||
            (seen != NULL && strcmp(seen, cases[i].expected) != 0))
            fail_msg("%.*s gives %s", SLICE_ARGS(cases[i].text), seen != NULL ? seen : "none");
    }
}

static void what_is_named_twice_counts_once(void **unused)
{
    char out[4096];

    (void)unused;
    assert_string_equal(
        read(SLICE(V "; rua=mailto:a@b.example,mailto:A@b.EXAMPLE,mailto:%61@b.example,"
                     "https://c.example/a,https://c.example/a,https://c.example/A"),
             out),
        "m:a@b.example h:https://c.example/a h:https://c.example/A");
}

static void records_are_bounded(void **unused)
{
    static char text[OBSERVE_TLS_RECORD_BYTES_MAX + 1];
    struct observe_tls_record record;
    int len;

    (void)unused;
    len = snprintf(text, sizeof(text), V "; rua=mailto:a@b.example");
    for (int i = 0; i < 50; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ",mailto:a%d@b.example", i);
    assert_true(observe_tls_record_parse((struct slice){ text, (size_t)len }, &record));
    assert_int_equal(record.uris_count, OBSERVE_TLS_URIS_MAX);
    len = snprintf(text, sizeof(text), V "; rua=https://a.example/");
    memset(text + len, 'x', sizeof(text) - (size_t)len);
    for (size_t uri = OBSERVE_TLS_URI_MAX - 1; uri <= OBSERVE_TLS_URI_MAX; uri++) {
        struct slice whole = { text, strlen(V "; rua=") + uri };

        assert_true(observe_tls_record_parse(whole, &record));
        assert_int_equal(record.uris_count, uri < OBSERVE_TLS_URI_MAX ? 1 : 0);
    }
    assert_true(observe_tls_record_is_one((struct slice){ text, sizeof(text) - 1 }));
    assert_false(observe_tls_record_is_one((struct slice){ text, sizeof(text) }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(what_is_named_twice_counts_once),
        cmocka_unit_test(records_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
