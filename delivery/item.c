#include "delivery/destination.h"

#define ATTEMPTS_MAX 65535u
#define AGE_MS_MAX   (INT64_MAX / 4)

static const struct delivery_profile *profile_of(const struct delivery_item *item)
{
    const struct delivery_destination *d = item->destination;

    if (d->limits.has_profile || item->profile == DELIVERY_PROFILE_DESTINATION ||
        item->profile > d->scheduler->profiles_count)
        return &d->limits.profile;
    return &d->scheduler->profiles[item->profile - 1u];
}

/* By the scheduler's clock; before its start if negative. */
static int64_t queued_ms(const struct delivery_item *item)
{
    return (int64_t)item->queued_ds * 100;
}

uint64_t item_expires_ms(const struct delivery_item *item)
{
    uint64_t age_ms_max = profile_of(item)->age_ms_max;
    int64_t expires_ms =
        queued_ms(item) + (int64_t)(age_ms_max < AGE_MS_MAX ? age_ms_max : AGE_MS_MAX);

    return expires_ms > 0 ? (uint64_t)expires_ms : 0;
}

unsigned item_attempts(const struct delivery_item *item)
{
    uint32_t more = item->state == ITEM_READY ? item->destination->round - item->round : 0;

    if (more > ATTEMPTS_MAX)
        more = ATTEMPTS_MAX;
    more += item->attempts;
    return more < ATTEMPTS_MAX ? more : ATTEMPTS_MAX;
}

struct delivery_destination *delivery_item_destination(const struct delivery_item *item)
{
    return item->destination;
}

unsigned delivery_item_attempts(const struct delivery_item *item)
{
    return item_attempts(item);
}

unsigned delivery_item_warnings(const struct delivery_item *item)
{
    return item->warnings;
}

bool item_is_exhausted(const struct delivery_item *item)
{
    return item_attempts(item) > profile_of(item)->retries_max;
}

/* When the next warning may be given at the earliest; UINT64_MAX when there is none. */
static uint64_t warning_ms(const struct delivery_item *item)
{
    const struct delivery_profile *profile = profile_of(item);
    uint64_t after_ms = profile->warning_interval_ms;
    int64_t from_ms = (int64_t)item->warned_s * 1000;

    if (after_ms < DELIVERY_RETRY_MS_MIN)
        after_ms = DELIVERY_RETRY_MS_MIN;
    if (item->warnings >= profile->warnings_max || item->warnings >= DELIVERY_WARNINGS_MAX)
        return UINT64_MAX;
    if (item->warnings == 0) {
        /* A second try cannot have failed before it could be made. */
        from_ms = queued_ms(item);
        after_ms = profile->retry_initial_ms;
    }
    from_ms += (int64_t)(after_ms < AGE_MS_MAX ? after_ms : AGE_MS_MAX);
    return from_ms > 0 ? (uint64_t)from_ms : 0;
}

bool item_is_late(const struct delivery_item *item, uint64_t now_ms)
{
    uint64_t due = warning_ms(item);

    if (due == UINT64_MAX || item_attempts(item) < DELIVERY_WARNING_ATTEMPTS)
        return false;
    /* The first one needs failed tries, not time. */
    return item->warnings == 0 || due <= now_ms;
}

void item_note_warning(struct delivery_item *item, uint64_t now_ms)
{
    item->warnings++;
    item->warned_s = (int32_t)(now_ms / 1000 < INT32_MAX ? now_ms / 1000 : INT32_MAX);
}

uint64_t item_look_ms(const struct delivery_item *item, uint64_t now_ms)
{
    uint64_t expires_ms = item_expires_ms(item), look_ms = warning_ms(item);

    if (look_ms <= now_ms && !item_is_late(item, now_ms)) {
        /* Its tries have yet to fail. It waits for its hosts, in a queue of any length: it is
         * looked at again when it has waited twice as long. */
        int64_t age_ms = (int64_t)now_ms - queued_ms(item);

        look_ms = now_ms + DELIVERY_RETRY_MS_MIN + (age_ms > 0 ? (uint64_t)age_ms : 0);
    }
    return look_ms < expires_ms ? look_ms : expires_ms;
}

