#include "config/draft.h"
#include "policy/domain_map.h"

_Static_assert(sizeof(enum policy_tls) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_dane) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_ip) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_limit_scope) == sizeof(int), "enum size");
_Static_assert(sizeof(enum policy_eight_bit) == sizeof(int), "enum size");
_Static_assert(sizeof(enum config_tls_version) == sizeof(int), "enum size");

static const char *const tls_words[] = {
    "off", "preferred", "required", "preferred-verify", "required-verify", "required-verify-hosted",
    NULL
};
static const char *const dane_words[] = { "off", "opportunistic", "mandatory", NULL };
static const char *const ip_words[] = { "prefer-v6", "require-v6", "prefer-v4", "require-v4",
                                        NULL };
static const char *const scope_words[] = { "domain", "address", NULL };
static const char *const eight_bit_words[] = { "bounce", "send", NULL };
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
#define TEXT(key, field, low)                                                                      \
    {                                                                                              \
        key, CONFIG_KIND_TEXT, offsetof(struct entry, field), false, low                           \
    }

/* Each field in its place; behind them, what is not of the default. */
static const struct config_key keys[POLICY_DESTINATION_FIELDS_COUNT + 1] = {
    [POLICY_DESTINATION_TLS] = WORD("tls", values.tls, tls_words),
    [POLICY_DESTINATION_KTLS] = WORD("ktls", values.ktls, config_ktls_words),
    [POLICY_DESTINATION_TLS_VERSION] =
        WORD("tls_min_version", min_version, config_tls_version_words),
    [POLICY_DESTINATION_CERTIFICATE] = TEXT("certificate", certificate, 0),
    [POLICY_DESTINATION_FALLBACK] = WORD("tls_fallback_clear", fallback, fallback_words),
    [POLICY_DESTINATION_DANE] = WORD("dane", values.dane, dane_words),
    [POLICY_DESTINATION_MTA_STS] = VALUE("mta_sts", CONFIG_KIND_BOOL, mta_sts, 0, 0),
    [POLICY_DESTINATION_IP] = WORD("ip_version", values.ip, ip_words),
    [POLICY_DESTINATION_CONNECTIONS] = VALUE("max_connections", CONFIG_KIND_NUMBER, max_connections,
                                             1, POLICY_DESTINATION_CONNECTIONS_MAX),
    [POLICY_DESTINATION_MESSAGES] =
        VALUE("max_messages_per_connection", CONFIG_KIND_NUMBER, max_messages_per_connection, 1,
              POLICY_DESTINATION_MESSAGES_PER_CONNECTION_MAX),
    [POLICY_DESTINATION_RECIPIENTS] = VALUE("max_recipients", CONFIG_KIND_NUMBER, max_recipients, 0,
                                            POLICY_DESTINATION_RECIPIENTS_MAX),
    [POLICY_DESTINATION_INTERVAL] =
        VALUE("recipients_interval", CONFIG_KIND_DURATION, recipients_interval_s,
              POLICY_DESTINATION_INTERVAL_S_MIN, POLICY_DESTINATION_INTERVAL_S_MAX),
    [POLICY_DESTINATION_SCOPE] = WORD("limit_per", values.limit_scope, scope_words),
    [POLICY_DESTINATION_CHUNKING] = VALUE("chunking", CONFIG_KIND_BOOL, chunking, 0, 0),
    [POLICY_DESTINATION_EIGHT_BIT] = WORD("eight_bit", values.eight_bit, eight_bit_words),
    [POLICY_DESTINATION_BOUNCE_PROFILE] = TEXT("bounce_profile", bounce_profile, 1),
    { "domain", CONFIG_KIND_TEXT, offsetof(struct entry, domain), true, 1 },
};

const char *config_destination_key(enum policy_destination_field field)
{
    ASSERT(field < POLICY_DESTINATION_FIELDS_COUNT);
    return keys[field].name;
}

struct sections {
    const config_setting_t *defaults, *domains;
};

static const struct config_key section_keys[] = {
    { "default", CONFIG_KIND_GROUP, offsetof(struct sections, defaults), false },
    { "domains", CONFIG_KIND_LIST, offsetof(struct sections, domains), false },
};

/* Whether the group itself has the key; there may be no group. */
static bool has(const config_setting_t *at, const char *key)
{
    return at != NULL && config_setting_get_member(at, key) != NULL;
}

/* The number of the client with the entry's certificate and lowest version: a new one if need be.
 */
static void find_client(struct config_draft *d, const config_setting_t *at, struct entry *e)
{
    struct config_tls_client *clients = d->tls_clients, client = { .min_version = e->min_version };
    size_t number = 0;

    /* "" is none: so a domain shows no certificate though the default does. */
    if (e->certificate != NULL && e->certificate[0] != '\0')
        client.certificate = config_certificate_find(d, at, e->certificate);
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

/* A certificate can be told from a stranger's only by who vouches for it (RFC 8461 4.1, too). */
static void judge_authorities(struct config_draft *d, const config_setting_t *at,
                              const struct entry *e)
{
    if (d->has_authorities)
        return;
    if (has(at, "tls") && policy_tls_is_verifying(e->values.tls))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "tls"),
                             "tls = \"%s\" needs the authorities that may vouch for hosts: tls: "
                             "ca_file",
                             policy_tls_text(e->values.tls));
    if (has(at, "mta_sts") && e->values.mta_sts)
        config_reader_report(
            &d->reader, CONFIG_ERROR, config_member(at, "mta_sts"),
            "mta_sts needs the authorities that may vouch for hosts: tls: ca_file");
}

