#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/smtp/client_converse.h"

static const struct smtp_client_options options = { .hostname = { "out.example", 11 } };
static const struct smtp_client_recipient recipients[] = {
    { .address = { "a@x.example", 11 } },
    { .address = { "b@x.example", 11 } },
};
static const struct smtp_client_envelope envelopes[] = {
    { .sender = { "s@y.example", 11 },
      .recipients = recipients,
      .recipients_count = 2,
      .message_bytes = 1234,
      .has_8bit = true,
      .eight_bit_as_is = true },
    { .recipients = recipients, .recipients_count = 1 },
};

#define HELLO    "220 mx ESMTP\r\n250 mx\r\n"
#define HELLO_P  "220 mx ESMTP\r\n250-mx\r\n250-SIZE 9999\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
#define NO_LIMIT "220 mx ESMTP\r\n250-mx\r\n250 SIZE 0\r\n"

struct dialogue {
    const char *server;
    const char *log;
    size_t envelopes_count;
    bool wants_tls;
};

#define EHLO_SAID  "EHLO out.example\r\n"
#define MAIL_SAID  "MAIL FROM:<s@y.example>\r\n"
#define MAIL_SAID8 "MAIL FROM:<s@y.example> SIZE=1234 BODY=8BITMIME\r\n"
#define A_SAID     "RCPT TO:<a@x.example>\r\n"
#define B_SAID     "RCPT TO:<b@x.example>\r\n"
#define DATA_SAID  "DATA\r\n"
#define READY      "[ready stage=0 rcpt=0 250 0.0.0 'mx']\n"
#define READY_P    "[ready stage=0 rcpt=0 250 0.0.0 'mx SIZE 9999 8BITMIME PIPELINING']\n"
#define A_OK       "[rcpt stage=3 rcpt=0 250 2.1.5 'Ok']\n"
#define B_OK       "[rcpt stage=3 rcpt=1 250 2.1.5 'Ok']\n"
#define A_NO       "[rcpt stage=3 rcpt=0 550 5.1.1 'No']\n"
#define B_NO       "[rcpt stage=3 rcpt=1 450 4.2.0 'Full']\n"
#define BODY       "[body stage=4 rcpt=0 354 0.0.0 'Go']\n{body}.\r\n"

