/* Questions on the real ring, put to a host that the test plays. */
#include "gateway/call_ahead.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/call_ahead_line.h"
#include "gateway/worker.h"
#include "policy/builder.h"
#include "tls/post_quantum.h"

#define TURNS_MAX 4000
#define NO_ANSWER 99

static struct gateway_process process;
static struct gateway_worker worker;
static struct config_loaded loaded;
static struct gateway_generation generation = { .config = &loaded };
static struct gateway_view view;
static struct ip_endpoint endpoint;
static struct gateway_next_host host;
static struct gateway_next_hops hops; /* one clear host */

/* The host. */
static int listening, connected;
static bool holds_rcpt; /* does not answer it */
static bool breaks_tls; /* offers STARTTLS, and goes when the handshake begins */
static unsigned connections_seen, rcpts_seen;

struct waiter {
    struct gateway_call_ahead_waiter waiter;
    int verdict;
    const char *then_asks; /* from inside its answer */
};

static void on_tick(struct engine_timer *timer)
{
    engine_timer_start(worker.loop, timer, 5, on_tick);
}

static void host_say(const char *text)
{
    /* The other side may have reset the connection. */
    (void)send(connected, text, strlen(text), MSG_NOSIGNAL);
}

/* One command at a time is enough: no PIPELINING is offered. */
static void host_step(void)
{
    char line[512];
    ssize_t n;

    if (connected < 0) {
        connected = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connected < 0)
            return;
        connections_seen++;
        host_say("220 host\r\n");
    }
    n = read(connected, line, sizeof(line) - 1);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        (void)close(connected);
        connected = -1;
        return;
    }
    line[n] = '\0';
    if (breaks_tls && strncmp(line, "EHLO", 4) == 0) {
        host_say("250-host\r\n250 STARTTLS\r\n");
    } else if (breaks_tls && strncmp(line, "STARTTLS", 8) == 0) {
        host_say("220 go\r\n");
    } else if (breaks_tls) {
        (void)close(connected);
        connected = -1;
    } else if (strncmp(line, "RCPT", 4) != 0) {
        host_say("250 ok\r\n");
    } else if (++rcpts_seen > 0 && !holds_rcpt) {
        host_say(strstr(line, "bob") != NULL ? "550 5.1.1 no\r\n" : "250 ok\r\n");
    }
}

static void turn(void)
{
    host_step();
    engine_loop_turn(worker.loop);
}

static int set_up(void **state)
{
    static struct engine_timer tick;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    struct sockaddr_storage bound;
    struct policy_builder *builder;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&address, len) != 0 || listen(listening, 16) != 0)
        return -1;
    memset(&bound, 0, sizeof(bound));
    len = sizeof(bound);
    if (getsockname(listening, (struct sockaddr *)&bound, &len) != 0 ||
        !ip_endpoint_from_socket(&bound, &endpoint))
        return -1;
    hops = (struct gateway_next_hops){ .users_count = 1,
                                       .hosts = &host,
                                       .hosts_count = 1,
                                       .endpoints = { { endpoint, 0 } },
                                       .endpoints_count = 1 };
    connected = -1;
    holds_rcpt = breaks_tls = false;
    host.demand = (struct policy_tls_demand){ 0 };
    connections_seen = rcpts_seen = 0;
    loaded.settings.hostname = "mx.test";
    loaded.settings.call_ahead = (struct config_call_ahead){
        .timeout_s = 60, .positive_s = 60, .negative_s = 60, .unreachable_s = 60
    };
    if (policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &builder) != STATUS_OK ||
        policy_builder_finish(builder, &loaded.policy) != STATUS_OK)
        return -1;
    policy_builder_destroy(builder);
    view = (struct gateway_view){ .generation = &generation, .users_count = 1 };
    worker = (struct gateway_worker){ .process = &process, .view = &view };
    assert_int_equal(gateway_host_marks_init(&worker.classic, &process.seed, 60000), STATUS_OK);
    observe_counters_init(&worker.counters);
    if (observe_log_create("/dev/null", 1, &process.log) != STATUS_OK ||
        engine_loop_create(&(struct engine_loop_options){ 0 }, &worker.loop, NULL) != STATUS_OK)
        return -1;
    worker.log = observe_log_writer(process.log, 0);
    tick = (struct engine_timer){ 0 };
    on_tick(&tick);
    return gateway_call_ahead_create(&worker, &worker.call_ahead) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_call_ahead_stop(worker.call_ahead);
    for (unsigned i = 0; i < TURNS_MAX && engine_loop_owners(worker.loop) > 0; i++)
        turn();
    assert_int_equal(engine_loop_owners(worker.loop), 0);
    turn();
    engine_loop_destroy(worker.loop);
    gateway_call_ahead_destroy(worker.call_ahead);
    gateway_host_marks_finish(&worker.classic);
    assert_int_equal(view.users_count, 1);
    assert_int_equal(hops.users_count, 1);
    observe_log_destroy(process.log);
    policy_snapshot_destroy(loaded.policy);
    if (connected >= 0)
        (void)close(connected);
    (void)close(listening);
    return 0;
}

