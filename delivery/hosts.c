#include <assert.h>
#include <stdlib.h>

#include "delivery/destination.h"

static_assert(DELIVERY_HOSTS_MAX <= 64, "the slots are looked for in 64 bits");

#define PREFERENCE_NONE (UINT16_MAX + 1u)

static struct destination_host *first(const struct delivery_destination *d)
{
    return list_is_empty(&d->hosts) ? NULL : host_of_node(d->hosts.head.next);
}

static struct destination_host *next(const struct delivery_destination *d,
                                     const struct destination_host *h)
{
    return h->node.next == &d->hosts.head ? NULL : host_of_node(h->node.next);
}

static bool same_endpoint(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_equal(&a->address, &b->address);
}

static struct destination_host *find(const struct delivery_destination *d,
                                     const struct ip_endpoint *address)
{
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (same_endpoint(&h->endpoint.address, address))
            return h;
    return NULL;
}

const struct delivery_budget *hosts_budget(const struct delivery_destination *d,
                                           const struct destination_host *h)
{
    return d->limits.scope == DELIVERY_LIMIT_ADDRESS ? &h->budget : &d->budget;
}

/* When one more connection to h, which is up, may be opened. */
static uint64_t connect_due(const struct delivery_destination *d, const struct destination_host *h,
                            uint64_t now_ms)
{
    struct delivery_rate rate = destination_rate(d);
    unsigned connections = h->open + h->connecting;
    uint64_t due = 0;

    if (d->limits.scope == DELIVERY_LIMIT_ADDRESS) {
        uint32_t room = delivery_budget_room(&h->budget, rate, now_ms);

        if (connections >= d->limits.connections_max)
            return UINT64_MAX;
        /* There is nothing to do for more of them than recipients. */
        if (room > 0 && h->connecting >= room)
            return UINT64_MAX;
        due = delivery_budget_due(&h->budget, rate, now_ms);
    }
    if (connections >= h->crowded_max && h->crowded_until_ms > due)
        due = h->crowded_until_ms;
    return due;
}

/* The best preference of those that are up. */
static unsigned best_preference(const struct delivery_destination *d, uint64_t now_ms)
{
    unsigned best = PREFERENCE_NONE;

    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (h->is_listed && h->down_until_ms <= now_ms && h->endpoint.preference < best)
            best = h->endpoint.preference;
    return best;
}

uint64_t hosts_due(const struct delivery_destination *d, uint64_t now_ms)
{
    unsigned best = best_preference(d, now_ms);
    uint64_t due = UINT64_MAX;

    if (best == PREFERENCE_NONE)
        return 0;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        uint64_t host_due = UINT64_MAX;

        if (!h->is_listed || h->endpoint.preference > best)
            continue;
        /* A better one that comes up again takes over. */
        host_due = h->down_until_ms > now_ms ? h->down_until_ms : connect_due(d, h, now_ms);
        if (host_due < due)
            due = host_due;
    }
    return due;
}

/* Whose turn it is among equal ones. */
static bool goes_before(const struct destination_host *a, const struct destination_host *b)
{
    return a->used < b->used || (a->used == b->used && a->index < b->index);
}

struct destination_host *hosts_choose(struct delivery_destination *d, uint64_t now_ms)
{
    unsigned preference = best_preference(d, now_ms);
    struct destination_host *best = NULL;
    uint64_t up_ms = UINT64_MAX;

    ASSERT(d->listed_count > 0);
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        if (!h->is_listed)
            continue;
        if (h->down_until_ms < up_ms)
            up_ms = h->down_until_ms;
        if (h->down_until_ms <= now_ms && h->endpoint.preference == preference &&
            (best == NULL || goes_before(h, best)) && connect_due(d, h, now_ms) <= now_ms)
            best = h;
    }
    if (best != NULL)
        best->used = ++d->turns;
    else if (preference == PREFERENCE_NONE)
        d->down_until_ms = up_ms;
    return best;
}

struct destination_host *hosts_choose_untried(struct delivery_destination *d, uint64_t now_ms,
                                              uint32_t tried)
{
    struct destination_host *best = NULL;

    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (h->is_listed && h->down_until_ms <= now_ms && (tried & host_bit(h)) == 0 &&
            (best == NULL || h->endpoint.preference < best->endpoint.preference ||
             (h->endpoint.preference == best->endpoint.preference && goes_before(h, best))))
            best = h;
    return best;
}

