#include "gateway/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/alert_sources.h"
#include "gateway/item_report.h"
#include "gateway/next_hops.h"
#include "gateway/outbound.h"
#include "gateway/outbound_report.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

#define REASON_BYTES_MAX (DELIVERY_DOMAIN_MAX + GATEWAY_NEXT_HOPS_REASON_MAX)

/* --- hosts ----------------------------------------------------------------------------------- */

/* What is known of a destination besides its queue. */
struct site {
    struct delivery_attachment attachment;
    struct gateway_dispatch *dispatch;
    struct list_node node;
    struct gateway_next_hops_waiter waiter;
    struct gateway_next_hops *hops;   /* the last that were found; NULL: none so far */
    struct gateway_next_hops *latest; /* what the last search came to; NULL: none so far */
    char *trouble;                    /* why a host could not be used; NULL: nothing is known */
};

static struct site *site_of(const struct delivery_destination *destination)
{
    struct delivery_attachment *a = delivery_destination_attachment(destination);

    return a != NULL ? CONTAINER_OF(a, struct site, attachment) : NULL;
}

static void site_destroy(struct site *site)
{
    gateway_next_hops_forget(&site->waiter);
    gateway_next_hops_release(site->hops);
    gateway_next_hops_release(site->latest);
    list_remove(&site->node);
    free(site->trouble);
    free(site);
}

struct gateway_next_hops *gateway_dispatch_hops(const struct delivery_destination *destination)
{
    struct site *site = site_of(destination);

    ASSERT(site != NULL && site->hops != NULL);
    return site->hops;
}

const struct gateway_next_hops *gateway_dispatch_latest(
    const struct delivery_destination *destination)
{
    const struct site *site = site_of(destination);

    return site != NULL ? site->latest : NULL;
}

void gateway_dispatch_note_trouble(const struct delivery_destination *destination,
                                   const char *trouble)
{
    struct site *site = site_of(destination);

    if (site == NULL)
        return;
    free(site->trouble); /* without memory nothing is known rather than what was before */
    site->trouble = strndup(trouble, GATEWAY_DISPATCH_TROUBLE_MAX - 1);
}

const char *gateway_dispatch_trouble(const struct delivery_destination *destination)
{
    const struct site *site = site_of(destination);

    return site != NULL && site->trouble != NULL ? site->trouble : "";
}

static void say_unresolved(struct gateway_dispatch *d, struct slice domain,
                           const struct gateway_next_hops *hops, uint64_t queued)
{
    struct gateway_worker *w = d->worker;

    if (hops->outcome == GATEWAY_NEXT_HOPS_NO_TLS) {
        gateway_alert_tls_failed(w, domain, SLICE(""), NULL, slice_from(hops->reason), queued);
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "Delivery: no host of %.*s can be used: %s", SLICE_ARGS(domain),
                         hops->reason);
    } else {
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "DNS Temporary Failure %.*s MX - ServFail: %s", SLICE_ARGS(domain),
                         hops->reason);
    }
}

static uint64_t queued(const struct delivery_destination *destination)
{
    struct delivery_destination_state state;

    delivery_destination_describe(destination, &state);
    return state.ready + state.delayed + state.active;
}

/* Takes the hosts; NULL: there was no memory for them. */
static void resolved(struct gateway_dispatch *d, struct delivery_destination *destination,
                     struct gateway_next_hops *hops)
{
    struct gateway_worker *w = d->worker;
    struct delivery_scheduler *s = d->scheduler;
    uint64_t now_ms = gateway_worker_now_ms(w), valid_ms;
    struct site *site = site_of(destination);