static void on_answered(struct gateway_call_ahead_waiter *waiter,
                        enum gateway_call_ahead_verdict verdict);

/* The verdict when it is known at once, else NO_ANSWER. */
static int ask(struct waiter *w, const char *recipient)
{
    const struct gateway_call_ahead_request request = {
        .view = &view,
        .hops = &hops,
        .domain = SLICE("test"),
        .recipient = slice_from(recipient),
    };
    enum gateway_call_ahead_verdict verdict;

    w->waiter.answered = on_answered;
    w->verdict = NO_ANSWER;
    if (gateway_call_ahead_ask(worker.call_ahead, &request, &w->waiter, &verdict))
        w->verdict = (int)verdict;
    return w->verdict;
}

static void on_answered(struct gateway_call_ahead_waiter *waiter,
                        enum gateway_call_ahead_verdict verdict)
{
    struct waiter *w = CONTAINER_OF(waiter, struct waiter, waiter);
    const char *next = w->then_asks;

    assert_int_equal(w->verdict, NO_ANSWER);
    w->verdict = (int)verdict;
    w->then_asks = NULL;
    if (next != NULL)
        (void)ask(w, next);
}

static void until(const int *verdict)
{
    for (unsigned i = 0; i < TURNS_MAX && *verdict == NO_ANSWER; i++)
        turn();
    assert_int_not_equal(*verdict, NO_ANSWER);
}

static void until_rcpt(unsigned count)
{
    for (unsigned i = 0; i < TURNS_MAX && rcpts_seen < count; i++)
        turn();
    assert_int_equal(rcpts_seen, count);
}

static void a_question_is_answered_and_its_answer_kept(void **state)
{
    struct waiter a = { 0 }, b = { 0 };

    (void)state;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    assert_int_equal(ask(&b, "bob@x"), NO_ANSWER);
    /* The host takes one connection at a time: the other question waits, or asks behind it. */
    until(&a.verdict);
    assert_int_equal(a.verdict, GATEWAY_CALL_AHEAD_VALID);
    assert_int_equal(ask(&a, "ANN@X"), GATEWAY_CALL_AHEAD_VALID);
    gateway_call_ahead_forget(&b.waiter);
}

static void who_leaves_takes_the_answer_from_nobody(void **state)
{
    struct waiter a = { 0 }, b = { 0 };

    (void)state;
    holds_rcpt = true;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    assert_int_equal(ask(&b, "ann@x"), NO_ANSWER);
    until_rcpt(1);
    gateway_call_ahead_forget(&a.waiter);
    gateway_call_ahead_forget(&a.waiter);
    host_say("250 ok\r\n");
    until(&b.verdict);
    assert_int_equal(b.verdict, GATEWAY_CALL_AHEAD_VALID);
    assert_int_equal(a.verdict, NO_ANSWER);
    assert_int_equal(rcpts_seen, 1);
}

