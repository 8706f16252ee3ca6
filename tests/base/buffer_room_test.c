#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

static void room_is_what_the_maximum_leaves(void **unused)
{
    struct buffer b;
    const struct {
        size_t append, consume, room;
    } cases[] = { { 0, 0, 10 }, { 4, 0, 6 }, { 6, 0, 0 }, { 0, 3, 3 }, { 3, 0, 0 }, { 0, 10, 10 } };

    (void)unused;
    buffer_init(&b, 10);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(buffer_append(&b, (struct slice){ "0123456789", cases[i].append }),
                         STATUS_OK);
        buffer_consume(&b, cases[i].consume);
        assert_int_equal(buffer_room(&b), cases[i].room);
        assert_int_equal(buffer_append(&b, (struct slice){ "01234567890", cases[i].room + 1 }),
                         STATUS_LIMIT);
    }
    buffer_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(room_is_what_the_maximum_leaves) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
