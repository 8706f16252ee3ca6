#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

#define HOUR_MS 3600000u

static const struct delivery_endpoint endpoint = { .preference = 10 };

static struct delivery_profile profile_of(uint64_t age_ms_max)
{
    return (struct delivery_profile){ .retry_initial_ms = 60000,
                                      .retry_ms_max = 60000,
                                      .age_ms_max = age_ms_max,
                                      .retries_max = 1000 };
}

static struct delivery_limits limits_of(uint64_t age_ms_max)
{
    return (struct delivery_limits){ .connections_max = 1,
                                     .messages_per_connection_max = 100,
                                     .profile = profile_of(age_ms_max) };
}

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

static uint64_t expires_ms(const struct delivery_item *item)
{
    struct delivery_wait wait;

    delivery_item_explain(item, 0, &wait);
    return wait.expires_ms;
}

static void the_destinations_profile_goes_before_the_items_if_it_has_one(void **unused)
{
    const struct delivery_profile table[] = { profile_of(1000), profile_of(2000) };
    static const struct {
        bool has_profile;
        size_t count;
        uint16_t profile;
        uint64_t age_ms_max;
    } cases[] = {
        { false, 2, DELIVERY_PROFILE_DESTINATION, 9000 },
        { false, 2, 1, 1000 },
        { false, 2, 2, 2000 },
        { false, 2, 3, 9000 },
        { false, 2, UINT16_MAX, 9000 },
        { false, 1, 2, 9000 },
        { false, 0, 1, 9000 },
        { true, 2, 1, 9000 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_scheduler *s = make();
        struct delivery_limits limits = limits_of(9000);
        struct delivery_arrival arrival = { .domain = SLICE("a.example"),
                                            .limits = &limits,
                                            .profile = cases[i].profile };
        struct delivery_item item;
        struct delivery_action a;

        limits.has_profile = cases[i].has_profile;
        assert_int_equal(delivery_scheduler_set_profiles(s, table, cases[i].count), STATUS_OK);
        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_OK);
        assert_int_equal(expires_ms(&item), cases[i].age_ms_max);
        assert_true(delivery_scheduler_next_action(s, 0, &a));
        delivery_destination_unresolved(s, 0, a.destination, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
        assert_int_equal(delivery_scheduler_next_due(s), cases[i].age_ms_max);
        assert_true(delivery_scheduler_next_action(s, cases[i].age_ms_max, &a));
        assert_int_equal(a.kind, DELIVERY_ACTION_EXPIRE);
        finish(s);
    }
}

static void a_reload_changes_the_profile_of_items_that_wait(void **unused)
{
    struct delivery_scheduler *s = make();
    struct delivery_profile table[] = { profile_of(1000) };
    struct delivery_profile *many = calloc(DELIVERY_PROFILES_MAX + 1, sizeof *many);
    struct delivery_limits limits = limits_of(9000);
    struct delivery_arrival arrival = { .domain = SLICE("a.example"),
                                        .limits = &limits,
                                        .profile = 1 };
    struct delivery_item item;
    struct delivery_action a;

    (void)unused;
    assert_int_equal(delivery_scheduler_set_profiles(s, table, 1), STATUS_OK);
    assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_OK);
    table[0].age_ms_max = 5000;
    assert_int_equal(delivery_scheduler_set_profiles(s, table, 1), STATUS_OK);
    assert_int_equal(delivery_scheduler_set_profiles(s, many, DELIVERY_PROFILES_MAX + 1),
                     STATUS_LIMIT);
    assert_int_equal(expires_ms(&item), 5000);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    delivery_destination_unresolved(s, 0, a.destination, DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    /* It was filed under its former time, and is looked at then. */
    assert_false(delivery_scheduler_next_action(s, 1000, &a));
    assert_int_equal(delivery_scheduler_next_due(s), 5000);
    assert_true(delivery_scheduler_next_action(s, 5000, &a));
    assert_int_equal(a.kind, DELIVERY_ACTION_EXPIRE);
    finish(s);
    free(many);
}

/* Lives with a host that is down, or one that defers each message, until end_ms; notes when its
 * sender was warned. */
static unsigned live(struct delivery_scheduler *s, struct delivery_item *item, bool is_down,
                     uint64_t end_ms, uint64_t *warned_ms, unsigned warned_max)
{
    struct delivery_connection c;
    struct delivery_item *taken;
    struct delivery_action a;
    uint64_t now_ms = 0;
    unsigned count = 0;

    while (now_ms < end_ms) {
        if (delivery_scheduler_next_due(s) > now_ms)
            now_ms = delivery_scheduler_next_due(s);
        if (!delivery_scheduler_next_action(s, now_ms, &a))
            continue;
        if (a.kind == DELIVERY_ACTION_WARN) {
            assert_ptr_equal(a.item, item);
            assert_true(count < warned_max);
            warned_ms[count++] = now_ms;
        } else if (a.kind == DELIVERY_ACTION_RESOLVE) {
            delivery_destination_resolved(s, now_ms, a.destination, &endpoint, 1,
                                          DELIVERY_WAIT_FOREVER, 1);
        } else {
            assert_int_equal(a.kind, DELIVERY_ACTION_CONNECT);
            delivery_connection_start(s, now_ms, &c, &a);
            if (is_down) {
                delivery_connection_failed(s, now_ms, &c, DELIVERY_FAILURE_REFUSED, now_ms);
                continue;
            }
            delivery_connection_opened(s, now_ms, &c);
            assert_int_equal(delivery_connection_take(s, now_ms, &c, &taken), DELIVERY_TAKE_ITEM);
            delivery_item_deferred(s, now_ms, &c, 1, now_ms);
            delivery_connection_closed(s, now_ms, &c, DELIVERY_FAILURE_NONE, 1);
        }
    }
    return count;
}

static void a_sender_is_warned_after_two_failed_tries_and_at_intervals(void **unused)
{
    static const struct {
        unsigned warnings_max, given, attempts;
        uint64_t given_ms; /* ago */
        unsigned warnings;
        uint64_t first_ms; /* at the earliest; at most a quarter of an hour later */
    } cases[] = {
        { 0, 0, 0, 0, 0, 0 },
        { 1, 0, 0, 0, 1, 54000 },
        { 3, 0, 0, 0, 3, 54000 },
        { 100, 0, 0, 0, 6, 54000 },               /* in a day, every four hours */
        { 3, 1, 20, HOUR_MS, 2, 3ull * HOUR_MS }, /* recovered from the spool */
        { 3, 1, 20, 10ull * HOUR_MS, 2, 0 },
        { 3, 3, 20, 10ull * HOUR_MS, 0, 0 },
        { 3, 300, 20, 10ull * HOUR_MS, 0, 0 },
        { UINT32_MAX, UINT32_MAX, 0, UINT64_MAX, 0, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool is_down = i % 2 == 1;
        size_t n = i / 2;
        struct delivery_scheduler *s = make();
        struct delivery_limits limits = limits_of(UINT64_MAX);
        struct delivery_arrival arrival = { .domain = SLICE("a.example"),
                                            .limits = &limits,
                                            .age_ms = cases[n].given > 0 ? 12ull * HOUR_MS : 0,
                                            .attempts = cases[n].attempts,
                                            .warnings = cases[n].given,
                                            .warned_ms = cases[n].given_ms };
        struct delivery_item item;
        uint64_t warned_ms[10];
        unsigned count;

        limits.profile.warnings_max = cases[n].warnings_max;
        limits.profile.warning_interval_ms = 4ull * HOUR_MS;
        limits.profile.retries_max = 10000;
        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &item), STATUS_OK);
        count = live(s, &item, is_down, 23ull * HOUR_MS, warned_ms, ARRAY_LEN(warned_ms));
        assert_int_equal(count, cases[n].warnings);
        if (count > 0)
            assert_in_range(warned_ms[0], cases[n].first_ms, cases[n].first_ms + HOUR_MS / 4);
        for (unsigned k = 1; k < count; k++)
            assert_in_range(warned_ms[k] - warned_ms[k - 1], 4ull * HOUR_MS - 1000,
                            4ull * HOUR_MS + HOUR_MS / 4);
        finish(s);
    }
}

