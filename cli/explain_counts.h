/* cli/explain_counts.h - what a running gateway counts for a client, asked over its admin socket.
 */
#pragma once
#include "config/settings.h"

struct cli_counts {
    uint64_t connections; /* at the listener */
    uint64_t recipients;  /* of this interval, over all listeners */
    uint64_t invalid_recipients;
};

/* flow: the policy at the listener, whose significant bits count. False, with the error printed as
 * that of the command `what`. */
MUST_USE bool cli_counts_ask(const char *what, const struct config_settings *settings,
                             const struct config_listener *listener,
                             const struct policy_mail_flow *flow, const struct ip_address *address,
                             struct cli_counts *counts_out);
