/* smtp/client_transaction.h - inside the client session: its states, and one message.
 *
 * For client.c and client_transaction.c only.
 */
#pragma once
#include "smtp/client.h"

#define SMTP_CLIENT_IN(state) (1u << SMTP_CLIENT_STATE_##state)

static inline bool smtp_client_is_in(const struct smtp_client *c, unsigned states)
{
    return (states & (1u << c->state)) != 0;
}

/* The only place that assigns the state. */
void smtp_client_enter(struct smtp_client *c, enum smtp_client_state next);

/* FAILED; reply may be NULL. The stage is that of the message in flight. */
struct smtp_client_event smtp_client_fail(struct smtp_client *c, enum smtp_client_failure failure,
                                          const struct smtp_reply *reply);

/* What the session has to say before it reads on: DONE when the last awaited reply of an envelope
 * is in, BODY_WANTED when a chunk is to follow it, else MORE. */
struct smtp_client_event smtp_client_transaction_next(struct smtp_client *c, struct buffer *out);

/* A reply in ENVELOPE, BODY, FINAL or DISCARD. MORE when there is nothing to report. */
struct smtp_client_event smtp_client_transaction_reply(struct smtp_client *c,
                                                       const struct smtp_reply *reply,
                                                       struct buffer *out);

/* Whether nobody can know, when the session fails now, if the message was accepted. */
bool smtp_client_transaction_is_in_doubt(const struct smtp_client *c,
                                         enum smtp_client_failure failure);

/* The message was refused while its body was on the way by BDAT, and body_sent() is to report it.
 */
bool smtp_client_transaction_is_refused(const struct smtp_client *c, struct smtp_reply *reply_out);

/* The next reply awaited is that to DATA. */
bool smtp_client_transaction_awaits_data(const struct smtp_client *c);

/* The part of the message that the next reply belongs to. */
enum smtp_client_stage smtp_client_transaction_stage(const struct smtp_client *c);
