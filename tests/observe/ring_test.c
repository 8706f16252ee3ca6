#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "observe/ring.h"

/* The text of line n, of any length up to the largest. */
static struct slice line_of(unsigned n)
{
    static char bytes[OBSERVE_LINE_BYTES_MAX];
    unsigned seed = n;
    size_t len = (size_t)rand_r(&seed) % sizeof(bytes) + 1;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((n + i) % 251);
    return (struct slice){ bytes, len };
}

static void lines_come_out_as_they_went_in_wherever_the_memory_ends(void **unused)
{
    static char taken[OBSERVE_LINE_BYTES_MAX];
    static struct observe_ring r; /* aligned further than a stack may be */
    unsigned put = 0, got = 0, split = 0;
    uint64_t stamp_ns, position = 0, waiting = 0;

    (void)unused;
    assert_int_equal(observe_ring_init(&r), STATUS_OK);
    while (position < 9 * OBSERVE_RING_BYTES) {
        uint64_t room = OBSERVE_RING_ROOM(line_of(put).len);

        if (observe_ring_put(&r, put * 3, line_of(put))) {
            uint64_t end = position + room - 1;

            assert_true(waiting + room <= OBSERVE_RING_BYTES);
            split += position / OBSERVE_RING_BYTES != end / OBSERVE_RING_BYTES;
            position += room;
            waiting += room;
            put++;
            continue;
        }
        assert_true(waiting + room > OBSERVE_RING_BYTES);
        assert_int_equal(observe_ring_publish(&r), waiting);
        assert_int_equal(observe_ring_waiting(&r), waiting);
        assert_false(observe_ring_stamp(&r, &stamp_ns)); /* nobody has looked */
        observe_ring_look(&r);
        while (observe_ring_stamp(&r, &stamp_ns)) {
            struct slice line = line_of(got);

            assert_int_equal(stamp_ns, got * 3);
            assert_int_equal(observe_ring_take(&r, taken), line.len);
            assert_memory_equal(taken, line.data, line.len);
            got++;
        }
        assert_int_equal(got, put);
        assert_int_equal(observe_ring_waiting(&r), waiting);
        observe_ring_release(&r);
        assert_int_equal(observe_ring_waiting(&r), 0);
        waiting = 0;
    }
    assert_true(split > 4);
    observe_ring_finish(&r);
}

static void every_byte_of_the_memory_can_be_used(void **unused)
{
    static char line[OBSERVE_LINE_BYTES_MAX];
    static const size_t lens[] = { 1, 15, 16, 17, 100, 1024 - 16, 2048 - 16, 2048 };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        uint64_t fit = OBSERVE_RING_BYTES / OBSERVE_RING_ROOM(lens[i]), count = 0;
        struct slice text = { line, lens[i] };
        static struct observe_ring r; /* aligned further than a stack may be */

        assert_int_equal(observe_ring_init(&r), STATUS_OK);
        while (observe_ring_put(&r, 1, text))
            count++;
        assert_int_equal(count, fit);
        observe_ring_look(&r);
        assert_int_equal(observe_ring_take(&r, line), lens[i]);
        assert_false(observe_ring_put(&r, 1, text)); /* taken, but not given back */
        observe_ring_release(&r);
        assert_true(observe_ring_put(&r, 1, text));
        assert_false(observe_ring_put(&r, 1, text));
        observe_ring_finish(&r);
    }
}

static void what_came_after_the_look_waits_for_the_next(void **unused)
{
    char line[OBSERVE_LINE_BYTES_MAX];
    static struct observe_ring r; /* aligned further than a stack may be */
    uint64_t stamp_ns;

    (void)unused;
    assert_int_equal(observe_ring_init(&r), STATUS_OK);
    assert_true(observe_ring_put(&r, 5, SLICE("one")));
    observe_ring_look(&r);
    assert_true(observe_ring_put(&r, 6, SLICE("three")));
    assert_int_equal(observe_ring_take(&r, line), 3);
    assert_false(observe_ring_stamp(&r, &stamp_ns));
    observe_ring_release(&r);
    assert_int_equal(observe_ring_waiting(&r), OBSERVE_RING_ROOM(5));
    observe_ring_look(&r);
    assert_true(observe_ring_stamp(&r, &stamp_ns));
    assert_int_equal(stamp_ns, 6);
    observe_ring_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_as_they_went_in_wherever_the_memory_ends),
        cmocka_unit_test(every_byte_of_the_memory_can_be_used),
        cmocka_unit_test(what_came_after_the_look_waits_for_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
