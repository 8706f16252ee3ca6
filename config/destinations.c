#include "config/draft.h"
#include "config/suggest.h"
#include "policy/domain_map.h"

_Static_assert(sizeof(enum policy_tls) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_dane) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_ip) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_limit_scope) == sizeof(int), "enum size");
_Static_assert(sizeof(enum config_tls_version) == sizeof(int), "enum size");

static const char *const tls_words[] = {
    "off", "preferred", "required", "preferred-verify", "required-verify", "required-verify-hosted",
    NULL
};
static const char *const dane_words[] = { "off", "opportunistic", "mandatory", NULL };
static const char *const ip_words[] = { "prefer-v6", "require-v6", "prefer-v4", "require-v4",
                                        NULL };
static const char *const scope_words[] = { "domain", "address", NULL };
static const char *const fallback_words[] = { "never", "after-failed-handshake", NULL };

/* An entry of the destinations as it is written. */
struct entry {
    struct policy_destination values;
    const char *domain;
    const char *bounce_profile;
    const char *certificate;
    int fallback; /* of fallback_words */
    enum config_tls_version min_version;
};

#define VALUE(key, kind, field, ...)                                                               \
    {                                                                                              \
        key, kind, offsetof(struct entry, values.field), false, __VA_ARGS__                        \
    }
#define WORD(key, field, words)                                                                    \
    {                                                                                              \
        key, CONFIG_KIND_WORD, offsetof(struct entry, field), false, 0, 0, words                   \
    }
#define TEXT(key, field)                                                                           \
    {                                                                                              \
        key, CONFIG_KIND_TEXT, offsetof(struct entry, field), false, 1                             \
    }

/* The first one is not of the default. */
static const struct config_key keys[] = {
    { "domain", CONFIG_KIND_TEXT, offsetof(struct entry, domain), true, 1 },
    WORD("tls", values.tls, tls_words),
    WORD("ktls", values.ktls, config_ktls_words),
    WORD("tls_min_version", min_version, config_tls_version_words),
    WORD("tls_fallback_clear", fallback, fallback_words),
    TEXT("certificate", certificate),
    WORD("dane", values.dane, dane_words),
    VALUE("mta_sts", CONFIG_KIND_BOOL, mta_sts, 0, 0),
    WORD("ip_version", values.ip, ip_words),
    VALUE("max_connections", CONFIG_KIND_NUMBER, max_connections, 1,
          POLICY_DESTINATION_CONNECTIONS_MAX),
    VALUE("max_messages_per_connection", CONFIG_KIND_NUMBER, max_messages_per_connection, 1,
          POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX),
    VALUE("max_recipients", CONFIG_KIND_NUMBER, max_recipients, 0,
          POLICY_DESTINATION_RECIPIENTS_MAX),
    VALUE("recipients_interval", CONFIG_KIND_DURATION, recipients_interval_s,
          POLICY_DESTINATION_INTERVAL_S_MIN, POLICY_DESTINATION_INTERVAL_S_MAX),
    WORD("limit_per", values.limit_scope, scope_words),
    TEXT("bounce_profile", bounce_profile),
};

struct sections {
    const config_setting_t *defaults, *domains;
};

static const struct config_key section_keys[] = {
    { "default", CONFIG_KIND_GROUP, offsetof(struct sections, defaults), false },
    { "domains", CONFIG_KIND_LIST, offsetof(struct sections, domains), false },
};

/* Not one with a problem of its own, that is. */
static bool is_profile_unknown(const struct config_draft *d, const char *name)
{
    const config_setting_t *section = d->root.bounce_profiles;

    return d->has_bounce_profiles &&
           (section == NULL || config_setting_get_member(section, name) == NULL);
}

/* Puts the profile that the entry names into its values. */
static void find_profile(struct config_draft *d, const config_setting_t *at, struct entry *e)
{
    struct config_suggestion suggestion;
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    if (e->bounce_profile == NULL)
        return;
    suggestion = config_suggestion_begin(e->bounce_profile);
    e->values.has_bounce_profile = true;
    e->values.bounce_profile = config_bounce_profile_find(d, e->bounce_profile, &suggestion);
    if (e->values.bounce_profile == NULL && is_profile_unknown(d, e->bounce_profile))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "bounce_profile"),
                             "bounce_profile \"%s\" is not in bounce_profiles%s", e->bounce_profile,
                             config_suggestion_text(&suggestion, hint));
}