/* When h wants a connection for its diverted items. An open one takes them, with time. */
static uint64_t divert_due(const struct delivery_destination *d, const struct destination_host *h,
                           uint64_t now_ms)
{
    if (slim_list_is_empty(&h->diverted) || !list_is_empty(&h->idle) || h->connecting > 0)
        return UINT64_MAX;
    if (h->open > 0 && d->progress_ms + DELIVERY_STALL_MS > now_ms)
        return d->progress_ms + DELIVERY_STALL_MS;
    return connect_due(d, h, now_ms);
}

uint64_t hosts_divert_due(const struct delivery_destination *d, uint64_t now_ms)
{
    uint64_t due = UINT64_MAX;

    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        uint64_t host_due = divert_due(d, h, now_ms);

        if (host_due < due)
            due = host_due;
    }
    return due;
}

struct destination_host *hosts_choose_diverted(struct delivery_destination *d, uint64_t now_ms)
{
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (divert_due(d, h, now_ms) <= now_ms) {
            h->used = ++d->turns;
            return h;
        }
    return NULL;
}

bool hosts_lack_connection(const struct delivery_destination *d)
{
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (!slim_list_is_empty(&h->diverted) && h->open == 0 && h->connecting == 0)
            return true;
    return false;
}

/* An idle connection to h could do something. */
static bool has_idle_work(const struct delivery_destination *d, const struct destination_host *h)
{
    return !list_is_empty(&h->idle) && (d->ready_count > 0 || !slim_list_is_empty(&h->diverted));
}

struct destination_host *hosts_choose_idle(struct delivery_destination *d, uint64_t now_ms)
{
    struct delivery_rate rate = destination_rate(d);
    struct destination_host *best = NULL;

    if (d->idle_count == 0)
        return NULL;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (has_idle_work(d, h) &&
            (best == NULL || h->endpoint.preference < best->endpoint.preference) &&
            delivery_budget_room(hosts_budget(d, h), rate, now_ms) > 0)
            best = h;
    return best;
}

uint64_t destination_idle_due(const struct delivery_destination *d, uint64_t now_ms)
{
    struct delivery_rate rate = destination_rate(d);
    uint64_t due = UINT64_MAX;

    if (d->idle_count == 0)
        return UINT64_MAX;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        uint64_t host_due;

        if (!has_idle_work(d, h))
            continue;
        host_due = delivery_budget_due(hosts_budget(d, h), rate, now_ms);
        if (host_due < due)
            due = host_due;
    }
    return due;
}

uint64_t destination_forget_due(const struct delivery_destination *d)
{
    struct delivery_rate rate = destination_rate(d);
    uint64_t due = delivery_budget_whole(&d->budget, rate);

    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (delivery_budget_whole(&h->budget, rate) > due)
            due = delivery_budget_whole(&h->budget, rate);
    return d->empty_ms + DELIVERY_IDLE_MS > due ? d->empty_ms + DELIVERY_IDLE_MS : due;
}

void hosts_opened(struct delivery_destination *d, struct destination_host *h)
{
    d->is_proven = true;
    d->down_until_ms = 0;
    d->failure = DELIVERY_FAILURE_NONE;
    h->down_until_ms = 0;
    h->open++;
}

void hosts_worked(struct delivery_destination *d, struct destination_host *h)
{
    d->has_worked = true;
    d->failed_rounds = 0;
    d->local_failures = 0;
    h->failures = 0;
}

/* Items that wait for h go to another host, or have failed; at most DELIVERY_DIVERTED_MAX. */
static void send_elsewhere(struct destination_host *h, uint64_t now_ms, uint64_t seed)
{
    struct slim_list items;

    slim_list_init(&items);
    slim_list_take_all(&items, &h->diverted);
    while (!slim_list_is_empty(&items)) {
        struct delivery_item *item = item_of_node(slim_list_first(&items));

        item_detach(item);
        if (!item_divert(item, now_ms))
            item_put_off(item, now_ms, scheduler_draw(item->destination->scheduler, seed));
    }
}

/* All hosts are down, or cannot be found out: they come up again together. */
static void go_down(struct delivery_destination *d, uint64_t now_ms, uint64_t seed)
{
    d->down_until_ms = now_ms + delivery_backoff_ms(&d->limits.profile, d->failed_rounds, seed);
    if (d->failed_rounds < UINT16_MAX)
        d->failed_rounds++;
    d->is_proven = false;
    d->has_worked = false;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        h->down_until_ms = d->down_until_ms;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        send_elsewhere(h, now_ms, seed);
    /* While connections are at work the items do not wait for this try. */
    if (d->connections == d->connecting) {
        d->round++;
        destination_put_off(d, d->ready_recipients);
    }
}

