#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

static const struct delivery_profile profile = {
    .retry_initial_ms = 60000, .retry_ms_max = 60000, .age_ms_max = UINT64_MAX, .retries_max = 60000
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

static struct delivery_limits limits_of(enum delivery_limit_scope scope, unsigned connections_max,
                                        unsigned recipients_max)
{
    return (struct delivery_limits){ .connections_max = connections_max,
                                     .messages_per_connection_max = 1000,
                                     .scope = scope,
                                     .recipients_max = recipients_max,
                                     .recipients_interval_ms = 3600000,
                                     .profile = profile };
}

static void add(struct delivery_scheduler *s, uint64_t now_ms, const struct delivery_limits *limits,
                unsigned recipients, struct delivery_item *item)
{
    struct delivery_arrival arrival = { .domain = SLICE("example.com"),
                                        .limits = limits,
                                        .recipients = recipients };

    assert_int_equal(delivery_scheduler_add(s, now_ms, &arrival, item), STATUS_OK);
}

/* The next action but RESOLVE, which finds hosts at ports `first`.. of the preferences given, for
 * five seconds; false when all is quiet. */
static bool next(struct delivery_scheduler *s, uint64_t now_ms, uint16_t first, unsigned count,
                 const uint16_t *preferences, struct delivery_action *a)
{
    struct delivery_endpoint endpoints[DELIVERY_ENDPOINTS_MAX] = { 0 };

    for (unsigned i = 0; i < count; i++) {
        endpoints[i].address.port = (uint16_t)(first + i);
        endpoints[i].preference = preferences != NULL ? preferences[i] : 0;
    }
    while (delivery_scheduler_next_due(s) <= now_ms) {
        if (!delivery_scheduler_next_action(s, now_ms, a))
            continue;
        if (a->kind != DELIVERY_ACTION_RESOLVE)
            return true;
        delivery_destination_resolved(s, now_ms, a->destination, endpoints, count,
                                      DELIVERY_HOSTS_MS_MIN, 1);
    }
    return false;
}

/* Opens a connection, to the only host at this port. */
static void open_to(struct delivery_scheduler *s, uint64_t now_ms, uint16_t port,
                    struct delivery_connection *c)
{
    struct delivery_action a;

    assert_true(next(s, now_ms, port, 1, NULL, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    assert_int_equal(a.address.port, port);
    delivery_connection_start(s, now_ms, c, &a);
    delivery_connection_opened(s, now_ms, c);
}

static void an_item_larger_than_what_is_left_goes_in_parts_of_one_try(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_DOMAIN, 1, 10);
    struct delivery_connection c;
    struct delivery_item items[2], *item = NULL;
    struct delivery_wait wait;
    struct delivery_action a;

    (void)unused;
    add(s, 0, &limits, 25, &items[0]);
    add(s, 0, &limits, 1, &items[1]);
    open_to(s, 0, 1, &c);
    for (unsigned part = 0; part < 3; part++) {
        uint64_t now_ms = 7 + part * 3600000ull;

        if (part > 0) {
            /* The idle connection gets work in the moment in which recipients come back. */
            assert_int_equal(delivery_scheduler_next_due(s), now_ms);
            assert_false(next(s, now_ms - 1, 1, 1, NULL, &a));
            assert_true(next(s, now_ms, 1, 1, NULL, &a));
            assert_int_equal(a.kind, DELIVERY_ACTION_TAKE);
        }
        assert_int_equal(delivery_connection_take(s, now_ms, &c, &item), DELIVERY_TAKE_ITEM);
        assert_ptr_equal(item, &items[0]);
        assert_int_equal(delivery_connection_recipients(&c), part < 2 ? 10 : 5);
        if (part == 2)
            break;
        delivery_item_continued(s, now_ms, &c);
        assert_int_equal(delivery_connection_take(s, now_ms, &c, &item), DELIVERY_TAKE_IDLE);
        delivery_item_explain(&items[0], now_ms, &wait);
        assert_int_equal(wait.reason, DELIVERY_WAIT_LIMIT);
        assert_int_equal(wait.until_ms, now_ms + 3600000);
        assert_int_equal(wait.attempts, 0);
    }
    /* Three were left by the try, which counts once. */
    delivery_item_deferred(s, 7200007, &c, 3, 1);
    delivery_item_explain(&items[0], 7200007, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_RETRY);
    assert_int_equal(wait.attempts, 1);
    assert_int_equal(delivery_connection_take(s, 7200007, &c, &item), DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, &items[1]);
    delivery_item_done(s, 7200007, &c);
    delivery_destination_flush(s, 7200007, c.destination);
    assert_false(next(s, 7200007, 1, 1, NULL, &a));
    assert_int_equal(delivery_connection_take(s, 7200007, &c, &item), DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, &items[0]);
    assert_int_equal(delivery_connection_recipients(&c), 3);
    delivery_item_done(s, 7200007, &c);
    delivery_connection_closed(s, 7200007, &c, DELIVERY_FAILURE_NONE, 1);
    finish(s);
}

static void open_while_recipients_are_used_up(enum delivery_limit_scope scope)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(scope, 20, 3);
    struct delivery_connection c, second;
    struct delivery_item items[200], *item = NULL;
    struct delivery_action a;

    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, &limits, 2, &items[i]);
    open_to(s, 0, 1, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    /* One recipient is left: that is work for one connection, whatever the backlog. */
    assert_true(next(s, 0, 1, 1, NULL, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    delivery_connection_start(s, 0, &second, &a);
    delivery_item_done(s, 0, &c);
    assert_false(next(s, 0, 1, 1, NULL, &a));
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    delivery_item_continued(s, 0, &c);
    delivery_connection_opened(s, 0, &second);
    assert_int_equal(delivery_connection_take(s, 0, &second, &item), DELIVERY_TAKE_IDLE);
    delivery_connection_closed(s, 0, &second, DELIVERY_FAILURE_NONE, 1);
    delivery_connection_closed(s, 0, &c, DELIVERY_FAILURE_NONE, 1);
    assert_false(next(s, 3599999, 1, 1, NULL, &a));
    assert_true(next(s, 3600000, 1, 1, NULL, &a));
    finish(s);
}

static void no_connection_is_opened_while_recipients_are_used_up(void **unused)
{
    (void)unused;
    open_while_recipients_are_used_up(DELIVERY_LIMIT_DOMAIN);
    open_while_recipients_are_used_up(DELIVERY_LIMIT_ADDRESS);
}

static void an_emptied_destination_is_remembered_as_long_as_its_recipients_count(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_ADDRESS, 1, 10);
    struct delivery_connection c;
    struct delivery_item items[2], *item = NULL;
    struct delivery_action a;

    (void)unused;
    add(s, 0, &limits, 8, &items[0]);
    open_to(s, 0, 1, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    delivery_item_done(s, 0, &c);
    delivery_connection_closed(s, 0, &c, DELIVERY_FAILURE_NONE, 1);
    assert_false(next(s, 3599999, 1, 1, NULL, &a));
    add(s, 3599999, &limits, 8, &items[1]);
    open_to(s, 3599999, 1, &c);
    assert_int_equal(delivery_connection_take(s, 3599999, &c, &item), DELIVERY_TAKE_ITEM);
    assert_int_equal(delivery_connection_recipients(&c), 2);
    delivery_item_done(s, 3599999, &c);
    delivery_connection_closed(s, 3599999, &c, DELIVERY_FAILURE_NONE, 1);
    assert_int_equal(delivery_scheduler_next_due(s), 3599999 + 3600000);
    assert_false(next(s, 2ull * 3600000, 1, 1, NULL, &a)); /* forgotten: nothing was attached */
    assert_null(delivery_scheduler_find(s, SLICE("example.com")));
    finish(s);
}

static void a_host_that_leaves_the_list_for_a_while_keeps_its_limits(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_ADDRESS, 1, 5);
    struct delivery_connection first, second, third;
    struct delivery_item items[40], later[4], *item = NULL;
    struct delivery_action a;
    uint64_t now_ms = 0;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, now_ms, &limits, 3, &items[i]);
    open_to(s, now_ms, 1, &first);
    assert_int_equal(delivery_connection_take(s, now_ms, &first, &item), DELIVERY_TAKE_ITEM);
    now_ms += DELIVERY_HOSTS_MS_MIN;
    add(s, now_ms, &limits, 3, &later[0]);
    open_to(s, now_ms, 2, &second);
    now_ms += DELIVERY_HOSTS_MS_MIN;
    add(s, now_ms, &limits, 3, &later[1]);
    assert_false(next(s, now_ms, 1, 1, NULL, &a)); /* it has its one connection */
    delivery_item_done(s, now_ms, &first);
    delivery_connection_closed(s, now_ms, &first, DELIVERY_FAILURE_NONE, 1);
    open_to(s, now_ms, 1, &third);
    assert_int_equal(delivery_connection_take(s, now_ms, &third, &item), DELIVERY_TAKE_ITEM);
    assert_int_equal(delivery_connection_recipients(&third), 2);
    delivery_item_continued(s, now_ms, &third);
    delivery_connection_closed(s, now_ms, &third, DELIVERY_FAILURE_NONE, 1);
    delivery_connection_closed(s, now_ms, &second, DELIVERY_FAILURE_NONE, 1);
    /* Also without a connection. */
    now_ms += DELIVERY_HOSTS_MS_MIN;
    add(s, now_ms, &limits, 3, &later[2]);
    assert_true(next(s, now_ms, 2, 1, NULL, &a));
    delivery_destination_postpone(s, now_ms, a.destination, DELIVERY_HOSTS_MS_MIN);
    now_ms += DELIVERY_HOSTS_MS_MIN;
    add(s, now_ms, &limits, 3, &later[3]);
    assert_false(next(s, now_ms, 1, 1, NULL, &a));
    finish(s);
}

static void hosts_that_come_and_go_without_end_take_no_room_without_end(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_ADDRESS, 1, 5);
    struct delivery_connection connections[100];
    struct delivery_item items[1000], more[ARRAY_LEN(connections)], *item = NULL;
    struct delivery_action a;
    unsigned open = 0;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, &limits, i == 0 ? 1 : 9, &items[i]);
    /* Each list has one other host; each gets a connection, and one that stays open. */
    for (unsigned i = 0; i < ARRAY_LEN(connections); i++) {
        uint64_t now_ms = i * (uint64_t)DELIVERY_HOSTS_MS_MIN;

        add(s, now_ms, &limits, 9, &more[i]);
        if (!next(s, now_ms, (uint16_t)(1 + i), 1, NULL, &a) || a.kind != DELIVERY_ACTION_CONNECT)
            break;
        delivery_connection_start(s, now_ms, &connections[open], &a);
        delivery_connection_opened(s, now_ms, &connections[open]);
        assert_int_equal(delivery_connection_take(s, now_ms, &connections[open], &item),
                         DELIVERY_TAKE_ITEM);
        if (open++ == 0) {
            /* A message has had its result: there may be many connections. */
            delivery_item_done(s, now_ms, &connections[0]);
            assert_int_equal(delivery_connection_take(s, now_ms, &connections[0], &item),
                             DELIVERY_TAKE_ITEM);
        }
    }
    assert_int_equal(open, DELIVERY_HOSTS_MAX);
    for (unsigned i = 0; i < open; i++) {
        delivery_item_done(s, 1000000, &connections[i]);
        delivery_connection_closed(s, 1000000, &connections[i], DELIVERY_FAILURE_NONE, 1);
    }
    /* Then there is room again, although all of them have recipients that count. */
    assert_true(next(s, 10000000, 1000, 1, NULL, &a));
    assert_int_equal(a.address.port, 1000);
    finish(s);
}

