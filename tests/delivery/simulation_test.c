/* The scheduler against a model of the world in virtual time: hosts that come and go, resolvers
 * that fail, limits that change, operators who flush and delete. Each run comes from a seed,
 * which is printed when it fails; POSTERN_TEST_SEED runs one seed alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/scheduler.h"

#define RUNS_MAX         300
#define ITEMS_MAX        600
#define CONNECTIONS_MAX  256
#define DESTINATIONS_MAX 6
#define HOSTS_MAX        4
#define ARRIVALS_MS_MAX  (4u * 3600u * 1000u)

#define REQUIRE(x)                                                                                 \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fail_msg("seed %llu, at %llu ms: %s", (unsigned long long)w->seed,                     \
                     (unsigned long long)w->now_ms, #x);                                           \
    } while (0)

enum fate { FATE_UNBORN, FATE_QUEUED, FATE_ACTIVE, FATE_DONE, FATE_EXPIRED, FATE_REMOVED };

struct model_item {
    struct delivery_item item;
    unsigned destination;
    uint64_t arrival_ms;
    uint64_t result_ms; /* of the last try */
    uint64_t warned_ms;
    unsigned tries;
    unsigned warnings;
    unsigned tried; /* hosts, of the round after so many attempts */
    unsigned attempts;
    bool was_returned;
    enum fate fate;
};

enum phase { PHASE_FREE, PHASE_CONNECTING, PHASE_SENDING, PHASE_IDLE };

struct model_connection {
    struct delivery_connection connection;
    enum phase phase;
    uint64_t event_ms;
    unsigned destination;
    unsigned host;
    unsigned taken;
    struct model_item *item;
};

struct model_destination {
    struct delivery_attachment attachment;
    bool is_attached;
    char domain[32];
    struct delivery_limits limits;
    unsigned health[HOSTS_MAX]; /* percent of what it is asked for that it does */
    unsigned room[HOSTS_MAX];   /* connections that it takes at once */
    unsigned hosts_count;
    unsigned connections;
    size_t last_fresh; /* index of the last item that was taken for the first time, plus one */
    struct delivery_destination *resolving;
    uint64_t resolve_ms;
};

struct world {
    struct delivery_scheduler *s;
    uint64_t seed;
    uint64_t random;
    uint64_t now_ms;
    size_t born;
    size_t warnings;
    size_t diverted;
    size_t items_count;
    bool is_last_phase; /* everything gets well, so that it ends */
    struct model_item items[ITEMS_MAX];
    struct model_connection connections[CONNECTIONS_MAX];
    struct model_destination destinations[DESTINATIONS_MAX];
    unsigned destinations_count;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random += 0x9e3779b97f4a7c15ull;
    return hash_number(w->random) % below;
}

static bool chance(struct world *w, unsigned percent)
{
    return draw(w, 100) < percent;
}

static unsigned open_at(const struct world *w, unsigned destination, unsigned host)
{
    unsigned n = 0;

    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        n += w->connections[i].phase > PHASE_CONNECTING &&
             w->connections[i].destination == destination && w->connections[i].host == host;
    return n;
}

static void pick_limits(struct world *w, struct delivery_limits *limits)
{
    static const unsigned ages_s[] = { 100, 1800, 7200, 86400 };

    *limits = (struct delivery_limits){
        .connections_max = 1 + (unsigned)draw(w, 8),
        .messages_per_connection_max = 1 + (unsigned)draw(w, 10),
        .profile = { .retry_initial_ms = 1000 * (1 + draw(w, 120)),
                     .retry_ms_max = 1000 * (60 + draw(w, 3600)),
                     .age_ms_max = 1000ull * ages_s[draw(w, ARRAY_LEN(ages_s))],
                     .retries_max = chance(w, 50) ? (unsigned)draw(w, 4) : 100,
                     .warnings_max = (unsigned)draw(w, 4),
                     .warning_interval_ms = 1000 * draw(w, 7200) },
    };
}

static void change_health(struct world *w, struct model_destination *m)
{
    static const unsigned healths[] = { 0, 0, 50, 90, 100, 100 };

    for (unsigned i = 0; i < HOSTS_MAX; i++) {
        m->health[i] = healths[draw(w, ARRAY_LEN(healths))];
        m->room[i] = chance(w, 30) ? 1 + (unsigned)draw(w, 3) : 100;
    }
}

