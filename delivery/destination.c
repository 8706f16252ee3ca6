#include "delivery/destination.h"

#include <stdlib.h>

static struct delivery_destination *find(const struct delivery_scheduler *s, struct slice domain,
                                         bool is_tls_optional, uint64_t hash)
{
    for (struct table_node *n = table_find(&s->by_name, hash); n != NULL; n = table_find_next(n)) {
        struct delivery_destination *d = CONTAINER_OF(n, struct delivery_destination, by_name);

        if (d->is_tls_optional == is_tls_optional &&
            slice_equal_nocase(delivery_destination_domain(d), domain))
            return d;
    }
    return NULL;
}

struct delivery_destination *delivery_scheduler_find(struct delivery_scheduler *s,
                                                     struct slice domain)
{
    return find(s, domain, false, hash_text_nocase(&s->seed, domain));
}

struct delivery_destination *delivery_scheduler_find_tls_optional(struct delivery_scheduler *s,
                                                                  struct slice domain)
{
    return find(s, domain, true, hash_text_nocase(&s->seed, domain));
}

enum status destination_open(struct delivery_scheduler *s, struct slice domain,
                             bool is_tls_optional, struct delivery_destination **d_out)
{
    uint64_t hash = hash_text_nocase(&s->seed, domain);
    struct delivery_destination *d = find(s, domain, is_tls_optional, hash);

    if (d != NULL) {
        *d_out = d;
        return STATUS_OK;
    }
    if (s->destinations_count >= DELIVERY_DESTINATIONS_MAX)
        return STATUS_LIMIT;
    d = calloc(1, sizeof *d + domain.len);
    if (d == NULL)
        return STATUS_NO_MEMORY;
    d->is_tls_optional = is_tls_optional;
    d->domain_len = domain.len;
    memcpy(d->domain, domain.data, domain.len);
    slim_list_init(&d->ready);
    slim_list_init(&d->given_up);
    slim_list_init(&d->late);
    d->scheduler = s;
    list_init(&d->hosts);
    table_insert(&s->by_name, &d->by_name, hash);
    list_append(&s->quiet, &d->walk);
    s->destinations_count++;
    *d_out = d;
    return STATUS_OK;
}

/* Off the list of turns, or the heap of timers. */
static void unfile(struct delivery_scheduler *s, struct delivery_destination *d)
{
    if (d->place == PLACE_TURN)
        list_remove(&d->turn);
    else if (d->place == PLACE_TIMER)
        delivery_heap_remove(&s->timers, &d->timer);
    d->place = PLACE_NONE;
}

bool destination_is_empty(const struct delivery_destination *d)
{
    return d->ready_count == 0 && d->diverted_count == 0 && d->delayed_count == 0 &&
           d->given_up_count == 0 && d->active_count == 0 && d->connections == 0 &&
           !d->is_resolving;
}

void destination_unlink(struct delivery_scheduler *s, struct delivery_destination *d)
{
    ASSERT(destination_is_empty(d) && !d->is_queued);
    unfile(s, d);
    table_remove(&s->by_name, &d->by_name);
    list_remove(&d->walk);
    ASSERT(s->destinations_count > 0);
    s->destinations_count--;
}

void destination_free(struct delivery_destination *d)
{
    if (d == NULL)
        return;
    hosts_free(d);
    free(d);
}

struct delivery_rate destination_rate(const struct delivery_destination *d)
{
    return (struct delivery_rate){ d->limits.recipients_max,
                                   (uint32_t)d->limits.recipients_interval_ms };
}

bool destination_has_enough(const struct delivery_destination *d)
{
    size_t items = d->ready_count + d->diverted_count + d->active_count;
    size_t want = 1 + items / DELIVERY_ITEMS_PER_CONNECTION;

    if (!d->has_worked) {
        size_t untried_max = d->failed_rounds > 0 ? 1 : DELIVERY_UNTRIED_MAX;

        want = want < untried_max ? want : untried_max;
    }
    return d->connections >= want;
}

