/* Counting by one thread, and by several at once (which a thread sanitizer should watch). */
#include "gateway/peer_count.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS  20000
#define LIMIT   8u

static const struct hash_seed seed = { 1, 2 };
static struct gateway_peer_count *table;

/* An IPv4 client. */
static struct gateway_peer peer(unsigned number, uint32_t listener)
{
    struct gateway_peer p = { .listener = listener };

    p.address.bytes[10] = p.address.bytes[11] = 0xff;

    memcpy(p.address.bytes + sizeof(p.address.bytes) - sizeof(number), &number, sizeof(number));
    return p;
}

static int set_up(void **state)
{
    (void)state;
    return gateway_peer_count_create(&seed, &table) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_peer_count_destroy(table);
    return 0;
}

static void test_a_peer_has_as_many_connections_as_the_limit_and_no_more(void **state)
{
    static const unsigned limits[] = { 0, 1, 2, 100 };
    struct gateway_peer_hold holds[100], more;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct gateway_peer p = peer((unsigned)i, 0);

        for (unsigned n = 0; n < limits[i]; n++)
            assert_true(gateway_peer_count_enter(table, &p, limits[i], &holds[n]));
        assert_int_equal(gateway_peer_count_get(table, &p), limits[i]);
        assert_false(gateway_peer_count_enter(table, &p, limits[i], &more));
        gateway_peer_count_leave(table, &more); /* an empty one */
        assert_int_equal(gateway_peer_count_get(table, &p), limits[i]);
        for (unsigned n = 0; n < limits[i]; n++)
            gateway_peer_count_leave(table, &holds[n]);
        assert_int_equal(gateway_peer_count_get(table, &p), 0);
    }
}

static void test_addresses_and_listeners_are_told_apart(void **state)
{
    struct gateway_peer a = peer(1, 0), b = peer(2, 0), c = peer(1, 1);
    struct gateway_peer_hold hold;

    (void)state;
    assert_true(gateway_peer_count_enter(table, &a, 1, &hold));
    assert_int_equal(gateway_peer_count_get(table, &a), 1);
    assert_int_equal(gateway_peer_count_get(table, &b), 0);
    assert_int_equal(gateway_peer_count_get(table, &c), 0);
    gateway_peer_count_leave(table, &hold);
}

static void test_the_addresses_of_one_ipv6_network_are_one_peer(void **state)
{
    struct gateway_peer a = { .address.bytes = { 0x20, 0x01, 0x0d, 0xb8 } }, b = a, c = a;
    struct gateway_peer_hold hold, more;

    (void)state;
    b.address.bytes[15] = b.address.bytes[8] = 1; /* the same /64 */
    c.address.bytes[7] = 1;                       /* the next one */
    assert_true(gateway_peer_count_enter(table, &a, 1, &hold));
    assert_false(gateway_peer_count_enter(table, &b, 1, &more));
    assert_true(gateway_peer_count_enter(table, &c, 1, &more));
    gateway_peer_count_leave(table, &more);
    gateway_peer_count_leave(table, &hold);
}

static void test_the_count_of_one_peer_stops_at_what_its_word_holds(void **state)
{
    struct gateway_peer_hold *holds = calloc(PEER_COUNT_MAX, sizeof(*holds)), more;
    struct gateway_peer p = peer(1, 0);

    (void)state;
    assert_non_null(holds);
    for (unsigned n = 0; n < PEER_COUNT_MAX; n++)
        assert_true(gateway_peer_count_enter(table, &p, UINT32_MAX, &holds[n]));
    assert_false(gateway_peer_count_enter(table, &p, UINT32_MAX, &more));
    for (unsigned n = 0; n < PEER_COUNT_MAX; n++)
        gateway_peer_count_leave(table, &holds[n]);
    assert_int_equal(gateway_peer_count_get(table, &p), 0);
    free(holds);
}

static void test_a_crowded_table_refuses_nobody_and_loses_no_count(void **state)
{
    size_t count = 2 * PEER_COUNT_WORDS;
    struct gateway_peer_hold *holds = calloc(count, sizeof(*holds));

    (void)state;
    assert_non_null(holds);
    for (size_t n = 0; n < count; n++) {
        struct gateway_peer p = peer((unsigned)n, 0);

        assert_true(gateway_peer_count_enter(table, &p, 1, &holds[n]));
    }
    for (size_t n = 0; n < count; n++)
        gateway_peer_count_leave(table, &holds[n]);
    for (size_t n = 0; n < count; n++) {
        struct gateway_peer p = peer((unsigned)n, 0);

        assert_int_equal(gateway_peer_count_get(table, &p), 0);
    }
    free(holds);
}

static _Atomic unsigned inside, highest;

static void *enter_and_leave(void *argument)
{
    struct gateway_peer p = peer(*(const unsigned *)argument, 0);

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct gateway_peer_hold holds[LIMIT];
        unsigned count = 0, now;

        while (count < 1 + i % LIMIT && gateway_peer_count_enter(table, &p, LIMIT, &holds[count]))
            count++;
        now = atomic_fetch_add(&inside, count) + count;
        for (unsigned was = atomic_load(&highest);
             now > was && !atomic_compare_exchange_weak(&highest, &was, now);)
            ;
        atomic_fetch_sub(&inside, count);
        while (count > 0)
            gateway_peer_count_leave(table, &holds[--count]);
    }
    return NULL;
}

static void test_threads_keep_the_limit_together_and_leave_nothing_behind(void **state)
{
    static unsigned same = 9;
    struct gateway_peer p = peer(same, 0);
    pthread_t threads[THREADS];

    (void)state;
    atomic_store(&highest, 0);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, enter_and_leave, &same), 0);
    for (unsigned t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_int_equal(gateway_peer_count_get(table, &p), 0);
    /* Each thread may have claimed a word of its own at the same instant. */
    assert_true(atomic_load(&highest) <= LIMIT * THREADS);
    assert_true(atomic_load(&highest) >= LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_peer_has_as_many_connections_as_the_limit_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_addresses_and_listeners_are_told_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_addresses_of_one_ipv6_network_are_one_peer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_count_of_one_peer_stops_at_what_its_word_holds,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_crowded_table_refuses_nobody_and_loses_no_count,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_threads_keep_the_limit_together_and_leave_nothing_behind, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
