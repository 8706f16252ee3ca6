/* Walks over the items of a worker, while items come and go. */
#include "gateway/holdings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ITEMS 64u
#define RUNS  2000u

struct item {
    struct slim_node node;
    unsigned seen;
};

static uint64_t random_state;

static unsigned below(unsigned limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % limit;
}

static void a_walk_sees_them_in_order_of_arrival(void **state)
{
    struct gateway_holdings h;
    struct gateway_holdings_walk walk;
    struct item items[3] = { 0 };

    (void)state;
    gateway_holdings_init(&h);
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        gateway_holdings_add(&h, &items[i].node);
    gateway_holdings_add(&h, &items[1].node); /* it is there already */
    assert_int_equal(gateway_holdings_count(&h), 3);
    gateway_holdings_walk_begin(&h, &walk);
    for (unsigned i = 0; i < ARRAY_LEN(items); i++)
        assert_ptr_equal(gateway_holdings_walk_next(&h, &walk), &items[i].node);
    assert_null(gateway_holdings_walk_next(&h, &walk));
    gateway_holdings_walk_end(&walk);
    gateway_holdings_walk_end(&walk);
}

static void a_walk_ends_although_items_keep_coming(void **state)
{
    struct gateway_holdings h;
    struct gateway_holdings_walk walk;
    struct item items[ITEMS] = { 0 };
    unsigned added = 2, seen = 0;

    (void)state;
    gateway_holdings_init(&h);
    gateway_holdings_add(&h, &items[0].node);
    gateway_holdings_add(&h, &items[1].node);
    gateway_holdings_walk_begin(&h, &walk);
    while (gateway_holdings_walk_next(&h, &walk) != NULL) {
        seen++;
        assert_true(added < ITEMS);
        gateway_holdings_add(&h, &items[added++].node);
    }
    assert_int_equal(seen, 2);
    gateway_holdings_walk_end(&walk);
}

/* Of one seed: those that were there from the beginning to the end of a walk are seen, none twice.
 * Two walks at a time. */
static void walk_at_random(uint64_t seed)
{
    struct gateway_holdings h;
    struct gateway_holdings_walk walk, other;
    struct item items[ITEMS] = { 0 };
    bool stays[ITEMS] = { false };
    struct slim_node *n;

    random_state = seed;
    gateway_holdings_init(&h);
    for (unsigned i = 0; i < ITEMS; i++)
        if (below(2) == 0) {
            gateway_holdings_add(&h, &items[i].node);
            stays[i] = true;
        }
    gateway_holdings_walk_begin(&h, &other);
    gateway_holdings_walk_begin(&h, &walk);
    while ((n = gateway_holdings_walk_next(&h, &walk)) != NULL) {
        CONTAINER_OF(n, struct item, node)->seen++;
        for (unsigned changes = below(6); changes > 0; changes--) {
            unsigned i = below(ITEMS);

            if (slim_list_is_linked(&items[i].node)) {
                gateway_holdings_remove(&h, &items[i].node);
                stays[i] = false;
            } else if (items[i].seen == 0) {
                gateway_holdings_add(&h, &items[i].node);
            }
        }
        if (below(2) == 0)
            (void)gateway_holdings_walk_next(&h, &other);
    }
    gateway_holdings_walk_end(&walk);
    gateway_holdings_walk_end(&other);
    for (unsigned i = 0; i < ITEMS; i++) {
        if (items[i].seen > 1 || (stays[i] && items[i].seen == 0))
            fail_msg("seed %llu: item %u was seen %u times", (unsigned long long)seed, i,
                     items[i].seen);
        gateway_holdings_remove(&h, &items[i].node);
    }
    assert_int_equal(gateway_holdings_count(&h), 0);
}

static void whoever_stays_is_seen_once_whatever_comes_and_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= RUNS; seed++)
        walk_at_random(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_sees_them_in_order_of_arrival),
        cmocka_unit_test(a_walk_ends_although_items_keep_coming),
        cmocka_unit_test(whoever_stays_is_seen_once_whatever_comes_and_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
