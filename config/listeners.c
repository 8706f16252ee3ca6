#include <stdlib.h>

#include "config/draft.h"
#include "config/suggest.h"
#include "policy/domain_map.h"

#define NAME_BYTES_MAX      64
#define CONNECTIONS_MAX     10000000
#define CONNECTIONS_DEFAULT 1000
#define BACKLOG_MAX         65535
#define BACKLOG_DEFAULT     50
#define PORT_DEFAULT        25
#define MAPPED_BITS         96 /* in front of an IPv4 address, base/ip.h */

/* A listener as it is written. */
struct entry {
    const char *name, *address, *hostname, *certificate, *hat, *rat, *bounce_profile;
    uint32_t port, max_connections, max_tls_connections, backlog;
    int type, bare_newlines, ktls;
    const config_setting_t *defaults, *proxy_from, *xclient_from;
};

/* What a field holds while the file has not said it. */
#define TYPE_NONE (-1)
#define PORT_NONE 0

#define TEXT(field, required, max)                                                                 \
    {                                                                                              \
#field, CONFIG_KIND_TEXT, offsetof(struct entry, field), required, 1, max                  \
    }
#define NUMBER(field, max)                                                                         \
    {                                                                                              \
#field, CONFIG_KIND_NUMBER, offsetof(struct entry, field), false, 1, max                   \
    }
#define WORD(field, required, words)                                                               \
    {                                                                                              \
#field, CONFIG_KIND_WORD, offsetof(struct entry, field), required, 0, 0, words             \
    }

static const char *const type_words[] = { "public", "private", NULL };
static const char *const bare_newlines_words[] = { "refuse", "accept", NULL };

static const struct config_key keys[] = {
    TEXT(name, true, NAME_BYTES_MAX),
    WORD(type, true, type_words),
    TEXT(address, true, 0),
    NUMBER(port, UINT16_MAX),
    TEXT(hostname, false, 0),
    TEXT(certificate, false, 0),
    TEXT(hat, true, 0),
    TEXT(rat, false, 0),
    TEXT(bounce_profile, false, 0),
    NUMBER(max_connections, CONNECTIONS_MAX),
    NUMBER(max_tls_connections, CONNECTIONS_MAX),
    NUMBER(backlog, BACKLOG_MAX),
    WORD(bare_newlines, false, bare_newlines_words),
    WORD(ktls, false, config_ktls_words),
    { "defaults", CONFIG_KIND_GROUP, offsetof(struct entry, defaults) },
    { "proxy_from", CONFIG_KIND_STRINGS, offsetof(struct entry, proxy_from) },
    { "xclient_from", CONFIG_KIND_STRINGS, offsetof(struct entry, xclient_from) },
};

static struct config_table_draft *find_table(struct config_draft *d, const config_setting_t *at,
                                             const char *kind, const char *name)
{
    bool is_hat = strcmp(kind, "hat") == 0;
    struct config_table_draft *tables = is_hat ? d->hats : d->rats;
    size_t count = is_hat ? d->hats_count : d->rats_count;
    struct config_table_draft *found = config_table_find(tables, count, name);
    struct config_suggestion suggestion = config_suggestion_begin(name);
    const config_setting_t *section = is_hat ? d->root.hat : d->root.rat;
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    if (found != NULL) {
        found->is_used = true;
        return found;
    }
    d->has_broken_listener = true;
    if (!(is_hat ? d->has_hats : d->has_rats) ||
        (section != NULL && config_setting_get_member(section, name) != NULL))
        return NULL; /* it is there, and its own problem is reported */
    for (size_t i = 0; i < count; i++)
        config_suggestion_offer(&suggestion, tables[i].name);
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, kind),
                         "%s \"%s\" is not defined%s", kind, name,
                         config_suggestion_text(&suggestion, hint));
    return NULL;
}

