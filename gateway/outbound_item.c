#include "gateway/outbound_item.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/outbound_log.h"
#include "gateway/outbound_tls.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

#define ENHANCED_TEXT_MAX 16
#define CODE_BYTES        4 /* "550 " */

/* Stands for a refusal that there was no memory to keep: the recipient is tried again. */
static struct gateway_failure refusal_forgotten = {
    .outcome = { .verdict = DELIVERY_VERDICT_DEFERRED,
                 .scope = DELIVERY_SCOPE_RECIPIENT,
                 .status = "4.3.0",
                 .reason = "4.3.0 - Other mail system problem" },
};

/* Stands for what has not been asked: the host takes no more recipients in a transaction. */
static struct gateway_failure held_back = {
    .outcome = { .verdict = DELIVERY_VERDICT_DEFERRED,
                 .scope = DELIVERY_SCOPE_RECIPIENT,
                 .status = "4.5.3",
                 .reason = "4.5.3 - Too many recipients" },
};

/* "5.1.1", or nothing. */
static struct slice enhanced_text(const struct smtp_enhanced *e,
                                  char text[static ENHANCED_TEXT_MAX])
{
    if (e->class == 0)
        return (struct slice){ 0 };
    (void)snprintf(text, ENHANCED_TEXT_MAX, "%u.%u.%u", e->class, e->subject, e->detail);
    return slice_from(text);
}

struct delivery_outcome gateway_outbound_classify(enum delivery_stage stage,
                                                  const struct smtp_reply *reply)
{
    char enhanced[ENHANCED_TEXT_MAX];
    struct delivery_reply r = {
        .code = reply->code,
        .enhanced = enhanced_text(&reply->enhanced, enhanced),
        .text = reply->text,
    };
    struct delivery_outcome outcome;

    delivery_outcome_classify(stage, &r, &outcome);
    return outcome;
}

static void release(struct gateway_outbound *out)
{
    for (size_t i = 0; out->refusals != NULL && i < out->envelope.recipients_count; i++)
        if (out->refusals[i] != &refusal_forgotten && out->refusals[i] != &held_back)
            free(out->refusals[i]);
    free(out->refusals);
    free(out->recipients);
    free(out->accepted);
    out->accepted = NULL;
    gateway_report_destroy(out->report);
    out->refusals = NULL;
    out->recipients = NULL;
    out->report = NULL;
    out->item = NULL;
    out->envelope = (struct smtp_client_envelope){ 0 };
}

enum status gateway_outbound_item_begin(struct gateway_outbound *out, struct gateway_item *item)
{
    const struct spool_message *spool = item->message->spool;
    unsigned flags = spool_message_flags(spool);
    unsigned count = delivery_connection_recipients(&out->delivery);

    ASSERT(out->item == NULL && count > 0);
    ASSERT(count <= item->waiting_count - item->left_count);
    out->item = item;
    out->recipients = calloc(count, sizeof(*out->recipients));
    out->refusals = calloc(count, sizeof(struct gateway_failure *));
    out->accepted = calloc(count, sizeof(*out->accepted));
    if (out->recipients == NULL || out->refusals == NULL || out->accepted == NULL ||
        gateway_report_create(item, item->waiting_count, &out->report) != STATUS_OK) {
        release(out);
        return STATUS_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++)
        out->recipients[i].address = spool_message_recipient(spool, item->waiting[i]);
    out->envelope = (struct smtp_client_envelope){
        .sender = spool_message_sender(spool),
        .recipients = out->recipients,
        .recipients_count = count,
        .message_bytes = spool_message_size(spool),
        .has_8bit = (flags & SPOOL_MESSAGE_8BITMIME) != 0,
        .smtputf8 = (flags & SPOOL_MESSAGE_SMTPUTF8) != 0,
        .is_stuffed = (flags & SPOOL_MESSAGE_NOT_STUFFED) == 0,
    };
    out->heard_of_item = false;
    observe_delivery_start(out->worker->log, gateway_worker_now_s(out->worker), out->dcid,
                           spool_message_mid(spool), (struct observe_rids){ item->waiting, count });
    return STATUS_OK;
}

static void failure_fill(const struct gateway_outbound *out, const struct delivery_outcome *outcome,
                         const struct smtp_reply *reply, struct gateway_failure *f)
{
    char enhanced[ENHANCED_TEXT_MAX];
    struct slice status = enhanced_text(&reply->enhanced, enhanced);

    *f = (struct gateway_failure){ .outcome = *outcome, .code = reply->code };
    (void)ip_endpoint_format(&out->remote, f->remote);
    if (reply->code != 0)
        (void)snprintf(f->reply, sizeof(f->reply), "%03u %.*s%s%.*s", reply->code % 1000u,
                       SLICE_ARGS(status), status.len > 0 ? " " : "", SLICE_ARGS(reply->text));
}

