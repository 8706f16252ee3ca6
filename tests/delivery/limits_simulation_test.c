/* Connections and recipients that a destination allows, in virtual time: never more than that, and
 * nearly all of it while there is a backlog. POSTERN_TEST_SEED runs one seed alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/scheduler.h"

#define RUNS_MAX         60
#define DESTINATIONS_MAX 4
#define HOSTS_MAX        4
#define ITEMS_MAX        1500
#define CONNECTIONS_MAX  256
#define HANDED_MAX       60000

#define REQUIRE(x)                                                                                 \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("seed %llu, at %llu ms: %s", (unsigned long long)w->seed,                     \
                     (unsigned long long)w->now_ms, #x);                                           \
    } while (0)

static const struct delivery_profile profile = {
    .retry_initial_ms = 60000, .retry_ms_max = 60000, .age_ms_max = UINT64_MAX, .retries_max = 60000
};

struct handed {
    uint64_t ms;
    uint32_t recipients;
    uint8_t destination;
    uint8_t host;
};

struct model_item {
    struct delivery_item item;
    unsigned left;     /* not handed over in this try */
    unsigned deferred; /* by this try */
};

struct model_connection {
    struct delivery_connection connection;
    enum { FREE, CONNECTING, SENDING, IDLE } phase;
    uint64_t event_ms;
    unsigned destination, host, taken;
    struct model_item *item;
};

struct model_destination {
    char domain[32];
    struct delivery_limits limits;
    unsigned hosts_count;
    unsigned connections[HOSTS_MAX];
    size_t items; /* not delivered yet */
    uint64_t backlog_until_ms;
};

struct world {
    struct delivery_scheduler *s;
    uint64_t seed, random, now_ms;
    unsigned latency_ms_max;
    unsigned destinations_count;
    struct model_destination destinations[DESTINATIONS_MAX];
    struct model_connection connections[CONNECTIONS_MAX];
    size_t items_count;
    struct model_item items[ITEMS_MAX];
    size_t handed_count;
    struct handed handed[HANDED_MAX];
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random += 0x9e3779b97f4a7c15ull;
    return hash_number(w->random) % below;
}

static unsigned number_of(const struct delivery_destination *d)
{
    return (unsigned)(delivery_destination_domain(d).data[1] - '0');
}

static void give(struct world *w, struct model_item *i, unsigned destination, unsigned recipients)
{
    struct model_destination *m = &w->destinations[destination];
    struct delivery_arrival arrival = { .domain = slice_from(m->domain),
                                        .limits = &m->limits,
                                        .recipients = recipients };

    i->left = recipients;
    i->deferred = 0;
    m->items++;
    REQUIRE(delivery_scheduler_add(w->s, w->now_ms, &arrival, &i->item) == STATUS_OK);
}

static void resolve(struct world *w, struct delivery_destination *d)
{
    struct model_destination *m = &w->destinations[number_of(d)];
    struct delivery_endpoint endpoints[HOSTS_MAX + 1] = { 0 };
    unsigned first = (unsigned)draw(w, HOSTS_MAX);

    /* In another order each time; the same one twice. All are equal. */
    for (unsigned i = 0; i < m->hosts_count; i++)
        endpoints[i].address.port = (uint16_t)(1 + (first + i) % m->hosts_count);
    endpoints[m->hosts_count] = endpoints[0];
    delivery_destination_resolved(w->s, w->now_ms, d, endpoints, m->hosts_count + 1,
                                  5000 + draw(w, 100000), draw(w, UINT64_MAX));
}

static void start_connection(struct world *w, const struct delivery_action *a)
{
    struct model_connection *c = w->connections;
    struct model_destination *m = &w->destinations[number_of(a->destination)];
    unsigned total = 0;

    while (c->phase != FREE)
        REQUIRE(++c < w->connections + CONNECTIONS_MAX);
    *c = (struct model_connection){ .phase = CONNECTING,
                                    .event_ms = w->now_ms + draw(w, w->latency_ms_max + 1),
                                    .destination = number_of(a->destination),
                                    .host = a->address.port - 1u };
    m->connections[c->host]++;
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        total += m->connections[i];
    REQUIRE(total <= m->limits.connections_max ||
            (m->limits.scope == DELIVERY_LIMIT_ADDRESS &&
             m->connections[c->host] <= m->limits.connections_max));
    delivery_connection_start(w->s, w->now_ms, &c->connection, a);
}

static void close_connection(struct world *w, struct model_connection *c)
{
    c->phase = FREE;
    w->destinations[c->destination].connections[c->host]--;
    delivery_connection_closed(w->s, w->now_ms, &c->connection, DELIVERY_FAILURE_NONE, 1);
}

