#include "gateway/host_marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEEP_MS 1000u
#define HOSTS   (GATEWAY_HOST_MARKS_MAX + 3u)

static const struct hash_seed seed = { 3, 4 };

static struct ip_endpoint host(unsigned number)
{
    struct ip_endpoint e = { .port = (uint16_t)(number % 3) };

    e.address.bytes[0] = 0x20;
    memcpy(e.address.bytes + 8, &number, sizeof(number));
    return e;
}

static int set_up(void **state)
{
    static struct gateway_host_marks marks;

    *state = &marks;
    return gateway_host_marks_init(&marks, &seed, KEEP_MS) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    gateway_host_marks_finish(*state);
    return 0;
}

static bool has(const struct gateway_host_marks *marks, uint64_t now_ms, unsigned number)
{
    const struct ip_endpoint e = host(number);

    return gateway_host_marks_has(marks, now_ms, &e);
}

static void add(struct gateway_host_marks *marks, uint64_t now_ms, unsigned number)
{
    const struct ip_endpoint e = host(number);

    assert_true(gateway_host_marks_add(marks, now_ms, &e));
}

static bool take(struct gateway_host_marks *marks, uint64_t now_ms, unsigned number)
{
    const struct ip_endpoint e = host(number);

    return gateway_host_marks_take(marks, now_ms, &e);
}

static void test_a_mark_is_of_one_address_and_one_port(void **state)
{
    struct gateway_host_marks *marks = *state;
    struct ip_endpoint other = host(7);

    add(marks, 0, 7);
    assert_true(has(marks, 0, 7));
    other.port++;
    assert_false(gateway_host_marks_has(marks, 0, &other));
    other = host(7);
    other.address.bytes[0]++;
    assert_false(gateway_host_marks_has(marks, 0, &other));
    assert_false(take(marks, 0, 8));
    assert_true(take(marks, 0, 7));
    assert_false(take(marks, 0, 7));
    assert_false(has(marks, 0, 7));
}

static void test_a_mark_is_kept_for_its_time_from_when_it_was_added_last(void **state)
{
    static const struct {
        uint64_t added_ms, again_ms; /* again 0: only once */
        uint64_t now_ms;
        bool is_there;
    } cases[] = {
        { 5, 0, 5, true },
        { 5, 0, 5 + KEEP_MS - 1, true },
        { 5, 0, 5 + KEEP_MS, false },
        { 5, 600, 5 + KEEP_MS, true },
        { 5, 600, 600 + KEEP_MS - 1, true },
        { 5, 600, 600 + KEEP_MS, false },
    };
    struct gateway_host_marks *marks = *state;

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        add(marks, cases[i].added_ms, i);
        if (cases[i].again_ms > 0)
            add(marks, cases[i].again_ms, i);
        if (has(marks, cases[i].now_ms, i) != cases[i].is_there)
            fail_msg("case %u", i);
        assert_int_equal(take(marks, cases[i].now_ms, i), cases[i].is_there);
        assert_int_equal(gateway_host_marks_count(marks), 0);
    }
}

static void test_thousands_of_hosts_that_are_met_in_turn_are_all_remembered(void **state)
{
    struct gateway_host_marks *marks = *state;
    unsigned found_out = 0;

    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < GATEWAY_HOST_MARKS_MAX; i++) {
            if (has(marks, round, i))
                continue;
            add(marks, round, i);
            found_out++;
        }
    }
    assert_int_equal(found_out, GATEWAY_HOST_MARKS_MAX);
}

static void test_one_more_than_there_is_room_for_costs_the_oldest_its_mark(void **state)
{
    struct gateway_host_marks *marks = *state;

    for (unsigned i = 0; i < GATEWAY_HOST_MARKS_MAX; i++)
        add(marks, 0, i);
    add(marks, 0, 0); /* counts as new */
    for (unsigned i = 0; i < 2; i++)
        add(marks, 0, GATEWAY_HOST_MARKS_MAX + i);
    assert_int_equal(gateway_host_marks_count(marks), GATEWAY_HOST_MARKS_MAX);
    for (unsigned i = 0; i < GATEWAY_HOST_MARKS_MAX + 2; i++)
        assert_int_equal(has(marks, 0, i), i != 1 && i != 2);
}

static void test_what_is_over_gives_its_memory_back(void **state)
{
    struct gateway_host_marks *marks = *state;

    for (unsigned i = 0; i < 100; i++)
        add(marks, i, i);
    add(marks, 50 + KEEP_MS, 1000);
    assert_int_equal(gateway_host_marks_count(marks), 49 + 1);
    add(marks, 1000 * KEEP_MS, 1001);
    assert_int_equal(gateway_host_marks_count(marks), 1);
}

static void test_it_is_as_a_plain_array_of_times_would_have_it(void **state)
{
    struct gateway_host_marks *marks = *state;
    static uint64_t until_ms[HOSTS]; /* 0: not there */
    uint64_t random = 20, now_ms = 1;

    memset(until_ms, 0, sizeof(until_ms));
    for (unsigned step = 0; step < 200000; step++) {
        unsigned number;
        bool is_there;

        random = random * 6364136223846793005u + 1442695040888963407u;
        number = (unsigned)(random >> 40) % (GATEWAY_HOST_MARKS_MAX / 2);
        now_ms += random >> 61 == 0;
        is_there = until_ms[number] > now_ms;
        switch (random >> 33 & 3) {
        case 0:
        case 1: assert_int_equal(has(marks, now_ms, number), is_there); break;
        case 2:
            add(marks, now_ms, number);
            until_ms[number] = now_ms + KEEP_MS;
            break;
        case 3:
            assert_int_equal(take(marks, now_ms, number), is_there);
            until_ms[number] = 0;
            break;
        }
        assert_in_range(gateway_host_marks_count(marks), 0, GATEWAY_HOST_MARKS_MAX);
    }
}

static void test_a_zeroed_one_can_be_finished(void **state)
{
    struct gateway_host_marks marks = { 0 };

    (void)state;
    gateway_host_marks_finish(&marks);
    assert_int_equal(gateway_host_marks_count(&marks), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_mark_is_of_one_address_and_one_port, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_mark_is_kept_for_its_time_from_when_it_was_added_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_thousands_of_hosts_that_are_met_in_turn_are_all_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_one_more_than_there_is_room_for_costs_the_oldest_its_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_over_gives_its_memory_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_it_is_as_a_plain_array_of_times_would_have_it, set_up,
                                        tear_down),
        cmocka_unit_test(test_a_zeroed_one_can_be_finished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
