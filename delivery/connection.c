#include "delivery/destination.h"

void delivery_connection_start(struct delivery_scheduler *s, uint64_t now_ms,
                               struct delivery_connection *c, const struct delivery_action *connect)
{
    struct delivery_destination *d = connect->destination;

    ASSERT(connect->kind == DELIVERY_ACTION_CONNECT);
    *c = (struct delivery_connection){ .destination = d,
                                       .address = connect->address,
                                       .state = CONNECTION_CONNECTING };
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
    d->progress_ms = now_ms;
    hosts_opened(d, &c->address);
    destination_file(s, d, now_ms);
}

/* The last of a connection for its destination. */
static void leave(struct delivery_scheduler *s, struct delivery_connection *c)
{
    ASSERT(c->item == NULL);
    ASSERT(c->destination->connections > 0 && s->connections_count > 0);
    list_remove(&c->node);
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
    leave(s, c);
    hosts_failed(d, now_ms, &c->address, why, seed);
    destination_file(s, d, now_ms);
}

void delivery_connection_closed(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c, enum delivery_failure why,
                                uint64_t seed)
{
    struct delivery_destination *d = c->destination;

    ASSERT(c->state != CONNECTION_NONE && c->state != CONNECTION_CONNECTING);
    leave(s, c);
    hosts_closed(d, &c->address);
    if (why != DELIVERY_FAILURE_NONE && c->taken > 0 && c->finished == 0)
        hosts_failed(d, now_ms, &c->address, why, seed);
    destination_file(s, d, now_ms);
}

static enum delivery_take take_item(struct delivery_connection *c, struct delivery_item **item_out)
{
    struct delivery_destination *d = c->destination;
    struct delivery_item *item;

    if (d->connections > d->limits.connections_max ||
        c->taken >= d->limits.messages_per_connection_max) {
        c->state = CONNECTION_CLOSING;
        return DELIVERY_TAKE_CLOSE;
    }
    if (d->ready_count == 0) {
        list_append(&d->idle, &c->node);
        c->state = CONNECTION_IDLE;
        return DELIVERY_TAKE_IDLE;
    }
    item = item_of_node(d->ready.head.next);
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
    list_remove(&c->node);
    c->state = CONNECTION_OPEN;
    c->finished = c->taken;
    take = take_item(c, item_out);
    destination_file(s, c->destination, now_ms);
    return take;
}
