/* A host that refuses a message for reasons of its own, and the other hosts of the destination. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

static const struct delivery_limits limits = {
    .connections_max = 500,
    .messages_per_connection_max = 50,
    .profile = { .retry_initial_ms = 60000,
                 .retry_ms_max = 3600000,
                 .age_ms_max = 259200000,
                 .retries_max = 100 },
};

/* Ports 1, 2, 3: the first is preferred, the others are equal. */
static const struct delivery_endpoint endpoints[] = {
    { .address = { .port = 1 }, .preference = 10 },
    { .address = { .port = 2 }, .preference = 20 },
    { .address = { .port = 3 }, .preference = 20 },
};

static struct delivery_scheduler *make(void)
{
    struct delivery_scheduler *s = NULL;

    assert_int_equal(delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &s), STATUS_OK);
    return s;
}

static void finish(struct delivery_scheduler *s)
{
    while (delivery_scheduler_take_any(s, 0) != NULL)
        continue;
    delivery_scheduler_destroy(s);
}

static void add(struct delivery_scheduler *s, uint64_t now_ms, const struct delivery_limits *l,
                struct delivery_item *item)
{
    struct delivery_arrival arrival = { .domain = SLICE("example.com"), .limits = l };

    assert_int_equal(delivery_scheduler_add(s, now_ms, &arrival, item), STATUS_OK);
}

/* The next action but RESOLVE; false when all is quiet. */
static bool next(struct delivery_scheduler *s, uint64_t now_ms, unsigned hosts,
                 struct delivery_action *a)
{
    while (delivery_scheduler_next_due(s) <= now_ms) {
        if (!delivery_scheduler_next_action(s, now_ms, a))
            continue;
        if (a->kind != DELIVERY_ACTION_RESOLVE)
            return true;
        delivery_destination_resolved(s, now_ms, a->destination, endpoints, hosts,
                                      DELIVERY_WAIT_FOREVER, 1);
    }
    return false;
}

static unsigned start(struct delivery_scheduler *s, uint64_t now_ms, unsigned hosts,
                      struct delivery_connection *c)
{
    struct delivery_action a;

