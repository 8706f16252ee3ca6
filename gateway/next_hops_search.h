/* gateway/next_hops_search.h - inside the search for next hops: what was asked, and what it came
 * to.
 *
 * For next_hops.c, which asks, and next_hops_order.c, which puts the answers into their order.
 */
#pragma once
#include "gateway/mta_sts.h"
#include "gateway/names.h"
#include "gateway/next_hops.h"

struct gateway_next_hops_search;

/* The TLSA records of one host. */
struct gateway_next_hops_tlsa {
    struct gateway_next_hops_search *search;
    const struct dns_exchange *exchange; /* that found the host */
    const struct dns_exchange_host *host;
    struct dns_tlsa tlsa;
};

struct gateway_next_hops_lookup {
    struct gateway_next_hops_search *search;
    const struct policy_route_host *host; /* of the route; NULL: the domain itself */
    struct dns_exchange exchange;
};

struct gateway_next_hops_search {
    struct gateway_worker *worker;
    struct gateway_view *view;   /* counted */
    struct gateway_names *names; /* counted; NULL: nobody can be asked */
    const struct policy_destination *destination;
    const struct policy_route *route; /* NULL: the DNS decides */
    struct gateway_next_hops_waiter *waiter;
    struct gateway_next_hops_lookup *lookups;
    size_t lookups_count;
    size_t lookups_open;
    struct gateway_next_hops_tlsa **tlsas; /* of the hosts that may have records */
    size_t tlsas_count;
    size_t tlsas_open;
    struct gateway_mta_sts_query sts;
    const struct policy_mta_sts *policy; /* MTA-STS; borrowed of sts; NULL: there is none */
    bool waits_for_sts;
    bool is_tls_optional;
    bool is_out_of_memory;
};

/* The port of a host; NULL: it was found by the MX of the domain. */
uint16_t gateway_next_hops_port(const struct gateway_next_hops_search *s,
                                const struct policy_route_host *host);

/* Fills hops, which is zeroed but for the outcome and the time to live, with what all lookups
 * found. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_next_hops_assemble(const struct gateway_next_hops_search *s,
                                                struct gateway_next_hops *hops);
