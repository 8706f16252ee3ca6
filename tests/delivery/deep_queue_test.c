/* A deep queue: who waits longest goes first, and no destination waits for the backlog of another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "delivery/scheduler.h"

#define DESTINATIONS 100u
#define EACH         1000u
#define DEEP         100000u /* in front of one of them, besides */

struct mail {
    struct delivery_item item;
    unsigned destination;
    unsigned number; /* in its destination, by arrival */
};

static struct delivery_limits limits = {
    .connections_max = 1,
    .messages_per_connection_max = 1u << 30,
    .profile = { .retry_initial_ms = 60000,
                 .retry_ms_max = 60000,
                 .age_ms_max = 86400000,
                 .retries_max = 10 },
};

struct world {
    struct delivery_scheduler *s;
    struct mail *mails;
    struct delivery_connection connections[DESTINATIONS];
    unsigned connections_count;
    unsigned begun[DESTINATIONS];
};

static void add(struct world *w, uint64_t now_ms, struct mail *m, unsigned destination,
                unsigned number)
{
    char name[32];
    struct delivery_arrival arrival = { .limits = &limits, .recipients = 1 };

    (void)snprintf(name, sizeof(name), "d%u.example", destination);
    arrival.domain = slice_from(name);
    m->destination = destination;
    m->number = number;
    assert_int_equal(delivery_scheduler_add(w->s, now_ms, &arrival, &m->item), STATUS_OK);
}

/* One connection to each destination is opened. */
static void connect_all(struct world *w, uint64_t now_ms)
{
    const struct delivery_endpoint endpoint = { .address = { .port = 25 } };
    struct delivery_action a;

    while (delivery_scheduler_next_due(w->s) <= now_ms) {
        if (!delivery_scheduler_next_action(w->s, now_ms, &a))
            continue;
        if (a.kind == DELIVERY_ACTION_RESOLVE) {
            delivery_destination_resolved(w->s, now_ms, a.destination, &endpoint, 1, 86400000, 1);
        } else if (a.kind == DELIVERY_ACTION_CONNECT) {
            struct delivery_connection *c = &w->connections[w->connections_count++];

            delivery_connection_start(w->s, now_ms, c, &a);
            delivery_connection_opened(w->s, now_ms, c);
        }
    }
}

/* The next of this connection's destination; its number. */
static struct mail *take(struct world *w, uint64_t now_ms, struct delivery_connection *c)
{
    struct delivery_item *item = NULL;

    if (delivery_connection_take(w->s, now_ms, c, &item) != DELIVERY_TAKE_ITEM)
        return NULL;
    return CONTAINER_OF(item, struct mail, item);
}

static void each_destination_gets_its_mail_in_order_whatever_waits_for_others(void **state)
{
    const size_t count = DESTINATIONS * EACH + DEEP;
    struct world w = { .mails = calloc(count, sizeof(struct mail)) };
    static const struct hash_seed seed = { 1, 2 };
    unsigned in_order[DESTINATIONS] = { 0 };
    size_t n = 0;

    (void)state;
    assert_non_null(w.mails);
    assert_int_equal(delivery_scheduler_create(&seed, &w.s), STATUS_OK);
    for (unsigned i = 0; i < DEEP; i++)
        add(&w, 0, &w.mails[n++], 0, i);
    for (unsigned i = 0; i < EACH; i++)
        for (unsigned d = 0; d < DESTINATIONS; d++)
            add(&w, 0, &w.mails[n++], d, d == 0 ? DEEP + i : i);
    connect_all(&w, 0);
    assert_int_equal(w.connections_count, DESTINATIONS);
    /* Every connection is served in turn: all but the deep one are through after EACH rounds. */
    for (unsigned round = 0; round < EACH; round++)
        for (unsigned i = 0; i < w.connections_count; i++) {
            struct mail *m = take(&w, 0, &w.connections[i]);

            assert_non_null(m);
            assert_int_equal(m->number, in_order[m->destination]);
            in_order[m->destination]++;
            delivery_item_done(w.s, 0, &w.connections[i]);
        }
    assert_int_equal(delivery_scheduler_items(w.s), DEEP);
    while (delivery_scheduler_take_any(w.s, 0) != NULL)
        ;
    for (unsigned i = 0; i < w.connections_count; i++)
        delivery_connection_closed(w.s, 0, &w.connections[i], DELIVERY_FAILURE_NONE, 1);
    delivery_scheduler_destroy(w.s);
    free(w.mails);
}

/* One of ten destinations has 99 % of all mail, and had it first; each connection delivers one
 * message in a millisecond. */
