/* cli/load_worker.h - one thread of the load generator, with its share of the sessions.
 *
 * Workers share struct load_run: each message is a ticket, a number that is given out once, and
 * with a rate the ticket also says when its message is due. Nobody waits for anybody.
 */
#pragma once
#include "base/buffer.h"
#include "base/clock.h"
#include "base/list.h"
#include "cli/crew.h"
#include "cli/load_options.h"
#include "cli/load_stats.h"
#include "smtp/client.h"

#define LOAD_CONNECTING_MAX   64 /* sessions of a worker that are being opened at a time */
#define LOAD_LEDGER_BYTES_MAX (1024 * 1024)

struct load_session;
struct tls_context;

/* What all workers share. */
struct load_run {
    const struct load_options *options;
    uint64_t id;
    uint64_t start_ns;
    _Atomic uint64_t tickets; /* given out so far */
    int ledger;               /* -1: none */
    _Atomic int ledger_error; /* an errno of its first failed write */
};

struct load_worker {
    struct cli_hand hand;
    struct load_run *run;
    struct tls_context *tls; /* NULL: STARTTLS is not used */
    struct smtp_client_options smtp_options;
    struct load_stats stats;
    struct load_session *sessions; /* all of them, from the start to the end */
    uint32_t sessions_count;
    uint32_t sessions_finished;
    struct list queue; /* sessions that want to connect */
    uint32_t connecting;
    bool is_stopping;
    struct buffer ledger; /* lines not yet written */
    char date[CLOCK_DATE_MAX];
    time_t date_s;
};

/* The part before the thread starts. count: its share of the sessions. */
MUST_USE enum status load_worker_init(struct load_worker *w, struct load_run *run, uint32_t count);
void load_worker_finish(struct load_worker *w); /* accepts one that is all zero */

extern const struct cli_hand_handlers load_worker_handlers;

/* For the sessions, in the worker's thread. */

/* False: there is no message left to send. */
bool load_worker_take_ticket(struct load_worker *w, uint64_t *ticket_out);

/* How long to wait until the ticket's message is due. False: not before the end. */
bool load_worker_is_due(struct load_worker *w, uint64_t ticket, uint64_t *wait_ms_out);

/* load_session_connect() is called when it is the session's turn; the session says when it is
 * open or has failed. */
void load_worker_queue(struct load_worker *w, struct load_session *s);
void load_worker_opened(struct load_worker *w);

void load_worker_accepted(struct load_worker *w, uint64_t ticket, uint64_t bytes);
void load_worker_finished(struct load_worker *w); /* a session, for good */
struct slice load_worker_date(struct load_worker *w);
