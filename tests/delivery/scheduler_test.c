#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

static const struct delivery_limits limits = {
    .connections_max = 20,
    .messages_per_connection_max = 3,
    .profile = { .retry_initial_ms = 60000,
                 .retry_ms_max = 3600000,
                 .age_ms_max = 259200000,
                 .retries_max = 100 },
};

static struct delivery_scheduler *make(void)
{
    struct delivery_scheduler *s = NULL;

    assert_int_equal(delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &s), STATUS_OK);
    return s;
}

static void add(struct delivery_scheduler *s, uint64_t now_ms, const char *domain,
                const struct delivery_limits *l, struct delivery_item *item)
{
    struct delivery_arrival arrival = { .domain = slice_from(domain), .limits = l };

    assert_int_equal(delivery_scheduler_add(s, now_ms, &arrival, item), STATUS_OK);
}

/* The next action that is not RESOLVE, which is answered with `hosts` hosts at ports 1, 2...;
 * false when all is quiet. */
static bool act(struct delivery_scheduler *s, uint64_t now_ms, unsigned hosts,
                struct delivery_action *a)
{
    struct delivery_endpoint endpoints[DELIVERY_ENDPOINTS_MAX] = { 0 };

    for (unsigned i = 0; i < hosts; i++)
        endpoints[i].address.port = (uint16_t)(i + 1);
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

static void expect(struct delivery_scheduler *s, uint64_t now_ms, enum delivery_action_kind kind,
                   struct delivery_action *a)
{
    assert_true(act(s, now_ms, 2, a));
    assert_int_equal(a->kind, kind);
}

/* Returns the port. */
static unsigned start(struct delivery_scheduler *s, uint64_t now_ms, struct delivery_connection *c)
{
    struct delivery_action a;

    expect(s, now_ms, DELIVERY_ACTION_CONNECT, &a);
    delivery_connection_start(s, now_ms, c, &a);
    return a.address.port;
}

/* Empties s whatever it holds. */
static void finish(struct delivery_scheduler *s, uint64_t now_ms)
{
    while (delivery_scheduler_take_any(s, now_ms) != NULL)
        continue;
    assert_int_equal(delivery_scheduler_items(s), 0);
    delivery_scheduler_destroy(s);
}

static void the_next_host_is_tried_at_once_and_then_the_destination_waits(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item item;
    struct delivery_connection c;
    struct delivery_wait wait;
    struct delivery_action a;
    uint64_t now_ms = 1000, former_ms = 0;

    (void)unused;
    add(s, now_ms, "example.com", &limits, &item);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned host = 0; host < 2; host++) {
            assert_int_equal(start(s, now_ms, &c), 1 + host);
            delivery_item_explain(&item, now_ms, &wait);
            assert_int_equal(wait.reason, DELIVERY_WAIT_CONNECTING);
            delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_GREETING_4XX,
                                       2 * round + host);
        }
        assert_false(act(s, now_ms, 2, &a));
        delivery_item_explain(&item, now_ms, &wait);
        assert_int_equal(wait.reason, DELIVERY_WAIT_HOST_DOWN);
        assert_int_equal(wait.attempts, round);
        assert_int_equal(wait.until_ms, delivery_scheduler_next_due(s));
        /* Doubled each time, but for the jitter. */
        assert_true(wait.until_ms - now_ms > former_ms * 3 / 2);
        former_ms = wait.until_ms - now_ms;
        now_ms = wait.until_ms;
    }
    start(s, now_ms, &c);
    delivery_connection_opened(s, now_ms, &c);
    delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_NONE, 1);
    finish(s, now_ms);
}

