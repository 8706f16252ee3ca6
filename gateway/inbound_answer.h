/* gateway/inbound_answer.h - what an inbound session answers, and what it logs on the way.
 *
 * Asks the policies of the session's view and the state of the gateway (space, memory, counts),
 * and turns verdicts into SMTP replies. Moves no bytes and closes nothing.
 */
#pragma once
#include "gateway/inbound.h"
#include "policy/hat.h"

#define GATEWAY_INBOUND_HANDSHAKE_MS (60 * 1000)
#define GATEWAY_INBOUND_REJECTED_MS  (30 * 1000) /* for the QUIT of a rejected host */
#define GATEWAY_INBOUND_BODY_BYTES_S 1024        /* a slower body ends with session.max_time */

/* How to open: code 0: with a greeting; else with this reply, and then close. */
struct gateway_opening {
    unsigned code;
    struct slice text;
};

/* Counts the connection of its peer. */
struct gateway_opening gateway_inbound_open(struct gateway_inbound *in);

/* Creates the receipt when the answer is yes. */
struct smtp_answer gateway_inbound_answer_mail(struct gateway_inbound *in,
                                               const struct smtp_command *command);
struct smtp_answer gateway_inbound_answer_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command);
struct smtp_answer gateway_inbound_answer_data(struct gateway_inbound *in);

/* The reply to the final dot; for STATUS_OK the caller adds the text. */
struct smtp_answer gateway_inbound_commit_answer(enum status status);

/* Until the peer must have said something: the state's time, but not beyond the session's, which
 * a body prolongs by what it brings at GATEWAY_INBOUND_BODY_BYTES_S. At least 1. */
uint64_t gateway_inbound_time_left_ms(const struct gateway_inbound *in);

void gateway_inbound_log_new(struct gateway_inbound *in, const struct ip_endpoint *remote);
void gateway_inbound_log_generation(struct gateway_inbound *in);
void gateway_inbound_log_access(struct gateway_worker *w, uint64_t icid,
                                const struct policy_sender_verdict *verdict);
