/* gateway/bounce.h - tells a sender what became of his mail.
 *
 * Makes delivery status notifications (delivery/dsn.h) of a report with notices, and commits each
 * as a message of its own: of those that failed, of those that are late, of those that were handed
 * on to a host that does not tell of delivery. Runs at the home of the message.
 *
 * Who is told, of what failed: the envelope sender, or the address that the bounce profile names in
 * his place, unless NOTIFY (RFC 3461 4.1) or the profile says that nobody is. Mail from the null
 * sender, bounces above all, has no sender to be told (RFC 5321 4.5.5): it is a double bounce,
 * which the configuration drops or sends to the postmaster. What then tells the postmaster is
 * marked in the spool, and is dropped for good when it cannot be delivered either.
 *
 * A body in a file of its own is read for it first (gateway/original.h), as far as it comes back.
 * One that cannot be read is left out, with the header that it begins with: the report is what
 * counts.
 *
 * REQUIRETLS goes on to the report, which then holds nothing but the header (RFC 8689 section 5).
 */
#pragma once
#include "gateway/message.h"
#include "smtp/address.h"

#define GATEWAY_BOUNCE_RETRY_MS  60000 /* when memory or the spool has no room for it */
#define GATEWAY_BOUNCE_SETTLE_MS 1000  /* while the spool is not ready yet, after a start */

/* Recipients that one report tells of. More of them have several, one after another, so that each
 * fits into a record of the spool whatever the hosts have said. */
#define GATEWAY_BOUNCE_RECIPIENTS_MAX 100

/* Takes the report; gateway_message_bounced() follows, now or later. */
void gateway_bounce_start(struct gateway_message *m, struct gateway_report *report);

/* The notification is on stable storage: the next one follows, or gateway_message_bounced(). */
void gateway_bounce_committed(struct gateway_message *m, struct gateway_report *report);

/* It could not be committed: once more, later. */
void gateway_bounce_retry(struct gateway_message *m, struct gateway_report *report);