    ASSERT(hops == NULL || site != NULL);
    if (hops == NULL) {
        delivery_destination_unresolved(s, now_ms, destination, DELIVERY_UNRESOLVED_LOCAL, 0,
                                        gateway_worker_random(w));
        gateway_dispatch_run_soon(d);
        return;
    }
    gateway_next_hops_release(site->latest);
    site->latest = hops;
    gateway_outbound_report_left_out(w, destination, hops);
    valid_ms = (uint64_t)hops->ttl_s * 1000;
    switch (hops->outcome) {
    case GATEWAY_NEXT_HOPS_FOUND:
        gateway_next_hops_release(site->hops);
        site->hops = gateway_next_hops_acquire(hops);
        delivery_destination_resolved(s, now_ms, destination, hops->endpoints,
                                      hops->endpoints_count, valid_ms, gateway_worker_random(w));
        break;
    case GATEWAY_NEXT_HOPS_DISCARD:
    case GATEWAY_NEXT_HOPS_NO_DOMAIN:
    case GATEWAY_NEXT_HOPS_NO_MAIL:
    case GATEWAY_NEXT_HOPS_NO_HOST:
    case GATEWAY_NEXT_HOPS_LOOP:
        delivery_destination_unresolved(s, now_ms, destination, DELIVERY_UNRESOLVED_BAD_HOST,
                                        valid_ms, gateway_worker_random(w));
        break;
    case GATEWAY_NEXT_HOPS_FAILED:
    case GATEWAY_NEXT_HOPS_NO_TLS:
        say_unresolved(d, delivery_destination_domain(destination), hops, queued(destination));
        delivery_destination_unresolved(s, now_ms, destination, DELIVERY_UNRESOLVED_TEMPORARY,
                                        valid_ms, gateway_worker_random(w));
        break;
    }
    gateway_dispatch_run_soon(d);
}

static void on_found(struct gateway_next_hops_waiter *waiter, struct gateway_next_hops *hops)
{
    struct site *site = CONTAINER_OF(waiter, struct site, waiter);

    resolved(site->dispatch, site->attachment.destination, hops);
}

static void resolve(struct gateway_dispatch *d, struct delivery_destination *destination)
{
    struct gateway_worker *w = d->worker;
    struct site *site = site_of(destination);
    struct gateway_next_hops *hops = NULL;

    if (site == NULL) {
        site = calloc(1, sizeof(*site));
        if (site == NULL) {
            resolved(d, destination, NULL);
            return;
        }
        site->dispatch = d;
        site->waiter.found = on_found;
        list_append(&d->sites, &site->node);
        delivery_destination_attach(destination, &site->attachment);
    }
    if (gateway_next_hops_find(w, w->view, delivery_destination_domain(destination),
                               delivery_destination_is_tls_optional(destination), &site->waiter,
                               &hops))
        resolved(d, destination, hops);
}

/* --- the queue ------------------------------------------------------------------------------- */

/* Mail with TLS-Required: No is counted for itself, and rare: it gets by with one connection. */
static struct delivery_limits limits_for(const struct gateway_worker *w, struct slice domain,
                                         bool is_tls_optional)
{
    const struct policy_destination *p =
        policy_destination_find(gateway_view_policy(w->view), domain);

    return (struct delivery_limits){
        .connections_max = is_tls_optional ? 1 : p->max_connections,
        .messages_per_connection_max = p->max_messages_per_connection,
        .scope = p->limit_scope == POLICY_LIMIT_ADDRESS && !is_tls_optional ? DELIVERY_LIMIT_ADDRESS
                                                                            : DELIVERY_LIMIT_DOMAIN,
        .recipients_max = p->max_recipients,
        .recipients_interval_ms = (uint64_t)p->recipients_interval_s * 1000,
        .has_profile = p->has_bounce_profile,
        .profile = gateway_bounce_profile_times(p->bounce_profile),
    };
}

enum status gateway_dispatch_init(struct gateway_dispatch *d, struct gateway_worker *worker)
{
    *d = (struct gateway_dispatch){ .worker = worker };
    slim_list_init(&d->stranded);
    list_init(&d->sites);
    gateway_holdings_init(&d->holdings);
    TRY(delivery_scheduler_create(&worker->process->seed, &d->scheduler));
    return gateway_bounce_profiles_update(&d->profiles, worker->view, d->scheduler);
}

