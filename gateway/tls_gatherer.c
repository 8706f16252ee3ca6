#include "gateway/tls_gatherer.h"

#include "gateway/tls_report_lookup.h"
#include "gateway/tls_reports.h"
#include "gateway/worker.h"

static bool is_on(const struct gateway_tls_gatherer *g)
{
    return gateway_view_settings(g->worker->view)->tls_reports.send;
}

static void give(struct gateway_tls_gatherer *g)
{
    struct gateway_tls_batch *batch = g->batch;

    g->batch = NULL;
    if (batch == NULL)
        return;
    if (is_on(g))
        gateway_tls_reports_take(g->worker->process->tls_reports, batch);
    else
        gateway_tls_batch_destroy(batch);
}

/* Unless the keeper is behind. */
static void offer(struct gateway_tls_gatherer *g)
{
    if (gateway_tls_reports_has_room(g->worker->process->tls_reports))
        give(g);
}

static void on_timer(struct engine_timer *timer)
{
    struct gateway_tls_gatherer *g = CONTAINER_OF(timer, struct gateway_tls_gatherer, timer);

    offer(g);
    if (g->batch != NULL)
        engine_timer_start(g->worker->loop, &g->timer, GATEWAY_TLS_GATHER_MS, on_timer);
}

static bool is_half_full(const struct observe_tls_results *r)
{
    return r->policies_count >= OBSERVE_TLS_POLICIES_MAX / 2 ||
           r->arena.bytes_used >= OBSERVE_TLS_BYTES_MAX / 2;
}

/* The one of this day; NULL: no memory, or the keeper does not take the one of the day before. */
static struct gateway_tls_batch *batch_of(struct gateway_tls_gatherer *g, time_t day_s)
{
    if (g->batch != NULL && (g->batch->day_s != day_s || is_half_full(&g->batch->results)))
        offer(g);
    if (g->batch != NULL)
        return g->batch->day_s == day_s ? g->batch : NULL;
    g->batch = gateway_tls_batch_create(day_s, &g->worker->process->seed);
    if (g->batch != NULL)
        engine_timer_start(g->worker->loop, &g->timer, GATEWAY_TLS_GATHER_MS, on_timer);
    return g->batch;
}

void gateway_tls_report_session(struct gateway_worker *worker,
                                const struct observe_tls_result *result)
{
    struct gateway_tls_gatherer *g = &worker->tls_gatherer;
    struct gateway_tls_batch *batch;

    if (!is_on(g))
        return;
    batch = batch_of(g, observe_tls_report_day(gateway_worker_now_s(worker)));
    if (batch != NULL)
        observe_tls_results_add(&batch->results, result, 1);
}

static void collect(struct engine_loop *here, struct engine_message *message)
{
    struct gateway_tls_gatherer *g = CONTAINER_OF(message, struct gateway_tls_gatherer, collect);

    ASSERT(g->worker->loop == here);
    give(g);
    atomic_store(&g->is_collecting, false);
    gateway_tls_reports_collected(g->worker->process->tls_reports);
}

bool gateway_tls_gatherer_collect(struct gateway_tls_gatherer *g)
{
    if (atomic_exchange(&g->is_collecting, true))
        return false;
    g->collect.deliver = collect;
    engine_mailbox_post(g->worker->loop, NULL, &g->collect);
    return true;
}

void gateway_tls_gatherer_init(struct gateway_tls_gatherer *g, struct gateway_worker *worker)
{
    *g = (struct gateway_tls_gatherer){ .worker = worker };
    list_init(&g->lookups);
}

void gateway_tls_gatherer_stop(struct gateway_tls_gatherer *g)
{
    gateway_tls_lookups_stop(g->worker);
}

void gateway_tls_gatherer_end(struct gateway_tls_gatherer *g)
{
    engine_timer_stop(g->worker->loop, &g->timer);
    give(g);
}

void gateway_tls_gatherer_finish(struct gateway_tls_gatherer *g)
{
    gateway_tls_batch_destroy(g->batch);
    g->batch = NULL;
}
