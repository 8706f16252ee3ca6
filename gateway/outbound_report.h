/* gateway/outbound_report.h - what an outbound connection tells of for TLSRPT (RFC 8460).
 *
 * One result for a connection, when it is known how its TLS went: for the TLSA records where DANE
 * was in charge, for the MTA-STS policy where the domain has one, also in testing; for the domain
 * itself
 * ("no-policy-found") where neither was looked for or there. For gateway/outbound*.c.
 */
#pragma once
#include "gateway/outbound.h"

/* The connection is open, or its peer has been judged; called for the first message that is no
 * report itself (RFC 8460 3). */
void gateway_outbound_report(const struct gateway_outbound *out);

/* TLS was not to be had; how: anything but established. Not called where nobody wanted it. */
void gateway_outbound_report_failed(const struct gateway_outbound *out, enum policy_tls_event how);
