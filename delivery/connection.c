#include <limits.h>

#include "delivery/destination.h"

void delivery_connection_start(struct delivery_scheduler *s, uint64_t now_ms,
                               struct delivery_connection *c, const struct delivery_action *connect)
{
    struct delivery_destination *d = connect->destination;

    ASSERT(connect->kind == DELIVERY_ACTION_CONNECT);
    if (destination_has_enough(d) && d->stalls < DELIVERY_STALLS_MAX)
        d->stalls++;
    *c = (struct delivery_connection){ .destination = d,
                                       .host = connect->host,
                                       .recipients_max = UINT32_MAX,
                                       .messages_max = UINT_MAX,
                                       .state = CONNECTION_CONNECTING };
    c->host->connecting++;
    d->connections++;
    d->connecting++;
    s->connections_count++;
    destination_file(s, d, now_ms);
}

void delivery_connection_opened(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c)
{
    struct delivery_destination *d = c->destination;

    ASSERT(c->state == CONNECTION_CONNECTING && d->connecting > 0);
    c->state = CONNECTION_OPEN;
    d->connecting--;
    c->host->connecting--;
    d->progress_ms = now_ms;
    hosts_opened(d, c->host);
    destination_file(s, d, now_ms);
}

static void stop_idling(struct delivery_connection *c)
{
    if (!list_is_linked(&c->node))
        return;
    ASSERT(c->destination->idle_count > 0);
    list_remove(&c->node);
    c->destination->idle_count--;
}

void delivery_connection_limit(struct delivery_connection *c, unsigned messages_max)
{
    c->messages_max = messages_max > 0 ? messages_max : 1;
}

void delivery_connection_limit_recipients(struct delivery_connection *c, unsigned recipients_max)
{
    c->recipients_max = recipients_max > 0 ? recipients_max : 1;
}

/* The last of a connection for its destination. */
static void leave(struct delivery_scheduler *s, struct delivery_connection *c)
{
    ASSERT(c->item == NULL);
    ASSERT(c->destination->connections > 0 && s->connections_count > 0);
    stop_idling(c);
    if (c->state == CONNECTION_CLOSING)
        c->destination->closing--;
    c->state = CONNECTION_NONE;
    c->destination->connections--;
    s->connections_count--;
}

void delivery_connection_failed(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c, enum delivery_failure why,
                                uint64_t seed)
{
    struct delivery_destination *d = c->destination;

    ASSERT(c->state == CONNECTION_CONNECTING && d->connecting > 0);
    ASSERT(why != DELIVERY_FAILURE_NONE);
    d->connecting--;
    c->host->connecting--;
    leave(s, c);
    hosts_failed(d, now_ms, c->host, why, seed);
    destination_file(s, d, now_ms);
}

void delivery_connection_closed(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c, enum delivery_failure why,
                                uint64_t seed)
{
    struct delivery_destination *d = c->destination;

    ASSERT(c->state != CONNECTION_NONE && c->state != CONNECTION_CONNECTING);
    ASSERT(why != DELIVERY_FAILURE_OTHER_WAY);
    leave(s, c);
    ASSERT(c->host->open > 0);
    c->host->open--;
    if (why == DELIVERY_FAILURE_LOCAL ||
        (why != DELIVERY_FAILURE_NONE && c->taken > 0 && c->finished == 0))
        hosts_broke_off(d, now_ms, c->host, why, seed);
    destination_file(s, d, now_ms);
}

/* A limit has become lower. */
static bool is_one_too_many(const struct delivery_connection *c)
{
    const struct delivery_destination *d = c->destination;
    unsigned connections = d->limits.scope == DELIVERY_LIMIT_ADDRESS
                               ? c->host->open + c->host->connecting
                               : d->connections - d->closing;

    return connections > d->limits.connections_max;
}

/* How many recipients of the item may be handed over now; they are counted, for both scopes, so
 * that a change from one to the other loses none. */
static uint32_t hand_over(struct delivery_connection *c, const struct delivery_item *item,
                          uint64_t now_ms)
{
    struct delivery_destination *d = c->destination;
    struct delivery_rate rate = destination_rate(d);
    uint32_t room = delivery_budget_room(hosts_budget(d, c->host), rate, now_ms);

    if (room > item->recipients)
        room = item->recipients;
    if (room > c->recipients_max)
        room = c->recipients_max;
    if (room > 0) {
        delivery_budget_spend(&d->budget, rate, now_ms, room);
        delivery_budget_spend(&c->host->budget, rate, now_ms, room);
    }
    return room;
}

/* A limit of the domain keeps items from the host that they are to try. */
static bool is_in_the_way(const struct delivery_connection *c)
{
    const struct delivery_destination *d = c->destination;

    return d->diverted_count > 0 && slim_list_is_empty(&c->host->diverted) &&
           d->limits.scope == DELIVERY_LIMIT_DOMAIN &&
           d->connections - d->closing >= d->limits.connections_max && hosts_lack_connection(d);
}

static struct delivery_item *next_item(const struct delivery_connection *c)
{
    if (!slim_list_is_empty(&c->host->diverted))
        return item_of_node(slim_list_first(&c->host->diverted));
    return c->destination->ready_count > 0 ? item_of_node(slim_list_first(&c->destination->ready))
                                           : NULL;
}

static enum delivery_take take_item(struct delivery_connection *c, uint64_t now_ms,
                                    struct delivery_item **item_out)
{
    struct delivery_destination *d = c->destination;
    struct delivery_item *item;

    if (is_one_too_many(c) || is_in_the_way(c) || c->taken >= c->messages_max ||
        c->taken >= d->limits.messages_per_connection_max) {
        c->state = CONNECTION_CLOSING;
        d->closing++;
        return DELIVERY_TAKE_CLOSE;
    }
    item = next_item(c);
    c->recipients = item != NULL ? hand_over(c, item, now_ms) : 0;
    if (c->recipients == 0) {
        list_append(&c->host->idle, &c->node);
        d->idle_count++;
        c->state = CONNECTION_IDLE;
        return DELIVERY_TAKE_IDLE;
    }
    item_detach(item);
    item->state = ITEM_ACTIVE;
    d->active_count++;
    c->item = item;
    c->taken++;
    *item_out = item;
    return DELIVERY_TAKE_ITEM;
}

enum delivery_take delivery_connection_take(struct delivery_scheduler *s, uint64_t now_ms,
                                            struct delivery_connection *c,
                                            struct delivery_item **item_out)
{
    enum delivery_take take;

    ASSERT(c->state == CONNECTION_OPEN || c->state == CONNECTION_IDLE);
    ASSERT(c->item == NULL);
    stop_idling(c);
    c->state = CONNECTION_OPEN;
    if (c->finished < c->taken)
        hosts_worked(c->destination, c->host);
    c->finished = c->taken;
    take = take_item(c, now_ms, item_out);
    destination_file(s, c->destination, now_ms);
    return take;
}

unsigned delivery_connection_recipients(const struct delivery_connection *c)
{
    ASSERT(c->item != NULL && c->recipients > 0);
    return c->recipients;
}
