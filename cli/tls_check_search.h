/* cli/tls_check_search.h - where the mail goes that `postern tls-check` asks about: the hosts,
 * their addresses and their TLSA records.
 *
 *     start -> done        once, never from inside start
 *          \-> cut -> done from inside
 *
 * The MX of a domain, the hosts of its route, or the one host that was named; as for a delivery
 * (gateway/next_hops.h), but that nothing is left out for want of TLS. Hosts of the MX that are no
 * better than ourselves are listed without addresses.
 */
#pragma once
#include "cli/tls_check_findings.h"
#include "config/settings.h"
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
    const struct config_settings *settings;
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

/* All borrowed. */
struct tlscheck_search_options {
    struct engine_loop *loop;
    struct dns_source *source;
    struct tls_context *tls;                /* tells which TLSA records are usable */
    uint16_t port;                          /* of hosts without one of their own */
    const struct policy_route *route;       /* NULL: there is none, or it is not to count */
    const struct config_settings *settings; /* they say who we are; NULL: nobody knows */
};

void tlscheck_search_start(struct tlscheck_search *s, struct tlscheck_findings *findings,
                           const struct tlscheck_search_options *options,
                           void (*done)(struct tlscheck_search *s));

/* There is no time left: what is not known yet has failed. Does nothing when it is done. */
void tlscheck_search_cut(struct tlscheck_search *s);

void tlscheck_search_finish(struct tlscheck_search *s); /* accepts a zeroed one */