void item_make_ready(struct delivery_item *item, uint64_t now_ms)
{
    struct delivery_destination *d = item->destination;

    ASSERT(item->state == ITEM_NONE && item->tried == 0);
    item->state = ITEM_READY;
    item->round = d->round;
    slim_list_append(&d->ready, &item->node);
    delivery_heap_insert(&d->expiries, &item->timer, item_look_ms(item, now_ms));
    d->ready_count++;
    d->ready_recipients += item->recipients;
}

void item_make_delayed(struct delivery_item *item, uint64_t retry_ms)
{
    struct delivery_destination *d = item->destination;
    uint64_t expires_ms = item_expires_ms(item);

    ASSERT(item->state == ITEM_NONE);
    item->state = ITEM_DELAYED;
    item->tried = 0;
    delivery_heap_insert(&d->delayed, &item->timer, retry_ms < expires_ms ? retry_ms : expires_ms);
    d->delayed_count++;
}

static void make_diverted(struct delivery_item *item, struct destination_host *h, uint64_t now_ms)
{
    struct delivery_destination *d = item->destination;

    ASSERT(item->state == ITEM_NONE && h->is_listed);
    item->state = ITEM_DIVERTED;
    slim_list_append(&h->diverted, &item->node);
    delivery_heap_insert(&d->expiries, &item->timer, item_look_ms(item, now_ms));
    d->diverted_count++;
}

bool item_divert(struct delivery_item *item, uint64_t now_ms)
{
    struct delivery_destination *d = item->destination;
    struct destination_host *h = hosts_choose_untried(d, now_ms, item->tried);

    if (h == NULL || d->diverted_count >= DELIVERY_DIVERTED_MAX)
        return false;
    make_diverted(item, h, now_ms);
    return true;
}

void item_give_up(struct delivery_item *item, enum item_state why)
{
    struct delivery_destination *d = item->destination;

    ASSERT(item->state == ITEM_NONE);
    ASSERT(why == ITEM_TOO_OLD || why == ITEM_TRIED_ENOUGH);
    item->state = why & 7u;
    slim_list_append(&d->given_up, &item->node);
    d->given_up_count++;
}

void item_detach(struct delivery_item *item)
{
    struct delivery_destination *d = item->destination;

    item->attempts = (uint16_t)item_attempts(item);
    slim_list_remove(&item->node);
    switch ((enum item_state)item->state) {
    case ITEM_READY:
        delivery_heap_remove(&d->expiries, &item->timer);
        item->tried = 0; /* where its round was */
        ASSERT(d->ready_recipients >= item->recipients);
        d->ready_recipients -= item->recipients;
        d->ready_count--;
        break;
    case ITEM_DIVERTED:
        delivery_heap_remove(&d->expiries, &item->timer);
        d->diverted_count--;
        break;
    case ITEM_DELAYED:
        /* Which of the two heaps it is in matters only at the root. */
        delivery_heap_remove(d->flushed.root == &item->timer ? &d->flushed : &d->delayed,
                             &item->timer);
        d->delayed_count--;
        break;
    case ITEM_TOO_OLD:
    case ITEM_TRIED_ENOUGH: d->given_up_count--; break;
    case ITEM_ACTIVE: d->active_count--; break;
    case ITEM_NONE: break;
    }
    item->state = ITEM_NONE;
}

void item_release(struct delivery_scheduler *s, struct delivery_item *item)
{
    ASSERT(item->state == ITEM_NONE && item->destination != NULL);
    ASSERT(s->items_count > 0);
    item->destination = NULL;
    delivery_heap_note(&item->timer, 0);
    s->items_count--;
}

/* Takes the connection's item off it for a result. */
static struct delivery_item *take_off(struct delivery_connection *c, uint64_t now_ms)
{
    struct delivery_item *item = c->item;

    ASSERT(item != NULL && item->state == ITEM_ACTIVE);
    ASSERT(item->destination == c->destination);
    c->item = NULL;
    c->destination->progress_ms = now_ms;
    item_detach(item);
    return item;
}

void delivery_item_done(struct delivery_scheduler *s, uint64_t now_ms,
                        struct delivery_connection *c)
{
    struct delivery_item *item = take_off(c, now_ms);

    c->finished = c->taken;
    c->destination->stalls = 0;
    hosts_worked(c->destination, c->host);
    item_release(s, item);
    destination_file(s, c->destination, now_ms);
}