/* What makes no sense together. What is inherited is judged where it is written. */
static void judge_tls(struct config_draft *d, const config_setting_t *at, const struct entry *e)
{
    judge_authorities(d, at, e);
    if (has(at, "dane") && e->values.dane != POLICY_DANE_OFF &&
        d->settings.dns.trust_anchor_path[0] == '\0')
        config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, "dane"),
                             "dane = \"%s\" without dns: trust_anchor: no answer is validated, and "
                             "%s",
                             policy_dane_text(e->values.dane),
                             e->values.dane == POLICY_DANE_MANDATORY ? "no mail can leave"
                                                                     : "DANE is never used");
    if (policy_tls_is_wanted(e->values.tls))
        return;
    if (has(at, "dane") && e->values.dane != POLICY_DANE_OFF)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "dane"),
                             "dane = \"%s\" needs tls = \"preferred\" or more",
                             policy_dane_text(e->values.dane));
    if (has(at, "mta_sts") && e->values.mta_sts)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "mta_sts"),
                             "mta_sts needs tls = \"preferred\" or more");
}

/* What is said, and has no effect. */
static void warn_of_idle(struct config_draft *d, const config_setting_t *at, const struct entry *e)
{
    static const char *const of_tls[] = { "ktls", "tls_min_version", "certificate",
                                          "tls_fallback_clear" };

    if (has(at, "recipients_interval") && e->values.max_recipients == 0)
        config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, "recipients_interval"),
                             "recipients_interval says nothing without max_recipients");
    if (e->fallback != 0 && policy_tls_is_required(e->values.tls) && has(at, "tls_fallback_clear"))
        config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, "tls_fallback_clear"),
                             "tls_fallback_clear says nothing with tls = \"%s\"",
                             policy_tls_text(e->values.tls));
    if (e->domain == NULL || policy_tls_is_wanted(e->values.tls))
        return; /* the default's is for the domains that take it over */
    for (size_t i = 0; i < ARRAY_LEN(of_tls); i++)
        if (has(at, of_tls[i]))
            config_reader_report(&d->reader, CONFIG_WARNING, config_member(at, of_tls[i]),
                                 "%s says nothing with tls = \"off\"", of_tls[i]);
}

/* What an entry says, judged when it could be read. */
static void finish_entry(struct config_draft *d, const config_setting_t *at, struct entry *e,
                         bool is_readable)
{
    e->values.given = 0;
    for (unsigned i = 0; i < POLICY_DESTINATION_FIELDS_COUNT; i++)
        if (has(at, keys[i].name))
            e->values.given |= (uint32_t)1 << i;
    e->values.clear_after_failed_handshake = e->fallback != 0;
    /* Without TLS there is nothing for what comes from the default to decide about. */
    if (e->domain != NULL && !policy_tls_is_wanted(e->values.tls)) {
        e->values.dane = has(at, "dane") ? e->values.dane : POLICY_DANE_OFF;
        e->values.mta_sts = has(at, "mta_sts") && e->values.mta_sts;
    }
    if (has(at, "bounce_profile") && e->bounce_profile != NULL) {
        e->values.bounce_profile = config_bounce_profile_find(d, at, e->bounce_profile);
        e->values.has_bounce_profile = true;
    }
    if (has(at, "certificate") || has(at, "tls_min_version") || e->domain == NULL)
        find_client(d, at, e);
    if (!is_readable)
        return;
    judge_tls(d, at, e);
    warn_of_idle(d, at, e);
}

static void read_destination(struct config_draft *d, const config_setting_t *list, int index,
                             struct entry e, struct policy_domain_map *seen)
{
    const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)index);
    bool is_readable;

    if (at == NULL)
        return;
    is_readable = config_read_entry(d, at, "a destination", keys, ARRAY_LEN(keys), &e);
    finish_entry(d, at, &e, is_readable);
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
    struct sections sections = { 0 };
    struct policy_domain_map seen;
    bool is_readable = true;
    int count;

    e.values.ktls = d->settings.ktls;
    for (size_t i = 0; i < d->profiles_count; i++)
        if (strcmp(d->profiles[i].name, "default") == 0)
            e.values.bounce_profile = d->profiles[i].profile;
    e.min_version = d->settings.tls_version_min;
    d->tls_clients =
        config_reader_take(&d->reader, CONFIG_TLS_CLIENTS_MAX, sizeof(*d->tls_clients));
    d->settings.tls_clients = d->tls_clients;
    if (d->tls_clients == NULL)
        return;
    if (d->root.destinations != NULL)
        (void)config_read_keys(&d->reader, d->root.destinations, "destinations", section_keys,
                               ARRAY_LEN(section_keys), &sections);
    if (sections.defaults != NULL)
        is_readable = config_read_keys(&d->reader, sections.defaults, "default", keys,
                                       POLICY_DESTINATION_FIELDS_COUNT, &e);
    finish_entry(d, sections.defaults, &e, is_readable);
    (void)config_reader_check(&d->reader, d->at,
                              policy_builder_set_destination_default(d->builder, &e.values));
    count = sections.domains != NULL ? config_setting_length(sections.domains) : 0;
    if (!policy_domain_map_init(&seen, &d->scratch, (size_t)count)) {
        d->reader.is_out_of_memory = true;
        return;
    }
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++)
        read_destination(d, sections.domains, i, e, &seen);
}
