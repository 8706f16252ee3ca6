/* gateway/session_options.h - the SMTP server's options for a listener and a mail flow policy.
 *
 * Sessions of one view share them, made when they are first needed. Where a reply of the policy has
 * variables ("$RemoteIP") a session gets options of its own, with the texts as they are for it.
 */
#pragma once
#include "gateway/generation.h"
#include "policy/reply.h"
#include "smtp/server.h"

struct gateway_session_options; /* of one session */

/* Lives as long as the view; NULL when there is no memory. flow is as it is at the listener;
 * xclient: the other end may say XCLIENT. */
const struct smtp_server_options *gateway_view_smtp_options(struct gateway_view *view,
                                                            const struct config_listener *listener,
                                                            const struct policy_mail_flow *flow,
                                                            bool xclient);
void gateway_view_options_destroy(struct gateway_view_options *options); /* accepts NULL */

/* Whether a session under this policy needs options of its own. */
bool gateway_session_options_are_own(const struct policy_mail_flow *flow);

/* Those, to be freed with the call below; NULL when there is no memory. */
struct gateway_session_options *gateway_session_options_create(
    const struct smtp_server_options *shared, const struct policy_reply_facts *facts);
void gateway_session_options_destroy(struct gateway_session_options *options); /* accepts NULL */

const struct smtp_server_options *gateway_session_options_smtp(
    const struct gateway_session_options *options);
