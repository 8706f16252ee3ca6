/* Hosts that hang or break off, in virtual time: how often they are asked, and that no other
 * destination notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "delivery/scheduler.h"

#define HANG_MS         600000u /* what we wait for the reply to the final dot */
#define PEERS_MAX       4
#define ITEMS_MAX       6000
#define CONNECTIONS_MAX 600
#define EVENTS_MAX      40000
#define HOUR_MS         3600000ull

enum mode {
    WELL,
    HANGS,       /* after the final dot of each message */
    HANGS_LATER, /* after that of the second message of each connection */
    BREAKS,      /* in place of the reply to the first message */
    GREETS_ONE   /* and says nothing to it; whoever else connects waits for the greeting */
};

struct peer {
    char domain[16];
    enum mode mode;
    uint64_t random; /* each has its own, so that none depends on what another does */
    uint64_t arrival_random;
    uint64_t arrival_ms;
    unsigned arrivals; /* left */
    unsigned connections, connections_most, connects, handed, done;
};

struct model_connection {
    struct delivery_connection connection;
    enum { FREE, CONNECTING, SENDING, IDLE } phase;
    uint64_t event_ms;
    struct peer *peer;
    unsigned taken;
};

struct event {
    uint64_t ms;
    unsigned peer;
    unsigned what;
};

struct world {
    struct delivery_scheduler *s;
    uint64_t now_ms;
    unsigned peers_count;
    struct peer peers[PEERS_MAX];
    struct model_connection connections[CONNECTIONS_MAX];
    unsigned items_count;
    struct delivery_item items[ITEMS_MAX];
    unsigned events_count;
    struct event events[EVENTS_MAX];
};

static const struct delivery_limits limits = {
    .connections_max = 500,
    .messages_per_connection_max = 50,
    .profile = { .retry_initial_ms = 60000,
                 .retry_ms_max = 3600000,
                 .age_ms_max = 259200000,
                 .retries_max = 100 },
};

static uint64_t draw(struct peer *p, uint64_t below)
{
    p->random += 0x9e3779b97f4a7c15ull;
    return hash_number(p->random) % below;
}

static struct peer *peer_of(struct world *w, const struct delivery_destination *d)
{
    return &w->peers[delivery_destination_domain(d).data[1] - '0'];
}

static void note(struct world *w, const struct peer *p, unsigned what)
{
    assert_true(w->events_count < EVENTS_MAX);
    w->events[w->events_count++] = (struct event){ w->now_ms, (unsigned)(p - w->peers), what };
}

static void close_connection(struct world *w, struct model_connection *c, enum delivery_failure why)
{
    c->phase = FREE;
    c->peer->connections--;
    delivery_connection_closed(w->s, w->now_ms, &c->connection, why, draw(c->peer, UINT64_MAX));
}

static void take(struct world *w, struct model_connection *c)
{
    struct peer *p = c->peer;
    struct delivery_item *item;
    bool hangs;

    switch (delivery_connection_take(w->s, w->now_ms, &c->connection, &item)) {
    case DELIVERY_TAKE_CLOSE: close_connection(w, c, DELIVERY_FAILURE_NONE); return;
    case DELIVERY_TAKE_IDLE:
        c->phase = IDLE;
        c->event_ms = w->now_ms + 5000;
        return;
    case DELIVERY_TAKE_ITEM: break;
    }
    p->handed++;
    c->taken++;
    note(w, p, (unsigned)(item - w->items));
    hangs = p->mode == HANGS || p->mode == GREETS_ONE || (p->mode == HANGS_LATER && c->taken > 1);
    c->phase = SENDING;
    c->event_ms = w->now_ms + (hangs ? HANG_MS : 1 + draw(p, 200));
}

static void sent(struct world *w, struct model_connection *c)
{
    struct peer *p = c->peer;

    if (p->mode == WELL || (p->mode == HANGS_LATER && c->taken == 1)) {
        delivery_item_done(w->s, w->now_ms, &c->connection);
        p->done++;
        take(w, c);
        return;
    }
    delivery_item_deferred(w->s, w->now_ms, &c->connection, 1, draw(p, UINT64_MAX));
    close_connection(w, c, p->mode == BREAKS ? DELIVERY_FAILURE_LOST : DELIVERY_FAILURE_TIMEOUT);
}

