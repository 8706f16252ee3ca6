#include "gateway/bounce.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "delivery/dsn.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

/* What a bounce says of one recipient at the most, for people and for programs: address, reason and
 * reply twice, folded, and names of fields. */
#define RECIPIENT_BYTES_MAX                                                                        \
    ((size_t)2 * (SMTP_MAILBOX_BYTES_MAX * 4 + DELIVERY_REASON_TEXT_MAX + GATEWAY_REPLY_TEXT_MAX))
#define HEAD_BYTES_MAX ((size_t)64 * 1024) /* all that does not depend on their number */

static_assert(GATEWAY_BOUNCE_RECIPIENTS_MAX * RECIPIENT_BYTES_MAX + HEAD_BYTES_MAX <=
                  SPOOL_BODY_INLINE_MAX,
              "a bounce fits into a record");
static_assert(GATEWAY_BOUNCE_RECIPIENTS_MAX <= DELIVERY_DSN_RECIPIENTS_MAX, "and into a report");

/* Header and body as one slice when both are in memory; else what there is. */
static struct slice original_of(const struct spool_message *spool, bool *is_cut_out)
{
    struct slice trace = spool_message_trace(spool);
    struct slice body = spool_message_body(spool);

    *is_cut_out = spool_message_body_in_file(spool);
    if (!*is_cut_out && trace.len > 0 && trace.data + trace.len == body.data)
        return (struct slice){ trace.data, trace.len + body.len };
    return *is_cut_out ? trace : body;
}

/* The next ones that nobody has been told of; moves report->telling behind them. */
static size_t fill_recipients(const struct gateway_message *m, struct gateway_report *report,
                              struct delivery_dsn_recipient *recipients)
{
    size_t count = 0;
    unsigned i = report->told;

    for (; i < report->verdicts_count && count < GATEWAY_BOUNCE_RECIPIENTS_MAX; i++) {
        const struct gateway_verdict *v = &report->verdicts[i];

        if (v->result.state != SPOOL_RESULT_BOUNCED)
            continue;
        recipients[count] = (struct delivery_dsn_recipient){
            .address = spool_message_recipient(m->spool, v->result.rid),
        };
        if (v->failure != NULL) {
            recipients[count].status = slice_from(v->failure->outcome.status);
            recipients[count].reason = slice_from(v->failure->outcome.reason);
            recipients[count].remote_address = slice_from(v->failure->remote);
            recipients[count].reply = slice_from(v->failure->reply);
        }
        count++;
    }
    report->telling = i;
    return count;
}

static enum status build(const struct gateway_message *m, struct gateway_report *report,
                         uint64_t mid, struct buffer *text, struct delivery_dsn_traits *traits)
{
    const struct gateway_worker *w = m->home;
    struct slice hostname = slice_from(gateway_view_settings(w->view)->hostname);
    char date[CLOCK_DATE_MAX], arrival[CLOCK_DATE_MAX], id[512];
    struct delivery_dsn dsn = {
        .hostname = hostname,
        .to = spool_message_sender(m->spool),
        .date = slice_from(clock_format_mail(gateway_worker_now_s(w), date)),
        .arrival_date =
            slice_from(clock_format_mail((time_t)spool_message_arrival_wall_s(m->spool), arrival)),
        .envelope_id = spool_message_info(m->spool, SPOOL_INFO_ENVELOPE_ID),
        .mid = mid,
        .original_bytes_max = POLICY_BOUNCE_COPY_BYTES_DEFAULT,
        .original_is_stuffed = (spool_message_flags(m->spool) & SPOOL_MESSAGE_NOT_STUFFED) == 0,
    };
    struct delivery_dsn_recipient *recipients;
    enum status status;

    recipients = calloc(GATEWAY_BOUNCE_RECIPIENTS_MAX, sizeof(*recipients));
    if (recipients == NULL)
        return STATUS_NO_MEMORY;
    (void)snprintf(id, sizeof(id), "%llu.dsn@%.*s", (unsigned long long)mid, SLICE_ARGS(hostname));
    dsn.message_id = slice_from(id);
    dsn.original = original_of(m->spool, &dsn.original_is_cut);
    dsn.recipients = recipients;
    dsn.recipients_count = fill_recipients(m, report, recipients);
    status = delivery_dsn_build(&dsn, text, traits);
    free(recipients);
    return status;
}

