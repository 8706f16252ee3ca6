/* What the client session does with CHUNKING, LIMITS, REQUIRETLS and DSN, and with EHLO replies
 * that were tampered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtp/client_envelope.h"
#include "tests/smtp/client_converse.h"

static const struct smtp_client_options options = { .hostname = { "out.example", 11 } };
static const struct smtp_client_recipient recipients[] = {
    { .address = { "a@x.example", 11 },
      .notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY,
      .orcpt = { "rfc822;o+2Bp@x", 14 } },
    { .address = { "b@X.EXAMPLE", 11 }, .notify = SMTP_NOTIFY_NEVER },
    { .address = { "c@y.example", 11 } },
};
/* By BDAT, where it is offered. */
static const struct smtp_client_envelope chunks[] = {
    { .sender = { "s@y", 3 },
      .recipients = recipients,
      .recipients_count = 2,
      .message_bytes = 7,
      .may_chunk = true },
    { .recipients = recipients + 2, .recipients_count = 1, .may_chunk = true },
};
static const struct smtp_client_envelope stuffed[] = {
    { .sender = { "s@y", 3 },
      .recipients = recipients,
      .recipients_count = 3,
      .ret = SMTP_RET_HDRS,
      .envid = { "q+20r", 5 } },
    { .recipients = recipients + 2, .recipients_count = 1 },
};
static const struct smtp_client_envelope secret[] = {
    { .sender = { "s@y", 3 },
      .recipients = recipients + 2,
      .recipients_count = 1,
      .require_tls = true },
};

#define GREETED     "220 mx\r\n"
#define EHLO_SAID   "EHLO out.example\r\n"
#define SET_A       "MAIL FROM:<s@y>\r\nRCPT TO:<a@x.example>\r\n"
#define SET_B       "RCPT TO:<b@X.EXAMPLE>\r\n"
#define A_OK        "[rcpt stage=3 rcpt=0 250 0.0.0 'ok']\n"
#define B_OK        "[rcpt stage=3 rcpt=1 250 0.0.0 'ok']\n"
#define C_OK        "[rcpt stage=3 rcpt=2 250 0.0.0 'ok']\n"
#define A_NO        "[rcpt stage=3 rcpt=0 550 0.0.0 'no']\n"
#define B_NO        "[rcpt stage=3 rcpt=1 550 0.0.0 'no']\n"
#define CHUNK       "BDAT 7 LAST\r\n[body stage=4 rcpt=0 0 0.0.0 '']\n{chunk}"
#define BODY        "[body stage=4 rcpt=0 354 0.0.0 'go']\n{body}.\r\n"
#define C_SAID      "RCPT TO:<c@y.example>\r\n"
#define UNSUPPORTED "[done stage=1 rcpt=0 550 5.7.30 'REQUIRETLS support required']\n"
#define KEPT        "[done stage=6 rcpt=0 250 0.0.0 'kept']\n"
#define OK          "250 ok\r\n"
#define NO          "550 no\r\n"
#define READY(caps) "[ready stage=0 rcpt=0 250 0.0.0 'mx" caps "']\n"

