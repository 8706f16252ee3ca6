#include <stdlib.h>

#include "delivery/destination.h"

static bool same_endpoint(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_equal(&a->address, &b->address);
}

static struct destination_host *find(const struct delivery_destination *d,
                                     const struct ip_endpoint *address)
{
    for (unsigned i = 0; i < d->hosts_count; i++)
        if (same_endpoint(&d->hosts[i].endpoint.address, address))
            return &d->hosts[i];
    return NULL;
}

struct destination_host *hosts_choose(struct delivery_destination *d, uint64_t now_ms)
{
    struct destination_host *best = NULL;
    uint64_t up_ms = UINT64_MAX;

    ASSERT(d->hosts_count > 0);
    for (unsigned i = 0; i < d->hosts_count; i++) {
        struct destination_host *h = &d->hosts[i];

        if (h->down_until_ms < up_ms)
            up_ms = h->down_until_ms;
        if (h->down_until_ms > now_ms)
            continue;
        if (best == NULL || h->endpoint.preference < best->endpoint.preference ||
            (h->endpoint.preference == best->endpoint.preference && h->used < best->used))
            best = h;
    }
    if (best != NULL)
        best->used = ++d->turns;
    else
        d->down_until_ms = up_ms;
    return best;
}

void hosts_opened(struct delivery_destination *d, const struct ip_endpoint *address)
{
    struct destination_host *h = find(d, address);

    d->is_proven = true;
    d->failed_rounds = 0;
    d->down_until_ms = 0;
    d->failure = DELIVERY_FAILURE_NONE;
    if (h == NULL)
        return;
    h->failures = 0;
    h->down_until_ms = 0;
    h->open++;
}

void hosts_closed(struct delivery_destination *d, const struct ip_endpoint *address)
{
    struct destination_host *h = find(d, address);

    /* The list may have been replaced since it was counted. */
    if (h != NULL && h->open > 0)
        h->open--;
}

/* All hosts are down, or cannot be found out: they come up again together. */
static void go_down(struct delivery_destination *d, uint64_t now_ms, uint64_t seed)
{
    d->down_until_ms = now_ms + delivery_backoff_ms(&d->limits.profile, d->failed_rounds, seed);
    if (d->failed_rounds < UINT16_MAX)
        d->failed_rounds++;
    d->is_proven = false;
    for (unsigned i = 0; i < d->hosts_count; i++)
        d->hosts[i].down_until_ms = d->down_until_ms;
    /* While connections are at work the items do not wait for this try. */
    if (d->connections == d->connecting)
        d->round++;
}

void hosts_failed(struct delivery_destination *d, uint64_t now_ms,
                  const struct ip_endpoint *address, enum delivery_failure why, uint64_t seed)
{
    struct destination_host *h = find(d, address);

    d->failure = why;
    if (why == DELIVERY_FAILURE_LOCAL) {
        d->ourselves_until_ms = now_ms + DELIVERY_LOCAL_MS;
        return;
    }
    if (h == NULL)
        return;
    if (h->open > 0) {
        d->crowded_max = d->connections - d->connecting;
        d->crowded_until_ms = now_ms + DELIVERY_CROWDED_MS;
        return;
    }
    /* Several tries at once that fail together are one failure. */
    if (h->down_until_ms > now_ms)
        return;
    h->down_until_ms = now_ms + delivery_backoff_ms(&d->limits.profile, h->failures, seed);
    if (h->failures < UINT16_MAX)
        h->failures++;
    for (unsigned i = 0; i < d->hosts_count; i++)
        if (d->hosts[i].down_until_ms <= now_ms)
            return;
    go_down(d, now_ms, seed);
}

void delivery_destination_resolved(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_destination *d,
                                   const struct delivery_endpoint *endpoints, size_t count,
                                   uint64_t valid_ms, uint64_t seed)
{
    unsigned hosts_count =
        count < DELIVERY_ENDPOINTS_MAX ? (unsigned)count : DELIVERY_ENDPOINTS_MAX;
    struct destination_host *hosts = count > 0 ? calloc(hosts_count, sizeof *hosts) : NULL;

    if (hosts == NULL) {
        delivery_destination_unresolved(s, now_ms, d, DELIVERY_UNRESOLVED_TEMPORARY, 0, seed);
        return;
    }
    ASSERT(d->is_resolving);
    for (unsigned i = 0; i < hosts_count; i++) {
        const struct destination_host *known = find(d, &endpoints[i].address);

        if (known != NULL)
            hosts[i] = *known;
        hosts[i].endpoint = endpoints[i];
    }
    free(d->hosts);
    d->hosts = hosts;
    d->hosts_count = hosts_count;
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
    d->failure = DELIVERY_FAILURE_DNS;
    if (why == DELIVERY_UNRESOLVED_BAD_HOST) {
        if (valid_ms < DELIVERY_HOSTS_MS_MIN)
            valid_ms = DELIVERY_HOSTS_MS_MIN;
        d->bad_until_ms = valid_ms < UINT64_MAX - now_ms ? now_ms + valid_ms : UINT64_MAX;
    } else {
        go_down(d, now_ms, seed);
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

void delivery_destination_flush(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_destination *d)
{
    delivery_heap_merge(&d->flushed, &d->delayed);
    for (unsigned i = 0; i < d->hosts_count; i++) {
        d->hosts[i].down_until_ms = 0;
        d->hosts[i].failures = 0;
    }
    d->failed_rounds = 0;
    d->hosts_until_ms = 0;
    d->bad_until_ms = 0;
    d->down_until_ms = 0;
    d->ourselves_until_ms = 0;
    d->crowded_until_ms = 0;
    destination_file(s, d, now_ms);
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
    }
    return "unknown";
}
