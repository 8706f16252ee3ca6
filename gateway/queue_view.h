/* gateway/queue_view.h - what the queue commands show of an item, as lines of JSON.
 *
 * A message that is on disk only (gateway/shelf.h) is not read for it: then "to", "address",
 * "bounce", and what is known of the client are left out; `postern spool show` has them.
 *
 * On the thread of the item's owner. A line is one object, ended by LF, with a member "kind":
 *
 *     entry        mid domain sender to recipients size arrived attempts attempts_max reason why
 *                  until expires; times in seconds since 1970, 0: none
 *     message      mid sender size arrived listener client_ip client_name helo group tls bounce
 *                  recipients
 *     recipient    mid rid address domain attempts attempts_max reason why until expires last
 *     destination  domain entries recipients held oldest hosts (up, down, unknown) until trouble
 *                  connections delivered deferred bounced
 */
#pragma once
#include "base/buffer.h"
#include "gateway/message.h"
#include "gateway/queue_filter.h"
#include "gateway/queue_why.h"

/* Valid as long as the item's message. */
void gateway_queue_facts(const struct gateway_item *item, struct gateway_queue_facts *facts_out);

/* Append one line. */
MUST_USE enum status gateway_queue_write_entry(struct gateway_worker *w,
                                               const struct gateway_item *item, struct buffer *to);
MUST_USE enum status gateway_queue_write_message(const struct gateway_item *item,
                                                 struct buffer *to);

/* place: below item->waiting_count. why: of the item. */
MUST_USE enum status gateway_queue_write_recipient(const struct gateway_item *item, unsigned place,
                                                   const struct gateway_queue_why *why,
                                                   struct buffer *to);

/* What a destination has in its queue, all of its items together. */
struct gateway_queue_load {
    uint64_t entries;
    uint64_t recipients;
    uint64_t held;    /* of the entries */
    int64_t oldest_s; /* arrival, wall clock */
};

MUST_USE enum status gateway_queue_write_destination(struct gateway_worker *w, struct slice domain,
                                                     const struct gateway_queue_load *load,
                                                     struct buffer *to);