static void an_item_is_given_up_at_its_age_while_the_host_is_down(void **unused)
{
    static const struct {
        uint64_t age_ms, age_ms_max;
        unsigned retries_max, attempts;
        uint64_t tries;
        enum delivery_expiry expiry;
    } cases[] = {
        { 0, 100000, 100, 0, 2, DELIVERY_EXPIRY_AGE },
        { 99000, 100000, 100, 0, 1, DELIVERY_EXPIRY_AGE },
        { UINT64_MAX, 100000, 100, 0, 0, DELIVERY_EXPIRY_AGE },
        { 0, 100000000, 2, 0, 3, DELIVERY_EXPIRY_RETRIES }, /* the first and two more */
        { 0, 100000000, 2, 2, 1, DELIVERY_EXPIRY_RETRIES },
        { 0, 100000000, 0, 0, 1, DELIVERY_EXPIRY_RETRIES },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_scheduler *s = make();
        struct delivery_limits l = limits;
        struct delivery_item item;
        struct delivery_arrival arrival = { SLICE("d.example"), &l, .age_ms = cases[i].age_ms,
                                            .attempts = cases[i].attempts };
        struct delivery_connection c;
        struct delivery_action a;
        uint64_t now_ms = 5000000000;
        unsigned tries = 0;

        l.profile.age_ms_max = cases[i].age_ms_max;
        l.profile.retries_max = cases[i].retries_max;
        l.profile.retry_ms_max = 60000;
        assert_int_equal(delivery_scheduler_add(s, now_ms, &arrival, &item), STATUS_OK);
        for (;; now_ms = delivery_scheduler_next_due(s)) {
            if (!act(s, now_ms, 1, &a))
                continue;
            if (a.kind == DELIVERY_ACTION_EXPIRE)
                break;
            delivery_connection_start(s, now_ms, &c, &a);
            delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_TIMEOUT, now_ms);
            tries++;
        }
        assert_ptr_equal(a.item, &item);
        assert_int_equal(a.expiry, cases[i].expiry);
        assert_int_equal(tries, cases[i].tries);
        if (a.expiry == DELIVERY_EXPIRY_AGE && cases[i].age_ms == 0)
            assert_int_equal(now_ms, 5000000000 + cases[i].age_ms_max);
        finish(s, now_ms);
    }
}

static void connections_follow_the_backlog_up_to_the_limit(void **unused)
{
    static const struct {
        size_t items;
        unsigned connections;
    } cases[] = {
        { 1, 1 }, { 9, 1 }, { 10, 2 }, { 95, 10 }, { 189, 19 }, { 190, 20 }, { 990, 20 }
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_scheduler *s = make();
        struct delivery_item *items = calloc(cases[i].items + 1, sizeof *items), *item;
        struct delivery_connection connections[30];
        struct delivery_action a;
        unsigned count = 0;

        for (size_t n = 0; n <= cases[i].items; n++)
            add(s, 0, "example.com", &limits, &items[n]);
        /* The first alone: nobody knows whether the host is there. */
        start(s, 0, &connections[count++]);
        assert_false(act(s, 0, 2, &a));
        delivery_connection_opened(s, 0, &connections[0]);
        assert_int_equal(delivery_connection_take(s, 0, &connections[0], &item),
                         DELIVERY_TAKE_ITEM);
        delivery_item_done(s, 0, &connections[0]);
        while (act(s, 0, 2, &a)) {
            assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
            delivery_connection_start(s, 0, &connections[count++], &a);
        }
        assert_int_equal(count, cases[i].connections);
        for (unsigned n = 1; n < count; n++)
            delivery_connection_opened(s, 0, &connections[n]);
        for (unsigned n = 0; n < count; n++) {
            enum delivery_take take;

            for (unsigned k = 0; (take = delivery_connection_take(s, 0, &connections[n], &item)) ==
                                 DELIVERY_TAKE_ITEM;
                 k++) {
                assert_true(k < limits.messages_per_connection_max);
                delivery_item_done(s, 0, &connections[n]);
            }
            delivery_connection_closed(s, 0, &connections[n], DELIVERY_FAILURE_NONE, 1);
        }
        finish(s, 0);
        free(items);
    }
}

static void a_stuck_connection_does_not_hold_up_those_behind_it(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[2], *item = NULL;
    struct delivery_connection stuck, more;
    struct delivery_action a;

    (void)unused;
    add(s, 0, "example.com", &limits, &items[0]);
    add(s, 0, "example.com", &limits, &items[1]);
    start(s, 0, &stuck);
    delivery_connection_opened(s, 0, &stuck);
    assert_int_equal(delivery_connection_take(s, 0, &stuck, &item), DELIVERY_TAKE_ITEM);
    assert_false(act(s, DELIVERY_STALL_MS - 1, 2, &a));
    start(s, DELIVERY_STALL_MS, &more);
    delivery_connection_opened(s, DELIVERY_STALL_MS, &more);
    assert_int_equal(delivery_connection_take(s, DELIVERY_STALL_MS, &more, &item),
                     DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, &items[1]);
    delivery_item_done(s, DELIVERY_STALL_MS, &more);
    delivery_item_done(s, DELIVERY_STALL_MS, &stuck);
    delivery_connection_closed(s, DELIVERY_STALL_MS, &more, DELIVERY_FAILURE_NONE, 1);
    delivery_connection_closed(s, DELIVERY_STALL_MS, &stuck, DELIVERY_FAILURE_NONE, 1);
    finish(s, DELIVERY_STALL_MS);
}

