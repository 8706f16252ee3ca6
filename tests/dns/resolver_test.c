#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "dns/resolver.h"
#include "tests/dns/fake_world.h"

/* Nothing listens there, and nobody hears: the world tells of no answer. */
#define NOWHERE_PORT 9

static struct world world;
static struct ip_endpoint nowhere;
static struct dns_options options;
static unsigned done_count;
static enum dns_outcome outcome;
static char reason[DNS_REASON_MAX];

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    world.now_ms = 1000;
    assert_true(ip_parse(SLICE("127.0.0.1"), &nowhere.address));
    nowhere.port = NOWHERE_PORT;
    options = (struct dns_options){ .servers = &nowhere, .servers_count = 1 };
    done_count = 0;
    return 0;
}

static struct dns_resolver *create(void)
{
    struct dns_resolver *r;
    struct dns_reason why;

    if (dns_resolver_create(&options, &world.dns, &r, &why) != STATUS_OK)
        fail_msg("%s", why.text);
    assert_int_equal(world_running(&world), 0);
    assert_false(world.is_deferred);
    return r;
}

static void destroy(struct dns_resolver *r)
{
    dns_resolver_destroy(r);
    assert_int_equal(world_running(&world), 0);
}

static void done(struct dns_query *q, const struct dns_answer *a)
{
    assert_false(dns_query_is_running(q));
    done_count++;
    outcome = a->outcome;
    assert_true(strlen(a->reason) < sizeof(reason));
    memcpy(reason, a->reason, strlen(a->reason) + 1);
}

static void ask(struct dns_resolver *r, struct dns_query *q, const char *name)
{
    dns_query_start(q, dns_resolver_source(r), slice_from(name), DNS_TYPE_A, done);
}

static void deliver(struct dns_resolver *r)
{
    while (world.is_deferred) {
        world.is_deferred = false;
        dns_resolver_deliver(r);
    }
}

static void what_is_known_at_once_is_told_later(void **state)
{
    struct dns_resolver *r = create();
    struct dns_query q = { 0 };

    (void)state;
    ask(r, &q, "localhost");
    assert_int_equal(done_count, 0);
    assert_true(dns_query_is_running(&q));
    deliver(r);
    assert_int_equal(done_count, 1);
    assert_int_equal(outcome, DNS_FOUND);
    ask(r, &q, "no name");
    assert_int_equal(done_count, 1);
    deliver(r);
    assert_int_equal(outcome, DNS_NO_NAME);
    destroy(r);
}

static void what_was_cancelled_is_not_told(void **state)
{
    struct dns_resolver *r = create();
    struct dns_query q[3] = { 0 };

    (void)state;
    ask(r, &q[0], "localhost");
    ask(r, &q[1], "no name");
    ask(r, &q[2], "host.example");
    for (size_t i = 0; i < 3; i++)
        dns_query_cancel(&q[i]);
    deliver(r);
    assert_int_equal(done_count, 0);
    assert_int_equal(dns_resolver_in_flight(r), 1);
    destroy(r);
}

static void a_query_without_an_answer_is_cut_off(void **state)
{
    struct dns_resolver *r;
    struct dns_query first = { 0 }, second = { 0 };

    (void)state;
    options.query_ms_max = 100;
    r = create();
    ask(r, &first, "first.example");
    world_pass(&world, 60);
    ask(r, &second, "second.example");
    world_pass(&world, 39);
    deliver(r);
    assert_int_equal(done_count, 0);
    world_pass(&world, 1);
    assert_int_equal(done_count, 0); /* not from within the timer */
    deliver(r);
    assert_int_equal(done_count, 1);
    assert_int_equal(outcome, DNS_FAILED);
    assert_string_equal(reason, "no answer in time");
    assert_true(dns_query_is_running(&second));
    world_pass(&world, 60);
    deliver(r);
    assert_int_equal(done_count, 2);
    assert_int_equal(dns_resolver_in_flight(r), 2); /* libunbound has not given up */
    destroy(r);
}

static void without_memory_for_the_wait_a_query_fails(void **state)
{
    struct dns_resolver *r;
    struct dns_query first = { 0 }, second = { 0 };

    (void)state;
    options.query_ms_max = 100;
    r = create();
    world.is_out_of_memory = true;
    ask(r, &first, "first.example");
    assert_int_equal(done_count, 0);
    deliver(r);
    assert_int_equal(done_count, 1);
    assert_int_equal(outcome, DNS_FAILED);
    world.is_out_of_memory = false;
    ask(r, &first, "second.example");
    world_pass(&world, 50);
    ask(r, &second, "third.example");
    world.is_out_of_memory = true; /* when the timer is to be set for the second */
    world_pass(&world, 50);
    deliver(r);
    assert_int_equal(done_count, 3);
    assert_string_equal(reason, "no memory");
    destroy(r);
}

