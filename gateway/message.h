/* gateway/message.h - a message that the gateway is responsible for, at its home worker.
 *
 * From the commit (or the recovery) until every recipient is delivered or bounced. The home
 * worker owns the memory, writes the records and knows what is still open. Recipients are
 * grouped by domain into items; each item is lent to the worker that owns its destination
 * (gateway/dispatch.h) and comes back with reports:
 *
 *     commit -> 250 -> items posted -> reports ... -> all items ended, no bounce on its way
 *            -> DONE recorded -> freed
 *
 * While an item is out, its owner may read the message, which never changes; after the report
 * that ends the item it may not.
 *
 * A report to the sender is a message of its own (gateway/bounce.h). The results that say
 * "bounced", and that a warning was sent, are recorded only when it is committed, so that a crash
 * in between can bounce twice but never not at all. "Delivered" is recorded first, in the same
 * write where possible: mail does not come twice for the sake of a report that it was handed on.
 */
#pragma once
#include "base/list.h"
#include "delivery/outcome.h"
#include "delivery/scheduler.h"
#include "engine/mailbox.h"
#include "engine/timer.h"
#include "gateway/failure.h"
#include "spool/draft.h"
#include "spool/log.h"
#include "spool/recovery.h"

struct gateway_inbound;
struct gateway_worker;
struct gateway_message;

/* The recipients of one message at one domain. */
struct gateway_item {
    struct delivery_item delivery; /* the owner's scheduler */
    struct engine_message post;    /* on its way to the owner */
    struct gateway_message *message;
    struct gateway_worker *owner;
    struct slice domain; /* borrows from the message */
    const uint32_t *all; /* the recipients, as the home keeps them */
    uint32_t *waiting;   /* those that have no final result; the owner shortens it */
    unsigned all_count;
    unsigned waiting_count;
    unsigned left_count;              /* the last of them, which this try has left for the next */
    unsigned attempts;                /* that failed before this run; then for the owner to count */
    unsigned warnings;                /* the same: reports of delay that the sender has had */
    time_t warned_s;                  /* when the last of them was */
    struct gateway_failures failures; /* the owner's: the last ones of those that wait */
    uint64_t wait_ms;                 /* until the next attempt, when it comes from the recovery */
    unsigned borrows; /* sends that the kernel may still read the message's memory for */
    struct gateway_report *parting; /* the last report, which waits for them */
    struct list_node stranded;      /* the owner had no room for it */
};

/* What the sender is to be told of a recipient, if he wants to hear it. */
enum gateway_notice {
    GATEWAY_NOTICE_NONE,
    GATEWAY_NOTICE_FAILED,  /* the result is BOUNCED */
    GATEWAY_NOTICE_DELAYED, /* it waits, and does so for long */
    GATEWAY_NOTICE_RELAYED, /* it was handed on to a host that does not tell of its delivery */
    GATEWAY_NOTICES_COUNT
};

struct gateway_verdict {
    struct spool_result result;
    enum gateway_notice notice;
    bool is_silent;                  /* nobody is told: settled at home, before the first report */
    struct gateway_failure *failure; /* owned; for the notice. NULL: nothing is known, no memory */
};

/* From the owner of an item to the home of its message. */
struct gateway_report {
    struct engine_message post;
    struct engine_timer retry; /* at home, while its bounce cannot be made */
    struct gateway_item *item;
    bool item_ended;
    bool is_judged;             /* by gateway/bounce.c, as the next three */
    enum gateway_notice notice; /* whose verdicts are being told of */
    unsigned told;        /* messages on stable storage tell of those of them before this one */
    unsigned telling;     /* and the one on its way of those before this one */
    time_t retry_until_s; /* of DELAYED */
    unsigned verdicts_count;
    unsigned verdicts_max;
    struct gateway_verdict verdicts[];
};

