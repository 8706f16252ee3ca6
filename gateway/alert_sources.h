/* gateway/alert_sources.h - what a worker has to tell of: trouble of its own, and required TLS.
 *
 * Every call is of the worker's thread, and never waits (gateway/alerts.h).
 */
#pragma once
#include "base/ip.h"
#include "observe/alerts.h"

#define GATEWAY_ALERT_DOMAINS_MAX 512 /* of a worker */

struct gateway_worker;

void gateway_alert_raise(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject, enum observe_severity severity, struct slice text);
void gateway_alert_clear(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject);

/* A message cannot be read any more; what: "cannot be read from segment 7: I/O error". A line in
 * the log, and an alert about `messages`, which is not cleared: mail may be lost there. */
void gateway_alert_unreadable(struct gateway_worker *w, uint64_t mid, const char *what);

/* The domains that this worker has raised an alert about and not yet cleared; embedded in the
 * worker, zeroed at first. A hash stands for a domain: two that share one share their recovery. */
struct gateway_alert_domains { /* Fields are private. */
    unsigned count;
    unsigned next; /* to be overwritten when all are taken; that domain's recovery is not told */
    uint64_t hashes[GATEWAY_ALERT_DOMAINS_MAX];
};

/* A destination demands TLS, and this host could not give it. host: its name, or empty; endpoint
 * may be NULL: no host was reached. queued: messages that wait for the domain. The destination's
 * worker says it, who is the one that says the next as well. */
void gateway_alert_tls_failed(struct gateway_worker *w, struct slice domain, struct slice host,
                              const struct ip_endpoint *endpoint, struct slice reason,
                              uint64_t queued);

/* Mail goes to the domain: it has the TLS that is demanded, or none is any more (a reload, a policy
 * that was weakened). For each connection: it costs one look at a number while nothing is wrong,
 * and a message only when something was. */
void gateway_alert_tls_recovered(struct gateway_worker *w, struct slice domain);
