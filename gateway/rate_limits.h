/* gateway/rate_limits.h - the rates of mail flow policies, counted over all workers and listeners.
 *
 * All listeners count in one table, and each compares with the limit of its own policy, as AsyncOS
 * does. The table outlives every configuration. Any thread.
 */
#pragma once
#include "base/ip.h"
#include "base/rates.h"
#include "policy/mail_flow.h"

/* Who is counted: the client whose address shares the policy's significant bits. */
struct gateway_client {
    const struct policy_mail_flow *flow;
    struct ip_address address;
    uint32_t interval_s; /* of "per hour": limits.rate_interval */
    uint64_t now_s;      /* monotonic */
};

/* One more recipient accepted from the client; false: that would be one too many. */
bool gateway_rates_take_recipient(struct rates_table *rates, const struct gateway_client *client);
void gateway_rates_give_recipient(struct rates_table *rates, const struct gateway_client *client);

/* The same for an envelope sender, "user@example.com" in any case, from whichever client. */
bool gateway_rates_take_sender(struct rates_table *rates, const struct gateway_client *client,
                               struct slice sender);
void gateway_rates_give_sender(struct rates_table *rates, const struct gateway_client *client,
                               struct slice sender);

/* One more invalid recipient; false: more than the policy stands. */
bool gateway_rates_count_invalid(struct rates_table *rates, const struct gateway_client *client);

/* Whether there were more than that already in this interval. */
bool gateway_rates_is_harvesting(struct rates_table *rates, const struct gateway_client *client);

/* What is counted for a client now. */
struct gateway_rates_state {
    uint32_t recipients;
    uint32_t invalid_recipients;
};

struct gateway_rates_state gateway_rates_look(struct rates_table *rates,
                                              const struct gateway_client *client);
