/* dns/resolver.h - libunbound as a source of answers (dns/query.h): cache, validation, no thread.
 *
 * A resolver belongs to one thread and does nothing of itself: it is driven through world.h, and no
 * call of it waits for the network. Equal questions that run at the same time are sent once.
 *
 * Cached: answers for their time to live, at most DNS_CACHE_TTL_S_MAX; that a name or a type does
 * not exist, for what the zone says, at most DNS_NEGATIVE_TTL_S_MAX (RFC 2308); a failure for 5 to
 * 6 s; a bogus answer for DNS_BOGUS_TTL_S. Expired entries are never served.
 *
 * A query that libunbound has not answered after query_ms_max has failed. libunbound goes on with
 * it (it gives up 5 s after the first packet to a server that else is fast, 17 s to one it does not
 * know, and takes a server that never answers for down for up to DNS_SERVER_TTL_S more); it counts
 * as in flight until then, and what comes of it still gets into the cache. A query that libunbound
 * works on takes 10 KiB of memory and a descriptor; without a descriptor it fails.
 */
#pragma once
#include "base/ip.h"
#include "dns/query.h"
#include "dns/world.h"

#define DNS_QUERIES_DEFAULT  4096
#define DNS_QUERIES_MAX      65536
#define DNS_QUERY_MS_DEFAULT 20000
#define DNS_SERVERS_MAX      16 /* of one list */
#define DNS_STUBS_MAX        64
#define DNS_REASON_MAX       160 /* NUL included */

/* Sockets at a time; each question has its own, with a port of its own (RFC 5452 9.2). What does
 * not get one waits within libunbound. As many as queries by default, so that questions to which
 * nobody answers, for which an attacker only needs a zone, do not keep the others waiting. */
#define DNS_UDP_SOCKETS_MAX 4096
#define DNS_TCP_SOCKETS_MAX 16 /* each holds 64 KiB from the start */

/* Bounds of each resolver's memory: 14 MiB of entries at the most, more than 10,000 answers. */
#define DNS_MESSAGE_CACHE_BYTES  (4u << 20)
#define DNS_RECORD_CACHE_BYTES   (8u << 20)
#define DNS_KEY_CACHE_BYTES      (1u << 20)
#define DNS_NEGATIVE_CACHE_BYTES (512u << 10)
#define DNS_SERVER_CACHE_COUNT   4096

#define DNS_CACHE_TTL_S_MAX    86400
#define DNS_NEGATIVE_TTL_S_MAX 900
#define DNS_BOGUS_TTL_S        60
#define DNS_SERVER_TTL_S       60 /* for so long a server is held to be slow, or down */

/* A zone that is asked of its own servers, which are authoritative for it. */
struct dns_stub {
    const char *zone;
    const struct ip_endpoint *servers;
    size_t servers_count;
    bool is_unsigned; /* not validated: a zone that the public tree does not know */
};

struct dns_options {
    const struct ip_endpoint *servers; /* recursive ones */
    size_t servers_count;              /* 0: those of /etc/resolv.conf */
    const struct dns_stub *stubs;
    size_t stubs_count;
    bool is_validating;
    const char *trust_anchor_file; /* DS or DNSKEY records; NULL: nothing is secure or bogus */
    unsigned queries_max;          /* in flight; 0: the default */
    unsigned query_ms_max;         /* 0: the default */
};

struct dns_reason {
    char text[DNS_REASON_MAX];
};

struct dns_resolver; /* private */

/* Borrows world, which must outlive it, and the options for the call. Reads /etc/resolv.conf and
 * the trust anchor, and does all the work of libunbound's first query; see gateway/resolver.h for
 * how long that takes. Asks nothing of the world yet, so that another thread than the one it will
 * belong to may do it. STATUS_INVALID, STATUS_NOT_FOUND, STATUS_NO_MEMORY, STATUS_LIMIT; the reason
 * is then one line, without the files' contents. */
MUST_USE enum status dns_resolver_create(const struct dns_options *options, struct dns_world *world,
                                         struct dns_resolver **resolver_out,
                                         struct dns_reason *reason_out);

/* Not from inside a done() of a query. Queries in flight are cancelled; after the call the world
 * is not used any more. Accepts NULL. */
void dns_resolver_destroy(struct dns_resolver *r);

/* For dns_query_start(). More queries than queries_max: the rest fails, at once but not inside
 * start. */
struct dns_source *dns_resolver_source(struct dns_resolver *r);

/* Hands over answers that have come, some at a time: what ops->defer() asks for. */
void dns_resolver_deliver(struct dns_resolver *r);

/* No done() is called for any query that runs now. */
void dns_resolver_cancel_all(struct dns_resolver *r);

/* What libunbound works on, with what was cancelled or cut off; in flight. */
unsigned dns_resolver_in_flight(const struct dns_resolver *r);
