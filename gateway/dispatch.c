#include "gateway/dispatch.h"

#include <stdlib.h>

#include "gateway/message.h"
#include "gateway/outbound.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static struct delivery_limits limits_for(const struct gateway_worker *w, struct slice domain)
{
    const struct policy_destination *p =
        policy_destination_find(gateway_view_policy(w->view), domain);
    const struct policy_bounce_profile *b = p->bounce_profile;

    return (struct delivery_limits){
        .connections_max = p->max_connections,
        .messages_per_connection_max = p->max_messages_per_connection,
        .profile = {
            .retry_initial_ms = (uint64_t)b->initial_retry_s * 1000,
            .retry_ms_max = (uint64_t)b->max_retry_s * 1000,
            .age_ms_max = (uint64_t)b->max_age_s * 1000,
            .retries_max = b->max_retries,
        },
    };
}

enum status gateway_dispatch_init(struct gateway_dispatch *d, struct gateway_worker *worker)
{
    *d = (struct gateway_dispatch){ .worker = worker };
    list_init(&d->stranded);
    return delivery_scheduler_create(&worker->process->seed, &d->scheduler);
}

void gateway_dispatch_finish(struct gateway_dispatch *d)
{
    if (d->scheduler == NULL)
        return;
    while (delivery_scheduler_take_any(d->scheduler, gateway_worker_now_ms(d->worker)) != NULL)
        ;
    delivery_scheduler_destroy(d->scheduler);
    d->scheduler = NULL;
}

static void on_stranded(struct engine_timer *timer)
{
    struct gateway_dispatch *d = CONTAINER_OF(timer, struct gateway_dispatch, stranded_retry);
    struct list again;
    struct list_node *n;

    list_init(&again);
    list_take_all(&again, &d->stranded);
    while ((n = list_take_first(&again)) != NULL)
        gateway_dispatch_add(d, CONTAINER_OF(n, struct gateway_item, stranded));
}

static void strand(struct gateway_dispatch *d, struct gateway_item *item)
{
    list_append(&d->stranded, &item->stranded);
    if (!engine_timer_is_running(&d->stranded_retry))
        engine_timer_start(d->worker->loop, &d->stranded_retry, GATEWAY_DISPATCH_STRANDED_MS,
                           on_stranded);
}

void gateway_dispatch_add(struct gateway_dispatch *d, struct gateway_item *item)
{
    struct gateway_worker *w = d->worker;
    struct delivery_limits limits = limits_for(w, item->domain);
    int64_t age_s = gateway_worker_now_s(w) - spool_message_arrival_wall_s(item->message->spool);
    struct delivery_arrival arrival = {
        .domain = item->domain,
        .limits = &limits,
        .age_ms = age_s > 0 ? (uint64_t)age_s * 1000 : 0,
        .wait_ms = item->wait_ms,
        .attempts = item->attempts,
    };

    if (gateway_worker_is_stopping(w))
        return; /* it stays in the spool */
    if (delivery_scheduler_add(d->scheduler, gateway_worker_now_ms(w), &arrival, &item->delivery) !=
        STATUS_OK)
        strand(d, item);
    gateway_dispatch_run_soon(d);
}

/* Hosts of the route in their order; equal ones do not exist in this table. */
static void resolve(struct gateway_dispatch *d, struct delivery_destination *destination)
{
    struct gateway_worker *w = d->worker;
    const struct policy_route *route =
        policy_route_find(gateway_view_policy(w->view), delivery_destination_domain(destination));
    struct delivery_endpoint endpoints[DELIVERY_ENDPOINTS_MAX];
    size_t count = 0;

    for (size_t h = 0; route != NULL && h < route->hosts_count; h++)
        for (size_t e = 0; e < route->hosts[h].endpoints_count; e++)
            if (count < DELIVERY_ENDPOINTS_MAX)
                endpoints[count++] = (struct delivery_endpoint){
                    .address = route->hosts[h].endpoints[e],
                    .preference = (uint16_t)h,
                };
    if (count == 0)
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "Delivery: no route to %.*s, its mail waits",
                         SLICE_ARGS(delivery_destination_domain(destination)));
    delivery_destination_resolved(d->scheduler, gateway_worker_now_ms(w), destination, endpoints,
                                  count, GATEWAY_DISPATCH_ROUTE_MS, gateway_worker_random(w));
}

