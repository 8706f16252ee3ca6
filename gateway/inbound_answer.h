/* gateway/inbound_answer.h - what an inbound session answers, and what it logs on the way.
 *
 * Asks the policies of the session's view and the state of the gateway (space, memory, counts),
 * and turns verdicts into SMTP replies. Moves no bytes and closes nothing.
 */
#pragma once
#include "gateway/inbound.h"

#define GATEWAY_INBOUND_HANDSHAKE_MS (60 * 1000)
#define GATEWAY_INBOUND_REJECTED_MS  (30 * 1000) /* for the QUIT of a rejected host */
#define GATEWAY_INBOUND_BODY_BYTES_S 1024        /* a slower body ends with session.max_time */

/* True: *answer_out is what to say; for MAIL the receipt is there when that is yes. False: it has
 * to be asked for, and gateway_inbound_answered() follows, never from inside. */
bool gateway_inbound_answer_mail(struct gateway_inbound *in, const struct smtp_command *command,
                                 struct smtp_answer *answer_out);
bool gateway_inbound_answer_rcpt(struct gateway_inbound *in, const struct smtp_command *command,
                                 struct smtp_answer *answer_out);

/* The rest of it, for a question (gateway/question.h) that has its answer. */
struct smtp_answer gateway_inbound_accept_mail(struct gateway_inbound *in,
                                               const struct smtp_command *command);
struct smtp_answer gateway_inbound_accept_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command);

/* The reply to a recipient that the RAT or its host does not take. It may be the last one. */
struct smtp_answer gateway_inbound_refuse_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command,
                                               const struct policy_reply *reply, const char *by);

/* A reply of the policy as it is for this session; its text lies in the worker's scratch until the
 * next one is worded. */
struct smtp_answer gateway_inbound_worded(const struct gateway_inbound *in,
                                          enum policy_flow_reply which, struct slice sender);

/* MAIL was refused by the SMTP machine, because its address is none. */
void gateway_inbound_note_bad_sender(struct gateway_inbound *in,
                                     const struct smtp_command *command);

struct smtp_answer gateway_inbound_answer_data(struct gateway_inbound *in);

/* The reply to the final dot; for STATUS_OK the caller adds the text. */
struct smtp_answer gateway_inbound_commit_answer(enum status status);

/* Until the peer must have said something: the state's time, but not beyond the session's, which
 * a body prolongs by what it brings at GATEWAY_INBOUND_BODY_BYTES_S. At least 1. */
uint64_t gateway_inbound_time_left_ms(const struct gateway_inbound *in);

/* That the session's own time has passed, whatever its state waits for. */
bool gateway_inbound_is_over(const struct gateway_inbound *in);