static void a_host_at_its_limit_is_no_reason_to_use_a_worse_one(void **unused)
{
    static const uint16_t preferences[] = { 10, 10, 20 };
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_ADDRESS, 2, 0);
    struct delivery_connection connections[4];
    struct delivery_item items[200];
    unsigned ports[4] = { 0 };
    struct delivery_wait wait;
    struct delivery_action a;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, &limits, 1, &items[i]);
    for (unsigned i = 0; i < ARRAY_LEN(connections); i++) {
        assert_true(next(s, 0, 1, 3, preferences, &a));
        ports[a.address.port]++;
        delivery_connection_start(s, 0, &connections[i], &a);
        delivery_connection_opened(s, 0, &connections[i]);
    }
    assert_int_equal(ports[1], 2);
    assert_int_equal(ports[2], 2);
    assert_false(next(s, 0, 1, 3, preferences, &a));
    delivery_item_explain(&items[0], 0, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_LIMIT);
    /* When both are down it is what there is. */
    for (unsigned i = 0; i < ARRAY_LEN(connections); i++) {
        struct delivery_item *item;

        assert_int_equal(delivery_connection_take(s, 0, &connections[i], &item),
                         DELIVERY_TAKE_ITEM);
        delivery_item_deferred(s, 0, &connections[i], 1, 1);
        delivery_connection_closed(s, 0, &connections[i], DELIVERY_FAILURE_LOST, 1);
    }
    assert_true(next(s, 0, 1, 3, preferences, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    assert_int_equal(a.address.port, 3);
    finish(s);
}

static void an_address_that_is_listed_twice_is_one_host(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(DELIVERY_LIMIT_ADDRESS, 1, 0);
    struct delivery_endpoint endpoints[] = {
        { .address.port = 1, .preference = 20 },
        { .address.port = 2, .preference = 15 },
        { .address.port = 1, .preference = 10 },
    };
    struct delivery_destination_state state;
    struct delivery_connection c;
    struct delivery_item items[50];
    struct delivery_action a;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, &limits, 1, &items[i]);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    delivery_destination_resolved(s, 0, a.destination, endpoints, 3, 60000, 1);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    assert_int_equal(a.endpoint, 2);
    delivery_destination_describe(a.destination, &state);
    assert_int_equal(state.endpoints, 2);
    delivery_connection_start(s, 0, &c, &a);
    delivery_connection_opened(s, 0, &c);
    assert_false(delivery_scheduler_next_action(s, 0, &a));
    delivery_connection_closed(s, 0, &c, DELIVERY_FAILURE_NONE, 1);
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_larger_than_what_is_left_goes_in_parts_of_one_try),
        cmocka_unit_test(no_connection_is_opened_while_recipients_are_used_up),
        cmocka_unit_test(an_emptied_destination_is_remembered_as_long_as_its_recipients_count),
        cmocka_unit_test(a_host_that_leaves_the_list_for_a_while_keeps_its_limits),
        cmocka_unit_test(hosts_that_come_and_go_without_end_take_no_room_without_end),
        cmocka_unit_test(a_host_at_its_limit_is_no_reason_to_use_a_worse_one),
        cmocka_unit_test(an_address_that_is_listed_twice_is_one_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
