#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void pieces_are_zeroed_aligned_and_apart(void **unused)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 4096, 16384, 16385, 100000, 3 };
    struct arena a;
    char *pieces[ARRAY_LEN(sizes)];

    (void)unused;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        pieces[i] = arena_take(&a, sizes[i], 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % sizeof(void *), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(pieces[i][k], i + 1);
    arena_finish(&a);
    arena_finish(&a);
}

static void the_bound_holds_and_a_refusal_changes_nothing(void **unused)
{
    struct arena a;
    size_t taken = 0;

    (void)unused;
    arena_init(&a, 1024);
    assert_null(arena_take(&a, 1, 1025));
    assert_null(arena_take(&a, SIZE_MAX, 2));
    assert_null(arena_take(&a, SIZE_MAX, 1));
    while (arena_take(&a, 1, 16) != NULL)
        taken += 16;
    assert_int_equal(taken, 1024);
    arena_finish(&a);
}

static void texts_are_copied_with_a_nul_behind(void **unused)
{
    struct arena a;
    struct slice copy;
    char text[] = "abcd";

    (void)unused;
    arena_init(&a, 64);
    assert_true(arena_copy(&a, slice_first(slice_from(text), 3), &copy));
    text[0] = 'x';
    assert_string_equal(copy.data, "abc");
    assert_int_equal(copy.len, 3);
    assert_string_equal(arena_text(&a, (struct slice){ 0 }), "");
    assert_false(arena_copy(&a, (struct slice){ text, 4096 }, &copy));
    arena_finish(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(the_bound_holds_and_a_refusal_changes_nothing),
        cmocka_unit_test(texts_are_copied_with_a_nul_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
