/* gateway/mta_sts.h - which MTA-STS policy counts for a domain: discovery, fetching, keeping.
 *
 * One for each worker: deliveries ask that of the worker that owns the destination, call-ahead that
 * of the session. What is known of a domain is kept in memory, and the policy that was fetched
 * last, by whichever worker, on disk (gateway/mta_sts_io.h). RFC 8461:
 *
 *   - A policy that was fetched counts until its max_age is over, whatever the DNS and the policy
 *     host say, or do not say, meanwhile (5.1): a query is answered with it at once. So nobody
 *     turns enforce off by taking the record, or the host, out of reach.
 *   - Behind that the record is looked at again (when its time to live is over), and a new id leads
 *     to a fetch. The old policy counts until that has succeeded.
 *   - A policy is also fetched anew, whatever the record says, when it is older than half of its
 *     max_age, or a day (10.2), by a timer, as long as the domain is in memory.
 *   - Without a policy that counts the query waits for the record and for the fetch, but no longer
 *     than mta_sts.timeout. What cannot be had then is no policy (ABSENT): the rules of the
 *     destination decide. The fetch goes on.
 *   - A fetch that failed is not repeated for 5 minutes (3.3), then 10, up to an hour, unless the
 * id changes.
 *   - Mode none counts as no policy, for its max_age. It takes the file from the disk.
 *
 * One fetch for a domain at a time, GATEWAY_MTA_STS_FETCHES_MAX at once for a worker; more wait for
 * their turn. Whether the disk has a policy must be known before ABSENT can be said: where our own
 * limits prevent that the answer is UNKNOWN, and the delivery has to wait.
 */
#pragma once
#include "base/list.h"
#include "gateway/mta_sts_io.h"
#include "policy/mta_sts.h"

#define GATEWAY_MTA_STS_DOMAINS_MAX  16384       /* in memory; those asked for last stay */
#define GATEWAY_MTA_STS_BYTES_MAX    (32u << 20) /* of their policies */
#define GATEWAY_MTA_STS_FETCHES_MAX  32          /* at once */
#define GATEWAY_MTA_STS_RECORD_S_MIN 60          /* a TXT answer is remembered so long, */
#define GATEWAY_MTA_STS_RECORD_S_MAX 3600        /* or its time to live, at most this */
#define GATEWAY_MTA_STS_AGE_S_MIN    60          /* a shorter max_age counts as this one */
#define GATEWAY_MTA_STS_REFRESH_S    86400       /* an older policy is fetched anew */
#define GATEWAY_MTA_STS_RETRY_S      300         /* behind the first failure */
#define GATEWAY_MTA_STS_RETRY_S_MAX  3600

struct gateway_mta_sts; /* private */

enum gateway_mta_sts_outcome {
    GATEWAY_MTA_STS_FOUND,  /* a policy, testing or enforce */
    GATEWAY_MTA_STS_ABSENT, /* none counts */
    GATEWAY_MTA_STS_UNKNOWN /* we cannot say now: a limit of ours, or we stop */
};

/* Embedded in who asks, zeroed at first. Fields are private but outcome, reason and trouble: of
 * ABSENT, why the policy that the domain's record speaks of could not be had, in the terms of RFC
 * 8460 4.3. OBSERVE_TLS_SUCCESS: it has none, or the trouble is ours. */
struct gateway_mta_sts_query {
    struct list_node node;
    struct gateway_mta_sts *sts; /* NULL: not running */
    struct gateway_mta_sts_held *held;
    enum gateway_mta_sts_outcome outcome; /* of an answered one */
    char reason[GATEWAY_MTA_STS_REASON_MAX];
    enum observe_tls_result_type trouble;
    void (*done)(struct gateway_mta_sts_query *query, const struct policy_mta_sts *policy,
                 const char *reason);
};

/* Borrows worker, whose loop need not be there yet. */
MUST_USE enum status gateway_mta_sts_create(struct gateway_worker *worker,
                                            const struct gateway_mta_sts_ops *ops,
                                            struct gateway_mta_sts **sts_out);

/* The loop and the threads of the io have ended. Accepts NULL. */
void gateway_mta_sts_destroy(struct gateway_mta_sts *sts);

/* The worker stops: who waits gets UNKNOWN, and nothing new is asked or fetched. */
void gateway_mta_sts_stop(struct gateway_mta_sts *sts);

/* domain: of the recipient, in its A-form; borrowed for the call. done() follows once, never from
 * inside, unless the query is forgotten before. policy is NULL unless the outcome is FOUND; it is
 * the query's until that is forgotten or asks again, also when another one counts meanwhile. reason
 * says why there is none, in printable ASCII; "" when there is one. */
void gateway_mta_sts_ask(struct gateway_mta_sts *sts, struct gateway_mta_sts_query *query,
                         struct slice domain,
                         void (*done)(struct gateway_mta_sts_query *query,
                                      const struct policy_mta_sts *policy, const char *reason));

/* At any time, also before the first question: ends the wait, lets go of the policy. */
void gateway_mta_sts_forget(struct gateway_mta_sts_query *query);
