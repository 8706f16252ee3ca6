/* gateway/tls_gatherer.h - how TLS went, as a worker saw it, for the reports of RFC 8460.
 *
 * Each worker has one: a table of its own, which goes to the keeper (gateway/tls_reports.h) at
 * intervals, when it is half full, when a day is over and when the worker stops. While the keeper
 * is behind, it is kept, and what finds no room in it is only counted.
 *
 * The worker's thread, but for collect.
 */
#pragma once
#include <stdatomic.h>

#include "base/list.h"
#include "engine/mailbox.h"
#include "engine/timer.h"
#include "observe/tls_report.h"
#include "observe/tls_results.h"

#define GATEWAY_TLS_GATHER_MS                                                                      \
    300000 /* what a crash can lose, and a minute more of the keeper's                             \
            */

struct gateway_worker;
struct gateway_tls_batch; /* gateway/tls_reports.h */

struct gateway_tls_gatherer { /* Fields are private. */
    struct gateway_worker *worker;
    struct gateway_tls_batch *batch; /* NULL: there was nothing since the last one */
    struct engine_timer timer;
    struct list lookups; /* gateway/tls_report_lookup.h: asked here */
    struct engine_message collect;
    _Atomic bool is_collecting; /* collect is on its way */
};

void gateway_tls_gatherer_init(struct gateway_tls_gatherer *g, struct gateway_worker *worker);

/* After the worker's thread has ended. */
void gateway_tls_gatherer_finish(struct gateway_tls_gatherer *g);

/* The worker stops asking. Results are still taken. */
void gateway_tls_gatherer_stop(struct gateway_tls_gatherer *g);

/* No results come any more: hands over what there is, whatever waits already. */
void gateway_tls_gatherer_end(struct gateway_tls_gatherer *g);

/* The keeper's thread: asks for what there is. False: it has been asked already. */
bool gateway_tls_gatherer_collect(struct gateway_tls_gatherer *g);

/* One session with TLS or without, or one attempt to get a policy: for each policy that was applied
 * to the session, one result (RFC 8460 4.2). Cheap, and nothing at all while reports are off.
 * Copies. Not for sessions that carry reports, which are SPOOL_MESSAGE_TLS_OPTIONAL (RFC 8460 3).
 */
void gateway_tls_report_session(struct gateway_worker *worker,
                                const struct observe_tls_result *result);