    assert_true(next(s, now_ms, hosts, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    delivery_connection_start(s, now_ms, c, &a);
    return a.address.port;
}

/* Opens a connection and takes an item; returns the port. */
static unsigned begin(struct delivery_scheduler *s, uint64_t now_ms, struct delivery_connection *c,
                      const struct delivery_item *expected)
{
    struct delivery_item *item = NULL;
    unsigned port = start(s, now_ms, ARRAY_LEN(endpoints), c);

    delivery_connection_opened(s, now_ms, c);
    assert_int_equal(delivery_connection_take(s, now_ms, c, &item), DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, expected);
    return port;
}

static void end(struct delivery_scheduler *s, uint64_t now_ms, struct delivery_connection *c)
{
    delivery_connection_closed(s, now_ms, c, DELIVERY_FAILURE_NONE, 1);
}

static unsigned attempts(const struct delivery_item *item)
{
    struct delivery_wait wait;

    delivery_item_explain(item, 0, &wait);
    return wait.attempts;
}

static void a_message_that_a_host_cannot_take_now_goes_to_the_next_at_once(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item item, other;
    struct delivery_connection c, second;
    struct delivery_item *taken = NULL;
    struct delivery_wait wait;

    (void)unused;
    add(s, 0, &limits, &item);
    add(s, 0, &limits, &other);
    for (unsigned round = 1; round <= 2; round++) {
        uint64_t now_ms = round == 1 ? 0 : wait.until_ms;

        assert_int_equal(begin(s, now_ms, &c, &item), 1);
        assert_true(delivery_item_try_next(s, now_ms, &c));
        assert_int_equal(attempts(&item), round - 1);
        if (round == 1) {
            /* The same host has the mail of others. */
            assert_int_equal(delivery_connection_take(s, now_ms, &c, &taken), DELIVERY_TAKE_ITEM);
            assert_ptr_equal(taken, &other);
            delivery_item_done(s, now_ms, &c);
        }
        assert_int_equal(begin(s, now_ms, &second, &item), 2);
        assert_true(delivery_item_try_next(s, now_ms, &second));
        end(s, now_ms, &second);
        assert_int_equal(begin(s, now_ms, &second, &item), 3);
        assert_false(delivery_item_try_next(s, now_ms, &second)); /* all have been asked */
        delivery_item_deferred(s, now_ms, &second, 1, 1);
        end(s, now_ms, &second);
        end(s, now_ms, &c);
        delivery_item_explain(&item, now_ms, &wait);
        assert_int_equal(wait.reason, DELIVERY_WAIT_RETRY);
        assert_int_equal(wait.attempts, round);
    }
    finish(s);
}

static void only_the_first_message_of_a_connection_goes_to_the_next_host(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[2], *item = NULL;
    struct delivery_connection c;

    (void)unused;
    add(s, 0, &limits, &items[0]);
    add(s, 0, &limits, &items[1]);
    (void)begin(s, 0, &c, &items[0]);
    delivery_item_done(s, 0, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    assert_false(delivery_item_try_next(s, 0, &c));
    delivery_item_deferred(s, 0, &c, 1, 1);
    end(s, 0, &c);
    finish(s);
}

static void a_message_whose_next_host_cannot_be_reached_goes_on_or_waits(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item item, others[5];
    struct delivery_connection c, second;
    struct delivery_wait wait;

    (void)unused;
    add(s, 0, &limits, &item);
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        add(s, 0, &limits, &others[i]);
    assert_int_equal(begin(s, 0, &c, &item), 1);
    assert_true(delivery_item_try_next(s, 0, &c));
    assert_int_equal(start(s, 0, 3, &second), 2);
    delivery_connection_failed(s, 0, &second, DELIVERY_FAILURE_REFUSED, 1);
    assert_int_equal(attempts(&item), 0);
    assert_int_equal(start(s, 0, 3, &second), 3);
    delivery_connection_failed(s, 0, &second, DELIVERY_FAILURE_REFUSED, 1);
    /* The first host is up, so nobody else waits for those two. */
    delivery_item_explain(&item, 0, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_RETRY);
    assert_int_equal(wait.attempts, 1);
    assert_int_equal(attempts(&others[0]), 0);
    end(s, 0, &c);
    finish(s);
}

static void a_message_whose_next_host_goes_from_the_list_goes_on_or_waits(void **unused)
{
    static const struct {
        bool has_third;
        size_t count; /* of the new list; 0: the DNS has no answer */
    } cases[] = { { true, 2 }, { false, 1 }, { false, 0 } };
    static const struct delivery_endpoint others[] = {
        { .address = { .port = 1 }, .preference = 10 },
        { .address = { .port = 3 }, .preference = 20 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_scheduler *s = make();
        struct delivery_item item;
        struct delivery_connection c;
        struct delivery_wait wait;
        struct delivery_action a;

        add(s, 0, &limits, &item);
        assert_int_equal(begin(s, 0, &c, &item), 1);
        assert_true(delivery_item_try_next(s, 0, &c));
        delivery_destination_set_limits(s, 0, c.destination, &limits);
        assert_true(delivery_scheduler_next_action(s, 0, &a));
        assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
        delivery_destination_resolved(s, 0, a.destination, others, cases[i].count, 60000, 1);
        delivery_item_explain(&item, 0, &wait);
        assert_int_equal(wait.attempts, cases[i].has_third ? 0 : 1);
        assert_int_equal(wait.reason == DELIVERY_WAIT_RETRY, !cases[i].has_third);
        assert_int_equal(delivery_scheduler_next_action(s, 0, &a), cases[i].has_third);
        if (cases[i].has_third)
            assert_int_equal(a.address.port, 3);
        end(s, 0, &c);
        finish(s);
    }
}

/* Never to the host that did not want it, which is up all the time. */
static void a_message_that_comes_back_from_a_next_host_that_is_gone_goes_on_or_waits(void **unused)
{
    static const struct delivery_endpoint others[] = {
        { .address = { .port = 1 }, .preference = 10 },
        { .address = { .port = 3 }, .preference = 20 },
    };

    (void)unused;
    for (size_t count = 1; count <= ARRAY_LEN(others); count++) {
        struct delivery_scheduler *s = make();
        struct delivery_item item, waiting[30], *taken;
        struct delivery_connection c, second;
        struct delivery_wait wait;
        struct delivery_action a;

        add(s, 0, &limits, &item);
        assert_int_equal(begin(s, 0, &c, &item), 1);
        assert_true(delivery_item_try_next(s, 0, &c));
        assert_int_equal(begin(s, 0, &second, &item), 2);
        delivery_destination_set_limits(s, 0, c.destination, &limits);
        for (unsigned i = 0; i < ARRAY_LEN(waiting); i++)
            add(s, 0, &limits, &waiting[i]);
        assert_true(delivery_scheduler_next_action(s, 0, &a));
        assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
        delivery_destination_resolved(s, 0, a.destination, others, count, 60000, 1);
        delivery_item_returned(s, 0, &second, 1);
        end(s, 0, &second);
        assert_int_equal(delivery_connection_take(s, 0, &c, &taken), DELIVERY_TAKE_ITEM);
        assert_ptr_equal(taken, &waiting[0]);
        delivery_item_done(s, 0, &c);
        delivery_item_explain(&item, 0, &wait);
        assert_int_equal(wait.reason == DELIVERY_WAIT_RETRY, count == 1);
        assert_int_equal(wait.attempts, count == 1 ? 1 : 0);
        if (count > 1) {
            assert_int_equal(begin(s, 0, &second, &item), 3);
            delivery_item_done(s, 0, &second);
            end(s, 0, &second);
        }
        end(s, 0, &c);
        finish(s);
    }
}

static void a_limit_of_one_connection_does_not_keep_a_message_from_its_next_host(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits one = limits;
    struct delivery_item items[30], *item = NULL;
    struct delivery_connection c;
    struct delivery_action a;

    (void)unused;
    one.connections_max = 1;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, &one, &items[i]);
    assert_int_equal(begin(s, 0, &c, &items[0]), 1);
    assert_true(delivery_item_try_next(s, 0, &c));
    assert_false(next(s, 0, 3, &a));
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_CLOSE);
    end(s, 0, &c);
    assert_int_equal(begin(s, 0, &c, &items[0]), 2);
    delivery_item_done(s, 0, &c);
    /* There it goes on with what is next. */
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, &items[1]);
    delivery_item_done(s, 0, &c);
    end(s, 0, &c);
    finish(s);
}

static void only_so_many_messages_go_to_another_host_at_a_time(void **unused)
{
    enum { ITEMS = DELIVERY_DIVERTED_MAX + 1 };
    struct delivery_scheduler *s = make();
    struct delivery_item items[ITEMS];
    struct delivery_connection c, other;
    struct delivery_destination_state state;
    struct delivery_item *item;
    struct delivery_action a;

    (void)unused;
    for (unsigned i = 0; i < ITEMS; i++)
        add(s, 0, &limits, &items[i]);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_true(next(s, 0, 2, &a));
        if (i == 1) {
            assert_int_equal(a.address.port, 2); /* and it is slow */
            delivery_connection_start(s, 0, &other, &a);
            assert_true(next(s, 0, 2, &a));
        }
        assert_int_equal(a.address.port, 1);
        delivery_connection_start(s, 0, &c, &a);
        delivery_connection_opened(s, 0, &c);
        assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
        assert_int_equal(delivery_item_try_next(s, 0, &c), i < DELIVERY_DIVERTED_MAX);
        if (i == DELIVERY_DIVERTED_MAX)
            delivery_item_deferred(s, 0, &c, 1, 1);
        end(s, 0, &c);
    }
    delivery_destination_describe(c.destination, &state);
    assert_int_equal(state.ready, DELIVERY_DIVERTED_MAX);
    assert_int_equal(state.delayed, 1);
    delivery_connection_failed(s, 0, &other, DELIVERY_FAILURE_LOCAL, 1);
    finish(s);
}

