#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

/* Two sweeps: the first one forgets that it was used. */
static void make_idle(void)
{
    pool_sweep();
    pool_sweep();
}

static void what_was_given_back_is_taken_again(void **unused)
{
    void *first, *second;

    (void)unused;
    pool_open();
    first = pool_take(100);
    pool_give(first, 100);
    assert_int_equal(pool_bytes(), pool_room(100));
    second = pool_take(pool_room(100)); /* the same size to the pool */
    assert_ptr_equal(first, second);
    assert_int_equal(pool_bytes(), 0);
    pool_give(second, 100);
    pool_close();
}

static void rooms_are_enough_and_not_wasteful(void **unused)
{
    size_t before = 0;

    (void)unused;
    for (size_t bytes = 1; bytes <= POOL_OBJECT_MAX; bytes++) {
        size_t room = pool_room(bytes);

        assert_true(room >= bytes && room >= before);
        assert_true(room - bytes < (room <= 64 ? 16 : room / 5 + 1));
        assert_int_equal(pool_room(room), room);
        before = room;
    }
    assert_int_equal(pool_room(POOL_OBJECT_MAX), POOL_OBJECT_MAX);
    assert_int_equal(pool_room(POOL_OBJECT_MAX + 1), POOL_OBJECT_MAX + 1);
}

static void all_of_the_room_may_be_used(void **unused)
{
    static const size_t sizes[] = {
        1, 16, 17, 32, 33, 48, 49, 64, 65, 1000, 4097, POOL_OBJECT_MAX, POOL_OBJECT_MAX + 1
    };

    (void)unused;
    pool_open();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (unsigned again = 0; again < 2; again++) {
            char *memory = pool_take(sizes[i]);

            memset(memory, 'x', pool_room(sizes[i]));
            pool_give(memory, sizes[i]);
            memory = pool_take_zeroed(sizes[i]);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(memory[k], 0);
            pool_give(memory, sizes[i]);
        }
    pool_close();
}

static void a_thread_without_a_pool_keeps_nothing(void **unused)
{
    void *memory = pool_take(100);

    (void)unused;
    pool_give(memory, 100);
    pool_give(NULL, 0);
    assert_int_equal(pool_bytes(), 0);
}

static void what_another_thread_took_is_the_pools_of_who_gives_it_back(void **unused)
{
    void *memory = pool_take(5000), *again; /* as a thread without one takes it */

    (void)unused;
    pool_open();
    pool_give(memory, 5000);
    again = pool_take(5000);
    assert_ptr_equal(memory, again);
    pool_give(again, 5000);
    pool_close();
}

static void no_more_is_kept_than_its_maxima_say(void **unused)
{
    static const size_t sizes[] = { 1024, 2048, 4096, 8192, 16384, 32768, POOL_OBJECT_MAX };
    static void *many[POOL_KIND_BYTES_MAX / 1024 + 1];

    (void)unused;
    pool_open();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t count = POOL_KIND_BYTES_MAX / sizes[i] + 1;
        size_t before = pool_bytes(), room = POOL_BYTES_MAX - before;

        for (size_t k = 0; k < count; k++)
            many[k] = pool_take(sizes[i]);
        for (size_t k = 0; k < count; k++)
            pool_give(many[k], sizes[i]);
        assert_int_equal(pool_bytes() - before,
                         room < POOL_KIND_BYTES_MAX ? room : POOL_KIND_BYTES_MAX);
    }
    assert_int_equal(pool_bytes(), POOL_BYTES_MAX);
    pool_close();
    assert_int_equal(pool_bytes(), 0);
}

static void a_size_that_nobody_asks_for_is_freed(void **unused)
{
    (void)unused;
    pool_open();
    pool_give(pool_take(100), 100);
    pool_give(pool_take(5000), 5000);
    pool_sweep();
    assert_int_equal(pool_bytes(), pool_room(100) + pool_room(5000));
    pool_give(pool_take(100), 100);
    pool_sweep(); /* only the other one was idle */
    assert_int_equal(pool_bytes(), pool_room(100));
    make_idle();
    assert_int_equal(pool_bytes(), 0);
    pool_close();
}

static void an_exchange_keeps_what_is_used(void **unused)
{
    static const struct {
        size_t from, to;
    } cases[] = {
        { 100, 101 },
        { 100, 5000 },
        { 5000, 100 },
        { 100, POOL_OBJECT_MAX + 1 },
        { POOL_OBJECT_MAX + 1, 2 * POOL_OBJECT_MAX },
        { 2 * POOL_OBJECT_MAX, 100 },
    };

    (void)unused;
    pool_open();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t used = cases[i].from < cases[i].to ? cases[i].from : cases[i].to;
        char *memory = pool_exchange(NULL, 0, 0, cases[i].from);

        for (size_t k = 0; k < used; k++)
            memory[k] = (char)k;
        memory = pool_exchange(memory, cases[i].from, used, cases[i].to);
        for (size_t k = 0; k < used; k++)
            assert_int_equal(memory[k], (char)k);
        memset(memory, 0, cases[i].to);
        pool_give(memory, cases[i].to);
    }
    pool_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_back_is_taken_again),
        cmocka_unit_test(rooms_are_enough_and_not_wasteful),
        cmocka_unit_test(all_of_the_room_may_be_used),
        cmocka_unit_test(a_thread_without_a_pool_keeps_nothing),
        cmocka_unit_test(what_another_thread_took_is_the_pools_of_who_gives_it_back),
        cmocka_unit_test(no_more_is_kept_than_its_maxima_say),
        cmocka_unit_test(a_size_that_nobody_asks_for_is_freed),
        cmocka_unit_test(an_exchange_keeps_what_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