static void add_item(struct world *w)
{
    size_t n = w->born++;
    struct model_item *i = &w->items[n];
    struct model_destination *m = &w->destinations[i->destination];
    struct delivery_arrival arrival = { .domain = slice_from(m->domain), .limits = &m->limits };

    i->arrival_ms = w->now_ms;
    i->fate = FATE_QUEUED;
    REQUIRE(delivery_scheduler_add(w->s, w->now_ms, &arrival, &i->item) == STATUS_OK);
}

static unsigned number_of(struct world *w, const struct delivery_destination *d)
{
    struct slice domain = delivery_destination_domain(d);

    for (unsigned i = 0; i < w->destinations_count; i++)
        if (slice_equal_nocase(domain, slice_from(w->destinations[i].domain)))
            return i;
    REQUIRE(w == NULL); /* no such domain */
    return 0;
}

static void resolve(struct world *w, unsigned number)
{
    struct model_destination *m = &w->destinations[number];
    struct delivery_endpoint endpoints[HOSTS_MAX] = { 0 };
    struct delivery_destination *d = m->resolving;

    m->resolving = NULL;
    if (!w->is_last_phase && chance(w, 10)) {
        enum delivery_unresolved why = chance(w, 20)   ? DELIVERY_UNRESOLVED_BAD_HOST
                                       : chance(w, 30) ? DELIVERY_UNRESOLVED_LOCAL
                                                       : DELIVERY_UNRESOLVED_TEMPORARY;
        delivery_destination_unresolved(w->s, w->now_ms, d, why, 0, draw(w, UINT64_MAX));
        return;
    }
    for (unsigned i = 0; i < m->hosts_count; i++) {
        endpoints[i].address.port = (uint16_t)(i + 1);
        endpoints[i].preference = (uint16_t)(i / 2);
    }
    delivery_destination_resolved(w->s, w->now_ms, d, endpoints, m->hosts_count,
                                  draw(w, 3600 * 1000), draw(w, UINT64_MAX));
}

static void ask_resolver(struct world *w, struct delivery_destination *d)
{
    unsigned number = number_of(w, d);
    struct model_destination *m = &w->destinations[number];

    REQUIRE(m->resolving == NULL);
    if (!m->is_attached) {
        delivery_destination_attach(d, &m->attachment);
        m->is_attached = true;
    }
    REQUIRE(delivery_destination_attachment(d) == &m->attachment);
    m->resolving = d;
    m->resolve_ms = w->now_ms + 1 + draw(w, 5000);
    if (chance(w, 50))
        resolve(w, number);
}

static void start_connection(struct world *w, const struct delivery_action *a)
{
    unsigned number = number_of(w, a->destination);
    struct model_destination *m = &w->destinations[number];
    struct model_connection *c = NULL;

    for (size_t i = 0; i < CONNECTIONS_MAX && c == NULL; i++)
        if (w->connections[i].phase == PHASE_FREE)
            c = &w->connections[i];
    if (c == NULL || chance(w, 5)) {
        delivery_destination_postpone(w->s, w->now_ms, a->destination, 1 + draw(w, 2000));
        return;
    }
    REQUIRE(m->connections < m->limits.connections_max);
    REQUIRE(a->endpoint < m->hosts_count && a->address.port == a->endpoint + 1);
    m->connections++;
    c->phase = PHASE_CONNECTING;
    c->destination = number;
    c->host = a->endpoint;
    c->taken = 0;
    c->item = NULL;
    c->event_ms = w->now_ms + 1 + draw(w, 30000);
    delivery_connection_start(w->s, w->now_ms, &c->connection, a);
}

static void close_connection(struct world *w, struct model_connection *c, enum delivery_failure why)
{
    REQUIRE(c->item == NULL);
    c->phase = PHASE_FREE;
    w->destinations[c->destination].connections--;
    delivery_connection_closed(w->s, w->now_ms, &c->connection, why, draw(w, UINT64_MAX));
}