static void a_backlog_of_nearly_all_mail_is_before_no_first_delivery_of_others(void **state)
{
    enum { OTHERS = 9, FEW = 100, MOST = 99 * OTHERS * FEW };
    struct world w = { .mails = calloc(MOST + OTHERS * FEW, sizeof(struct mail)) };
    static const struct hash_seed seed = { 1, 2 };
    unsigned delivered[1 + OTHERS] = { 0 };
    size_t left = OTHERS * FEW, n = 0;
    uint64_t now_ms = 0;

    (void)state;
    assert_non_null(w.mails);
    limits.connections_max = DESTINATIONS / (1 + OTHERS);
    assert_int_equal(delivery_scheduler_create(&seed, &w.s), STATUS_OK);
    for (unsigned i = 0; i < MOST; i++)
        add(&w, 0, &w.mails[n++], 0, i);
    for (unsigned i = 0; i < FEW; i++)
        for (unsigned d = 1; d <= OTHERS; d++)
            add(&w, 0, &w.mails[n++], d, i);
    for (; left > 0; now_ms++) {
        connect_all(&w, now_ms);
        for (unsigned i = 0; i < w.connections_count; i++) {
            struct mail *m = take(&w, now_ms, &w.connections[i]);

            if (m == NULL)
                continue; /* nothing is left for it */
            delivered[m->destination]++;
            left -= m->destination > 0;
            delivery_item_done(w.s, now_ms, &w.connections[i]);
        }
        for (unsigned d = 0; now_ms == 0 && d <= OTHERS; d++)
            assert_true(delivered[d] > 0);
        for (unsigned d = 1; d <= OTHERS; d++)
            assert_true(delivered[d] == FEW || delivered[d] > now_ms);
    }
    assert_in_range(delivered[0], 1, now_ms * limits.connections_max);
    limits.connections_max = 1;
    while (delivery_scheduler_take_any(w.s, now_ms) != NULL)
        ;
    for (unsigned i = 0; i < w.connections_count; i++)
        delivery_connection_closed(w.s, now_ms, &w.connections[i], DELIVERY_FAILURE_NONE, 1);
    delivery_scheduler_destroy(w.s);
    free(w.mails);
}

/* What was deferred comes again when its time has come, the first first, and behind what was ready
 * before it: fresh mail and old mail take turns by when they became due. */
static void what_was_deferred_comes_again_behind_what_is_ready(void **state)
{
    struct world w = { .mails = calloc(2 * DEEP, sizeof(struct mail)) };
    static const struct hash_seed seed = { 1, 2 };
    struct mail *m;

    (void)state;
    assert_non_null(w.mails);
    assert_int_equal(delivery_scheduler_create(&seed, &w.s), STATUS_OK);
    for (unsigned i = 0; i < DEEP; i++)
        add(&w, 0, &w.mails[i], 0, i);
    connect_all(&w, 0);
    for (unsigned i = 0; i < DEEP; i++) {
        uint64_t now_ms = i * 10;

        m = take(&w, now_ms, &w.connections[0]);
        assert_int_equal(m->number, i);
        delivery_item_deferred(w.s, now_ms, &w.connections[0], 1, 0);
        if (now_ms >= 59000) /* before the first of them is due again */
            break;
    }
    /* Meanwhile all of them have had one try, or wait in the order of their arrival. */
    m = take(&w, 59000, &w.connections[0]);
    assert_non_null(m);
    assert_int_equal(m->number, 5901);
    delivery_item_done(w.s, 59000, &w.connections[0]);
    /* Long after: those that were ready all the time are served first, then the deferred ones. */
    connect_all(&w, 200000);
    for (unsigned i = 5902; i < DEEP; i++) {
        m = take(&w, 200000, &w.connections[0]);
        assert_non_null(m);
        assert_int_equal(m->number, i);
        delivery_item_done(w.s, 200000, &w.connections[0]);
    }
    for (unsigned i = 0, before = 0; i <= 5900; i++) {
        connect_all(&w, 200000);
        m = take(&w, 200000, &w.connections[0]);
        assert_non_null(m);
        assert_true(i == 0 || m->number > before);
        before = m->number;
        delivery_item_done(w.s, 200000, &w.connections[0]);
    }
    assert_int_equal(delivery_scheduler_items(w.s), 0);
    delivery_connection_closed(w.s, 200000, &w.connections[0], DELIVERY_FAILURE_NONE, 1);
    delivery_scheduler_destroy(w.s);
    free(w.mails);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_destination_gets_its_mail_in_order_whatever_waits_for_others),
        cmocka_unit_test(a_backlog_of_nearly_all_mail_is_before_no_first_delivery_of_others),
        cmocka_unit_test(what_was_deferred_comes_again_behind_what_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
