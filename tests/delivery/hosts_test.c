#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

#define VALID_MS 600000u

static const struct delivery_limits limits = {
    .connections_max = 20,
    .messages_per_connection_max = 1,
    .profile = { .retry_initial_ms = 3600000,
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

static struct delivery_scheduler *make_with(struct delivery_item *items, size_t count,
                                            uint64_t wait_ms)
{
    struct delivery_arrival arrival = { SLICE("example.com"), &limits, .wait_ms = wait_ms };
    struct delivery_scheduler *s = NULL;

    assert_int_equal(delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &s), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &items[i]), STATUS_OK);
    return s;
}

static void finish(struct delivery_scheduler *s)
{
    while (delivery_scheduler_take_any(s, 0) != NULL)
        continue;
    delivery_scheduler_destroy(s);
}

/* Opens one connection and gets one item through it, or fails. Returns the port; *asked_out says
 * whether the list of hosts was asked for first. */
static unsigned try(struct delivery_scheduler *s, uint64_t now_ms, bool works, bool *asked_out)
{
    struct delivery_connection c;
    struct delivery_item *item;
    struct delivery_action a;

    *asked_out = false;
    while (delivery_scheduler_next_action(s, now_ms, &a) && a.kind == DELIVERY_ACTION_RESOLVE) {
        *asked_out = true;
        delivery_destination_resolved(s, now_ms, a.destination, endpoints, ARRAY_LEN(endpoints),
                                      VALID_MS, 1);
    }
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    assert_int_equal(a.address.port, a.endpoint + 1);
    delivery_connection_start(s, now_ms, &c, &a);
    if (!works) {
        delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_REFUSED, now_ms);
        return a.address.port;
    }
    delivery_connection_opened(s, now_ms, &c);
    assert_int_equal(delivery_connection_take(s, now_ms, &c, &item), DELIVERY_TAKE_ITEM);
    delivery_item_done(s, now_ms, &c);
    assert_int_equal(delivery_connection_take(s, now_ms, &c, &item), DELIVERY_TAKE_CLOSE);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_NONE, 1);
    return a.address.port;
}

/* Three messages, of 1, 2 and 3 recipients, and a host list of three that all refuse. */
static void a_try_that_reaches_no_host_counts_for_all_that_wait(void **unused)
{
    struct delivery_scheduler *s = make_with(NULL, 0, 0);
    struct delivery_destination_state state;
    struct delivery_item items[3];
    bool asked;

    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        assert_int_equal(
            delivery_scheduler_add(
                s, 0,
                &(struct delivery_arrival){ SLICE("example.com"), &limits, .recipients = i + 1 },
                &items[i]),
            STATUS_OK);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < ARRAY_LEN(endpoints); i++) {
            assert_int_equal(delivery_scheduler_take_put_off(s), 0);
            (void)try(s, round * 8000000ull, false, &asked);
        }
        assert_int_equal(delivery_item_attempts(&items[2]), round);
        assert_int_equal(delivery_scheduler_take_put_off(s), 6);
    }
    (void)try(s, 4 * 8000000ull, true, &asked); /* the first one is gone */
    for (unsigned i = 0; i < ARRAY_LEN(endpoints); i++)
        (void)try(s, 5 * 8000000ull, false, &asked);
    assert_int_equal(delivery_scheduler_take_put_off(s), 5);
    delivery_destination_describe(delivery_item_destination(&items[2]), &state);
    assert_int_equal(state.counts.soft, 3 * 6 + 5);
    finish(s);
}

static void the_preferred_host_is_taken_and_equal_ones_take_turns(void **unused)
{
    static const struct {
        uint64_t now_ms;
        bool works;
        unsigned port;
        bool asked;
    } steps[] = {
        { 0, true, 1, true },
        { 0, true, 1, false },
        { 0, false, 1, false }, /* it is down for an hour, or nearly */
        { 0, true, 2, false },
        { 1, true, 3, false },
        { 2, true, 2, false },
        /* The list is asked for again when it is too old; who is down stays so. */
        { VALID_MS, true, 3, true },
        { VALID_MS, true, 2, false },
        { 4000000, true, 1, true },
        { 4000001, false, 1, false },
        { 4000001, false, 3, false },
        { 4000001, true, 2, false },
    };
    struct delivery_item items[ARRAY_LEN(steps)];
    struct delivery_scheduler *s = make_with(items, ARRAY_LEN(items), 0);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        bool asked;

        assert_int_equal(try(s, steps[i].now_ms, steps[i].works, &asked), steps[i].port);
        assert_int_equal(asked, steps[i].asked);
    }
    finish(s);
}

