#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "policy/range_map.h"

static uint64_t random_state;

static uint64_t draw(void)
{
    uint64_t high;

    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    high = random_state >> 33;
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return high << 31 | random_state >> 33;
}

/* Asks at the ends of ranges, one before and behind them, and anywhere. */
static void check(const struct policy_range_map *m, bool is_wide, const struct policy_range *ranges,
                  size_t count, size_t asked)
{
    unsigned __int128 key_max = is_wide ? ~(unsigned __int128)0 : UINT32_MAX;

    for (size_t i = 0; i < asked; i++) {
        const struct policy_range *r = &ranges[draw() % count];
        unsigned __int128 keys[] = {
            r->first, r->last, r->first - 1, r->last + 1, (unsigned __int128)draw() << 64 | draw(),
            0,        key_max
        };

        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            unsigned __int128 key = keys[k] & key_max;
            uint32_t expected = POLICY_RANGE_NONE;

            for (size_t n = 0; n < count; n++)
                if (ranges[n].first <= key && key <= ranges[n].last && ranges[n].number < expected)
                    expected = ranges[n].number;
            assert_int_equal(is_wide ? policy_range_map_find_wide(m, key)
                                     : policy_range_map_find(m, (uint32_t)key),
                             expected);
        }
    }
}

static void build_and_check(bool is_wide, struct policy_range *ranges, size_t count, size_t asked)
{
    struct policy_range_map m;
    struct arena arena, scratch;

    arena_init(&arena, SIZE_MAX);
    arena_init(&scratch, SIZE_MAX);
    assert_int_equal(policy_range_map_init(&m, is_wide, ranges, count, &arena, &scratch),
                     STATUS_OK);
    check(&m, is_wide, ranges, count, asked);
    arena_finish(&arena);
    arena_finish(&scratch);
}

/* So many that the map has a filter; with and without a range over everything. */
static void a_large_map_agrees_with_a_scan(void **unused)
{
    const size_t count = 400000;
    struct policy_range *ranges = calloc(count, sizeof(*ranges));

    (void)unused;
    assert_non_null(ranges);
    for (unsigned seed = 1; seed <= 4; seed++) {
        random_state = seed;
        for (size_t i = 0; i < count; i++) {
            uint32_t first = (uint32_t)draw();
            uint32_t size = (uint32_t)1 << (draw() % 100 == 0 ? draw() % 20 : draw() % 9);

            if (seed % 2 == 0)
                first &= ~(size - 1);
            ranges[i] = (struct policy_range){
                first, first > UINT32_MAX - size ? UINT32_MAX : first + size - 1, (uint32_t)i
            };
        }
        if (seed > 2)
            ranges[count - 1] = (struct policy_range){ 0, UINT32_MAX, (uint32_t)count - 1 };
        build_and_check(false, ranges, count, 60);
    }
    free(ranges);
}

/* The leaves hold the first halves of IPv6 addresses; these differ in the second ones. */
static void hosts_of_one_network_are_told_apart(void **unused)
{
    const size_t count = 3000;
    struct policy_range *ranges = calloc(count, sizeof(*ranges));

    (void)unused;
    assert_non_null(ranges);
    for (unsigned seed = 1; seed <= 6; seed++) {
        random_state = seed;
        for (size_t i = 0; i < count; i++) {
            unsigned __int128 network = (unsigned __int128)(0x20010db8u + draw() % seed) << 64;
            unsigned __int128 first = network | (draw() & 0xffff);
            unsigned __int128 size = (unsigned __int128)1 << (draw() % 5 == 0 ? draw() % 90 : 0);

            if (seed % 2 == 0)
                first &= ~(size - 1);
            ranges[i] = (struct policy_range){ first, first + size - 1, (uint32_t)(count - i) };
        }
        if (seed > 3)
            ranges[0] = (struct policy_range){ 0, ~(unsigned __int128)0, (uint32_t)count };
        build_and_check(true, ranges, count, 400);
    }
    free(ranges);
}

static void few_ranges_and_the_ends_of_the_keys_are_right(void **unused)
{
    (void)unused;
    for (unsigned is_wide = 0; is_wide < 2; is_wide++) {
        unsigned __int128 key_max = is_wide ? ~(unsigned __int128)0 : UINT32_MAX;
        struct policy_range ranges[] = { { 0, 0, 5 },
                                         { key_max, key_max, 4 },
                                         { 0, key_max, 7 },
                                         { key_max - 8, key_max, 6 },
                                         { 0, 9, 6 } };

        for (size_t count = 1; count <= ARRAY_LEN(ranges); count++)
            build_and_check(is_wide == 1, ranges, count, 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_map_agrees_with_a_scan),
        cmocka_unit_test(hosts_of_one_network_are_told_apart),
        cmocka_unit_test(few_ranges_and_the_ends_of_the_keys_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
