#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/spares.h"

#define BYTES_MAX (64 * 1024)

static void fill(struct buffer *b, size_t bytes)
{
    char *room;

    assert_int_equal(buffer_reserve(b, bytes, &room), STATUS_OK);
    memset(room, 'x', bytes);
    buffer_commit(b, bytes);
}

static void what_was_returned_is_lent_again_and_empty(void **unused)
{
    struct spares s = { 0 };
    struct buffer b;
    const char *memory;

    (void)unused;
    buffer_init(&b, BYTES_MAX);
    spares_lend(&s, &b);
    fill(&b, 100);
    memory = buffer_contents(&b).data;
    spares_return(&s, &b);
    assert_int_equal(buffer_len(&b), 0);
    assert_null(buffer_contents(&b).data);
    spares_lend(&s, &b);
    assert_int_equal(buffer_len(&b), 0);
    assert_ptr_equal(buffer_contents(&b).data, memory);
    spares_return(&s, &b);
    spares_finish(&s);
}

static void a_buffer_keeps_what_it_has(void **unused)
{
    struct spares s = { 0 };
    struct buffer b;

    (void)unused;
    buffer_init(&b, BYTES_MAX);
    fill(&b, 3);
    spares_lend(&s, &b);
    assert_memory_equal(buffer_contents(&b).data, "xxx", 3);
    spares_return(&s, &b);
    spares_finish(&s);
}

static void only_so_many_and_none_that_is_large_stay(void **unused)
{
    static struct spares s;
    static struct buffer many[SPARES_COUNT_MAX + 1];
    struct buffer small, large;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        buffer_init(&many[i], BYTES_MAX);
        spares_lend(&s, &many[i]);
        assert_non_null(buffer_contents(&many[i]).data);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        spares_return(&s, &many[i]);
    assert_int_equal(s.count, SPARES_COUNT_MAX);
    spares_finish(&s);
    assert_int_equal(s.count, 0);

    buffer_init(&large, BYTES_MAX);
    fill(&large, SPARES_BYTES_KEPT_MAX + 1);
    spares_return(&s, &large);
    assert_int_equal(s.count, 0);

    /* Its maximum holds for memory that is lent as for its own. */
    buffer_init(&small, 100);
    spares_lend(&s, &small);
    assert_null(buffer_contents(&small).data);
    spares_return(&s, &small);
    assert_int_equal(s.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_returned_is_lent_again_and_empty),
        cmocka_unit_test(a_buffer_keeps_what_it_has),
        cmocka_unit_test(only_so_many_and_none_that_is_large_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