static struct gateway_failure *failure_copy(const struct gateway_failure *f)
{
    struct gateway_failure *copy = malloc(sizeof(*copy));

    if (copy != NULL)
        *copy = *f;
    return copy;
}

/* The reply behind its code. */
static struct slice said(const struct gateway_failure *f)
{
    return f->code != 0 ? slice_after(slice_from(f->reply), CODE_BYTES) : (struct slice){ 0 };
}

void gateway_outbound_item_recipient(struct gateway_outbound *out, size_t index,
                                     const struct smtp_reply *reply)
{
    struct delivery_outcome outcome;
    struct gateway_failure refusal;

    ASSERT(index < out->envelope.recipients_count);
    out->heard_of_item = true;
    if (smtp_reply_is_positive(reply))
        return;
    outcome = gateway_outbound_classify(DELIVERY_STAGE_RCPT, reply);
    failure_fill(out, &outcome, reply, &refusal);
    out->refusals[index] = failure_copy(&refusal);
    if (out->refusals[index] == NULL)
        out->refusals[index] = &refusal_forgotten;
}

void gateway_outbound_item_hold_back(struct gateway_outbound *out, size_t sent)
{
    for (size_t i = sent; i < out->envelope.recipients_count; i++)
        out->refusals[i] = &held_back;
}

