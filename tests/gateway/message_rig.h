/* tests/gateway/message_rig.h - messages at a home that is no more than a worker with a loop: as
 * recovery makes them, since no client is there.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/message_recover.h"
#include "gateway/worker.h"

static struct config_loaded config;
static struct gateway_generation generation = { .config = &config };
static struct gateway_view view = { .generation = &generation, .users_count = 1 };
static struct gateway_process process;
static struct gateway_worker worker;
static struct gateway_lanes kept_lanes; /* of a recovery */

static inline int set_up(void **state)
{
    struct engine_loop_options options = { .requests_max = 64 };

    (void)state;
    config.settings.hostname = "gw.example";
    config.settings.memory_message_bytes = 1u << 20;
    process = (struct gateway_process){ .workers = &worker, .workers_count = 1 };
    worker = (struct gateway_worker){ .process = &process,
                                      .view = &view,
                                      .state = GATEWAY_WORKER_DRAINING };
    slim_list_init(&worker.messages);
    assert_int_equal(gateway_lanes_init(&worker.lanes, &process), STATUS_OK);
    assert_int_equal(gateway_lanes_init(&kept_lanes, &process), STATUS_OK);
    gateway_shelf_init(&worker.shelf, &worker);
    observe_counters_init(&worker.counters);
    return engine_loop_create(&options, &worker.loop, NULL) == STATUS_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    struct slim_node *node;

    (void)state;
    while ((node = slim_list_take_first(&worker.messages)) != NULL ||
           (node = slim_list_take_first(&worker.shelf.messages)) != NULL)
        gateway_message_destroy(CONTAINER_OF(node, struct gateway_message, node));
    assert_int_equal(atomic_load(&process.message_bytes), 0);
    assert_int_equal(atomic_load(&process.queue_bytes), 0);
    assert_int_equal(worker.lanes.by_name.nodes_count, 0);
    gateway_lanes_finish(&worker.lanes);
    gateway_lanes_finish(&kept_lanes);
    engine_loop_destroy(worker.loop);
    return 0;
}

/* As recovery does it; takes spool. results may be NULL. */
static inline struct gateway_message *recover(struct spool_message *spool,
                                              const struct spool_result *results)
{
    const struct gateway_message_keeping keeping = {
        .process = &process,
        .lanes = &kept_lanes,
        .hostname = SLICE("gw.example"),
        .message_bytes = config.settings.memory_message_bytes,
    };
    struct spool_recovered_message found = {
        .mid = spool_message_mid(spool),
        .recipients_count = spool_message_recipients_count(spool),
    };
    struct gateway_message *m;

    assert_int_equal(gateway_message_keep(&keeping, &found, spool, &m), STATUS_OK);
    if (results != NULL)
        gateway_message_recall(m, results);
    assert_int_equal(gateway_message_settle(m, &worker, NULL), STATUS_OK);
    spool_message_destroy(spool);
    return m;
}

/* A recovered message, started. results may be NULL. */
static inline struct gateway_message *start(const char *const *recipients, unsigned count,
                                            struct spool_result *results)
{
    struct spool_envelope envelope = { .mid = 7, .sender = SLICE("a@b.example") };
    struct spool_draft draft;
    struct gateway_message *m;

    spool_draft_init(&draft);
    assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(spool_draft_add_recipient(&draft, slice_from(recipients[i])), STATUS_OK);
    m = recover(spool_draft_complete(&draft), results);
    gateway_message_start(m);
    return m;
}

static inline void poked(struct engine_timer *timer)
{
    (void)timer;
}

/* Turns of the loop that do not wait. */
static inline void poke(unsigned turns)
{
    struct engine_timer timer = { 0 };

    for (unsigned i = 0; i < turns; i++) {
        engine_timer_start(worker.loop, &timer, 1, poked);
        engine_loop_turn(worker.loop);
    }
    engine_timer_stop(worker.loop, &timer);
}
