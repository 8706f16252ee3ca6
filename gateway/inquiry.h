/* gateway/inquiry.h - what is found out about a connecting host before it is greeted.
 *
 * What the machine knows itself (a file of reputations, a database of countries) is looked up at
 * once. The DNS is asked only for what can still change the row of the HAT: the double lookup, a
 * reputation, DNS lists; all at the same time, under one deadline (dns.sender_timeout). It ends as
 * soon as nothing that is still unknown can matter. What did not come in time has failed, in the
 * sense of policy/sender.h.
 */
#pragma once
#include "engine/timer.h"
#include "gateway/names.h"
#include "policy/hat.h"

struct gateway_inbound;
struct gateway_inquiry; /* private */
struct gateway_view;

/* What the machine knows itself, by the view of the session. The slices borrow from it. */
struct policy_sender gateway_inquiry_local(const struct gateway_view *view,
                                           const struct ip_address *address);

/* Asks for a session, whose HAT still needs something beyond the local facts; of these the slices
 * outlive the inquiry. gateway_inbound_known() follows, never from inside. STATUS_NO_MEMORY,
 * STATUS_UNSUPPORTED: there is no resolver. */
MUST_USE enum status gateway_inquiry_start(struct gateway_inbound *inbound,
                                           const struct policy_sender *local,
                                           struct gateway_inquiry **inquiry_out);

/* All that is known now. Borrowed; as long as the inquiry. */
const struct policy_sender *gateway_inquiry_sender(const struct gateway_inquiry *inquiry);

/* At any time; accepts NULL. */
void gateway_inquiry_destroy(struct gateway_inquiry *inquiry);

/* Whether the address is of a private network (RFC 1918): nobody's reputation covers it. */
bool gateway_inquiry_is_private(const struct ip_address *address);
