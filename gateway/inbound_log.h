/* gateway/inbound_log.h - the lines about a session's beginning, in the words of AsyncOS. */
#pragma once
#include "gateway/inbound.h"
#include "policy/hat.h"

void gateway_inbound_log_new(struct gateway_inbound *in);
void gateway_inbound_log_generation(struct gateway_inbound *in);

/* icid 0: the host was refused. view and hat: those that the verdict comes from. */
void gateway_inbound_log_access(struct gateway_worker *w, const struct gateway_view *view,
                                uint64_t icid, const struct policy_hat *hat,
                                const struct policy_sender_verdict *verdict,
                                const struct policy_sender *sender);

/* The host is rejected, and hears it only at RCPT. */
void gateway_inbound_log_delayed(struct gateway_inbound *in);
void gateway_inbound_log_delayed_sender(struct gateway_inbound *in, struct slice sender);
void gateway_inbound_log_delayed_recipient(struct gateway_inbound *in, struct slice recipient);
