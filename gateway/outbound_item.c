#include "gateway/outbound_item.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/worker.h"
#include "observe/mail_events.h"

#define ENHANCED_TEXT_MAX 16

/* Stands for a refusal that there was no memory to keep: the recipient is tried again. */
static struct gateway_failure refusal_forgotten = {
    .outcome = { .verdict = DELIVERY_VERDICT_DEFERRED,
                 .scope = DELIVERY_SCOPE_RECIPIENT,
                 .status = "4.3.0",
                 .reason = "4.3.0 - Other mail system problem" },
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
        if (out->refusals[i] != &refusal_forgotten)
            free(out->refusals[i]);
    free(out->refusals);
    free(out->recipients);
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
    size_t count = item->waiting_count;

    ASSERT(out->item == NULL && count > 0);
    out->item = item;
    out->recipients = calloc(count, sizeof(*out->recipients));
    out->refusals = calloc(count, sizeof(struct gateway_failure *));
    if (out->recipients == NULL || out->refusals == NULL ||
        gateway_report_create(item, item->waiting_count, &out->report) != STATUS_OK) {
        release(out);
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++)
        out->recipients[i] = spool_message_recipient(spool, item->waiting[i]);
    out->envelope = (struct smtp_client_envelope){
        .sender = spool_message_sender(spool),
        .recipients = out->recipients,
        .recipients_count = count,
        .message_bytes = spool_message_size(spool),
        .has_8bit = (flags & SPOOL_MESSAGE_8BITMIME) != 0,
        .smtputf8 = (flags & SPOOL_MESSAGE_SMTPUTF8) != 0,
    };
    out->heard_of_item = false;
    observe_delivery_start(out->worker->log, gateway_worker_now_s(out->worker), out->dcid,
                           spool_message_mid(spool),
                           (struct observe_rids){ item->waiting, item->waiting_count });
    return STATUS_OK;
}

static struct gateway_failure *failure_create(const struct gateway_outbound *out,
                                              const struct delivery_outcome *outcome,
                                              const struct smtp_reply *reply)
{
    struct gateway_failure *f = calloc(1, sizeof(*f));
    char enhanced[ENHANCED_TEXT_MAX];
    struct slice status;

    if (f == NULL)
        return NULL;
    status = enhanced_text(&reply->enhanced, enhanced);
    f->outcome = *outcome;
    (void)ip_endpoint_format(&out->remote, f->remote);
    if (reply->code != 0)
        (void)snprintf(f->reply, sizeof(f->reply), "%u %.*s%s%.*s", reply->code, SLICE_ARGS(status),
                       status.len > 0 ? " " : "", SLICE_ARGS(reply->text));
    return f;
}

void gateway_outbound_item_recipient(struct gateway_outbound *out, size_t index,
                                     const struct smtp_reply *reply)
{
    struct delivery_outcome outcome;

    ASSERT(index < out->envelope.recipients_count);
    out->heard_of_item = true;
    if (smtp_reply_is_positive(reply))
        return;
    outcome = gateway_outbound_classify(DELIVERY_STAGE_RCPT, reply);
    out->refusals[index] = failure_create(out, &outcome, reply);
    if (out->refusals[index] == NULL)
        out->refusals[index] = &refusal_forgotten;
}

