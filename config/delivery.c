#include "config/draft.h"
#include "config/suggest.h"
#include "policy/domain_map.h"

#define BOUNCE(key, kind, field, low, high)                                                        \
    {                                                                                              \
        key, kind, offsetof(struct policy_bounce_profile, field), false, low, high                 \
    }
#define LIMIT(key, field, high)                                                                    \
    {                                                                                              \
        key, CONFIG_KIND_NUMBER, offsetof(struct entry, values.field), false, 1, high              \
    }
#define TLS                                                                                        \
    {                                                                                              \
        "tls", CONFIG_KIND_WORD, offsetof(struct entry, values.tls), false, 0, 0, tls_words        \
    }
#define KTLS                                                                                       \
    {                                                                                              \
        "ktls", CONFIG_KIND_WORD, offsetof(struct entry, values.ktls), false, 0, 0,                \
            config_ktls_words                                                                      \
    }
#define MAX_CONNECTIONS                                                                            \
    LIMIT("max_connections", max_connections, POLICY_DESTINATION_CONNECTIONS_MAX)
#define MAX_MESSAGES                                                                               \
    LIMIT("max_messages_per_connection", max_messages_per_connection,                              \
          POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX)
#define PROFILE                                                                                    \
    {                                                                                              \
        "bounce_profile", CONFIG_KIND_TEXT, offsetof(struct entry, bounce_profile), false, 1       \
    }

_Static_assert(sizeof(enum policy_tls) == sizeof(int), "enum size");

static const char *const tls_words[] = {
    "off", "preferred", "required", "preferred-verify", "required-verify", "required-verify-hosted",
    NULL
};

static const struct config_key bounce_keys[] = {
    BOUNCE("initial_retry", CONFIG_KIND_DURATION, initial_retry_s, 1, 86400),
    BOUNCE("max_retry", CONFIG_KIND_DURATION, max_retry_s, 1, 86400),
    BOUNCE("max_age", CONFIG_KIND_DURATION, max_age_s, 1, POLICY_BOUNCE_MAX_AGE_S_MAX),
    BOUNCE("max_retries", CONFIG_KIND_NUMBER, max_retries, 0, 10000),
};

/* An entry of the destinations as it is written. */
struct entry {
    struct policy_destination values;
    const char *domain;
    const char *bounce_profile;
};

static const struct config_key default_keys[] = {
    TLS, KTLS, MAX_CONNECTIONS, MAX_MESSAGES, PROFILE,
};

static const struct config_key domain_keys[] = {
    { "domain", CONFIG_KIND_TEXT, offsetof(struct entry, domain), true, 1 },
    TLS,
    KTLS,
    MAX_CONNECTIONS,
    MAX_MESSAGES,
    PROFILE,
};

struct sections {
    const config_setting_t *defaults, *domains;
};

static const struct config_key section_keys[] = {
    { "default", CONFIG_KIND_GROUP, offsetof(struct sections, defaults), false },
    { "domains", CONFIG_KIND_LIST, offsetof(struct sections, domains), false },
};

struct route_entry {
    const char *domain;
    const config_setting_t *to;
};

static const struct config_key route_keys[] = {
    { "domain", CONFIG_KIND_TEXT, offsetof(struct route_entry, domain), true, 1 },
    { "to", CONFIG_KIND_STRINGS, offsetof(struct route_entry, to), true },
};

/* A duration that is left out has its default; one that is wrong stays 0, not known. */
static void set_absent(const config_setting_t *at, const char *name, uint32_t value,
                       uint32_t *field)
{
    if (*field == 0 && !config_is_meant(at, bounce_keys, ARRAY_LEN(bounce_keys), name))
        *field = value;
}

static void read_bounce_profile(struct config_draft *d, const config_setting_t *at)
{
    struct policy_bounce_profile profile = policy_bounce_profile_default();
    struct config_profile_draft *draft = &d->profiles[d->profiles_count];
    struct policy_bounce_profile defaults = profile;

    if (!config_setting_is_group(at)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "bounce profile \"%s\" has to be a group", config_setting_name(at));
        return;
    }
    profile.initial_retry_s = profile.max_retry_s = 0;
    (void)config_read_keys(&d->reader, at, config_setting_name(at), bounce_keys,
                           ARRAY_LEN(bounce_keys), &profile);
    set_absent(at, "initial_retry", defaults.initial_retry_s, &profile.initial_retry_s);
    set_absent(at, "max_retry", defaults.max_retry_s, &profile.max_retry_s);
    if (profile.max_retry_s > 0 && profile.initial_retry_s > profile.max_retry_s)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "initial_retry"),
                             "initial_retry is longer than max_retry");
    profile.name = slice_from(config_setting_name(at));
    if (!config_reader_check(
            &d->reader, at,
            policy_builder_add_bounce_profile(d->builder, &profile, &draft->profile)))
        return;
    draft->name = config_setting_name(at);
    d->profiles_count++;
}