static void one_call_makes_no_more_items_ready_than_its_steps(void **unused)
{
    enum { ITEMS = 1000, DESTINATIONS = 100 };
    struct delivery_item *items = calloc(ITEMS, sizeof *items);
    struct delivery_scheduler *s = make_with(items, 0, 0);
    struct delivery_action a;
    size_t before = 0;

    (void)unused;
    for (size_t i = 0; i < ITEMS; i++) {
        char domain[2] = { (char)('a' + i % 10), (char)('a' + i / 10 % 10) };
        struct delivery_arrival arrival = { { domain, 2 }, &limits, .wait_ms = 1000 };

        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &items[i]), STATUS_OK);
    }
    while (delivery_scheduler_next_due(s) <= 1000) {
        size_t ready = 0;

        (void)delivery_scheduler_next_action(s, 1000, &a);
        for (struct delivery_destination *d = NULL; (d = delivery_scheduler_walk(s, d)) != NULL;) {
            struct delivery_destination_state state;

            delivery_destination_describe(d, &state);
            assert_int_equal(state.ready + state.delayed, ITEMS / DESTINATIONS);
            ready += state.ready;
        }
        /* The last turn of a call may go over it by its own share. */
        assert_true(ready - before <= DELIVERY_STEPS_MAX + 16);
        before = ready;
    }
    assert_int_equal(before, ITEMS);
    finish(s);
    free(items);
}

static void flush_makes_every_delayed_item_ready_once(void **unused)
{
    struct delivery_item items[100];
    struct delivery_scheduler *s = make_with(items, ARRAY_LEN(items), 3600000);
    struct delivery_destination *d = delivery_scheduler_find(s, SLICE("example.com"));
    struct delivery_destination_state state;
    struct delivery_action a;

    (void)unused;
    assert_false(delivery_scheduler_next_action(s, 0, &a));
    delivery_destination_flush(s, 0, d);
    delivery_destination_flush(s, 0, d);
    while (delivery_scheduler_next_due(s) == 0)
        (void)delivery_scheduler_next_action(s, 0, &a);
    delivery_destination_describe(d, &state);
    assert_int_equal(state.ready, ARRAY_LEN(items));
    assert_int_equal(state.delayed, 0);
    finish(s);
}

static void hosts_that_are_revived_are_tried_at_once_and_items_keep_their_time(void **unused)
{
    struct delivery_item items[10], fresh;
    struct delivery_scheduler *s = make_with(items, ARRAY_LEN(items), 3600000);
    struct delivery_destination *d = delivery_scheduler_find(s, SLICE("example.com"));
    struct delivery_arrival arrival = { .domain = SLICE("example.com"), .limits = &limits };
    struct delivery_destination_state state;
    struct delivery_action a;
    struct delivery_wait wait;

    (void)unused;
    assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &fresh), STATUS_OK);
    while (!delivery_scheduler_next_action(s, 0, &a))
        continue;
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    delivery_destination_unresolved(s, 0, d, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    delivery_item_explain(&fresh, 0, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_HOST_DOWN);
    delivery_destination_revive(s, 0, d);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    delivery_destination_unresolved(s, 0, d, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    delivery_destination_describe(d, &state);
    assert_int_equal(state.delayed, ARRAY_LEN(items));
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_try_that_reaches_no_host_counts_for_all_that_wait),
        cmocka_unit_test(the_preferred_host_is_taken_and_equal_ones_take_turns),
        cmocka_unit_test(one_call_makes_no_more_items_ready_than_its_steps),
        cmocka_unit_test(flush_makes_every_delayed_item_ready_once),
        cmocka_unit_test(hosts_that_are_revived_are_tried_at_once_and_items_keep_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