static bool is_meant(const config_setting_t *at, const char *name)
{
    return config_is_meant(at, keys, ARRAY_LEN(keys), name);
}

/* For a problem of a listener whose own name is one. */
static const char *name_of(const struct config_listener *listener)
{
    return listener->name != NULL ? listener->name : "";
}

/* Without a RAT "accept" lets all mail in, too. */
static bool relays(const struct config_table_draft *hat, const struct config_listener *listener)
{
    return policy_hat_relays(listener->hat) || (hat->accepts_mail && listener->rat == NULL &&
                                                listener->type == CONFIG_LISTENER_PRIVATE);
}

/* Asks whether mail for the bare <postmaster>, RFC 5321 4.5.1, has somewhere to go: it is mail for
 * our own name. */
static void check_postmaster(struct config_draft *d, const config_setting_t *at,
                             const struct config_table_draft *hat,
                             const struct config_listener *listener)
{
    bool is_let_in = relays(hat, listener);
    struct slice name = slice_from(d->settings.hostname);
    const char *hostname;

    if (!is_let_in && hat->accepts_mail && listener->rat != NULL)
        is_let_in = policy_rat_find(listener->rat, SLICE("postmaster"), SLICE("")).action ==
                    POLICY_RAT_ACCEPT;
    if (!is_let_in || d->has_broken_route || d->has_postmaster_problem ||
        config_setting_lookup_string(d->at, "hostname", &hostname) != CONFIG_TRUE ||
        !policy_domain_is_valid(slice_from(hostname)) ||
        policy_route_find(d->snapshot, name) != NULL)
        return;
    d->has_postmaster_problem = true;
    config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, "hat"),
                         "listener \"%s\" accepts mail for <postmaster>, but no route is for the "
                         "hostname \"%s\" or ALL: its MX may lead back here",
                         name_of(listener), d->settings.hostname);
}

/* Whether a policy of the HAT that accepts mail offers TLS, so that the listener needs a
 * certificate. */
static bool offers_tls(const struct config_listener *listener)
{
    for (size_t i = 0; i < policy_hat_rows_count(listener->hat); i++) {
        const struct policy_mail_flow *flow =
            config_listener_flow(listener, policy_hat_row_flow(listener->hat, i));

        if ((flow->access == POLICY_ACCESS_ACCEPT || flow->access == POLICY_ACCESS_RELAY) &&
            flow->tls != POLICY_FLOW_TLS_OFF)
            return true;
    }
    return false;
}

/* Each policy once for each listener that has it otherwise than another. */
static void judge_flows(struct config_draft *d, const struct config_listener *listener)
{
    size_t number = d->settings.listeners_count + 1;

    for (size_t i = 0; i < policy_hat_rows_count(listener->hat); i++) {
        const struct policy_mail_flow *flow = policy_hat_row_flow(listener->hat, i);
        struct config_flow_draft *draft;

        if (flow->index >= d->flows_count)
            continue; /* it stands in for a row that is broken */
        draft = &d->flows[flow->index];
        if (draft->judged == number || (draft->is_judged && listener->flows_count == 0))
            continue;
        draft->judged = number;
        draft->is_judged = draft->is_judged || listener->flows_count == 0;
        config_judge_flow(d, draft->at, listener, config_listener_flow(listener, flow));
    }
}

static void check_peers(struct config_draft *d, const config_setting_t *at, const char *key,
                        const struct ip_prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (prefixes[i].bits == 0 ||
            (ip_is_v4(&prefixes[i].address) && prefixes[i].bits == MAPPED_BITS))
            config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, key),
                                 "%s has everybody in it: each may say that he is another", key);
}

/* What follows from the policies of the HAT. */
static void check_hat(struct config_draft *d, const config_setting_t *at,
                      const struct config_table_draft *hat, const struct config_listener *listener)
{
    if (offers_tls(listener) && !is_meant(at, "certificate"))
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "listener \"%s\" has no certificate, but a policy of its hat \"%s\" "
                             "offers TLS",
                             name_of(listener), hat->name);
    check_postmaster(d, at, hat, listener);
    judge_flows(d, listener);
}