static const struct dialogue dialogues[] = {
    /* One by one. */
    { HELLO "250 ok\r\n250 2.1.5 Ok\r\n450 4.2.0 Full\r\n354 Go\r\n250 2.0.0 Kept\r\n221 Bye\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID A_OK B_SAID B_NO DATA_SAID BODY
      "[done stage=6 rcpt=0 250 2.0.0 'Kept']\nQUIT\r\n[bye stage=0 rcpt=0 221 0.0.0 'Bye']\n",
      1, false },
    { HELLO "550 5.7.1 No\r\n221 Bye\r\n",
      EHLO_SAID READY MAIL_SAID
      "[done stage=2 rcpt=0 550 5.7.1 'No']\nQUIT\r\n[bye stage=0 rcpt=0 221 0.0.0 'Bye']\n",
      1, false },
    /* No recipient: no DATA, and RSET before the next message. */
    { HELLO "250 ok\r\n550 5.1.1 No\r\n450 4.2.0 Full\r\n250 rset\r\n250 ok\r\n250 2.1.5 Ok\r\n"
            "354 Go\r\n452 4.3.1 Disk\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID A_NO B_SAID B_NO
      "[done stage=3 rcpt=0 550 5.1.1 'No']\nRSET\r\nMAIL FROM:<>\r\n" A_SAID A_OK DATA_SAID BODY
      "[done stage=6 rcpt=0 452 4.3.1 'Disk']\nQUIT\r\n",
      2, false },
    { HELLO "250 ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n451 4.3.0 Not now\r\n250 rset\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID A_OK B_SAID B_OK DATA_SAID
      "[done stage=4 rcpt=0 451 4.3.0 'Not now']\nRSET\r\nMAIL FROM:<>\r\n",
      2, false },
    /* Pipelined. */
    { HELLO_P "250 ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go\r\n250 2.0.0 Kept\r\n",
      EHLO_SAID READY_P MAIL_SAID8 A_SAID B_SAID DATA_SAID A_OK B_OK BODY
      "[done stage=6 rcpt=0 250 2.0.0 'Kept']\nQUIT\r\n",
      1, false },
    { HELLO_P "550 5.7.1 No\r\n503 5.5.1 seq\r\n503 5.5.1 seq\r\n503 5.5.1 seq\r\n",
      EHLO_SAID READY_P MAIL_SAID8 A_SAID B_SAID DATA_SAID
      "[done stage=2 rcpt=0 550 5.7.1 'No']\nQUIT\r\n",
      1, false },
    { HELLO_P "250 ok\r\n550 5.1.1 No\r\n450 4.2.0 Full\r\n554 5.5.1 none\r\n",
      EHLO_SAID READY_P MAIL_SAID8 A_SAID B_SAID DATA_SAID A_NO B_NO
      "[done stage=3 rcpt=0 550 5.1.1 'No']\nQUIT\r\n",
      1, false },
    /* 354 although nobody was accepted: a lone dot, and its reply does not count. */
    { HELLO_P "250 ok\r\n550 5.1.1 No\r\n450 4.2.0 Full\r\n354 Go\r\n250 thanks\r\n",
      EHLO_SAID READY_P MAIL_SAID8 A_SAID B_SAID DATA_SAID A_NO B_NO
      ".\r\n[done stage=3 rcpt=0 550 5.1.1 'No']\nQUIT\r\n",
      1, false },
    /* Greetings and EHLO. */
    { "220 mx\r\n502 5.5.1 what\r\n250 mx\r\n",
      EHLO_SAID "HELO out.example\r\n[ready stage=0 rcpt=0 250 0.0.0 'mx']\nQUIT\r\n", 0, false },
    { "554 go away\r\n", "[failed stage=0 rcpt=0 554 0.0.0 'go away'refused by the greeting]\n", 1,
      false },
    { "220 mx\r\n450 later\r\n",
      EHLO_SAID "[failed stage=0 rcpt=0 450 0.0.0 'later'EHLO and HELO refused]\n", 1, false },
    { "220-mx\r\n221 mx\r\n",
      "[failed stage=0 rcpt=0 0 0.0.0 ''not an SMTP reply, or out of turn]\n", 1, false },
    { "hello\r\n", "[failed stage=0 rcpt=0 0 0.0.0 ''not an SMTP reply, or out of turn]\n", 1,
      false },
    { "220 mx\n", "[failed stage=0 rcpt=0 0 0.0.0 ''not an SMTP reply, or out of turn]\n", 1,
      false },
    { HELLO "421 4.3.2 Closing\r\n",
      EHLO_SAID READY MAIL_SAID "[failed stage=2 rcpt=0 421 4.3.2 'Closing'closing]\n", 1, false },
    { HELLO "250 ok\r\n354 what\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID
      "[failed stage=3 rcpt=0 354 0.0.0 'what'not an SMTP reply, or out of turn]\n",
      1, false },
    { HELLO "250 ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n250 what\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID A_OK B_SAID B_OK DATA_SAID
      "[failed stage=4 rcpt=0 250 0.0.0 'what'not an SMTP reply, or out of turn]\n",
      1, false },
    { HELLO "250 ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go\r\n354 Go\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID A_OK B_SAID B_OK DATA_SAID BODY
      "[failed stage=6 rcpt=0 354 0.0.0 'Go'not an SMTP reply, or out of turn in doubt]\n",
      1, false },
    /* STARTTLS. */
    { "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 Go\r\n250 mx\r\n",
      EHLO_SAID "[ready stage=0 rcpt=0 250 0.0.0 'mx STARTTLS']\nSTARTTLS\r\n"
                "[tls stage=0 rcpt=0 220 0.0.0 'Go']\n" EHLO_SAID READY "QUIT\r\n",
      0, true },
    /* What was offered in the clear does not count behind the handshake. */
    { "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 9\r\n"
      "250 STARTTLS\r\n220 Go\r\n"
      "250 mx\r\n250 ok\r\n",
      EHLO_SAID
      "[ready stage=0 rcpt=0 250 0.0.0 'mx PIPELINING 8BITMIME SIZE 9 STARTTLS']\n"
      "STARTTLS\r\n[tls stage=0 rcpt=0 220 0.0.0 'Go']\n" EHLO_SAID READY MAIL_SAID A_SAID,
      1, true },
    { "220 mx\r\n250-mx\r\n250 STARTTLS\r\n454 4.7.0 No\r\n",
      EHLO_SAID "[ready stage=0 rcpt=0 250 0.0.0 'mx STARTTLS']\nSTARTTLS\r\n"
                "[no-tls stage=0 rcpt=0 454 4.7.0 'No']\nQUIT\r\n",
      0, true },
};

