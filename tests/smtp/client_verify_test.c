/* The client session that asks about a recipient, or about the sender, and sends nothing. */
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
static const struct smtp_client_envelope questions[] = {
    { .recipients = recipients, .recipients_count = 1 },
    { .recipients = recipients + 1, .recipients_count = 1 },
};

#define HELLO      "220 mx ESMTP\r\n250 mx\r\n"
#define HELLO_P    "220 mx ESMTP\r\n250-mx\r\n250 PIPELINING\r\n"
#define EHLO_SAID  "EHLO out.example\r\n"
#define READY      "[ready stage=0 rcpt=0 250 0.0.0 'mx']\n"
#define READY_P    "[ready stage=0 rcpt=0 250 0.0.0 'mx PIPELINING']\n"
#define MAIL_SAID  "MAIL FROM:<>\r\n"
#define A_SAID     "RCPT TO:<a@x.example>\r\n"
#define B_SAID     "RCPT TO:<b@x.example>\r\n"
#define RSET_SAID  "RSET\r\n"
#define RCPT(text) "[done stage=3 rcpt=0 " text "]\n"
#define MAIL(text) "[done stage=2 rcpt=0 " text "]\n"
#define QUIT       "QUIT\r\n"

static const struct smtp_client_envelope about_sender = { .sender = { "", 0 } };

struct dialogue {
    const char *server;
    const char *log;
    size_t questions_count; /* 0: the one about the sender */
};

