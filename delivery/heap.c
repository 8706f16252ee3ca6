#include "delivery/heap.h"

#include "base/check.h"

static unsigned rank_of(const struct delivery_heap_node *n)
{
    return n != NULL ? (unsigned)n->rank : 0;
}

static bool goes_before(const struct delivery_heap_node *a, const struct delivery_heap_node *b)
{
    return a->key < b->key;
}

/* The shorter right spine to the right; the rank follows. True when n's rank changed. */
static bool settle(struct delivery_heap_node *n)
{
    struct delivery_heap_node *left = n->left;
    unsigned rank;

    if (rank_of(left) < rank_of(n->right)) {
        n->left = n->right;
        n->right = left;
    }
    rank = rank_of(n->right) + 1;
    if (n->rank == rank)
        return false;
    n->rank = rank & 0xff;
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
        a = n->right;
        n->parent = last;
        if (last != NULL)
            last->right = n;
        else
            root = n;
        last = n;
    }
    if (a == NULL)
        a = b;
    if (last == NULL)
        return a;
    last->right = a;
    if (a != NULL)
        a->parent = last;
    for (n = last; n != NULL; n = n->parent)
        (void)settle(n);
    return root;
}

void delivery_heap_note(struct delivery_heap_node *n, uint64_t key)
{
    n->key = (key < DELIVERY_HEAP_KEY_MAX ? key : DELIVERY_HEAP_KEY_MAX) & DELIVERY_HEAP_KEY_MAX;
}

void delivery_heap_insert(struct delivery_heap *h, struct delivery_heap_node *n, uint64_t key)
{
    n->left = n->right = n->parent = NULL;
    n->rank = 1;
    delivery_heap_note(n, key);
    h->root = join(h->root, n);
}

void delivery_heap_remove(struct delivery_heap *h, struct delivery_heap_node *n)
{
    struct delivery_heap_node *parent = n->parent, *joined;

    ASSERT(parent != NULL ? parent->left == n || parent->right == n : h->root == n);
    if (n->left != NULL)
        n->left->parent = NULL;
    if (n->right != NULL)
        n->right->parent = NULL;
    joined = join(n->left, n->right);
    if (joined != NULL)
        joined->parent = parent;
    if (parent == NULL)
        h->root = joined;
    else if (parent->left == n)
        parent->left = joined;
    else
        parent->right = joined;
    /* Every further step up raises the rank by one, so there are at most log2 of them. */
    while (parent != NULL && settle(parent))
        parent = parent->parent;
    n->left = n->right = n->parent = NULL;
}

void delivery_heap_merge(struct delivery_heap *h, struct delivery_heap *from)
{
    h->root = join(h->root, from->root);
    from->root = NULL;
}