static void each_dialogue_goes_as_it_should_wherever_it_is_cut(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        const struct dialogue *t = &dialogues[d];
        struct slice text = slice_from(t->server);

        for (size_t i = 0; i <= text.len; i++) {
            for (size_t j = i; j <= text.len; j++) {
                struct client_converse c;

                client_converse_cut(&c, &options, envelopes, t->envelopes_count, t->wants_tls, text,
                                    i, j);
                if (!slice_equal(buffer_contents(&c.log), slice_from(t->log)))
                    fail_msg("%zu, cut at %zu, %zu:\n%.*s\nexpected:\n%s", d, i, j,
                             SLICE_ARGS(buffer_contents(&c.log)), t->log);
                client_converse_finish(&c);
            }
        }
    }
}

/* One letter for what came of it: r ready, t TLS, n no TLS, R a recipient, b body wanted, d done,
 * q bye, . nothing yet; for FAILED: B bad reply, G greeting, H EHLO, C closing, E early. */
static char letter(const struct smtp_client_event *e)
{
    static const char kinds[] = ".rtnRbdq", failures[] = "?BGHCE???";

    return e->kind == SMTP_CLIENT_FAILED ? failures[e->failure] : kinds[e->kind];
}

#define TLS_OFFERED "220 mx\r\n250-mx\r\n250 STARTTLS\r\n"
#define TO_DATA     HELLO "250 ok\r\n250 ok\r\n"
#define ALL_REFUSED HELLO_P "250 ok\r\n550 no\r\n"

static const struct {
    const char *name, *before;
    char stop; /* the letter at which the state is reached, '.' when all was read */
    bool wants_tls;
    bool wants_quit;
    const char *letters; /* for each of the replies below */
} states[] = {
    { "greeting", "", '.', false, false, ".BBCGG" },
    { "EHLO", "220 mx\r\n", '.', false, false, "rrBCH." },
    { "HELO", "220 mx\r\n500 what\r\n", '.', false, false, "rrBCHH" },
    { "ready", HELLO, 'r', false, false, "BBBCBB" },
    { "STARTTLS", TLS_OFFERED, '.', true, false, "tBBCnn" },
    { "MAIL", HELLO, '.', false, false, "..BCdd" },
    { "RCPT", HELLO "250 ok\r\n", '.', false, false, "RRBCRR" },
    { "DATA", TO_DATA, '.', false, false, "BBbCdd" },
    { "body", TO_DATA "354 go\r\n", 'b', false, false, "BBBCEE" },
    { "final", TO_DATA "354 go\r\n", '.', false, false, "ddBCdd" },
    { "DATA for nobody", ALL_REFUSED, '.', false, false, "BB.Cdd" },
    { "lone dot", ALL_REFUSED "354 go\r\n", '.', false, false, "ddBCdd" },
    { "QUIT", HELLO, '.', false, true, "qqqqqq" },
};

/* Reads *rest, going on where the caller has a say, until the letter or the end of it. */
static char drive(struct smtp_client *c, struct slice *rest, size_t state, bool *has_acted,
                  struct buffer *out)
{
    for (;;) {
        size_t used;
        struct smtp_client_event e = smtp_client_feed(c, *rest, &used, out);

        *rest = slice_after(*rest, used);
        if (e.kind == SMTP_CLIENT_MORE || letter(&e) == states[state].stop || *has_acted)
            return letter(&e);
        if (e.kind == SMTP_CLIENT_READY && states[state].wants_tls)
            (void)smtp_client_starttls(c, out);
        else if (e.kind == SMTP_CLIENT_READY && states[state].wants_quit)
            (void)smtp_client_quit(c, out);
        else if (e.kind == SMTP_CLIENT_READY)
            (void)smtp_client_send(c, &envelopes[1], out);
        else if (e.kind == SMTP_CLIENT_BODY_WANTED)
            (void)smtp_client_body_sent(c, out);
        else
            assert_int_equal(e.kind, SMTP_CLIENT_RECIPIENT);
    }
}

static void each_reply_is_taken_as_its_state_demands(void **unused)
{
    static const char *const replies[] = { "220 x\r\n", "250 x\r\n", "354 x\r\n",
                                           "421 x\r\n", "450 x\r\n", "550 x\r\n" };

    (void)unused;
    for (size_t s = 0; s < ARRAY_LEN(states); s++) {
        for (size_t r = 0; r < ARRAY_LEN(replies); r++) {
            struct smtp_client c;
            struct buffer out;
            struct slice rest = slice_from(states[s].before);
            bool has_acted = false;
            char got;

            smtp_client_init(&c, &options);
            buffer_init(&out, 8192);
            assert_int_equal(drive(&c, &rest, s, &has_acted, &out), states[s].stop);
            assert_int_equal(rest.len, 0);
            rest = slice_from(replies[r]);
            has_acted = true;
            got = drive(&c, &rest, s, &has_acted, &out);
            if (got != states[s].letters[r])
                fail_msg("%s, %s: %c, not %c", states[s].name, replies[r], got,
                         states[s].letters[r]);
            smtp_client_finish(&c);
            buffer_finish(&out);
        }
    }
}