static void what_the_peer_and_the_caller_say_of_limits_and_counts_holds(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_arrival arrival = { .domain = SLICE("example.com"),
                                        .limits = &limits,
                                        .recipients = 7 };
    static const unsigned limits_of_peer[] = { 0, 1, 3, 1000 };
    static const unsigned messages[] = { 1, 1, 3, 50 };
    struct delivery_item items[100], *item;
    struct delivery_connection c;
    struct delivery_destination_state state;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &items[i]), STATUS_OK);
    for (unsigned i = 0; i < ARRAY_LEN(messages); i++) {
        unsigned sent = 0;

        (void)start(s, 0, 1, &c);
        delivery_connection_opened(s, 0, &c);
        delivery_connection_limit(&c, limits_of_peer[i]);
        for (; delivery_connection_take(s, 0, &c, &item) == DELIVERY_TAKE_ITEM; sent++)
            delivery_item_done(s, 0, &c);
        assert_int_equal(sent, messages[i]);
        delivery_destination_count(c.destination, &(struct delivery_counts){ 7 * sent, i, 1 });
        end(s, 0, &c);
    }
    (void)start(s, 0, 1, &c);
    delivery_connection_opened(s, 0, &c);
    for (unsigned left = 7; left > 0;) {
        unsigned allowed;

        delivery_connection_limit_recipients(&c, left == 7 ? 0 : 4);
        assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
        allowed = delivery_connection_recipients(&c);
        assert_int_equal(allowed, left == 7 ? 1 : left < 4 ? left : 4);
        left -= allowed;
        if (left > 0)
            delivery_item_continued(s, 0, &c);
        else
            delivery_item_done(s, 0, &c);
    }
    delivery_destination_describe(c.destination, &state);
    assert_int_equal(state.counts.delivered, 7 * (1 + 1 + 3 + 50));
    assert_int_equal(state.counts.soft, 0 + 1 + 2 + 3);
    assert_int_equal(state.counts.hard, 4);
    end(s, 0, &c);
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_a_host_cannot_take_now_goes_to_the_next_at_once),
        cmocka_unit_test(only_the_first_message_of_a_connection_goes_to_the_next_host),
        cmocka_unit_test(a_message_whose_next_host_cannot_be_reached_goes_on_or_waits),
        cmocka_unit_test(a_message_whose_next_host_goes_from_the_list_goes_on_or_waits),
        cmocka_unit_test(a_message_that_comes_back_from_a_next_host_that_is_gone_goes_on_or_waits),
        cmocka_unit_test(a_limit_of_one_connection_does_not_keep_a_message_from_its_next_host),
        cmocka_unit_test(only_so_many_messages_go_to_another_host_at_a_time),
        cmocka_unit_test(what_the_peer_and_the_caller_say_of_limits_and_counts_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