void config_read_bounce_profiles(struct config_draft *d)
{
    size_t count = config_members_count(d, d->root.bounce_profiles, CONFIG_BOUNCE_PROFILES_MAX);

    d->profiles = config_draft_take(d, count, sizeof(*d->profiles));
    for (size_t i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_bounce_profile(d, config_setting_get_elem(d->root.bounce_profiles, (unsigned)i));
}

static const struct policy_bounce_profile *find_profile(const struct config_draft *d,
                                                        const char *name,
                                                        struct config_suggestion *suggestion)
{
    for (size_t i = 0; i < d->profiles_count; i++) {
        if (strcmp(d->profiles[i].name, name) == 0)
            return d->profiles[i].profile;
        config_suggestion_offer(suggestion, d->profiles[i].name);
    }
    return NULL;
}

/* Not one with a problem of its own, that is. */
static bool is_profile_unknown(const struct config_draft *d, const char *name)
{
    const config_setting_t *section = d->root.bounce_profiles;

    return d->has_bounce_profiles &&
           (section == NULL || config_setting_get_member(section, name) == NULL);
}

/* Puts the profile that the entry names into its values, and judges what the version cannot do. */
static void finish_entry(struct config_draft *d, const config_setting_t *at, struct entry *e)
{
    struct config_suggestion suggestion;
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    if (config_setting_get_member(at, "tls") != NULL && e->values.tls > POLICY_TLS_REQUIRED)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "tls"),
                             "tls = \"%s\" is not supported by this version",
                             policy_tls_text(e->values.tls));
    if (e->values.tls > POLICY_TLS_REQUIRED)
        e->values.tls = POLICY_TLS_REQUIRED; /* so that nobody inherits the problem */
    if (e->bounce_profile == NULL)
        return;
    suggestion = config_suggestion_begin(e->bounce_profile);
    e->values.bounce_profile = find_profile(d, e->bounce_profile, &suggestion);
    if (e->values.bounce_profile == NULL && is_profile_unknown(d, e->bounce_profile))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "bounce_profile"),
                             "bounce_profile \"%s\" is not in bounce_profiles%s", e->bounce_profile,
                             config_suggestion_text(&suggestion, hint));
}

/* Marks a domain as seen; a second one is a problem, reported with the line of the first. */
static bool is_new_domain(struct config_draft *d, struct policy_domain_map *seen,
                          const config_setting_t *list, int index, const char *domain)
{
    struct slice key = policy_domain_normal(slice_from(domain));
    const config_setting_t *first;
    size_t number;

    if (!policy_domain_map_get(seen, key, &number)) {
        policy_domain_map_add(seen, key, (size_t)index);
        return true;
    }
    first = config_setting_get_elem(list, (unsigned)number);
    config_reader_report(&d->reader, CONFIG_ERROR, config_setting_get_elem(list, (unsigned)index),
                         "domain \"%s\" stands already in line %u", domain,
                         config_reader_line(&d->reader, first));
    return false;
}

static void read_destination(struct config_draft *d, const config_setting_t *list, int index,
                             struct entry e, struct policy_domain_map *seen)
{
    const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)index);

    if (at == NULL)
        return;
    (void)config_read_keys(&d->reader, at, "a destination", domain_keys, ARRAY_LEN(domain_keys),
                           &e);
    finish_entry(d, at, &e);
    if (e.domain == NULL)
        return;
    e.values.name = slice_from(e.domain);
    if (!policy_domain_is_valid(e.values.name) && !policy_domain_is_partial(e.values.name)) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "domain"),
                             "\"%s\" is not a domain or \".domain\"", e.domain);
        return;
    }
    if (is_new_domain(d, seen, list, index, e.domain))
        (void)config_reader_check(&d->reader, at,
                                  policy_builder_add_destination(d->builder, &e.values));
}

void config_read_destinations(struct config_draft *d)
{
    struct entry e = { .values = policy_destination_default() };
    struct config_suggestion unused = config_suggestion_begin("");
    struct sections sections = { 0 };
    struct policy_domain_map seen;
    int count;

    e.values.ktls = d->settings.ktls;
    e.values.bounce_profile = find_profile(d, "default", &unused);
    if (d->root.destinations != NULL)
        (void)config_read_keys(&d->reader, d->root.destinations, "destinations", section_keys,
                               ARRAY_LEN(section_keys), &sections);
    if (sections.defaults != NULL) {
        (void)config_read_keys(&d->reader, sections.defaults, "default", default_keys,
                               ARRAY_LEN(default_keys), &e);
        finish_entry(d, sections.defaults, &e);
    }
    (void)config_reader_check(&d->reader, d->at,
                              policy_builder_set_destination_default(d->builder, &e.values));
    count = sections.domains != NULL ? config_setting_length(sections.domains) : 0;
    e.bounce_profile = NULL;
    if (!policy_domain_map_init(&seen, &d->scratch, (size_t)count)) {
        d->reader.is_out_of_memory = true;
        return;
    }
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_destination(d, sections.domains, i, e, &seen);
}