static void the_end_of_the_connection_means_what_its_moment_says(void **unused)
{
    static const struct {
        const char *server;
        enum smtp_client_event_kind kind;
        enum smtp_client_stage stage;
        bool in_doubt;
        uint32_t timeout_ms;
    } cases[] = {
        { "", SMTP_CLIENT_FAILED, SMTP_CLIENT_STAGE_NONE, false, SMTP_CLIENT_GREETING_MS },
        { "220 mx\r\n", SMTP_CLIENT_FAILED, SMTP_CLIENT_STAGE_NONE, false, SMTP_CLIENT_COMMAND_MS },
        { HELLO, SMTP_CLIENT_FAILED, SMTP_CLIENT_STAGE_MAIL, false, SMTP_CLIENT_COMMAND_MS },
        { HELLO "250 ok\r\n", SMTP_CLIENT_FAILED, SMTP_CLIENT_STAGE_RCPT, false,
          SMTP_CLIENT_COMMAND_MS },
        { HELLO "250 ok\r\n250 ok\r\n250 ok\r\n", SMTP_CLIENT_FAILED, SMTP_CLIENT_STAGE_DATA, false,
          SMTP_CLIENT_DATA_MS },
        { HELLO "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", SMTP_CLIENT_FAILED,
          SMTP_CLIENT_STAGE_FINAL, true, SMTP_CLIENT_FINAL_MS },
        { HELLO "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n", SMTP_CLIENT_BYE,
          SMTP_CLIENT_STAGE_NONE, false, SMTP_CLIENT_QUIT_MS },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int by_time = 0; by_time < 2; by_time++) {
            struct client_converse c;
            struct smtp_client_event e;

            client_converse_cut(&c, &options, envelopes, 1, false, slice_from(cases[i].server), 0,
                                0);
            assert_int_equal(smtp_client_timeout_ms(&c.client), cases[i].timeout_ms);
            e = by_time ? smtp_client_expire(&c.client) : smtp_client_ended(&c.client);
            assert_int_equal(e.kind, cases[i].kind);
            assert_int_equal(e.stage, cases[i].stage);
            assert_int_equal(e.in_doubt, cases[i].in_doubt);
            client_converse_finish(&c);
        }
    }
}

static void what_a_server_cannot_take_is_not_sent(void **unused)
{
    static const struct smtp_client_recipient evil[] = { { .address = { "a@b>\r\nRSET", 10 } } };
    static const struct smtp_client_recipient beyond[] = { { .address = { "\xc3\xa4@b", 4 } } };
    static const struct {
        const char *server;
        struct smtp_client_envelope envelope;
        uint16_t code; /* 0: it is sent */
        struct smtp_enhanced enhanced;
    } cases[] = {
        { HELLO, { .recipients = recipients, .smtputf8 = true }, 553, { 5, 6, 7 } },
        { HELLO, { .recipients = beyond }, 553, { 5, 6, 7 } },
        { HELLO, { .sender = { "\xc3\xa4@b", 4 }, .recipients = recipients }, 553, { 5, 6, 7 } },
        { HELLO, { .recipients = recipients, .has_8bit = true }, 554, { 5, 6, 3 } },
        { HELLO,
          { .recipients = recipients, .has_8bit = true, .eight_bit_as_is = true },
          0,
          { 0, 0, 0 } },
        { HELLO, { .recipients = evil }, 553, { 5, 1, 3 } },
        { HELLO, { .sender = { "s\n@y", 4 }, .recipients = recipients }, 553, { 5, 1, 3 } },
        { HELLO, { .recipients = recipients, .require_tls = true }, 550, { 5, 7, 30 } },
        { HELLO_P, { .recipients = recipients, .message_bytes = 9999 }, 0, { 0, 0, 0 } },
        { HELLO_P, { .recipients = recipients, .message_bytes = 10000 }, 552, { 5, 3, 4 } },
        { NO_LIMIT, { .recipients = recipients, .message_bytes = 10000 }, 0, { 0, 0, 0 } },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client_envelope envelope = cases[i].envelope;
        struct client_converse c;

        envelope.recipients_count = 1;
        client_converse_cut(&c, &options, &envelope, 1, false, slice_from(cases[i].server), 0, 0);
        if (cases[i].code == 0) {
            assert_int_equal(c.last.kind, SMTP_CLIENT_READY);
        } else {
            assert_int_equal(c.last.kind, SMTP_CLIENT_DONE);
            assert_int_equal(c.last.stage, SMTP_CLIENT_STAGE_LOCAL);
            assert_int_equal(c.last.reply.code, cases[i].code);
            assert_int_equal(c.last.reply.enhanced.subject, cases[i].enhanced.subject);
            assert_int_equal(c.last.reply.enhanced.detail, cases[i].enhanced.detail);
            assert_int_equal(c.last.recipients_sent, 1);
        }
        assert_int_equal(memmem(c.log.data, buffer_len(&c.log), "MAIL", 4) == NULL,
                         cases[i].code != 0);
        client_converse_finish(&c);
    }
}

