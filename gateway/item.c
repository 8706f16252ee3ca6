#include "gateway/item.h"

#include <stdlib.h>

#include "gateway/report.h"

static int compare_rids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Its place in `all`, which is in order. */
static unsigned place_of(const struct gateway_item *item, uint32_t rid)
{
    const uint32_t *found =
        bsearch(&rid, item->all, item->all_count, sizeof(uint32_t), compare_rids);

    ASSERT(found != NULL);
    return (unsigned)(found - item->all);
}

void gateway_item_note_failure(struct gateway_item *item, uint32_t rid,
                               struct gateway_failure *failure)
{
    gateway_failures_note(&item->failures, item->all_count, place_of(item, rid), failure);
}

const struct gateway_failure *gateway_item_last_failure(const struct gateway_item *item,
                                                        uint32_t rid)
{
    return gateway_failures_find(&item->failures, place_of(item, rid));
}

struct gateway_failure *gateway_item_failure(const struct gateway_item *item, uint32_t rid,
                                             const struct delivery_outcome *outcome,
                                             struct slice words)
{
    const struct gateway_failure *last = gateway_item_last_failure(item, rid);
    struct gateway_failure_facts facts = { .outcome = *outcome, .words = words };
    struct gateway_failure *failure;

    if (last == NULL)
        return gateway_failure_create(&facts);
    if (last->reply_bytes > 0) {
        failure = gateway_failure_copy(last);
        if (failure != NULL)
            failure->outcome = *outcome;
        return failure;
    }
    facts.words = slice_from(last->outcome.reason);
    facts.address = last->has_host ? &last->address : NULL;
    facts.name = gateway_failure_name(last);
    facts.at_s = last->at_s;
    return gateway_failure_create(&facts);
}

void gateway_item_borrow(struct gateway_item *item)
{
    item->borrows++;
}

void gateway_item_give_back(struct gateway_item *item, struct engine_loop *from)
{
    struct gateway_report *parting = item->parting;

    ASSERT(item->borrows > 0);
    item->borrows--;
    if (item->borrows > 0 || parting == NULL)
        return;
    item->parting = NULL;
    gateway_report_post(parting, from, true);
}
