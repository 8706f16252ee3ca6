#include "delivery/scheduler.h"

#include <stdlib.h>

#include "delivery/destination.h"

#define SERVE_ITEMS_MAX 16u /* delayed ones that one turn makes ready */

enum status delivery_scheduler_create(const struct hash_seed *seed,
                                      struct delivery_scheduler **scheduler_out)
{
    struct delivery_scheduler *s = calloc(1, sizeof *s);
    enum status status;

    if (s == NULL)
        return STATUS_NO_MEMORY;
    status = table_init(&s->by_name);
    if (status != STATUS_OK) {
        free(s);
        return status;
    }
    s->seed = *seed;
    list_init(&s->queued);
    list_init(&s->quiet);
    list_init(&s->turns);
    *scheduler_out = s;
    return STATUS_OK;
}

static void forget(struct delivery_scheduler *s)
{
    destination_free(s->forgotten);
    s->forgotten = NULL;
}

void delivery_scheduler_destroy(struct delivery_scheduler *s)
{
    struct list_node *n;

    if (s == NULL)
        return;
    ASSERT(s->items_count == 0 && s->connections_count == 0);
    ASSERT(list_is_empty(&s->queued));
    while ((n = list_take_first(&s->quiet)) != NULL)
        destination_free(CONTAINER_OF(n, struct delivery_destination, walk));
    forget(s);
    table_finish(&s->by_name);
    free(s->profiles);
    free(s);
}

enum status delivery_scheduler_set_profiles(struct delivery_scheduler *s,
                                            const struct delivery_profile *profiles, size_t count)
{
    struct delivery_profile *copy = NULL;

    if (count > DELIVERY_PROFILES_MAX)
        return STATUS_LIMIT;
    if (count > 0) {
        copy = malloc(count * sizeof *copy);
        if (copy == NULL)
            return STATUS_NO_MEMORY;
        memcpy(copy, profiles, count * sizeof *copy);
    }
    free(s->profiles);
    s->profiles = copy;
    s->profiles_count = count;
    return STATUS_OK;
}

/* Rounded up: nothing is given up before its time. */
static int32_t tenths_before(uint64_t now_ms, uint64_t ms)
{
    int64_t at_ms = (int64_t)now_ms - (int64_t)ms, ds = at_ms / 100 + (at_ms % 100 > 0);

    return ds < INT32_MIN ? INT32_MIN : ds > INT32_MAX ? INT32_MAX : (int32_t)ds;
}

static int32_t seconds_before(uint64_t now_ms, uint64_t ms)
{
    int64_t s = (int64_t)(now_ms / 1000) - (int64_t)(ms / 1000);

    return s < INT32_MIN ? INT32_MIN : s > INT32_MAX ? INT32_MAX : (int32_t)s;
}

void delivery_item_remember(struct delivery_item *item, uint64_t now_ms,
                            const struct delivery_arrival *arrival)
{
    uint64_t age_ms = arrival->age_ms < INT64_MAX / 4 ? arrival->age_ms : INT64_MAX / 4;

    *item = (struct delivery_item){
        .queued_ds = tenths_before(now_ms, age_ms),
        .attempts = arrival->attempts < UINT16_MAX ? (uint16_t)arrival->attempts : UINT16_MAX,
        .warnings = arrival->warnings < DELIVERY_WARNINGS_MAX ? (uint8_t)arrival->warnings
                                                              : DELIVERY_WARNINGS_MAX,
        .warned_s = seconds_before(now_ms, arrival->warned_ms),
        .state = ITEM_NONE,
    };
    if (arrival->wait_ms > 0)
        delivery_heap_note(&item->timer, arrival->wait_ms < UINT64_MAX - now_ms
                                             ? now_ms + arrival->wait_ms
                                             : UINT64_MAX);
}

/* What of a time that is given in ms is left, or has passed. */
static uint64_t above_zero(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms : 0;
}

void delivery_item_recall(const struct delivery_item *item, uint64_t now_ms,
                          struct delivery_arrival *arrival)
{
    uint64_t until_ms = delivery_heap_key(&item->timer);

    ASSERT(!delivery_item_is_queued(item));
    arrival->age_ms = above_zero((int64_t)now_ms - (int64_t)item->queued_ds * 100);
    arrival->wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    arrival->attempts = item->attempts;
    arrival->warnings = item->warnings;
    arrival->warned_ms = above_zero((int64_t)now_ms - (int64_t)item->warned_s * 1000);
}

enum status delivery_scheduler_add(struct delivery_scheduler *s, uint64_t now_ms,
                                   const struct delivery_arrival *arrival,
                                   struct delivery_item *item)
{
    struct delivery_destination *d;