/* When a connection more is allowed, to whatever host. */
static uint64_t allowed_due(const struct delivery_destination *d, uint64_t now_ms)
{
    uint64_t due = d->ourselves_until_ms;

    if (d->is_resolving)
        return UINT64_MAX;
    if (d->limits.scope == DELIVERY_LIMIT_DOMAIN) {
        struct delivery_rate rate = destination_rate(d);
        uint32_t room = delivery_budget_room(&d->budget, rate, now_ms);

        if (d->connections >= d->limits.connections_max || (room > 0 && d->connecting >= room))
            return UINT64_MAX;
        if (room == 0 && delivery_budget_due(&d->budget, rate, now_ms) > due)
            due = delivery_budget_due(&d->budget, rate, now_ms);
    }
    return due;
}

/* When it is clear that the connections there are will not do. */
static uint64_t stalled_ms(const struct delivery_destination *d)
{
    unsigned stalls = d->stalls < DELIVERY_STALLS_MAX ? d->stalls : DELIVERY_STALLS_MAX;

    return d->progress_ms + ((uint64_t)DELIVERY_STALL_MS << stalls);
}

uint64_t destination_connect_due(const struct delivery_destination *d, uint64_t now_ms)
{
    uint64_t due = allowed_due(d, now_ms);

    if (d->ready_count == 0 || due == UINT64_MAX)
        return UINT64_MAX;
    /* A host that may be dead is asked by one connection, not by many. */
    if (!d->is_proven && d->connecting > 0)
        return UINT64_MAX;
    if (d->down_until_ms > due)
        due = d->down_until_ms;
    if (destination_has_enough(d)) {
        if (d->connecting > 0)
            return UINT64_MAX;
        if (stalled_ms(d) > due)
            due = stalled_ms(d);
    }
    /* A list that is too old is asked for before its hosts are judged. */
    if (d->hosts_until_ms > now_ms && d->down_until_ms <= now_ms) {
        uint64_t host_due = hosts_due(d, now_ms);

        if (host_due > due)
            due = host_due;
    }
    return due;
}

uint64_t destination_divert_due(const struct delivery_destination *d, uint64_t now_ms)
{
    uint64_t due = allowed_due(d, now_ms), host_due;

    if (d->diverted_count == 0 || due == UINT64_MAX)
        return UINT64_MAX;
    host_due = hosts_divert_due(d, now_ms);
    return host_due > due ? host_due : due;
}

bool destination_is_at_limit(const struct delivery_destination *d, uint64_t now_ms,
                             uint64_t *until_out)
{
    uint64_t due = hosts_due(d, now_ms), other;

    if (d->limits.scope == DELIVERY_LIMIT_DOMAIN) {
        other = delivery_budget_due(&d->budget, destination_rate(d), now_ms);
        if (other > now_ms)
            due = other;
        else if (d->connections >= d->limits.connections_max)
            due = DELIVERY_WAIT_FOREVER;
    } else {
        other = destination_idle_due(d, now_ms);
        if (other < due)
            due = other;
    }
    if (due <= now_ms)
        return false;
    *until_out = due;
    return true;
}

uint64_t destination_due(const struct delivery_destination *d, uint64_t now_ms)
{
    uint64_t due, idle_due, connect_due;

    if (destination_is_empty(d))
        return destination_forget_due(d);
    if (d->given_up_count > 0 || d->flushed.root != NULL || !slim_list_is_empty(&d->late))
        return 0;
    due = delivery_heap_earliest(&d->delayed);
    if (d->ready_count == 0 && d->diverted_count == 0)
        return due;
    if (d->bad_until_ms > now_ms ||
        (d->ready_count > 0 && item_is_exhausted(item_of_node(slim_list_first(&d->ready)))))
        return 0;
    if (delivery_heap_earliest(&d->expiries) < due)
        due = delivery_heap_earliest(&d->expiries);
    idle_due = destination_idle_due(d, now_ms);
    if (idle_due < due)
        due = idle_due;
    connect_due = destination_divert_due(d, now_ms);
    if (connect_due < due)
        due = connect_due;
    connect_due = destination_connect_due(d, now_ms);
    return connect_due < due ? connect_due : due;
}

