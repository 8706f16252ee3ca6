#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "cli/load_histogram.h"

#define VALUES_MAX 20000

enum shape { SHAPE_SMALL, SHAPE_LATENCIES, SHAPE_WIDE, SHAPE_SAME, SHAPE_TOP, SHAPES_COUNT };

static uint64_t draw(enum shape shape, uint64_t random)
{
    switch (shape) {
    case SHAPE_SMALL: return random % 300;
    case SHAPE_LATENCIES: return 200 + random % 1000 + (random % 100 == 0 ? random % 5000000 : 0);
    case SHAPE_WIDE: return (random >> 24) >> (random % 40);
    case SHAPE_SAME: return 4711;
    case SHAPE_TOP: return LOAD_HISTOGRAM_MAX - random % 1000;
    case SHAPES_COUNT: break;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The value at the rank that the percentile means, by sorting. */
static uint64_t sorted_percentile(const uint64_t *values, uint64_t count, uint32_t parts)
{
    uint64_t rank = (count * parts + 999999) / 1000000;

    return values[rank > 0 ? rank - 1 : 0];
}

static void a_percentile_is_that_of_sorting_or_a_little_above(void **unused)
{
    static const uint64_t counts[] = { 1, 2, 3, 10, 99, 100, 101, 1000, VALUES_MAX };
    static const uint32_t parts[] = {
        0, 1, 100000, 500000, 900000, 990000, 999000, 999999, 1000000
    };
    static uint64_t values[VALUES_MAX];

    (void)unused;
    for (int shape = 0; shape < SHAPES_COUNT; shape++) {
        for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
            struct load_histogram *h = calloc(1, sizeof(*h));

            assert_non_null(h);
            for (uint64_t i = 0; i < counts[c]; i++) {
                values[i] = draw((enum shape)shape, hash_number(i + 1 + c * VALUES_MAX));
                load_histogram_record(h, values[i]);
            }
            qsort(values, counts[c], sizeof(values[0]), by_value);
            assert_int_equal(load_histogram_count(h), counts[c]);
            assert_int_equal(load_histogram_max(h), values[counts[c] - 1]);
            for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
                uint64_t exact = sorted_percentile(values, counts[c], parts[p]);
                uint64_t told = load_histogram_percentile(h, parts[p]);

                assert_true(told >= exact);
                assert_true(told - exact <= exact >> LOAD_HISTOGRAM_BITS);
            }
            free(h);
        }
    }
}

static void every_boundary_between_buckets_is_kept(void **unused)
{
    (void)unused;
    for (unsigned bit = 0; bit < 40; bit++) {
        for (int64_t step = -2; step <= 2; step++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
            struct load_histogram *h = calloc(1, sizeof(*h));

            assert_non_null(h);
            if (value <= LOAD_HISTOGRAM_MAX) {
                load_histogram_record(h, value);
                load_histogram_record(h, LOAD_HISTOGRAM_MAX);
                assert_true(load_histogram_percentile(h, 500000) >= value);
                assert_true(load_histogram_percentile(h, 500000) - value <= value >>
                            LOAD_HISTOGRAM_BITS);
            }
            free(h);
        }
    }
}

static void merging_is_as_if_one_had_recorded_all(void **unused)
{
    struct load_histogram *h = calloc(3, sizeof(*h));

    (void)unused;
    assert_non_null(h);
    for (uint64_t i = 0; i < VALUES_MAX; i++) {
        uint64_t value = draw(SHAPE_WIDE, hash_number(i + 1));

        load_histogram_record(&h[i % 3 == 0 ? 0 : 1], value);
        load_histogram_record(&h[2], value);
    }
    load_histogram_merge(&h[0], &h[1]);
    assert_memory_equal(&h[0], &h[2], sizeof(h[0]));
    free(h);
}

static void an_empty_one_says_zero_and_too_much_counts_as_the_most(void **unused)
{
    struct load_histogram *h = calloc(1, sizeof(*h));

    (void)unused;
    assert_non_null(h);
    assert_int_equal(load_histogram_percentile(h, 500000), 0);
    assert_int_equal(load_histogram_mean(h), 0);
    assert_int_equal(load_histogram_max(h), 0);
    load_histogram_record(h, UINT64_MAX);
    assert_int_equal(load_histogram_max(h), LOAD_HISTOGRAM_MAX);
    assert_int_equal(load_histogram_percentile(h, 1), LOAD_HISTOGRAM_MAX);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_percentile_is_that_of_sorting_or_a_little_above),
        cmocka_unit_test(every_boundary_between_buckets_is_kept),
        cmocka_unit_test(merging_is_as_if_one_had_recorded_all),
        cmocka_unit_test(an_empty_one_says_zero_and_too_much_counts_as_the_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