static enum delivery_cause cause_of(enum delivery_expiry expiry)
{
    switch (expiry) {
    case DELIVERY_EXPIRY_AGE: return DELIVERY_CAUSE_EXPIRED;
    case DELIVERY_EXPIRY_RETRIES: return DELIVERY_CAUSE_RETRIES;
    case DELIVERY_EXPIRY_BAD_HOST: return DELIVERY_CAUSE_BAD_HOST;
    }
    UNREACHABLE();
}

static void give_up(struct gateway_dispatch *d, struct gateway_item *item,
                    enum delivery_expiry expiry)
{
    struct gateway_worker *w = d->worker;
    struct gateway_report *report;
    struct delivery_outcome outcome;

    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK) {
        strand(d, item);
        return;
    }
    delivery_outcome_for(cause_of(expiry), &outcome);
    for (unsigned i = 0; i < item->waiting_count; i++) {
        struct gateway_failure *failure = calloc(1, sizeof(*failure));
        struct spool_result result = { .rid = item->waiting[i],
                                       .state = SPOOL_RESULT_BOUNCED,
                                       .attempts = item->attempts };

        if (failure != NULL)
            failure->outcome = outcome;
        observe_delivery_bounced(w->log, gateway_worker_now_s(w), 0,
                                 spool_message_mid(item->message->spool), result.rid,
                                 &(struct observe_reply){
                                     .enhanced = slice_from(outcome.status),
                                     .text = slice_from(outcome.reason),
                                 });
        gateway_report_add(report, &result, failure);
    }
    gateway_report_post(report, w->loop, true);
}

static void carry_out(struct gateway_dispatch *d, const struct delivery_action *action)
{
    struct gateway_worker *w = d->worker;

    switch (action->kind) {
    case DELIVERY_ACTION_RESOLVE: resolve(d, action->destination); break;
    case DELIVERY_ACTION_CONNECT:
        if (delivery_scheduler_connections(d->scheduler) >= GATEWAY_OUTBOUND_MAX ||
            gateway_outbound_open(w, action) != STATUS_OK)
            delivery_destination_postpone(d->scheduler, gateway_worker_now_ms(w),
                                          action->destination, GATEWAY_DISPATCH_POSTPONE_MS);
        break;
    case DELIVERY_ACTION_TAKE: gateway_outbound_wake(action->connection); break;
    case DELIVERY_ACTION_EXPIRE:
        give_up(d, CONTAINER_OF(action->item, struct gateway_item, delivery), action->expiry);
        break;
    case DELIVERY_ACTION_FORGET: break;
    }
}

static void on_due(struct engine_timer *timer)
{
    gateway_dispatch_run_soon(CONTAINER_OF(timer, struct gateway_dispatch, due));
}

static void on_run(struct engine_task *task)
{
    struct gateway_dispatch *d = CONTAINER_OF(task, struct gateway_dispatch, run);
    struct gateway_worker *w = d->worker;
    uint64_t now_ms = gateway_worker_now_ms(w), due_ms;
    struct delivery_action action;
    unsigned count = 0;

    if (gateway_worker_is_stopping(w))
        return;
    while (count < GATEWAY_DISPATCH_ACTIONS_MAX &&
           delivery_scheduler_next_action(d->scheduler, now_ms, &action)) {
        carry_out(d, &action);
        count++;
    }
    due_ms = delivery_scheduler_next_due(d->scheduler);
    engine_timer_stop(w->loop, &d->due);
    if (count == GATEWAY_DISPATCH_ACTIONS_MAX || due_ms <= now_ms)
        gateway_dispatch_run_soon(d);
    else if (due_ms != DELIVERY_WAIT_FOREVER)
        engine_timer_start(w->loop, &d->due, due_ms - now_ms, on_due);
}

void gateway_dispatch_run_soon(struct gateway_dispatch *d)
{
    engine_loop_defer(d->worker->loop, &d->run, on_run);
}

void gateway_dispatch_reload(struct gateway_dispatch *d, const struct policy_snapshot *old)
{
    const struct policy_snapshot *policy = gateway_view_policy(d->worker->view);
    uint64_t now_ms = gateway_worker_now_ms(d->worker);
    struct delivery_destination *destination = NULL;

    while ((destination = delivery_scheduler_walk(d->scheduler, destination)) != NULL) {
        struct slice domain = delivery_destination_domain(destination);
        struct delivery_limits limits = limits_for(d->worker, domain);

        delivery_destination_set_limits(d->scheduler, now_ms, destination, &limits);
        /* What is known of the old hosts says nothing about new ones. */
        if (!policy_route_equal(policy_route_find(old, domain), policy_route_find(policy, domain)))
            delivery_destination_flush(d->scheduler, now_ms, destination);
    }
    gateway_dispatch_run_soon(d);
}
