#include "gateway/item_report.h"

#include "gateway/worker.h"
#include "observe/mail_events.h"

static void give_up(struct gateway_worker *w, const struct gateway_item *item, uint32_t rid,
                    struct gateway_report *report, const struct gateway_item_end *end)
{
    const struct spool_result result = { .rid = rid,
                                         .state = SPOOL_RESULT_BOUNCED,
                                         .attempts = delivery_item_attempts(&item->delivery) };
    const struct gateway_failure_facts facts = { .outcome = end->outcome, .words = end->reason };
    struct delivery_destination_state state = { 0 };
    struct slice words = { 0 };

    if (end->destination != NULL)
        delivery_destination_describe(end->destination, &state);
    if (state.failure != DELIVERY_FAILURE_NONE)
        words = slice_from(delivery_failure_text(state.failure));
    observe_delivery_bounced(w->log, gateway_worker_now_s(w), 0, gateway_item_message(item)->mid,
                             rid,
                             &(struct observe_reply){ .enhanced = slice_from(end->outcome.status),
                                                      .text = end->reason });
    gateway_report_add(report, &result, GATEWAY_NOTICE_FAILED,
                       end->is_bad_host ? gateway_failure_create(&facts)
                                        : gateway_item_failure(item, rid, &end->outcome, words));
}

void gateway_item_give_up(struct gateway_worker *w, struct gateway_item *item,
                          struct gateway_report *report, const struct gateway_item_end *end)
{
    for (unsigned i = 0; i < item->waiting_count; i++)
        give_up(w, item, gateway_item_waiting(item)[i], report, end);
}

/* --- late ------------------------------------------------------------------------------------ */

/* Where no try has reached a host that could say something. */
static enum delivery_cause cause_of(enum delivery_failure failure)
{
    switch (failure) {
    case DELIVERY_FAILURE_TLS: return DELIVERY_CAUSE_TLS_REQUIRED;
    case DELIVERY_FAILURE_DNS: return DELIVERY_CAUSE_DNS;
    case DELIVERY_FAILURE_LOCAL: return DELIVERY_CAUSE_LOCAL;
    case DELIVERY_FAILURE_NONE:
    case DELIVERY_FAILURE_REFUSED:
    case DELIVERY_FAILURE_UNREACHABLE:
    case DELIVERY_FAILURE_TIMEOUT:
    case DELIVERY_FAILURE_GREETING_4XX:
    case DELIVERY_FAILURE_GREETING_5XX:
    case DELIVERY_FAILURE_EHLO:
    case DELIVERY_FAILURE_LOST:
    case DELIVERY_FAILURE_OTHER_WAY: break;
    }
    return DELIVERY_CAUSE_HOST_DOWN;
}

/* What keeps it waiting: what was said of the recipient, else what is known of the hosts. */
static struct gateway_failure *last_trouble(const struct gateway_item *item, uint32_t rid,
                                            const struct delivery_destination *destination)
{
    const struct gateway_failure *last = gateway_item_last_failure(item, rid);
    struct gateway_failure_facts facts = { 0 };
    struct delivery_destination_state state;

    if (last != NULL)
        return gateway_failure_copy(last);
    delivery_destination_describe(destination, &state);
    delivery_outcome_for(cause_of(state.failure), &facts.outcome);
    if (state.failure != DELIVERY_FAILURE_NONE)
        facts.words = slice_from(delivery_failure_text(state.failure));
    return gateway_failure_create(&facts);
}

void gateway_item_warn(struct gateway_worker *w, const struct delivery_action *warn)
{
    struct gateway_item *item = CONTAINER_OF(warn->item, struct gateway_item, delivery);
    uint64_t now_ms = gateway_worker_now_ms(w);
    time_t now_s = gateway_worker_now_s(w);
    struct gateway_report *report;
    struct delivery_wait wait;

    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return;
    delivery_item_explain(&item->delivery, now_ms, &wait);
    if (wait.expires_ms > now_ms)
        report->retry_until_s = now_s + (time_t)((wait.expires_ms - now_ms) / 1000);
    for (unsigned i = 0; i < item->waiting_count; i++) {
        const struct spool_result result = {
            .rid = gateway_item_waiting(item)[i],
            .state = SPOOL_RESULT_DEFERRED,
            .attempts = wait.attempts,
            .warnings = (uint8_t)delivery_item_warnings(&item->delivery),
            .warned_wall_s = (uint32_t)now_s,
        };

        gateway_report_add(report, &result, GATEWAY_NOTICE_DELAYED,
                           last_trouble(item, result.rid, warn->destination));
    }
    gateway_report_post(report, w->loop, false);
}

void gateway_item_delete(struct gateway_worker *w, struct gateway_item *item,
                         struct gateway_report *report)
{
    for (unsigned i = 0; i < item->waiting_count; i++)
        gateway_report_add(
            report,
            &(struct spool_result){ .rid = gateway_item_waiting(item)[i],
                                    .state = SPOOL_RESULT_DELETED,
                                    .attempts = delivery_item_attempts(&item->delivery) },
            GATEWAY_NOTICE_NONE, NULL);
    observe_delivery_deleted(
        w->log, gateway_worker_now_s(w), gateway_item_message(item)->mid,
        (struct observe_rids){ gateway_item_waiting(item), item->waiting_count });
}