static const struct config_certificate *find_certificate(struct config_draft *d,
                                                         const config_setting_t *at,
                                                         const char *name)
{
    struct config_suggestion suggestion = config_suggestion_begin(name);
    char hint[CONFIG_SUGGESTION_TEXT_MAX];

    for (size_t i = 0; i < d->settings.certificates_count; i++) {
        if (strcmp(d->certificates[i].name, name) == 0) {
            d->certificate_drafts[i].is_used = true;
            return &d->certificates[i];
        }
        config_suggestion_offer(&suggestion, d->certificates[i].name);
    }
    if (d->has_certificates && (d->root.certificates == NULL ||
                                config_setting_get_member(d->root.certificates, name) == NULL))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "certificate"),
                             "certificate \"%s\" is not in certificates%s", name,
                             config_suggestion_text(&suggestion, hint));
    return NULL;
}

/* The number of the client with the entry's certificate and lowest version: a new one if need be.
 */
static void find_client(struct config_draft *d, const config_setting_t *at, struct entry *e)
{
    struct config_tls_client *clients = d->tls_clients, client = { .min_version = e->min_version };
    size_t number = 0;

    if (e->certificate != NULL)
        client.certificate = find_certificate(d, at, e->certificate);
    while (number < d->settings.tls_clients_count &&
           (clients[number].certificate != client.certificate ||
            clients[number].min_version != client.min_version))
        number++;
    if (number == CONFIG_TLS_CLIENTS_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "there are more than %d pairs of certificate and tls_min_version",
                             CONFIG_TLS_CLIENTS_MAX);
        return;
    }
    if (number == d->settings.tls_clients_count)
        clients[d->settings.tls_clients_count++] = client;
    e->values.tls_client = (uint32_t)number;
}

/* What makes no sense together; at is where it is written. */
static void judge_entry(struct config_draft *d, const config_setting_t *at, const struct entry *e)
{
    if (policy_tls_is_wanted(e->values.tls))
        return;
    if (e->values.dane != POLICY_DANE_OFF)
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "dane = \"%s\" needs tls = \"preferred\" or more",
                             policy_dane_text(e->values.dane));
    if (e->values.mta_sts)
        config_reader_report(&d->reader, CONFIG_ERROR, at,
                             "mta_sts needs tls = \"preferred\" or more");
}

static void finish_entry(struct config_draft *d, const config_setting_t *at, struct entry *e)
{
    e->values.clear_after_failed_handshake = e->fallback != 0;
    find_profile(d, at, e);
    find_client(d, at, e);
    judge_entry(d, at, e);
}

static void read_destination(struct config_draft *d, const config_setting_t *list, int index,
                             struct entry e, struct policy_domain_map *seen)
{
    const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)index);

    if (at == NULL)
        return;
    (void)config_read_keys(&d->reader, at, "a destination", keys, ARRAY_LEN(keys), &e);
    finish_entry(d, at, &e);
    if (e.domain == NULL)
        return;
    e.values.name = slice_from(e.domain);
    if (!policy_domain_is_valid(e.values.name) && !policy_domain_is_partial(e.values.name)) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "domain"),
                             "\"%s\" is not a domain or \".domain\"", e.domain);
        return;
    }
    if (config_domain_is_new(d, seen, list, index, e.domain))
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
    e.values.bounce_profile = config_bounce_profile_find(d, "default", &unused);
    e.min_version = d->settings.tls_version_min;
    d->tls_clients =
        config_reader_take(&d->reader, CONFIG_TLS_CLIENTS_MAX, sizeof(*d->tls_clients));
    d->settings.tls_clients = d->tls_clients;
    if (d->tls_clients == NULL)
        return;
    if (d->root.destinations != NULL)
        (void)config_read_keys(&d->reader, d->root.destinations, "destinations", section_keys,
                               ARRAY_LEN(section_keys), &sections);
    if (sections.defaults != NULL) {
        (void)config_read_keys(&d->reader, sections.defaults, "default", &keys[1],
                               ARRAY_LEN(keys) - 1, &e);
    }
    finish_entry(d, sections.defaults != NULL ? sections.defaults : d->at, &e);
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
