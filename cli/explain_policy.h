/* cli/explain_policy.h - a mail flow policy as it is used at a listener, value by value.
 *
 * Each value comes from the policy itself, from the listener's defaults, or is the usual one.
 */
#pragma once
#include "config/settings.h"

/* flow is the policy as it was written. */
void cli_policy_print(const struct config_listener *listener, const struct policy_mail_flow *flow);

/* The same as a member "policy" of the JSON object that is open. */
void cli_policy_print_json(const struct config_listener *listener,
                           const struct policy_mail_flow *flow);