static void too_many_queries_fail(void **state)
{
    struct dns_resolver *r;
    struct dns_query q[5] = { 0 };
    char name[] = "n0.example";

    (void)state;
    options.queries_max = 3;
    r = create();
    for (size_t i = 0; i < 5; i++) {
        name[1] = (char)('0' + i);
        ask(r, &q[i], name);
    }
    assert_int_equal(done_count, 0);
    deliver(r);
    assert_int_equal(done_count, 2);
    assert_int_equal(outcome, DNS_FAILED);
    assert_string_equal(reason, "too many queries in flight");
    destroy(r);
    for (size_t i = 0; i < 5; i++)
        assert_false(dns_query_is_running(&q[i]));
    assert_int_equal(done_count, 2);
}

static void answers_are_handed_over_some_at_a_time(void **state)
{
    struct dns_resolver *r = create();
    static struct dns_query q[200];
    unsigned turns = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        ask(r, &q[i], "localhost");
    while (world.is_deferred) {
        world.is_deferred = false;
        dns_resolver_deliver(r);
        turns++;
    }
    assert_int_equal(done_count, 200);
    assert_int_equal(turns, 4);
    destroy(r);
}

static struct dns_resolver *chained;
static struct dns_query others[2];

static void ask_and_cancel_in_done(struct dns_query *q, const struct dns_answer *a)
{
    (void)q;
    (void)a;
    done_count++;
    dns_query_cancel(&others[1]);
    ask(chained, &others[0], "localhost");
}

static void a_done_may_start_and_cancel_queries(void **state)
{
    struct dns_query q = { 0 };

    (void)state;
    chained = create();
    dns_query_start(&q, dns_resolver_source(chained), SLICE("localhost"), DNS_TYPE_A,
                    ask_and_cancel_in_done);
    ask(chained, &others[1], "localhost");
    deliver(chained);
    assert_int_equal(done_count, 2);
    destroy(chained);
}

static void settings_that_cannot_work_are_refused_with_a_reason(void **state)
{
    static struct dns_stub bad_name = { .zone = "a b", .servers = &nowhere, .servers_count = 1 };
    static struct dns_stub no_server = { .zone = "a" };
    const struct dns_options cases[] = {
        { .trust_anchor_file = "/nonexistent/root.key", .is_validating = true },
        { .trust_anchor_file = "/bin/sh", .is_validating = true },
        { .stubs = &bad_name, .stubs_count = 1 },
        { .stubs = &no_server, .stubs_count = 1 },
        { .queries_max = DNS_QUERIES_MAX + 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dns_options o = cases[i];
        struct dns_resolver *r = NULL;
        struct dns_reason why = { "" };

        o.servers = &nowhere;
        o.servers_count = 1;
        assert_true(dns_resolver_create(&o, &world.dns, &r, &why) != STATUS_OK);
        assert_null(r);
        assert_true(why.text[0] != '\0');
        assert_int_equal(world_running(&world), 0);
    }
    dns_resolver_destroy(NULL);
}

static void several_resolvers_live_side_by_side(void **state)
{
    struct dns_resolver *r[3];
    struct dns_query q[3] = { 0 };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        r[i] = create();
    dns_resolver_destroy(r[1]);
    ask(r[0], &q[0], "localhost");
    ask(r[2], &q[2], "localhost");
    dns_resolver_deliver(r[2]);
    dns_resolver_destroy(r[2]);
    dns_resolver_deliver(r[0]);
    assert_int_equal(done_count, 2);
    destroy(r[0]);
}

static void check_found(struct dns_query *q, const struct dns_answer *a)
{
    (void)q;
    ASSERT(a->outcome == DNS_FOUND);
}

/* A worker: has its own resolver, world and questions. */
static void *work(void *unused)
{
    (void)unused;
    for (int round = 0; round < 10; round++) {
        struct world *w = calloc(1, sizeof(*w));
        struct dns_resolver *r;
        struct dns_reason why;
        struct dns_query q = { 0 };

        ASSERT(w != NULL);
        world_init(w);
        ASSERT(dns_resolver_create(&options, &w->dns, &r, &why) == STATUS_OK);
        for (int i = 0; i < 100; i++) {
            dns_query_start(&q, dns_resolver_source(r), SLICE("localhost"), DNS_TYPE_A,
                            check_found);
            dns_resolver_deliver(r);
        }
        dns_resolver_destroy(r);
        free(w);
    }
    return NULL;
}

static void resolvers_come_and_go_in_several_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_known_at_once_is_told_later, setup),
        cmocka_unit_test_setup(what_was_cancelled_is_not_told, setup),
        cmocka_unit_test_setup(a_query_without_an_answer_is_cut_off, setup),
        cmocka_unit_test_setup(without_memory_for_the_wait_a_query_fails, setup),
        cmocka_unit_test_setup(too_many_queries_fail, setup),
        cmocka_unit_test_setup(answers_are_handed_over_some_at_a_time, setup),
        cmocka_unit_test_setup(a_done_may_start_and_cancel_queries, setup),
        cmocka_unit_test_setup(settings_that_cannot_work_are_refused_with_a_reason, setup),
        cmocka_unit_test_setup(several_resolvers_live_side_by_side, setup),
        cmocka_unit_test_setup(resolvers_come_and_go_in_several_threads, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
