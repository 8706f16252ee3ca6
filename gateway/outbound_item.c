#include "gateway/outbound_item.h"

#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "gateway/outbound_log.h"
#include "gateway/outbound_tls.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"
#include "smtp/address.h"

#define ENHANCED_TEXT_MAX 16

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

static_assert((int)SMTP_NOTIFY_NEVER == 1 && (int)SMTP_NOTIFY_SUCCESS == 2 &&
                  (int)SMTP_NOTIFY_FAILURE == 4 && (int)SMTP_NOTIFY_DELAY == 8,
              "a record has the bits of NOTIFY as they are here");

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

/* What RFC 8689 4.2.1 wants of the way to the host before a message with REQUIRETLS may take it:
 * TLS with who it should be, and a name for it that nobody can have forged. */
static bool is_way_authentic(const struct gateway_outbound *out)
{
    return gateway_channel_tls(&out->hop.channel) != NULL && out->tls.is_authenticated &&
           out->host->is_name_authentic;
}

/* Whether the message must go with REQUIRETLS or not at all. A bounce goes without it rather than
 * be lost (RFC 8689 section 5). */
static bool demands_tls(const struct gateway_outbound *out, const struct spool_message *spool)
{
    if ((spool_message_flags(spool) & SPOOL_MESSAGE_REQUIRE_TLS) == 0)
        return false;
    return spool_message_sender(spool).len > 0 ||
           (is_way_authentic(out) && smtp_client_capabilities(&out->hop.smtp)->require_tls);
}

bool gateway_outbound_item_is_barred(const struct gateway_outbound *out,
                                     struct smtp_client_event *event_out)
{
    if (!out->envelope.require_tls || is_way_authentic(out))
        return false;
    *event_out = (struct smtp_client_event){
        .kind = SMTP_CLIENT_DONE,
        .stage = SMTP_CLIENT_STAGE_LOCAL,
        .recipients_sent = out->envelope.recipients_count,
        .reply = { .code = 550,
                   .enhanced = { 5, 7, 10 },
                   .text = SLICE("REQUIRETLS needs TLS with a host that is known to be the right "
                                 "one") },
    };
    return true;
}

/* What the message holds decides, where that is known, and not what was declared: who declares
 * 8BITMIME or SMTPUTF8 sends ASCII most of the time, which any host takes. UTF-8 in a header that
 * was not declared is sent as other mail is, as it came. An address that needs SMTPUTF8 is the SMTP
 * machine's to find. */
static void fill_content(struct gateway_outbound *out, const struct spool_message *spool)
{
    struct smtp_client_envelope *e = &out->envelope;
    unsigned flags = spool_message_flags(spool);
    bool is_known = (flags & SPOOL_MESSAGE_CONTENT_KNOWN) != 0;
    bool is_trace_8bit = smtp_has_non_ascii(spool_message_trace(spool));

    e->smtputf8 = (flags & SPOOL_MESSAGE_SMTPUTF8) != 0;
    if (!is_known) {
        e->has_8bit = (flags & SPOOL_MESSAGE_8BITMIME) != 0;
        e->eight_bit_as_is = true; /* to refuse would bounce what can be delivered */
        return;
    }
    e->has_8bit = is_trace_8bit || (flags & SPOOL_MESSAGE_HAS_8BIT) != 0;
    /* A report of ours would be lost: nobody is told of it. */
    e->eight_bit_as_is =
        out->policy->eight_bit == POLICY_EIGHT_BIT_SEND || (flags & SPOOL_MESSAGE_BOUNCE) != 0;
    e->smtputf8 = e->smtputf8 && (is_trace_8bit || (flags & SPOOL_MESSAGE_HAS_8BIT_HEADER) != 0);
}

