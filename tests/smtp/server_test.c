#include <stdio.h>

#include "tests/smtp/codes.h"

static const struct smtp_server_options plain = { .hostname = { "mx.example", 10 } };
static const struct smtp_server_options small = { .hostname = { "mx.example", 10 },
                                                  .message_bytes_max = 20,
                                                  .recipients_max = 2,
                                                  .messages_max = 2,
                                                  .errors_max = 3,
                                                  .commands_max = 12 };
static const struct smtp_server_options preferred = { .hostname = { "mx.example", 10 },
                                                      .tls = SMTP_SERVER_TLS_PREFERRED };
static const struct smtp_server_options required = { .hostname = { "mx.example", 10 },
                                                     .tls = SMTP_SERVER_TLS_REQUIRED,
                                                     .errors_max = 1000 };
static const struct smtp_server_options lenient = { .hostname = { "mx.example", 10 },
                                                    .bare_newlines =
                                                        SMTP_SERVER_BARE_NEWLINES_ACCEPT };
static const struct smtp_server_options proxied = { .hostname = { "mx.example", 10 },
                                                    .tls = SMTP_SERVER_TLS_PREFERRED,
                                                    .xclient = true };

static void each_verb_is_answered_as_its_state_demands(void **unused)
{
    static const char *const before[] = {
        "", EHLO, EHLO MAIL, EHLO MAIL RCPT, EHLO MAIL RCPT "DATA\r\n.\r\n",
    };
    static const struct {
        const char *sent;
        const char *codes[ARRAY_LEN(before)]; /* new, ready, mail, rcpt, ready again */
    } verbs[] = {
        { "EHLO x\r\n", { "250", "250", "250", "250", "250" } },
        { "HELO x\r\n", { "250", "250", "250", "250", "250" } },
        { "MAIL FROM:<>\r\n", { "503", "250", "503", "503", "250" } },
        { "RCPT TO:<a@b>\r\n", { "503", "503", "250", "250", "503" } },
        { "DATA\r\n", { "503", "503", "554", "354", "503" } },
        { "RSET\r\n", { "250", "250", "250", "250", "250" } },
        { "NOOP\r\n", { "250", "250", "250", "250", "250" } },
        { "QUIT\r\n", { "221!", "221!", "221!", "221!", "221!" } },
        { "VRFY a\r\n", { "252", "252", "252", "252", "252" } },
        { "HELP\r\n", { "214", "214", "214", "214", "214" } },
        { "STARTTLS\r\n", { "503", "220", "503", "503", "220" } },
        { "EXPN a\r\n", { "502", "502", "502", "502", "502" } },
        { "AUTH PLAIN\r\n", { "502", "502", "502", "502", "502" } },
        { "BDAT 1\r\n", { "502", "502", "502", "502", "502" } },
        { "XCLIENT NAME=a\r\n", { "500", "500", "500", "500", "500" } }, /* as any other word */
        { "WHAT\r\n", { "500", "500", "500", "500", "500" } },
        { "\r\n", { "500", "500", "500", "500", "500" } },
    };
    static const char *const answers[] = { "220 ", "220 250 ", "220 250 250 ", "220 250 250 250 ",
                                           "220 250 250 250 354 250 " };

    (void)unused;
    for (size_t v = 0; v < ARRAY_LEN(verbs); v++) {
        for (size_t s = 0; s < ARRAY_LEN(before); s++) {
            char sent[512], codes[256];

            (void)snprintf(sent, sizeof(sent), "%s%s", before[s], verbs[v].sent);
            (void)snprintf(codes, sizeof(codes), "%s%s", answers[s], verbs[v].codes[s]);
            expect_codes(&preferred, sent, codes);
        }
    }
}