/* Moves d between the two lists that are walked, when that changed. */
static void file_for_walk(struct delivery_scheduler *s, struct delivery_destination *d)
{
    bool is_queued = d->ready_count > 0 || d->diverted_count > 0 || d->delayed_count > 0 ||
                     d->given_up_count > 0;

    if (is_queued == d->is_queued)
        return;
    d->is_queued = is_queued;
    list_remove(&d->walk);
    list_append(is_queued ? &s->queued : &s->quiet, &d->walk);
}

void destination_file(struct delivery_scheduler *s, struct delivery_destination *d, uint64_t now_ms)
{
    bool is_empty = destination_is_empty(d);
    uint64_t due;

    file_for_walk(s, d);
    if (is_empty && !d->was_empty)
        d->empty_ms = now_ms;
    d->was_empty = is_empty;
    due = destination_due(d, now_ms);
    if (due <= now_ms) {
        if (d->place == PLACE_TURN)
            return; /* it keeps its turn */
        unfile(s, d);
        list_append(&s->turns, &d->turn);
        d->place = PLACE_TURN;
        return;
    }
    if (d->place == PLACE_TIMER && delivery_heap_key(&d->timer) == due)
        return;
    unfile(s, d);
    if (due == UINT64_MAX)
        return;
    delivery_heap_insert(&s->timers, &d->timer, due);
    d->place = PLACE_TIMER;
}

void destination_set_limits(struct delivery_destination *d, const struct delivery_limits *limits)
{
    d->limits = *limits;
    if (d->limits.connections_max == 0)
        d->limits.connections_max = 1;
    if (d->limits.messages_per_connection_max == 0)
        d->limits.messages_per_connection_max = 1;
    if (d->limits.recipients_interval_ms < DELIVERY_WINDOW_MS_MIN)
        d->limits.recipients_interval_ms = DELIVERY_WINDOW_MS_MIN;
    if (d->limits.recipients_interval_ms > DELIVERY_WINDOW_MS_MAX)
        d->limits.recipients_interval_ms = DELIVERY_WINDOW_MS_MAX;
}

void delivery_destination_set_limits(struct delivery_scheduler *s, uint64_t now_ms,
                                     struct delivery_destination *d,
                                     const struct delivery_limits *limits)
{
    destination_set_limits(d, limits);
    d->hosts_until_ms = 0;
    d->bad_until_ms = 0;
    destination_file(s, d, now_ms);
}

void delivery_destination_attach(struct delivery_destination *d, struct delivery_attachment *a)
{
    if (a != NULL)
        a->destination = d;
    d->attachment = a;
}

struct delivery_attachment *delivery_destination_attachment(const struct delivery_destination *d)
{
    return d->attachment;
}

bool delivery_destination_is_tls_optional(const struct delivery_destination *d)
{
    return d->is_tls_optional;
}

const struct delivery_item *delivery_destination_first(const struct delivery_destination *d)
{
    if (d->ready_count > 0)
        return item_of_node(slim_list_first(&d->ready));
    return d->diverted_count > 0 ? item_of_timer(d->expiries.root) : NULL;
}

struct slice delivery_destination_domain(const struct delivery_destination *d)
{
    return (struct slice){ d->domain, d->domain_len };
}

void destination_put_off(struct delivery_destination *d, uint64_t recipients)
{
    d->counts.soft += recipients;
    d->scheduler->put_off += recipients;
}

void delivery_destination_count(struct delivery_destination *d,
                                const struct delivery_counts *counts)
{
    d->counts.delivered += counts->delivered;
    d->counts.soft += counts->soft;
    d->counts.hard += counts->hard;
}

void delivery_destination_describe(const struct delivery_destination *d,
                                   struct delivery_destination_state *state_out)
{
    *state_out = (struct delivery_destination_state){
        .ready = d->ready_count + d->diverted_count,
        .delayed = d->delayed_count,
        .active = d->active_count,
        .connections = d->connections,
        .connecting = d->connecting,
        .endpoints = d->listed_count,
        .is_down = d->down_until_ms > 0 && !d->is_proven,
        .down_until_ms = d->down_until_ms,
        .failure = d->failure,
        .counts = d->counts,
    };
}