/* It is not to be used for a while. */
static void put_down(struct delivery_destination *d, uint64_t now_ms, struct destination_host *h,
                     uint64_t seed)
{
    /* Several tries at once that fail together are one failure. */
    if (h->down_until_ms > now_ms)
        return;
    h->down_until_ms = now_ms + delivery_backoff_ms(&d->limits.profile, h->failures, seed);
    if (h->failures < UINT16_MAX)
        h->failures++;
    send_elsewhere(h, now_ms, seed);
    if (h->is_listed && best_preference(d, now_ms) == PREFERENCE_NONE)
        go_down(d, now_ms, seed);
}

/* Without a word about any host. */
static void pause_ourselves(struct delivery_destination *d, uint64_t now_ms)
{
    d->failure = DELIVERY_FAILURE_LOCAL;
    /* What several connections hit at once is one fault. */
    if (d->ourselves_until_ms > now_ms)
        return;
    d->ourselves_until_ms = now_ms + local_pause_ms(d->local_failures);
    if (d->local_failures < DELIVERY_LOCAL_DOUBLINGS)
        d->local_failures++;
}

void hosts_failed(struct delivery_destination *d, uint64_t now_ms, struct destination_host *h,
                  enum delivery_failure why, uint64_t seed)
{
    if (why == DELIVERY_FAILURE_OTHER_WAY)
        return;
    if (why == DELIVERY_FAILURE_LOCAL) {
        pause_ourselves(d, now_ms);
        return;
    }
    d->failure = why;
    if (h->open > 0) {
        h->crowded_max = h->open;
        h->crowded_until_ms = now_ms + DELIVERY_CROWDED_MS;
    } else {
        put_down(d, now_ms, h, seed);
    }
}

void hosts_broke_off(struct delivery_destination *d, uint64_t now_ms, struct destination_host *h,
                     enum delivery_failure why, uint64_t seed)
{
    if (d->has_worked || why == DELIVERY_FAILURE_LOCAL) {
        hosts_failed(d, now_ms, h, why, seed);
        return;
    }
    /* Its other connections have yet to show that they are any better. */
    d->failure = why;
    put_down(d, now_ms, h, seed);
}

static void host_free(struct delivery_destination *d, struct destination_host *h)
{
    ASSERT(h->open == 0 && h->connecting == 0);
    ASSERT(list_is_empty(&h->idle) && slim_list_is_empty(&h->diverted));
    list_remove(&h->node);
    d->hosts_count--;
    free(h);
}

void hosts_free(struct delivery_destination *d)
{
    while (!list_is_empty(&d->hosts))
        host_free(d, host_of_node(d->hosts.head.next));
}

/* Removes one host without connections that is not listed: with now_ms one that nothing has to
 * be remembered of, else any. */
static bool drop_one(struct delivery_destination *d, const uint64_t *now_ms)
{
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        if (h->is_listed || h->open > 0 || h->connecting > 0 || !slim_list_is_empty(&h->diverted))
            continue;
        if (now_ms != NULL && (h->down_until_ms > *now_ms ||
                               delivery_budget_whole(&h->budget, destination_rate(d)) > *now_ms))
            continue;
        host_free(d, h);
        return true;
    }
    return false;
}

/* The lowest that is free; there is one. */
static unsigned free_slot(const struct delivery_destination *d)
{
    uint64_t taken = 0;
    unsigned slot = 0;

    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        taken |= 1ull << h->slot;
    while (slot < DELIVERY_HOSTS_MAX && (taken >> slot & 1) != 0)
        slot++;
    ASSERT(slot < DELIVERY_HOSTS_MAX);
    return slot;
}

static struct destination_host *host_create(struct delivery_destination *d)
{
    struct destination_host *h;

    if (d->hosts_count >= DELIVERY_HOSTS_MAX && !drop_one(d, NULL))
        return NULL;
    h = calloc(1, sizeof *h);
    if (h == NULL)
        return NULL;
    h->slot = free_slot(d);
    list_init(&h->idle);
    slim_list_init(&h->diverted);
    list_append(&d->hosts, &h->node);
    d->hosts_count++;
    return h;
}

/* Puts the hosts of a list in place of the former ones. */
static void replace(struct delivery_destination *d, uint64_t now_ms,
                    const struct delivery_endpoint *endpoints, unsigned count, uint64_t seed)
{
    d->listed_count = 0;
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        h->is_listed = false;
    /* Those that are known first: what is then left over makes room for the others. */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < count; i++) {
            struct destination_host *h = find(d, &endpoints[i].address);

            if (h == NULL && pass > 0)
                h = host_create(d);
            if (h == NULL || (h->is_listed && h->endpoint.preference <= endpoints[i].preference))
                continue;
            d->listed_count += !h->is_listed;
            h->is_listed = true;
            h->endpoint = endpoints[i];
            h->index = i;
        }
        while (pass == 0 && drop_one(d, &now_ms))
            continue;
    }
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h))
        if (!h->is_listed)
            send_elsewhere(h, now_ms, seed);
}

