/* gateway/outbound_report.h - what an outbound connection tells of for TLSRPT (RFC 8460).
 *
 * One result for a connection, when it is known how its TLS went: for the TLSA records where DANE
 * was in charge, for the MTA-STS policy where the domain has one, also in testing; for the domain
 * itself
 * ("no-policy-found") where neither was looked for or there. For gateway/outbound*.c.
 */
#pragma once
#include "gateway/outbound.h"

/* The handshake is done, and judged or not asked to be. */
void gateway_outbound_report_secured(const struct gateway_outbound *out);

/* TLS was not to be had; how: anything but established. Not called where nobody wanted it. */
void gateway_outbound_report_failed(const struct gateway_outbound *out, enum policy_tls_event how);
