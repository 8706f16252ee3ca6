/* gateway/resolver.h - a resolver (dns/resolver.h) on a worker's loop: engine polls and timers.
 *
 * One for each worker and each set of DNS settings; it belongs to the loop's thread. To drop one,
 * destroy it: it leaves by itself when the last of its polls has had its last event. Until then
 * engine_loop_owners() is not 0.
 *
 * Making one keeps a thread for 16 ms (5 ms more for the first in a process), 12 of them for the
 * places of DNS_UDP_SOCKETS_MAX sockets. Files are read then, and what libunbound does for its
 * first query is done then. Nothing is asked of the loop yet, so the supervisor can make it and
 * hand it to the worker, whose thread must not stand still so long. Afterwards a query costs 60 us
 * in all (10,000 at once from a server on the same machine: 0.6 s, no turn longer than 30 ms), an
 * answer from the cache 2 us. Destroying one takes 1 ms, and 15 us more for each query in flight;
 * who has time waits for gateway_resolver_in_flight() to reach 0 first.
 */
#pragma once
#include "dns/resolver.h"
#include "engine/loop.h"

struct gateway_resolver; /* private */

/* As dns_resolver_create(). */
MUST_USE enum status gateway_resolver_create(struct engine_loop *loop,
                                             const struct dns_options *options,
                                             struct gateway_resolver **resolver_out,
                                             struct dns_reason *reason_out);

/* Cancels its queries; none may be started afterwards. At any time, also from a query's done().
 * Accepts NULL. */
void gateway_resolver_destroy(struct gateway_resolver *r);

/* For dns_query_start() and dns_host_start(). */
struct dns_source *gateway_resolver_source(struct gateway_resolver *r);

/* As dns_resolver_in_flight(). */
unsigned gateway_resolver_in_flight(const struct gateway_resolver *r);
