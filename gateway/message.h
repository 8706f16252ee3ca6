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
 * While an item is out, its owner may read what is here; the message itself, which never changes,
 * only while he holds it (gateway/shelf.h); after the report that ends the item, nothing.
 *
 * A report to the sender is a message of its own (gateway/bounce.h). The results that say
 * "bounced", and that a warning was sent, are recorded only when it is committed, so that a crash
 * in between can bounce twice but never not at all. "Delivered" is recorded first, in the same
 * write where possible: mail does not come twice for the sake of a report that it was handed on.
 */
#pragma once
#include "gateway/item.h"
#include "gateway/known.h"
#include "gateway/report.h"
#include "smtp/body.h"
#include "spool/draft.h"
#include "spool/log.h"

struct gateway_inbound;
struct gateway_worker;

/* What a message has under way with the log: its commit, its move to another place
 * (gateway/compaction.h), its end. It is made together with the message, so that a commit cannot
 * fail for want of it, and goes with the 250; a message with a body file keeps it, for the file is
 * removed when the end is durable. A move has one of its own, or is not begun. */
struct gateway_errand {
    struct spool_ticket ticket;
    struct gateway_message *message;
    struct gateway_inbound *session;      /* waits for the 250; NULL: none, or gone */
    struct gateway_message *bounce_of;    /* the message whose bounce this is, until committed */
    struct gateway_report *bounce_report; /* what this bounce reports; owned until committed */
    uint64_t file_bytes;                  /* of a body in its own file; 0: it has none */
    bool is_move;
    struct spool_location new_location; /* is_move: of the copy */
};

/* What waits, ten million times over: what is needed only while something happens to it stands in
 * other structures. */
struct gateway_message {
    struct gateway_worker *home;
    union {
        struct spool_message *spool; /* owned; while it is in memory */
        struct gateway_fetch *fetch; /* while it is on disk only: reads it; NULL: nobody does */
    };                               /* see gateway/shelf.h */
    struct gateway_errand *errand;   /* owned; NULL: nothing is under way */
    uint64_t mid;
    struct spool_location location;
    struct slim_node node;       /* the home's messages in memory, or on the shelf */
    uint32_t record_text_bytes;  /* of header and body, without a body file */
    uint32_t arrival_wall_s;     /* since 1970, up to 2106 */
    _Atomic int16_t readers;     /* of `spool`; for gateway/shelf.c */
    uint16_t open_count;         /* items that have not ended, and bounces on their way */
    bool has_file;               /* for its body: then errand is there as long as the message */
    uint8_t is_aside : 1;        /* unreadable: it has no place any more, and ends; the home's */
    uint8_t compaction_pass : 7; /* for gateway/compaction.c; the same */
    uint16_t recipients_count;
    uint16_t items_count;
    uint16_t sender_bytes;
    struct gateway_item items[]; /* then what is known of each recipient, when each item's sender
                                    was warned, its recipients, and the sender */
};

static_assert(sizeof(struct gateway_message) <= 80, "ten million of them take 800 MB");

static_assert(SPOOL_RECIPIENTS_MAX <= UINT16_MAX, "recipients, and items, have 16 bits");
static_assert(2 * SPOOL_RECIPIENTS_MAX < INT16_MAX,
              "an item reads it, or its fetch, or its bounce");

/* What was recorded of each recipient, by its number. */
struct gateway_known *gateway_message_known(const struct gateway_message *m);

/* For gateway/item.h: a time for each item; then for each the numbers of the recipients that wait
 * and, where it has several, of all of them. */
uint32_t *gateway_message_warned_wall_s(const struct gateway_message *m);
uint16_t *gateway_message_rids(const struct gateway_message *m);

struct slice gateway_message_sender(const struct gateway_message *m);

/* That it came in at; empty: none, or nobody waits. */
struct slice gateway_message_listener(const struct gateway_message *m);

/* Of header and body, wherever it lies. */
uint64_t gateway_message_size(const struct gateway_message *m);

/* Of a body in its own file; 0: it has none. For whoever may read the message's object. */
static inline uint64_t gateway_message_file_bytes(const struct gateway_message *m)
{
    return m->has_file ? m->errand->file_bytes : 0;
}

static inline bool gateway_message_is_moved(const struct gateway_message *m)
{
    return m->errand != NULL && m->errand->is_move;
}

/* One for the message, which has none. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_message_begin_errand(struct gateway_message *m);

/* Nothing is under way any more. */
void gateway_message_end_errand(struct gateway_message *m);

/* What was found in the draft's body; for mail made here, which is not too large for memory, the
 * second looks itself. */
void gateway_message_note_content(struct spool_draft *draft, const struct smtp_body *facts);
void gateway_message_look(struct spool_draft *draft);

/* Completes the draft and hands it to the store; the rest follows by itself. On failure the
 * draft is gone as well, and no event follows. session may be NULL. */
MUST_USE enum status gateway_message_commit(struct gateway_worker *home, struct spool_draft *draft,
                                            struct spool_reservation *reservation,
                                            struct gateway_inbound *session);

/* A message that recovery has found is at home here, and its items may go; on the home's thread. */
void gateway_message_start(struct gateway_message *m);

/* A bounce that tells of `report` about m; takes the report on success, as above otherwise. */
MUST_USE enum status gateway_message_commit_bounce(struct gateway_worker *home,
                                                   struct spool_draft *draft,
                                                   struct gateway_message *m,
                                                   struct gateway_report *report);

/* All bounces for the report, taken here, are on stable storage or are not wanted. */
void gateway_message_bounced(struct gateway_message *m, struct gateway_report *report);

/* The same, but nobody can be told: the message is aside. */
void gateway_message_not_told(struct gateway_message *m, struct gateway_report *report);

/* Frees a message whatever its state; when no worker runs any more. */
void gateway_message_destroy(struct gateway_message *m);

/* For the store: a ticket has come back. */
void gateway_message_ticket_back(struct spool_ticket *ticket);

/* The session that waits for the 250 has ended. */
void gateway_message_forget_session(struct gateway_message *m);

/* For gateway/compaction.c. Nothing is open any more: its end is, or will be, recorded. */
bool gateway_message_is_over(const struct gateway_message *m);

/* It is not being moved any more. */
void gateway_message_moved(struct gateway_message *m);

/* For gateway/report.c: a report has come home, and is the message's. */
void gateway_message_reported(struct gateway_message *m, struct gateway_report *report);

/* The same: an item has come home, which says itself that all are delivered. */
void gateway_message_delivered(struct gateway_item *item);
