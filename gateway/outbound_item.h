/* gateway/outbound_item.h - the message that an outbound connection has under way: its envelope,
 * the replies for its recipients, and what becomes of it. Moves no bytes.
 */
#pragma once
#include "gateway/outbound.h"

/* Prepares the envelope; takes part in the item, whose message is held, until one of the ends
 * below, which let it go; so does a failure. */
MUST_USE enum status gateway_outbound_item_begin(struct gateway_outbound *out,
                                                 struct gateway_item *item);

/* Whether the message, which has REQUIRETLS, must not go this way; *event_out says so in place of
 * what the SMTP machine would. That the host does not offer REQUIRETLS is the machine's to say. */
bool gateway_outbound_item_is_barred(const struct gateway_outbound *out,
                                     struct smtp_client_event *event_out);

/* A recipient was refused, or accepted, before the message. */
void gateway_outbound_item_recipient(struct gateway_outbound *out, size_t index,
                                     const struct smtp_reply *reply);

/* Only the first `sent` of the recipients were in the transaction (RFC 9422): whatever its outcome,
 * the others stay in the queue. */
void gateway_outbound_item_hold_back(struct gateway_outbound *out, size_t sent);

/* The message has been dealt with: outcome holds for every recipient not refused before. Logs,
 * tells the scheduler and the home of the message. is_ours: the reply is not the host's. */
void gateway_outbound_item_end(struct gateway_outbound *out, const struct delivery_outcome *outcome,
                               const struct smtp_reply *reply, bool is_ours);

/* Nothing was said about it yet: back to the front of the queue. */
void gateway_outbound_item_return(struct gateway_outbound *out);

/* A fault of our own: it is tried again after a pause, and this try was none. */
void gateway_outbound_item_postpone(struct gateway_outbound *out);

/* The outcome of a reply, or of none (code 0), at a stage. */
struct delivery_outcome gateway_outbound_classify(enum delivery_stage stage,
                                                  const struct smtp_reply *reply);

/* The host does not take the message now, for reasons of its own, and another host of the
 * destination is tried at once. False: there is none, and nothing happened. */
bool gateway_outbound_item_next_host(struct gateway_outbound *out, const struct smtp_reply *reply);
