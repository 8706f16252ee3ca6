/* gateway/next_hops.h - where the mail of a domain goes now: the hosts, and what TLS each must
 * have.
 *
 * A route decides, else the DNS (dns/exchange.h). Hosts are ranked by the route's priority, the MX
 * preference and the destination's choice of IP version, equals in random order (RFC 5321 5.1). A
 * host that is ourselves is left out with all that are no better (5.1, at the end). For each host
 * it is settled here, before anybody connects, who is in charge of its TLS: DANE, MTA-STS or the
 * table (policy/tls_demand.h). A host whose TLSA records cannot be asked for (RFC 7672 2.2), that
 * the MTA-STS policy in force does not list, or that lacks the DANE that is mandatory, is not used;
 * when no host is left the mail waits, and nothing goes to any of them with less.
 *
 * MTA-STS does not apply to routes: the operator has said where the mail goes. DANE does, by the
 * name of the route's host (RFC 7672 2.2.2).
 *
 * For mail with TLS-Required: No neither DANE nor MTA-STS is asked about, where policy/tls_demand.h
 * lets it be ignored.
 *
 * Results are counted by those who hold them, on the worker's thread; they never change.
 */
#pragma once
#include "delivery/scheduler.h"
#include "dns/dane_names.h"
#include "dns/exchange.h"
#include "dns/tlsa.h"
#include "gateway/generation.h"
#include "observe/tls_results.h"
#include "policy/tls_demand.h"
#include "tls/dane.h"

#define GATEWAY_NEXT_HOPS_REASON_MAX     384 /* NUL included */
#define GATEWAY_NEXT_HOPS_STS_REASON_MAX 160
#define GATEWAY_NEXT_HOPS_TTL_S          3600 /* of what no name server was asked for */

struct gateway_worker;

enum gateway_next_hops_outcome {
    GATEWAY_NEXT_HOPS_FOUND,     /* at least one endpoint */
    GATEWAY_NEXT_HOPS_DISCARD,   /* the route says /dev/null */
    GATEWAY_NEXT_HOPS_NO_DOMAIN, /* NXDOMAIN */
    GATEWAY_NEXT_HOPS_NO_MAIL,   /* null MX, RFC 7505 */
    GATEWAY_NEXT_HOPS_NO_HOST,   /* no host that is named exists */
    GATEWAY_NEXT_HOPS_LOOP,      /* we are the best host ourselves */
    GATEWAY_NEXT_HOPS_FAILED,    /* for now: the DNS */
    GATEWAY_NEXT_HOPS_NO_TLS     /* for now: no host can have the TLS that is demanded */
};

/* The TLSA records of a host, for those who make its sessions. */
struct gateway_next_tlsa {
    char base[DNS_NAME_MAX];                /* dns_tlsa_base() */
    struct slice names[DNS_DANE_NAMES_MAX]; /* dns/dane_names.h; these and the data of records lie
                                               in bytes */
    size_t names_count;
    size_t records_count;
    struct tls_dane_record records[DNS_TLSA_RECORDS_MAX];
    char bytes[];
};

struct gateway_next_host {
    char name[DNS_NAME_MAX]; /* by which it was found; "" of an address in a route */
    bool is_name_authentic; /* dns_exchange_is_authentic(), or the MTA-STS policy in force has it */
    struct policy_tls_demand demand;
    struct gateway_next_tlsa *tlsa; /* owned; NULL unless DANE is in charge */
    /* For reports: */
    struct gateway_next_tlsa *unusable; /* owned; records none of which can be used, or NULL */
    bool is_unlisted; /* there is an MTA-STS policy, in testing, that does not list it */
};

/* A host that must not be used, by what its zone or its domain says: for reports. */
struct gateway_left_out_host {
    struct gateway_left_out_host *next;
    enum observe_tls_policy_type policy;
    enum observe_tls_result_type result;
    struct gateway_next_tlsa *tlsa; /* owned; its records, as far as they are known, or NULL */
    char name[DNS_NAME_MAX];
    char reason[GATEWAY_NEXT_HOPS_REASON_MAX];
};

struct gateway_next_hops {
    unsigned users_count;
    enum gateway_next_hops_outcome outcome;
    bool is_route;
    bool is_tls_optional; /* for mail with TLS-Required: No, and the demands are less for it */
    uint32_t ttl_s;
    char reason[GATEWAY_NEXT_HOPS_REASON_MAX]; /* in one line, of all but FOUND and DISCARD */
    struct slice sts_policy; /* the text of the MTA-STS policy, owned; empty: there is none */
    /* Why there is none although its record is there; OBSERVE_TLS_SUCCESS: nothing is wrong. */
    enum observe_tls_result_type sts_trouble;
    char sts_reason[GATEWAY_NEXT_HOPS_STS_REASON_MAX];
    struct gateway_left_out_host *left_out; /* owned; NULL: none */
    struct gateway_next_host *hosts;
    size_t hosts_count;
    struct delivery_endpoint endpoints[DELIVERY_ENDPOINTS_MAX];
    uint8_t host_of[DELIVERY_ENDPOINTS_MAX]; /* of an endpoint */
    size_t endpoints_count;
};

/* Embedded in who waits, zeroed at first. */
struct gateway_next_hops_waiter {
    struct gateway_next_hops_search *search; /* private; NULL: it does not wait */
    /* hops is the waiter's, counted once; NULL: no memory. */
    void (*found)(struct gateway_next_hops_waiter *waiter, struct gateway_next_hops *hops);
};

/* True: *hops_out is the answer, counted once, or NULL for want of memory. False: it follows, never
 * from inside. The domain is copied; the view is kept until the answer. is_tls_optional: for mail
 * with TLS-Required: No. */
bool gateway_next_hops_find(struct gateway_worker *worker, struct gateway_view *view,
                            struct slice domain, bool is_tls_optional,
                            struct gateway_next_hops_waiter *waiter,
                            struct gateway_next_hops **hops_out);

/* Does nothing to a waiter that does not wait. */
void gateway_next_hops_forget(struct gateway_next_hops_waiter *waiter);

struct gateway_next_hops *gateway_next_hops_acquire(struct gateway_next_hops *hops);
void gateway_next_hops_release(struct gateway_next_hops *hops); /* the last one; NULL is fine */

static inline const struct gateway_next_host *gateway_next_hops_host(
    const struct gateway_next_hops *hops, size_t endpoint)
{
    ASSERT(endpoint < hops->endpoints_count);
    return &hops->hosts[hops->host_of[endpoint]];
}
