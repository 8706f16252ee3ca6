/* gateway/inbound_room.h - how many sessions there may be, and which of them are held against whom.
 *
 * Three kinds are counted apart, each up to the listener's max_connections: those that are served,
 * those that the HAT rejects (who stay to hear it), and those of hosts that are still looked up. So
 * neither blocked hosts nor hosts whose DNS keeps silent can close a listener to others. A host
 * that is looked up counts for max_connections_per_ip too, by the policy that its address alone
 * has.
 */
#pragma once
#include "gateway/inbound.h"
#include "policy/sender.h"

/* Takes a place to wait in; false: there is none, for this host or for anybody. known: what the
 * machine knows of the host itself. */
bool gateway_inbound_room_wait(struct gateway_inbound *in, const struct policy_sender *known);

/* Gives it back; without effect when there is none. */
void gateway_inbound_room_waited(struct gateway_inbound *in);

/* With this session, which has its verdict, there are too many. */
bool gateway_inbound_room_is_full(const struct gateway_inbound *in);
