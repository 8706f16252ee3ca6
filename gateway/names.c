#include "gateway/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(CONFIG_DNS_STUBS_MAX <= DNS_STUBS_MAX, "what is configured can be had");
static_assert(CONFIG_DNS_SERVERS_MAX <= DNS_SERVERS_MAX, "what is configured can be had");

#define QUERY_GRACE_MS 1000 /* the deadline of who asks comes first */

struct gateway_names {
    struct gateway_resolver *resolver;
    unsigned users_count;
};

/* A delivery has more time than a session whose client waits, which ends its questions itself. */
static unsigned query_ms_max(const struct config_dns *dns)
{
    unsigned ms = dns->sender_timeout_s * 1000 + QUERY_GRACE_MS;

    return ms > DNS_QUERY_MS_DEFAULT ? ms : DNS_QUERY_MS_DEFAULT;
}

enum status gateway_names_create(struct engine_loop *loop, const struct config_dns *dns,
                                 unsigned questions_max, struct gateway_names **names_out,
                                 struct dns_reason *reason_out)
{
    struct gateway_names *n = calloc(1, sizeof(*n));
    struct dns_stub *stubs = calloc(dns->stubs_count + 1, sizeof(*stubs));
    struct dns_options options = {
        .servers = dns->servers,
        .servers_count = dns->servers_count,
        .stubs = stubs,
        .stubs_count = dns->stubs_count,
        .is_validating = dns->trust_anchor_path[0] != '\0',
        .trust_anchor_file = dns->trust_anchor_path[0] != '\0' ? dns->trust_anchor_path : NULL,
        .queries_max = questions_max,
        .query_ms_max = query_ms_max(dns),
    };
    enum status status = STATUS_NO_MEMORY;

    reason_out->text[0] = '\0';
    for (size_t i = 0; stubs != NULL && i < dns->stubs_count; i++)
        stubs[i] = (struct dns_stub){ .zone = dns->stubs[i].zone,
                                      .servers = dns->stubs[i].servers,
                                      .servers_count = dns->stubs[i].servers_count,
                                      .is_unsigned = !dns->stubs[i].is_validated };
    if (n != NULL && stubs != NULL)
        status = gateway_resolver_create(loop, &options, &n->resolver, reason_out);
    free(stubs);
    if (status != STATUS_OK) {
        free(n);
        return status;
    }
    n->users_count = 1;
    *names_out = n;
    return STATUS_OK;
}

struct gateway_names *gateway_names_acquire(struct gateway_names *names)
{
    names->users_count++;
    return names;
}

void gateway_names_release(struct gateway_names *names)
{
    if (names == NULL)
        return;
    ASSERT(names->users_count > 0);
    if (--names->users_count > 0)
        return;
    gateway_resolver_destroy(names->resolver);
    free(names);
}

struct dns_source *gateway_names_source(struct gateway_names *names)
{
    return gateway_resolver_source(names->resolver);
}

static bool are_same_servers(const struct ip_endpoint *a, size_t a_count,
                             const struct ip_endpoint *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!ip_endpoint_equal(&a[i], &b[i]))
            return false;
    return true;
}

bool gateway_names_are_same(const struct config_dns *a, const struct config_dns *b)
{
    if (!are_same_servers(a->servers, a->servers_count, b->servers, b->servers_count) ||
        a->stubs_count != b->stubs_count || a->sender_timeout_s != b->sender_timeout_s ||
        strcmp(a->trust_anchor_path, b->trust_anchor_path) != 0)
        return false;
    for (size_t i = 0; i < a->stubs_count; i++)
        if (strcmp(a->stubs[i].zone, b->stubs[i].zone) != 0 ||
            a->stubs[i].is_validated != b->stubs[i].is_validated ||
            !are_same_servers(a->stubs[i].servers, a->stubs[i].servers_count, b->stubs[i].servers,
                              b->stubs[i].servers_count))
            return false;
    return true;
}
