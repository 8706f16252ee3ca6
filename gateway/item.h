/* gateway/item.h - the recipients of one message at one domain, lent to the owner of its
 * destination.
 *
 * Made by the home of the message (gateway/message.h) as a part of it, posted to the owner, who
 * puts it into his scheduler, and ended by the report that says so (gateway/report.h). What is
 * here is for the owner, while he has it.
 */
#pragma once
#include <time.h>

#include "base/list.h"
#include "delivery/scheduler.h"
#include "engine/mailbox.h"
#include "gateway/failure.h"

struct gateway_message;
struct gateway_outbound;
struct gateway_report;
struct gateway_worker;

struct gateway_item {
    struct delivery_item delivery; /* the owner's scheduler */
    union {
        struct engine_message post; /* on its way to the owner */
        struct list_node stranded;  /* is_stranded: the owner has no room for it now */
    };
    struct list_node node; /* of the owner's holdings */
    struct gateway_message *message;
    struct gateway_worker *owner;
    struct slice domain; /* borrows from the message */
    uint32_t *all;       /* the recipients, as the home keeps them */
    uint32_t *waiting;   /* those that have no final result; the owner shortens it */
    unsigned all_count;
    unsigned waiting_count;
    unsigned left_count; /* the last of them, which this try has left for the next */
    unsigned attempts;   /* that failed before this run; then for the owner to count */
    unsigned warnings;   /* the same: reports of delay that the sender has had */
    uint32_t released_s; /* when an operator released it, by the wall clock: its age counts from
                            then; 0: never in this run */
    time_t warned_s;     /* when the last of them was */
    struct gateway_failures failures; /* the owner's: the last ones of those that wait */
    uint64_t wait_ms;                 /* until the next attempt, when it comes from the recovery */
    unsigned borrows; /* what is under way for it: sends from the message's memory, a fetch */
    uint16_t holds;   /* as in struct spool_result */
    bool is_stranded;
    struct gateway_report *parting;     /* the last report, which waits for them */
    struct engine_message fetch;        /* asks the home for the message, and comes back */
    struct gateway_outbound *wanted_by; /* waits for the fetch; for gateway/shelf.c, as the rest */
    bool is_fetching;                   /* the owner's: asked, and not answered */
    bool is_asking;                     /* the home's: the same */
    enum status fetched;
};

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

/* The kernel has, or has no more, the message's memory for a send; or a fetch is under way. The
 * home does not hear that the item ended, and so cannot free the message, before all is given back:
 * a connection that was reset gives back when it is closed. */
void gateway_item_borrow(struct gateway_item *item);
void gateway_item_give_back(struct gateway_item *item, struct engine_loop *from);
