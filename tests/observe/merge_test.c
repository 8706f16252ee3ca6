#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "observe/merge.h"

#define RINGS_MAX     65
#define LINES_A_ROUND 2000
#define ROUNDS        20

/* What the next line of the ring says: which ring, which stamp, which number, and some filling. */
struct line {
    unsigned ring;
    unsigned number;
    uint64_t stamp_ns;
    char filling[OBSERVE_LINE_BYTES_MAX - 16];
};

struct state {
    struct observe_ring rings[RINGS_MAX];
    unsigned numbers_put[RINGS_MAX], numbers_taken[RINGS_MAX];
    unsigned rings_count, seed;
    uint64_t clock_ns, waiting, waiting_due;
};

/* Puts lines with stamps that never fall but may be equal, and counts those before before_ns. */
static void put_round(struct state *s, uint64_t before_ns)
{
    for (int i = 0; i < LINES_A_ROUND; i++) {
        struct line line = { .ring = (unsigned)rand_r(&s->seed) % s->rings_count };
        size_t len = offsetof(struct line, filling) + (size_t)rand_r(&s->seed) % 400;

        s->clock_ns += (uint64_t)rand_r(&s->seed) % 3;
        line.stamp_ns = s->clock_ns;
        line.number = s->numbers_put[line.ring];
        if (!observe_ring_put(&s->rings[line.ring], line.stamp_ns,
                              (struct slice){ (char *)&line, len }))
            continue;
        s->numbers_put[line.ring]++;
        s->waiting++;
        s->waiting_due += line.stamp_ns < before_ns;
    }
}

static void take_round(struct state *s, struct observe_merge *m, uint64_t before_ns)
{
    uint64_t stamp_ns = 0, count = 0;
    struct line line;

    observe_merge_begin(m, before_ns);
    for (unsigned i = 0; i < s->rings_count; i++)
        observe_merge_add(m, &s->rings[i]);
    while (observe_merge_take(m, (char *)&line) > 0) {
        assert_true(line.stamp_ns >= stamp_ns && line.stamp_ns < before_ns);
        stamp_ns = line.stamp_ns;
        assert_true(line.ring < s->rings_count);
        assert_int_equal(line.number, s->numbers_taken[line.ring]++);
        count++;
    }
    assert_int_equal(count, s->waiting_due);
    assert_int_equal(observe_merge_take(m, (char *)&line), 0);
    s->waiting -= count;
    s->waiting_due = s->waiting; /* of which the next round takes everything */
    for (unsigned i = 0; i < s->rings_count; i++)
        observe_ring_release(&s->rings[i]);
}

static void lines_come_out_by_their_stamps_and_only_those_that_are_due(void **unused)
{
    static const unsigned counts[] = { 1, 2, 3, 4, 7, 8, RINGS_MAX };
    static struct state s;

    (void)unused;
    for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
        struct observe_merge m;

        s = (struct state){ .rings_count = counts[c], .seed = counts[c], .clock_ns = 1 };
        assert_int_equal(observe_merge_init(&m, counts[c]), STATUS_OK);
        for (unsigned i = 0; i < counts[c]; i++)
            assert_int_equal(observe_ring_init(&s.rings[i]), STATUS_OK);
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t before_ns = s.clock_ns + LINES_A_ROUND / 2;

            put_round(&s, before_ns);
            take_round(&s, &m, before_ns);
        }
        assert_true(s.waiting > 0);
        take_round(&s, &m, UINT64_MAX);
        assert_int_equal(s.waiting, 0);
        for (unsigned i = 0; i < counts[c]; i++) {
            assert_int_equal(s.numbers_taken[i], s.numbers_put[i]);
            observe_ring_finish(&s.rings[i]);
        }
        observe_merge_finish(&m);
    }
}

static void a_stamp_that_falls_does_not_turn_the_lines_of_a_ring_around(void **unused)
{
    static const struct {
        unsigned ring;
        uint64_t stamp_ns;
        const char *text;
    } puts[] = { { 0, 5, "a5" }, { 0, 3, "a3" }, { 1, 4, "b4" }, { 1, 9, "b9" }, { 0, 7, "a7" } };
    static const char *const expected[] = { "b4", "a5", "a3", "a7", "b9" };
    static struct observe_ring rings[2]; /* aligned further than a stack may be */
    struct observe_merge m;
    char line[OBSERVE_LINE_BYTES_MAX];

    (void)unused;
    assert_int_equal(observe_merge_init(&m, 2), STATUS_OK);
    observe_merge_begin(&m, UINT64_MAX);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(observe_ring_init(&rings[i]), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(puts); i++)
        assert_true(
            observe_ring_put(&rings[puts[i].ring], puts[i].stamp_ns, slice_from(puts[i].text)));
    for (size_t i = 0; i < 2; i++)
        observe_merge_add(&m, &rings[i]);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_int_equal(observe_merge_take(&m, line), 2);
        assert_memory_equal(line, expected[i], 2);
    }
    assert_int_equal(observe_merge_take(&m, line), 0);
    for (size_t i = 0; i < 2; i++)
        observe_ring_finish(&rings[i]);
    observe_merge_finish(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_by_their_stamps_and_only_those_that_are_due),
        cmocka_unit_test(a_stamp_that_falls_does_not_turn_the_lines_of_a_ring_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
