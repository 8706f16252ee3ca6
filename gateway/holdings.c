#include "gateway/holdings.h"

void gateway_holdings_init(struct gateway_holdings *h)
{
    slim_list_init(&h->items);
    list_init(&h->walks);
    h->count = 0;
}

void gateway_holdings_add(struct gateway_holdings *h, struct slim_node *item)
{
    if (slim_list_is_linked(item))
        return;
    slim_list_append(&h->items, item);
    h->count++;
}

void gateway_holdings_remove(struct gateway_holdings *h, struct slim_node *item)
{
    if (!slim_list_is_linked(item))
        return;
    LIST_FOR_EACH (n, &h->walks) {
        struct gateway_holdings_walk *walk = CONTAINER_OF(n, struct gateway_holdings_walk, node);

        if (walk->next == item)
            walk->next = slim_list_next(item);
    }
    ASSERT(h->count > 0);
    h->count--;
    slim_list_remove(item);
}

size_t gateway_holdings_count(const struct gateway_holdings *h)
{
    return h->count;
}

void gateway_holdings_walk_begin(struct gateway_holdings *h, struct gateway_holdings_walk *walk)
{
    *walk =
        (struct gateway_holdings_walk){ .next = slim_list_next(&h->items.head), .left = h->count };
    list_append(&h->walks, &walk->node);
}

struct slim_node *gateway_holdings_walk_peek(const struct gateway_holdings *h,
                                             const struct gateway_holdings_walk *walk)
{
    /* Removals bring others to the front, never back: the first `left` hold all that count. */
    return walk->next != &h->items.head && walk->left > 0 ? walk->next : NULL;
}

struct slim_node *gateway_holdings_walk_next(struct gateway_holdings *h,
                                             struct gateway_holdings_walk *walk)
{
    struct slim_node *item = gateway_holdings_walk_peek(h, walk);

    if (item == NULL)
        return NULL;
    walk->left--;
    walk->next = slim_list_next(item);
    return item;
}

void gateway_holdings_walk_end(struct gateway_holdings_walk *walk)
{
    list_remove(&walk->node);
}