static void take(struct world *w, struct model_connection *c)
{
    struct delivery_item *item;
    unsigned allowed;

    switch (delivery_connection_take(w->s, w->now_ms, &c->connection, &item)) {
    case DELIVERY_TAKE_CLOSE: close_connection(w, c); return;
    case DELIVERY_TAKE_IDLE:
        c->phase = IDLE;
        c->event_ms = w->now_ms + 5000;
        return;
    case DELIVERY_TAKE_ITEM: break;
    }
    allowed = delivery_connection_recipients(&c->connection);
    c->item = CONTAINER_OF(item, struct model_item, item);
    REQUIRE(allowed > 0 && allowed <= c->item->left);
    REQUIRE(++c->taken <= w->destinations[c->destination].limits.messages_per_connection_max);
    REQUIRE(w->handed_count < HANDED_MAX);
    w->handed[w->handed_count++] =
        (struct handed){ w->now_ms, allowed, (uint8_t)c->destination, (uint8_t)c->host };
    c->phase = SENDING;
    c->event_ms = w->now_ms + draw(w, w->latency_ms_max + 1);
}

static void finish_sending(struct world *w, struct model_connection *c)
{
    struct model_destination *m = &w->destinations[c->destination];
    struct model_item *i = c->item;
    unsigned sent = delivery_connection_recipients(&c->connection);

    if (draw(w, 50) == 0) {
        delivery_item_returned(w->s, w->now_ms, &c->connection, draw(w, UINT64_MAX));
        close_connection(w, c);
        return;
    }
    i->left -= sent;
    i->deferred += draw(w, 10) == 0;
    if (i->left > 0) {
        delivery_item_continued(w->s, w->now_ms, &c->connection);
    } else if (i->deferred > 0) {
        delivery_item_deferred(w->s, w->now_ms, &c->connection, i->deferred, draw(w, UINT64_MAX));
        i->left = i->deferred;
        i->deferred = 0;
    } else {
        delivery_item_done(w->s, w->now_ms, &c->connection);
        m->items--;
        /* The backlog stays as it is for a while. */
        if (w->now_ms < m->backlog_until_ms)
            give(w, i, c->destination, 1 + (unsigned)draw(w, 60));
    }
    take(w, c);
}

static void act(struct world *w)
{
    struct delivery_action a;

    for (unsigned i = 0; delivery_scheduler_next_due(w->s) <= w->now_ms; i++) {
        REQUIRE(i < 20000);
        if (!delivery_scheduler_next_action(w->s, w->now_ms, &a))
            continue;
        switch (a.kind) {
        case DELIVERY_ACTION_RESOLVE: resolve(w, a.destination); break;
        case DELIVERY_ACTION_CONNECT: start_connection(w, &a); break;
        case DELIVERY_ACTION_TAKE:
            take(w, CONTAINER_OF(a.connection, struct model_connection, connection));
            break;
        case DELIVERY_ACTION_EXPIRE:
        case DELIVERY_ACTION_WARN: REQUIRE(a.item == NULL); break;
        case DELIVERY_ACTION_FORGET: break;
        }
    }
}

static void run_events(struct world *w)
{
    for (size_t n = 0; n < CONNECTIONS_MAX; n++) {
        struct model_connection *c = &w->connections[n];

        if (c->phase == FREE || c->event_ms > w->now_ms)
            continue;
        if (c->phase == CONNECTING) {
            delivery_connection_opened(w->s, w->now_ms, &c->connection);
            take(w, c);
        } else if (c->phase == SENDING) {
            finish_sending(w, c);
        } else {
            close_connection(w, c);
        }
    }
}

/* The most recipients that any window has seen; host HOSTS_MAX means all of them. */
static uint64_t most_in_a_window(const struct world *w, unsigned destination, unsigned host)
{
    uint64_t window_ms = w->destinations[destination].limits.recipients_interval_ms;
    uint64_t most = 0, sum = 0;
    size_t first = 0;

    for (size_t i = 0; i < w->handed_count; i++) {
        const struct handed *h = &w->handed[i];

        if (h->destination != destination || (host < HOSTS_MAX && h->host != host))
            continue;
        sum += h->recipients;
        for (; w->handed[first].ms + window_ms <= h->ms; first++)
            if (w->handed[first].destination == destination &&
                (host == HOSTS_MAX || w->handed[first].host == host))
                sum -= w->handed[first].recipients;
        most = sum > most ? sum : most;
    }
    return most;
}