static void a_long_queue_that_may_be_warned_of_costs_little(void **unused)
{
    enum { ITEMS = 2000 };
    struct delivery_scheduler *s = make();
    struct delivery_limits limits = limits_of(UINT64_MAX);
    struct delivery_item *items = calloc(ITEMS, sizeof *items);
    struct delivery_arrival arrival = { .domain = SLICE("a.example"), .limits = &limits };
    struct delivery_action a;
    unsigned calls = 0;

    (void)unused;
    limits.profile.warnings_max = 1;
    for (unsigned i = 0; i < ITEMS; i++)
        assert_int_equal(delivery_scheduler_add(s, 0, &arrival, &items[i]), STATUS_OK);
    assert_true(delivery_scheduler_next_action(s, 0, &a));
    /* The resolver gives no answer for a day: nothing was tried, so nobody is warned. */
    for (uint64_t now_ms = 0; now_ms < 24ull * HOUR_MS; calls++) {
        assert_false(delivery_scheduler_next_action(s, now_ms, &a));
        if (delivery_scheduler_next_due(s) > now_ms)
            now_ms = delivery_scheduler_next_due(s);
    }
    assert_true(calls < 2 * ITEMS);
    delivery_destination_unresolved(s, 24ull * HOUR_MS, a.destination,
                                    DELIVERY_UNRESOLVED_TEMPORARY, 0, 1);
    finish(s);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_destinations_profile_goes_before_the_items_if_it_has_one),
        cmocka_unit_test(a_reload_changes_the_profile_of_items_that_wait),
        cmocka_unit_test(a_sender_is_warned_after_two_failed_tries_and_at_intervals),
        cmocka_unit_test(a_long_queue_that_may_be_warned_of_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
