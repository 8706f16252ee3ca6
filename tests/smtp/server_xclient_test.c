#include "tests/smtp/codes.h"

#define X "XCLIENT NAME=client.example ADDR=192.0.2.1\r\n"

static const struct smtp_server_options plain = { .hostname = { "mx.example", 10 } };
static const struct smtp_server_options required = { .hostname = { "mx.example", 10 },
                                                     .tls = SMTP_SERVER_TLS_REQUIRED };
static const struct smtp_server_options proxied = { .hostname = { "mx.example", 10 },
                                                    .tls = SMTP_SERVER_TLS_PREFERRED,
                                                    .xclient = true };
static const struct smtp_server_options proxied_required = { .hostname = { "mx.example", 10 },
                                                             .tls = SMTP_SERVER_TLS_REQUIRED,
                                                             .xclient = true };

static void a_proxy_may_say_who_its_client_is_outside_a_transaction(void **unused)
{
    static const struct {
        const char *sent, *codes;
    } cases[] = {
        { X, "220 220" },
        { EHLO X, "220 250 220" },
        { "HELO x\r\n" X EHLO MAIL, "220 250 220 250 250" },
        { EHLO MAIL X "RSET\r\n" X, "220 250 250 503 250 220" },
        { EHLO MAIL RCPT X "NOOP\r\n", "220 250 250 250 503 250" },
        { HI ".\r\n" X EHLO, "220 250 250 250 354 250 220 250" },
        { HI X ".\r\n", "220 250 250 250 354 250" },
        /* The session begins anew. */
        { EHLO X MAIL EHLO MAIL, "220 250 220 503 250 250" },
        { EHLO X "STARTTLS\r\n" EHLO "STARTTLS\r\n", "220 250 220 503 250 220" },
        { EHLO "STARTTLS\r\n" X MAIL EHLO "STARTTLS\r\n" MAIL, "220 250 220 220 503 250 503 250" },
        /* Several in a row add up. */
        { "XCLIENT NAME=c.example\r\nXCLIENT HELO=x\r\n" EHLO MAIL, "220 220 220 250 250" },
        /* Refused: as if nothing had been said. */
        { "XCLIENT NAME=refuse.example\r\n" MAIL EHLO MAIL, "220 550 503 250 250" },
        { EHLO "XCLIENT NAME=refuse.example\r\n" MAIL RCPT, "220 250 550 250 250" },
        { EHLO "XCLIENT NAME=close.example\r\n" MAIL, "220 250 421!" },
        /* Not understood. */
        { "XCLIENT\r\n" EHLO, "220 501 250" },
        { EHLO "XCLIENT FOO=x\r\n" MAIL, "220 250 501 250" },
        { EHLO "XCLIENT NAME=c.example FOO=x\r\n" MAIL, "220 250 501 250" },
        { EHLO "XCLIENT NAME=\x01\r\n" MAIL, "220 250 500 250" },
        { EHLO MAIL "XCLIENT\r\n", "220 250 250 503" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(&proxied, cases[i].sent, cases[i].codes);
    /* Whether the client has to use TLS is known only when it is known who it is. */
    expect_codes(&proxied_required, X EHLO MAIL "STARTTLS\r\n" X EHLO MAIL,
                 "220 220 250 530 220 220 250 250");
    expect_codes(&required, X, "220 530");
}

static void the_session_of_a_new_client_begins_anew(void **unused)
{
    static const struct smtp_server_options next = { .hostname = { "next.example", 12 },
                                                     .message_bytes_max = 20,
                                                     .messages_max = 1,
                                                     .errors_max = 1,
                                                     .commands_max = 8 };
    static const char offer[] = "250-XCLIENT " SMTP_XCLIENT_ATTRIBUTES "\r\n";
    struct smtp_server_event e;
    struct converse c;
    char codes[512];
    size_t used;

    (void)unused;
    converse_start(&c, &proxied);
    converse_feed(&c, SLICE(HI ".\r\nWHAT\r\n"));
    assert_non_null(memmem(c.log.data, buffer_len(&c.log), offer, sizeof(offer) - 1));
    e = smtp_server_feed(&c.server, SLICE("XCLIENT HELO=client.example PROTO=ESMTP\r\n"), &used,
                         &c.out);
    assert_int_equal(e.kind, SMTP_SERVER_XCLIENT);
    assert_int_equal(e.verb, SMTP_VERB_XCLIENT);
    assert_int_equal(smtp_server_timeout_ms(&c.server), 0);
    assert_int_equal(smtp_server_shutdown(&c.server, &c.out).kind, SMTP_SERVER_MORE);
    assert_true(slice_equal(e.xclient.helo, SLICE("client.example")));
    assert_true(slice_equal(smtp_server_helo(&c.server), SLICE("a.example")));
    smtp_server_restart(&c.server, &next);
    assert_true(slice_equal(smtp_server_helo(&c.server), SLICE("client.example")));
    assert_false(smtp_server_is_esmtp(&c.server));
    assert_int_equal(smtp_server_messages_count(&c.server), 0);
    buffer_clear(&c.log);
    converse_said(&c, smtp_server_greet(&c.server, &c.out));
    assert_true(slice_equal(buffer_contents(&c.log), SLICE("220 next.example ESMTP\r\n")));
    /* Six commands are behind it; a seventh is XCLIENT, which is no longer known. */
    converse_feed(&c, SLICE("XCLIENT NAME=a\r\nEHLO b.example\r\nNOOP\r\n"));
    codes_of(&c, codes);
    assert_string_equal(codes, "220 500 250 421!");
    assert_null(memmem(c.log.data, buffer_len(&c.log), "XCLIENT", 7));
    assert_true(slice_equal(smtp_server_helo(&c.server), SLICE("b.example")));
    converse_finish(&c);

    converse_start(&c, &proxied);
    converse_feed(&c, SLICE(EHLO "XCLIENT\r\nXCLIENT \r\nNOOP\r\n"));
    codes_of(&c, codes);
    assert_string_equal(codes, "250 501 501 250");
    converse_finish(&c);

    converse_start(&c, &proxied);
    converse_feed(&c, SLICE(EHLO));
    e = smtp_server_feed(&c.server, SLICE("XCLIENT ADDR=192.0.2.1\r\n"), &used, &c.out);
    smtp_server_restart(&c.server, &plain);
    assert_int_equal(smtp_server_helo(&c.server).len, 0);
    converse_said(&c, smtp_server_reject(&c.server, 554, SLICE("Go away"), &c.out));
    converse_feed(&c, SLICE(EHLO "XCLIENT ADDR=192.0.2.2\r\nQUIT\r\n"));
    codes_of(&c, codes);
    assert_string_equal(codes, "250 554 503 503 221!");
    converse_finish(&c);

    /* One that waits for its answer may be dropped. */
    converse_start(&c, &proxied);
    e = smtp_server_feed(&c.server, SLICE("XCLIENT HELO=x NAME=y\r\n"), &used, &c.out);
    assert_int_equal(e.kind, SMTP_SERVER_XCLIENT);
    converse_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_may_say_who_its_client_is_outside_a_transaction),
        cmocka_unit_test(the_session_of_a_new_client_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