void gateway_dispatch_finish(struct gateway_dispatch *d)
{
    if (d->scheduler == NULL)
        return;
    while (delivery_scheduler_take_any(d->scheduler, gateway_worker_now_ms(d->worker)) != NULL)
        ;
    while (!list_is_empty(&d->sites))
        site_destroy(CONTAINER_OF(d->sites.head.next, struct site, node));
    delivery_scheduler_destroy(d->scheduler);
    gateway_bounce_profiles_finish(&d->profiles);
    d->scheduler = NULL;
}

static void on_stranded(struct engine_timer *timer)
{
    struct gateway_dispatch *d = CONTAINER_OF(timer, struct gateway_dispatch, stranded_retry);
    struct slim_list again;
    struct slim_node *n;

    slim_list_init(&again);
    slim_list_take_all(&again, &d->stranded);
    while ((n = slim_list_take_first(&again)) != NULL) {
        struct delivery_item *delivery = CONTAINER_OF(n, struct delivery_item, node);

        gateway_dispatch_add(d, CONTAINER_OF(delivery, struct gateway_item, delivery));
    }
}

bool gateway_dispatch_is_stranded(const struct gateway_item *item)
{
    return !delivery_item_is_queued(&item->delivery) && slim_list_is_linked(&item->delivery.node);
}

static void strand(struct gateway_dispatch *d, struct gateway_item *item)
{
    slim_list_append(&d->stranded, &item->delivery.node);
    if (!engine_timer_is_running(&d->stranded_retry))
        engine_timer_start(d->worker->loop, &d->stranded_retry, GATEWAY_DISPATCH_STRANDED_MS,
                           on_stranded);
}

/* Whether the message asks that TLS be not insisted on, and that makes a difference. */
static bool is_tls_optional(const struct gateway_worker *w, const struct gateway_item *item)
{
    return item->lane->is_tls_optional &&
           policy_tls_is_ignorable(
               policy_destination_find(gateway_view_policy(w->view), gateway_item_domain(item)));
}

void gateway_dispatch_arrive(struct gateway_dispatch *d, struct gateway_item *item)
{
    struct delivery_arrival past = { 0 };

    gateway_item_past(item, gateway_worker_now_s(d->worker), &past);
    delivery_item_remember(&item->delivery, gateway_worker_now_ms(d->worker), &past);
    gateway_dispatch_add(d, item);
}

void gateway_dispatch_add(struct gateway_dispatch *d, struct gateway_item *item)
{
    struct gateway_worker *w = d->worker;
    bool is_optional = is_tls_optional(w, item);
    struct delivery_limits limits = limits_for(w, gateway_item_domain(item), is_optional);
    struct delivery_arrival arrival = {
        .domain = gateway_item_domain(item),
        .limits = &limits,
        .recipients = item->waiting_count,
        .profile = gateway_bounce_profiles_number(&d->profiles, w->view,
                                                  gateway_lane_listener(item->lane)),
        .tls_optional = is_optional,
    };

    if (gateway_worker_is_stopping(w))
        return; /* it stays in the spool */
    gateway_holdings_add(&d->holdings, &item->node);
    if (gateway_item_is_held(item)) {
        observe_count(&w->counters, OBSERVE_RECIPIENTS_HELD_NOW, item->waiting_count);
        return;
    }
    item->left_count = 0;
    delivery_item_recall(&item->delivery, gateway_worker_now_ms(w), &arrival);
    if (delivery_scheduler_add(d->scheduler, gateway_worker_now_ms(w), &arrival, &item->delivery) !=
        STATUS_OK)
        strand(d, item);
    gateway_dispatch_run_soon(d);
}