static void what_has_begun_is_kept_though_nobody_waits_any_more(void **state)
{
    struct waiter a = { 0 };

    (void)state;
    holds_rcpt = true;
    assert_int_equal(ask(&a, "bob@x"), NO_ANSWER);
    until_rcpt(1);
    gateway_call_ahead_forget(&a.waiter);
    host_say("550 5.1.1 no\r\n");
    for (unsigned i = 0; i < 20; i++)
        turn();
    assert_int_equal(a.verdict, NO_ANSWER);
    assert_int_equal(ask(&a, "bob@x"), GATEWAY_CALL_AHEAD_INVALID);
}

static void what_has_not_begun_is_dropped_with_its_last_waiter(void **state)
{
    struct waiter a = { 0 };

    (void)state;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    gateway_call_ahead_forget(&a.waiter);
    for (unsigned i = 0; i < 20; i++)
        turn();
    assert_int_equal(connections_seen, 0);
    assert_int_equal(engine_loop_owners(worker.loop), 0);
}

static void an_answer_may_lead_to_the_next_question(void **state)
{
    struct waiter a = { .then_asks = "bob@x" };

    (void)state;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    for (unsigned i = 0; i < TURNS_MAX && a.verdict != GATEWAY_CALL_AHEAD_INVALID; i++)
        turn();
    assert_int_equal(a.verdict, GATEWAY_CALL_AHEAD_INVALID);
    assert_int_equal(connections_seen, 1);
    assert_int_equal(observe_counter_value(&worker.counters, OBSERVE_CALL_AHEADS), 2);
}

static void a_stop_answers_all_and_nothing_is_asked_behind_it(void **state)
{
    struct waiter a = { .then_asks = "more@x" }, b = { 0 }, c = { 0 };

    (void)state;
    holds_rcpt = true;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    until_rcpt(1);
    assert_int_equal(ask(&b, "bob@x"), NO_ANSWER);
    gateway_call_ahead_stop(worker.call_ahead);
    assert_int_equal(a.verdict, GATEWAY_CALL_AHEAD_STOPPING);
    assert_int_equal(b.verdict, GATEWAY_CALL_AHEAD_STOPPING);
    assert_int_equal(ask(&c, "ann@x"), GATEWAY_CALL_AHEAD_STOPPING);
    gateway_call_ahead_reset(worker.call_ahead);
    for (unsigned i = 0; i < 20; i++)
        turn();
    assert_int_equal(engine_loop_owners(worker.loop), 0);
}

static void one_question_too_many_is_unreachable_and_not_kept(void **state)
{
    struct waiter *waiters = calloc(GATEWAY_CALL_AHEAD_QUESTIONS_MAX, sizeof(*waiters));
    struct waiter more = { 0 };
    char recipient[32];

    (void)state;
    assert_non_null(waiters);
    for (unsigned i = 0; i < GATEWAY_CALL_AHEAD_QUESTIONS_MAX; i++) {
        (void)snprintf(recipient, sizeof(recipient), "u%u@x", i);
        assert_int_equal(ask(&waiters[i], recipient), NO_ANSWER);
    }
    assert_int_equal(ask(&more, "more@x"), GATEWAY_CALL_AHEAD_UNREACHABLE);
    assert_int_equal(ask(&more, "u7@x"), NO_ANSWER); /* that one is being asked */
    gateway_call_ahead_forget(&more.waiter);
    gateway_call_ahead_forget(&waiters[9].waiter);
    assert_int_equal(ask(&more, "more@x"), NO_ANSWER);
    gateway_call_ahead_forget(&more.waiter);
    gateway_call_ahead_stop(worker.call_ahead);
    free(waiters);
}

/* The route of a host that has to show one of these records. */
static uint64_t route_of(const struct gateway_next_host *one)
{
    static const struct hash_seed seed = { 1, 2 };
    struct gateway_next_host copy = *one;
    struct gateway_next_hops its = { .users_count = 1,
                                     .hosts = &copy,
                                     .hosts_count = 1,
                                     .endpoints = { { endpoint, 0 } },
                                     .endpoints_count = 1 };
    const struct gateway_call_ahead_request request = { .hops = &its, .domain = SLICE("test") };

    return gateway_call_ahead_route_number(&seed, &request);
}