static void check_recipients(struct world *w)
{
    for (unsigned n = 0; n < w->destinations_count; n++) {
        const struct model_destination *m = &w->destinations[n];
        bool is_per_host = m->limits.scope == DELIVERY_LIMIT_ADDRESS;
        uint64_t windows = (m->backlog_until_ms - 1000) / m->limits.recipients_interval_ms;
        uint64_t used = 0;

        if (m->limits.recipients_max == 0)
            continue;
        for (unsigned h = 0; is_per_host && h < HOSTS_MAX; h++)
            REQUIRE(most_in_a_window(w, n, h) <= m->limits.recipients_max);
        if (!is_per_host)
            REQUIRE(most_in_a_window(w, n, HOSTS_MAX) <= m->limits.recipients_max);
        for (size_t i = 0; i < w->handed_count; i++)
            if (w->handed[i].destination == n && w->handed[i].ms < m->backlog_until_ms)
                used += w->handed[i].recipients;
        REQUIRE(used * 100 >=
                95 * windows * m->limits.recipients_max * (is_per_host ? m->hosts_count : 1));
    }
}

static void make_world(struct world *w, uint64_t seed)
{
    static const unsigned intervals_ms[] = { 60000, 60000, 300000, 3600000 };

    memset(w, 0, sizeof *w);
    w->seed = w->random = seed;
    w->now_ms = 1000;
    w->latency_ms_max = 1 + (unsigned)draw(w, 300);
    REQUIRE(delivery_scheduler_create(&(struct hash_seed){ seed, 1 }, &w->s) == STATUS_OK);
    w->destinations_count = 1 + (unsigned)draw(w, DESTINATIONS_MAX);
    for (unsigned n = 0; n < w->destinations_count; n++) {
        struct model_destination *m = &w->destinations[n];
        unsigned interval_ms = intervals_ms[draw(w, ARRAY_LEN(intervals_ms))];

        (void)snprintf(m->domain, sizeof m->domain, "d%u.example", n);
        m->hosts_count = 1 + (unsigned)draw(w, HOSTS_MAX);
        m->limits = (struct delivery_limits){
            .connections_max = 1 + (unsigned)draw(w, 6),
            .messages_per_connection_max = 1 + (unsigned)draw(w, 20),
            .scope = draw(w, 2) == 0 ? DELIVERY_LIMIT_DOMAIN : DELIVERY_LIMIT_ADDRESS,
            .recipients_max = 1 + (unsigned)draw(w, 100),
            .recipients_interval_ms = interval_ms,
            .profile = profile,
        };
        m->backlog_until_ms = 1000 + 10ull * interval_ms;
    }
    for (; w->items_count < w->destinations_count * 100u; w->items_count++)
        give(w, &w->items[w->items_count], (unsigned)(w->items_count % w->destinations_count),
             1 + (unsigned)draw(w, 60));
}

static void live(struct world *w, uint64_t end_ms)
{
    while (w->now_ms < end_ms) {
        uint64_t next;

        act(w);
        next = delivery_scheduler_next_due(w->s);
        for (size_t n = 0; n < CONNECTIONS_MAX; n++)
            if (w->connections[n].phase != FREE && w->connections[n].event_ms < next)
                next = w->connections[n].event_ms;
        if (next > end_ms)
            return;
        w->now_ms = next > w->now_ms ? next : w->now_ms;
        run_events(w);
    }
}

static void no_limit_is_exceeded_and_a_backlog_uses_nearly_all_of_it(void **unused)
{
    const char *only = getenv("POSTERN_TEST_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    struct world *w = malloc(sizeof *w);

    (void)unused;
    assert_non_null(w);
    for (uint64_t seed = first; seed < first + (only != NULL ? 1 : RUNS_MAX); seed++) {
        make_world(w, seed);
        live(w, 1000 + 11ull * 3600000);
        check_recipients(w);
        for (size_t n = 0; n < CONNECTIONS_MAX; n++) {
            if (w->connections[n].phase == SENDING)
                delivery_item_done(w->s, w->now_ms, &w->connections[n].connection);
            if (w->connections[n].phase == CONNECTING)
                delivery_connection_failed(w->s, w->now_ms, &w->connections[n].connection,
                                           DELIVERY_FAILURE_LOCAL, 1);
            else if (w->connections[n].phase != FREE)
                close_connection(w, &w->connections[n]);
        }
        while (delivery_scheduler_take_any(w->s, w->now_ms) != NULL)
            continue;
        delivery_scheduler_destroy(w->s);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_is_exceeded_and_a_backlog_uses_nearly_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