static void nothing_but_starttls_is_served_where_tls_is_required(void **unused)
{
    static const char *const barred[] = { MAIL,       RCPT,       "DATA\r\n",   "RSET\r\n",
                                          "HELP\r\n", "WHAT\r\n", "VRFY a\r\n", "AUTH x\r\n" };
    static const struct {
        const char *sent, *codes;
    } cases[] = {
        { "NOOP\r\nQUIT\r\n", "220 250 221!" },
        { "HELO a\r\nNOOP\r\n" MAIL, "220 250 250 530" },
        { EHLO "STARTTLS\r\n" EHLO MAIL RCPT, "220 250 220 250 250 250" },
        { EHLO "STARTTLS\r\n" MAIL, "220 250 220 503" },
        { EHLO "STARTTLS\r\n" EHLO "STARTTLS\r\n", "220 250 220 250 503" },
        { EHLO "STARTTLS now\r\n", "220 250 501" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(barred); i++) {
        char sent[256];

        expect_codes(&required, barred[i], "220 530");
        (void)snprintf(sent, sizeof(sent), EHLO "%s", barred[i]);
        expect_codes(&required, sent, "220 250 530");
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(&required, cases[i].sent, cases[i].codes);
    expect_codes(&plain, EHLO "STARTTLS\r\n", "220 250 502");
}

static void limits_are_kept(void **unused)
{
    static const struct {
        const char *sent, *codes;
    } cases[] = {
        /* 1870: declared, real, and a dot that stuffing added does not count. */
        { EHLO "MAIL FROM:<> SIZE=20\r\n", "220 250 250" },
        { EHLO "MAIL FROM:<> SIZE=21\r\n", "220 250 552" },
        { EHLO "MAIL FROM:<> SIZE=99999999999999999999\r\n", "220 250 552" },
        { HI "123456789012345678\r\n.\r\nNOOP\r\n", "220 250 250 250 354 250 250" },
        { HI "..23456789012345678\r\n.\r\nNOOP\r\n", "220 250 250 250 354 250 250" },
        { HI "1234567890123456789\r\n.\r\nNOOP\r\n", "220 250 250 250 354 552 250" },
        { HI "12345678901234567890123456789012345678\r\n.\r\nNOOP\r\n",
          "220 250 250 250 354 552 250" },
        { HI "123456789012345678901234567890123456789\r\n.\r\nNOOP\r\n",
          "220 250 250 250 354 552!" },
        { EHLO MAIL RCPT RCPT RCPT "DATA\r\n", "220 250 250 250 250 452 354" },
        { HI ".\r\n" MAIL RCPT "DATA\r\n.\r\n" MAIL,
          "220 250 250 250 354 250 250 250 354 250 421!" },
        { "A\r\nB\r\nC\r\nD\r\nNOOP\r\n", "220 500 500 500 421!" },
        { "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n"
          "NOOP\r\nNOOP\r\nNOOP\r\n",
          "220 250 250 250 250 250 250 250 250 250 250 250 250 421!" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(&small, cases[i].sent, cases[i].codes);
}

/* errors_max is 3 here: what a client pipelined behind a refused MAIL does not count. */
static void limits_and_the_greeting_are_worded_as_told(void **unused)
{
    static const struct smtp_server_options worded = {
        .hostname = { "mx.example", 10 },
        .banner = { "Welcome", 7 },
        .banner_name = { "other.example", 13 },
        .has_banner_name = true,
        .banner_code = 250,
        .message_bytes_max = 20,
        .recipients_max = 1,
        .messages_max = 1,
        .messages_reply = { 451, NULL, { "4.7.9 Enough", 12 } },
        .recipients_reply = { 421, NULL, { "4.7.8 One", 9 } },
        .size_reply = { 554, NULL, { "5.7.7 Large", 11 } },
    };
    static const struct smtp_server_options nameless = { .hostname = { "mx.example", 10 },
                                                         .has_banner_name = true };
    struct converse c;

    (void)unused;
    expect_codes(&worded, EHLO "MAIL FROM:<> SIZE=21\r\n" MAIL, "250 250 554 250");
    expect_codes(&worded, HI "0123456789012345678901\r\n.\r\n" MAIL, "250 250 250 250 354 554 250");
    expect_codes(&worded, HI ".\r\n" MAIL RCPT "NOOP\r\n", "250 250 250 250 354 250 451 503 250");
    expect_codes(&worded, EHLO MAIL RCPT RCPT, "250 250 250 250 421!");
    converse_cut(&c, &worded, SLICE(""), 0, 0);
    assert_true(slice_equal(buffer_contents(&c.log), SLICE("250 other.example Welcome\r\n")));
    converse_finish(&c);
    converse_cut(&c, &nameless, SLICE(""), 0, 0);
    assert_true(slice_equal(buffer_contents(&c.log), SLICE("220 ESMTP\r\n")));
    converse_finish(&c);
}

static void a_pipelining_client_is_not_punished(void **unused)
{
    static const struct {
        const char *sent, *codes;
    } cases[] = {
        { EHLO "MAIL FROM:<refuse@b>\r\n" RCPT RCPT RCPT RCPT "DATA\r\nNOOP\r\n",
          "220 250 550 503 503 503 503 503 250" },
        { EHLO "MAIL FROM:<> SIZE=99\r\n" RCPT RCPT RCPT RCPT "DATA\r\nNOOP\r\n",
          "220 250 552 503 503 503 503 503 250" },
        { EHLO RCPT RCPT RCPT RCPT "DATA\r\n", "220 250 503 503 503 421!" },
        { EHLO MAIL "RSET\r\n" RCPT RCPT RCPT RCPT "DATA\r\n", "220 250 250 250 503 503 503 421!" },
        { EHLO MAIL RCPT "DATA\r\n.\r\n" RCPT RCPT RCPT RCPT,
          "220 250 250 250 354 250 503 503 503 421!" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(&small, cases[i].sent, cases[i].codes);
}

static void the_answers_of_the_policy_are_given(void **unused)
{
    static const struct {
        const char *sent, *codes;
    } cases[] = {
        { EHLO "MAIL FROM:<refuse@b>\r\n" RCPT MAIL RCPT, "220 250 550 503 250 250" },
        { EHLO "MAIL FROM:<close@b>\r\n" RCPT, "220 250 421!" },
        { EHLO MAIL "RCPT TO:<refuse@b>\r\nDATA\r\n" RCPT "DATA\r\n",
          "220 250 250 550 554 250 354" },
        { EHLO MAIL "RCPT TO:<later@b>\r\n" RCPT "RCPT TO:<later@b>\r\nDATA\r\n",
          "220 250 250 451 250 451 354" },
        { EHLO MAIL "RCPT TO:<close@b>\r\nDATA\r\n", "220 250 250 421!" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_codes(&plain, cases[i].sent, cases[i].codes);
}

static void malformed_commands_get_their_code(void **unused)
{
    static const struct {
        const char *sent, *reply;
    } cases[] = {
        { "EHLO\r\n", "501 5.5.4 " },
        { "EHLO a b\r\n", "501 5.5.4 " },
        { "EHLO a\tb\r\n", "500 5.5.2 " },
        { "MAIL FROM:a@b\r\n", "501 5.1.7 " },
        { "MAIL FROM:<a@b\r\n", "501 5.1.7 " },
        { "MAIL FROM:<a@b> FOO\r\n", "555 5.5.4 " },
        { "MAIL FROM:<a@b> SIZE=x\r\n", "501 5.5.4 " },
        { "MAIL FROM:<\xc3\xa4@b>\r\n", "553 5.6.7 " },
        { "MAIL\r\n", "501 5.5.4 " },
        { "DATA x\r\n", "503 5.5.1 " },
        { "QUIT x\r\n", "501 5.5.4 " },
        { "WHAT\x01\r\n", "500 5.5.2 " },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct converse c;
        char sent[256], expected[64];
        struct slice log;

        (void)snprintf(sent, sizeof(sent), EHLO "%s", cases[i].sent);
        converse_cut(&c, &plain, slice_from(sent), 0, 0);
        (void)snprintf(expected, sizeof(expected), "HELP\r\n%s", cases[i].reply);
        ASSERT(buffer_append(&c.log, (struct slice){ "", 1 }) == STATUS_OK);
        log = buffer_contents(&c.log);
        if (strstr(log.data, expected) == NULL)
            fail_msg("%s gave %s", cases[i].sent, log.data);
        converse_finish(&c);
    }
}

static void overlong_lines_are_skipped_and_endless_ones_end_it(void **unused)
{
    char *text = malloc(SMTP_LINE_SKIP_BYTES_MAX + 64);
    char codes[512];
    struct converse c;

    (void)unused;
    assert_non_null(text);
    for (size_t len = SMTP_COMMAND_BYTES_MAX - 4; len < SMTP_COMMAND_BYTES_MAX + 2; len++) {
        memset(text, 'x', len);
        memcpy(text, "NOOP ", 5);
        memcpy(text + len, "\r\nNOOP\r\n", 8);
        converse_cut(&c, &plain, (struct slice){ text, len + 8 }, 100, 1000);
        codes_of(&c, codes);
        assert_string_equal(codes,
                            len + 2 <= SMTP_COMMAND_BYTES_MAX ? "220 250 250" : "220 500 250");
        converse_finish(&c);
    }
    memset(text, 'x', SMTP_LINE_SKIP_BYTES_MAX + 1);
    converse_cut(&c, &plain, (struct slice){ text, SMTP_LINE_SKIP_BYTES_MAX + 1 }, 100, 5000);
    codes_of(&c, codes);
    assert_string_equal(codes, "220 421!");
    converse_finish(&c);
    free(text);
}

/* What other implementations have taken for the end of a message: none of it is one here. */
static void no_smuggled_end_is_an_end(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
    } ends[] = {
        { "\n.\n", 3 },       { "\n.\r\n", 4 },     { "\r\n.\n", 4 },       { "\r.\r", 3 },
        { "\r\n.\r", 4 },     { "\r.\r\n", 4 },     { "\r\r\n.\r\r\n", 8 }, { "\n\n.\r\n", 5 },
        { "\r\n.\0\r\n", 6 }, { "\r\n\0.\r\n", 6 }, { "\r\n. \r\n", 6 },    { "\r\n..\r\n", 6 },
        { "\0\r\n.\n", 5 },   { "\r\n.\r\r\n", 6 }, { "\x0b.\x0b", 3 },     { "\x85.\x85", 3 },
        { "\r\n .\r\n", 6 },  { "\n\r.\n\r", 5 },   { "\r\n.\t\r\n", 6 },   { "\n.\r", 3 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char text[256];
        struct slice sent = { text, 0 };
        int head = snprintf(text, sizeof(text), "%shello", HI);
        struct converse c;

        memcpy(text + head, ends[i].bytes, ends[i].len);
        sent.len = (size_t)head + ends[i].len;
        memcpy(text + sent.len, "MAIL FROM:<evil@b>\r\n", 20);
        sent.len += 20;
        for (size_t cut = (size_t)head; cut <= sent.len; cut++) {
            converse_cut(&c, &lenient, sent, cut, sent.len);
            assert_true(c.last.kind == SMTP_SERVER_MORE || c.last.kind == SMTP_SERVER_BODY);
            assert_int_equal(smtp_server_messages_count(&c.server), 0);
            converse_feed(&c, SLICE("\r\n.\r\n"));
            assert_int_equal(smtp_server_messages_count(&c.server), 1);
            converse_finish(&c);
        }
        converse_cut(&c, &plain, sent, sent.len, sent.len);
        if (c.last.kind == SMTP_SERVER_CLOSE) {
            assert_int_equal(c.last.reason, SMTP_CLOSE_BARE_NEWLINE);
            assert_int_equal(c.last.code, 554);
        }
        assert_int_equal(smtp_server_messages_count(&c.server), 0);
        converse_finish(&c);
    }
}

static void a_lone_newline_is_refused_unless_told_otherwise(void **unused)
{
    (void)unused;
    expect_codes(&plain, "EHLO a\n", "220 554!");
    expect_codes(&plain, "EHLO a\rb\r\n", "220 500");
    expect_codes(&plain, HI "a\nb\r\n.\r\n", "220 250 250 250 354 554!");
    expect_codes(&plain, HI "a\rb\r\n.\r\n", "220 250 250 250 354 554!");
    expect_codes(&lenient, "EHLO a\nEHLO b\r\n", "220 500");
    expect_codes(&lenient, HI "a\nb\rc\r\n.\r\n", "220 250 250 250 354 250");
}

static const char *const dialogues[] = {
    EHLO MAIL RCPT "DATA\r\nSubject: x\r\n\r\n..dot\r\n.x\r\n\r\n.\r\nQUIT\r\n",
    "HELO x\r\n" MAIL "RCPT TO:<refuse@x>\r\nDATA\r\nRSET\r\nQUIT\r\n",
    EHLO "STARTTLS\r\n" EHLO MAIL RCPT "DATA\r\n.\r\n",
    HI "\r\n.\r\n" MAIL RCPT "DATA\r\n.\r\r\n.\r\n",
    HI ".a\r\n.\rb\r\n.\r\n",
    HI "a\nb\r\n.\r\n",
    "EHLO a\nMAIL FROM:<a@b>\r\n",
    EHLO "MAIL FROM:<\"a b\"@c> SIZE=3 BODY=8BITMIME\r\n" RCPT "DATA\r\n\xe4\r\n.\r\nNOOP",
    EHLO MAIL RCPT EHLO "DATA\r\nMAIL FROM: <a@b> \r\nVRFY x\r\nHELP\r\nRSET\r\n",
    EHLO MAIL RCPT "RCPT TO:<close@b>\r\nQUIT\r\n",
    HI "1234567890123456789\r\n.\r\n" MAIL RCPT "DATA\r\nab\r\n..\r\n.\r\nWHAT\r\n",
    HI "12345678901234567890123456789\r\n12345678901234567890\n\r\n.\r\n",
    HI "12345678901234567890123456\r\n.\r\n12345678901234567890\n\r\n.\r\n",
    EHLO "XCLIENT NAME=c HELO=h+2B LOGIN=l\r\nXCLIENT ADDR=IPV6:::1 PORT=1\r\n" EHLO MAIL
         "XCLIENT X=\r\n",
    EHLO "XCLIENT NAME=refuse\r\n" MAIL "RSET\r\nXCLIENT \r\nXCLIENT NAME=close\r\n",
};

static void where_the_stream_is_cut_does_not_matter(void **unused)
{
    static const struct smtp_server_options *const options[] = { &plain, &small, &lenient,
                                                                 &preferred, &proxied };

    (void)unused;
    for (size_t o = 0; o < ARRAY_LEN(options); o++) {
        for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
            struct slice text = slice_from(dialogues[d]);
            struct converse whole, cut;

            converse_cut(&whole, options[o], text, 0, 0);
            converse_bytes(&cut, options[o], text);
            assert_true(slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)));
            converse_finish(&cut);
            for (size_t i = 0; i <= text.len; i++) {
                for (size_t j = i; j <= text.len; j++) {
                    converse_cut(&cut, options[o], text, i, j);
                    if (!slice_equal(buffer_contents(&whole.log), buffer_contents(&cut.log)))
                        fail_msg("cut at %zu and %zu: %s\n%.*s\n---\n%.*s", i, j, dialogues[d],
                                 SLICE_ARGS(buffer_contents(&whole.log)),
                                 SLICE_ARGS(buffer_contents(&cut.log)));
                    converse_finish(&cut);
                }
            }
            converse_finish(&whole);
        }
    }
}

static void a_full_buffer_ends_the_session_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        for (size_t bytes_max = 0; bytes_max < 300; bytes_max += 7) {
            struct converse c;

            converse_start(&c, &plain);
            buffer_init(&c.out, bytes_max);
            converse_said(&c, smtp_server_greet(&c.server, &c.out));
            converse_feed(&c, slice_from(dialogues[d]));
            if (bytes_max < 20) {
                assert_int_equal(c.last.kind, SMTP_SERVER_CLOSE);
                assert_int_equal(c.last.reason, SMTP_CLOSE_NO_MEMORY);
            }
            converse_finish(&c);
        }
    }
}

static void an_idle_session_holds_no_line(void **unused)
{
    struct converse c;

    (void)unused;
    assert_true(sizeof(struct smtp_server) <= 72);
    converse_start(&c, &plain);
    converse_feed(&c, SLICE("EH"));
    assert_true(c.server.line.partial.data != NULL);
    converse_feed(&c, SLICE("LO a\r\nMAIL FROM:<a@"));
    assert_true(c.server.line.partial.data != NULL);
    converse_feed(&c, SLICE("b>\r\n"));
    assert_null(c.server.line.partial.data);
    assert_string_equal(c.server.helo, "a");
    converse_finish(&c);
}

static void timeouts_and_shutdown_follow_the_state(void **unused)
{
    static const struct {
        const char *sent;
        uint32_t timeout_ms;
        bool may_stop;
    } cases[] = {
        { "", SMTP_SERVER_COMMAND_MS, true },
        { EHLO, SMTP_SERVER_COMMAND_MS, true },
        { EHLO MAIL, SMTP_SERVER_COMMAND_MS, false },
        { EHLO MAIL RCPT, SMTP_SERVER_COMMAND_MS, false },
        { HI, SMTP_SERVER_BODY_MS, false },
        { HI "x", SMTP_SERVER_BODY_MS, false },
        { HI ".\r\n", SMTP_SERVER_COMMAND_MS, true },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct converse c;
        struct smtp_server_event e;

        converse_cut(&c, &plain, slice_from(cases[i].sent), 0, 0);
        assert_int_equal(smtp_server_timeout_ms(&c.server), cases[i].timeout_ms);
        e = smtp_server_shutdown(&c.server, &c.out);
        assert_int_equal(e.kind, cases[i].may_stop ? SMTP_SERVER_CLOSE : SMTP_SERVER_MORE);
        if (!cases[i].may_stop) {
            e = smtp_server_expire(&c.server, &c.out);
            assert_int_equal(e.kind, SMTP_SERVER_CLOSE);
            assert_int_equal(e.reason, SMTP_CLOSE_TIMEOUT);
            assert_true(e.transaction_dropped);
        }
        assert_int_equal(e.code, 421);
        converse_finish(&c);
    }
}

static void a_rejected_peer_may_only_quit(void **unused)
{
    struct converse c;
    char codes[512];

    (void)unused;
    converse_start(&c, &required);
    converse_said(&c, smtp_server_reject(&c.server, 554, SLICE("mx.example\nGo away"), &c.out));
    converse_feed(&c, SLICE(EHLO "NOOP\r\n" MAIL "QUIT\r\n"));
    codes_of(&c, codes);
    assert_string_equal(codes, "554 503 503 503 221!");
    converse_finish(&c);

    converse_start(&c, &plain);
    converse_said(&c, smtp_server_reject(&c.server, 421, SLICE("Too many"), &c.out));
    assert_int_equal(c.last.reason, SMTP_CLOSE_ANSWER);
    converse_finish(&c);
}

static void a_looping_message_is_refused(void **unused)
{
    struct buffer text;
    char codes[512];
    struct converse c;

    (void)unused;
    for (int count = 100; count <= 101; count++) {
        buffer_init(&text, 64 * 1024);
        ASSERT(buffer_append_text(&text, HI) == STATUS_OK);
        for (int i = 0; i < count; i++)
            ASSERT(buffer_append_text(&text, "RECEIVED: x\r\n y\r\n") == STATUS_OK);
        ASSERT(buffer_append_text(&text, "\r\nReceived: x\r\n.\r\nNOOP\r\n") == STATUS_OK);
        converse_cut(&c, &plain, buffer_contents(&text), 400, 800);
        codes_of(&c, codes);
        assert_string_equal(codes, count == 100 ? "220 250 250 250 354 250 250"
                                                : "220 250 250 250 354 554 250");
        converse_finish(&c);
        buffer_finish(&text);
    }
}

static void tls_forgets_what_was_said_and_may_be_unavailable(void **unused)
{
    struct converse c;
    char codes[512];

    (void)unused;
    converse_start(&c, &preferred);
    converse_feed(&c, SLICE(EHLO));
    assert_non_null(memmem(c.log.data, buffer_len(&c.log), "250-STARTTLS\r\n", 14));
    smtp_server_tls_set_unavailable(&c.server, true);
    converse_feed(&c, SLICE("STARTTLS\r\n"));
    smtp_server_tls_set_unavailable(&c.server, false);
    buffer_clear(&c.log);
    converse_feed(&c, SLICE("STARTTLS\r\n"));
    assert_int_equal(smtp_server_helo(&c.server).len, 0);
    assert_true(smtp_server_is_tls(&c.server));
    converse_feed(&c, SLICE(MAIL EHLO));
    assert_null(memmem(c.log.data, buffer_len(&c.log), "STARTTLS\r\n", 10));
    codes_of(&c, codes);
    assert_string_equal(codes, "220 503 250");
    assert_true(slice_equal(smtp_server_helo(&c.server), SLICE("a.example")));
    converse_finish(&c);
    expect_codes(&preferred, EHLO MAIL "STARTTLS\r\n", "220 250 250 503");
}

static void a_dropped_transaction_is_told(void **unused)
{
    static const struct {
        const char *sent;
        bool dropped;
    } cases[] = {
        { EHLO "RSET\r\n", false },      { EHLO MAIL "RSET\r\n", true }, { EHLO MAIL EHLO, true },
        { EHLO MAIL "EHLO\r\n", false }, { EHLO MAIL "QUIT\r\n", true }, { EHLO "QUIT\r\n", false },
        { EHLO MAIL RCPT RCPT, false },  { HI ".\r\n", false },          { HI "a\n", true },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct converse c;
        bool dropped;

        converse_cut(&c, &plain, slice_from(cases[i].sent), 0, 0);
        dropped = memmem(c.log.data, buffer_len(&c.log), "(dropped)", 9) != NULL;
        if (dropped != cases[i].dropped)
            fail_msg("%s", cases[i].sent);
        converse_finish(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_is_answered_as_its_state_demands),
        cmocka_unit_test(nothing_but_starttls_is_served_where_tls_is_required),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(limits_and_the_greeting_are_worded_as_told),
        cmocka_unit_test(a_pipelining_client_is_not_punished),
        cmocka_unit_test(the_answers_of_the_policy_are_given),
        cmocka_unit_test(malformed_commands_get_their_code),
        cmocka_unit_test(overlong_lines_are_skipped_and_endless_ones_end_it),
        cmocka_unit_test(no_smuggled_end_is_an_end),
        cmocka_unit_test(a_lone_newline_is_refused_unless_told_otherwise),
        cmocka_unit_test(where_the_stream_is_cut_does_not_matter),
        cmocka_unit_test(a_full_buffer_ends_the_session_and_nothing_else),
        cmocka_unit_test(an_idle_session_holds_no_line),
        cmocka_unit_test(timeouts_and_shutdown_follow_the_state),
        cmocka_unit_test(a_rejected_peer_may_only_quit),
        cmocka_unit_test(a_looping_message_is_refused),
        cmocka_unit_test(tls_forgets_what_was_said_and_may_be_unavailable),
        cmocka_unit_test(a_dropped_transaction_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