static void log_recipient(struct gateway_outbound *out, uint32_t rid,
                          const struct gateway_failure *f)
{
    struct gateway_worker *w = out->worker;
    uint64_t mid = spool_message_mid(out->item->message->spool);
    struct observe_reply r = {
        .code = f->code,
        .enhanced = slice_from(f->outcome.status),
        .text = said(f),
    };

    if (f->outcome.verdict == DELIVERY_VERDICT_FAILED)
        observe_delivery_bounced(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
    else
        observe_delivery_delayed(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
}

/* Takes recipient `i` out of the waiting ones, or keeps it at place *kept. */
static void settle(struct gateway_outbound *out, size_t i, const struct gateway_failure *f,
                   unsigned *kept)
{
    struct gateway_item *item = out->item;
    uint32_t rid = item->waiting[i];
    struct spool_result result = { .rid = rid, .attempts = item->attempts + 1 };

    switch (f->outcome.verdict) {
    case DELIVERY_VERDICT_DELIVERED:
        result.state = SPOOL_RESULT_DELIVERED;
        gateway_report_add(out->report, &result, NULL);
        break;
    case DELIVERY_VERDICT_FAILED:
        log_recipient(out, rid, f);
        result.state = SPOOL_RESULT_BOUNCED;
        gateway_report_add(out->report, &result,
                           out->refusals[i] != NULL ? out->refusals[i] : failure_copy(f));
        out->refusals[i] = NULL;
        break;
    case DELIVERY_VERDICT_DEFERRED:
        log_recipient(out, rid, f);
        item->waiting[(*kept)++] = rid;
        break;
    }
}

static void log_done(struct gateway_outbound *out, const uint32_t *rids, unsigned count,
                     struct slice reply)
{
    struct gateway_worker *w = out->worker;
    const struct spool_message *spool = out->item->message->spool;
    uint64_t mid = spool_message_mid(spool);
    struct observe_rids list = { rids, count };
    const struct observe_tls tls = gateway_outbound_tls_facts(out);

    observe_delivery_done(w->log, gateway_worker_now_s(w), mid, list, &tls);
    observe_delivery_response(w->log, gateway_worker_now_s(w), mid, list, reply);
    observe_count(&w->counters, OBSERVE_BYTES_DELIVERED, spool_message_size(spool));
}

/* Lists the recipients that the outcome of the message holds for; returns how many. */
static unsigned accepted(struct gateway_outbound *out)
{
    unsigned count = 0;

    for (unsigned i = 0; i < out->envelope.recipients_count; i++)
        if (out->refusals[i] == NULL)
            out->accepted[count++] = out->item->waiting[i];
    return count;
}

/* Of those sent the first `kept` have stayed, and are left for the next try. In front of them come
 * those that the scheduler did not allow yet; returns how many. */
static unsigned put_unsent_first(struct gateway_outbound *out, unsigned kept)
{
    struct gateway_item *item = out->item;
    uint32_t *waiting = item->waiting;
    unsigned sent = (unsigned)out->envelope.recipients_count;
    unsigned unsent = item->waiting_count - item->left_count - sent;

    memcpy(out->accepted, waiting, kept * sizeof(*waiting));
    memmove(waiting, waiting + sent, unsent * sizeof(*waiting));
    memmove(waiting + unsent + kept, waiting + sent + unsent, item->left_count * sizeof(*waiting));
    memcpy(waiting + unsent, out->accepted, kept * sizeof(*waiting));
    item->left_count += kept;
    item->waiting_count = unsent + item->left_count;
    return unsent;
}

static void report_deferred(struct gateway_outbound *out, const struct delivery_wait *wait)
{
    struct gateway_worker *w = out->worker;
    struct gateway_item *item = out->item;
    uint64_t now_ms = gateway_worker_now_ms(w);
    uint64_t wait_s = wait->until_ms != DELIVERY_WAIT_FOREVER && wait->until_ms > now_ms
                          ? (wait->until_ms - now_ms + 999) / 1000
                          : 0;
    time_t until_s = gateway_worker_now_s(w) + (time_t)wait_s;

    for (unsigned i = 0; i < item->waiting_count; i++)
        gateway_report_add(out->report,
                           &(struct spool_result){ .rid = item->waiting[i],
                                                   .state = SPOOL_RESULT_DEFERRED,
                                                   .attempts = wait->attempts,
                                                   .next_attempt_wall_s = until_s },
                           NULL);
    observe_delivery_pending(w->log, gateway_worker_now_s(w),
                             spool_message_mid(item->message->spool),
                             (struct observe_rids){ item->waiting, item->waiting_count }, until_s);
}

/* For who looks at the destination. */
static void count_results(struct gateway_outbound *out, enum delivery_verdict common)
{
    struct delivery_counts counts = { 0 };

    for (size_t i = 0; i < out->envelope.recipients_count; i++) {
        const struct gateway_failure *refusal = out->refusals[i];

        switch (refusal != NULL ? refusal->outcome.verdict : common) {
        case DELIVERY_VERDICT_DELIVERED: counts.delivered++; break;
        case DELIVERY_VERDICT_DEFERRED: counts.soft++; break;
        case DELIVERY_VERDICT_FAILED: counts.hard++; break;
        }
    }
    delivery_destination_count(out->delivery.destination, &counts);
}

void gateway_outbound_item_end(struct gateway_outbound *out, const struct delivery_outcome *outcome,
                               const struct smtp_reply *reply)
{
    struct gateway_worker *w = out->worker;
    struct gateway_item *item = out->item;
    struct delivery_scheduler *scheduler = w->dispatch.scheduler;
    struct gateway_report *report;
    struct delivery_wait wait;
    struct gateway_failure common; /* of all that were not refused before */
    unsigned kept = 0, unsent, count = accepted(out);

    failure_fill(out, outcome, reply, &common);
    count_results(out, outcome->verdict);
    if (outcome->verdict == DELIVERY_VERDICT_DELIVERED && count > 0)
        log_done(out, out->accepted, count, said(&common));
    for (size_t i = 0; i < out->envelope.recipients_count; i++)
        settle(out, i, out->refusals[i] != NULL ? out->refusals[i] : &common, &kept);
    unsent = put_unsent_first(out, kept);
    /* What is said of the message as a whole holds for those not sent, too. */
    if (unsent > 0 && outcome->verdict != DELIVERY_VERDICT_DEFERRED) {
        delivery_item_continued(scheduler, gateway_worker_now_ms(w), &out->delivery);
    } else if (item->waiting_count == 0) {
        delivery_item_done(scheduler, gateway_worker_now_ms(w), &out->delivery);
    } else {
        item->left_count = 0;
        item->attempts++;
        delivery_item_deferred(scheduler, gateway_worker_now_ms(w), &out->delivery,
                               item->waiting_count, gateway_worker_random(w));
        delivery_item_explain(&item->delivery, gateway_worker_now_ms(w), &wait);
        report_deferred(out, &wait);
    }
    report = out->report;
    out->report = NULL;
    release(out);
    gateway_report_post(report, w->loop, item->waiting_count == 0);
    gateway_dispatch_run_soon(&w->dispatch);
}

void gateway_outbound_item_return(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;

    delivery_item_returned(w->dispatch.scheduler, gateway_worker_now_ms(w), &out->delivery,
                           gateway_worker_random(w));
    release(out);
    gateway_dispatch_run_soon(&w->dispatch);
}

bool gateway_outbound_item_next_host(struct gateway_outbound *out, const struct smtp_reply *reply)
{
    struct gateway_worker *w = out->worker;

    if (!delivery_item_try_next(w->dispatch.scheduler, gateway_worker_now_ms(w), &out->delivery))
        return false;
    gateway_outbound_log_reply(out, reply);
    release(out);
    gateway_dispatch_run_soon(&w->dispatch);
    return true;
}
