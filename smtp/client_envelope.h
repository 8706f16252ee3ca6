/* smtp/client_envelope.h - inside the client session: what of an envelope goes over the wire.
 *
 * Pure: a server's capabilities and an envelope in, command lines or a refusal out. For client*.c
 * only.
 */
#pragma once
#include "smtp/client.h"

/* Whether a server that can do this can take the message at all; else the reply that stands for
 * its refusal, its text in the buffer (or nowhere, when there is no memory). */
bool smtp_client_envelope_is_possible(const struct smtp_client_envelope *e,
                                      const struct smtp_client_capabilities *can,
                                      struct buffer *text, struct smtp_reply *reply_out);

/* How many of the recipients, from the first on, may be in one transaction; 1..count. */
size_t smtp_client_envelope_recipients_max(const struct smtp_client_envelope *e,
                                           const struct smtp_client_capabilities *can);

/* Append a command, whole or not at all: STATUS_LIMIT, STATUS_NO_MEMORY. */
MUST_USE enum status smtp_client_mail_write(const struct smtp_client_envelope *e,
                                            const struct smtp_client_capabilities *can,
                                            struct buffer *out);
MUST_USE enum status smtp_client_rcpt_write(const struct smtp_client_envelope *e, size_t recipient,
                                            const struct smtp_client_capabilities *can,
                                            struct buffer *out);