static void log_recipient(struct gateway_outbound *out, uint32_t rid,
                          const struct delivery_outcome *outcome, const struct smtp_reply *reply)
{
    struct gateway_worker *w = out->worker;
    uint64_t mid = spool_message_mid(out->item->message->spool);
    struct observe_reply r = {
        .code = reply->code,
        .enhanced = slice_from(outcome->status),
        .text = reply->text,
    };

    if (outcome->verdict == DELIVERY_VERDICT_FAILED)
        observe_delivery_bounced(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
    else
        observe_delivery_delayed(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
}

/* What a refusal said, from its text: code, space, the rest. */
static struct smtp_reply reply_of(const struct gateway_failure *f)
{
    struct slice text = slice_from(f->reply), code = slice_cut(&text, ' ');
    struct smtp_reply reply = { .text = text };
    uint64_t number = 0;

    if (slice_to_number(code, 999, &number))
        reply.code = (uint16_t)number;
    return reply;
}

/* Takes recipient `i` out of the waiting ones, or keeps it at place *kept. */
static void settle(struct gateway_outbound *out, size_t i, const struct delivery_outcome *outcome,
                   const struct smtp_reply *reply, unsigned *kept)
{
    struct gateway_item *item = out->item;
    uint32_t rid = item->waiting[i];
    struct spool_result result = { .rid = rid, .attempts = item->attempts + 1 };

    switch (outcome->verdict) {
    case DELIVERY_VERDICT_DELIVERED:
        result.state = SPOOL_RESULT_DELIVERED;
        gateway_report_add(out->report, &result, NULL);
        break;
    case DELIVERY_VERDICT_FAILED:
        log_recipient(out, rid, outcome, reply);
        result.state = SPOOL_RESULT_BOUNCED;
        gateway_report_add(out->report, &result,
                           out->refusals[i] != NULL ? out->refusals[i]
                                                    : failure_create(out, outcome, reply));
        out->refusals[i] = NULL;
        break;
    case DELIVERY_VERDICT_DEFERRED:
        log_recipient(out, rid, outcome, reply);
        item->waiting[(*kept)++] = rid;
        break;
    }
}

static void log_done(struct gateway_outbound *out, const uint32_t *rids, unsigned count,
                     const struct smtp_reply *reply)
{
    struct gateway_worker *w = out->worker;
    const struct spool_message *spool = out->item->message->spool;
    uint64_t mid = spool_message_mid(spool);
    struct observe_rids list = { rids, count };
    char enhanced[ENHANCED_TEXT_MAX], text[512];
    struct slice status = enhanced_text(&reply->enhanced, enhanced);

    (void)snprintf(text, sizeof(text), "%.*s%s%.*s", SLICE_ARGS(status), status.len > 0 ? " " : "",
                   SLICE_ARGS(reply->text));
    observe_delivery_done(w->log, gateway_worker_now_s(w), out->dcid, mid, list);
    observe_delivery_response(w->log, gateway_worker_now_s(w), mid, list, slice_from(text));
    observe_count(&w->counters, OBSERVE_BYTES_DELIVERED, spool_message_size(spool));
}

/* The recipients that the outcome of the message holds for, in front; returns how many. */
static unsigned accepted(const struct gateway_outbound *out, uint32_t *rids)
{
    unsigned count = 0;

    for (unsigned i = 0; i < out->item->waiting_count; i++)
        if (out->refusals[i] == NULL)
            rids[count++] = out->item->waiting[i];
    return count;
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

void gateway_outbound_item_end(struct gateway_outbound *out, const struct delivery_outcome *outcome,
                               const struct smtp_reply *reply)
{
    struct gateway_worker *w = out->worker;
    struct gateway_item *item = out->item;
    struct delivery_scheduler *scheduler = w->dispatch.scheduler;
    struct gateway_report *report;
    struct delivery_wait wait;
    unsigned kept = 0, count;

    if (outcome->verdict == DELIVERY_VERDICT_DELIVERED) {
        /* The recipients' slices are of no more use: the room serves for their numbers. */
        uint32_t *rids = (uint32_t *)(void *)out->recipients;

        count = accepted(out, rids);
        if (count > 0)
            log_done(out, rids, count, reply);
    }
    for (size_t i = 0; i < out->envelope.recipients_count; i++) {
        const struct gateway_failure *refusal = out->refusals[i];

        if (refusal != NULL) {
            struct smtp_reply said = reply_of(refusal);

            settle(out, i, &refusal->outcome, &said, &kept);
        } else {
            settle(out, i, outcome, reply, &kept);
        }
    }
    item->waiting_count = kept;
    item->attempts++;
    if (kept == 0) {
        delivery_item_done(scheduler, gateway_worker_now_ms(w), &out->delivery);
    } else {
        delivery_item_deferred(scheduler, gateway_worker_now_ms(w), &out->delivery,
                               gateway_worker_random(w));
        delivery_item_explain(&item->delivery, gateway_worker_now_ms(w), &wait);
        report_deferred(out, &wait);
    }
    report = out->report;
    out->report = NULL;
    release(out);
    gateway_report_post(report, w->loop, kept == 0);
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
