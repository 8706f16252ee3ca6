/* policy/route.h - SMTP routes: the hosts that take a domain's mail instead of its MX.
 *
 * An entry is a domain, ".domain" for the domains below it, or ALL. The exact entry goes before
 * the longest partial one, that before ALL. Results borrow from the snapshot.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"

#define POLICY_ROUTE_PORT_DEFAULT  25
#define POLICY_ROUTE_HOSTS_MAX     64
#define POLICY_ROUTE_ADDRESSES_MAX 16 /* of one host */
#define POLICY_ROUTE_ENTRIES_MAX   1000000

struct policy_snapshot;

struct policy_route_host {
    struct slice text; /* as it was written: "mx.example.net:2525" */
    struct slice host; /* a name or an address, without brackets and port */
    uint16_t port;
    const struct ip_endpoint *endpoints; /* where to connect, in the order to try */
    size_t endpoints_count;              /* at least 1 in a snapshot */
};

struct policy_route {
    struct slice name;                     /* as it was written */
    const struct policy_route_host *hosts; /* in the order to try */
    size_t hosts_count;                    /* at least 1 */
};

/* NULL when no route covers the domain. */
const struct policy_route *policy_route_find(const struct policy_snapshot *snapshot,
                                             struct slice domain);

/* Whether mail goes to the same endpoints in the same order. Both may be NULL. */
bool policy_route_equal(const struct policy_route *a, const struct policy_route *b);

/* Takes "host:port", "192.0.2.1", "[2001:db8::1]:25", "[host]" apart. host borrows from text;
 * *is_address_out says whether host is an address, which *endpoint_out then holds. False when
 * text is none of these. */
bool policy_route_host_parse(struct slice text, struct policy_route_host *host_out,
                             bool *is_address_out, struct ip_endpoint *endpoint_out);
