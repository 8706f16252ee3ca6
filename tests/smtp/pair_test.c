#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtp/client.h"
#include "smtp/server.h"

#define ROUNDS         400
#define RECIPIENTS_MAX 150
#define MESSAGES_MAX   4
#define STEPS_MAX      2000000

/* The client and the server session back to back; random messages, random policies, and pipes
 * that deliver as much at a time as chance will have it. */
struct pair {
    uint64_t random;
    struct smtp_server server;
    struct smtp_client client;
    struct buffer to_server;
    struct buffer to_client;
    struct buffer sent;     /* the body of the message in flight */
    struct buffer received; /* what BODY events delivered of it */
    struct smtp_client_recipient recipients[RECIPIENTS_MAX];
    struct smtp_client_envelope envelope;
    unsigned messages_left;
    unsigned messages_done;
    size_t recipients_answered;
    size_t recipients_accepted;
    size_t recipients_seen; /* by the server, accepted */
    size_t recipients_asked;
    bool wants_tls;
    bool is_over;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool chance(struct pair *p, unsigned one_in)
{
    return next_random(&p->random) % one_in == 0;
}

/* A body as it is kept: lines of all kinds, dot-stuffed. */
static void message_make(struct pair *p)
{
    size_t lines = next_random(&p->random) % 200;

    buffer_clear(&p->sent);
    buffer_clear(&p->received);
    for (size_t i = 0; i < lines; i++) {
        char line[2100];
        size_t len = next_random(&p->random) % (chance(p, 20) ? 2000 : 100);
        size_t at = 0;

        if (chance(p, 4))
            line[at++] = '.', line[at++] = '.';
        for (; at < len; at++) {
            line[at] = (char)(next_random(&p->random) & 0xff);
            if (line[at] == '\r' || line[at] == '\n' || (at == 0 && line[at] == '.'))
                line[at] = 'x';
        }
        line[at++] = '\r';
        line[at++] = '\n';
        assert_int_equal(buffer_append(&p->sent, (struct slice){ line, at }), STATUS_OK);
    }
    p->envelope = (struct smtp_client_envelope){
        .sender = chance(p, 5) ? SLICE("") : SLICE("s@y.example"),
        .recipients = p->recipients,
        .recipients_count = 1 + next_random(&p->random) % (chance(p, 4) ? RECIPIENTS_MAX : 3),
        .message_bytes = buffer_len(&p->sent),
        .has_8bit = true,
    };
    if (chance(p, 10))
        p->envelope.sender = SLICE("refuse@y.example");
    p->envelope.ret = (enum smtp_ret)(next_random(&p->random) % 3);
    if (chance(p, 2))
        p->envelope.envid = SLICE("id+2B1");
    p->envelope.require_tls = smtp_client_capabilities(&p->client)->require_tls && chance(p, 2);
    for (size_t i = 0; i < p->envelope.recipients_count; i++) {
        unsigned notify = (unsigned)(next_random(&p->random) % (SMTP_NOTIFY_ALL + 1));

        p->recipients[i].notify = smtp_notify_is_valid(notify) ? notify : 0;
        p->recipients[i].orcpt = chance(p, 2) ? SLICE("rfc822;o+3D@z.example") : SLICE("");
        p->recipients[i].address = chance(p, 3) ? SLICE("refuse@x.example") : SLICE("r@x.example");
    }
    p->recipients_answered = p->recipients_accepted = p->recipients_seen = p->recipients_asked = 0;
}

static struct smtp_answer opinion(struct slice local)
{
    if (slice_is_word(local, "refuse"))
        return (struct smtp_answer){ 550, "5.1.1", SLICE("No such user\nreally") };
    return SMTP_ANSWER_ACCEPTED;
}

static void server_act(struct pair *p, const struct smtp_server_event *e)
{
    struct smtp_answer answer = SMTP_ANSWER_ACCEPTED;
    const struct smtp_client_recipient *asked;

    switch (e->kind) {
    case SMTP_SERVER_BODY:
        assert_int_equal(buffer_append(&p->received, e->body), STATUS_OK);
        return;
    case SMTP_SERVER_STARTTLS: smtp_server_tls_started(&p->server); return;
    case SMTP_SERVER_CLOSE: assert_int_equal(e->reason, SMTP_CLOSE_QUIT); return;
    case SMTP_SERVER_XCLIENT: fail_msg("XCLIENT is not offered"); return;
    case SMTP_SERVER_MORE:
    case SMTP_SERVER_REPLIED: return;
    case SMTP_SERVER_ASK_MAIL:
        assert_int_equal(e->command.ret, p->envelope.ret);
        assert_int_equal(e->command.require_tls, p->envelope.require_tls);
        assert_true(slice_equal(e->command.envid, p->envelope.envid));
        answer = opinion(e->command.mailbox.local);
        break;
    case SMTP_SERVER_ASK_RCPT:
        asked = &p->recipients[p->recipients_asked++];
        assert_int_equal(e->command.notify, asked->notify);
        assert_true(slice_equal(e->command.orcpt, asked->orcpt));
        answer = opinion(e->command.mailbox.local);
        break;
    case SMTP_SERVER_ASK_DATA:
        if (chance(p, 15))
            answer = (struct smtp_answer){ 451, "4.3.0", SLICE("Not now") };
        break;
    case SMTP_SERVER_END:
        assert_int_equal(e->end.bytes_count, buffer_len(&p->sent));
        assert_true(slice_equal(buffer_contents(&p->sent), buffer_contents(&p->received)));
        if (chance(p, 5))
            answer = (struct smtp_answer){ 452, "4.3.1", SLICE("Disk full") };
        break;
    }
    p->recipients_seen += e->kind == SMTP_SERVER_ASK_RCPT && answer.code == 0;
    (void)smtp_server_answer(&p->server, &answer, &p->to_client);
}

static struct smtp_client_event client_go_on(struct pair *p)
{
    if (p->wants_tls) {
        p->wants_tls = false;
        return smtp_client_starttls(&p->client, &p->to_server);
    }
    if (p->messages_left == 0)
        return smtp_client_quit(&p->client, &p->to_server);
    p->messages_left--;
    message_make(p);
    return smtp_client_send(&p->client, &p->envelope, &p->to_server);
}

static void client_done(struct pair *p, const struct smtp_client_event *e)
{
    p->messages_done++;
    if (e->stage == SMTP_CLIENT_STAGE_MAIL) {
        assert_int_equal(p->recipients_answered, 0);
        return;
    }
    assert_int_equal(p->recipients_answered, p->envelope.recipients_count);
    assert_int_equal(p->recipients_accepted, p->recipients_seen);
    assert_int_equal(e->stage == SMTP_CLIENT_STAGE_RCPT, p->recipients_accepted == 0);
    if (e->stage == SMTP_CLIENT_STAGE_FINAL)
        assert_true(e->reply.code == 250 || e->reply.code == 452);
}

static void client_act(struct pair *p, struct smtp_client_event e)
{
    while (e.kind != SMTP_CLIENT_MORE) {
        switch (e.kind) {
        case SMTP_CLIENT_READY: e = client_go_on(p); break;
        case SMTP_CLIENT_DONE:
            client_done(p, &e);
            e = client_go_on(p);
            break;
        case SMTP_CLIENT_TLS_GO: e = smtp_client_tls_started(&p->client, &p->to_server); break;
        case SMTP_CLIENT_BODY_WANTED:
            assert_int_equal(buffer_append(&p->to_server, buffer_contents(&p->sent)), STATUS_OK);
            e = smtp_client_body_sent(&p->client, &p->to_server);
            break;
        case SMTP_CLIENT_RECIPIENT:
            assert_int_equal(e.recipient, p->recipients_answered++);
            assert_int_equal(smtp_reply_is_positive(&e.reply),
                             p->recipients[e.recipient].address.len == strlen("r@x.example"));
            p->recipients_accepted += smtp_reply_is_positive(&e.reply);
            return;
        case SMTP_CLIENT_BYE: p->is_over = true; return;
        case SMTP_CLIENT_FAILED:
        case SMTP_CLIENT_TLS_REFUSED:
        case SMTP_CLIENT_MORE: fail_msg("%s", smtp_client_failure_text(e.failure));
        }
    }
}

static struct slice some_of(struct pair *p, const struct buffer *b)
{
    size_t len = buffer_len(b), most = chance(p, 3) ? 5 : 3000;