static const struct {
    const char *server;
    const struct smtp_client_envelope *envelopes;
    size_t envelopes_count;
    bool wants_tls;
    const char *log;
} dialogues[] = {
    /* BDAT: one by one, and pipelined up to the recipients. */
    { GREETED "250-mx\r\n250 CHUNKING\r\n" OK OK NO "250 kept\r\n", chunks, 1, false,
      EHLO_SAID READY(" CHUNKING") SET_A A_OK SET_B B_NO CHUNK KEPT "QUIT\r\n" },
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n" OK OK OK "250 kept\r\n" OK OK
              "250 kept\r\n",
      chunks, 2, false,
      EHLO_SAID READY(" PIPELINING CHUNKING") SET_A SET_B A_OK B_OK CHUNK KEPT
      "MAIL FROM:<>\r\nRCPT TO:<c@y.example>\r\n" A_OK
      "BDAT 0 LAST\r\n[body stage=4 rcpt=0 0 0.0.0 '']\n{chunk}" KEPT "QUIT\r\n" },
    /* Nobody is there to take it: no chunk. */
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n" OK NO NO OK OK OK, chunks, 2, false,
      EHLO_SAID READY(" PIPELINING CHUNKING") SET_A SET_B A_NO B_NO
      "[done stage=3 rcpt=0 550 0.0.0 'no']\n"
      "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<c@y.example>\r\n" A_OK
      "BDAT 0 LAST\r\n[body stage=4 rcpt=0 0 0.0.0 '']\n{chunk}" },
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n" NO NO NO, chunks, 1, false,
      EHLO_SAID READY(" PIPELINING CHUNKING") SET_A SET_B
      "[done stage=2 rcpt=0 550 0.0.0 'no']\nQUIT\r\n" },
    { GREETED "250-mx\r\n250 CHUNKING\r\n" OK OK OK "354 what\r\n", chunks, 1, false,
      EHLO_SAID READY(" CHUNKING") SET_A A_OK SET_B B_OK CHUNK
      "[failed stage=6 rcpt=0 354 0.0.0 'what'not an SMTP reply, or out of turn in doubt]\n" },
    /* What may not be chunked goes by DATA whatever is offered, what may where nothing else is. */
    { GREETED "250-mx\r\n250 CHUNKING\r\n" OK OK "354 go\r\n250 kept\r\n", stuffed + 1, 1, false,
      EHLO_SAID READY(" CHUNKING") "MAIL FROM:<>\r\nRCPT TO:<c@y.example>\r\n" A_OK
                                   "DATA\r\n" BODY KEPT "QUIT\r\n" },
    { GREETED "250 mx\r\n" OK OK "354 go\r\n250 kept\r\n", chunks + 1, 1, false,
      EHLO_SAID READY("") "MAIL FROM:<>\r\nRCPT TO:<c@y.example>\r\n" A_OK "DATA\r\n" BODY KEPT
                          "QUIT\r\n" },
    /* LIMITS: what is too much stays for the next transaction, as MAIL and RCPT are concerned. */
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n" OK OK OK
              "354 go\r\n250 kept\r\n",
      stuffed, 1, false,
      EHLO_SAID READY(" PIPELINING LIMITS RCPTMAX=2") SET_A SET_B "DATA\r\n" A_OK B_OK BODY KEPT
                                                                  "(2 of 3)\nQUIT\r\n" },
    { GREETED "250-mx\r\n250 LIMITS RCPTMAX=1\r\n" OK NO, stuffed, 1, false,
      EHLO_SAID READY(" LIMITS RCPTMAX=1") SET_A A_NO
      "[done stage=3 rcpt=0 550 0.0.0 'no']\n(1 of 3)\nQUIT\r\n" },
    { GREETED "250-mx\r\n250 LIMITS RCPTDOMAINMAX=1 MAILMAX=9\r\n" OK OK OK
              "354 go\r\n250 kept\r\n",
      stuffed, 1, false,
      EHLO_SAID READY(" LIMITS RCPTDOMAINMAX=1 MAILMAX=9") SET_A A_OK SET_B B_OK
      "DATA\r\n" BODY KEPT "(2 of 3)\nQUIT\r\n" },
    { GREETED
      "250-mx\r\n250 LIMITS RCPTMAX=0 RCPTDOMAINMAX=x RCPTMAX=1000000 RCPTMAX\r\n" OK OK OK OK,
      stuffed, 1, false,
      EHLO_SAID READY(" LIMITS RCPTMAX=0 RCPTDOMAINMAX=x RCPTMAX=1000000 RCPTMAX")
          SET_A A_OK SET_B B_OK "RCPT TO:<c@y.example>\r\n" C_OK "DATA\r\n" },
    /* DSN. */
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 DSN\r\n", stuffed, 1, false,
      EHLO_SAID READY(
          " PIPELINING DSN") "MAIL FROM:<s@y> RET=HDRS ENVID=q+20r\r\n"
                             "RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bp@x\r\n"
                             "RCPT TO:<b@X.EXAMPLE> NOTIFY=NEVER\r\n" C_SAID "DATA\r\n" },
    { GREETED "250-mx\r\n250-PIPELINING\r\n250 DSNX\r\n", stuffed, 1, false,
      EHLO_SAID READY(" PIPELINING DSNX") SET_A SET_B "RCPT TO:<c@y.example>\r\nDATA\r\n" },
    /* REQUIRETLS: offered in the clear it is worth nothing. */
    { GREETED "250-mx\r\n250 REQUIRETLS\r\n", secret, 1, false,
      EHLO_SAID READY(" REQUIRETLS") UNSUPPORTED "QUIT\r\n" },
    { GREETED "250-mx\r\n250 STARTTLS\r\n220 go\r\n250-mx\r\n250 REQUIRETLS\r\n", secret, 1, true,
      EHLO_SAID READY(" STARTTLS") "STARTTLS\r\n[tls stage=0 rcpt=0 220 0.0.0 'go']\n" EHLO_SAID
          READY(" REQUIRETLS") "MAIL FROM:<s@y> REQUIRETLS\r\n" },
    { GREETED "250-mx\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n220 go\r\n250 mx\r\n", secret, 1, true,
      EHLO_SAID READY(
          " REQUIRETLS STARTTLS") "STARTTLS\r\n[tls stage=0 rcpt=0 220 0.0.0 'go']\n" EHLO_SAID
          READY("") UNSUPPORTED "QUIT\r\n" },
};