static void a_verdict_during_the_body_ends_the_session(void **unused)
{
    static const struct {
        const char *said;
        enum smtp_client_failure failure;
    } cases[] = {
        { "552 5.3.4 Too big\r\n", SMTP_CLIENT_FAILURE_EARLY },
        { "421 4.3.2 Down\r\n", SMTP_CLIENT_FAILURE_CLOSING },
        { "250 ok\r\n", SMTP_CLIENT_FAILURE_BAD_REPLY },
    };
    static const char *const before = "220 mx\r\n250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n";

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client c;
        struct buffer out;
        struct smtp_client_event e = { 0 };
        struct slice rest = slice_from(before);
        size_t used;

        smtp_client_init(&c, &options);
        buffer_init(&out, 4096);
        while (e.kind != SMTP_CLIENT_BODY_WANTED) {
            e = smtp_client_feed(&c, rest, &used, &out);
            rest = slice_after(rest, used);
            if (e.kind == SMTP_CLIENT_READY)
                (void)smtp_client_send(&c, &envelopes[1], &out);
        }
        assert_int_equal(smtp_client_timeout_ms(&c), SMTP_CLIENT_BODY_MS);
        e = smtp_client_feed(&c, slice_from(cases[i].said), &used, &out);
        assert_int_equal(e.kind, SMTP_CLIENT_FAILED);
        assert_int_equal(e.failure, cases[i].failure);
        assert_int_equal(e.stage, SMTP_CLIENT_STAGE_BODY);
        assert_false(e.in_doubt);
        smtp_client_finish(&c);
        buffer_finish(&out);
    }
}

static void many_recipients_go_out_in_bounded_groups(void **unused)
{
    static struct smtp_client_recipient many[1000];
    struct smtp_client_envelope envelope = { .sender = { "s@y", 3 },
                                             .recipients = many,
                                             .recipients_count = ARRAY_LEN(many) };
    struct client_converse c;
    size_t rcpts = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i].address = SLICE("a@x");
    client_converse_cut(&c, &options, &envelope, 1, false, slice_from(HELLO_P), 0, 0);
    for (const char *p = c.log.data, *end = p + buffer_len(&c.log); p < end; p++)
        rcpts += (size_t)(end - p) > 4 && memcmp(p, "RCPT", 4) == 0;
    assert_int_equal(rcpts, SMTP_CLIENT_PIPELINED_MAX - 1);
    for (size_t i = 0; i < ARRAY_LEN(many) + 1; i++)
        client_converse_feed(&c, SLICE("250 ok\r\n"));
    client_converse_feed(&c, SLICE("354 go\r\n250 ok\r\n"));
    assert_int_equal(c.last.kind, SMTP_CLIENT_DONE);
    assert_int_equal(c.last.stage, SMTP_CLIENT_STAGE_FINAL);
    client_converse_finish(&c);
}

static void a_full_buffer_fails_the_session_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        for (size_t bytes_max = 0; bytes_max < 120; bytes_max += 3) {
            struct client_converse c;

            client_converse_start(&c, &options, envelopes, dialogues[d].envelopes_count,
                                  dialogues[d].wants_tls);
            buffer_finish(&c.out);
            buffer_init(&c.out, bytes_max + 20);
            for (const char *p = dialogues[d].server; *p != '\0' && !c.is_over; p++) {
                if (buffer_len(&c.out) + 6 <= bytes_max + 20)
                    client_converse_feed(&c, (struct slice){ p, 1 });
            }
            client_converse_finish(&c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dialogue_goes_as_it_should_wherever_it_is_cut),
        cmocka_unit_test(each_reply_is_taken_as_its_state_demands),
        cmocka_unit_test(the_end_of_the_connection_means_what_its_moment_says),
        cmocka_unit_test(what_a_server_cannot_take_is_not_sent),
        cmocka_unit_test(a_verdict_during_the_body_ends_the_session),
        cmocka_unit_test(many_recipients_go_out_in_bounded_groups),
        cmocka_unit_test(a_full_buffer_fails_the_session_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