    if (arrival->domain.len == 0 || arrival->domain.len > DELIVERY_DOMAIN_MAX)
        return STATUS_INVALID;
    if (s->items_count >= DELIVERY_ITEMS_MAX)
        return STATUS_LIMIT;
    TRY(destination_open(s, arrival->domain, arrival->tls_optional, &d));
    delivery_item_remember(item, now_ms, arrival);
    item->destination = d;
    item->profile = arrival->profile;
    ASSERT(arrival->recipients <= DELIVERY_RECIPIENTS_MAX);
    item->recipients = arrival->recipients > 0 ? (uint16_t)arrival->recipients : 1;
    s->items_count++;
    destination_set_limits(d, arrival->limits);
    if (arrival->wait_ms == 0)
        item_make_ready(item, now_ms);
    else
        item_make_delayed(item, arrival->wait_ms < UINT64_MAX - now_ms ? now_ms + arrival->wait_ms
                                                                       : UINT64_MAX);
    destination_file(s, d, now_ms);
    return STATUS_OK;
}

/* The next item that was delayed and is not any more; NULL when none is due. */
static struct delivery_item *next_due_item(const struct delivery_destination *d, uint64_t now_ms)
{
    if (d->flushed.root != NULL)
        return item_of_timer(d->flushed.root);
    if (delivery_heap_earliest(&d->delayed) <= now_ms)
        return item_of_timer(d->delayed.root);
    return NULL;
}

/* One that is too old by now comes out of expiries next. Returns how many. */
static unsigned make_due_items_ready(struct delivery_destination *d, uint64_t now_ms)
{
    struct delivery_item *item;
    unsigned count = 0;

    while (count < SERVE_ITEMS_MAX && (item = next_due_item(d, now_ms)) != NULL) {
        item_detach(item);
        item_make_ready(item, now_ms);
        count++;
    }
    return count;
}

/* Finds an item that is to be given up, and why. */
static struct delivery_item *next_expired(struct delivery_destination *d, uint64_t now_ms,
                                          enum delivery_expiry *expiry_out)
{
    struct delivery_item *item;

    if (d->given_up_count > 0) {
        item = item_of_node(slim_list_first(&d->given_up));
        *expiry_out = item->state == ITEM_TOO_OLD ? DELIVERY_EXPIRY_AGE : DELIVERY_EXPIRY_RETRIES;
        return item;
    }
    if (d->expiries.root == NULL)
        return NULL;
    item = item_of_timer(d->expiries.root);
    if (item_expires_ms(item) <= now_ms) {
        *expiry_out = DELIVERY_EXPIRY_AGE;
        return item;
    }
    if (d->ready_count > 0)
        item = item_of_node(slim_list_first(&d->ready));
    if (item_is_exhausted(item)) {
        *expiry_out = DELIVERY_EXPIRY_RETRIES;
        return item;
    }
    if (d->bad_until_ms > now_ms) {
        *expiry_out = DELIVERY_EXPIRY_BAD_HOST;
        return item;
    }
    return NULL;
}

/* Looks at the item whose time has come, unless it is to be given up; true when its sender is to
 * be warned. */
static bool serve_warning(struct delivery_destination *d, uint64_t now_ms,
                          struct delivery_action *action_out)
{
    struct delivery_item *item;
    struct slim_node *n = slim_list_take_first(&d->late);
    bool is_late = n != NULL;

    if (n != NULL) {
        item = item_of_node(n);
    } else if (delivery_heap_earliest(&d->expiries) <= now_ms) {
        item = item_of_timer(d->expiries.root);
        is_late = item_is_late(item, now_ms);
    } else {
        return false;
    }
    if (is_late)
        item_note_warning(item, now_ms);
    if (item->state != ITEM_DELAYED) {
        delivery_heap_remove(&d->expiries, &item->timer);
        delivery_heap_insert(&d->expiries, &item->timer, item_look_ms(item, now_ms));
    }
    *action_out =
        (struct delivery_action){ .kind = DELIVERY_ACTION_WARN, .destination = d, .item = item };
    return is_late;
}

static bool serve_expiry(struct delivery_scheduler *s, struct delivery_destination *d,
                         uint64_t now_ms, struct delivery_action *action_out)
{
    enum delivery_expiry expiry = DELIVERY_EXPIRY_AGE;
    struct delivery_item *item = next_expired(d, now_ms, &expiry);

    d->expired_last = true;
    if (item == NULL && serve_warning(d, now_ms, action_out))
        return true;
    d->expired_last = item != NULL;
    if (item == NULL)
        return false;
    item_detach(item);
    item_release(s, item);
    *action_out = (struct delivery_action){
        .kind = DELIVERY_ACTION_EXPIRE, .destination = d, .item = item, .expiry = expiry
    };
    return true;
}

static bool serve_work(struct delivery_destination *d, uint64_t now_ms,
                       struct delivery_action *action_out)
{
    struct destination_host *host;
    bool is_diverted;

