#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/command.h"

static const struct {
    const char *line;
    enum smtp_verb verb;
    enum smtp_command_error error;
} lines[] = {
    { "EHLO a.example", SMTP_VERB_EHLO, SMTP_COMMAND_OK },
    { "ehlo [192.0.2.1]", SMTP_VERB_EHLO, SMTP_COMMAND_OK },
    { "HELO under_score!", SMTP_VERB_HELO, SMTP_COMMAND_OK },
    { "EHLO", SMTP_VERB_EHLO, SMTP_COMMAND_BAD_SYNTAX },
    { "EHLO \xc3\xa4", SMTP_VERB_EHLO, SMTP_COMMAND_BAD_SYNTAX },
    { "EHLO a b", SMTP_VERB_EHLO, SMTP_COMMAND_BAD_SYNTAX },
    { "EHLO a\x7f", SMTP_VERB_EHLO, SMTP_COMMAND_BAD_BYTES },
    { "MAIL FROM:<a@b>", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "mail from:<>", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "MAIL FROM: <a@b>", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "MAIL   FROM:<a@b>  ", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "MAIL FROM:<a@b>\t", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "MAIL FROM :<a@b>", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL FROM <a@b>", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL FROM:a@b", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL FROM:<a@b>SIZE=1", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL TO:<a@b>", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL FROM:", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SENDER },
    { "MAIL", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_SYNTAX },
    { "MAIL FROM:<a@b> SIZE=", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SIZE", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SIZE=-1", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SIZE=123456789012345678901", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SIZE=1 SIZE=1", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> BODY=9BIT", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> BODY=7BIT BODY=7BIT", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SMTPUTF8=1", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", SMTP_VERB_MAIL, SMTP_COMMAND_BAD_PARAMETER },
    { "MAIL FROM:<a@b> AUTH=<>", SMTP_VERB_MAIL, SMTP_COMMAND_UNKNOWN_PARAMETER },
    { "MAIL FROM:<a@b> RET=FULL", SMTP_VERB_MAIL, SMTP_COMMAND_UNKNOWN_PARAMETER },
    { "MAIL FROM:<\xc3\xa4@b>", SMTP_VERB_MAIL, SMTP_COMMAND_NEEDS_SMTPUTF8 },
    { "MAIL FROM:<\xc3\xa4@b> SMTPUTF8", SMTP_VERB_MAIL, SMTP_COMMAND_OK },
    { "RCPT TO:<a@b>", SMTP_VERB_RCPT, SMTP_COMMAND_OK },
    { "RCPT TO: <postmaster>", SMTP_VERB_RCPT, SMTP_COMMAND_OK },
    { "RCPT TO:<>", SMTP_VERB_RCPT, SMTP_COMMAND_BAD_RECIPIENT },
    { "RCPT TO:<a@b> NOTIFY=NEVER", SMTP_VERB_RCPT, SMTP_COMMAND_UNKNOWN_PARAMETER },
    { "RCPT", SMTP_VERB_RCPT, SMTP_COMMAND_BAD_SYNTAX },
    { "DATA", SMTP_VERB_DATA, SMTP_COMMAND_OK },
    { "DATA ", SMTP_VERB_DATA, SMTP_COMMAND_OK },
    { "DATA x", SMTP_VERB_DATA, SMTP_COMMAND_BAD_SYNTAX },
    { "RSET x", SMTP_VERB_RSET, SMTP_COMMAND_BAD_SYNTAX },
    { "QUIT", SMTP_VERB_QUIT, SMTP_COMMAND_OK },
    { "STARTTLS", SMTP_VERB_STARTTLS, SMTP_COMMAND_OK },
    { "XCLIENT NAME=a", SMTP_VERB_XCLIENT, SMTP_COMMAND_OK },
    { "xclient", SMTP_VERB_XCLIENT, SMTP_COMMAND_OK },
    { "XCLIENT NAME=\x01", SMTP_VERB_XCLIENT, SMTP_COMMAND_BAD_BYTES },
    { "NOOP anything at all", SMTP_VERB_NOOP, SMTP_COMMAND_OK },
    { "VRFY", SMTP_VERB_VRFY, SMTP_COMMAND_BAD_SYNTAX },
    { "HELP me", SMTP_VERB_HELP, SMTP_COMMAND_OK },
    { "EXPN x", SMTP_VERB_OTHER, SMTP_COMMAND_OK },
    { "AUTH PLAIN x", SMTP_VERB_OTHER, SMTP_COMMAND_OK },
    { "BDAT 5 LAST", SMTP_VERB_OTHER, SMTP_COMMAND_OK },
    { "", SMTP_VERB_UNKNOWN, SMTP_COMMAND_OK },
    { " QUIT", SMTP_VERB_UNKNOWN, SMTP_COMMAND_OK },
    { "QUITX", SMTP_VERB_UNKNOWN, SMTP_COMMAND_OK },
    { "GET / HTTP/1.1", SMTP_VERB_UNKNOWN, SMTP_COMMAND_OK },
};

static void lines_become_commands_or_errors(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct smtp_command c;

        smtp_command_parse(slice_from(lines[i].line), 0, &c);
        if (c.verb != lines[i].verb || c.error != lines[i].error)
            fail_msg("%s: %s, error %d", lines[i].line, smtp_verb_name(c.verb), (int)c.error);
    }
}