/* For what is there for each recipient: struct gateway_outbound's arrays lie in one piece. */
static size_t places_bytes(size_t count)
{
    static_assert(alignof(struct smtp_client_recipient) >= alignof(struct gateway_failure *) &&
                      alignof(struct gateway_failure *) >= alignof(uint16_t),
                  "each begins where the one before it ends");

    return count * (sizeof(struct smtp_client_recipient) + sizeof(struct gateway_failure *) +
                    sizeof(uint16_t));
}

static void release(struct gateway_outbound *out)
{
    gateway_message_let_go(gateway_item_message(out->item));
    for (size_t i = 0; out->refusals != NULL && i < out->envelope.recipients_count; i++)
        if (out->refusals[i] != &refusal_forgotten && out->refusals[i] != &held_back)
            free(out->refusals[i]);
    pool_give(out->recipients, places_bytes(out->places));
    out->accepted = NULL;
    gateway_report_destroy(out->report);
    out->refusals = NULL;
    out->recipients = NULL;
    out->report = NULL;
    out->item = NULL;
    out->envelope = (struct smtp_client_envelope){ 0 };
}

/* Those that this try has yet to deal with. */
static unsigned unsent_of(const struct gateway_item *item)
{
    return (unsigned)item->waiting_count - item->left_count;
}

static bool make_places(struct gateway_outbound *out, unsigned count)
{
    out->recipients = pool_take_zeroed(places_bytes(count));
    if (out->recipients == NULL)
        return false;
    out->places = count;
    out->refusals = (struct gateway_failure **)(out->recipients + count);
    out->accepted = (uint16_t *)(out->refusals + count);
    return true;
}

enum status gateway_outbound_item_begin(struct gateway_outbound *out, struct gateway_item *item)
{
    const struct spool_message *spool = gateway_item_message(item)->spool;
    unsigned flags = spool_message_flags(spool);
    unsigned count = delivery_connection_recipients(&out->delivery);

    ASSERT(out->item == NULL && count > 0);
    ASSERT(count <= unsent_of(item));
    out->item = item;
    if (!make_places(out, count) ||
        gateway_report_create(item, item->waiting_count, &out->report) != STATUS_OK) {
        release(out);
        return STATUS_NO_MEMORY;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct spool_dsn dsn = spool_message_dsn(spool, gateway_item_waiting(item)[i]);

        out->recipients[i] = (struct smtp_client_recipient){
            .address = spool_message_recipient(spool, gateway_item_waiting(item)[i]),
            .orcpt = dsn.orcpt,
            .notify = dsn.notify,
        };
    }
    out->envelope = (struct smtp_client_envelope){
        .sender = spool_message_sender(spool),
        .recipients = out->recipients,
        .recipients_count = count,
        .message_bytes = spool_message_size(spool) - spool_message_dots_count(spool),
        .may_chunk = gateway_outbound_body_may_chunk(out),
        .envid = spool_message_info(spool, SPOOL_INFO_ENVELOPE_ID),
        .ret = (flags & SPOOL_MESSAGE_RET_FULL) != 0   ? SMTP_RET_FULL
               : (flags & SPOOL_MESSAGE_RET_HDRS) != 0 ? SMTP_RET_HDRS
                                                       : SMTP_RET_UNSAID,
        .require_tls = demands_tls(out, spool),
    };
    fill_content(out, spool);
    out->heard_of_item = false;
    observe_delivery_start(out->worker->log, gateway_worker_now_s(out->worker), out->dcid,
                           spool_message_mid(spool),
                           (struct observe_rids){ gateway_item_waiting(item), count });
    return STATUS_OK;
}

/* reply and outcome are borrowed. */
static struct gateway_failure_facts facts_of(const struct gateway_outbound *out,
                                             const struct delivery_outcome *outcome,
                                             const struct smtp_reply *reply, bool is_ours)
{
    return (struct gateway_failure_facts){
        .outcome = *outcome,
        .endpoint = &out->remote,
        .name = slice_from(out->host->name),
        .reply = reply,
        .at_s = gateway_worker_now_s(out->worker),
        .is_ours = is_ours,
    };
}

