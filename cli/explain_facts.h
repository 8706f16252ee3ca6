/* cli/explain_facts.h - the facts about a host that a person plays through, out of options.
 *
 * What is not given stays unknown, as if it had not been asked for.
 */
#pragma once
#include "base/check.h"
#include "policy/hat.h"

/* As they were typed; NULL: not given. */
struct cli_facts_text {
    const char *host;
    const char *reverse;
    const char *score;
    const char *country;
    const char *listed[POLICY_HAT_LISTS_MAX]; /* "ZONE" or "ZONE=ADDRESS" */
    size_t listed_count;
};

/* Everything but the lists, which depend on the HAT. CLI_GO_ON, or the exit status with everything
 * said. The sender borrows from the texts. */
MUST_USE int cli_facts_parse(const char *command, const struct cli_facts_text *text,
                             struct policy_sender *sender);

/* Whether the HAT asks the list of a "ZONE" or "ZONE=ADDRESS". */
bool cli_facts_is_list_of(const char *listed, const struct policy_hat *hat);

/* The lists of one HAT: those that were given have the host, the others are unknown, or do not
 * have it when any was given. */
void cli_facts_set_listings(const struct cli_facts_text *text, const struct policy_hat *hat,
                            struct policy_listing listings[static POLICY_HAT_LISTS_MAX],
                            struct policy_sender *sender);