static void the_parameters_of_mail_are_read(void **unused)
{
    struct smtp_command c;

    (void)unused;
    smtp_command_parse(SLICE("MAIL FROM:<a@b> size=100 body=8bitmime smtputf8"), 0, &c);
    assert_int_equal(c.size_bytes, 100);
    assert_int_equal(c.body, SMTP_BODY_TYPE_8BITMIME);
    assert_true(c.smtputf8);
    smtp_command_parse(SLICE("MAIL FROM:<a@b> SIZE=99999999999999999999"), 0, &c);
    assert_true(c.size_bytes == UINT64_MAX);
    smtp_command_parse(SLICE("MAIL FROM:<a@b>"), 0, &c);
    assert_int_equal(c.size_bytes, 0);
    assert_int_equal(c.body, SMTP_BODY_TYPE_7BIT);
    assert_false(c.smtputf8);
}

#define DSN SMTP_EXTENSION_DSN
#define TLS SMTP_EXTENSION_REQUIRE_TLS

static void parameters_are_known_where_their_extension_is_offered(void **unused)
{
    static const struct {
        const char *line; /* begins with MAIL or RCPT and a path */
        unsigned extensions;
        enum smtp_command_error error;
    } cases[] = {
        { "MAIL FROM:<> RET=FULL ENVID=a REQUIRETLS", DSN | TLS, SMTP_COMMAND_OK },
        { "MAIL FROM:<> requiretls envid=a ret=hdrs size=1", DSN | TLS, SMTP_COMMAND_OK },
        { "MAIL FROM:<> RET=FULL", TLS, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "MAIL FROM:<> RET=WHAT", TLS, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "MAIL FROM:<> ENVID=a", TLS, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "MAIL FROM:<> REQUIRETLS", DSN, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "MAIL FROM:<> REQUIRETLS=", DSN, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "MAIL FROM:<> REQUIRETLS=", TLS, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> REQUIRETLS=YES", TLS, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> REQUIRETLS REQUIRETLS", TLS, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> RET", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> RET=", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> RET=FULL RET=FULL", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> ENVID=", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> ENVID=a=b", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> ENVID=a ENVID=a", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "MAIL FROM:<> NOTIFY=NEVER", DSN, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d", DSN, SMTP_COMMAND_OK },
        { "RCPT TO:<a@b>  orcpt=rfc822;c@d  notify=never", DSN, SMTP_COMMAND_OK },
        { "RCPT TO:<a@b> NOTIFY=NEVER", TLS, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "RCPT TO:<a@b> NOTIFY=NEVER,DELAY", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "RCPT TO:<a@b> NOTIFY", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "RCPT TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "RCPT TO:<a@b> ORCPT=c@d", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;a", DSN, SMTP_COMMAND_BAD_PARAMETER },
        { "RCPT TO:<a@b> RET=FULL", DSN, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "RCPT TO:<a@b> REQUIRETLS", TLS, SMTP_COMMAND_UNKNOWN_PARAMETER },
        { "RCPT TO:<a@b>NOTIFY=NEVER", DSN, SMTP_COMMAND_BAD_RECIPIENT },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_command c;

        smtp_command_parse(slice_from(cases[i].line), cases[i].extensions, &c);
        if (c.error != cases[i].error)
            fail_msg("%s: error %d", cases[i].line, (int)c.error);
    }
}

static void the_parameters_of_reports_are_read(void **unused)
{
    struct smtp_command c;

    (void)unused;
    smtp_command_parse(SLICE("MAIL FROM:<> RET=HDRS ENVID=a+20b REQUIRETLS"), DSN | TLS, &c);
    assert_int_equal(c.ret, SMTP_RET_HDRS);
    assert_true(slice_equal(c.envid, SLICE("a+20b")));
    assert_true(c.require_tls);
    smtp_command_parse(SLICE("RCPT TO:<a@b> ORCPT=rfc822;c@d NOTIFY=DELAY,FAILURE"), DSN, &c);
    assert_int_equal(c.notify, SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY);
    assert_true(slice_equal(c.orcpt, SLICE("rfc822;c@d")));
    smtp_command_parse(SLICE("RCPT TO:<a@b>"), DSN, &c);
    assert_int_equal(c.notify, 0);
    assert_int_equal(c.orcpt.len, 0);
    smtp_command_parse(SLICE("MAIL FROM:<>"), DSN | TLS, &c);
    assert_int_equal(c.ret, SMTP_RET_UNSAID);
    assert_int_equal(c.envid.len, 0);
    assert_false(c.require_tls);
}

static void a_sender_that_is_none_is_told_without_its_brackets(void **unused)
{
    static const char *const cases[][2] = {
        { "MAIL FROM:<a>", "a" },
        { "MAIL FROM:<a@>", "a@" },
        { "MAIL FROM: <a b> SIZE=10", "a b" },
        { "MAIL FROM:<a@b>SIZE=1", "a@b" },
        { "MAIL FROM:<a", "a" },
        { "MAIL FROM:a@b", "a@b" },
        { "MAIL FROM:", "" },
        { "MAIL FROM <a@b>", "" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_command c;

        smtp_command_parse(slice_from(cases[i][0]), 0, &c);
        assert_int_equal(c.error, SMTP_COMMAND_BAD_SENDER);
        assert_int_equal(c.argument.len, strlen(cases[i][1]));
        assert_memory_equal(c.argument.data, cases[i][1], c.argument.len);
    }
}

static void a_name_may_be_as_long_as_a_domain(void **unused)
{
    char line[5 + SMTP_HELO_BYTES_MAX + 1];
    struct smtp_command c;

    (void)unused;
    memset(line, 'x', sizeof(line));
    memcpy(line, "EHLO ", 5);
    smtp_command_parse((struct slice){ line, sizeof(line) - 1 }, 0, &c);
    assert_int_equal(c.error, SMTP_COMMAND_OK);
    smtp_command_parse((struct slice){ line, sizeof(line) }, 0, &c);
    assert_int_equal(c.error, SMTP_COMMAND_BAD_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_commands_or_errors),
        cmocka_unit_test(the_parameters_of_mail_are_read),
        cmocka_unit_test(parameters_are_known_where_their_extension_is_offered),
        cmocka_unit_test(the_parameters_of_reports_are_read),
        cmocka_unit_test(a_sender_that_is_none_is_told_without_its_brackets),
        cmocka_unit_test(a_name_may_be_as_long_as_a_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