void gateway_outbound_item_recipient(struct gateway_outbound *out, size_t index,
                                     const struct smtp_reply *reply)
{
    struct gateway_failure_facts facts;
    struct delivery_outcome outcome;

    ASSERT(index < out->envelope.recipients_count);
    out->heard_of_item = true;
    if (smtp_reply_is_positive(reply))
        return;
    outcome = gateway_outbound_classify(DELIVERY_STAGE_RCPT, reply);
    facts = facts_of(out, &outcome, reply, false);
    out->refusals[index] = gateway_failure_create(&facts);
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
    uint64_t mid = gateway_item_message(out->item)->mid;
    struct observe_reply r = {
        .code = f->code,
        .enhanced = slice_from(f->outcome.status),
        .text = gateway_failure_said(f),
    };

    if (f->outcome.verdict == DELIVERY_VERDICT_FAILED)
        observe_delivery_bounced(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
    else
        observe_delivery_delayed(w->log, gateway_worker_now_s(w), out->dcid, mid, rid, &r);
}

/* RFC 3461 5.2.2: who has asked to hear of success, and will not by the host that has it now. */
static bool is_relayed_silently(const struct gateway_outbound *out, uint32_t rid)
{
    return !smtp_client_capabilities(&out->hop.smtp)->dsn &&
           smtp_notify_wants_success(
               spool_message_dsn(gateway_item_message(out->item)->spool, rid).notify);
}

/* For one to keep: the recipient's own refusal is taken over, what is common is copied. */
static struct gateway_failure *take_failure(struct gateway_outbound *out, size_t i,
                                            const struct gateway_failure *common)
{
    struct gateway_failure *own = out->refusals[i];

    if (own == NULL)
        return gateway_failure_copy(common);
    out->refusals[i] = NULL;
    return own != &refusal_forgotten ? own : NULL;
}

/* What was said last of a recipient that stays. */
static void note_deferred(struct gateway_outbound *out, size_t i)
{
    uint32_t rid = gateway_item_waiting(out->item)[i];

    if (out->refusals[i] == &held_back)
        return; /* nothing was */
    gateway_item_note_failure(out->item, rid,
                              out->refusals[i] != NULL ? take_failure(out, i, NULL) : NULL);
}

/* Takes recipient `i` out of the waiting ones, or keeps it at place *kept. */
static void settle(struct gateway_outbound *out, size_t i, const struct gateway_failure *common,
                   unsigned *kept)
{
    struct gateway_item *item = out->item;
    const struct gateway_failure *f = out->refusals[i] != NULL ? out->refusals[i] : common;
    uint32_t rid = gateway_item_waiting(item)[i];
    struct spool_result result = { .rid = rid,
                                   .attempts = delivery_item_attempts(&item->delivery) + 1 };

    switch (f->outcome.verdict) {
    case DELIVERY_VERDICT_DELIVERED:
        result.state = SPOOL_RESULT_DELIVERED;
        if (is_relayed_silently(out, rid))
            gateway_report_add(out->report, &result, GATEWAY_NOTICE_RELAYED,
                               take_failure(out, i, common));
        else
            gateway_report_add(out->report, &result, GATEWAY_NOTICE_NONE, NULL);
        break;
    case DELIVERY_VERDICT_FAILED:
        log_recipient(out, rid, f);
        result.state = SPOOL_RESULT_BOUNCED;
        gateway_report_add(out->report, &result, GATEWAY_NOTICE_FAILED,
                           take_failure(out, i, common));
        break;
    case DELIVERY_VERDICT_DEFERRED:
        log_recipient(out, rid, f);
        note_deferred(out, i);
        if (*kept < i) /* else it stands there, and the home may be reading it */
            gateway_item_waiting(item)[*kept] = (uint16_t)rid;
        (*kept)++;
        break;
    }
}

static void log_done(struct gateway_outbound *out, const uint16_t *rids, unsigned count,
                     struct slice reply)
{
    struct gateway_worker *w = out->worker;
    const struct spool_message *spool = gateway_item_message(out->item)->spool;
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
            out->accepted[count++] = gateway_item_waiting(out->item)[i];
    return count;
}

/* Of those sent the first `kept` have stayed, and are left for the next try. In front of them come
 * those that the scheduler did not allow yet; returns how many. */
static unsigned put_unsent_first(struct gateway_outbound *out, unsigned kept)
{
    struct gateway_item *item = out->item;
    uint16_t *waiting = gateway_item_waiting(item);
    unsigned sent = (unsigned)out->envelope.recipients_count;
    unsigned unsent = unsent_of(item) - sent;

    /* A single one stays where it is: the home may read it there (gateway/item.h). */
    if (item->all_count > 1) {
        memcpy(out->accepted, waiting, kept * sizeof(*waiting));
        memmove(waiting, waiting + sent, unsent * sizeof(*waiting));
        memmove(waiting + unsent + kept, waiting + sent + unsent,
                item->left_count * sizeof(*waiting));
        memcpy(waiting + unsent, out->accepted, kept * sizeof(*waiting));
    }
    item->left_count = (uint16_t)(item->left_count + kept);
    item->waiting_count = (uint16_t)(unsent + item->left_count);
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
                           &(struct spool_result){ .rid = gateway_item_waiting(item)[i],
                                                   .state = SPOOL_RESULT_DEFERRED,
                                                   .attempts = wait->attempts,
                                                   .next_attempt_wall_s = until_s },
                           GATEWAY_NOTICE_NONE, NULL);
    observe_delivery_pending(
        w->log, gateway_worker_now_s(w), gateway_item_message(item)->mid,
        (struct observe_rids){ gateway_item_waiting(item), item->waiting_count }, until_s);
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

/* The last words about all that stay and were not refused by themselves; those that were not even
 * sent share them. */
static void note_common(struct gateway_outbound *out, const struct gateway_failure *common)
{
    struct gateway_item *item = out->item;

    if (common->outcome.verdict != DELIVERY_VERDICT_DEFERRED)
        return;
    gateway_item_note_common(item, gateway_failure_copy(common));
    for (size_t i = out->envelope.recipients_count; i < unsent_of(item); i++)
        gateway_item_note_failure(item, gateway_item_waiting(item)[i], NULL);
}

void gateway_outbound_item_end(struct gateway_outbound *out, const struct delivery_outcome *outcome,
                               const struct smtp_reply *reply, bool is_ours)
{
    struct gateway_worker *w = out->worker;
    struct gateway_item *item = out->item;
    struct delivery_scheduler *scheduler = w->dispatch.scheduler;
    struct gateway_report *report;
    struct delivery_wait wait;
    struct gateway_failure_facts facts = facts_of(out, outcome, reply, is_ours);
    struct gateway_failure_room room; /* a copy is for who is to be told of it */
    const struct gateway_failure *common = gateway_failure_write(&facts, &room);
    unsigned kept = 0, unsent, count = accepted(out);

    count_results(out, outcome->verdict);
    if (outcome->verdict == DELIVERY_VERDICT_DELIVERED && count > 0)
        log_done(out, out->accepted, count, gateway_failure_said(common));
    note_common(out, common);
    for (size_t i = 0; i < out->envelope.recipients_count; i++)
        settle(out, i, common, &kept);
    unsent = put_unsent_first(out, kept);
    /* What is said of the message as a whole holds for those not sent, too. */
    if (unsent > 0 && outcome->verdict != DELIVERY_VERDICT_DEFERRED) {
        delivery_item_continued(scheduler, gateway_worker_now_ms(w), &out->delivery);
    } else if (item->waiting_count == 0) {
        delivery_item_done(scheduler, gateway_worker_now_ms(w), &out->delivery);
    } else {
        item->left_count = 0;
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

void gateway_outbound_item_postpone(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;

    delivery_item_postponed(w->dispatch.scheduler, gateway_worker_now_ms(w), &out->delivery);
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