/* Fills host->endpoints; false, with a problem, when there is no address. */
static bool find_addresses(struct config_draft *d, const config_setting_t *at,
                           struct policy_route_host *host, struct ip_endpoint *endpoints)
{
    struct config_resolver *resolver = d->reader.options->resolver;
    struct ip_address addresses[POLICY_ROUTE_ADDRESSES_MAX];
    const char *name, *why = "there is no resolver";
    bool is_address;
    size_t count = 0;

    if (!policy_route_host_parse(slice_from(config_setting_get_string(at)), host, &is_address,
                                 &endpoints[0])) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "\"%s\" is not a host: \"192.0.2.1:25\", \"[2001:db8::1]:25\" or "
                             "\"mx.example.com:25\"",
                             config_setting_get_string(at));
        return false;
    }
    host->endpoints = endpoints;
    host->endpoints_count = 1;
    if (is_address)
        return true;
    name = arena_text(&d->scratch, host->host);
    if (name == NULL) {
        d->reader.is_out_of_memory = true;
        return false;
    }
    if (resolver == NULL || !resolver->resolve(resolver, name, addresses, &count, &why)) {
        config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot resolve \"%s\": %s", name, why);
        return false;
    }
    ASSERT(count > 0 && count <= POLICY_ROUTE_ADDRESSES_MAX);
    for (size_t i = 0; i < count; i++)
        endpoints[i] = (struct ip_endpoint){ addresses[i], host->port };
    host->endpoints_count = count;
    return true;
}

/* Fills the hosts of a route. One that is wrong keeps its place, with an endpoint that is none: the
 * domain has a route, and the configuration is refused. */
static size_t read_hosts(struct config_draft *d, const config_setting_t *to,
                         struct policy_route_host hosts[POLICY_ROUTE_HOSTS_MAX],
                         struct ip_endpoint (*endpoints)[POLICY_ROUTE_ADDRESSES_MAX])
{
    int length = to != NULL ? config_setting_length(to) : 0;
    size_t count = 0;

    if (length > POLICY_ROUTE_HOSTS_MAX)
        config_reader_report(&d->reader, CONFIG_ERROR, to, "a route has at most %d hosts",
                             POLICY_ROUTE_HOSTS_MAX);
    for (int i = 0; i < length && count < POLICY_ROUTE_HOSTS_MAX; i++) {
        const config_setting_t *at = config_setting_get_elem(to, (unsigned)i);

        if (!find_addresses(d, at, &hosts[count], endpoints[count])) {
            endpoints[count][0] = (struct ip_endpoint){ 0 };
            hosts[count] =
                (struct policy_route_host){ .endpoints = endpoints[count], .endpoints_count = 1 };
        }
        count++;
    }
    if (count > 0)
        return count;
    endpoints[0][0] = (struct ip_endpoint){ 0 };
    hosts[0] = (struct policy_route_host){ .endpoints = endpoints[0], .endpoints_count = 1 };
    return 1;
}

static void read_route(struct config_draft *d, int index, struct policy_domain_map *seen)
{
    struct ip_endpoint endpoints[POLICY_ROUTE_HOSTS_MAX][POLICY_ROUTE_ADDRESSES_MAX];
    struct policy_route_host hosts[POLICY_ROUTE_HOSTS_MAX];
    const config_setting_t *at = config_element_group(&d->reader, d->root.routes, (unsigned)index);
    struct policy_route route = { .hosts = hosts };
    struct route_entry e = { 0 };

    if (at != NULL)
        (void)config_read_keys(&d->reader, at, "a route", route_keys, ARRAY_LEN(route_keys), &e);
    route.hosts_count = read_hosts(d, e.to, hosts, endpoints);
    if (e.domain == NULL) {
        d->has_broken_route = true;
        return;
    }
    route.name = slice_from(e.domain);
    if (!policy_domain_is_valid(route.name) && !policy_domain_is_partial(route.name) &&
        !slice_is_word(route.name, "ALL")) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "domain"),
                             "\"%s\" is not a domain, \".domain\" or \"ALL\"", e.domain);
        d->has_broken_route = true;
        return;
    }
    if (is_new_domain(d, seen, d->root.routes, index, e.domain))
        (void)config_reader_check(&d->reader, at, policy_builder_add_route(d->builder, &route));
}

void config_read_routes(struct config_draft *d)
{
    int count = d->root.routes != NULL ? config_setting_length(d->root.routes) : 0;
    struct policy_domain_map seen;

    if (!policy_domain_map_init(&seen, &d->scratch, (size_t)count)) {
        d->reader.is_out_of_memory = true;
        return;
    }
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_route(d, i, &seen);
}