static void find_rat(struct config_draft *d, const config_setting_t *at, const struct entry *e,
                     struct config_listener *listener)
{
    const struct config_table_draft *table;

    if (e->rat == NULL) {
        d->has_broken_listener =
            d->has_broken_listener || is_meant(at, "rat") || e->type != CONFIG_LISTENER_PRIVATE;
        if (e->type == CONFIG_LISTENER_PUBLIC && !is_meant(at, "rat"))
            config_reader_report(&d->reader, CONFIG_ERROR, at,
                                 "public listener \"%s\" has no rat: it would accept mail for "
                                 "anybody",
                                 name_of(listener));
        return;
    }
    table = find_table(d, at, "rat", e->rat);
    if (table != NULL)
        listener->rat = policy_snapshot_rat(d->snapshot, slice_from(table->name));
    if (e->type == CONFIG_LISTENER_PRIVATE)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "rat"),
                             "private listener \"%s\" cannot have a rat", name_of(listener));
}

static void resolve_names(struct config_draft *d, const config_setting_t *at, const struct entry *e,
                          struct config_listener *listener)
{
    const struct config_table_draft *hat = e->hat != NULL ? find_table(d, at, "hat", e->hat) : NULL;

    d->has_broken_listener = d->has_broken_listener || e->hat == NULL;
    if (hat != NULL)
        listener->hat = policy_snapshot_hat(d->snapshot, slice_from(hat->name));
    find_rat(d, at, e, listener);
    if (listener->hat != NULL)
        check_hat(d, at, hat, listener);
    if (e->certificate != NULL)
        listener->certificate = config_certificate_find(d, at, e->certificate);
    if (e->bounce_profile != NULL)
        listener->bounce_profile = config_bounce_profile_find(d, at, e->bounce_profile);
}

/* The policies as they are at this listener. */
static void read_defaults(struct config_draft *d, const config_setting_t *at,
                          struct config_listener *listener)
{
    struct policy_mail_flow defaults = config_read_flow_defaults(d, at);
    struct policy_mail_flow *flows;

    if (at == NULL)
        return;
    flows = config_reader_take(&d->reader, d->flows_count, sizeof(*flows));
    if (flows == NULL)
        return;
    for (size_t i = 0; i < d->flows_count; i++) {
        ASSERT(d->flows[i].flow->index == i);
        flows[i] = policy_mail_flow_inherit(d->flows[i].flow, &defaults);
    }
    listener->flows = flows;
    listener->flows_count = d->flows_count;
    listener->defaults_given = defaults.given;
}

static void read_peers(struct config_draft *d, const config_setting_t *list,
                       const struct ip_prefix **prefixes_out, size_t *count_out)
{
    struct ip_prefix *prefixes;

    config_read_prefixes(&d->reader, list, &prefixes, count_out);
    *prefixes_out = prefixes;
    if (*count_out <= CONFIG_PEERS_MAX)
        return;
    config_reader_report(&d->reader, CONFIG_ERROR, list, "%s has more than %d entries",
                         config_setting_name(list), CONFIG_PEERS_MAX);
    *count_out = 0;
}

static void check_unique(struct config_draft *d, const config_setting_t *at,
                         const struct config_listener *listener)
{
    for (size_t i = 0; i < d->settings.listeners_count; i++) {
        const struct config_listener *other = &d->settings.listeners[i];
        char text[IP_ENDPOINT_MAX];

        if (listener->name != NULL && strcmp(name_of(other), listener->name) == 0)
            config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "name"),
                                 "listener \"%s\" stands twice", listener->name);
        if (listener->endpoint.port != PORT_NONE &&
            ip_endpoint_equal(&other->endpoint, &listener->endpoint))
            config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "address"),
                                 "listener \"%s\" has the address of listener \"%s\": %s",
                                 name_of(listener), name_of(other),
                                 ip_endpoint_format(&listener->endpoint, text));
    }
}