static const struct dialogue dialogues[] = {
    /* One by one. */
    { HELLO "250 ok\r\n250 2.1.5 Ok\r\n221 Bye\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID RCPT("250 2.1.5 'Ok'") QUIT
      "[bye stage=0 rcpt=0 221 0.0.0 'Bye']\n",
      1 },
    { HELLO "250 ok\r\n550-5.1.1 No\r\n550 5.1.1 such user\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID RCPT("550 5.1.1 'No such user'") QUIT, 1 },
    { HELLO "250 ok\r\n252 maybe\r\n250 rset\r\n250 ok\r\n450 4.2.0 Later\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID RCPT("252 0.0.0 'maybe'")
          RSET_SAID MAIL_SAID B_SAID RCPT("450 4.2.0 'Later'") QUIT,
      2 },
    /* A sender that is refused opens no transaction. */
    { HELLO "550 5.7.1 No bounces\r\n250 ok\r\n250 Ok\r\n",
      EHLO_SAID READY MAIL_SAID MAIL("550 5.7.1 'No bounces'")
          MAIL_SAID B_SAID RCPT("250 0.0.0 'Ok'") QUIT,
      2 },
    /* Pipelined. */
    { HELLO_P "250 ok\r\n250 Ok\r\n250 rset\r\n250 ok\r\n550 5.1.1 No\r\n",
      EHLO_SAID READY_P MAIL_SAID A_SAID RCPT("250 0.0.0 'Ok'")
          RSET_SAID MAIL_SAID B_SAID RCPT("550 5.1.1 'No'") QUIT,
      2 },
    { HELLO_P "451 4.3.0 Not now\r\n503 5.5.1 what\r\n250 ok\r\n250 Ok\r\n",
      EHLO_SAID READY_P MAIL_SAID A_SAID MAIL("451 4.3.0 'Not now'")
          MAIL_SAID B_SAID RCPT("250 0.0.0 'Ok'") QUIT,
      2 },
    /* Whatever RCPT hears behind a sender that was refused. */
    { HELLO_P "550 5.7.1 No\r\n250 Ok\r\n",
      EHLO_SAID READY_P MAIL_SAID A_SAID MAIL("550 5.7.1 'No'") QUIT, 1 },
    { HELLO "250 ok\r\n421 4.3.2 Closing\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID "[failed stage=3 rcpt=0 421 4.3.2 'Closing'closing]\n", 1 },
    { HELLO_P "421 4.3.2 Closing\r\n",
      EHLO_SAID READY_P MAIL_SAID A_SAID "[failed stage=2 rcpt=0 421 4.3.2 'Closing'closing]\n",
      1 },
    { HELLO "250 ok\r\n354 what\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID
      "[failed stage=3 rcpt=0 354 0.0.0 'what'not an SMTP reply, or out of turn]\n",
      1 },
    { HELLO "250 ok\r\n250 Ok\r\n500 what\r\n",
      EHLO_SAID READY MAIL_SAID A_SAID RCPT("250 0.0.0 'Ok'") RSET_SAID
      "[failed stage=2 rcpt=0 500 0.0.0 'what'not an SMTP reply, or out of turn]\n",
      2 },
    /* About the sender. */
    { HELLO "250 2.1.0 Ok\r\n250 rset\r\n221 Bye\r\n",
      EHLO_SAID READY MAIL_SAID RSET_SAID MAIL("250 2.1.0 'Ok'") QUIT
      "[bye stage=0 rcpt=0 221 0.0.0 'Bye']\n",
      0 },
    { HELLO "550 5.7.1 No\r\n", EHLO_SAID READY MAIL_SAID MAIL("550 5.7.1 'No'") QUIT, 0 },
    { HELLO_P "250 2.1.0 Ok\r\n250 rset\r\n",
      EHLO_SAID READY_P MAIL_SAID RSET_SAID MAIL("250 2.1.0 'Ok'") QUIT, 0 },
    { HELLO_P "550 5.7.1 No\r\n250 rset\r\n",
      EHLO_SAID READY_P MAIL_SAID RSET_SAID MAIL("550 5.7.1 'No'") QUIT, 0 },
    { HELLO "250 ok\r\n500 what\r\n",
      EHLO_SAID READY MAIL_SAID RSET_SAID
      "[failed stage=2 rcpt=0 500 0.0.0 'what'not an SMTP reply, or out of turn]\n",
      0 },
    { HELLO "250 ok\r\n421 4.3.2 Closing\r\n",
      EHLO_SAID READY MAIL_SAID RSET_SAID "[failed stage=2 rcpt=0 421 4.3.2 'Closing'closing]\n",
      0 },
};

static void start(struct client_converse *c, const struct smtp_client_envelope *first, size_t count)
{
    client_converse_start(c, &options, first, count, false);
    c->only_asks = true;
}

static void each_dialogue_goes_as_it_should_wherever_it_is_cut(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        struct slice text = slice_from(dialogues[d].server);

        for (size_t i = 0; i <= text.len; i++) {
            for (size_t j = i; j <= text.len; j++) {
                struct client_converse c;

                if (dialogues[d].questions_count > 0)
                    start(&c, questions, dialogues[d].questions_count);
                else
                    start(&c, &about_sender, 1);
                client_converse_feed(&c, slice_first(text, i));
                client_converse_feed(&c, slice_after(slice_first(text, j), i));
                client_converse_feed(&c, slice_after(text, j));
                if (!slice_equal(buffer_contents(&c.log), slice_from(dialogues[d].log)))
                    fail_msg("%zu, cut at %zu, %zu:\n%.*s\nexpected:\n%s", d, i, j,
                             SLICE_ARGS(buffer_contents(&c.log)), dialogues[d].log);
                client_converse_finish(&c);
            }
        }
    }
}

static void each_reply_is_taken_as_its_state_demands(void **unused)
{
    static const char *const replies[] = { "220 x\r\n", "250 x\r\n", "354 x\r\n",
                                           "421 x\r\n", "450 x\r\n", "550 x\r\n" };
    /* m: more is awaited; d: done at RCPT; M: done at MAIL; B: bad reply; C: closing. */
    static const struct {
        const char *name, *before;
        size_t questions_count;
        const char *letters; /* for each of the replies above */
    } states[] = {
        { "MAIL", HELLO, 1, "mmBCMM" },
        { "RCPT", HELLO "250 ok\r\n", 1, "ddBCdd" },
        { "MAIL, pipelined", HELLO_P, 1, "mmBCmm" },
        { "RCPT behind a refused MAIL", HELLO_P "550 no\r\n", 1, "MMBCMM" },
        { "RSET", HELLO "250 ok\r\n250 ok\r\n", 2, "mmBCBB" },
    };

    (void)unused;
    for (size_t s = 0; s < ARRAY_LEN(states); s++) {
        for (size_t r = 0; r < ARRAY_LEN(replies); r++) {
            struct client_converse c;
            char got = 'm';

            start(&c, questions, states[s].questions_count);
            client_converse_feed(&c, slice_from(states[s].before));
            c.last = (struct smtp_client_event){ .kind = SMTP_CLIENT_MORE };
            client_converse_feed(&c, slice_from(replies[r]));
            if (c.last.kind == SMTP_CLIENT_DONE)
                got = c.last.stage == SMTP_CLIENT_STAGE_RCPT ? 'd' : 'M';
            else if (c.last.kind == SMTP_CLIENT_FAILED)
                got = c.last.failure == SMTP_CLIENT_FAILURE_CLOSING ? 'C' : 'B';
            if (got != states[s].letters[r])
                fail_msg("%s, %s: %c, not %c", states[s].name, replies[r], got,
                         states[s].letters[r]);
            client_converse_finish(&c);
        }
    }
}

static void an_end_before_the_answer_is_a_failure_at_its_stage(void **unused)
{
    static const struct {
        const char *server;
        enum smtp_client_stage stage;
    } cases[] = {
        { HELLO, SMTP_CLIENT_STAGE_MAIL },
        { HELLO "250 ok\r\n", SMTP_CLIENT_STAGE_RCPT },
        { HELLO_P, SMTP_CLIENT_STAGE_MAIL },
        { HELLO_P "250 ok\r\n", SMTP_CLIENT_STAGE_RCPT },
        { HELLO_P "550 no\r\n", SMTP_CLIENT_STAGE_RCPT },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int by_time = 0; by_time < 2; by_time++) {
            struct client_converse c;
            struct smtp_client_event e;

            start(&c, questions, 1);
            client_converse_feed(&c, slice_from(cases[i].server));
            assert_int_equal(smtp_client_timeout_ms(&c.client), SMTP_CLIENT_COMMAND_MS);
            e = by_time ? smtp_client_expire(&c.client) : smtp_client_ended(&c.client);
            assert_int_equal(e.kind, SMTP_CLIENT_FAILED);
            assert_int_equal(e.stage, cases[i].stage);
            assert_int_equal(e.failure,
                             by_time ? SMTP_CLIENT_FAILURE_TIMEOUT : SMTP_CLIENT_FAILURE_ENDED);
            assert_false(e.in_doubt);
            client_converse_finish(&c);
        }
    }
}

