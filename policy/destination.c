#include "policy/destination.h"

#include "policy/snapshot_table.h"

struct policy_destination policy_destination_default(void)
{
    return (struct policy_destination){
        .name = SLICE("default"),
        .tls = POLICY_TLS_OFF,
        .chunking = true,
        .max_connections = POLICY_DESTINATION_CONNECTIONS_DEFAULT,
        .max_messages_per_connection = POLICY_DESTINATION_MESSAGES_PER_CONNECTION_DEFAULT,
        .recipients_interval_s = POLICY_DESTINATION_INTERVAL_S_DEFAULT,
    };
}

const struct policy_destination *policy_destination_find(const struct policy_snapshot *snapshot,
                                                         struct slice domain)
{
    size_t number;

    if (!policy_domain_map_find(&snapshot->destinations_map, domain, &number))
        return &snapshot->destination_default;
    return &snapshot->destinations[number];
}

const struct policy_destination *policy_destination_behind(const struct policy_snapshot *snapshot,
                                                           struct slice name)
{
    size_t label = 1;

    /* From the dot behind the first label on there are only entries for domains below it. */
    while (label < name.len && name.data[label] != '.')
        label++;
    return policy_destination_find(snapshot,
                                   slice_after(name, label < name.len ? label : name.len));
}

bool policy_destination_equal(const struct policy_destination *a,
                              const struct policy_destination *b)
{
    return a->tls == b->tls && a->ktls == b->ktls && a->dane == b->dane && a->ip == b->ip &&
           a->limit_scope == b->limit_scope && a->eight_bit == b->eight_bit &&
           a->mta_sts == b->mta_sts && a->chunking == b->chunking &&
           a->clear_after_failed_handshake == b->clear_after_failed_handshake &&
           a->has_bounce_profile == b->has_bounce_profile &&
           a->max_connections == b->max_connections &&
           a->max_messages_per_connection == b->max_messages_per_connection &&
           a->max_recipients == b->max_recipients &&
           a->recipients_interval_s == b->recipients_interval_s && a->tls_client == b->tls_client &&
           a->bounce_profile == b->bounce_profile;
}

const char *policy_tls_text(enum policy_tls tls)
{
    switch (tls) {
    case POLICY_TLS_OFF: return "off";
    case POLICY_TLS_PREFERRED: return "preferred";
    case POLICY_TLS_REQUIRED: return "required";
    case POLICY_TLS_PREFERRED_VERIFY: return "preferred-verify";
    case POLICY_TLS_REQUIRED_VERIFY: return "required-verify";
    case POLICY_TLS_REQUIRED_VERIFY_HOSTED: return "required-verify-hosted";
    }
    UNREACHABLE();
}

const char *policy_ktls_text(enum policy_ktls ktls)
{
    switch (ktls) {
    case POLICY_KTLS_AUTO: return "auto";
    case POLICY_KTLS_OFF: return "off";
    case POLICY_KTLS_TX: return "tx";
    case POLICY_KTLS_BOTH: return "both";
    }
    UNREACHABLE();
}

const char *policy_dane_text(enum policy_dane dane)
{
    switch (dane) {
    case POLICY_DANE_OFF: return "off";
    case POLICY_DANE_OPPORTUNISTIC: return "opportunistic";
    case POLICY_DANE_MANDATORY: return "mandatory";
    }
    UNREACHABLE();
}

const char *policy_ip_text(enum policy_ip ip)
{
    switch (ip) {
    case POLICY_IP_PREFER_V6: return "prefer-v6";
    case POLICY_IP_REQUIRE_V6: return "require-v6";
    case POLICY_IP_PREFER_V4: return "prefer-v4";
    case POLICY_IP_REQUIRE_V4: return "require-v4";
    }
    UNREACHABLE();
}

const char *policy_limit_scope_text(enum policy_limit_scope scope)
{
    switch (scope) {
    case POLICY_LIMIT_DOMAIN: return "domain";
    case POLICY_LIMIT_ADDRESS: return "address";
    }
    UNREACHABLE();
}

const char *policy_eight_bit_text(enum policy_eight_bit eight_bit)
{
    switch (eight_bit) {
    case POLICY_EIGHT_BIT_BOUNCE: return "bounce";
    case POLICY_EIGHT_BIT_SEND: return "send";
    }
    UNREACHABLE();
}

bool policy_tls_is_wanted(enum policy_tls tls)
{
    return tls != POLICY_TLS_OFF;
}

bool policy_tls_is_required(enum policy_tls tls)
{
    switch (tls) {
    case POLICY_TLS_OFF:
    case POLICY_TLS_PREFERRED:
    case POLICY_TLS_PREFERRED_VERIFY: return false;
    case POLICY_TLS_REQUIRED:
    case POLICY_TLS_REQUIRED_VERIFY:
    case POLICY_TLS_REQUIRED_VERIFY_HOSTED: return true;
    }
    UNREACHABLE();
}

bool policy_tls_is_verifying(enum policy_tls tls)
{
    switch (tls) {
    case POLICY_TLS_OFF:
    case POLICY_TLS_PREFERRED:
    case POLICY_TLS_REQUIRED: return false;
    case POLICY_TLS_PREFERRED_VERIFY:
    case POLICY_TLS_REQUIRED_VERIFY:
    case POLICY_TLS_REQUIRED_VERIFY_HOSTED: return true;
    }
    UNREACHABLE();
}