static void take(struct world *w, struct model_connection *c)
{
    struct model_destination *m = &w->destinations[c->destination];
    struct delivery_item *item = NULL;
    struct delivery_wait wait;
    struct model_item *i;
    size_t n;

    switch (delivery_connection_take(w->s, w->now_ms, &c->connection, &item)) {
    case DELIVERY_TAKE_CLOSE: close_connection(w, c, DELIVERY_FAILURE_NONE); return;
    case DELIVERY_TAKE_IDLE:
        c->phase = PHASE_IDLE;
        c->event_ms = w->now_ms + 5000;
        return;
    case DELIVERY_TAKE_ITEM: break;
    }
    i = CONTAINER_OF(item, struct model_item, item);
    n = (size_t)(i - w->items) + 1;
    delivery_item_explain(item, w->now_ms, &wait);
    if (wait.attempts != i->attempts)
        i->tried = 0;
    i->attempts = wait.attempts;
    REQUIRE((i->tried & 1u << c->host) == 0);
    REQUIRE(i->fate == FATE_QUEUED); /* so it is in no other connection */
    REQUIRE(i->destination == c->destination);
    REQUIRE(++c->taken <= m->limits.messages_per_connection_max);
    if (i->tries == 0 && !i->was_returned) {
        REQUIRE(n > m->last_fresh);
        m->last_fresh = n;
    }
    i->fate = FATE_ACTIVE;
    c->item = i;
    c->phase = PHASE_SENDING;
    c->event_ms = w->now_ms + 1 + draw(w, chance(w, 5) ? 300000 : 500);
}

static void expire(struct world *w, const struct delivery_action *a)
{
    struct model_item *i = CONTAINER_OF(a->item, struct model_item, item);
    const struct delivery_profile *p = &w->destinations[i->destination].limits.profile;
    /* The time of arrival is kept in tenths of a second, rounded up. */
    uint64_t deadline_ms = (i->arrival_ms + 99) / 100 * 100 + p->age_ms_max;

    REQUIRE(i->fate == FATE_QUEUED);
    i->fate = FATE_EXPIRED;
    if (a->expiry == DELIVERY_EXPIRY_AGE) {
        REQUIRE(w->now_ms >= deadline_ms);
        REQUIRE(w->now_ms == (deadline_ms > i->result_ms ? deadline_ms : i->result_ms));
    } else if (a->expiry == DELIVERY_EXPIRY_RETRIES) {
        struct delivery_wait wait;

        delivery_item_explain(&i->item, w->now_ms, &wait);
        REQUIRE(wait.reason == DELIVERY_WAIT_NOTHING);
        REQUIRE(wait.attempts > p->retries_max && wait.attempts >= i->tries);
    }
}

static void warn(struct world *w, const struct delivery_action *a)
{
    struct model_item *i = CONTAINER_OF(a->item, struct model_item, item);
    const struct delivery_profile *p = &w->destinations[i->destination].limits.profile;
    struct delivery_wait wait;

    REQUIRE(i->fate == FATE_QUEUED);
    delivery_item_explain(&i->item, w->now_ms, &wait);
    REQUIRE(wait.attempts >= DELIVERY_WARNING_ATTEMPTS && wait.expires_ms > w->now_ms);
    /* The scheduler keeps seconds. */
    REQUIRE(i->warnings == 0 || w->now_ms + 1000 >= i->warned_ms + p->warning_interval_ms);
    REQUIRE(++i->warnings <= p->warnings_max);
    i->warned_ms = w->now_ms;
    w->warnings++;
}

static void act(struct world *w)
{
    struct delivery_action a;

    /* Far more than any world of this size needs at one moment: it must come to rest. */
    for (unsigned i = 0; delivery_scheduler_next_due(w->s) <= w->now_ms; i++) {
        REQUIRE(i < 20000);
        if (!delivery_scheduler_next_action(w->s, w->now_ms, &a))
            continue;
        switch (a.kind) {
        case DELIVERY_ACTION_RESOLVE: ask_resolver(w, a.destination); break;
        case DELIVERY_ACTION_CONNECT: start_connection(w, &a); break;
        case DELIVERY_ACTION_TAKE:
            take(w, CONTAINER_OF(a.connection, struct model_connection, connection));
            break;
        case DELIVERY_ACTION_EXPIRE: expire(w, &a); break;
        case DELIVERY_ACTION_WARN: warn(w, &a); break;
        case DELIVERY_ACTION_FORGET:
            REQUIRE(a.attachment == &w->destinations[number_of(w, a.destination)].attachment);
            w->destinations[number_of(w, a.destination)].is_attached = false;
            break;
        }
    }
}

