/* The queue summed up by destination. */
#include "gateway/queue_summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct hash_seed seed = { 1, 2 };

static void add(struct gateway_queue_summary *s, const char *domain, uint64_t recipients,
                int64_t arrived_s, bool is_held)
{
    const struct gateway_queue_load load = {
        .entries = 1, .recipients = recipients, .held = is_held, .oldest_s = arrived_s
    };

    gateway_queue_summary_add(s, slice_from(domain), &load);
}

static void items_add_up_by_domain_whatever_the_case(void **state)
{
    struct gateway_queue_summary s = { 0 };
    char domain[GATEWAY_QUEUE_DOMAIN_MAX];
    struct gateway_queue_load load;

    (void)state;
    gateway_queue_summary_finish(&s);
    assert_int_equal(gateway_queue_summary_init(&s, &seed), STATUS_OK);
    add(&s, "A.example", 3, 50, false);
    add(&s, "b.example", 1, 70, true);
    add(&s, "a.EXAMPLE", 2, 40, true);
    assert_true(gateway_queue_summary_take(&s, domain, &load));
    assert_string_equal(domain, "A.example");
    assert_int_equal(load.entries, 2);
    assert_int_equal(load.recipients, 5);
    assert_int_equal(load.held, 1);
    assert_int_equal(load.oldest_s, 40);
    assert_true(gateway_queue_summary_take(&s, domain, &load));
    assert_string_equal(domain, "b.example");
    assert_false(gateway_queue_summary_take(&s, domain, &load));
    assert_int_equal(s.others.entries, 0);
    gateway_queue_summary_finish(&s);
    assert_false(gateway_queue_summary_take(&s, domain, &load));
}

static void destinations_beyond_the_maximum_are_counted_without_a_name(void **state)
{
    struct gateway_queue_summary s;
    char domain[GATEWAY_QUEUE_DOMAIN_MAX];
    struct gateway_queue_load load;
    unsigned taken = 0;

    (void)state;
    assert_int_equal(gateway_queue_summary_init(&s, &seed), STATUS_OK);
    for (unsigned i = 0; i < GATEWAY_QUEUE_DESTINATIONS_MAX + 5; i++) {
        (void)snprintf(domain, sizeof(domain), "d%u.example", i);
        add(&s, domain, 2, 100 - (int64_t)i, false);
    }
    add(&s, "d0.example", 1, 7, false); /* it has its place */
    assert_int_equal(s.others.entries, 5);
    assert_int_equal(s.others.recipients, 10);
    while (gateway_queue_summary_take(&s, domain, &load))
        taken++;
    assert_int_equal(taken, GATEWAY_QUEUE_DESTINATIONS_MAX);
    gateway_queue_summary_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_add_up_by_domain_whatever_the_case),
        cmocka_unit_test(destinations_beyond_the_maximum_are_counted_without_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
