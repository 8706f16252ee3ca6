/* gateway/tls_report_lookup.h - a question of the keeper of TLS reports to the DNS, by a worker.
 *
 * The keeper has no loop, and so no resolver: it posts a lookup to a worker, which asks its own
 * (gateway/names.h) and writes what came of it into the lookup:
 *
 *     IDLE -> ask -> ASKED -> DONE
 *
 * What is ASKED is the worker's; it may stay so for ever when the workers end, and may be freed
 * when their threads have. A worker that stops answers at once: it failed.
 */
#pragma once
#include <stdatomic.h>

#include "dns/query.h"
#include "engine/mailbox.h"
#include "gateway/names.h"
#include "observe/tls_report_record.h"

#define GATEWAY_TLS_LOOKUP_ADDRESSES_MAX 16 /* of a host; more are not tried */
#define GATEWAY_TLS_LOOKUP_NAME_MAX      (DNS_NAME_MAX + 16)

struct gateway_process;
struct gateway_worker;

enum gateway_tls_lookup_kind {
    GATEWAY_TLS_LOOKUP_RECORD,   /* TXT: RFC 8460 3 */
    GATEWAY_TLS_LOOKUP_ADDRESSES /* A and AAAA */
};

enum gateway_tls_lookup_state {
    GATEWAY_TLS_LOOKUP_IDLE,
    GATEWAY_TLS_LOOKUP_ASKED,
    GATEWAY_TLS_LOOKUP_DONE
};

struct gateway_tls_lookup {
    struct engine_message post; /* private, as are the next ones */
    struct list_node node;      /* the worker's, while it is asked there */
    struct dns_query queries[2];
    struct gateway_worker *worker;
    struct gateway_names *names;
    _Atomic int state;

    int bell; /* an eventfd that rings when it is DONE; -1: none */
    enum gateway_tls_lookup_kind kind;
    char name[GATEWAY_TLS_LOOKUP_NAME_MAX]; /* "_smtp._tls.example.com", "reports.example.com" */

    /* What came of it. */
    bool is_failed;       /* it cannot be said now */
    size_t records_count; /* of TLSRPT; record is the first of them */
    size_t record_bytes;
    size_t addresses_count;
    char record[OBSERVE_TLS_RECORD_BYTES_MAX];
    struct ip_address addresses[GATEWAY_TLS_LOOKUP_ADDRESSES_MAX];
};

/* Everything but bell and name is for us. */
void gateway_tls_lookup_init(struct gateway_tls_lookup *lookup, enum gateway_tls_lookup_kind kind,
                             int bell);

/* It is IDLE. False: no worker runs; nothing happened. */
bool gateway_tls_lookup_ask(struct gateway_tls_lookup *lookup, struct gateway_process *process);

static inline enum gateway_tls_lookup_state gateway_tls_lookup_state_of(
    const struct gateway_tls_lookup *lookup)
{
    return (enum gateway_tls_lookup_state)atomic_load(&lookup->state);
}

/* The worker's thread: it stops, what it asks is cancelled and has failed. */
void gateway_tls_lookups_stop(struct gateway_worker *worker);
