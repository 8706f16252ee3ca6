#include "gateway/rate_limits.h"

#define MAPPED_BITS 96 /* in front of an IPv4 address, base/ip.h */

/* The kinds of keys. What is counted with different intervals is of different kinds, because the
 * window of a key has one length. */
enum kind { KIND_RECIPIENTS, KIND_INVALID, KIND_SENDER, KINDS_COUNT };

static uint32_t kind_of(enum kind kind, uint32_t interval_s)
{
    return interval_s * KINDS_COUNT + (uint32_t)kind;
}

static uint64_t client_key(struct rates_table *rates, enum kind kind,
                           const struct gateway_client *c)
{
    unsigned bits = ip_is_v4(&c->address) ? MAPPED_BITS + c->flow->bits_v4 : c->flow->bits_v6;

    return rates_key_address(rates, kind_of(kind, c->interval_s), &c->address, bits);
}

static uint64_t sender_key(struct rates_table *rates, const struct gateway_client *c,
                           struct slice sender)
{
    return rates_key_text(rates, kind_of(KIND_SENDER, c->flow->sender_interval_s), sender);
}

bool gateway_rates_take_recipient(struct rates_table *rates, const struct gateway_client *client)
{
    if (client->flow->max_recipients_per_hour == 0)
        return true;
    return rates_add(rates, client_key(rates, KIND_RECIPIENTS, client), 1,
                     client->flow->max_recipients_per_hour, client->interval_s, client->now_s)
        .allowed;
}

void gateway_rates_give_recipient(struct rates_table *rates, const struct gateway_client *client)
{
    if (client->flow->max_recipients_per_hour > 0)
        rates_take_back(rates, client_key(rates, KIND_RECIPIENTS, client), 1, client->now_s);
}

bool gateway_rates_take_sender(struct rates_table *rates, const struct gateway_client *client,
                               struct slice sender)
{
    const struct policy_mail_flow *flow = client->flow;

    if (flow->max_recipients_per_sender == 0)
        return true;
    return rates_add(rates, sender_key(rates, client, sender), 1, flow->max_recipients_per_sender,
                     flow->sender_interval_s, client->now_s)
        .allowed;
}

void gateway_rates_give_sender(struct rates_table *rates, const struct gateway_client *client,
                               struct slice sender)
{
    if (client->flow->max_recipients_per_sender > 0)
        rates_take_back(rates, sender_key(rates, client, sender), 1, client->now_s);
}

bool gateway_rates_count_invalid(struct rates_table *rates, const struct gateway_client *client)
{
    uint32_t max = client->flow->max_invalid_recipients;

    /* One above the limit is still counted, so that it can be told from the limit just reached. */
    return max == 0 || rates_add(rates, client_key(rates, KIND_INVALID, client), 1, max + 1,
                                 client->interval_s, client->now_s)
                               .count <= max;
}

bool gateway_rates_is_harvesting(struct rates_table *rates, const struct gateway_client *client)
{
    uint32_t max = client->flow->max_invalid_recipients;

    return max > 0 &&
           rates_get(rates, client_key(rates, KIND_INVALID, client), client->now_s) > max;
}

struct gateway_rates_state gateway_rates_look(struct rates_table *rates,
                                              const struct gateway_client *client)
{
    return (struct gateway_rates_state){
        .recipients = rates_get(rates, client_key(rates, KIND_RECIPIENTS, client), client->now_s),
        .invalid_recipients =
            rates_get(rates, client_key(rates, KIND_INVALID, client), client->now_s),
    };
}