bool gateway_dispatch_take_out(struct gateway_dispatch *d, struct gateway_item *item)
{
    if (gateway_item_is_held(item)) {
        observe_uncount(&d->worker->counters, OBSERVE_RECIPIENTS_HELD_NOW, item->waiting_count);
        return true;
    }
    if (gateway_dispatch_is_stranded(item)) {
        slim_list_remove(&item->delivery.node);
        return true;
    }
    if (!delivery_item_remove(d->scheduler, gateway_worker_now_ms(d->worker), &item->delivery))
        return false;
    gateway_dispatch_run_soon(d);
    return true;
}

void gateway_dispatch_let_go(struct gateway_item *item)
{
    gateway_holdings_remove(&item->lane->owner->dispatch.holdings, &item->node);
}

/* --- the end of items ------------------------------------------------------------------------ */

/* How the mail of a destination without hosts ends, now that the DNS or the route has spoken. */
static enum delivery_cause cause_of_hops(const struct delivery_destination *destination)
{
    const struct site *site = site_of(destination);

    switch (site != NULL && site->latest != NULL ? site->latest->outcome
                                                 : GATEWAY_NEXT_HOPS_NO_DOMAIN) {
    case GATEWAY_NEXT_HOPS_NO_MAIL: return DELIVERY_CAUSE_NO_MAIL;
    case GATEWAY_NEXT_HOPS_NO_HOST: return DELIVERY_CAUSE_NO_HOST;
    case GATEWAY_NEXT_HOPS_LOOP: return DELIVERY_CAUSE_LOOP;
    case GATEWAY_NEXT_HOPS_FOUND:
    case GATEWAY_NEXT_HOPS_DISCARD:
    case GATEWAY_NEXT_HOPS_NO_DOMAIN:
    case GATEWAY_NEXT_HOPS_FAILED:
    case GATEWAY_NEXT_HOPS_NO_TLS: break;
    }
    return DELIVERY_CAUSE_BAD_HOST;
}

static enum delivery_cause cause_of(const struct delivery_action *expire)
{
    switch (expire->expiry) {
    case DELIVERY_EXPIRY_AGE: return DELIVERY_CAUSE_EXPIRED;
    case DELIVERY_EXPIRY_RETRIES: return DELIVERY_CAUSE_RETRIES;
    case DELIVERY_EXPIRY_BAD_HOST: return cause_of_hops(expire->destination);
    }
    UNREACHABLE();
}

static bool is_discarded(const struct delivery_action *expire)
{
    const struct site *site = site_of(expire->destination);

    return expire->expiry == DELIVERY_EXPIRY_BAD_HOST && site != NULL && site->latest != NULL &&
           site->latest->outcome == GATEWAY_NEXT_HOPS_DISCARD;
}

/* The route says /dev/null. */
static void discard(struct gateway_dispatch *d, struct gateway_item *item,
                    struct gateway_report *report)
{
    struct gateway_worker *w = d->worker;

    for (unsigned i = 0; i < item->waiting_count; i++)
        gateway_report_add(
            report,
            &(struct spool_result){ .rid = gateway_item_waiting(item)[i],
                                    .state = SPOOL_RESULT_DELIVERED,
                                    .attempts = delivery_item_attempts(&item->delivery) },
            GATEWAY_NOTICE_NONE, NULL);
    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "MID %llu to %.*s discarded: its route is /dev/null",
                     (unsigned long long)gateway_item_message(item)->mid,
                     SLICE_ARGS(gateway_item_domain(item)));
}

/* In the words of AsyncOS where the DNS has spoken. */
static void say_reason(const struct delivery_action *expire, const struct delivery_outcome *outcome,
                       char reason[static REASON_BYTES_MAX])
{
    const struct site *site = site_of(expire->destination);
    const struct gateway_next_hops *hops =
        expire->expiry == DELIVERY_EXPIRY_BAD_HOST && site != NULL ? site->latest : NULL;

    if (hops == NULL)
        (void)snprintf(reason, REASON_BYTES_MAX, "%s", outcome->reason);
    else if (hops->outcome == GATEWAY_NEXT_HOPS_NO_DOMAIN)
        (void)snprintf(reason, REASON_BYTES_MAX, "DNS Hard Error looking up %.*s (MX):  NXDomain",
                       SLICE_ARGS(delivery_destination_domain(expire->destination)));
    else
        (void)snprintf(reason, REASON_BYTES_MAX, "%s", hops->reason);
}

