#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "observe/ring.h"

static void lines_come_out_as_they_went_in_wherever_the_memory_ends(void **unused)
{
    static char line[OBSERVE_LINE_BYTES_MAX];
    struct observe_ring r;
    unsigned seed = 7;
    uint64_t put = 0, taken = 0;

    (void)unused;
    assert_int_equal(observe_ring_init(&r), STATUS_OK);
    while (taken < 5 * OBSERVE_RING_BYTES) {
        size_t len = (size_t)rand_r(&seed) % sizeof(line) + 1;
        struct iovec pieces[OBSERVE_RING_PIECES];
        int count;

        for (size_t i = 0; i < len; i++)
            line[i] = (char)((put + i) % 251);
        if (observe_ring_put(&r, (struct slice){ line, len })) {
            put += len;
            continue;
        }
        assert_true(put - taken + len > OBSERVE_RING_BYTES);
        assert_int_equal(observe_ring_publish(&r), put - taken);
        assert_int_equal(observe_ring_waiting(&r), put - taken);
        count = observe_ring_peek(&r, pieces);
        assert_in_range(count, 1, 2);
        for (int p = 0; p < count; p++)
            for (size_t i = 0; i < pieces[p].iov_len; i++)
                assert_true(((char *)pieces[p].iov_base)[i] == (char)(taken++ % 251));
        assert_int_equal(taken, put);
        observe_ring_take(&r, pieces[0].iov_len + (count > 1 ? pieces[1].iov_len : 0));
        assert_int_equal(observe_ring_peek(&r, pieces), 0);
    }
    observe_ring_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_as_they_went_in_wherever_the_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
