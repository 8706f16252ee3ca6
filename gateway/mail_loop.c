#include "gateway/mail_loop.h"

bool gateway_mail_loop_is_us(const struct config_settings *settings, const char *name)
{
    struct slice host = slice_from(name);

    if (slice_equal_nocase(host, slice_from(settings->hostname)))
        return true;
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (slice_equal_nocase(host, slice_from(settings->listeners[i].hostname)))
            return true;
    return false;
}

uint32_t gateway_mail_loop_limit(const struct config_settings *settings,
                                 const struct dns_exchange *x)
{
    uint32_t limit = GATEWAY_MAIL_LOOP_NONE;

    if (dns_exchange_is_implicit(x))
        return limit;
    for (size_t i = 0; i < dns_exchange_hosts_count(x); i++) {
        const struct dns_exchange_host *host = dns_exchange_host(x, i);

        if (host->preference < limit && gateway_mail_loop_is_us(settings, host->name))
            limit = host->preference;
    }
    return limit;
}

const struct dns_exchange_host *gateway_mail_loop_awaited(const struct dns_exchange *x,
                                                          uint32_t limit)
{
    for (size_t i = 0; i < dns_exchange_hosts_count(x); i++) {
        const struct dns_exchange_host *host = dns_exchange_host(x, i);

        if (host->preference < limit && host->outcome == DNS_FAILED)
            return host;
    }
    return NULL;
}
