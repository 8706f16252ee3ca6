/* gateway/outbound_tls.h - the TLS of an outbound connection: its session, its judgement, its log.
 *
 * For gateway/outbound.c only: handlers of its hop (gateway/hop.h).
 */
#pragma once
#include "gateway/outbound.h"
#include "observe/mail_events.h"

enum status gateway_outbound_tls_session(struct gateway_hop *h, struct tls_session **session_out);
void gateway_outbound_tls_refused(struct gateway_hop *h, const struct smtp_reply *reply);
void gateway_outbound_tls_failed(struct gateway_hop *h, struct slice why);
void gateway_outbound_tls_secured(struct gateway_hop *h);
void gateway_outbound_tls_judge_now(struct gateway_hop *h);

/* For the log; without a protocol in the clear. Its texts live as long as the connection. */
struct observe_tls gateway_outbound_tls_facts(const struct gateway_outbound *out);

/* What went wrong with its TLS, or that the host offers none. */
const char *gateway_outbound_tls_trouble(const struct gateway_outbound *out);

/* The host does not get the mail, because the demand is not met. */
void gateway_outbound_tls_denied(struct gateway_outbound *out);