static void connect_ends(struct world *w, struct model_connection *c)
{
    struct model_destination *m = &w->destinations[c->destination];

    if (chance(w, m->health[c->host]) && open_at(w, c->destination, c->host) < m->room[c->host]) {
        c->phase = PHASE_SENDING;
        delivery_connection_opened(w->s, w->now_ms, &c->connection);
        take(w, c);
        return;
    }
    c->phase = PHASE_FREE;
    m->connections--;
    delivery_connection_failed(w->s, w->now_ms, &c->connection,
                               DELIVERY_FAILURE_REFUSED + (unsigned)draw(w, 11),
                               draw(w, UINT64_MAX));
}

static void sending_ends(struct world *w, struct model_connection *c)
{
    struct model_item *i = c->item;
    bool is_lost = !chance(w, w->destinations[c->destination].health[c->host]);

    c->item = NULL;
    i->result_ms = w->now_ms;
    i->fate = FATE_QUEUED;
    if (chance(w, 20) && delivery_item_try_next(w->s, w->now_ms, &c->connection)) {
        i->was_returned = true;
        i->tried |= 1u << c->host;
        w->diverted++;
    } else if (chance(w, 5)) {
        i->was_returned = true;
        delivery_item_returned(w->s, w->now_ms, &c->connection, draw(w, UINT64_MAX));
        is_lost = true;
    } else if (chance(w, 5)) {
        i->was_returned = true;
        i->tried = 0;
        delivery_item_postponed(w->s, w->now_ms, &c->connection);
        close_connection(w, c, DELIVERY_FAILURE_LOCAL);
        return;
    } else if (is_lost || chance(w, 10)) {
        i->tries++;
        delivery_item_deferred(w->s, w->now_ms, &c->connection, 1, draw(w, UINT64_MAX));
    } else {
        i->fate = FATE_DONE;
        delivery_item_done(w->s, w->now_ms, &c->connection);
    }
    if (is_lost)
        close_connection(w, c, DELIVERY_FAILURE_LOST);
    else
        take(w, c);
}

static void meddle(struct world *w)
{
    struct model_destination *m = &w->destinations[draw(w, w->destinations_count)];
    struct delivery_destination *d = delivery_scheduler_find(w->s, slice_from(m->domain));
    struct model_item *i = &w->items[draw(w, w->items_count)];

    if (chance(w, 20))
        change_health(w, m);
    if (d != NULL && chance(w, 3))
        delivery_destination_flush(w->s, w->now_ms, d);
    if (chance(w, 1) && delivery_item_remove(w->s, w->now_ms, &i->item)) {
        REQUIRE(i->fate == FATE_QUEUED);
        i->fate = FATE_REMOVED;
    }
    if (d != NULL && chance(w, 2)) {
        /* The profile stays, because it is what expire() judges by. */
        m->limits.connections_max = 1 + (unsigned)draw(w, 8);
        m->limits.messages_per_connection_max = 1 + (unsigned)draw(w, 10);
        delivery_destination_set_limits(w->s, w->now_ms, d, &m->limits);
    }
}

/* At rest, whoever waits can say what for. */
static void check_explanations(struct world *w)
{
    size_t queued = 0;

    for (size_t n = 0; n < w->born; n++) {
        struct model_item *i = &w->items[n];
        const struct model_destination *m = &w->destinations[i->destination];
        struct delivery_wait wait;

        delivery_item_explain(&i->item, w->now_ms, &wait);
        if (i->fate == FATE_ACTIVE)
            REQUIRE(wait.reason == DELIVERY_WAIT_DELIVERING);
        queued += i->fate == FATE_QUEUED || i->fate == FATE_ACTIVE;
        if (i->fate != FATE_QUEUED)
            continue;
        REQUIRE(wait.expires_ms > w->now_ms);
        REQUIRE(wait.until_ms > w->now_ms);
        REQUIRE(wait.reason != DELIVERY_WAIT_NOTHING && wait.reason != DELIVERY_WAIT_EXPIRED);
        if (wait.reason == DELIVERY_WAIT_RESOLVING)
            REQUIRE(m->resolving != NULL);
        if (wait.reason == DELIVERY_WAIT_TURN || wait.reason == DELIVERY_WAIT_CONNECTING)
            REQUIRE(m->connections > 0);
    }
    REQUIRE(delivery_scheduler_items(w->s) == queued);
}

