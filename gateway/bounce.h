/* gateway/bounce.h - tells a sender what could not be delivered.
 *
 * Makes a delivery status notification (delivery/dsn.h) of a report with bounced recipients and
 * commits it as a message of its own. Runs at the home of the message that bounced.
 */
#pragma once
#include "gateway/message.h"
#include "smtp/address.h"

#define GATEWAY_BOUNCE_RETRY_MS 60000 /* when memory or the spool has no room for it */

/* Recipients that one bounce tells of. A report with more of them has several bounces, one after
 * another, so that each fits into a record of the spool whatever the hosts have said. */
#define GATEWAY_BOUNCE_RECIPIENTS_MAX 200

/* Takes the report; gateway_message_bounced() follows, now or later. A message from the null
 * sender gets no bounce (RFC 5321 4.5.5). */
void gateway_bounce_start(struct gateway_message *m, struct gateway_report *report);

/* The bounce is on stable storage: the next one follows, or gateway_message_bounced(). */
void gateway_bounce_committed(struct gateway_message *m, struct gateway_report *report);

/* The bounce could not be committed: once more, later. */
void gateway_bounce_retry(struct gateway_message *m, struct gateway_report *report);