    d->expired_last = false;
    if (d->bad_until_ms > now_ms)
        return false;
    host = hosts_choose_idle(d, now_ms);
    if (host != NULL) {
        struct list_node *n = list_take_first(&host->idle);

        d->idle_count--;
        *action_out = (struct delivery_action){
            .kind = DELIVERY_ACTION_TAKE,
            .destination = d,
            .connection = CONTAINER_OF(n, struct delivery_connection, node),
        };
        action_out->connection->state = CONNECTION_OPEN;
        return true;
    }
    is_diverted = destination_divert_due(d, now_ms) <= now_ms;
    if (!is_diverted && destination_connect_due(d, now_ms) > now_ms)
        return false;
    if (d->hosts_until_ms <= now_ms) {
        d->is_resolving = true;
        *action_out = (struct delivery_action){ .kind = DELIVERY_ACTION_RESOLVE, .destination = d };
        return true;
    }
    host = is_diverted ? hosts_choose_diverted(d, now_ms) : hosts_choose(d, now_ms);
    if (host == NULL)
        return false;
    *action_out = (struct delivery_action){ .kind = DELIVERY_ACTION_CONNECT,
                                            .destination = d,
                                            .endpoint = host->index,
                                            .address = host->endpoint.address,
                                            .host = host };
    return true;
}

/* One turn of a destination: at most one action, and d is filed again (or gone). The steps it
 * took are added to *steps. */
static bool serve(struct delivery_scheduler *s, struct delivery_destination *d, uint64_t now_ms,
                  unsigned *steps, struct delivery_action *action_out)
{
    bool acted;

    ++*steps;
    if (destination_is_empty(d) && destination_forget_due(d) <= now_ms) {
        ASSERT(s->forgotten == NULL);
        destination_unlink(s, d);
        *action_out = (struct delivery_action){ .kind = DELIVERY_ACTION_FORGET,
                                                .destination = d,
                                                .attachment = d->attachment };
        if (d->attachment == NULL) {
            destination_free(d);
            return false;
        }
        s->forgotten = d;
        return true;
    }
    *steps += make_due_items_ready(d, now_ms);
    if (d->expired_last)
        acted = serve_work(d, now_ms, action_out) || serve_expiry(s, d, now_ms, action_out);
    else
        acted = serve_expiry(s, d, now_ms, action_out) || serve_work(d, now_ms, action_out);
    destination_file(s, d, now_ms);
    return acted;
}

bool delivery_scheduler_next_action(struct delivery_scheduler *s, uint64_t now_ms,
                                    struct delivery_action *action_out)
{
    unsigned steps = 0;

    forget(s);
    for (unsigned i = 0; i < DELIVERY_STEPS_MAX && delivery_heap_earliest(&s->timers) <= now_ms;
         i++)
        destination_file(s, CONTAINER_OF(s->timers.root, struct delivery_destination, timer),
                         now_ms);
    while (steps < DELIVERY_STEPS_MAX) {
        struct list_node *n = list_take_first(&s->turns);
        struct delivery_destination *d;

        if (n == NULL)
            return false;
        d = CONTAINER_OF(n, struct delivery_destination, turn);
        ASSERT(d->place == PLACE_TURN);
        d->place = PLACE_NONE;
        if (serve(s, d, now_ms, &steps, action_out))
            return true;
    }
    return false;
}

uint64_t delivery_scheduler_next_due(const struct delivery_scheduler *s)
{
    return list_is_empty(&s->turns) ? delivery_heap_earliest(&s->timers) : 0;
}

/* Any item of d without a connection; there is one. */
static struct delivery_item *any_item(const struct delivery_destination *d)
{
    if (d->given_up_count > 0)
        return item_of_node(slim_list_first(&d->given_up));
    if (d->ready_count > 0)
        return item_of_node(slim_list_first(&d->ready));
    if (d->diverted_count > 0)
        return item_of_timer(d->expiries.root);
    return item_of_timer(d->flushed.root != NULL ? d->flushed.root : d->delayed.root);
}

struct delivery_item *delivery_scheduler_take_any(struct delivery_scheduler *s, uint64_t now_ms)
{
    struct delivery_item *item;

    if (list_is_empty(&s->queued))
        return NULL;
    item = any_item(CONTAINER_OF(s->queued.head.next, struct delivery_destination, walk));
    /* Cannot fail: what is in the queue has no connection. */
    return delivery_item_remove(s, now_ms, item) ? item : NULL;
}

size_t delivery_scheduler_items(const struct delivery_scheduler *s)
{
    return s->items_count;
}

uint64_t delivery_scheduler_take_put_off(struct delivery_scheduler *s)
{
    uint64_t put_off = s->put_off;

    s->put_off = 0;
    return put_off;
}

size_t delivery_scheduler_connections(const struct delivery_scheduler *s)
{
    return s->connections_count;
}

struct delivery_destination *delivery_scheduler_walk(struct delivery_scheduler *s,
                                                     const struct delivery_destination *after)
{
    struct list_node *n = after != NULL ? after->walk.next : s->queued.head.next;

    if (n == &s->queued.head)
        n = s->quiet.head.next;
    return n == &s->quiet.head ? NULL : CONTAINER_OF(n, struct delivery_destination, walk);
}