/* It has come to something. */
static void clear_returns(struct delivery_item *item)
{
    item->returns = 0;
    item->postponed = 0;
}

void item_defer(struct delivery_item *item, uint64_t now_ms, uint64_t seed)
{
    const struct delivery_profile *profile = profile_of(item);

    clear_returns(item);
    if (item->attempts < ATTEMPTS_MAX)
        item->attempts++;
    if (item_expires_ms(item) <= now_ms)
        item_give_up(item, ITEM_TOO_OLD);
    else if (item_is_exhausted(item))
        item_give_up(item, ITEM_TRIED_ENOUGH);
    else
        item_make_delayed(item, now_ms + delivery_backoff_ms(profile, item->attempts - 1u, seed));
    if (item->state == ITEM_DELAYED && item_is_late(item, now_ms))
        slim_list_append(&item->destination->late, &item->node);
}

void item_put_off(struct delivery_item *item, uint64_t now_ms, uint64_t seed)
{
    destination_put_off(item->destination, item->recipients);
    item_defer(item, now_ms, seed);
}

void delivery_item_deferred(struct delivery_scheduler *s, uint64_t now_ms,
                            struct delivery_connection *c, unsigned recipients, uint64_t seed)
{
    struct delivery_item *item = take_off(c, now_ms);

    ASSERT(recipients > 0 && recipients <= DELIVERY_RECIPIENTS_MAX);
    item->recipients = (uint16_t)recipients;
    item_defer(item, now_ms, seed);
    destination_file(s, c->destination, now_ms);
}

/* Several connections may return items in any order: each goes in front of what arrived after
 * it. They are found close to the front; the walk is bounded all the same. */
static void move_to_front(struct delivery_item *item)
{
    struct slim_list *ready = &item->destination->ready;
    struct slim_node *before;

    slim_list_remove(&item->node);
    before = slim_list_next(&ready->head);
    for (unsigned i = 0; i < DELIVERY_STEPS_MAX && before != &ready->head &&
                         item_of_node(before)->queued_ds < item->queued_ds;
         i++)
        before = slim_list_next(before);
    slim_list_insert_before(&item->node, before);
}

/* To the front of the queue that it was taken from. Where that is the queue of a host which has
 * gone meanwhile it does not go to those that it has tried before. */
static void put_back(struct delivery_item *item, struct destination_host *h, uint64_t now_ms,
                     uint64_t seed)
{
    bool may_wait = h->is_listed && h->down_until_ms <= now_ms &&
                    item->destination->diverted_count < DELIVERY_DIVERTED_MAX;

    if (item->tried == 0) {
        item_make_ready(item, now_ms);
        move_to_front(item);
    } else if (may_wait) {
        make_diverted(item, h, now_ms);
        slim_list_remove(&item->node);
        slim_list_prepend(&h->diverted, &item->node);
    } else if (!item_divert(item, now_ms)) {
        item_put_off(item, now_ms, seed);
    }
}

void delivery_item_continued(struct delivery_scheduler *s, uint64_t now_ms,
                             struct delivery_connection *c)
{
    struct delivery_item *item = take_off(c, now_ms);

    ASSERT(c->recipients < item->recipients);
    item->recipients = (uint16_t)(item->recipients - c->recipients);
    clear_returns(item);
    put_back(item, c->host, now_ms, scheduler_draw(s, now_ms));
    destination_file(s, c->destination, now_ms);
}

void delivery_item_returned(struct delivery_scheduler *s, uint64_t now_ms,
                            struct delivery_connection *c, uint64_t seed)
{
    struct delivery_item *item = take_off(c, now_ms);

    if (item->returns >= DELIVERY_RETURNS_MAX) {
        item_put_off(item, now_ms, seed);
    } else {
        item->returns++;
        put_back(item, c->host, now_ms, seed);
    }
    destination_file(s, c->destination, now_ms);
}

void delivery_item_postponed(struct delivery_scheduler *s, uint64_t now_ms,
                             struct delivery_connection *c)
{
    struct delivery_item *item = take_off(c, now_ms);

    /* Not to the front of the queue: if it is the item itself that our memory is too small for, it
     * would be in the way of all others. */
    item_make_delayed(item, now_ms + local_pause_ms(item->postponed));
    if (item->postponed < DELIVERY_LOCAL_DOUBLINGS)
        item->postponed++;
    destination_file(s, c->destination, now_ms);
}