static void what_a_host_has_to_show_is_part_of_its_route(void **state)
{
    const struct tls_dane_record one = { 3, 1, 1, SLICE("0123") }, two = { 3, 1, 1, SLICE("4567") };
    struct gateway_next_tlsa rig[] = {
        { .records_count = 1, .records = { one } },
        { .records_count = 1, .records = { two } },
        { .records_count = 1, .records = { { 3, 1, 2, SLICE("0123") } } },
        { .records_count = 1, .records = { { 3, 0, 1, SLICE("0123") } } },
        { .records_count = 1, .records = { { 2, 1, 1, SLICE("0123") } } },
        { .records_count = 2, .records = { one, two } },
        { .records_count = 0 },
    };
    struct gateway_next_tlsa turned = { .records_count = 2, .records = { two, one } };
    struct gateway_next_host dane = { .name = "mx.test",
                                      .demand = { .check = POLICY_TLS_CHECK_DANE,
                                                  .is_wanted = true,
                                                  .is_required = true,
                                                  .is_check_required = true } };
    struct gateway_next_host other = dane;
    uint64_t numbers[ARRAY_LEN(rig)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rig); i++) {
        dane.tlsa = &rig[i];
        numbers[i] = route_of(&dane);
        for (size_t k = 0; k < i; k++)
            assert_true(numbers[k] != numbers[i]);
    }
    dane.tlsa = &turned;
    assert_true(route_of(&dane) == numbers[5]);
    /* By another name another certificate would do, and one that need not do is none. */
    (void)snprintf(other.name, sizeof(other.name), "mx2.test");
    other.tlsa = &rig[0];
    assert_true(route_of(&other) != numbers[0]);
    dane.tlsa = &rig[0];
    dane.demand.is_check_required = false;
    assert_true(route_of(&dane) != numbers[0]);
}

/* With OpenSSL 3.5 on it offers a post-quantum key share, which the host may have stumbled over. */
static void a_host_that_breaks_the_handshake_is_asked_without_what_may_break_it(void **state)
{
    const struct tls_client_options options = { .min_version = TLS_VERSION_1_2,
                                                .security = TLS_SECURITY_OPPORTUNISTIC };
    struct tls_context *client;
    struct tls_session *session;
    struct tls_error error;
    struct waiter a = { 0 };
    bool offers;

    (void)state;
    assert_int_equal(tls_context_create_client(&options, &client, &error), STATUS_OK);
    assert_int_equal(tls_session_create(client, TLS_ROLE_CLIENT, NULL, &session), STATUS_OK);
    offers = tls_session_offered_post_quantum(session);
    tls_session_destroy(session);
    assert_int_equal(tls_resumption_create(16, &worker.resumption), STATUS_OK);
    view.clients = &client;
    host.demand = (struct policy_tls_demand){ .is_wanted = true, .is_required = true };
    breaks_tls = true;
    assert_int_equal(ask(&a, "ann@x"), NO_ANSWER);
    until(&a.verdict);
    assert_int_equal(a.verdict, GATEWAY_CALL_AHEAD_UNREACHABLE);
    assert_int_equal(connections_seen, offers ? 2 : 1);
    assert_int_equal(
        gateway_host_marks_has(&worker.classic, gateway_worker_now_ms(&worker), &endpoint), offers);
    for (unsigned i = 0; i < TURNS_MAX && engine_loop_owners(worker.loop) > 0; i++)
        turn();
    tls_resumption_destroy(worker.resumption);
    tls_context_destroy(client);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_question_is_answered_and_its_answer_kept),
        EACH(who_leaves_takes_the_answer_from_nobody),
        EACH(what_has_begun_is_kept_though_nobody_waits_any_more),
        EACH(what_has_not_begun_is_dropped_with_its_last_waiter),
        EACH(an_answer_may_lead_to_the_next_question),
        EACH(a_stop_answers_all_and_nothing_is_asked_behind_it),
        EACH(one_question_too_many_is_unreachable_and_not_kept),
        EACH(what_a_host_has_to_show_is_part_of_its_route),
        EACH(a_host_that_breaks_the_handshake_is_asked_without_what_may_break_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
