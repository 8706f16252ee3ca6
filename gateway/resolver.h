/* gateway/resolver.h - a resolver (dns/resolver.h) on a worker's loop: engine polls and timers.
 *
 * One for each worker and each set of DNS settings; it belongs to the loop's thread. To drop one,
 * destroy it: it leaves by itself when the last of its polls has had its last event. Until then
 * engine_loop_owners() is not 0.
 *
 * Making one takes some milliseconds in which the loop stands still (measured: TIME), most of it
 * for the sockets' places and the list of ports. Files are read then; afterwards nothing blocks.
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
