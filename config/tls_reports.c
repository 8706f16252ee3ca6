#include <errno.h>
#include <unistd.h>

#include "config/draft.h"
#include "policy/domain_map.h"

struct tls_reports_draft {
    struct config_tls_reports values;
    const config_setting_t *dkim;
};

#define SETTING(key, kind, field, ...)                                                             \
    {                                                                                              \
        key, kind, offsetof(struct tls_reports_draft, field), false, __VA_ARGS__                   \
    }

static const struct config_key tls_reports_keys[] = {
    SETTING("send", CONFIG_KIND_BOOL, values.send, 0),
    SETTING("organization", CONFIG_KIND_TEXT, values.organization, 1,
            CONFIG_ORGANIZATION_BYTES_MAX),
    SETTING("contact", CONFIG_KIND_TEXT, values.contact, 1, CONFIG_ALERT_ADDRESS_BYTES_MAX),
    SETTING("domain", CONFIG_KIND_TEXT, values.domain, 1, CONFIG_REPORTING_DOMAIN_BYTES_MAX),
    SETTING("to_private_addresses", CONFIG_KIND_BOOL, values.to_private_addresses, 0),
    SETTING("dkim", CONFIG_KIND_GROUP, dkim, 0),
};

#define DKIM(key, kind, field, is_required, max)                                                   \
    {                                                                                              \
        key, kind, offsetof(struct config_tls_reports, field), is_required, 1, max, NULL           \
    }

static const struct config_key dkim_keys[] = {
    DKIM("domain", CONFIG_KIND_TEXT, dkim_domain, false, CONFIG_REPORTING_DOMAIN_BYTES_MAX),
    DKIM("selector", CONFIG_KIND_TEXT, dkim_selector, true, CONFIG_DKIM_SELECTOR_BYTES_MAX),
    DKIM("key", CONFIG_KIND_PATH, dkim_key_path, true, CONFIG_TEXT_MAX),
};

static void check_key(struct config_draft *d, const config_setting_t *at, const char *path)
{
    struct config_tls_judge *judge = d->reader.options->judge;
    char why[CONFIG_PROBLEM_TEXT_MAX] = "";

    if (d->reader.options->skip_files)
        return;
    if (access(path, R_OK) != 0)
        config_reader_report(&d->reader, CONFIG_ERROR, at, "cannot read the key file %s: %m", path);
    else if (judge != NULL && !judge->signing_key(judge, path, why, sizeof(why)))
        config_reader_report(&d->reader, CONFIG_ERROR, at, "dkim: %s", why);
}

static void check_domain(struct config_draft *d, const config_setting_t *at, const char *key,
                         const char *domain)
{
    if (domain[0] != '\0' && !policy_domain_is_valid(slice_from(domain)))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(at, key),
                             "%s = \"%s\" is not a domain", key, domain);
}

static void read_dkim(struct config_draft *d, const config_setting_t *at,
                      struct config_tls_reports *r)
{
    struct config_tls_reports dkim = *r;

    if (!config_read_keys(&d->reader, at, "tls_reports: dkim", dkim_keys, ARRAY_LEN(dkim_keys),
                          &dkim))
        return;
    check_domain(d, at, "domain", dkim.dkim_domain);
    check_domain(d, at, "selector", dkim.dkim_selector);
    check_key(d, config_member(at, "key"), dkim.dkim_key_path);
    *r = dkim;
}

void config_read_tls_reports(struct config_draft *d)
{
    struct tls_reports_draft draft = {
        .values = { .organization = "",
                    .contact = "",
                    .domain = "",
                    .dkim_domain = "",
                    .dkim_selector = "",
                    .dkim_key_path = "" },
    };
    struct config_tls_reports *r = &draft.values;

    if (d->root.tls_reports != NULL) {
        (void)config_read_keys(&d->reader, d->root.tls_reports, "tls_reports", tls_reports_keys,
                               ARRAY_LEN(tls_reports_keys), &draft);
        if (r->contact[0] != '\0' && !config_is_plain_address(r->contact))
            config_reader_report(
                &d->reader, CONFIG_ERROR, config_member(d->root.tls_reports, "contact"),
                "contact = \"%s\" is not an address of the form user@example.com", r->contact);
        check_domain(d, d->root.tls_reports, "domain", r->domain);
        if (draft.dkim != NULL)
            read_dkim(d, draft.dkim, r);
    }
    d->settings.tls_reports = *r;
}
