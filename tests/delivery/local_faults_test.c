/* Faults of our own: a pause, and not a word about hosts or mail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

#define AGE_MS 3600000u

static const struct delivery_limits limits = {
    .connections_max = 500,
    .messages_per_connection_max = 50,
    .profile = { .retry_initial_ms = 600000,
                 .retry_ms_max = 3600000,
                 .age_ms_max = AGE_MS,
                 .retries_max = 2 },
};

static const struct delivery_endpoint endpoints[] = {
    { .address = { .port = 1 }, .preference = 10 },
    { .address = { .port = 2 }, .preference = 20 },
};

/* In a row, one after the other. */
static const uint64_t pauses_ms[] = { 1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000 };

static struct delivery_scheduler *s;
static struct delivery_destination *destination;

static int set_up(void **state)
{
    (void)state;
    destination = NULL;
    return delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &s) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    while (delivery_scheduler_take_any(s, UINT64_MAX / 2) != NULL)
        continue;
    delivery_scheduler_destroy(s);
    return 0;
}

static void add(uint64_t now_ms, struct delivery_item *item)
{
    const struct delivery_arrival arrival = { .domain = SLICE("example.com"), .limits = &limits };

    assert_int_equal(delivery_scheduler_add(s, now_ms, &arrival, item), STATUS_OK);
}

/* False: nothing is to be done now. */
static bool next(uint64_t now_ms, struct delivery_action *a)
{
    while (delivery_scheduler_next_due(s) <= now_ms)
        if (delivery_scheduler_next_action(s, now_ms, a)) {
            destination = a->destination;
            return true;
        }
    return false;
}

static void resolve(uint64_t now_ms)
{
    struct delivery_action a;

    assert_true(next(now_ms, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    delivery_destination_resolved(s, now_ms, a.destination, endpoints, ARRAY_LEN(endpoints),
                                  DELIVERY_WAIT_FOREVER, 1);
}

/* To the better host, whatever has gone wrong before. */
static void start(uint64_t now_ms, struct delivery_connection *c)
{
    struct delivery_action a;

    assert_true(next(now_ms, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    assert_int_equal(a.address.port, 1);
    delivery_connection_start(s, now_ms, c, &a);
}

static struct delivery_item *open_and_take(uint64_t now_ms, struct delivery_connection *c)
{
    struct delivery_item *item = NULL;

    start(now_ms, c);
    delivery_connection_opened(s, now_ms, c);
    assert_int_equal(delivery_connection_take(s, now_ms, c, &item), DELIVERY_TAKE_ITEM);
    return item;
}

static void assert_nobody_is_blamed(const struct delivery_item *item, uint64_t now_ms)
{
    struct delivery_destination_state state;
    struct delivery_wait wait;

    delivery_destination_describe(destination, &state);
    assert_false(state.is_down);
    delivery_item_explain(item, now_ms, &wait);
    assert_int_equal(wait.attempts, 0);
}

/* Nothing happens before then, and something does at that time. */
static void assert_pause(uint64_t now_ms, uint64_t pause_ms)
{
    struct delivery_action a;

    assert_false(next(now_ms + pause_ms - 1, &a));
    assert_int_equal(delivery_scheduler_next_due(s), now_ms + pause_ms);
}

static void a_connection_that_we_could_not_open_is_opened_after_a_pause(void **state)
{
    struct delivery_connection c;
    static struct delivery_item item;
    struct delivery_wait wait;
    uint64_t now_ms = 0;

    (void)state;
    add(0, &item);
    resolve(0);
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        start(now_ms, &c);
        delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_LOCAL, i);
        assert_nobody_is_blamed(&item, now_ms);
        delivery_item_explain(&item, now_ms, &wait);
        assert_int_equal(wait.reason, DELIVERY_WAIT_OURSELVES);
        assert_int_equal(wait.until_ms, now_ms + pauses_ms[i]);
        assert_pause(now_ms, pauses_ms[i]);
        now_ms += pauses_ms[i];
    }
    assert_ptr_equal(open_and_take(now_ms, &c), &item);
    delivery_item_done(s, now_ms, &c);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_NONE, 1);

    /* All is well again: from the beginning. */
    add(now_ms, &item);
    start(now_ms, &c);
    delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_LOCAL, 1);
    assert_pause(now_ms, pauses_ms[0]);
}

static void what_several_connections_hit_at_once_is_one_fault(void **state)
{
    struct delivery_connection working, c[3];
    static struct delivery_item items[40];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        add(0, &items[i]);
    resolve(0);
    assert_ptr_equal(open_and_take(0, &working), &items[0]);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        start(0, &c[i]);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        delivery_connection_failed(s, 10 * i, &c[i], DELIVERY_FAILURE_LOCAL, i);
    assert_pause(0, pauses_ms[0]);
    delivery_item_done(s, 1000, &working);
    delivery_connection_closed(s, 1000, &working, DELIVERY_FAILURE_NONE, 1);
}

