#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/resolver.h"

/* Nobody is there: questions about anything but "localhost" stay without an answer. */
#define NOWHERE_PORT 9

/* A query's time begins with the loop's, which stands still while a resolver is made. On a busy
 * machine that takes longer than the short time: whatever has it may be cut off in the first
 * turn, before an answer that came at once is handed over. */
#define SHORT_MS 50

static struct engine_loop *loop;
static struct gateway_resolver *resolver;
static struct ip_endpoint nowhere;
static unsigned done_count;

static int setup(void **state)
{
    struct engine_reason reason;

    (void)state;
    assert_int_equal(engine_loop_create(&(struct engine_loop_options){ 0 }, &loop, &reason),
                     STATUS_OK);
    assert_true(ip_parse(SLICE("127.0.0.1"), &nowhere.address));
    nowhere.port = NOWHERE_PORT;
    done_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (engine_loop_owners(loop) > 0)
        engine_loop_turn(loop);
    engine_loop_destroy(loop);
    return 0;
}

static void create(unsigned query_ms_max)
{
    const struct dns_options options = { .servers = &nowhere,
                                         .servers_count = 1,
                                         .query_ms_max = query_ms_max };
    struct dns_reason reason;

    assert_int_equal(gateway_resolver_create(loop, &options, &resolver, &reason), STATUS_OK);
}

static void count(struct dns_query *q, const struct dns_answer *a)
{
    (void)q;
    (void)a;
    done_count++;
}

static void count_and_destroy(struct dns_query *q, const struct dns_answer *a)
{
    count(q, a);
    gateway_resolver_destroy(resolver);
    resolver = NULL;
}

static void ask(struct dns_query *q, const char *name,
                void (*done)(struct dns_query *q, const struct dns_answer *a))
{
    dns_query_start(q, gateway_resolver_source(resolver), slice_from(name), DNS_TYPE_A, done);
}

static void answers_and_time_limits_come_through_the_loop(void **state)
{
    struct dns_query known = { 0 }, unknown = { 0 };

    (void)state;
    create(SHORT_MS);
    ask(&known, "localhost", count);
    ask(&unknown, "nowhere.example", count);
    assert_int_equal(done_count, 0);
    while (done_count < 2)
        engine_loop_turn(loop);
    assert_int_equal(gateway_resolver_in_flight(resolver), 1);
    gateway_resolver_destroy(resolver);
}

static void a_done_may_destroy_the_resolver(void **state)
{
    struct dns_query first = { 0 }, second = { 0 }, unknown = { 0 };

    (void)state;
    create(DNS_QUERY_MS_DEFAULT);
    ask(&unknown, "nowhere.example", count);
    ask(&first, "localhost", count_and_destroy);
    ask(&second, "localhost", count);
    while (resolver != NULL)
        engine_loop_turn(loop);
    engine_loop_turn(loop);
    assert_int_equal(done_count, 1);
    assert_false(dns_query_is_running(&second));
    assert_false(dns_query_is_running(&unknown));
}

static void a_destroyed_resolver_leaves_with_its_last_poll(void **state)
{
    static struct dns_query queries[100];
    char name[] = "n00.example";

    (void)state;
    create(SHORT_MS);
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        name[1] = (char)('0' + i / 10);
        name[2] = (char)('0' + i % 10);
        ask(&queries[i], name, count);
    }
    for (int turns = 0; turns < 3; turns++)
        engine_loop_turn(loop);
    assert_true(engine_loop_owners(loop) > 0);
    unsigned before = done_count; /* some may have been cut off */
    gateway_resolver_destroy(resolver);
    while (engine_loop_owners(loop) > 0)
        engine_loop_turn(loop);
    assert_int_equal(done_count, before);
    gateway_resolver_destroy(NULL);
}

static void settings_that_cannot_work_leave_nothing_behind(void **state)
{
    const struct dns_options options = { .servers = &nowhere,
                                         .servers_count = 1,
                                         .is_validating = true,
                                         .trust_anchor_file = "/nonexistent" };
    struct dns_reason reason;

    (void)state;
    assert_int_equal(gateway_resolver_create(loop, &options, &resolver, &reason), STATUS_NOT_FOUND);
    assert_string_equal(reason.text, "/nonexistent: cannot be read");
    assert_int_equal(engine_loop_owners(loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_and_time_limits_come_through_the_loop, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_done_may_destroy_the_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(a_destroyed_resolver_leaves_with_its_last_poll, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(settings_that_cannot_work_leave_nothing_behind, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
