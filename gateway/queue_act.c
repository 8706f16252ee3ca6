#include "gateway/queue_act.h"

#include "gateway/item_report.h"
#include "gateway/worker.h"

static uint64_t mid_of(const struct gateway_item *item)
{
    return gateway_item_message(item)->mid;
}

static void say(struct gateway_worker *w, const struct gateway_item *item, const char *what)
{
    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "MID %llu to %.*s (%u recipients) %s by the administrator",
                     (unsigned long long)mid_of(item), SLICE_ARGS(gateway_item_domain(item)),
                     item->waiting_count, what);
}

/* --- hold and release ------------------------------------------------------------------------ */

/* The next number, for the home to record. */
static void record_hold(struct gateway_worker *w, struct gateway_item *item,
                        struct gateway_report *report)
{
    unsigned holds = atomic_fetch_add(&item->holds, 1) + 1u;

    report->is_word = true;
    for (unsigned i = 0; i < item->waiting_count; i++)
        gateway_report_add(
            report,
            &(struct spool_result){ .rid = gateway_item_waiting(item)[i],
                                    .state = SPOOL_RESULT_DEFERRED,
                                    .attempts = delivery_item_attempts(&item->delivery),
                                    .next_attempt_wall_s = gateway_worker_now_s(w),
                                    .holds = (uint16_t)holds },
            GATEWAY_NOTICE_NONE, NULL);
    gateway_report_post(report, w->loop, false);
}

enum gateway_queue_result gateway_queue_hold(struct gateway_worker *w, struct gateway_item *item)
{
    struct gateway_report *report;

    if (gateway_item_is_held(item))
        return GATEWAY_QUEUE_NOTHING;
    /* The last number has to be that of a release. */
    if (item->holds + 2 > SPOOL_RESULT_HOLDS_MAX ||
        gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return GATEWAY_QUEUE_REFUSED;
    if (!gateway_dispatch_take_out(&w->dispatch, item)) {
        gateway_report_destroy(report);
        return GATEWAY_QUEUE_BUSY;
    }
    record_hold(w, item, report);
    gateway_dispatch_add(&w->dispatch, item);
    say(w, item, "held");
    return GATEWAY_QUEUE_DONE;
}

/* Its age counts from now, and it is due. */
static void rejuvenate(const struct gateway_worker *w, struct gateway_item *item)
{
    uint64_t now_ms = gateway_worker_now_ms(w);
    struct delivery_arrival past = { 0 };

    delivery_item_recall(&item->delivery, now_ms, &past);
    past.age_ms = past.wait_ms = 0;
    delivery_item_remember(&item->delivery, now_ms, &past);
}

enum gateway_queue_result gateway_queue_release(struct gateway_worker *w, struct gateway_item *item)
{
    struct gateway_report *report;

    if (!gateway_item_is_held(item))
        return GATEWAY_QUEUE_NOTHING;
    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return GATEWAY_QUEUE_REFUSED;
    if (!gateway_dispatch_take_out(&w->dispatch, item))
        UNREACHABLE(); /* it has no connection */
    record_hold(w, item, report);
    rejuvenate(w, item);
    gateway_dispatch_add(&w->dispatch, item);
    say(w, item, "released");
    return GATEWAY_QUEUE_DONE;
}

/* --- retry ----------------------------------------------------------------------------------- */

enum gateway_queue_result gateway_queue_retry(struct gateway_worker *w, struct gateway_item *item)
{
    struct delivery_scheduler *s = w->dispatch.scheduler;
    uint64_t now_ms = gateway_worker_now_ms(w);
    struct delivery_destination *destination;
    struct delivery_wait wait;
    bool is_done = false;

    if (gateway_item_is_held(item))
        return GATEWAY_QUEUE_NOTHING;
    delivery_item_explain(&item->delivery, now_ms, &wait);
    if (wait.reason == DELIVERY_WAIT_DELIVERING)
        return GATEWAY_QUEUE_BUSY;
    if (wait.reason == DELIVERY_WAIT_EXPIRED)
        return GATEWAY_QUEUE_NOTHING;
    if (wait.reason == DELIVERY_WAIT_RETRY || gateway_dispatch_is_stranded(item)) {
        if (!gateway_dispatch_take_out(&w->dispatch, item))
            return GATEWAY_QUEUE_BUSY;
        gateway_dispatch_add(&w->dispatch, item);
        delivery_item_explain(&item->delivery, now_ms, &wait);
        is_done = !gateway_dispatch_is_stranded(item);
    }
    destination = delivery_item_destination(&item->delivery);
    if (destination != NULL &&
        (wait.reason == DELIVERY_WAIT_HOST_DOWN || wait.reason == DELIVERY_WAIT_OURSELVES)) {
        delivery_destination_revive(s, now_ms, destination);
        gateway_dispatch_run_soon(&w->dispatch);
        is_done = true;
    }
    return is_done ? GATEWAY_QUEUE_DONE : GATEWAY_QUEUE_NOTHING;
}

/* --- the end --------------------------------------------------------------------------------- */

enum gateway_queue_result gateway_queue_bounce(struct gateway_worker *w, struct gateway_item *item)
{
    struct gateway_item_end end = {
        .reason = SLICE("returned by the administrator of the mail system"),
        .is_bad_host = true, /* what hosts have said is not why */
    };
    struct gateway_report *report;

    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return GATEWAY_QUEUE_REFUSED;
    if (!gateway_dispatch_take_out(&w->dispatch, item)) {
        gateway_report_destroy(report);
        return GATEWAY_QUEUE_BUSY;
    }
    delivery_outcome_for(DELIVERY_CAUSE_RETURNED, &end.outcome);
    gateway_item_give_up(w, item, report, &end);
    observe_count(&w->counters, OBSERVE_RECIPIENTS_RETURNED, item->waiting_count);
    gateway_report_post(report, w->loop, true);
    return GATEWAY_QUEUE_DONE;
}

enum gateway_queue_result gateway_queue_delete(struct gateway_worker *w, struct gateway_item *item)
{
    struct gateway_report *report;

    /* The home would hear of it when all is given back, and who deletes hears before that that it
     * is recorded. It was to be sent a moment ago. */
    if (gateway_item_is_lent(item))
        return GATEWAY_QUEUE_BUSY;
    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return GATEWAY_QUEUE_REFUSED;
    if (!gateway_dispatch_take_out(&w->dispatch, item)) {
        gateway_report_destroy(report);
        return GATEWAY_QUEUE_BUSY;
    }
    gateway_item_delete(w, item, report);
    gateway_report_post(report, w->loop, true);
    return GATEWAY_QUEUE_DONE;
}
