/* gateway/outbound_report.h - what an outbound connection tells of for TLSRPT (RFC 8460).
 *
 * One result for a connection, when it is known how its TLS went: for the TLSA records where DANE
 * was in charge; else for the MTA-STS policy where the domain has one, also in testing, and where
 * it should have one that could not be had; else for TLSA records that cannot be used; for the
 * domain itself ("no-policy-found") where none of these was looked for or there. And one for each
 * host that was left out before anybody connected.
 *
 * Of the hosts of a route nothing is told: RFC 8460 is about what the recipient's domain has
 * published, of which the operator's hosts show nothing. Nor of a session for mail that says
 * TLS-Required: No, as reports do: those about them would never end.
 *
 * For gateway/outbound*.c and dispatch.c.
 */
#pragma once
#include "gateway/outbound.h"

/* The connection is open, or its peer has been judged; called for the first message that is no
 * report itself (RFC 8460 3). */
void gateway_outbound_report(const struct gateway_outbound *out);

/* Hosts were looked for, for a delivery: what is to be told of those that must not be used. RFC
 * 8460 counts sessions; of these hosts a search stands for one. */
void gateway_outbound_report_left_out(struct gateway_worker *worker,
                                      const struct delivery_destination *destination,
                                      const struct gateway_next_hops *hops);

/* TLS was not to be had; how: anything but established. Not called where nobody wanted it. */
void gateway_outbound_report_failed(const struct gateway_outbound *out, enum policy_tls_event how);
