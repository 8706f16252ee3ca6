/* tests/sim/ledger.h - what was promised, what has arrived, and whether the two fit together.
 *
 * Every message has a number, which is in its sender, its recipients and its body. Clients write
 * here what they have sent and what the gateway has put on the wire for it; next hops, what they
 * have accepted. What must never be is said at once (sim_fault()): a recipient nobody sent to, a
 * message that was never sent whole or was refused, a body that differs by a byte. The rest is
 * judged at the end:
 *
 *   - each recipient whose message got a 250 was delivered, or its sender was told that it failed;
 *   - it was delivered twice only if a next hop's 250 had not been read by the gateway, or if a
 *     crash came before its result can have been recorded, or a stop while the disk failed;
 *   - it failed only if a next hop said so, or its time was over.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define SIM_RECIPIENTS_MAX 12
#define SIM_DOMAINS_MAX    4 /* d0.sim .. ; senders are at src.sim */

struct sim_acceptance { /* a next hop has taken it */
    uint64_t at_us;
    uint64_t read_us; /* the gateway has read the 250; 0: never */
    struct sim_acceptance *next;
};

enum sim_notify { SIM_NOTIFY_UNSAID, SIM_NOTIFY_NEVER, SIM_NOTIFY_SUCCESS };

struct sim_recipient {
    enum sim_notify notify;
    unsigned domain;
    bool is_accepted;       /* RCPT got its 250 */
    bool is_refused_by_hop; /* a 5xx */
    unsigned bounces;
    unsigned deliveries;
    struct sim_acceptance *acceptances;
};

enum sim_promise {
    SIM_PROMISE_NONE,
    SIM_PROMISE_MADE,   /* 250 behind the dot, on the wire */
    SIM_PROMISE_REFUSED /* anything else */
};

struct sim_message {
    unsigned number;
    uint64_t begun_us; /* when it was */
    bool has_sender;
    bool is_complete; /* the final dot was sent */
    enum sim_promise promise;
    uint64_t promised_us;
    char *body; /* as on the wire, without the final dot */
    size_t body_bytes;
    unsigned recipients_count;
    struct sim_recipient recipients[SIM_RECIPIENTS_MAX];
};

struct sim_counts {
    unsigned messages; /* that clients have begun */
    unsigned acknowledged;
    unsigned recipients; /* of these */
    unsigned delivered;
    unsigned bounced;
    unsigned dropped; /* double bounces: nobody is to be told */
    unsigned duplicates;
    unsigned unasked; /* delivered without a 250 that left */
    unsigned crashes;
    unsigned stops;
    unsigned failed_starts;
    unsigned fetched; /* messages that came back from the disk */
    unsigned moved;   /* by compaction, or left where they were */
};

extern struct sim_counts sim_counts;

struct sim_ledger_rules {
    bool disk_fails;       /* a 451 may be found */
    bool reads_fail;       /* a message on the disk may not be had now */
    uint64_t disk_well_us; /* it fails until then, and results wait; SIM_EVER: it still does */
    uint64_t record_us;    /* a result is on disk so long after the 250 was read */
    uint64_t catch_up_us;  /* or, if that is later, so long after the disk was well */
    uint64_t max_age_us;   /* of the bounce profile */
};

extern struct sim_ledger_rules sim_ledger_rules;

/* Called when a 250 for a message is on the wire. */
extern void (*sim_ledger_promised)(void);

struct sim_message *sim_ledger_message(size_t body_bytes_max);
const char *sim_message_sender(const struct sim_message *m, char text[static 64]);
const char *sim_message_recipient(const struct sim_message *m, unsigned i, char text[static 64]);

/* For clients: the reply to the final dot is on the wire. */
void sim_ledger_answered(struct sim_message *m, unsigned code);

/* For next hops. The address as in RCPT, without brackets; NULL: no such recipient is known, which
 * is a fault unless it is a sender's. */
struct sim_recipient *sim_ledger_recipient(struct slice address, struct sim_message **message_out);
bool sim_ledger_is_sender(struct slice address);

/* Accepted for this recipient: what came between DATA and the dot. */
struct sim_acceptance *sim_ledger_delivered(struct sim_message *m, struct sim_recipient *r,
                                            struct slice text);
void sim_ledger_told(struct slice to, struct slice text); /* a report to a sender */
void sim_ledger_session_refused(unsigned domain);

void sim_ledger_crashed(void);
void sim_ledger_stopped(void);

/* Nothing is missing. */
bool sim_ledger_is_settled(void);

/* At the end; faults, or counts. */
void sim_ledger_judge(void);