static void what_a_server_cannot_be_asked_is_not_asked(void **unused)
{
    static const struct smtp_client_recipient evil[] = { { .address = { "a@b>\r\nRSET", 10 } } };
    static const struct {
        struct smtp_client_envelope question;
        struct smtp_enhanced enhanced;
    } cases[] = {
        { { .recipients = recipients, .recipients_count = 1, .smtputf8 = true }, { 5, 6, 7 } },
        { { .recipients = evil, .recipients_count = 1 }, { 5, 1, 3 } },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_converse c;

        start(&c, &cases[i].question, 1);
        client_converse_feed(&c, slice_from(HELLO));
        assert_int_equal(c.last.kind, SMTP_CLIENT_DONE);
        assert_int_equal(c.last.stage, SMTP_CLIENT_STAGE_LOCAL);
        assert_int_equal(c.last.reply.enhanced.subject, cases[i].enhanced.subject);
        assert_null(memmem(c.log.data, buffer_len(&c.log), "MAIL", 4));
        client_converse_finish(&c);
    }
}

static void a_message_may_follow_a_question(void **unused)
{
    struct client_converse c;

    (void)unused;
    start(&c, questions, 2);
    client_converse_feed(&c, SLICE(HELLO "250 ok\r\n"));
    c.only_asks = false;
    client_converse_feed(&c, SLICE("550 5.1.1 No\r\n250 rset\r\n250 ok\r\n250 Ok\r\n354 Go\r\n"));
    client_converse_feed(&c, SLICE("250 2.0.0 Kept\r\n"));
    assert_int_equal(c.last.kind, SMTP_CLIENT_DONE);
    assert_int_equal(c.last.stage, SMTP_CLIENT_STAGE_FINAL);
    assert_non_null(memmem(c.log.data, buffer_len(&c.log), "RSET\r\nMAIL", 10));
    client_converse_finish(&c);
}

static void a_full_buffer_fails_the_session_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t bytes_max = 0; bytes_max < 120; bytes_max++) {
        struct client_converse c;

        start(&c, questions, 1);
        buffer_finish(&c.out);
        buffer_init(&c.out, bytes_max + 20);
        for (const char *p = HELLO_P "250 ok\r\n250 ok\r\n"; *p != '\0' && !c.is_over; p++)
            client_converse_feed(&c, (struct slice){ p, 1 });
        if (c.last.kind == SMTP_CLIENT_FAILED)
            assert_int_equal(c.last.failure, SMTP_CLIENT_FAILURE_NO_MEMORY);
        client_converse_finish(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_dialogue_goes_as_it_should_wherever_it_is_cut),
        cmocka_unit_test(each_reply_is_taken_as_its_state_demands),
        cmocka_unit_test(an_end_before_the_answer_is_a_failure_at_its_stage),
        cmocka_unit_test(what_a_server_cannot_be_asked_is_not_asked),
        cmocka_unit_test(a_message_may_follow_a_question),
        cmocka_unit_test(a_full_buffer_fails_the_session_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