static void bounce(struct gateway_dispatch *d, struct gateway_item *item,
                   struct gateway_report *report, const struct delivery_action *expire)
{
    char reason[REASON_BYTES_MAX];
    struct delivery_outcome outcome;

    delivery_outcome_for(cause_of(expire), &outcome);
    say_reason(expire, &outcome, reason);
    gateway_item_give_up(d->worker, item, report,
                         &(struct gateway_item_end){
                             .destination = expire->destination,
                             .outcome = outcome,
                             .reason = slice_from(reason),
                             .is_bad_host = expire->expiry == DELIVERY_EXPIRY_BAD_HOST,
                         });
}

static void give_up(struct gateway_dispatch *d, const struct delivery_action *expire)
{
    struct gateway_item *item = CONTAINER_OF(expire->item, struct gateway_item, delivery);
    struct gateway_report *report;

    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK) {
        strand(d, item);
        return;
    }
    if (is_discarded(expire))
        discard(d, item, report);
    else
        bounce(d, item, report, expire);
    gateway_report_post(report, d->worker->loop, true);
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
    case DELIVERY_ACTION_EXPIRE: give_up(d, action); break;
    case DELIVERY_ACTION_WARN: gateway_item_warn(w, action); break;
    case DELIVERY_ACTION_FORGET:
        site_destroy(CONTAINER_OF(action->attachment, struct site, attachment));
        break;
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
    observe_count(&w->counters, OBSERVE_RECIPIENTS_DEFERRED,
                  delivery_scheduler_take_put_off(d->scheduler));
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

/* Searches that are under way ask by the rules of the old view. */
static void search_anew(struct gateway_dispatch *d)
{
    LIST_FOR_EACH (node, &d->sites) {
        struct site *site = CONTAINER_OF(node, struct site, node);

        if (site->waiter.search == NULL)
            continue;
        gateway_next_hops_forget(&site->waiter);
        resolve(d, site->attachment.destination);
    }
}

void gateway_dispatch_stop(struct gateway_dispatch *d)
{
    LIST_FOR_EACH (node, &d->sites) {
        gateway_next_hops_forget(&CONTAINER_OF(node, struct site, node)->waiter);
    }
}

void gateway_dispatch_reload(struct gateway_dispatch *d, const struct policy_snapshot *old)
{
    const struct policy_snapshot *policy = gateway_view_policy(d->worker->view);
    uint64_t now_ms = gateway_worker_now_ms(d->worker);
    struct delivery_destination *destination = NULL;

    if (gateway_bounce_profiles_update(&d->profiles, d->worker->view, d->scheduler) != STATUS_OK)
        observe_log_line(d->worker->log, OBSERVE_WARNING, gateway_worker_now_s(d->worker),
                         "Delivery: no memory for the bounce profiles of listeners, the former "
                         "ones stay in force");
    while ((destination = delivery_scheduler_walk(d->scheduler, destination)) != NULL) {
        struct slice domain = delivery_destination_domain(destination);
        struct delivery_limits limits =
            limits_for(d->worker, domain, delivery_destination_is_tls_optional(destination));

        delivery_destination_set_limits(d->scheduler, now_ms, destination, &limits);
        /* What is known of the old hosts says nothing about new ones. */
        if (!policy_route_equal(policy_route_find(old, domain), policy_route_find(policy, domain)))
            delivery_destination_flush(d->scheduler, now_ms, destination);
    }
    search_anew(d);
    gateway_dispatch_run_soon(d);
}