static void a_message_that_hits_it_waits_behind_the_others_and_its_try_does_not_count(void **state)
{
    struct delivery_connection c;
    static struct delivery_item item, other;
    uint64_t now_ms = 0;

    (void)state;
    add(0, &item);
    resolve(0);
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        assert_ptr_equal(open_and_take(now_ms, &c), &item);
        delivery_item_postponed(s, now_ms, &c);
        delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_LOCAL, 1);
        assert_nobody_is_blamed(&item, now_ms);
        assert_pause(now_ms, pauses_ms[i]);
        now_ms += pauses_ms[i];
    }

    /* It is something about this message: the others go. */
    assert_ptr_equal(open_and_take(now_ms, &c), &item);
    add(now_ms, &other);
    delivery_item_postponed(s, now_ms, &c);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_LOCAL, 1);
    now_ms += 32000;
    assert_ptr_equal(open_and_take(now_ms, &c), &other);
    delivery_item_done(s, now_ms, &c);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_NONE, 1);
    assert_nobody_is_blamed(&item, now_ms);
}

/* A later message of a connection, too: the pause is for us, not for a host that broke off. */
static void a_fault_at_a_later_message_of_a_connection_is_followed_by_a_pause(void **state)
{
    struct delivery_connection c;
    static struct delivery_item first, item;
    struct delivery_item *taken = NULL;

    (void)state;
    add(0, &first);
    add(0, &item);
    resolve(0);
    assert_ptr_equal(open_and_take(0, &c), &first);
    delivery_item_done(s, 0, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &taken), DELIVERY_TAKE_ITEM);
    delivery_item_returned(s, 0, &c, 1);
    delivery_connection_closed(s, 0, &c, DELIVERY_FAILURE_LOCAL, 1);
    assert_nobody_is_blamed(&item, 0);
    assert_pause(0, pauses_ms[0]);
}

static void mail_that_is_too_old_is_given_up_all_the_same(void **state)
{
    struct delivery_connection c;
    static struct delivery_item item;
    struct delivery_action a;
    uint64_t now_ms = AGE_MS - 500;

    (void)state;
    add(0, &item);
    resolve(0);
    assert_ptr_equal(open_and_take(now_ms, &c), &item);
    delivery_item_postponed(s, now_ms, &c);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_LOCAL, 1);
    assert_false(next(AGE_MS - 1, &a));
    assert_true(next(AGE_MS, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_EXPIRE);
    assert_int_equal(a.expiry, DELIVERY_EXPIRY_AGE);
}

static void hosts_that_nobody_could_ask_for_are_asked_for_after_a_pause(void **state)
{
    static struct delivery_item item;
    struct delivery_action a;
    uint64_t now_ms = 0;

    (void)state;
    add(0, &item);
    for (size_t i = 0; i < ARRAY_LEN(pauses_ms); i++) {
        assert_true(next(now_ms, &a));
        assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
        delivery_destination_unresolved(s, now_ms, a.destination, DELIVERY_UNRESOLVED_LOCAL, 0, i);
        assert_nobody_is_blamed(&item, now_ms);
        assert_pause(now_ms, pauses_ms[i]);
        now_ms += pauses_ms[i];
    }
    resolve(now_ms);
}

static void an_operator_need_not_wait_for_the_pause(void **state)
{
    struct delivery_connection c;
    static struct delivery_item item;

    (void)state;
    add(0, &item);
    resolve(0);
    start(0, &c);
    delivery_connection_failed(s, 0, &c, DELIVERY_FAILURE_LOCAL, 1);
    delivery_destination_flush(s, 1, destination);
    resolve(1);
    start(1, &c);
    delivery_connection_failed(s, 1, &c, DELIVERY_FAILURE_LOCAL, 1);
    assert_pause(1, pauses_ms[0]);
}

static void another_way_to_the_same_host_is_tried_at_once(void **state)
{
    struct delivery_destination_state described;
    struct delivery_connection c;
    static struct delivery_item item;

    (void)state;
    add(0, &item);
    resolve(0);
    for (size_t i = 0; i < 3; i++) {
        start(7, &c);
        delivery_connection_failed(s, 7, &c, DELIVERY_FAILURE_OTHER_WAY, i);
        assert_nobody_is_blamed(&item, 7);
        delivery_destination_describe(destination, &described);
        assert_int_equal(described.failure, DELIVERY_FAILURE_NONE);
    }
    assert_ptr_equal(open_and_take(7, &c), &item);
    delivery_item_done(s, 7, &c);
    delivery_connection_closed(s, 7, &c, DELIVERY_FAILURE_NONE, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_that_we_could_not_open_is_opened_after_a_pause),
        TEST(what_several_connections_hit_at_once_is_one_fault),
        TEST(a_message_that_hits_it_waits_behind_the_others_and_its_try_does_not_count),
        TEST(a_fault_at_a_later_message_of_a_connection_is_followed_by_a_pause),
        TEST(mail_that_is_too_old_is_given_up_all_the_same),
        TEST(hosts_that_nobody_could_ask_for_are_asked_for_after_a_pause),
        TEST(an_operator_need_not_wait_for_the_pause),
        TEST(another_way_to_the_same_host_is_tried_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
