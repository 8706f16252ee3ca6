#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/draft.h"
#include "policy/domain_map.h"

#define DNS_PORT   53
#define HTTPS_PORT 443

#define SETTING(key, kind, field, ...)                                                             \
    {                                                                                              \
        key, kind, offsetof(struct config_settings, field), false, __VA_ARGS__                     \
    }

_Static_assert(sizeof(enum config_reputation_answer) == sizeof(int), "enum size");
_Static_assert(sizeof(enum config_unreachable) == sizeof(int), "enum size");

/* The section dns as it is written. */
struct dns {
    const config_setting_t *servers, *stub_zones;
    const char *trust_anchor;
    uint32_t sender_timeout;
};

static const struct config_key dns_keys[] = {
    { "servers", CONFIG_KIND_STRINGS, offsetof(struct dns, servers) },
    { "stub_zones", CONFIG_KIND_LIST, offsetof(struct dns, stub_zones) },
    { "trust_anchor", CONFIG_KIND_PATH, offsetof(struct dns, trust_anchor), false, 1 },
    { "sender_timeout", CONFIG_KIND_DURATION, offsetof(struct dns, sender_timeout), false, 1, 300 },
};

struct stub {
    const char *zone;
    const config_setting_t *servers;
    bool validate;
};

static const struct config_key stub_keys[] = {
    { "zone", CONFIG_KIND_TEXT, offsetof(struct stub, zone), true, 1 },
    { "servers", CONFIG_KIND_STRINGS, offsetof(struct stub, servers), true },
    { "validate", CONFIG_KIND_BOOL, offsetof(struct stub, validate) },
};

static const char *const answer_words[] = { "txt", "a", NULL };

static const char *const unreachable_words[] = { "accept", "defer", "reject", NULL };

static const struct config_key call_ahead_keys[] = {
    SETTING("timeout", CONFIG_KIND_DURATION, call_ahead.timeout_s, 1, 300),
    SETTING("valid_for", CONFIG_KIND_DURATION, call_ahead.positive_s, 0, 86400),
    SETTING("invalid_for", CONFIG_KIND_DURATION, call_ahead.negative_s, 0, 86400),
    SETTING("unreachable_for", CONFIG_KIND_DURATION, call_ahead.unreachable_s, 0, 86400),
    SETTING("unreachable", CONFIG_KIND_WORD, call_ahead.unreachable, 0, 0, unreachable_words),
};

static const struct config_key mta_sts_keys[] = {
    SETTING("timeout", CONFIG_KIND_DURATION, mta_sts.timeout_s, 1, 300),
    SETTING("port", CONFIG_KIND_NUMBER, mta_sts.port, 1, 65535),
    SETTING("ca_file", CONFIG_KIND_PATH, mta_sts.ca_path, 1),
};

/* The section reputation as it is written. */
struct reputation {
    const char *zone, *file;
    int answer;
};

static const struct config_key reputation_keys[] = {
    { "zone", CONFIG_KIND_TEXT, offsetof(struct reputation, zone), false, 1 },
    { "answer", CONFIG_KIND_WORD, offsetof(struct reputation, answer), false, 0, 0, answer_words },
    { "file", CONFIG_KIND_PATH, offsetof(struct reputation, file), false, 1 },
};

static const struct config_key country_keys[] = {
    SETTING("database", CONFIG_KIND_PATH, country_path, 1),
};

static void check_readable(struct config_draft *d, const config_setting_t *group, const char *key,
                           const char *path)
{
    struct stat info = { 0 };

    if (path[0] == '\0' || d->reader.options->skip_files)
        return;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        errno = EINVAL;
    else if (access(path, R_OK) == 0)
        return;
    config_reader_report(&d->reader, CONFIG_ERROR, config_member(group, key), "cannot read %s: %m",
                         path);
}

static void read_stub(struct config_draft *d, const config_setting_t *at,
                      struct config_dns_stub *stubs, size_t *count)
{
    struct stub stub = { 0 };
    struct ip_endpoint *servers;
    size_t servers_count;

    if (!config_read_keys(&d->reader, at, "a stub zone", stub_keys, ARRAY_LEN(stub_keys), &stub))
        return;
    if (!policy_domain_is_valid(slice_from(stub.zone)) && strcmp(stub.zone, ".") != 0)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, "zone"),
                             "zone = \"%s\" is not a domain", stub.zone);
    config_read_endpoints(&d->reader, stub.servers, DNS_PORT, &servers, &servers_count);
    if (servers_count == 0)
        return;
    stubs[(*count)++] =
        (struct config_dns_stub){ stub.zone, servers, servers_count, stub.validate };
}

static void read_stubs(struct config_draft *d, const config_setting_t *list)
{
    struct config_dns *dns = &d->settings.dns;
    int count = list != NULL ? config_setting_length(list) : 0;
    struct config_dns_stub *stubs;

    if (count > CONFIG_DNS_STUBS_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, list, "there are more than %d stub zones",
                             CONFIG_DNS_STUBS_MAX);
        count = CONFIG_DNS_STUBS_MAX;
    }
    stubs = config_reader_take(&d->reader, (size_t)count, sizeof(*stubs));
    for (int i = 0; i < count && !d->reader.is_out_of_memory; i++) {
        const config_setting_t *at = config_element_group(&d->reader, list, (unsigned)i);

        if (at != NULL)
            read_stub(d, at, stubs, &dns->stubs_count);
    }
    dns->stubs = stubs;
}