    len = len < most ? len : most;
    return slice_first(buffer_contents(b), len > 0 ? 1 + next_random(&p->random) % len : 0);
}

static void step(struct pair *p)
{
    size_t used;

    if (chance(p, 2) && buffer_len(&p->to_server) > 0) {
        struct slice input = some_of(p, &p->to_server);
        struct smtp_server_event e = smtp_server_feed(&p->server, input, &used, &p->to_client);

        server_act(p, &e);
        buffer_consume(&p->to_server, used);
        return;
    }
    for (bool again = true; again && !p->is_over;) {
        struct smtp_client_event e =
            smtp_client_feed(&p->client, some_of(p, &p->to_client), &used, &p->to_server);

        buffer_consume(&p->to_client, used);
        again = e.kind != SMTP_CLIENT_MORE;
        client_act(p, e);
    }
}

static void what_is_sent_is_what_arrives(void **unused)
{
    static const struct smtp_server_options server_options = { .hostname = { "mx.example", 10 },
                                                               .tls = SMTP_SERVER_TLS_PREFERRED,
                                                               .offers_dsn = true,
                                                               .offers_require_tls = true };
    static const struct smtp_client_options client_options = { .hostname = { "out.example", 11 } };
    uint64_t seed = 0x5eed1001;

    (void)unused;
    print_message("seed %llx\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        static struct pair p;
        unsigned steps = 0;

        p = (struct pair){ .random = seed + round * 0x9e3779b97f4a7c15ull,
                           .messages_left = MESSAGES_MAX };
        p.wants_tls = chance(&p, 2);
        buffer_init(&p.to_server, 1024 * 1024);
        buffer_init(&p.to_client, 1024 * 1024);
        buffer_init(&p.sent, 1024 * 1024);
        buffer_init(&p.received, 1024 * 1024);
        smtp_server_init(&p.server, &server_options);
        smtp_client_init(&p.client, &client_options);
        (void)smtp_server_greet(&p.server, &p.to_client);
        while (!p.is_over && steps++ < STEPS_MAX)
            step(&p);
        assert_true(p.is_over);
        assert_int_equal(p.messages_done, MESSAGES_MAX);
        smtp_server_finish(&p.server);
        smtp_client_finish(&p.client);
        buffer_finish(&p.to_server);
        buffer_finish(&p.to_client);
        buffer_finish(&p.sent);
        buffer_finish(&p.received);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_what_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
