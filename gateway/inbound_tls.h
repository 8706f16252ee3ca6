/* gateway/inbound_tls.h - STARTTLS of an inbound session, and the certificate that a client shows.
 *
 * For gateway/inbound*.c. Whatever is wrong with a certificate, the handshake goes on; what follows
 * from it is said when the client wants to send mail.
 */
#pragma once
#include "gateway/inbound.h"

/* What a client showed that was asked for a certificate. */
enum gateway_client_certificate {
    GATEWAY_CERTIFICATE_UNASKED,
    GATEWAY_CERTIFICATE_MISSING,
    GATEWAY_CERTIFICATE_GOOD,
    GATEWAY_CERTIFICATE_UNVERIFIED,
    GATEWAY_CERTIFICATE_OTHER_NAME /* verified, but of nobody whom the policy lists */
};

/* The command was said; behind: what came after it, which is an attack. */
void gateway_inbound_start_tls(struct gateway_inbound *in, struct slice behind);

/* Handlers of the channel. */
void gateway_inbound_secured(struct gateway_channel *c, bool success);
void gateway_inbound_settled(struct gateway_channel *c);

/* The session has another policy (XCLIENT): the TLS that it has is judged by that one. */
void gateway_inbound_judge_tls(struct gateway_inbound *in);

/* STARTTLS is refused for now while there are as many TLS connections as there may be. Workers that
 * look at the same moment may each let one more in. */
void gateway_inbound_limit_tls(struct gateway_inbound *in);

/* The session ends. */
void gateway_inbound_uncount_tls(struct gateway_inbound *in);

/* What TLS has to do with this sender's mail; code 0: nothing is against it. */
struct smtp_answer gateway_inbound_check_tls(const struct gateway_inbound *in,
                                             const struct smtp_mailbox *sender);
