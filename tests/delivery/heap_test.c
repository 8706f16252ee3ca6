#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/heap.h"

#define NODES_MAX 2000u

struct entry {
    struct delivery_heap_node node;
    bool is_in;
};

static uint64_t drawn;

static uint64_t draw(uint64_t below)
{
    drawn += 0x9e3779b97f4a7c15ull;
    return hash_number(drawn) % below;
}

/* The nodes of a tree that is in order and leftist; 0 or more. */
static size_t check_tree(const struct delivery_heap_node *n, const struct delivery_heap_node *up)
{
    const struct delivery_heap_node *left, *right;

    if (n == NULL)
        return 0;
    left = slim_pointer_get(&n->left);
    right = slim_pointer_get(&n->right);
    assert_ptr_equal(slim_pointer_get(&n->parent), up);
    if (up != NULL)
        assert_true(delivery_heap_key(up) <= delivery_heap_key(n));
    assert_true((left != NULL ? left->rank : 0) >= (right != NULL ? right->rank : 0));
    assert_int_equal(n->rank, (right != NULL ? right->rank : 0) + 1);
    return 1 + check_tree(left, n) + check_tree(right, n);
}

static void nodes_come_out_by_key_whatever_was_removed(void **unused)
{
    struct entry *entries = calloc(NODES_MAX, sizeof *entries);

    (void)unused;
    assert_non_null(entries);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct delivery_heap heap = { NULL }, other = { NULL };
        size_t count = 0, others = 0;
        uint64_t key = 0;

        drawn = seed;
        memset(entries, 0, NODES_MAX * sizeof *entries);
        for (size_t i = 0; i < NODES_MAX; i++) {
            struct entry *e = &entries[draw(i + 1)];

            if (e->is_in) {
                delivery_heap_remove(&heap, &e->node);
                count--;
                e->is_in = false;
            }
            entries[i] = (struct entry){ .is_in = true };
            delivery_heap_insert(&heap, &entries[i].node, draw(seed % 2 != 0 ? 50 : UINT64_MAX));
            count++;
            if (i % 97 == 0)
                assert_int_equal(check_tree(heap.root, NULL), count);
        }
        for (size_t i = 0; i < NODES_MAX; i += 3)
            if (entries[i].is_in) {
                delivery_heap_remove(&heap, &entries[i].node);
                delivery_heap_insert(&other, &entries[i].node, draw(50));
                others++;
            }
        assert_int_equal(check_tree(other.root, NULL), others);
        delivery_heap_merge(&heap, &other);
        assert_int_equal(delivery_heap_earliest(&other), UINT64_MAX);
        assert_int_equal(check_tree(heap.root, NULL), count);
        for (; heap.root != NULL; count--) {
            struct delivery_heap_node *n = heap.root;

            assert_true(delivery_heap_key(n) >= key);
            key = delivery_heap_key(n);
            delivery_heap_remove(&heap, n);
        }
        assert_int_equal(count, 0);
    }
    free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_come_out_by_key_whatever_was_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
