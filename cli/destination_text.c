#include "cli/destination_text.h"

#include <stdio.h>

#include "config/units.h"
#include "policy/tls_demand.h"

#define NOT_SENT "not sent to this host; the next one, then later, then bounced"

static const char *number(uint32_t value, char text[static CLI_DESTINATION_VALUE_MAX])
{
    (void)snprintf(text, CLI_DESTINATION_VALUE_MAX, "%u", value);
    return text;
}

const char *cli_destination_value(const struct config_settings *settings,
                                  const struct policy_destination *d,
                                  enum policy_destination_field field,
                                  char text[static CLI_DESTINATION_VALUE_MAX])
{
    const struct config_tls_client *client = &settings->tls_clients[d->tls_client];

    switch (field) {
    case POLICY_DESTINATION_TLS: return policy_tls_text(d->tls);
    case POLICY_DESTINATION_KTLS: return policy_ktls_text(d->ktls);
    case POLICY_DESTINATION_TLS_VERSION:
        return client->min_version == CONFIG_TLS_1_3 ? "1.3" : "1.2";
    case POLICY_DESTINATION_CERTIFICATE:
        return client->certificate != NULL ? client->certificate->name : "";
    case POLICY_DESTINATION_FALLBACK:
        return d->clear_after_failed_handshake ? "after-failed-handshake" : "never";
    case POLICY_DESTINATION_DANE: return policy_dane_text(d->dane);
    case POLICY_DESTINATION_MTA_STS: return d->mta_sts ? "true" : "false";
    case POLICY_DESTINATION_IP: return policy_ip_text(d->ip);
    case POLICY_DESTINATION_CONNECTIONS: return number(d->max_connections, text);
    case POLICY_DESTINATION_MESSAGES: return number(d->max_messages_per_connection, text);
    case POLICY_DESTINATION_RECIPIENTS: return number(d->max_recipients, text);
    case POLICY_DESTINATION_INTERVAL: return config_duration_format(d->recipients_interval_s, text);
    case POLICY_DESTINATION_SCOPE: return policy_limit_scope_text(d->limit_scope);
    case POLICY_DESTINATION_CHUNKING: return d->chunking ? "true" : "false";
    case POLICY_DESTINATION_EIGHT_BIT: return policy_eight_bit_text(d->eight_bit);
    case POLICY_DESTINATION_BOUNCE_PROFILE: return d->bounce_profile->name.data;
    case POLICY_DESTINATION_FIELDS_COUNT: break;
    }
    UNREACHABLE();
}

const char *cli_destination_origin(const struct policy_snapshot *policy,
                                   const struct policy_destination *d,
                                   enum policy_destination_field field)
{
    const struct policy_destination *defaults = policy_snapshot_destination_default(policy);
    bool is_of_tls = field == POLICY_DESTINATION_DANE || field == POLICY_DESTINATION_MTA_STS;

    /* tls = "off" of an entry takes both along. */
    if (d != defaults && (policy_destination_gives(d, field) ||
                          (is_of_tls && policy_destination_gives(d, POLICY_DESTINATION_TLS) &&
                           !policy_tls_is_wanted(d->tls))))
        return "entry";
    return policy_destination_gives(defaults, field) ? "default entry" : "built-in";
}

static const char *names_of(enum policy_tls_check check)
{
    switch (check) {
    case POLICY_TLS_CHECK_VERIFY:
        return "the domain as a name of the certificate, or as its CN the domain or the name of "
               "the host's address";
    case POLICY_TLS_CHECK_HOSTED:
        return "the domain or the name of its host (of the route, or its MX), as a name of the "
               "certificate; as its CN if it has no names";
    case POLICY_TLS_CHECK_NONE:
    case POLICY_TLS_CHECK_DANE:
    case POLICY_TLS_CHECK_MTA_STS: return NULL;
    }
    UNREACHABLE();
}

static const char *dane_effect(enum policy_dane dane)
{
    switch (dane) {
    case POLICY_DANE_OFF: return NULL;
    case POLICY_DANE_OPPORTUNISTIC:
        return "where a host has usable TLSA records they alone decide: what does not match is "
               "not sent to it";
    case POLICY_DANE_MANDATORY:
        return "TLSA records of the host decide: nothing is sent to a host without usable ones, or "
               "that does not match";
    }
    UNREACHABLE();
}

/* What the action means when it follows from the event. */
static const char *action_text(const struct policy_tls_demand *demand, enum policy_tls_event event)
{
    switch (policy_tls_outcome(demand, event)) {
    case POLICY_TLS_SEND_CLEAR: return "sent in clear text, on the same connection";
    case POLICY_TLS_TRY_CLEAR: return "sent in clear text, on another connection";
    case POLICY_TLS_TRY_NEXT: return NOT_SENT;
    case POLICY_TLS_SEND_ENCRYPTED: break;
    }
    return demand->check == POLICY_TLS_CHECK_NONE
               ? "sent encrypted: the certificate is not looked at"
               : "sent encrypted; the log says that it is not verified";
}

struct cli_tls_rule cli_tls_rule_of(const struct policy_destination *destination)
{
    const struct policy_tls_facts nothing = { .dane = POLICY_DANE_NOT_FOUND };
    const struct policy_tls_demand demand = policy_tls_demand_of(destination, &nothing);

    if (!demand.is_wanted)
        return (struct cli_tls_rule){ .not_offered = "sent in clear text: STARTTLS is never used",
                                      .handshake_failed = "does not arise",
                                      .unverified = "does not arise" };
    return (struct cli_tls_rule){
        .not_offered = action_text(&demand, POLICY_TLS_NOT_OFFERED),
        .handshake_failed = action_text(&demand, POLICY_TLS_HANDSHAKE_FAILED),
        .unverified = action_text(&demand, POLICY_TLS_UNVERIFIED),
        .names = names_of(demand.check),
        .dane = dane_effect(destination->dane),
        .mta_sts = destination->mta_sts
                       ? "the policy of a domain without a route decides, where DANE does not: in "
                         "mode enforce nothing is sent to a host that it does not list or that "
                         "fails its check"
                       : NULL,
    };
}