static void a_backlog_delays_no_other_destination(void **unused)
{
    enum { BACKLOG = 50000 };
    struct delivery_limits short_lived = limits;
    struct delivery_scheduler *s = make();
    struct delivery_item *items = calloc(BACKLOG, sizeof *items), single, fresh;
    struct delivery_endpoint endpoint = { .preference = 10 };
    struct delivery_destination *backlog;
    struct delivery_action a;
    unsigned calls = 0;

    (void)unused;
    short_lived.profile.age_ms_max = 1000;
    for (size_t i = 0; i < BACKLOG; i++)
        add(s, 0, "backlog.example", &short_lived, &items[i]);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    backlog = a.destination;
    add(s, 1000, "single.example", &limits, &single);
    /* All of the backlog expires in this moment; the other one gets its turn all the same. */
    for (;; calls++) {
        assert_true(calls < 10);
        if (delivery_scheduler_next_action(s, 1000, &a) && a.kind == DELIVERY_ACTION_RESOLVE &&
            slice_is_word(delivery_destination_domain(a.destination), "single.example"))
            break;
    }
    /* Nor do those that are given up hold up the others of their own destination. */
    add(s, 1000, "backlog.example", &short_lived, &fresh);
    delivery_destination_resolved(s, 1000, backlog, &endpoint, 1, 60000, 1);
    for (calls = 0;; calls++) {
        assert_true(calls < 10);
        if (delivery_scheduler_next_action(s, 1000, &a) && a.kind == DELIVERY_ACTION_CONNECT)
            break;
    }
    finish(s, 1000);
    free(items);
}

static void a_host_that_refuses_more_connections_keeps_those_it_has(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[40], *item = NULL;
    struct delivery_connection first, second;
    struct delivery_wait wait;
    struct delivery_action a;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, "example.com", &limits, &items[i]);
    assert_true(act(s, 0, 1, &a));
    delivery_connection_start(s, 0, &first, &a);
    delivery_connection_opened(s, 0, &first);
    assert_int_equal(delivery_connection_take(s, 0, &first, &item), DELIVERY_TAKE_ITEM);
    assert_true(act(s, 0, 1, &a));
    delivery_connection_start(s, 0, &second, &a);
    delivery_connection_failed(s, 0, &second, DELIVERY_FAILURE_GREETING_4XX, 1);
    assert_false(act(s, 0, 1, &a));
    delivery_item_explain(&items[5], 0, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_LIMIT);
    /* When the one that works ends, the next one comes at once; if that fails, the host is down. */
    delivery_item_done(s, 10, &first);
    delivery_connection_closed(s, 10, &first, DELIVERY_FAILURE_NONE, 1);
    assert_true(act(s, 10, 1, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
    delivery_connection_start(s, 10, &first, &a);
    delivery_connection_failed(s, 10, &first, DELIVERY_FAILURE_GREETING_4XX, 1);
    assert_false(act(s, 10, 1, &a));
    delivery_item_explain(&items[5], 10, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_HOST_DOWN);
    finish(s, 10);
}

static void tries_that_fail_together_are_one_failure(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[49], *item = NULL;
    struct delivery_connection connections[5], first;
    struct delivery_wait wait;
    struct delivery_action a;

    (void)unused;
    add(s, 0, "example.com", &limits, &items[0]);
    assert_true(act(s, 0, 1, &a));
    delivery_connection_start(s, 0, &first, &a);
    delivery_connection_opened(s, 0, &first);
    assert_int_equal(delivery_connection_take(s, 0, &first, &item), DELIVERY_TAKE_ITEM);
    delivery_item_done(s, 0, &first);
    delivery_connection_closed(s, 0, &first, DELIVERY_FAILURE_NONE, 1);
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, "example.com", &limits, &items[i]);
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        assert_true(act(s, 0, 1, &a));
        delivery_connection_start(s, 0, &connections[i], &a);
    }
    for (size_t i = 0; i < ARRAY_LEN(connections); i++)
        delivery_connection_failed(s, i, &connections[i], DELIVERY_FAILURE_TIMEOUT, i);
    delivery_item_explain(&items[48], 10, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_HOST_DOWN);
    assert_int_equal(wait.attempts, 1);
    assert_in_range(wait.until_ms, 54000, 66000);
    finish(s, 10);
}

