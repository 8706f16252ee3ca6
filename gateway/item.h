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
#include "delivery/scheduler.h"
#include "engine/mailbox.h"
#include "gateway/failure.h"
#include "gateway/lane.h"

struct gateway_message;
struct gateway_outbound;
struct gateway_report;
struct gateway_worker;

/* What is under way for an item. */
struct gateway_loan {
    struct engine_message post; /* asks the home for the message, and comes back */
    struct list_node node;      /* the home's: waits for the message; for gateway/shelf.c */
    struct gateway_item *item;
    struct gateway_report *parting;     /* the last report, which waits for its end */
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

/* In the message's allocation, behind its items. */
struct gateway_item_recipients {
    uint16_t all_count;
    _Atomic uint16_t holds; /* as in struct spool_result; the owner counts, the home reads it when
                               it has to say it again: maybe before its report has come */
    uint32_t warned_wall_s; /* the same: when the sender was warned last; the home's, once the
                               owner has the item */
    uint32_t rids[];        /* those that wait; then, where there are several, all in order */
};

struct gateway_item {
    struct delivery_item delivery; /* the owner's scheduler; its node, when it is not in there:
                                      among those that he has no room for now */
    union {
        struct engine_message post; /* on its way to the owner */
        struct list_node node;      /* then: of the owner's holdings */
    };
    struct gateway_lane *lane;
    struct gateway_tries *tries; /* NULL: nothing is known of them */
    uint16_t place;              /* among the items of the message */
    uint16_t recipients_at;      /* of struct gateway_item_recipients, in 4 bytes */
    uint16_t waiting_count;      /* those that have no final result; the owner lessens it */
    uint16_t left_count;         /* the last of them, which this try has left for the next */
};

static_assert(sizeof(struct gateway_item) <= sizeof(struct delivery_item) + 40,
              "ten million of them take 1.2 GB");

struct gateway_message *gateway_item_message(const struct gateway_item *item);
struct gateway_item_recipients *gateway_item_recipients(const struct gateway_item *item);

/* The waiting_count recipients that have no final result. */
static inline uint32_t *gateway_item_waiting(const struct gateway_item *item)
{
    return gateway_item_recipients(item)->rids;
}

/* Of the others, all_count in number, nobody is waited for any more. */
const uint32_t *gateway_item_all(const struct gateway_item *item);

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
    return gateway_item_recipients(item)->holds % 2 != 0;
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

/* The last report waits for what is lent; false: nothing is. */
MUST_USE bool gateway_item_part_later(struct gateway_item *item, struct gateway_report *report);

/* Before the message is freed. */
void gateway_item_finish(struct gateway_item *item);