static bool has_said(const struct client_converse *c, const char *text)
{
    return memmem(c->log.data, buffer_len(&c->log), text, strlen(text)) != NULL;
}

static void each_dialogue_goes_as_it_should_wherever_it_is_cut(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        struct slice text = slice_from(dialogues[d].server);

        for (size_t i = 0; i <= text.len; i++) {
            for (size_t j = i; j <= text.len; j++) {
                struct client_converse c;

                client_converse_cut(&c, &options, dialogues[d].envelopes,
                                    dialogues[d].envelopes_count, dialogues[d].wants_tls, text, i,
                                    j);
                if (!slice_equal(buffer_contents(&c.log), slice_from(dialogues[d].log)))
                    fail_msg("%zu, cut at %zu, %zu:\n%.*s\nexpected:\n%s", d, i, j,
                             SLICE_ARGS(buffer_contents(&c.log)), dialogues[d].log);
                client_converse_finish(&c);
            }
        }
    }
}

/* A session whose chunk is on its way. */
static void chunk_start(struct smtp_client *c, struct buffer *out)
{
    struct slice rest = SLICE(GREETED "250-mx\r\n250 CHUNKING\r\n" OK OK);
    struct smtp_client_event e = { 0 };

    smtp_client_init(c, &options);
    buffer_init(out, 4096);
    while (e.kind != SMTP_CLIENT_BODY_WANTED) {
        size_t used;

        e = smtp_client_feed(c, rest, &used, out);
        rest = slice_after(rest, used);
        if (e.kind == SMTP_CLIENT_READY)
            (void)smtp_client_send(c, chunks + 1, out);
    }
    assert_true(e.by_bdat);
    assert_int_equal(smtp_client_timeout_ms(c), SMTP_CLIENT_BODY_MS);
    buffer_clear(out);
}