static void run_events(struct world *w)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct model_connection *c = &w->connections[i];

        if (c->phase == PHASE_FREE || c->event_ms > w->now_ms)
            continue;
        if (c->phase == PHASE_CONNECTING)
            connect_ends(w, c);
        else if (c->phase == PHASE_SENDING)
            sending_ends(w, c);
        else
            close_connection(w, c, DELIVERY_FAILURE_NONE);
    }
    for (unsigned i = 0; i < w->destinations_count; i++)
        if (w->destinations[i].resolving != NULL && w->destinations[i].resolve_ms <= w->now_ms)
            resolve(w, i);
}

static uint64_t next_event_ms(const struct world *w)
{
    uint64_t next = delivery_scheduler_next_due(w->s);

    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (w->connections[i].phase != PHASE_FREE && w->connections[i].event_ms < next)
            next = w->connections[i].event_ms;
    for (unsigned i = 0; i < w->destinations_count; i++)
        if (w->destinations[i].resolving != NULL && w->destinations[i].resolve_ms < next)
            next = w->destinations[i].resolve_ms;
    return next;
}

static void make_world(struct world *w, uint64_t seed)
{
    *w = (struct world){ .seed = seed, .random = seed, .now_ms = 1000 };
    REQUIRE(delivery_scheduler_create(&(struct hash_seed){ seed, 1 }, &w->s) == STATUS_OK);
    w->destinations_count = 1 + (unsigned)draw(w, DESTINATIONS_MAX);
    for (unsigned i = 0; i < w->destinations_count; i++) {
        struct model_destination *m = &w->destinations[i];

        (void)snprintf(m->domain, sizeof m->domain, "d%u.example", i);
        m->hosts_count = 1 + (unsigned)draw(w, HOSTS_MAX);
        pick_limits(w, &m->limits);
        change_health(w, m);
    }
    w->items_count = 1 + draw(w, ITEMS_MAX);
    for (size_t i = 0; i < w->items_count; i++)
        w->items[i].destination = (unsigned)draw(w, w->destinations_count);
}

/* Runs until nothing is left to happen. */
static void live(struct world *w)
{
    uint64_t arrival_ms = w->now_ms;

    for (unsigned step = 0;; step++) {
        uint64_t next;

        REQUIRE(step < 1000000);
        while (w->born < w->items_count && arrival_ms <= w->now_ms) {
            add_item(w);
            if (!chance(w, 80)) /* bursts */
                arrival_ms += draw(w, 2 * ARRIVALS_MS_MAX / w->items_count + 1);
        }
        act(w);
        if (step % 16 == 0)
            check_explanations(w);
        next = next_event_ms(w);
        if (w->born < w->items_count && arrival_ms < next)
            next = arrival_ms;
        if (next == DELIVERY_WAIT_FOREVER)
            return;
        REQUIRE(next > w->now_ms);
        w->now_ms = next;
        run_events(w);
        if (w->now_ms < 2 * ARRIVALS_MS_MAX)
            meddle(w);
        else
            w->is_last_phase = true;
    }
}

static void every_item_ends_delivered_or_given_up_whatever_the_world_does(void **unused)
{
    const char *only = getenv("POSTERN_TEST_SEED");
    uint64_t first = only != NULL ? strtoull(only, NULL, 10) : 1;
    struct world *w = malloc(sizeof *w);
    size_t fates[FATE_REMOVED + 1] = { 0 }, warnings = 0, diverted = 0;

    (void)unused;
    assert_non_null(w);
    for (uint64_t seed = first; seed < first + (only != NULL ? 1 : RUNS_MAX); seed++) {
        make_world(w, seed);
        live(w);
        for (size_t i = 0; i < w->items_count; i++) {
            REQUIRE(w->items[i].fate >= FATE_DONE);
            fates[w->items[i].fate]++;
        }
        warnings += w->warnings;
        diverted += w->diverted;
        REQUIRE(delivery_scheduler_items(w->s) == 0);
        REQUIRE(delivery_scheduler_connections(w->s) == 0);
        REQUIRE(delivery_scheduler_walk(w->s, NULL) == NULL); /* all destinations forgotten */
        delivery_scheduler_destroy(w->s);
    }
    print_message(
        "delivered %zu, given up %zu, removed %zu, warnings %zu, sent to another host %zu\n",
        fates[FATE_DONE], fates[FATE_EXPIRED], fates[FATE_REMOVED], warnings, diverted);
    assert_true(only != NULL || fates[FATE_DONE] > fates[FATE_EXPIRED]);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_ends_delivered_or_given_up_whatever_the_world_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
