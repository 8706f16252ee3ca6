/* gateway/message_make.h - makes the object of a message: its recipients grouped by domain.
 *
 * One allocation holds the message, its items, the numbers of their recipients, what is known of
 * these, and the sender, who has to be at hand while the rest is on disk only (gateway/shelf.h).
 * The domains and the name of the listener are shared with other messages: gateway/lane.h.
 */
#pragma once
#include "gateway/message.h"

/* All recipients wait. hostname: ours, for recipients without a domain. Borrows spool; the caller
 * sets home and spool. NULL: no memory. */
struct gateway_message *gateway_message_make(struct gateway_lanes *lanes,
                                             const struct spool_message *spool,
                                             struct slice hostname);

/* Frees it and what it shares. */
void gateway_message_unmake(struct gateway_message *m);

/* Memory that it takes, that of `spool` apart. */
size_t gateway_message_own_bytes(const struct gateway_message *m);
