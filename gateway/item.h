/* gateway/item.h - the recipients of one message at one domain, lent to the owner of its
 * destination.
 *
 * Made by the home of the message (gateway/message.h) as a part of it, posted to the owner, who
 * puts it into his scheduler, and ended by the report that says so (gateway/report.h). What is
 * here is for the owner, while he has it.
 */
#pragma once
#include <assert.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/slim_list.h"
#include "delivery/scheduler.h"
#include "engine/mailbox.h"
#include "gateway/failure.h"
#include "gateway/lane.h"
#include "spool/recovery.h"

struct gateway_message;
struct gateway_outbound;
struct gateway_report;
struct gateway_worker;

/* What is under way for an item. */
struct gateway_loan {
    struct engine_message post; /* asks the home for the message, and comes back */
    struct list_node node;      /* the home's: waits for the message; for gateway/shelf.c */
    struct gateway_item *item;
    bool is_parting;                    /* the item has ended, and waits for the loan's end */
    struct gateway_report *parting;     /* with this report; NULL: as struct gateway_delivered */
    struct gateway_outbound *wanted_by; /* waits for the fetch, as the rest */
    unsigned borrows;                   /* sends from the message's memory, a fetch */
    bool is_fetching;                   /* asked, and not answered */
    enum status fetched;
};

/* Of an item that has been tried; the owner's. */
struct gateway_tries {
    struct gateway_failures failures; /* the last ones of those that wait */
    struct gateway_loan *loan;        /* NULL: nothing is under way */
};

/* The way home of an item whose recipients have all been delivered, which is most of the mail: it
 * says so itself, and no report comes with it. */
struct gateway_delivered {
    struct engine_message post;
    uint16_t count;    /* of gateway_item_waiting() */
    uint16_t attempts; /* it took */
};

struct gateway_item {
    union {
        struct spool_recovered_message found; /* of a message's first item, at start: until the
                                                 message is settled, the recovery's */
        struct engine_message post;           /* then: on its way to the owner */
        struct {                              /* then the owner's */
            union {
                struct delivery_item delivery;      /* in his scheduler; its node, when it is not in
                                                       there: among those he has no room for now */
                struct gateway_delivered delivered; /* when it has ended so */
            };
            struct gateway_tries *tries; /* NULL: nothing is known of them */
            struct slim_node node;       /* of his holdings */
            uint16_t left_count; /* the last of the waiting ones, which this try has left for the
                                    next */
            uint16_t place;      /* among the items of the message: always, it is behind the others
                                    of the union */
        };
    };
    struct gateway_lane *lane;
    uint16_t recipients_at; /* of the message's numbers of recipients */
    uint16_t waiting_count; /* those that have no final result; the owner lessens it */
    uint16_t all_count;     /* with those that have one */
    _Atomic uint16_t holds; /* as in struct spool_result; the owner counts, the home reads it when
                               it has to say it again: maybe before its report has come */
};

static_assert(offsetof(struct gateway_item, place) >= sizeof(struct spool_recovered_message),
              "that does not overwrite it");
static_assert(sizeof(struct gateway_item) <= 104, "ten million of them take 1.04 GB");

struct gateway_message *gateway_item_message(const struct gateway_item *item);

/* The waiting_count recipients that have no final result. */
uint16_t *gateway_item_waiting(const struct gateway_item *item);

/* All of its recipients, all_count of them, in order. */
const uint16_t *gateway_item_all(const struct gateway_item *item);

/* When the sender was warned last, as in struct spool_result; the home's, once the owner has the
 * item. */
uint32_t *gateway_item_warned_wall_s(const struct gateway_item *item);

static inline struct slice gateway_item_domain(const struct gateway_item *item)
{
    return gateway_lane_domain(item->lane);
}

/* What the recovery knows of its recipients, as one: age, attempts, warnings and the wait of the
 * arrival. For the owner, when he gets it. */
void gateway_item_past(const struct gateway_item *item, int64_t now_wall_s,
                       struct delivery_arrival *arrival);

/* By an operator: it is in no scheduler, and nothing happens to it. */
static inline bool gateway_item_is_held(const struct gateway_item *item)
{
    return item->holds % 2 != 0;
}

/* What is to be told of a recipient that is given up, or late: the last failure, if there was one,
 * under the outcome now; else the outcome alone, with words of ours (may be empty). NULL: no
 * memory. */
struct gateway_failure *gateway_item_failure(const struct gateway_item *item, uint32_t rid,
                                             const struct delivery_outcome *outcome,
                                             struct slice words);

/* The last failure; NULL: none, or it is not known. Until the next note. */
const struct gateway_failure *gateway_item_last_failure(const struct gateway_item *item,
                                                        uint32_t rid);

/* The last try of this recipient has failed so; takes the failure. NULL: as for all that wait. */
void gateway_item_note_failure(struct gateway_item *item, uint32_t rid,
                               struct gateway_failure *failure);

/* The same of all that have none of their own; may be NULL. */
void gateway_item_note_common(struct gateway_item *item, struct gateway_failure *failure);

/* The kernel has, or has no more, the message's memory for a send; or a fetch is under way. The
 * home does not hear that the item ended, and so cannot free the message, before all is given back:
 * a connection that was reset gives back when it is closed. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_item_borrow(struct gateway_item *item);
void gateway_item_give_back(struct gateway_item *item, struct engine_loop *from);

/* Whether something is lent. */
bool gateway_item_is_lent(const struct gateway_item *item);

/* The end waits for what is lent, and comes as gateway_report_end() with this report; false:
 * nothing is. */
MUST_USE bool gateway_item_part_later(struct gateway_item *item, struct gateway_report *report);

/* Drops what is known of its tries: before the message is freed, or when nobody asks any more. */
void gateway_item_finish(struct gateway_item *item);
