#include "dns/settings.h"

#include <stdio.h>
#include <unistd.h>

#define TEXT_OF_(number) #number
#define TEXT_OF(number)  TEXT_OF_(number)
#define ADDRESS_MAX      (IP_TEXT_MAX + 7) /* "@" and a port */

struct setting {
    const char *option;
    const char *value;
};

/* What libunbound would answer itself without asking anybody (RFC 6303, 6761): the networks that
 * are nobody's on the Internet are somebody's behind a gateway. "localhost" and "onion" stay.
 * Not "nodefault", which libunbound 1.17 takes and then forgets. */
static const char *const zones_passed_on[] = {
    "test. transparent",
    "invalid. transparent",
    "home.arpa. transparent",
    "127.in-addr.arpa. transparent",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa. transparent",
};

static const struct setting settings[] = {
    { "msg-cache-slabs:", "1" }, /* one thread */
    { "rrset-cache-slabs:", "1" },
    { "infra-cache-slabs:", "1" },
    { "key-cache-slabs:", "1" },
    { "cache-max-ttl:", TEXT_OF(DNS_CACHE_TTL_S_MAX) },
    { "cache-max-negative-ttl:", TEXT_OF(DNS_NEGATIVE_TTL_S_MAX) },
    { "cache-min-ttl:", "0" },
    { "val-bogus-ttl:", TEXT_OF(DNS_BOGUS_TTL_S) },
    { "infra-host-ttl:", TEXT_OF(DNS_SERVER_TTL_S) },
    { "infra-cache-numhosts:", TEXT_OF(DNS_SERVER_CACHE_COUNT) },
    { "infra-keep-probing:", "yes" }, /* the only server is asked on, also when it was down */
    { "serve-expired:", "no" },
    { "outgoing-num-tcp:", TEXT_OF(DNS_TCP_SOCKETS_MAX) },
    { "do-not-query-localhost:", "no" },
    { "unblock-lan-zones:", "yes" },
    { "insecure-lan-zones:", "yes" },
    /* There is no privacy to win from the servers that were named, and each step costs a query. */
    { "qname-minimisation:", "no" },
    { "rrset-roundrobin:", "no" }, /* the same answer gives the same result */
    { "val-log-level:", "2" },     /* why something is bogus */
    { "use-syslog:", "no" },
};

static enum status set(struct ub_ctx *context, const char *option, const char *value,
                       struct dns_reason *reason)
{
    int error = ub_ctx_set_option(context, option, value);

    if (error == 0)
        return STATUS_OK;
    (void)snprintf(reason->text, sizeof(reason->text), "libunbound does not take %.40s %.80s",
                   option, value);
    return error == UB_NOMEM ? STATUS_NO_MEMORY : STATUS_UNSUPPORTED;
}

static enum status set_number(struct ub_ctx *context, const char *option, unsigned value,
                              struct dns_reason *reason)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u", value);
    return set(context, option, text, reason);
}

static enum status apply_common(struct ub_ctx *context, unsigned queries_max,
                                struct dns_reason *reason)
{
    unsigned sockets = queries_max < DNS_UDP_SOCKETS_MAX ? queries_max : DNS_UDP_SOCKETS_MAX;

    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        TRY(set(context, settings[i].option, settings[i].value, reason));
    TRY(set_number(context, "msg-cache-size:", DNS_MESSAGE_CACHE_BYTES, reason));
    TRY(set_number(context, "rrset-cache-size:", DNS_RECORD_CACHE_BYTES, reason));
    TRY(set_number(context, "key-cache-size:", DNS_KEY_CACHE_BYTES, reason));
    TRY(set_number(context, "neg-cache-size:", DNS_NEGATIVE_CACHE_BYTES, reason));
    TRY(set_number(context, "outgoing-range:", sockets, reason));
    for (size_t i = 0; i < ARRAY_LEN(zones_passed_on); i++)
        TRY(set(context, "local-zone:", zones_passed_on[i], reason));
    return STATUS_OK;
}

static enum status explain(int error, const char *what, struct dns_reason *reason)
{
    if (error == 0)
        return STATUS_OK;
    (void)snprintf(reason->text, sizeof(reason->text), "%s: %s", what, ub_strerror(error));
    if (error == UB_NOMEM)
        return STATUS_NO_MEMORY;
    return error == UB_READFILE ? STATUS_NOT_FOUND : STATUS_INVALID;
}

/* "192.0.2.1@53", libunbound's form. */
static const char *address_text(const struct ip_endpoint *e, char text[static ADDRESS_MAX])
{
    char address[IP_TEXT_MAX];

    (void)snprintf(text, ADDRESS_MAX, "%s@%u", ip_format(&e->address, address), e->port);
    return text;
}

static enum status apply_servers(struct ub_ctx *context, const struct dns_options *o,
                                 struct dns_reason *reason)
{
    char text[ADDRESS_MAX];

    for (size_t i = 0; i < o->servers_count; i++)
        TRY(explain(ub_ctx_set_fwd(context, address_text(&o->servers[i], text)), text, reason));
    if (o->servers_count > 0)
        return STATUS_OK;
    int error = ub_ctx_resolvconf(context, NULL);
    if (error == UB_READFILE) /* as in resolv.conf(5), when it is not there */
        error = ub_ctx_set_fwd(context, "127.0.0.1");
    return explain(error, "/etc/resolv.conf", reason);
}

static enum status apply_stubs(struct ub_ctx *context, const struct dns_options *o,
                               struct dns_reason *reason)
{
    char text[ADDRESS_MAX];

    for (size_t i = 0; i < o->stubs_count; i++) {
        const struct dns_stub *stub = &o->stubs[i];

        if (!dns_name_is_valid(slice_from(stub->zone)) || stub->servers_count == 0 ||
            stub->servers_count > DNS_SERVERS_MAX) {
            (void)snprintf(reason->text, sizeof(reason->text),
                           "a zone needs a name and 1 to %d servers", DNS_SERVERS_MAX);
            return STATUS_INVALID;
        }
        for (size_t j = 0; j < stub->servers_count; j++)
            TRY(explain(
                ub_ctx_set_stub(context, stub->zone, address_text(&stub->servers[j], text), 0),
                stub->zone, reason));
        if (stub->is_unsigned)
            TRY(set(context, "domain-insecure:", stub->zone, reason));
    }
    return STATUS_OK;
}

static enum status apply_validation(struct ub_ctx *context, const struct dns_options *o,
                                    struct dns_reason *reason)
{
    if (!o->is_validating)
        return set(context, "module-config:", "iterator", reason);
    TRY(set(context, "module-config:", "validator iterator", reason));
    if (o->trust_anchor_file == NULL)
        return STATUS_OK;
    /* libunbound would read it later, and say only that something failed. */
    if (access(o->trust_anchor_file, R_OK) != 0) {
        (void)snprintf(reason->text, sizeof(reason->text), "%s: cannot be read",
                       o->trust_anchor_file);
        return STATUS_NOT_FOUND;
    }
    return explain(ub_ctx_add_ta_file(context, o->trust_anchor_file), o->trust_anchor_file, reason);
}

enum status dns_settings_apply(struct ub_ctx *context, const struct dns_options *options,
                               unsigned queries_max, struct dns_reason *reason_out)
{
    /* It would write to our standard error, and from this process to nowhere else. */
    TRY(explain(ub_ctx_debugout(context, NULL), "log", reason_out));
    TRY(apply_common(context, queries_max, reason_out));
    TRY(apply_servers(context, options, reason_out));
    TRY(apply_stubs(context, options, reason_out));
    return apply_validation(context, options, reason_out);
}
