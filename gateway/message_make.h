/* gateway/message_make.h - makes the object of a message: its recipients grouped by domain.
 *
 * One allocation holds the message, its items, the numbers of their recipients, and the texts that
 * have to be at hand while the rest is on disk only (gateway/shelf.h): the domains, the sender, and
 * the name of the listener.
 */
#pragma once
#include "gateway/message.h"

/* known: what is known of each recipient, or NULL: all of them wait. Those with a final result are
 * in no item. hostname: ours, for recipients without a domain. Borrows spool; the caller sets
 * home, spool and known. NULL: no memory. Freed with free(). */
struct gateway_message *gateway_message_make(const struct spool_message *spool,
                                             const struct spool_result *known,
                                             struct slice hostname, time_t now_s);
