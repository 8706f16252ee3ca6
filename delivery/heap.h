/* delivery/heap.h - an intrusive heap ordered by time; the earliest node is the root.
 *
 * A leftist heap: insert, remove (of any node) and the earliest are O(log n) at worst, not only
 * on average, and nothing is ever allocated. A pairing heap has smaller nodes, but one removal
 * may touch every node, and a worker must not stop for that; an array needs a copy to grow.
 * Equal keys come in any order.
 */
#pragma once
#include "base/slice.h"
#include "base/slim_pointer.h"

struct delivery_heap_node { /* Fields are private. A queue has millions of them. */
    struct slim_pointer left;
    struct slim_pointer right;
    struct slim_pointer parent;
    uint8_t rank; /* nodes on the right spine, at most log2 of the size plus one */
    uint8_t key_high;
    uint32_t key_low;
};

static_assert(sizeof(struct delivery_heap_node) == 24, "ten million of them take 240 MB");

/* Stands for UINT64_MAX. In milliseconds it is 34 years after the clock's start. */
#define DELIVERY_HEAP_KEY_MAX ((UINT64_C(1) << 40) - 1)

struct delivery_heap {
    struct delivery_heap_node *root; /* NULL: empty */
};

/* n is in no heap. A key of DELIVERY_HEAP_KEY_MAX or more counts as UINT64_MAX. */
void delivery_heap_insert(struct delivery_heap *h, struct delivery_heap_node *n, uint64_t key);

/* Sets the key of a node that is in no heap. */
void delivery_heap_note(struct delivery_heap_node *n, uint64_t key);

/* n must be in h. */
void delivery_heap_remove(struct delivery_heap *h, struct delivery_heap_node *n);

/* Moves all nodes of `from` to h. */
void delivery_heap_merge(struct delivery_heap *h, struct delivery_heap *from);

static inline uint64_t delivery_heap_key(const struct delivery_heap_node *n)
{
    uint64_t key = (uint64_t)n->key_high << 32 | n->key_low;

    return key < DELIVERY_HEAP_KEY_MAX ? key : UINT64_MAX;
}

/* The key of the earliest node; UINT64_MAX when there is none. */
static inline uint64_t delivery_heap_earliest(const struct delivery_heap *h)
{
    return h->root != NULL ? delivery_heap_key(h->root) : UINT64_MAX;
}
