/* gateway/message_make.h - makes the object of a message: its recipients grouped by domain.
 *
 * One allocation holds the message, its items, the numbers of their recipients, and the texts that
 * have to be at hand while the rest is on disk only (gateway/shelf.h): the domains, the sender, and
 * the name of the listener.
 */
#pragma once
#include "gateway/message.h"

/* All recipients wait. hostname: ours, for recipients without a domain. Borrows spool; the caller
 * sets home and spool. NULL: no memory. Freed with free(). */
struct gateway_message *gateway_message_make(const struct spool_message *spool,
                                             struct slice hostname);

/* Memory that it takes, that of `spool` apart. */
size_t gateway_message_own_bytes(const struct gateway_message *m);
