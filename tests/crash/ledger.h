/* tests/crash/ledger.h - the mail of a history: what was sent, what was promised, what is there.
 *
 * What a message contains follows from its place in the ledger, so that any copy can be compared.
 */
#pragma once
#include "tests/crash/history.h"
#include "tests/crash/sim_run.h"

#define LEDGER_MAILS_MAX      1024
#define LEDGER_RECIPIENTS_MAX 3

enum promise {
    PROMISE_NONE, /* it may be there or not */
    PROMISE_KEPT, /* it must be there */
    PROMISE_GONE  /* it must not */
};

/* Of one recipient: so many attempts, of which the last may have delivered. */
struct ledger_result {
    uint32_t attempts;
    uint32_t attempts_durable;
    uint32_t delivered_at; /* the attempt that did; 0: none */
    uint64_t position;     /* in its log's results, behind the last one */
};

struct ledger_mail {
    struct ledger *ledger;
    uint64_t mid;
    enum promise promise;
    bool is_of_run; /* this process has sent or adopted it */
    bool is_living; /* the process has it and may deliver it */
    bool is_over;   /* nothing is open any more; DONE waits while it is being moved */
    bool is_ending; /* DONE was appended */
    bool is_aside;  /* it could not be read; where it is not found, its segment is in quarantine */
    bool is_in_file;
    bool may_lack_body; /* its commit failed, and the body file was removed */
    unsigned worker;
    unsigned recipients;
    size_t body_bytes;
    size_t body_given; /* to its file */
    uint64_t done_position;
    uint64_t seen; /* by this check */
    struct ledger_result results[LEDGER_RECIPIENTS_MAX];

    /* while the process has it */
    struct spool_draft draft;
    struct spool_message *message;
    struct spool_reservation reservation;
    struct gateway_receipt receipt;
    struct gateway_body *body;
    struct mailing_queued *queued;
};

struct ledger {
    struct ledger_mail mails[LEDGER_MAILS_MAX]; /* by mid */
    size_t count;
    uint64_t checks;
    unsigned rotten;     /* mails that no process can read any more */
    bool has_survivors;  /* most mail goes soon, and a few stay: little is left of old segments */
    bool may_show_stale; /* a segment in the making may have old contents of others: no header */
    struct sim_run *run; /* that the mails live in; NULL: none */
    struct history_counts *counts;
    char failure[HISTORY_TEXT_MAX]; /* the first one; empty: none */
};

/* Keeps the first. */
void ledger_fail(struct ledger *l, const char *format, ...) PRINTF_LIKE(2, 3);

struct ledger_mail *ledger_find(struct ledger *l, uint64_t mid); /* NULL */

/* Begins the draft, up to the trace. */
void ledger_draft(struct ledger_mail *m);
struct slice ledger_body(const struct ledger_mail *m);

/* What a start has read, against what was promised. Returns a number that stands for the messages
 * found and what is known of them; the same messages give the same number. */
uint64_t ledger_check(struct ledger *l, struct sim_run *started);

/* The process is gone; what this start has read is the truth from now on. */
void ledger_settle(struct ledger *l, struct sim_run *started);

/* All that waited was written: what is not durable by now will never be. */
void ledger_check_quiet(struct ledger *l);