static void a_reply_that_overtakes_the_end_of_a_chunk_waits_for_it(void **unused)
{
    static const struct {
        const char *said; /* while the chunk is being sent */
        bool is_sent;     /* then body_sent(), else the connection ends */
        enum smtp_client_event_kind kind;
        enum smtp_client_failure failure;
        unsigned code;
        bool in_doubt;
    } cases[] = {
        { "", true, SMTP_CLIENT_MORE, SMTP_CLIENT_FAILURE_NONE, 0, false },
        { "250 ok\r\n", true, SMTP_CLIENT_DONE, SMTP_CLIENT_FAILURE_NONE, 250, false },
        { "452 full\r\n", true, SMTP_CLIENT_DONE, SMTP_CLIENT_FAILURE_NONE, 452, false },
        { "552 big\r\n", true, SMTP_CLIENT_DONE, SMTP_CLIENT_FAILURE_NONE, 552, false },
        { "", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_ENDED, 0, true },
        { "250 ok\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_ENDED, 0, true },
        { "552 big\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_EARLY, 552, false },
        { "421 bye\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_CLOSING, 421, false },
        { "250 ok\r\n421 bye\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_CLOSING, 421,
          true },
        { "354 what\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_BAD_REPLY, 354, true },
        { "250 ok\r\n250 ok\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_BAD_REPLY, 250,
          true },
        { "552 big\r\n250 ok\r\n", false, SMTP_CLIENT_FAILED, SMTP_CLIENT_FAILURE_BAD_REPLY, 250,
          false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client c;
        struct smtp_client_event e;
        struct buffer out;
        size_t used;

        chunk_start(&c, &out);
        e = smtp_client_feed(&c, slice_from(cases[i].said), &used, &out);
        if (e.kind == SMTP_CLIENT_MORE)
            e = cases[i].is_sent ? smtp_client_body_sent(&c, &out) : smtp_client_ended(&c);
        assert_int_equal(e.kind, cases[i].kind);
        assert_int_equal(e.failure, cases[i].failure);
        assert_int_equal(e.reply.code, cases[i].code);
        assert_int_equal(e.in_doubt, cases[i].in_doubt);
        assert_int_equal(buffer_len(&out), 0); /* no dot */
        if (e.kind == SMTP_CLIENT_DONE) {
            assert_int_equal(e.stage, SMTP_CLIENT_STAGE_FINAL);
            assert_int_equal(e.reply.text.len, strlen(cases[i].said) - strlen("250 \r\n"));
            assert_true(smtp_client_is_ready(&c));
        }
        smtp_client_finish(&c);
        buffer_finish(&out);
    }
}

/* Once all is sent the reply is taken as that to a final dot is. */
static void the_reply_to_a_chunk_is_taken_as_its_moment_demands(void **unused)
{
    static const struct {
        const char *said;
        enum smtp_client_event_kind kind;
        bool in_doubt;
    } cases[] = {
        { "250 ok\r\n", SMTP_CLIENT_DONE, false },  { "220 ok\r\n", SMTP_CLIENT_DONE, false },
        { "354 go\r\n", SMTP_CLIENT_FAILED, true }, { "421 bye\r\n", SMTP_CLIENT_FAILED, false },
        { "450 not\r\n", SMTP_CLIENT_DONE, false }, { "550 no\r\n", SMTP_CLIENT_DONE, false },
        { "what\r\n", SMTP_CLIENT_FAILED, true },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client c;
        struct smtp_client_event e;
        struct buffer out;
        size_t used;

        chunk_start(&c, &out);
        assert_int_equal(smtp_client_body_sent(&c, &out).kind, SMTP_CLIENT_MORE);
        assert_int_equal(smtp_client_timeout_ms(&c), SMTP_CLIENT_FINAL_MS);
        e = smtp_client_feed(&c, slice_from(cases[i].said), &used, &out);
        assert_int_equal(e.kind, cases[i].kind);
        assert_int_equal(e.stage, SMTP_CLIENT_STAGE_FINAL);
        assert_int_equal(e.in_doubt, cases[i].in_doubt);
        smtp_client_finish(&c);
        buffer_finish(&out);
    }
}

static void limits_are_believed_as_far_as_they_make_sense(void **unused)
{
    static const struct {
        const char *line;
        uint32_t mails, recipients, domains;
    } cases[] = {
        { "LIMITS MAILMAX=5 RCPTMAX=100 RCPTDOMAINMAX=3", 5, 100, 3 },
        { "limits rcptmax=999999  mailmax=1 ", 1, 999999, 0 },
        { "LIMITS", 0, 0, 0 },
        { "LIMITS MAILMAX=0 RCPTMAX=0 RCPTDOMAINMAX=0", 0, 0, 0 },
        { "LIMITS MAILMAX=1000000 RCPTMAX=99999999999999999999", 0, 0, 0 },
        { "LIMITS MAILMAX=05 RCPTMAX=-1 RCPTDOMAINMAX=1x", 0, 0, 0 },
        { "LIMITS MAILMAX= RCPTMAX RCPTDOMAINMAX==1", 0, 0, 0 },
        { "LIMITS WHATMAX=7 =1 RCPTMAX=2", 0, 2, 0 },
        { "LIMITS=RCPTMAX=2", 0, 0, 0 },
        { "LIMIT RCPTMAX=2", 0, 0, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client_capabilities can = { 0 };

        smtp_client_capabilities_read(&can, slice_from(cases[i].line), true);
        if (can.mails_max != cases[i].mails || can.recipients_max != cases[i].recipients ||
            can.recipient_domains_max != cases[i].domains)
            fail_msg("%s: %u %u %u", cases[i].line, can.mails_max, can.recipients_max,
                     can.recipient_domains_max);
    }
}

static void domains_count_as_often_as_they_change(void **unused)
{
    static const struct {
        const char *addresses; /* parted by spaces */
        uint32_t recipients_max, domains_max;
        size_t count;
    } cases[] = {
        { "1@a 2@a 3@a", 0, 0, 3 },  { "1@a 2@a 3@a", 2, 0, 2 },      { "1@a 2@b 3@c", 0, 2, 2 },
        { "1@a 2@A 3@b", 0, 1, 2 },  { "1@a 2@b 3@a", 0, 2, 2 },      { "1@a 2@b 3@a", 0, 3, 3 },
        { "1@a 2@a 3@b", 1, 1, 1 },  { "1@a 2@a 3@b", 3, 1, 2 },      { "1@a", 7, 7, 1 },
        { "\"@b\"@a 2@a", 0, 1, 2 }, { "postmaster p 3@a", 0, 1, 2 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_client_capabilities can = { .recipients_max = cases[i].recipients_max,
                                                .recipient_domains_max = cases[i].domains_max };
        struct smtp_client_recipient list[3];
        struct smtp_client_envelope e = { .recipients = list };
        struct slice rest = slice_from(cases[i].addresses);

        while (rest.len > 0)
            list[e.recipients_count++].address = slice_cut(&rest, ' ');
        if (smtp_client_envelope_recipients_max(&e, &can) != cases[i].count)
            fail_msg("%s: %zu", cases[i].addresses, smtp_client_envelope_recipients_max(&e, &can));
    }
}

static void the_transactions_that_are_left_are_counted(void **unused)
{
    struct client_converse c;

    (void)unused;
    client_converse_start(&c, &options, stuffed + 1, 1, false);
    client_converse_feed(&c, SLICE(GREETED));
    assert_int_equal(smtp_client_transactions_left(&c.client), UINT32_MAX);
    c.next_envelope = 1; /* nothing is sent yet */
    client_converse_feed(&c, SLICE("250-mx\r\n250 LIMITS MAILMAX=2\r\n"));
    assert_int_equal(smtp_client_transactions_left(&c.client), 2);
    client_converse_finish(&c);

    client_converse_start(&c, &options, chunks, 2, true);
    client_converse_feed(&c, SLICE(GREETED "250-mx\r\n250-STARTTLS\r\n250 LIMITS MAILMAX=9\r\n"
                                           "220 go\r\n250-mx\r\n250-CHUNKING\r\n"
                                           "250 LIMITS MAILMAX=2\r\n"));
    assert_int_equal(smtp_client_transactions_left(&c.client), 1);
    client_converse_feed(&c, SLICE(OK NO NO));
    assert_int_equal(smtp_client_transactions_left(&c.client), 0);
    client_converse_feed(&c, SLICE(OK OK OK "250 kept\r\n"));
    assert_int_equal(smtp_client_transactions_left(&c.client), 0);
    assert_int_equal(c.last.stage, SMTP_CLIENT_STAGE_FINAL);
    client_converse_finish(&c);
}

static void a_firewall_that_blots_out_starttls_is_seen(void **unused)
{
    static const struct {
        const char *server;
        bool wants_tls;
        bool is_masked;
    } cases[] = {
        { GREETED "250-mx\r\n250-SIZE 9\r\n250 XXXXXXXA\r\n", false, true },
        { GREETED "250-mx\r\n250-XXXXXXXX\r\n250 SIZE 9\r\n", false, true },
        { GREETED "250-mx\r\n250 XXXXXXXB what\r\n", false, true },
        { GREETED "250 mx\r\n", false, false },
        { GREETED "250 XXXXXXXA\r\n", false, false }, /* its name */
        { GREETED "250-mx\r\n250 XXXXXXA\r\n", false, false },
        { GREETED "250-mx\r\n250 XXXXXXXXA\r\n", false, false },
        { GREETED "250-mx\r\n250 XXXXXXX1\r\n", false, false },
        { GREETED "250-mx\r\n250 xxxxxxxx\r\n", false, false },
        { GREETED "250-mx\r\n250 XCLIENT\r\n", false, false },
        { GREETED "250-mx\r\n250-XXXXXXXA\r\n250 STARTTLS\r\n", false, false },
        { GREETED "250-mx\r\n250-XXXXXXXA\r\n250 STARTTLS\r\n220 go\r\n250 mx\r\n", true, false },
        { GREETED "250-mx\r\n250 STARTTLS\r\n220 go\r\n250-mx\r\n250 XXXXXXXA\r\n", true, false },
        { "220 ***********2*****0*0*00\r\n250 mx\r\n", false, true },
        { "220 ****************\r\n500 XXXX\r\n250 mx\r\n", false, true },
        { "220 ****************\r\n250-mx\r\n250 STARTTLS\r\n", false, false },
        { "220 *** mx ESMTP ************\r\n250 mx\r\n", false, false },
        { "220 *******\r\n250 mx\r\n", false, false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_converse c;

        client_converse_cut(&c, &options, NULL, 0, cases[i].wants_tls, slice_from(cases[i].server),
                            3, 9);
        if (smtp_client_capabilities(&c.client)->starttls_masked != cases[i].is_masked)
            fail_msg("%s", cases[i].server);
        client_converse_finish(&c);
    }
}

/* What a damaged record might bring: the message goes, the parameter does not. */
static void a_value_that_is_none_is_left_out(void **unused)
{
    static const struct smtp_client_recipient odd[] = {
        { .address = { "a@x", 3 }, .notify = 99, .orcpt = { "rfc822;a\r\nRSET", 14 } },
        { .address = { "b@x", 3 },
          .notify = SMTP_NOTIFY_NEVER | SMTP_NOTIFY_DELAY,
          .orcpt = { "utf-8;\xc3\xa4", 8 } },
    };
    static const struct smtp_client_recipient beyond[] = {
        { .address = { "\xc3\xb6@x", 4 }, .orcpt = { "utf-8;\xc3\xa4", 8 } },
    };
    struct smtp_client_envelope envelope = { .recipients = odd,
                                             .recipients_count = 2,
                                             .envid = { "a b", 3 } };
    struct slice server = SLICE(GREETED "250-mx\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250 DSN\r\n");
    struct client_converse c;

    (void)unused;
    client_converse_cut(&c, &options, &envelope, 1, false, server, 0, 0);
    assert_true(has_said(&c, "MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"));
    client_converse_finish(&c);
    envelope.smtputf8 = true;
    client_converse_cut(&c, &options, &envelope, 1, false, server, 0, 0);
    assert_true(
        has_said(&c, "SMTPUTF8\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x> ORCPT=utf-8;\xc3\xa4\r\n"));
    client_converse_finish(&c);
    /* An address alone brings SMTPUTF8 with it. */
    envelope = (struct smtp_client_envelope){ .recipients = beyond, .recipients_count = 1 };
    client_converse_cut(&c, &options, &envelope, 1, false, server, 0, 0);
    assert_true(has_said(&c, "SMTPUTF8\r\nRCPT TO:<\xc3\xb6@x> ORCPT=utf-8;\xc3\xa4\r\n"));
    client_converse_finish(&c);
}

static void a_size_beyond_the_limit_is_told_with_it(void **unused)
{
    static const struct smtp_client_envelope large[] = {
        { .recipients = recipients, .recipients_count = 1, .message_bytes = 10485761 }
    };
    struct client_converse c;

    (void)unused;
    client_converse_cut(&c, &options, large, 1, false,
                        SLICE(GREETED "250-mx\r\n250 SIZE 10485760\r\n"), 0, 0);
    assert_true(has_said(&c, "[done stage=1 rcpt=0 552 5.3.4 "
                             "'Message size exceeds the host's limit of 10485760']\nQUIT"));
    client_converse_finish(&c);
}

static void a_full_buffer_fails_the_session_and_nothing_else(void **unused)
{
    (void)unused;
    for (size_t d = 0; d < ARRAY_LEN(dialogues); d++) {
        for (size_t bytes_max = 0; bytes_max < 260; bytes_max += 5) {
            struct client_converse c;

            client_converse_start(&c, &options, dialogues[d].envelopes,
                                  dialogues[d].envelopes_count, dialogues[d].wants_tls);
            buffer_finish(&c.out);
            buffer_init(&c.out, bytes_max + 20);
            for (const char *p = dialogues[d].server; *p != '\0' && !c.is_over; p++) {
                if (buffer_len(&c.out) + 7 <= bytes_max + 20) /* "{chunk}" */
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
        cmocka_unit_test(a_reply_that_overtakes_the_end_of_a_chunk_waits_for_it),
        cmocka_unit_test(the_reply_to_a_chunk_is_taken_as_its_moment_demands),
        cmocka_unit_test(limits_are_believed_as_far_as_they_make_sense),
        cmocka_unit_test(domains_count_as_often_as_they_change),
        cmocka_unit_test(the_transactions_that_are_left_are_counted),
        cmocka_unit_test(a_firewall_that_blots_out_starttls_is_seen),
        cmocka_unit_test(a_value_that_is_none_is_left_out),
        cmocka_unit_test(a_size_beyond_the_limit_is_told_with_it),
        cmocka_unit_test(a_full_buffer_fails_the_session_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