bool delivery_item_try_next(struct delivery_scheduler *s, uint64_t now_ms,
                            struct delivery_connection *c)
{
    struct delivery_destination *d = c->destination;
    struct delivery_item *item = c->item;
    struct destination_host *h;
    uint32_t tried;

    ASSERT(item != NULL && item->state == ITEM_ACTIVE);
    tried = item->tried | host_bit(c->host);
    h = hosts_choose_untried(d, now_ms, tried);
    if (h == NULL || c->taken > 1 || d->diverted_count >= DELIVERY_DIVERTED_MAX)
        return false;
    (void)take_off(c, now_ms);
    item->tried = tried;
    clear_returns(item);
    make_diverted(item, h, now_ms);
    destination_file(s, d, now_ms);
    return true;
}

bool delivery_item_remove(struct delivery_scheduler *s, uint64_t now_ms, struct delivery_item *item)
{
    struct delivery_destination *d = item->destination;

    if (item->state == ITEM_NONE || item->state == ITEM_ACTIVE)
        return false;
    item_detach(item);
    item_release(s, item);
    destination_file(s, d, now_ms);
    return true;
}

static void explain_ready(const struct delivery_destination *d, uint64_t now_ms,
                          struct delivery_wait *wait)
{
    bool is_served = d->connections > d->connecting;

    if (d->is_resolving) {
        wait->reason = DELIVERY_WAIT_RESOLVING;
    } else if (!is_served && d->down_until_ms > now_ms) {
        wait->reason = DELIVERY_WAIT_HOST_DOWN;
        wait->until_ms = d->down_until_ms;
    } else if (!is_served && d->ourselves_until_ms > now_ms) {
        wait->reason = DELIVERY_WAIT_OURSELVES;
        wait->until_ms = d->ourselves_until_ms;
    } else if (!is_served && d->connecting > 0) {
        wait->reason = DELIVERY_WAIT_CONNECTING;
    } else if (destination_is_at_limit(d, now_ms, &wait->until_ms)) {
        wait->reason = DELIVERY_WAIT_LIMIT;
    } else {
        wait->reason = DELIVERY_WAIT_TURN;
    }
}

void delivery_item_explain(const struct delivery_item *item, uint64_t now_ms,
                           struct delivery_wait *wait_out)
{
    *wait_out = (struct delivery_wait){ .until_ms = DELIVERY_WAIT_FOREVER,
                                        .expires_ms = DELIVERY_WAIT_FOREVER,
                                        .attempts = item->attempts };
    if (item->state == ITEM_NONE)
        return;
    wait_out->attempts = item_attempts(item);
    wait_out->expires_ms = item_expires_ms(item);
    switch ((enum item_state)item->state) {
    case ITEM_READY:
    case ITEM_DIVERTED: explain_ready(item->destination, now_ms, wait_out); break;
    case ITEM_DELAYED:
        wait_out->reason = DELIVERY_WAIT_RETRY;
        wait_out->until_ms = delivery_heap_key(&item->timer);
        break;
    case ITEM_ACTIVE: wait_out->reason = DELIVERY_WAIT_DELIVERING; break;
    case ITEM_TOO_OLD:
    case ITEM_TRIED_ENOUGH: wait_out->reason = DELIVERY_WAIT_EXPIRED; break;
    case ITEM_NONE: break;
    }
}

const char *delivery_wait_text(enum delivery_wait_reason reason)
{
    switch (reason) {
    case DELIVERY_WAIT_NOTHING: return "nothing";
    case DELIVERY_WAIT_DELIVERING: return "delivering";
    case DELIVERY_WAIT_RETRY: return "retry";
    case DELIVERY_WAIT_HOST_DOWN: return "host down";
    case DELIVERY_WAIT_RESOLVING: return "resolving";
    case DELIVERY_WAIT_CONNECTING: return "connecting";
    case DELIVERY_WAIT_LIMIT: return "destination limit";
    case DELIVERY_WAIT_OURSELVES: return "own limits";
    case DELIVERY_WAIT_TURN: return "turn";
    case DELIVERY_WAIT_EXPIRED: return "expired";
    }
    return "unknown";
}
