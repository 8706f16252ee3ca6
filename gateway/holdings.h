/* gateway/holdings.h - the items that a worker has in its hands, in order of arrival, so that one
 * can go through them in steps.
 *
 * The scheduler knows them by destination and by what they wait for, in orders that change with
 * every result. A walk needs one that stays: items are added at the end, may be removed at any
 * time, and never change places. A walk sees every item that was there when it began and is still
 * there when the walk comes to it, each once; it ends, however many arrive meanwhile.
 *
 * Costs an item its list node, and nothing in any step. The nodes are the caller's; one thread.
 */
#pragma once
#include "base/slim_list.h"

struct gateway_holdings { /* Fields are private. */
    struct slim_list items;
    struct list walks;
    size_t count;
};

/* Zero-initialise. */
struct gateway_holdings_walk { /* Fields are private. */
    struct list_node node;
    struct slim_node *next;
    size_t left; /* of those that were there when it began, at most */
};

void gateway_holdings_init(struct gateway_holdings *h);

/* Does nothing when it is there already. */
void gateway_holdings_add(struct gateway_holdings *h, struct slim_node *item);

/* Does nothing to one that is nowhere. */
void gateway_holdings_remove(struct gateway_holdings *h, struct slim_node *item);

size_t gateway_holdings_count(const struct gateway_holdings *h);

/* Takes part in every removal until its end; the holdings stay until then. */
void gateway_holdings_walk_begin(struct gateway_holdings *h, struct gateway_holdings_walk *walk);

/* The next one, which may be removed; NULL: there are no more. */
struct slim_node *gateway_holdings_walk_next(struct gateway_holdings *h,
                                             struct gateway_holdings_walk *walk);

/* The same without going on to it. */
struct slim_node *gateway_holdings_walk_peek(const struct gateway_holdings *h,
                                             const struct gateway_holdings_walk *walk);

/* Before or after its last item; does nothing to one that has ended. */
void gateway_holdings_walk_end(struct gateway_holdings_walk *walk);
