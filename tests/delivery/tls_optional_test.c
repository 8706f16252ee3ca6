/* Mail that may go with less TLS has a destination of its own. */
#include "delivery/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS 1000

static const struct delivery_limits limits = {
    .connections_max = 20,
    .messages_per_connection_max = 3,
    .profile = { .retry_initial_ms = 60000,
                 .retry_ms_max = 3600000,
                 .age_ms_max = 259200000,
                 .retries_max = 100 },
};

/* Whether there is a CONNECT; each destination has one host. */
static bool connects(struct delivery_scheduler *s, struct delivery_action *a)
{
    const struct delivery_endpoint endpoint = { .address.port = 25 };

    while (delivery_scheduler_next_due(s) <= NOW_MS) {
        if (!delivery_scheduler_next_action(s, NOW_MS, a))
            continue;
        if (a->kind != DELIVERY_ACTION_RESOLVE)
            return a->kind == DELIVERY_ACTION_CONNECT;
        delivery_destination_resolved(s, NOW_MS, a->destination, &endpoint, 1,
                                      DELIVERY_WAIT_FOREVER, 1);
    }
    return false;
}

static void add(struct delivery_scheduler *s, const char *domain, bool tls_optional,
                struct delivery_item *item)
{
    const struct delivery_arrival arrival = { .domain = slice_from(domain),
                                              .limits = &limits,
                                              .tls_optional = tls_optional };

    assert_int_equal(delivery_scheduler_add(s, NOW_MS, &arrival, item), STATUS_OK);
}

static void hosts_of_one_say_nothing_of_those_of_the_other(void **unused)
{
    struct delivery_scheduler *s;
    struct delivery_item plain, optional[2], *item;
    struct delivery_connection connections[2], *open = NULL;
    struct delivery_action a;
    struct delivery_wait wait;

    (void)unused;
    assert_int_equal(delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &s), STATUS_OK);
    add(s, "example.com", false, &plain);
    assert_ptr_equal(delivery_destination_first(plain.destination), &plain);
    add(s, "example.com", true, &optional[0]);
    add(s, "EXAMPLE.com", true, &optional[1]);
    assert_ptr_equal(optional[0].destination, optional[1].destination);
    assert_ptr_equal(delivery_scheduler_find(s, SLICE("example.com")), plain.destination);
    assert_ptr_equal(delivery_scheduler_find_tls_optional(s, SLICE("Example.com")),
                     optional[0].destination);
    assert_null(delivery_scheduler_find_tls_optional(s, SLICE("example.net")));
    assert_ptr_equal(delivery_item_destination(&optional[0]), optional[0].destination);
    assert_true(delivery_destination_is_tls_optional(optional[0].destination));
    assert_false(delivery_destination_is_tls_optional(plain.destination));
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        assert_true(connects(s, &a));
        delivery_connection_start(s, NOW_MS, &connections[i], &a);
    }
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        if (delivery_destination_is_tls_optional(connections[i].destination))
            open = &connections[i];
        else
            delivery_connection_failed(s, NOW_MS, &connections[i], DELIVERY_FAILURE_TLS, 1);
    }
    assert_non_null(open);
    delivery_item_explain(&plain, NOW_MS, &wait);
    assert_int_equal(wait.reason, DELIVERY_WAIT_HOST_DOWN);
    delivery_connection_opened(s, NOW_MS, open);
    for (size_t i = 0; i < ARRAY_LEN(optional); i++) {
        assert_int_equal(delivery_connection_take(s, NOW_MS, open, &item), DELIVERY_TAKE_ITEM);
        assert_ptr_equal(item, &optional[i]);
        assert_ptr_equal(delivery_destination_first(item->destination),
                         i == 0 ? &optional[1] : NULL);
        delivery_item_done(s, NOW_MS, open);
    }
    assert_int_equal(delivery_connection_take(s, NOW_MS, open, &item), DELIVERY_TAKE_IDLE);
    delivery_connection_closed(s, NOW_MS, open, DELIVERY_FAILURE_NONE, 1);
    assert_ptr_equal(delivery_scheduler_take_any(s, NOW_MS), &plain);
    assert_null(delivery_item_destination(&plain));
    assert_int_equal(delivery_scheduler_items(s), 0);
    delivery_scheduler_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_of_one_say_nothing_of_those_of_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