static void a_host_that_breaks_off_the_first_item_is_down(void **unused)
{
    static const struct {
        unsigned items_before;
        enum delivery_failure why;
        bool is_down;
    } cases[] = {
        { 0, DELIVERY_FAILURE_LOST, true },
        { 1, DELIVERY_FAILURE_LOST, false },
        { 0, DELIVERY_FAILURE_NONE, false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_scheduler *s = make();
        struct delivery_item items[3], *item = NULL;
        struct delivery_connection c;
        struct delivery_action a;

        for (size_t n = 0; n < ARRAY_LEN(items); n++)
            add(s, 0, "example.com", &limits, &items[n]);
        assert_true(act(s, 0, 1, &a));
        delivery_connection_start(s, 0, &c, &a);
        delivery_connection_opened(s, 0, &c);
        for (unsigned n = 0; n <= cases[i].items_before; n++) {
            assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
            delivery_item_deferred(s, 0, &c, 1, 1);
        }
        delivery_connection_closed(s, 0, &c, cases[i].why, 1);
        assert_int_equal(act(s, 0, 1, &a), !cases[i].is_down);
        finish(s, 0);
    }
}

static void a_lower_limit_closes_what_is_above_it(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_limits lower = limits;
    struct delivery_item items[30], *item = NULL;
    struct delivery_connection connections[3];
    struct delivery_action a;
    unsigned closed = 0;

    (void)unused;
    for (size_t n = 0; n < ARRAY_LEN(items); n++)
        add(s, 0, "example.com", &limits, &items[n]);
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        start(s, 0, &connections[i]);
        delivery_connection_opened(s, 0, &connections[i]);
    }
    lower.connections_max = 0; /* counts as 1 */
    delivery_destination_set_limits(s, 0, connections[0].destination, &lower);
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        if (delivery_connection_take(s, 0, &connections[i], &item) == DELIVERY_TAKE_CLOSE)
            closed++;
        else
            delivery_item_done(s, 0, &connections[i]);
        delivery_connection_closed(s, 0, &connections[i], DELIVERY_FAILURE_NONE, 1);
    }
    assert_int_equal(closed, 2);
    start(s, 0, &connections[0]);
    assert_false(act(s, 0, 2, &a));
    delivery_connection_opened(s, 0, &connections[0]);
    delivery_connection_closed(s, 0, &connections[0], DELIVERY_FAILURE_NONE, 1);
    finish(s, 0);
}

static void an_idle_connection_is_asked_first(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[2], *item = NULL;
    struct delivery_connection c;
    struct delivery_action a;

    (void)unused;
    add(s, 0, "example.com", &limits, &items[0]);
    start(s, 0, &c);
    delivery_connection_opened(s, 0, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
    delivery_item_done(s, 0, &c);
    assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_IDLE);
    assert_false(act(s, 0, 2, &a));
    add(s, 5, "EXAMPLE.com", &limits, &items[1]);
    expect(s, 5, DELIVERY_ACTION_TAKE, &a);
    assert_ptr_equal(a.connection, &c);
    assert_int_equal(delivery_connection_take(s, 5, &c, &item), DELIVERY_TAKE_ITEM);
    assert_ptr_equal(item, &items[1]);
    delivery_item_done(s, 5, &c);
    delivery_connection_closed(s, 5, &c, DELIVERY_FAILURE_NONE, 1);
    finish(s, 5);
}

static void a_returned_item_keeps_its_place_but_not_for_ever(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[3], *item = NULL;
    struct delivery_connection c;
    struct delivery_wait wait;
    struct delivery_action a;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        add(s, 0, "example.com", &limits, &items[i]);
    for (unsigned n = 0; n <= DELIVERY_RETURNS_MAX; n++) {
        start(s, 0, &c);
        delivery_connection_opened(s, 0, &c);
        assert_int_equal(delivery_connection_take(s, 0, &c, &item), DELIVERY_TAKE_ITEM);
        assert_ptr_equal(item, &items[0]);
        delivery_item_returned(s, 0, &c, 1);
        delivery_connection_closed(s, 0, &c, DELIVERY_FAILURE_NONE, 1);
    }
    delivery_item_explain(&items[0], 0, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_RETRY);
    assert_int_equal(wait.attempts, 1);
    /* "Deliver now" brings it back. */
    delivery_destination_flush(s, 0, delivery_scheduler_find(s, SLICE("example.com")));
    assert_true(act(s, 0, 2, &a));
    delivery_item_explain(&items[0], 0, &wait);
    assert_int_not_equal(wait.reason, DELIVERY_WAIT_RETRY);
    finish(s, 0);
}

