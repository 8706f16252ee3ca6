/* gateway/outbound_log.h - how outbound connections are told of, in the log and to the scheduler.
 */
#pragma once
#include "delivery/outcome.h"
#include "gateway/outbound.h"

void gateway_outbound_log_new(const struct gateway_outbound *out);

/* It could not be connected; an errno. */
void gateway_outbound_log_connect(const struct gateway_outbound *out, int error);

/* STARTTLS was answered with something else than 220, or MAIL in a way that speaks of the host. */
void gateway_outbound_log_reply(const struct gateway_outbound *out, const struct smtp_reply *reply);

/* The session failed: a "Connection Error" line, except for a quiet end. */
void gateway_outbound_log_failure(const struct gateway_outbound *out,
                                  const struct smtp_client_event *event);

/* Why the host could not be used, of a FAILED event. */
enum delivery_failure gateway_outbound_failure(const struct smtp_client_event *event);

/* The words of delivery/outcome.h for the client's stage. */
enum delivery_stage gateway_outbound_stage(enum smtp_client_stage stage);
