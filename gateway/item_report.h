/* gateway/item_report.h - what the owner of an item says at home when it is not delivered: given
 * up, or late.
 */
#pragma once
#include "gateway/message.h"

struct gateway_item_end {
    const struct delivery_destination *destination; /* NULL: it is of no matter */
    struct delivery_outcome outcome;                /* FAILED */
    struct slice reason; /* for the log, and where no host has said anything */
    bool is_bad_host;    /* what hosts have said before says nothing any more */
};

/* Adds a verdict for each recipient that waits; the report has room for them. */
void gateway_item_give_up(struct gateway_worker *w, struct gateway_item *item,
                          struct gateway_report *report, const struct gateway_item_end *end);

/* The same without a word to the sender, as deleted. */
void gateway_item_delete(struct gateway_worker *w, struct gateway_item *item,
                         struct gateway_report *report);

/* DELIVERY_ACTION_WARN. Without memory the warning is left out: another one may follow. */
void gateway_item_warn(struct gateway_worker *w, const struct delivery_action *warn);