static void connected(struct world *w, struct model_connection *c)
{
    if (c->peer->mode == GREETS_ONE && c->peer->handed > 0) {
        c->phase = FREE;
        c->peer->connections--;
        delivery_connection_failed(w->s, w->now_ms, &c->connection, DELIVERY_FAILURE_TIMEOUT,
                                   draw(c->peer, UINT64_MAX));
        return;
    }
    delivery_connection_opened(w->s, w->now_ms, &c->connection);
    take(w, c);
}

static void start_connection(struct world *w, const struct delivery_action *a)
{
    struct peer *p = peer_of(w, a->destination);
    struct model_connection *c = w->connections;
    uint64_t greeting_ms = p->mode == GREETS_ONE && p->handed > 0 ? 300000 : 1 + draw(p, 50);

    while (c->phase != FREE)
        assert_true(++c < w->connections + CONNECTIONS_MAX);
    *c = (struct model_connection){ .phase = CONNECTING,
                                    .peer = p,
                                    .event_ms = w->now_ms + greeting_ms };
    p->connects++;
    p->connections++;
    if (p->connections > p->connections_most)
        p->connections_most = p->connections;
    note(w, p, UINT32_MAX);
    delivery_connection_start(w->s, w->now_ms, &c->connection, a);
}

static void act(struct world *w)
{
    static const struct delivery_endpoint endpoint = { .preference = 10 };
    struct delivery_action a;

    while (delivery_scheduler_next_due(w->s) <= w->now_ms) {
        if (!delivery_scheduler_next_action(w->s, w->now_ms, &a))
            continue;
        switch (a.kind) {
        case DELIVERY_ACTION_RESOLVE:
            delivery_destination_resolved(w->s, w->now_ms, a.destination, &endpoint, 1, HOUR_MS, 1);
            break;
        case DELIVERY_ACTION_CONNECT: start_connection(w, &a); break;
        case DELIVERY_ACTION_TAKE:
            take(w, CONTAINER_OF(a.connection, struct model_connection, connection));
            break;
        case DELIVERY_ACTION_EXPIRE:
        case DELIVERY_ACTION_WARN: fail(); break;
        case DELIVERY_ACTION_FORGET: break;
        }
    }
}

static void arrive(struct world *w, struct peer *p)
{
    struct delivery_arrival arrival = { .domain = slice_from(p->domain), .limits = &limits };

    for (; p->arrivals > 0 && p->arrival_ms <= w->now_ms; p->arrivals--) {
        assert_true(w->items_count < ITEMS_MAX);
        assert_int_equal(
            delivery_scheduler_add(w->s, w->now_ms, &arrival, &w->items[w->items_count++]),
            STATUS_OK);
        p->arrival_random += 0x9e3779b97f4a7c15ull;
        p->arrival_ms += hash_number(p->arrival_random) % 4000;
    }
}

static void run(struct world *w, uint64_t end_ms)
{
    while (w->now_ms < end_ms) {
        uint64_t next_ms = end_ms;

        for (unsigned i = 0; i < w->peers_count; i++)
            arrive(w, &w->peers[i]);
        act(w);
        for (unsigned i = 0; i < w->peers_count; i++)
            if (w->peers[i].arrivals > 0 && w->peers[i].arrival_ms < next_ms)
                next_ms = w->peers[i].arrival_ms;
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
            if (w->connections[i].phase != FREE && w->connections[i].event_ms < next_ms)
                next_ms = w->connections[i].event_ms;
        if (delivery_scheduler_next_due(w->s) < next_ms)
            next_ms = delivery_scheduler_next_due(w->s);
        assert_true(next_ms > w->now_ms);
        w->now_ms = next_ms;
        for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
            struct model_connection *c = &w->connections[i];

            if (c->phase == FREE || c->event_ms > w->now_ms)
                continue;
            if (c->phase == CONNECTING)
                connected(w, c);
            else if (c->phase == SENDING)
                sent(w, c);
            else
                close_connection(w, c, DELIVERY_FAILURE_NONE);
        }
    }
}

static struct world *make(unsigned peers_count, enum mode first)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(delivery_scheduler_create(&(struct hash_seed){ 1, 2 }, &w->s), STATUS_OK);
    w->peers_count = peers_count;
    for (unsigned i = 0; i < peers_count; i++) {
        w->peers[i] = (struct peer){ .domain = { 'd', (char)('0' + i), '.', 'x', 0 },
                                     .mode = i == 0 ? first : WELL,
                                     .random = 1000 * i,
                                     .arrival_random = 500 + 1000 * i };
    }
    return w;
}

