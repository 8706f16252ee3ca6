#include "gateway/item.h"

#include <stdlib.h>

#include "base/pool.h"
#include "gateway/message.h"
#include "gateway/report.h"

struct gateway_message *gateway_item_message(const struct gateway_item *item)
{
    const struct gateway_item *first = item - item->place;

    return CONTAINER_OF(first, struct gateway_message, items);
}

uint16_t *gateway_item_waiting(const struct gateway_item *item)
{
    return gateway_message_rids(gateway_item_message(item)) + item->recipients_at;
}

const uint16_t *gateway_item_all(const struct gateway_item *item)
{
    return gateway_item_waiting(item) + (item->all_count > 1 ? item->all_count : 0);
}

uint32_t *gateway_item_warned_wall_s(const struct gateway_item *item)
{
    return gateway_message_warned_wall_s(gateway_item_message(item)) + item->place;
}

void gateway_item_past(const struct gateway_item *item, int64_t now_wall_s,
                       struct delivery_arrival *arrival)
{
    const struct gateway_message *m = gateway_item_message(item);
    const struct gateway_known *known = gateway_message_known(m);
    const uint16_t *waiting = gateway_item_waiting(item);
    int64_t age_s = now_wall_s - m->arrival_wall_s, wait_s = 0;
    uint32_t warned_wall_s = *gateway_item_warned_wall_s(item);

    for (unsigned i = 0; i < item->waiting_count; i++) {
        const struct gateway_known *k = &known[waiting[i]];
        int64_t later_s =
            k->state == SPOOL_RESULT_DEFERRED ? k->next_attempt_wall_s - now_wall_s : 0;

        if (k->attempts > arrival->attempts)
            arrival->attempts = k->attempts;
        if (k->warnings > arrival->warnings)
            arrival->warnings = k->warnings;
        if (later_s > wait_s)
            wait_s = later_s;
    }
    arrival->age_ms = age_s > 0 ? (uint64_t)age_s * 1000 : 0;
    arrival->wait_ms = (uint64_t)wait_s * 1000;
    arrival->warned_ms =
        now_wall_s > warned_wall_s ? (uint64_t)(now_wall_s - warned_wall_s) * 1000 : 0;
}

static int compare_rids(const void *a, const void *b)
{
    uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

    return x < y ? -1 : x > y;
}

/* Its place in `all`, which is in order. */
static unsigned place_of(const struct gateway_item *item, uint32_t rid)
{
    const uint16_t *all = gateway_item_all(item);
    const uint16_t key = (uint16_t)rid;
    const uint16_t *found = bsearch(&key, all, item->all_count, sizeof(key), compare_rids);

    ASSERT(found != NULL);
    return (unsigned)(found - all);
}

/* NULL: no memory. */
static struct gateway_tries *tries_of(struct gateway_item *item)
{
    if (item->tries == NULL)
        item->tries = pool_take_zeroed(sizeof(*item->tries));
    return item->tries;
}

void gateway_item_note_failure(struct gateway_item *item, uint32_t rid,
                               struct gateway_failure *failure)
{
    if (item->tries == NULL && (failure == NULL || tries_of(item) == NULL))
        free(failure);
    else
        gateway_failures_note(&item->tries->failures, item->all_count, place_of(item, rid),
                              failure);
}

void gateway_item_note_common(struct gateway_item *item, struct gateway_failure *failure)
{
    if (item->tries == NULL && (failure == NULL || tries_of(item) == NULL))
        free(failure);
    else
        gateway_failures_note_common(&item->tries->failures, failure);
}

const struct gateway_failure *gateway_item_last_failure(const struct gateway_item *item,
                                                        uint32_t rid)
{
    return item->tries != NULL ? gateway_failures_find(&item->tries->failures, place_of(item, rid))
                               : NULL;
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
    facts.endpoint = last->has_host ? &last->endpoint : NULL;
    facts.name = gateway_failure_name(last);
    facts.at_s = last->at_s;
    return gateway_failure_create(&facts);
}

enum status gateway_item_borrow(struct gateway_item *item)
{
    struct gateway_tries *tries = tries_of(item);

    if (tries == NULL)
        return STATUS_NO_MEMORY;
    if (tries->loan == NULL) {
        tries->loan = pool_take_zeroed(sizeof(*tries->loan));
        if (tries->loan == NULL)
            return STATUS_NO_MEMORY;
        tries->loan->item = item;
    }
    tries->loan->borrows++;
    return STATUS_OK;
}

void gateway_item_give_back(struct gateway_item *item, struct engine_loop *from)
{
    struct gateway_loan *loan = item->tries->loan;
    struct gateway_report *parting = loan->parting;
    bool is_parting = loan->is_parting;

    ASSERT(loan->borrows > 0);
    loan->borrows--;
    if (loan->borrows > 0)
        return;
    item->tries->loan = NULL;
    pool_give(loan, sizeof(*loan));
    if (is_parting)
        gateway_report_end(item, parting, from);
}

bool gateway_item_is_lent(const struct gateway_item *item)
{
    return item->tries != NULL && item->tries->loan != NULL;
}

bool gateway_item_part_later(struct gateway_item *item, struct gateway_report *report)
{
    struct gateway_loan *loan;

    if (!gateway_item_is_lent(item))
        return false;
    loan = item->tries->loan;
    ASSERT(!loan->is_parting);
    loan->is_parting = true;
    loan->parting = report;
    return true;
}

void gateway_item_finish(struct gateway_item *item)
{
    struct gateway_tries *tries = item->tries;

    if (tries == NULL)
        return;
    gateway_failures_finish(&tries->failures, item->all_count);
    if (tries->loan != NULL) /* when no worker runs any more */
        gateway_report_destroy(tries->loan->parting);
    pool_give(tries->loan, sizeof(*tries->loan));
    pool_give(tries, sizeof(*tries));
    item->tries = NULL;
}