static void a_domain_that_does_not_exist_gives_all_its_items_back(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[3];
    struct delivery_action a;

    (void)unused;
    add(s, 0, "nowhere.example", &limits, &items[0]);
    add(s, 0, "nowhere.example", &limits, &items[1]);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    assert_false(delivery_scheduler_next_action(s, 0, &a));
    delivery_destination_unresolved(s, 0, a.destination, DELIVERY_UNRESOLVED_BAD_HOST, 60000, 1);
    add(s, 1, "nowhere.example", &limits, &items[2]);
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        expect(s, 1, DELIVERY_ACTION_EXPIRE, &a);
        assert_int_equal(a.expiry, DELIVERY_EXPIRY_BAD_HOST);
        assert_ptr_equal(a.item, &items[i]);
    }
    /* Later the name is asked for again. */
    add(s, 60000, "nowhere.example", &limits, &items[0]);
    assert_true(delivery_scheduler_next_action(s, 60000, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    delivery_destination_unresolved(s, 60000, a.destination, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    finish(s, 60000);
}

static void a_new_configuration_asks_again_for_a_domain_that_did_not_exist(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_item items[2];
    struct delivery_action a;
    struct delivery_destination *d;

    (void)unused;
    add(s, 0, "nowhere.example", &limits, &items[0]);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    d = a.destination;
    delivery_destination_unresolved(s, 0, d, DELIVERY_UNRESOLVED_BAD_HOST, 60000, 1);
    expect(s, 1, DELIVERY_ACTION_EXPIRE, &a);
    /* Another resolver, another choice of IP version, another name of our own. */
    delivery_destination_set_limits(s, 2, d, &limits);
    add(s, 3, "nowhere.example", &limits, &items[1]);
    assert_true(delivery_scheduler_next_action(s, 3, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_RESOLVE);
    delivery_destination_unresolved(s, 3, d, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    finish(s, 3);
}

static void an_empty_destination_is_forgotten_with_what_was_attached(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_attachment attachment;
    struct delivery_item item;
    struct delivery_action a;

    (void)unused;
    add(s, 0, "example.com", &limits, &item);
    delivery_destination_attach(delivery_scheduler_find(s, SLICE("example.com")), &attachment);
    assert_true(delivery_item_remove(s, 10, &item));
    assert_false(delivery_item_remove(s, 10, &item));
    assert_false(act(s, 10 + DELIVERY_IDLE_MS - 1, 2, &a));
    assert_non_null(delivery_scheduler_find(s, SLICE("Example.com")));
    expect(s, 10 + DELIVERY_IDLE_MS, DELIVERY_ACTION_FORGET, &a);
    assert_ptr_equal(a.attachment, &attachment);
    assert_true(slice_is_word(delivery_destination_domain(a.destination), "example.com"));
    assert_null(delivery_scheduler_find(s, SLICE("example.com")));
    assert_int_equal(delivery_scheduler_next_due(s), DELIVERY_WAIT_FOREVER);
    finish(s, 10 + DELIVERY_IDLE_MS);
}

static void a_domain_that_is_no_name_is_refused(void **unused)
{
    static char long_name[DELIVERY_DOMAIN_MAX + 1];
    struct delivery_arrival arrival = { .domain = { long_name, 0 }, .limits = &limits };
    struct delivery_scheduler *s = make();
    struct delivery_item item;

    (void)unused;
    memset(long_name, 'a', sizeof long_name);
    assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_INVALID);
    arrival.domain.len = sizeof long_name;
    assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_INVALID);
    arrival.domain.len--;
    assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_OK);
    finish(s, 0);
}

static void an_item_is_small(void **unused)
{
    (void)unused;
    assert_true(sizeof(struct delivery_item) <= 96);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_host_is_tried_at_once_and_then_the_destination_waits),
        cmocka_unit_test(an_item_is_given_up_at_its_age_while_the_host_is_down),
        cmocka_unit_test(connections_follow_the_backlog_up_to_the_limit),
        cmocka_unit_test(a_stuck_connection_does_not_hold_up_those_behind_it),
        cmocka_unit_test(a_backlog_delays_no_other_destination),
        cmocka_unit_test(a_host_that_refuses_more_connections_keeps_those_it_has),
        cmocka_unit_test(tries_that_fail_together_are_one_failure),
        cmocka_unit_test(a_host_that_breaks_off_the_first_item_is_down),
        cmocka_unit_test(a_lower_limit_closes_what_is_above_it),
        cmocka_unit_test(an_idle_connection_is_asked_first),
        cmocka_unit_test(a_returned_item_keeps_its_place_but_not_for_ever),
        cmocka_unit_test(a_domain_that_does_not_exist_gives_all_its_items_back),
        cmocka_unit_test(a_new_configuration_asks_again_for_a_domain_that_did_not_exist),
        cmocka_unit_test(an_empty_destination_is_forgotten_with_what_was_attached),
        cmocka_unit_test(a_domain_that_is_no_name_is_refused),
        cmocka_unit_test(an_item_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
