/* policy/route.h - SMTP routes: the hosts that take a domain's mail instead of its MX.
 *
 * An entry is a domain, ".domain" for the domains below it, or ALL. The exact entry goes before
 * the longest partial one, that before ALL. Results borrow from the snapshot.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"

#define POLICY_ROUTE_HOSTS_MAX   64
#define POLICY_ROUTE_ENTRIES_MAX 1000000

struct policy_snapshot;

enum policy_route_action {
    POLICY_ROUTE_HOSTS,
    POLICY_ROUTE_USEDNS, /* as if there were no route, not even ALL */
    POLICY_ROUTE_DISCARD /* "/dev/null": accepted, and thrown away */
};

/* What the DNS is asked for, at delivery. */
enum policy_route_lookup {
    POLICY_ROUTE_ADDRESS, /* nothing */
    POLICY_ROUTE_NAME,    /* "[mx.example.net]": addresses of the name */
    POLICY_ROUTE_MX       /* "mx.example.net": its MX; without any, its addresses */
};

struct policy_route_host {
    struct slice text; /* as it was written: "mx.example.net:2525/pri=10" */
    struct slice host; /* a name or an address, without brackets, port and priority */
    uint16_t port;     /* 0: none was given */
    uint16_t priority; /* the lowest first; equal ones take turns */
    enum policy_route_lookup lookup;
    struct ip_address address; /* of POLICY_ROUTE_ADDRESS */
};

struct policy_route {
    struct slice name; /* as it was written */
    enum policy_route_action action;
    const struct policy_route_host *hosts; /* of POLICY_ROUTE_HOSTS: at least one */
    size_t hosts_count;
};

/* NULL when no route covers the domain. */
const struct policy_route *policy_route_find(const struct policy_snapshot *snapshot,
                                             struct slice domain);

/* Whether both say the same. Both may be NULL. */
bool policy_route_equal(const struct policy_route *a, const struct policy_route *b);

/* Takes "host:port", "192.0.2.1", "[2001:db8::1]:25", "[host]/pri=10" apart; the texts borrow from
 * text. False when it is none of these. "USEDNS" and "/dev/null" are no hosts:
 * policy_route_action_parse(). */
bool policy_route_host_parse(struct slice text, struct policy_route_host *host_out);

/* False when text is neither "USEDNS" nor "/dev/null". */
bool policy_route_action_parse(struct slice text, enum policy_route_action *action_out);
