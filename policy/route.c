#include "policy/route.h"

#include "policy/snapshot_table.h"

const struct policy_route *policy_route_find(const struct policy_snapshot *snapshot,
                                             struct slice domain)
{
    size_t number;

    if (!policy_domain_map_find(&snapshot->routes_map, domain, &number))
        return snapshot->route_all;
    return &snapshot->routes[number];
}

bool policy_route_host_parse(struct slice text, struct policy_route_host *host_out,
                             bool *is_address_out, struct ip_endpoint *endpoint_out)
{
    struct policy_route_host host = { .text = text, .port = POLICY_ROUTE_PORT_DEFAULT };
    struct ip_endpoint endpoint;
    struct slice rest = text;
    bool has_port;
    uint64_t port;

    if (ip_parse(text, &endpoint.address)) { /* a bare IPv6 address has colons of its own */
        host.host = text;
        rest = slice_after(text, text.len);
        has_port = false;
    } else if (text.len > 0 && text.data[0] == '[') {
        rest = slice_after(text, 1);
        if (memchr(rest.data, ']', rest.len) == NULL)
            return false;
        host.host = slice_cut(&rest, ']');
        has_port = rest.len > 0;
        if (has_port && rest.data[0] != ':')
            return false;
        rest = slice_after(rest, has_port ? 1 : 0);
    } else {
        host.host = slice_cut(&rest, ':');
        has_port = host.host.len < text.len;
    }
    if (has_port) {
        if (!slice_to_number(rest, UINT16_MAX, &port) || port == 0)
            return false;
        host.port = (uint16_t)port;
    }
    *is_address_out = ip_parse(host.host, &endpoint.address);
    if (!*is_address_out && !policy_domain_is_valid(host.host))
        return false;
    if (*is_address_out) {
        endpoint.port = host.port;
        *endpoint_out = endpoint;
    }
    *host_out = host;
    return true;
}

static bool is_same_host(const struct policy_route_host *a, const struct policy_route_host *b)
{
    if (a->endpoints_count != b->endpoints_count)
        return false;
    for (size_t i = 0; i < a->endpoints_count; i++)
        if (!ip_endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
            return false;
    return true;
}

bool policy_route_equal(const struct policy_route *a, const struct policy_route *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->hosts_count != b->hosts_count)
        return false;
    for (size_t i = 0; i < a->hosts_count; i++)
        if (!is_same_host(&a->hosts[i], &b->hosts[i]))
            return false;
    return true;
}
