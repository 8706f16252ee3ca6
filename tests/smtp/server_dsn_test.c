/* DSN and REQUIRETLS at the server session: when they are offered, and what of them is taken. */
#include <stdio.h>

#include "tests/smtp/codes.h"

static const struct smtp_server_options plain = { .hostname = { "mx.example", 10 },
                                                  .tls = SMTP_SERVER_TLS_PREFERRED };
static const struct smtp_server_options offering = { .hostname = { "mx.example", 10 },
                                                     .tls = SMTP_SERVER_TLS_PREFERRED,
                                                     .offers_dsn = true,
                                                     .offers_require_tls = true };

#define TLS EHLO "STARTTLS\r\n" EHLO

/* How often text stands in what was said. */
static unsigned said(const struct converse *c, const char *text)
{
    const char *at = c->log.data, *end = at + buffer_len(&c->log);
    unsigned count = 0;

    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        at++;
        count++;
    }
    return count;
}

static void ehlo_offers_what_is_there_to_offer(void **unused)
{
    static const struct {
        const struct smtp_server_options *options;
        const char *sent;
        unsigned dsn, require_tls;
    } cases[] = {
        { &plain, EHLO, 0, 0 },
        { &plain, TLS, 0, 0 },
        { &offering, EHLO, 1, 0 },
        { &offering, TLS, 2, 1 }, /* twice: before and under TLS */
        { &offering, "HELO a\r\n", 0, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct converse c;

        converse_cut(&c, cases[i].options, slice_from(cases[i].sent), 0, 0);
        assert_int_equal(said(&c, "250-DSN\r\n"), cases[i].dsn);
        assert_int_equal(said(&c, "250-REQUIRETLS\r\n"), cases[i].require_tls);
        converse_finish(&c);
    }
}

static void a_parameter_is_taken_where_it_is_offered(void **unused)
{
    static const struct {
        const struct smtp_server_options *options;
        const char *sent, *codes;
    } cases[] = {
        { &plain, EHLO "MAIL FROM:<a@b> RET=FULL\r\n", "220 250 555" },
        { &plain, EHLO "MAIL FROM:<a@b> ENVID=\r\n", "220 250 555" },
        { &plain, EHLO MAIL "RCPT TO:<a@b> NOTIFY=NEVER\r\n", "220 250 250 555" },
        { &plain, TLS "MAIL FROM:<a@b> REQUIRETLS\r\n", "220 250 220 250 555" },
        { &offering, EHLO "MAIL FROM:<a@b> RET=FULL ENVID=q\r\n", "220 250 250" },
        { &offering, EHLO "MAIL FROM:<a@b> RET=NONE\r\n" MAIL, "220 250 501 250" },
        { &offering, EHLO "MAIL FROM:<a@b> REQUIRETLS\r\n", "220 250 555" },
        { &offering, TLS "MAIL FROM:<a@b> REQUIRETLS\r\n", "220 250 220 250 250" },
        { &offering, TLS "MAIL FROM:<a@b> REQUIRETLS=1\r\n", "220 250 220 250 501" },
        { &offering, EHLO MAIL "RCPT TO:<a@b> NOTIFY=NEVER\r\n", "220 250 250 250" },
        { &offering, EHLO MAIL "RCPT TO:<a@b> NOTIFY=NEVER,DELAY\r\n" RCPT, "220 250 250 501 250" },
        { &offering, EHLO MAIL "RCPT TO:<a@b> ORCPT=rfc822;a+0Ab\r\n", "220 250 250 501" },
        { &offering, EHLO MAIL "RCPT TO:<a@b> ORCPT=utf-8;\xc3\xa4@b\r\n", "220 250 250 501" },
        { &offering, EHLO "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a@b> ORCPT=utf-8;\xc3\xa4@b\r\n",
          "220 250 250 250" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(cases[i].options, cases[i].sent, cases[i].codes);
}

static void a_bad_value_has_its_status_code(void **unused)
{
    struct converse c;

    (void)unused;
    converse_cut(&c, &offering,
                 SLICE(EHLO "MAIL FROM:<> RET=NONE\r\nMAIL FROM:<> SOLICIT=a\r\n" MAIL
                            "RCPT TO:<a@b> NOTIFY=NOW\r\nRCPT TO:<a@b> ORCPT=utf-8;\xc3\xa4\r\n"),
                 0, 0);
    assert_int_equal(said(&c, "501 5.5.4 "), 3);
    assert_int_equal(said(&c, "555 5.5.4 "), 1);
    converse_finish(&c);
}

static void what_was_asked_arrives_wherever_the_stream_is_cut(void **unused)
{
    struct slice text = SLICE("EHLO a\r\nSTARTTLS\r\nEHLO a\r\n"
                              "MAIL FROM:<a@b> RET=HDRS ENVID=q+20r REQUIRETLS\r\n"
                              "RCPT TO:<c@d> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;e+2Bf@d\r\n"
                              "RCPT TO:<c@d> NOTIFY=NEVER\r\n");
    struct converse whole, cut;

    (void)unused;
    converse_cut(&whole, &offering, text, 0, 0);
    assert_int_equal(said(&whole, "<a@b|a|b|0|t|ret 2|envid q+20r>"), 1);
    assert_int_equal(said(&whole, "<c@d|c|d|0|notify 10|orcpt rfc822;e+2Bf@d>"), 1);
    assert_int_equal(said(&whole, "<c@d|c|d|0|notify 1|orcpt >"), 1);
    for (size_t i = 0; i <= text.len; i++) {
        for (size_t j = i; j <= text.len; j++) {
            converse_cut(&cut, &offering, text, i, j);
            assert_true(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
            converse_finish(&cut);
        }
    }
    converse_finish(&whole);
}

/* The longest of everything fits into a command line. */
static void a_line_with_all_parameters_is_not_too_long(void **unused)
{
    char sent[4096], long_local[SMTP_LOCAL_BYTES_MAX], orcpt[SMTP_ORCPT_BYTES_MAX - 7];
    char envid[SMTP_ENVID_BYTES_MAX];

    (void)unused;
    memset(long_local, 'l', sizeof(long_local));
    memset(orcpt, 'o', sizeof(orcpt));
    memset(envid, 'e', sizeof(envid));
    (void)snprintf(sent, sizeof(sent),
                   TLS "MAIL FROM:<%.*s@d> SIZE=10000 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=FULL "
                       "ENVID=%.*s\r\n"
                       "RCPT TO:<%.*s@d> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;%.*s\r\n",
                   (int)sizeof(long_local), long_local, (int)sizeof(envid), envid,
                   (int)sizeof(long_local), long_local, (int)sizeof(orcpt), orcpt);
    expect_codes(&offering, sent, "220 250 220 250 250 250");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ehlo_offers_what_is_there_to_offer),
        cmocka_unit_test(a_parameter_is_taken_where_it_is_offered),
        cmocka_unit_test(a_bad_value_has_its_status_code),
        cmocka_unit_test(what_was_asked_arrives_wherever_the_stream_is_cut),
        cmocka_unit_test(a_line_with_all_parameters_is_not_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
