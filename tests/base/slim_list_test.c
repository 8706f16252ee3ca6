#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/slim_list.h"

#define NODES_MAX 64u
#define STEPS     20000u

/* Linked the same way twice. */
struct entry {
    struct slim_node slim;
    struct list_node plain;
};

struct pair {
    struct slim_list slim;
    struct list plain;
};

static uint64_t drawn;

static uint64_t draw(uint64_t below)
{
    drawn += 0x9e3779b97f4a7c15ull;
    return hash_number(drawn) % below;
}

static void init(struct pair *p)
{
    slim_list_init(&p->slim);
    list_init(&p->plain);
}

static void check_same(struct pair *p)
{
    const struct list_node *plain = p->plain.head.next;

    SLIM_LIST_FOR_EACH (n, &p->slim) {
        assert_ptr_equal(CONTAINER_OF(n, struct entry, slim),
                         CONTAINER_OF(plain, struct entry, plain));
        assert_ptr_equal(slim_list_next(slim_list_prev(n)), n);
        plain = plain->next;
    }
    assert_ptr_equal(plain, &p->plain.head);
    assert_int_equal(slim_list_is_empty(&p->slim), list_is_empty(&p->plain));
}

static void remove_both(struct entry *e)
{
    slim_list_remove(&e->slim);
    list_remove(&e->plain);
}

static void insert(struct pair *p, struct entry *e, struct entry *before, uint64_t how)
{
    if (how == 0) {
        slim_list_append(&p->slim, &e->slim);
        list_append(&p->plain, &e->plain);
    } else if (how == 1 || before == e || !list_is_linked(&before->plain)) {
        slim_list_prepend(&p->slim, &e->slim);
        list_prepend(&p->plain, &e->plain);
    } else {
        slim_list_insert_before(&e->slim, &before->slim);
        list_insert_before(&e->plain, &before->plain);
    }
}

static void it_holds_what_a_plain_list_holds(void **unused)
{
    struct entry *entries = calloc(NODES_MAX, sizeof(*entries));
    struct pair a, b;

    (void)unused;
    assert_non_null(entries);
    init(&a);
    init(&b);
    for (unsigned step = 0; step < STEPS; step++) {
        struct entry *e = &entries[draw(NODES_MAX)];

        if (draw(40) == 0) {
            slim_list_take_all(&a.slim, &b.slim);
            list_take_all(&a.plain, &b.plain);
        } else if (draw(8) == 0) {
            struct slim_node *slim = slim_list_take_first(&a.slim);
            struct list_node *plain = list_take_first(&a.plain);

            assert_true(slim == NULL ? plain == NULL
                                     : CONTAINER_OF(slim, struct entry, slim) ==
                                           CONTAINER_OF(plain, struct entry, plain));
        } else if (list_is_linked(&e->plain)) {
            remove_both(e);
            remove_both(e); /* does nothing */
        } else {
            insert(draw(3) == 0 ? &b : &a, e, &entries[draw(NODES_MAX)], draw(3));
        }
        assert_int_equal(slim_list_is_linked(&e->slim), list_is_linked(&e->plain));
        check_same(&a);
        check_same(&b);
    }
    free(entries);
}

static void a_pointer_comes_back_as_it_was(void **unused)
{
    static const uintptr_t addresses[] = { 0, 1, 0xffff, 0x10000, 0x7fffffffffff, 0xfedcba987654 };

    (void)unused;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        struct slim_pointer p;

        slim_pointer_set(&p, (void *)addresses[i]);
        assert_int_equal((uintptr_t)slim_pointer_get(&p), addresses[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_a_plain_list_holds),
        cmocka_unit_test(a_pointer_comes_back_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
