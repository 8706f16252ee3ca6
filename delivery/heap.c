#include "delivery/heap.h"

#include "base/check.h"

static struct delivery_heap_node *left_of(const struct delivery_heap_node *n)
{
    return slim_pointer_get(&n->left);
}

static struct delivery_heap_node *right_of(const struct delivery_heap_node *n)
{
    return slim_pointer_get(&n->right);
}

static struct delivery_heap_node *parent_of(const struct delivery_heap_node *n)
{
    return slim_pointer_get(&n->parent);
}

/* Accepts NULL for n. */
static void set_parent(struct delivery_heap_node *n, const struct delivery_heap_node *parent)
{
    if (n != NULL)
        slim_pointer_set(&n->parent, parent);
}

static unsigned rank_of(const struct delivery_heap_node *n)
{
    return n != NULL ? n->rank : 0;
}

static bool goes_before(const struct delivery_heap_node *a, const struct delivery_heap_node *b)
{
    return delivery_heap_key(a) < delivery_heap_key(b);
}

/* The shorter right spine to the right; the rank follows. True when n's rank changed. */
static bool settle(struct delivery_heap_node *n)
{
    struct slim_pointer left = n->left;
    unsigned rank;

    if (rank_of(left_of(n)) < rank_of(right_of(n))) {
        n->left = n->right;
        n->right = left;
    }
    rank = rank_of(right_of(n)) + 1;
    if (n->rank == rank)
        return false;
    n->rank = (uint8_t)rank;
    return true;
}

/* Joins two trees; their right spines, which are at most log2 of their sizes long, are merged as
 * sorted lists on the way down, and the ranks are set right on the way up. */
static struct delivery_heap_node *join(struct delivery_heap_node *a, struct delivery_heap_node *b)
{
    struct delivery_heap_node *root = NULL, *last = NULL, *n;

    while (a != NULL && b != NULL) {
        if (goes_before(b, a)) {
            n = a;
            a = b;
            b = n;
        }
        n = a;
        a = right_of(n);
        set_parent(n, last);
        if (last != NULL)
            slim_pointer_set(&last->right, n);
        else
            root = n;
        last = n;
    }
    if (a == NULL)
        a = b;
    if (last == NULL)
        return a;
    slim_pointer_set(&last->right, a);
    set_parent(a, last);
    for (n = last; n != NULL; n = parent_of(n))
        (void)settle(n);
    return root;
}

void delivery_heap_note(struct delivery_heap_node *n, uint64_t key)
{
    if (key > DELIVERY_HEAP_KEY_MAX)
        key = DELIVERY_HEAP_KEY_MAX;
    n->key_high = (uint8_t)(key >> 32);
    n->key_low = (uint32_t)(key & UINT32_MAX);
}

static void unlink_node(struct delivery_heap_node *n)
{
    n->left = n->right = n->parent = (struct slim_pointer){ 0 };
}

void delivery_heap_insert(struct delivery_heap *h, struct delivery_heap_node *n, uint64_t key)
{
    unlink_node(n);
    n->rank = 1;
    delivery_heap_note(n, key);
    h->root = join(h->root, n);
}

void delivery_heap_remove(struct delivery_heap *h, struct delivery_heap_node *n)
{
    struct delivery_heap_node *parent = parent_of(n), *left = left_of(n), *right = right_of(n);
    struct delivery_heap_node *joined;

    ASSERT(parent != NULL ? left_of(parent) == n || right_of(parent) == n : h->root == n);
    set_parent(left, NULL);
    set_parent(right, NULL);
    joined = join(left, right);
    set_parent(joined, parent);
    if (parent == NULL)
        h->root = joined;
    else if (left_of(parent) == n)
        slim_pointer_set(&parent->left, joined);
    else
        slim_pointer_set(&parent->right, joined);
    /* Every further step up raises the rank by one, so there are at most log2 of them. */
    while (parent != NULL && settle(parent))
        parent = parent_of(parent);
    unlink_node(n);
}

void delivery_heap_merge(struct delivery_heap *h, struct delivery_heap *from)
{
    h->root = join(h->root, from->root);
    from->root = NULL;
}
