/* gateway/outbound_trouble.h - why a host could not be used, kept in words for who asks what its
 * mail waits for (gateway/queue_why.h).
 */
#pragma once
#include "gateway/outbound.h"

/* Before the scheduler hears of the failure. reply: what the host said last, or NULL. */
void gateway_outbound_note_trouble(const struct gateway_outbound *out, enum delivery_failure why,
                                   const struct smtp_reply *reply);
