#include "config/draft.h"
#include "policy/domain_map.h"

#define SETTING(key, kind, field, ...)                                                             \
    {                                                                                              \
        key, kind, offsetof(struct config_tls_reports, field), false, __VA_ARGS__                  \
    }

static const struct config_key tls_reports_keys[] = {
    SETTING("send", CONFIG_KIND_BOOL, send, 0),
    SETTING("organization", CONFIG_KIND_TEXT, organization, 1, CONFIG_ORGANIZATION_BYTES_MAX),
    SETTING("contact", CONFIG_KIND_TEXT, contact, 1, CONFIG_ALERT_ADDRESS_BYTES_MAX),
    SETTING("domain", CONFIG_KIND_TEXT, domain, 1, CONFIG_REPORTING_DOMAIN_BYTES_MAX),
    SETTING("to_private_addresses", CONFIG_KIND_BOOL, to_private_addresses, 0),
};

void config_read_tls_reports(struct config_draft *d)
{
    struct config_tls_reports *r = &d->settings.tls_reports;

    *r = (struct config_tls_reports){ .organization = "", .contact = "", .domain = "" };
    if (d->root.tls_reports == NULL)
        return;
    (void)config_read_keys(&d->reader, d->root.tls_reports, "tls_reports", tls_reports_keys,
                           ARRAY_LEN(tls_reports_keys), r);
    if (r->contact[0] != '\0' && !config_is_plain_address(r->contact))
        config_reader_report(
            &d->reader, CONFIG_ERROR, config_member(d->root.tls_reports, "contact"),
            "contact = \"%s\" is not an address of the form user@example.com", r->contact);
    if (r->domain[0] != '\0' && !policy_domain_is_valid(slice_from(r->domain)))
        config_reader_report(&d->reader, CONFIG_ERROR, config_member(d->root.tls_reports, "domain"),
                             "domain = \"%s\" is not a domain", r->domain);
}