static void finish(struct world *w)
{
    for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
        struct model_connection *c = &w->connections[i];

        if (c->phase == CONNECTING) {
            delivery_connection_failed(w->s, w->now_ms, &c->connection, DELIVERY_FAILURE_LOCAL, 1);
        } else if (c->phase != FREE) {
            if (c->phase == SENDING)
                delivery_item_done(w->s, w->now_ms, &c->connection);
            close_connection(w, c, DELIVERY_FAILURE_NONE);
        }
    }
    while (delivery_scheduler_take_any(w->s, w->now_ms) != NULL)
        continue;
    delivery_scheduler_destroy(w->s);
    free(w);
}

static void a_host_that_hangs_or_breaks_off_is_not_hammered(void **unused)
{
    /* A backlog of a thousand, for six hours. */
    static const struct {
        enum mode mode;
        unsigned connects_max, connections_max, handed_max, done_min;
    } cases[] = {
        { WELL, 110, 101, 1000, 1000 },
        { HANGS, 30, 12, 30, 0 },
        { BREAKS, 15, 5, 15, 0 },
        { GREETS_ONE, 20, 6, 2, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = make(1, cases[i].mode);
        struct peer *p = &w->peers[0];

        for (p->arrivals = 1000; p->arrivals > 0; p->arrival_ms = 0)
            arrive(w, p);
        run(w, 6 * HOUR_MS);
        print_message("mode %d: %u connects, %u at once, %u handed over, %u done\n",
                      (int)cases[i].mode, p->connects, p->connections_most, p->handed, p->done);
        assert_in_range(p->connects, 1, cases[i].connects_max);
        assert_in_range(p->connections_most, 1, cases[i].connections_max);
        assert_in_range(p->handed, 1, cases[i].handed_max);
        assert_true(p->done >= cases[i].done_min);
        finish(w);
    }
}

static void one_message_that_makes_a_host_hang_leaves_the_others_their_way(void **unused)
{
    struct world *w = make(1, HANGS_LATER);
    struct peer *p = &w->peers[0];

    (void)unused;
    for (p->arrivals = 1000; p->arrivals > 0; p->arrival_ms = 0)
        arrive(w, p);
    run(w, 24 * HOUR_MS);
    /* Each connection gets one through; those that hang are tried again and get through, too. */
    assert_true(p->done > 950);
    finish(w);
}

static void a_destination_that_stalls_changes_no_other_ones_schedule(void **unused)
{
    static const enum mode modes[] = { WELL, HANGS, HANGS_LATER, BREAKS, GREETS_ONE };
    struct event *expected = NULL;
    unsigned expected_count = 0;

    (void)unused;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct world *w = make(PEERS_MAX, modes[m]);
        unsigned count = 0;

        for (unsigned i = 0; i < PEERS_MAX; i++)
            w->peers[i].arrivals = i == 0 ? 2000 : 500;
        run(w, 2 * HOUR_MS);
        for (unsigned i = 0; i < w->events_count; i++)
            if (w->events[i].peer > 0)
                w->events[count++] = w->events[i];
        for (unsigned i = 1; i < PEERS_MAX; i++)
            assert_int_equal(w->peers[i].done, 500);
        if (expected == NULL) {
            expected = malloc(count * sizeof *expected);
            assert_non_null(expected);
            memcpy(expected, w->events, count * sizeof *expected);
            expected_count = count;
        }
        assert_int_equal(count, expected_count);
        for (unsigned p = 1; p < PEERS_MAX; p++) {
            unsigned a = 0, b = 0;

            for (;; a++, b++) {
                while (a < count && w->events[a].peer != p)
                    a++;
                while (b < count && expected[b].peer != p)
                    b++;
                if (a == count || b == count)
                    break;
                assert_int_equal(w->events[a].ms, expected[b].ms);
                assert_int_equal(w->events[a].what, expected[b].what);
            }
            assert_int_equal(a, b);
        }
        finish(w);
    }
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_hangs_or_breaks_off_is_not_hammered),
        cmocka_unit_test(one_message_that_makes_a_host_hang_leaves_the_others_their_way),
        cmocka_unit_test(a_destination_that_stalls_changes_no_other_ones_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