/* The port is PORT_NONE unless all of the endpoint is known. */
static struct ip_endpoint read_endpoint(struct config_draft *d, const config_setting_t *at,
                                        const struct entry *e)
{
    struct ip_endpoint endpoint = { .port = (uint16_t)e->port };

    if (e->port == PORT_NONE && !is_meant(at, "port"))
        endpoint.port = PORT_DEFAULT;
    if (e->address == NULL) {
        endpoint.port = PORT_NONE;
    } else if (!ip_parse(slice_from(e->address), &endpoint.address)) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "address"),
                             "address = \"%s\" is not an IPv4 or IPv6 address", e->address);
        endpoint.port = PORT_NONE;
    }
    return endpoint;
}

/* What is wrong leaves the field as it is when nothing is known: NULL, or PORT_NONE. The others
 * are compared with it all the same. */
static void read_listener(struct config_draft *d, const config_setting_t *at,
                          struct config_listener *listener)
{
    struct entry e = { .port = PORT_NONE,
                       .max_connections = CONNECTIONS_DEFAULT,
                       .max_tls_connections = CONNECTIONS_MAX,
                       .backlog = BACKLOG_DEFAULT,
                       .type = TYPE_NONE,
                       .ktls = (int)d->settings.ktls,
                       .hostname = d->settings.hostname };

    (void)config_read_keys(&d->reader, at, "a listener", keys, ARRAY_LEN(keys), &e);
    *listener = (struct config_listener){
        .name = e.name,
        .type =
            e.type == CONFIG_LISTENER_PRIVATE ? CONFIG_LISTENER_PRIVATE : CONFIG_LISTENER_PUBLIC,
        .endpoint = read_endpoint(d, at, &e),
        .hostname = e.hostname,
        .max_connections = e.max_connections,
        .max_tls_connections = e.max_tls_connections,
        .backlog = e.backlog,
        .bare_newlines = (enum config_bare_newlines)e.bare_newlines,
        .ktls = (enum policy_ktls)e.ktls,
    };
    if (!policy_domain_is_valid(slice_from(e.hostname)) && e.hostname != d->settings.hostname)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "hostname"),
                             "hostname = \"%s\" is not a host name", e.hostname);
    read_peers(d, e.proxy_from, &listener->proxies, &listener->proxies_count);
    read_peers(d, e.xclient_from, &listener->xclients, &listener->xclients_count);
    check_peers(d, at, "proxy_from", listener->proxies, listener->proxies_count);
    check_peers(d, at, "xclient_from", listener->xclients, listener->xclients_count);
    read_defaults(d, e.defaults, listener);
    resolve_names(d, at, &e, listener);
}

void config_read_listeners(struct config_draft *d)
{
    const config_setting_t *list = d->root.listeners;
    int count = list != NULL ? config_setting_length(list) : 0;
    struct config_listener *listeners;

    if (list == NULL)
        return;
    if (count < 1 || count > CONFIG_LISTENERS_MAX) {
        d->has_broken_listener = true;
        config_reader_report(&d->reader, CONFIG_ERROR, list, "there have to be 1 to %d listeners",
                             CONFIG_LISTENERS_MAX);
        count = count < 1 ? 0 : CONFIG_LISTENERS_MAX;
    }
    listeners = config_reader_take(&d->reader, (size_t)count, sizeof(*listeners));
    d->settings.listeners = listeners;
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++) {
        const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)i);
        struct config_listener *listener = &listeners[d->settings.listeners_count];

        if (at == NULL) {
            d->has_broken_listener = true;
            continue;
        }
        read_listener(d, at, listener);
        check_unique(d, at, listener);
        d->settings.listeners_count++;
    }
}
