/* cli/tls_check_search.h - where the mail goes that `postern tls-check` asks about: the hosts,
 * their addresses and their TLSA records.
 *
 *     start -> done        once, never from inside start
 *          \-> cut -> done from inside
 *
 * The MX of a domain, the hosts of its route, or the one host that was named; as for a delivery
 * (gateway/next_hops.h), but that nothing is left out for want of TLS.
 */
#pragma once
#include "cli/tls_check_findings.h"
#include "engine/loop.h"
#include "policy/route.h"
#include "tls/context.h"

struct tlscheck_lookup;
struct tlscheck_records;

struct tlscheck_search { /* Fields are private. */
    struct tlscheck_findings *findings;
    struct engine_loop *loop;
    struct dns_source *source;
    struct tls_context *tls;
    uint16_t port;
    struct tlscheck_lookup *lookups; /* owned */
    size_t lookups_count, lookups_open;
    struct tlscheck_records *records[TLSCHECK_HOSTS_MAX]; /* owned; those that are asked for */
    size_t records_count, records_open;
    struct engine_task task;
    bool is_out_of_memory;
    bool is_running;
    void (*done)(struct tlscheck_search *s);
};

/* Everything borrowed. The port is that of hosts without one of their own; tls tells which TLSA
 * records are usable. route: of the domain; NULL: it has none, or it is not to count. */
void tlscheck_search_start(struct tlscheck_search *s, struct tlscheck_findings *findings,
                           struct engine_loop *loop, struct dns_source *source,
                           struct tls_context *tls, uint16_t port, const struct policy_route *route,
                           void (*done)(struct tlscheck_search *s));

/* There is no time left: what is not known yet has failed. Does nothing when it is done. */
void tlscheck_search_cut(struct tlscheck_search *s);

void tlscheck_search_finish(struct tlscheck_search *s); /* accepts a zeroed one */