void delivery_destination_resolved(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_destination *d,
                                   const struct delivery_endpoint *endpoints, size_t count,
                                   uint64_t valid_ms, uint64_t seed)
{
    ASSERT(d->is_resolving);
    if (count > 0)
        replace(d, now_ms, endpoints,
                count < DELIVERY_ENDPOINTS_MAX ? (unsigned)count : DELIVERY_ENDPOINTS_MAX, seed);
    if (count == 0 || d->listed_count == 0) {
        delivery_destination_unresolved(
            s, now_ms, d, count == 0 ? DELIVERY_UNRESOLVED_TEMPORARY : DELIVERY_UNRESOLVED_LOCAL, 0,
            seed);
        return;
    }
    d->is_resolving = false;
    d->bad_until_ms = 0;
    /* A list that went bad at once would be asked for in circles. */
    d->hosts_until_ms = now_ms + DELIVERY_HOSTS_MS_MIN;
    if (valid_ms > DELIVERY_HOSTS_MS_MIN)
        d->hosts_until_ms = valid_ms < UINT64_MAX - now_ms ? now_ms + valid_ms : UINT64_MAX;
    destination_file(s, d, now_ms);
}

void delivery_destination_unresolved(struct delivery_scheduler *s, uint64_t now_ms,
                                     struct delivery_destination *d, enum delivery_unresolved why,
                                     uint64_t valid_ms, uint64_t seed)
{
    ASSERT(d->is_resolving);
    d->is_resolving = false;
    switch (why) {
    case DELIVERY_UNRESOLVED_BAD_HOST:
        d->failure = DELIVERY_FAILURE_DNS;
        if (valid_ms < DELIVERY_HOSTS_MS_MIN)
            valid_ms = DELIVERY_HOSTS_MS_MIN;
        d->bad_until_ms = valid_ms < UINT64_MAX - now_ms ? now_ms + valid_ms : UINT64_MAX;
        break;
    case DELIVERY_UNRESOLVED_TEMPORARY:
        d->failure = DELIVERY_FAILURE_DNS;
        go_down(d, now_ms, seed);
        break;
    case DELIVERY_UNRESOLVED_LOCAL: pause_ourselves(d, now_ms); break;
    }
    destination_file(s, d, now_ms);
}

void delivery_destination_postpone(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_destination *d, uint64_t wait_ms)
{
    if (wait_ms == 0)
        wait_ms = 1;
    d->ourselves_until_ms = wait_ms < UINT64_MAX - now_ms ? now_ms + wait_ms : UINT64_MAX;
    destination_file(s, d, now_ms);
}

void delivery_destination_revive(struct delivery_scheduler *s, uint64_t now_ms,
                                 struct delivery_destination *d)
{
    for (struct destination_host *h = first(d); h != NULL; h = next(d, h)) {
        h->down_until_ms = 0;
        h->failures = 0;
        h->crowded_until_ms = 0;
    }
    d->failed_rounds = 0;
    d->hosts_until_ms = 0;
    d->bad_until_ms = 0;
    d->down_until_ms = 0;
    d->ourselves_until_ms = 0;
    d->local_failures = 0;
    destination_file(s, d, now_ms);
}

void delivery_destination_flush(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_destination *d)
{
    delivery_heap_merge(&d->flushed, &d->delayed);
    delivery_destination_revive(s, now_ms, d);
}

const char *delivery_failure_text(enum delivery_failure failure)
{
    switch (failure) {
    case DELIVERY_FAILURE_NONE: return "none";
    case DELIVERY_FAILURE_REFUSED: return "connection refused";
    case DELIVERY_FAILURE_UNREACHABLE: return "unreachable";
    case DELIVERY_FAILURE_TIMEOUT: return "timed out";
    case DELIVERY_FAILURE_GREETING_4XX: return "4xx greeting";
    case DELIVERY_FAILURE_GREETING_5XX: return "5xx greeting";
    case DELIVERY_FAILURE_EHLO: return "EHLO refused";
    case DELIVERY_FAILURE_TLS: return "TLS failed";
    case DELIVERY_FAILURE_LOST: return "connection lost";
    case DELIVERY_FAILURE_DNS: return "DNS failure";
    case DELIVERY_FAILURE_LOCAL: return "local failure";
    case DELIVERY_FAILURE_OTHER_WAY: return "once more";
    }
    return "unknown";
}