struct gateway_message {
    struct spool_ticket ticket; /* of the MESSAGE record, later of DONE */
    struct gateway_worker *home;
    struct spool_message *spool; /* owned */
    struct spool_location location;
    struct gateway_inbound *session;      /* waits for the 250; NULL: none, or gone */
    struct gateway_message *bounce_of;    /* the message whose bounce this is, until committed */
    struct gateway_report *bounce_report; /* what this bounce reports; owned until committed */
    struct list_node node;                /* the home worker's messages */
    struct spool_result *known;           /* from the recovery, one for each recipient; or NULL */
    char *hostname;                       /* ours, for recipients without a domain; else NULL */
    struct gateway_item *items;
    uint32_t *rids; /* behind the items: twice the recipients */
    unsigned items_count;
    unsigned items_open;
    unsigned bounces_open;
    size_t memory_bytes;
    uint64_t file_bytes; /* of a body in its own file */
};

/* Completes the draft and hands it to the store; the rest follows by itself. On failure the
 * draft is gone as well, and no event follows. session may be NULL. */
MUST_USE enum status gateway_message_commit(struct gateway_worker *home, struct spool_draft *draft,
                                            struct spool_reservation *reservation,
                                            struct gateway_inbound *session);

/* A message that the recovery found; takes spool. Its items are posted by
 * gateway_message_start(), on the home worker's thread. */
MUST_USE enum status gateway_message_recover(struct gateway_worker *home,
                                             struct spool_message *spool,
                                             const struct spool_location *location,
                                             const struct spool_recovered_message *found);
void gateway_message_start(struct gateway_message *m);

/* A bounce that tells of `report` about m; takes the report on success, as above otherwise. */
MUST_USE enum status gateway_message_commit_bounce(struct gateway_worker *home,
                                                   struct spool_draft *draft,
                                                   struct gateway_message *m,
                                                   struct gateway_report *report);

/* All bounces for the report, taken here, are on stable storage or are not wanted. */
void gateway_message_bounced(struct gateway_message *m, struct gateway_report *report);

/* Frees a message whatever its state; when no worker runs any more. */
void gateway_message_destroy(struct gateway_message *m);

/* For the store: a ticket has come back. */
void gateway_message_ticket_back(struct spool_ticket *ticket);

/* The session that waits for the 250 has ended. */
void gateway_message_forget_session(struct gateway_message *m);

/* For the owner of an item. A report has room for `verdicts`. */
MUST_USE enum status gateway_report_create(struct gateway_item *item, unsigned verdicts,
                                           struct gateway_report **report_out);
void gateway_report_destroy(struct gateway_report *report); /* accepts NULL */

/* Adds a verdict; failure is taken, and only there with a notice. */
void gateway_report_add(struct gateway_report *report, const struct spool_result *result,
                        enum gateway_notice notice, struct gateway_failure *failure);

/* For the owner of an item. What is to be told of a recipient that is given up, or late: the last
 * failure, if there was one, under the outcome now; else the outcome alone, with words of ours
 * (may be empty). NULL: no memory. */
struct gateway_failure *gateway_item_failure(const struct gateway_item *item, uint32_t rid,
                                             const struct delivery_outcome *outcome,
                                             struct slice words);

/* The last failure; NULL: none, or it is not known. Until the next note. */
const struct gateway_failure *gateway_item_last_failure(const struct gateway_item *item,
                                                        uint32_t rid);

/* The last try of this recipient has failed so; takes the failure. NULL: as for all that wait. */
void gateway_item_note_failure(struct gateway_item *item, uint32_t rid,
                               struct gateway_failure *failure);

/* For the owner of an item: the kernel has, or has no more, the message's memory for a send. The
 * home does not hear that the item ended, and so cannot free the message, before all is given
 * back: a connection that was reset gives back when it is closed. */
void gateway_item_borrow(struct gateway_item *item);
void gateway_item_give_back(struct gateway_item *item, struct engine_loop *from);

/* Takes the report; with item_ended the item must not be touched afterwards, except to give
 * back. */
void gateway_report_post(struct gateway_report *report, struct engine_loop *from, bool item_ended);
