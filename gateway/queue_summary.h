/* gateway/queue_summary.h - how much of the queue is for which destination.
 *
 * Filled item by item, then read once, in the order in which they came. Bounded: what is for
 * destinations beyond GATEWAY_QUEUE_DESTINATIONS_MAX, or has no memory, is counted without a name.
 */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"
#include "gateway/queue_view.h"

#define GATEWAY_QUEUE_DESTINATIONS_MAX 100000u /* of one worker, in a summary */

struct gateway_queue_summary { /* Fields are private, except others. */
    struct table domains;
    struct list order; /* the same */
    struct hash_seed seed;
    bool is_open;
    struct gateway_queue_load others; /* of those that have no place */
};

MUST_USE enum status gateway_queue_summary_init(struct gateway_queue_summary *s,
                                                const struct hash_seed *seed);
void gateway_queue_summary_finish(struct gateway_queue_summary *s); /* accepts a zeroed one */

/* `item` is the load of one item. */
void gateway_queue_summary_add(struct gateway_queue_summary *s, struct slice domain,
                               const struct gateway_queue_load *item);

/* Takes one out; false: there are no more. domain is cut to its room, which it never needs. */
MUST_USE bool gateway_queue_summary_take(struct gateway_queue_summary *s,
                                         char domain[static GATEWAY_QUEUE_DOMAIN_MAX],
                                         struct gateway_queue_load *load_out);
