/* A hop and a peer that is a script, on a kernel that does what the test says. */
#include "gateway/hop.h"

#include <errno.h>

#include "tests/engine/fake_backend.h"
#include "tests/tls/support.h"
#include "tls/internal.h"

#define TURNS_MAX 100

static const struct policy_tls_demand required = { .is_wanted = true, .is_required = true };
static const struct policy_tls_demand preferred = { .is_wanted = true, .may_fall_back = true };

/* How our end begins TLS. */
enum beginning {
    NO_SESSION, /* there is no memory for one */
    SHORT_SESSION /* there is, and then no more */,
    BAD_SESSION /* its handshake fails for another reason */
};

static struct {
    struct gateway_hop hop;
    struct engine_loop *loop;
    struct fake_backend *kernel;
    struct tls_context *context;
    enum beginning beginning;
    unsigned opened, unsecured, failed, closed;
    struct gateway_hop_end end;
} rig;

static enum status on_session(struct gateway_hop *h, struct tls_session **session_out)
{
    struct tls_session *session;

    (void)h;
    if (rig.beginning == NO_SESSION)
        return STATUS_NO_MEMORY;
    assert_int_equal(tls_session_create(rig.context, TLS_ROLE_CLIENT, NULL, &session), STATUS_OK);
    session->lacks_memory = rig.beginning == SHORT_SESSION;
    tls_session_fail(session, "it is the test that wants it so");
    *session_out = session;
    return STATUS_OK;
}

static void on_unsecured(struct gateway_hop *h, struct slice why)
{
    (void)h;
    (void)why;
    rig.unsecured++;
}

static void on_opened(struct gateway_hop *h)
{
    (void)h;
    rig.opened++;
}

static void on_failed(struct gateway_hop *h, const struct gateway_hop_end *end)
{
    (void)h;
    rig.failed++;
    rig.end = *end;
}

static void on_closed(struct gateway_hop *h)
{
    (void)h;
    rig.closed++;
}

static void on_nothing(struct gateway_hop *h)
{
    (void)h;
    fail_msg("nobody asked for it");
}

static void on_event(struct gateway_hop *h, const struct smtp_client_event *event)
{
    (void)event;
    on_nothing(h);
}

static const struct gateway_hop_handlers handlers = {
    .session = on_session,
    .unsecured = on_unsecured,
    .secured = on_nothing,
    .judge_now = on_nothing,
    .opened = on_opened,
    .event = on_event,
    .drained = on_nothing,
    .idle = on_nothing,
    .failed = on_failed,
    .closed = on_closed,
};

static void on_poke(struct engine_timer *timer)
{
    (void)timer;
}

static void turn(void)
{
    const struct engine_request *r = fake_pending(rig.kernel, ENGINE_OP_SENDMSG, -1);
    struct engine_timer poke = { 0 };
    size_t bytes = 0;

    if (r != NULL) {
        for (size_t i = 0; i < r->sendmsg.message->msg_iovlen; i++)
            bytes += r->sendmsg.message->msg_iov[i].iov_len;
        fake_complete(rig.kernel, ENGINE_OP_SENDMSG, r->fd, (int)bytes);
    }
    engine_timer_start(rig.loop, &poke, 1, on_poke);
    engine_loop_turn(rig.loop);
    engine_timer_stop(rig.loop, &poke);
}

static void open_hop(const struct policy_tls_demand *demand, enum beginning beginning)
{
    const struct gateway_hop_options options = { .remote = { .port = 25 },
                                                 .hostname = SLICE("mx.example.com"),
                                                 .demand = *demand };
    struct engine_reason reason;

    memset(&rig, 0, sizeof(rig));
    assert_int_equal(
        engine_loop_create(&(struct engine_loop_options){ .backend = &fake_backend_ops }, &rig.loop,
                           &reason),
        STATUS_OK);
    rig.kernel = fake_backend_of(rig.loop);
    rig.context = make_client(TLS_VERSION_1_2);
    rig.beginning = beginning;
    gateway_hop_open(&rig.hop, rig.loop, &handlers, &options);
}

static void connect_hop(int error)
{
    fake_complete(rig.kernel, ENGINE_OP_CONNECT, -1, -error);
    turn();
}

