/* gateway/question.h - what MAIL or RCPT has to wait for: the DNS, or another host.
 *
 * Belongs to a session, which is told the answer by gateway_inbound_answered(). A sender's domain
 * is looked for as MX, A and AAAA at once: one of them is enough for it to exist. A recipient
 * is asked about at the hosts of its domain (gateway/call_ahead.h), which are searched for first.
 */
#pragma once
#include "smtp/server.h"

struct gateway_inbound;
struct gateway_question; /* private */

/* Whether the domain of MAIL exists. False: it cannot be asked, and what follows from that is the
 * same as from a DNS that fails. What is needed of the command is copied. */
bool gateway_question_ask_sender(struct gateway_inbound *in, const struct smtp_command *command);

/* Whether the recipient's host takes RCPT, which the RAT accepts; domain: of the recipient. True:
 * *answer_out is what to say, else it follows, never from inside. */
bool gateway_question_ask_recipient(struct gateway_inbound *in, const struct smtp_command *command,
                                    struct slice domain, struct smtp_answer *answer_out);

/* At any time; accepts NULL. */
void gateway_question_destroy(struct gateway_question *question);
