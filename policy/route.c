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

/* Cuts "/pri=10" off the end. */
static bool cut_priority(struct slice *text, uint16_t *priority_out)
{
    static const struct slice word = { "/pri=", 5 };
    struct slice digits;
    uint64_t priority;
    size_t at = text->len;

    *priority_out = 0;
    while (at > 0 && text->data[at - 1] != '/')
        at--;
    if (at == 0)
        return true;
    digits = slice_after(*text, at - 1);
    if (digits.len <= word.len || !slice_equal_nocase(slice_first(digits, word.len), word) ||
        !slice_to_number(slice_after(digits, word.len), UINT16_MAX, &priority))
        return false;
    *priority_out = (uint16_t)priority;
    *text = slice_first(*text, at - 1);
    return true;
}

/* Cuts the brackets off; what follows them stays in *rest. */
static bool cut_brackets(struct slice *rest, struct slice *host_out)
{
    *rest = slice_after(*rest, 1);
    if (memchr(rest->data, ']', rest->len) == NULL)
        return false;
    *host_out = slice_cut(rest, ']');
    if (rest->len > 0 && rest->data[0] != ':')
        return false;
    return true;
}

bool policy_route_host_parse(struct slice text, struct policy_route_host *host_out)
{
    struct policy_route_host host = { .text = text };
    bool is_bracketed = text.len > 0 && text.data[0] == '[', has_port;
    struct slice rest = text;
    uint64_t port;

    if (!cut_priority(&rest, &host.priority))
        return false;
    if (ip_parse(rest, &host.address)) { /* a bare IPv6 address has colons of its own */
        host.host = rest;
        *host_out = host;
        return true;
    }
    if (is_bracketed) {
        if (!cut_brackets(&rest, &host.host))
            return false;
        has_port = rest.len > 0;
        rest = slice_after(rest, has_port ? 1 : 0);
    } else {
        size_t len = rest.len;

        host.host = slice_cut(&rest, ':');
        has_port = host.host.len < len;
    }
    if (has_port) {
        if (!slice_to_number(rest, UINT16_MAX, &port) || port == 0)
            return false;
        host.port = (uint16_t)port;
    }
    if (!ip_parse(host.host, &host.address)) {
        if (!policy_domain_is_valid(host.host))
            return false;
        host.lookup = is_bracketed ? POLICY_ROUTE_NAME : POLICY_ROUTE_MX;
    }
    *host_out = host;
    return true;
}

bool policy_route_action_parse(struct slice text, enum policy_route_action *action_out)
{
    if (slice_is_word(text, "USEDNS"))
        *action_out = POLICY_ROUTE_USEDNS;
    else if (slice_is_word(text, "/dev/null"))
        *action_out = POLICY_ROUTE_DISCARD;
    else
        return false;
    return true;
}

static bool is_same_host(const struct policy_route_host *a, const struct policy_route_host *b)
{
    return a->port == b->port && a->priority == b->priority && a->lookup == b->lookup &&
           (a->lookup == POLICY_ROUTE_ADDRESS ? ip_equal(&a->address, &b->address)
                                              : slice_equal_nocase(a->host, b->host));
}

bool policy_route_equal(const struct policy_route *a, const struct policy_route *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->action != b->action || a->hosts_count != b->hosts_count)
        return false;
    for (size_t i = 0; i < a->hosts_count; i++)
        if (!is_same_host(&a->hosts[i], &b->hosts[i]))
            return false;
    return true;
}