/* "": the peer closes. */
static void hear(const char *text)
{
    for (unsigned i = 0; i < TURNS_MAX && fake_pending(rig.kernel, ENGINE_OP_RECV, -1) == NULL; i++)
        turn();
    assert_non_null(fake_pending(rig.kernel, ENGINE_OP_RECV, -1));
    if (text[0] != '\0')
        assert_true(fake_receive(rig.kernel, -1, slice_from(text)));
    else
        fake_complete(rig.kernel, ENGINE_OP_RECV, -1, 0);
    for (unsigned i = 0; i < 3; i++)
        turn();
}

static void finish(void)
{
    for (unsigned i = 0; i < TURNS_MAX && rig.closed == 0; i++)
        turn();
    assert_int_equal(rig.closed, 1);
    engine_loop_destroy(rig.loop);
    tls_context_destroy(rig.context);
}

static void say_starttls(void)
{
    connect_hop(0);
    hear("220 mx.example.net ESMTP\r\n");
    hear("250-mx.example.net\r\n250 STARTTLS\r\n");
}

static void test_tls_that_our_memory_was_too_short_for_is_no_failure_of_tls(void **state)
{
    static const struct {
        const struct policy_tls_demand *demand;
        enum beginning beginning;
    } cases[] = {
        { &required, NO_SESSION },
        { &preferred, NO_SESSION },
        { &required, SHORT_SESSION },
        { &preferred, SHORT_SESSION },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        open_hop(cases[i].demand, cases[i].beginning);
        say_starttls();
        hear("220 go ahead\r\n");
        assert_int_equal(rig.failed, 1);
        assert_int_equal(rig.end.kind, GATEWAY_HOP_END_SMTP);
        assert_int_equal(rig.end.event.failure, SMTP_CLIENT_FAILURE_NO_MEMORY);
        assert_false(rig.end.was_securing);
        assert_int_equal(rig.unsecured, 0);
        assert_int_equal(rig.opened, 0); /* in the clear, that would be */
        finish();
    }
}

static void test_a_handshake_that_fails_is_judged_by_the_demand(void **state)
{
    static const struct {
        const struct policy_tls_demand *demand;
        enum policy_tls_action action;
    } cases[] = { { &required, POLICY_TLS_TRY_NEXT }, { &preferred, POLICY_TLS_TRY_CLEAR } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        open_hop(cases[i].demand, BAD_SESSION);
        say_starttls();
        hear("220 go ahead\r\n");
        assert_int_equal(rig.failed, 1);
        assert_int_equal(rig.unsecured, 1);
        assert_int_equal(rig.end.kind, GATEWAY_HOP_END_TLS);
        assert_int_equal(rig.end.how, POLICY_TLS_HANDSHAKE_FAILED);
        assert_int_equal(rig.end.action, cases[i].action);
        finish();
    }
}

static void test_a_peer_that_goes_in_place_of_an_answer_to_starttls_is_told_as_such(void **state)
{
    static const char *const answers[] = { "", "421 4.3.2 closing down\r\n", "250-what?\r\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        open_hop(&required, BAD_SESSION);
        say_starttls();
        hear(answers[i]);
        if (rig.failed == 0)
            hear(""); /* within its reply */
        assert_int_equal(rig.failed, 1);
        assert_int_equal(rig.end.kind, GATEWAY_HOP_END_SMTP);
        assert_true(rig.end.was_securing);
        finish();
    }
}

static void test_why_it_could_not_connect_is_told_by_errno(void **state)
{
    static const int errors[] = { ECONNREFUSED, ENOBUFS, EADDRNOTAVAIL };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        open_hop(&required, BAD_SESSION);
        connect_hop(errors[i]);
        assert_int_equal(rig.failed, 1);
        assert_int_equal(rig.end.kind, GATEWAY_HOP_END_CONNECT);
        assert_int_equal(rig.end.error, errors[i]);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_that_our_memory_was_too_short_for_is_no_failure_of_tls),
        cmocka_unit_test(test_a_handshake_that_fails_is_judged_by_the_demand),
        cmocka_unit_test(test_a_peer_that_goes_in_place_of_an_answer_to_starttls_is_told_as_such),
        cmocka_unit_test(test_why_it_could_not_connect_is_told_by_errno),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