/* The trust anchor for the root that came with the system. */
static const char *system_anchor(struct config_draft *d, const config_setting_t *at)
{
    /* Debian's dns-root-data, then what an unbound keeps up to date (RFC 5011). */
    static const char *const paths[] = { "/usr/share/dns/root.key", "/var/lib/unbound/root.key" };

    if (d->reader.options->skip_files)
        return paths[0];
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    config_reader_report(&d->reader, CONFIG_ERROR, at,
                         "the system has no trust anchor: neither %s (package dns-root-data) nor "
                         "%s can be read",
                         paths[0], paths[1]);
    return "";
}

static void read_trust_anchor(struct config_draft *d, const char *path)
{
    const config_setting_t *at =
        d->root.dns != NULL ? config_member(d->root.dns, "trust_anchor") : NULL;
    const char *text = at != NULL ? config_setting_get_string(at) : NULL;

    if (text != NULL && strcmp(text, "system") == 0) {
        d->settings.dns.trust_anchor_path = system_anchor(d, at);
        return;
    }
    d->settings.dns.trust_anchor_path = path;
    check_readable(d, d->root.dns, "trust_anchor", path);
}

static void read_dns(struct config_draft *d)
{
    struct config_dns *dns = &d->settings.dns;
    struct dns written = { .trust_anchor = "", .sender_timeout = 20 };
    struct ip_endpoint *servers;

    if (d->root.dns != NULL)
        (void)config_read_keys(&d->reader, d->root.dns, "dns", dns_keys, ARRAY_LEN(dns_keys),
                               &written);
    dns->sender_timeout_s = written.sender_timeout;
    read_trust_anchor(d, written.trust_anchor);
    config_read_endpoints(&d->reader, written.servers, DNS_PORT, &servers, &dns->servers_count);
    dns->servers = servers;
    if (dns->servers_count > CONFIG_DNS_SERVERS_MAX) {
        config_reader_report(&d->reader, CONFIG_ERROR, written.servers,
                             "there are more than %d servers", CONFIG_DNS_SERVERS_MAX);
        dns->servers_count = CONFIG_DNS_SERVERS_MAX;
    }
    read_stubs(d, written.stub_zones);
}

static void read_reputation(struct config_draft *d)
{
    struct config_reputation *reputation = &d->settings.reputation;
    struct reputation written = { .zone = "", .file = "" };

    if (d->root.reputation != NULL)
        (void)config_read_keys(&d->reader, d->root.reputation, "reputation", reputation_keys,
                               ARRAY_LEN(reputation_keys), &written);
    if (written.zone[0] != '\0' && !policy_domain_is_valid(slice_from(written.zone)))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.reputation, "zone"),
                             "zone = \"%s\" is not a domain", written.zone);
    reputation->zone = written.zone;
    reputation->answer = (enum config_reputation_answer)written.answer;
    if (written.file[0] != '\0')
        config_read_scores(d, config_member(d->root.reputation, "file"), written.file);
    reputation->has_file = written.file[0] != '\0';
}

static void read_country(struct config_draft *d)
{
    const char *path = d->settings.country_path, *why;
    enum status status;

    if (path[0] == '\0')
        return;
    if (d->reader.source->is_memory) {
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.country, "database"),
                             "a file is not possible here");
        return;
    }
    status = config_country_open(path, &d->country, &why);
    if (status == STATUS_NO_MEMORY)
        d->reader.is_out_of_memory = true;
    else if (status != STATUS_OK)
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.country, "database"),
                             "cannot use the database %s: %s", path, why);
}

void config_read_sources(struct config_draft *d)
{
    struct config_settings *s = &d->settings;

    s->country_path = "";
    s->call_ahead = (struct config_call_ahead){
        .timeout_s = 30,
        .positive_s = 3600,
        .negative_s = 300,
        .unreachable_s = 60,
        .unreachable = CONFIG_UNREACHABLE_DEFER,
    };
    s->mta_sts = (struct config_mta_sts){
        .ca_path = "",
        .timeout_s = 60, /* RFC 8461 3.3 */
        .port = HTTPS_PORT,
    };
    read_dns(d);
    read_reputation(d);
    if (d->root.country != NULL)
        (void)config_read_keys(&d->reader, d->root.country, "country", country_keys,
                               ARRAY_LEN(country_keys), s);
    read_country(d);
    if (d->root.call_ahead != NULL)
        (void)config_read_keys(&d->reader, d->root.call_ahead, "call_ahead", call_ahead_keys,
                               ARRAY_LEN(call_ahead_keys), s);
    if (d->root.mta_sts != NULL)
        (void)config_read_keys(&d->reader, d->root.mta_sts, "mta_sts", mta_sts_keys,
                               ARRAY_LEN(mta_sts_keys), s);
    check_readable(d, d->root.mta_sts, "ca_file", s->mta_sts.ca_path);
}