static enum status compose(struct gateway_message *m, uint64_t mid, struct slice text,
                           const struct delivery_dsn_traits *traits, struct spool_draft *draft)
{
    struct spool_envelope envelope = {
        .mid = mid,
        .arrival_wall_s = gateway_worker_now_s(m->home),
        .flags = SPOOL_MESSAGE_BOUNCE | (traits->eight_bit ? SPOOL_MESSAGE_8BITMIME : 0u) |
                 (traits->smtputf8 ? SPOOL_MESSAGE_SMTPUTF8 : 0u),
    };

    TRY(spool_draft_begin(draft, &envelope, text.len));
    TRY(spool_draft_add_recipient(draft, spool_message_sender(m->spool)));
    return spool_draft_body(draft, text);
}

static enum status attempt(struct gateway_message *m, struct gateway_report *report)
{
    struct gateway_worker *w = m->home;
    uint64_t mid = spool_ids_take(&w->process->ids, SPOOL_ID_MID);
    struct delivery_dsn_traits traits;
    struct spool_draft draft;
    struct buffer text;
    enum status status;

    if (mid == 0)
        return STATUS_LIMIT;
    buffer_init(&text, SPOOL_BODY_INLINE_MAX);
    spool_draft_init(&draft);
    status = build(m, report, mid, &text, &traits);
    if (status == STATUS_OK)
        status = compose(m, mid, buffer_contents(&text), &traits, &draft);
    if (status == STATUS_OK)
        status = gateway_message_commit_bounce(w, &draft, m, report);
    spool_draft_finish(&draft);
    if (status == STATUS_OK) {
        time_t now_s = gateway_worker_now_s(w);

        observe_count(&w->counters, OBSERVE_BOUNCES_GENERATED, 1);
        observe_mid_start(w->log, now_s, mid, 0);
        observe_mid_bounce_generated(w->log, now_s, mid, spool_message_mid(m->spool));
        observe_mid_from(w->log, now_s, mid, 0, SLICE(""));
        observe_mid_to(w->log, now_s, mid, 0, 0, spool_message_sender(m->spool));
        observe_mid_ready(w->log, now_s, mid, buffer_len(&text), SLICE(""));
    }
    buffer_finish(&text);
    return status;
}

void gateway_bounce_start(struct gateway_message *m, struct gateway_report *report)
{
    enum status status;

    if (!delivery_dsn_wanted(spool_message_sender(m->spool))) {
        gateway_message_bounced(m, report);
        return;
    }
    status = attempt(m, report);
    if (status == STATUS_OK)
        return;
    observe_log_line(m->home->log, OBSERVE_WARNING, gateway_worker_now_s(m->home),
                     "MID %llu: its bounce cannot be made now and is tried again: %s",
                     (unsigned long long)spool_message_mid(m->spool), status_text(status));
    gateway_bounce_retry(m, report);
}

static bool has_more_to_tell(const struct gateway_report *report)
{
    for (unsigned i = report->told; i < report->verdicts_count; i++)
        if (report->verdicts[i].result.state == SPOOL_RESULT_BOUNCED)
            return true;
    return false;
}

void gateway_bounce_committed(struct gateway_message *m, struct gateway_report *report)
{
    report->told = report->telling;
    if (has_more_to_tell(report))
        gateway_bounce_start(m, report);
    else
        gateway_message_bounced(m, report);
}

static void on_retry(struct engine_timer *timer)
{
    struct gateway_report *report = CONTAINER_OF(timer, struct gateway_report, retry);

    gateway_bounce_start(report->item->message, report);
}

void gateway_bounce_retry(struct gateway_message *m, struct gateway_report *report)
{
    engine_timer_start(m->home->loop, &report->retry, GATEWAY_BOUNCE_RETRY_MS, on_retry);
}
