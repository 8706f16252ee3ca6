#include "gateway/bounce.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "delivery/dsn.h"
#include "gateway/bounce_profiles.h"
#include "gateway/original.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"
#include "smtp/dsn.h"
#include "smtp/xtext.h"

/* What a notification says of one recipient at the most, for people and for programs: address,
 * reason, host and reply twice, folded, the original recipient, dates and names of fields. UTF-8
 * may be written out. */
#define RECIPIENT_BYTES_MAX                                                                        \
    ((size_t)2 * (DELIVERY_DSN_VALUE_MAX + DELIVERY_REASON_TEXT_MAX + GATEWAY_FAILURE_NAME_MAX +   \
                  GATEWAY_FAILURE_REPLY_MAX) +                                                     \
     DELIVERY_DSN_VALUE_MAX + 512)
#define HEAD_BYTES_MAX ((size_t)64 * 1024) /* all that does not depend on their number */
/* At worst each line of the original is a dot, and gets another. */
#define ORIGINAL_BYTES_MAX (DELIVERY_DSN_ORIGINAL_MAX / 3 * 4)

static_assert(GATEWAY_BOUNCE_RECIPIENTS_MAX * RECIPIENT_BYTES_MAX + HEAD_BYTES_MAX +
                      ORIGINAL_BYTES_MAX <=
                  SPOOL_BODY_INLINE_MAX,
              "a notification fits into a record");
static_assert(GATEWAY_BOUNCE_RECIPIENTS_MAX <= DELIVERY_DSN_RECIPIENTS_MAX, "and into a report");
static_assert(POLICY_BOUNCE_COPY_BYTES_MAX <= DELIVERY_DSN_ORIGINAL_MAX, "as much as may be set");
static_assert(SMTP_ORCPT_BYTES_MAX <= SPOOL_ORCPT_MAX, "what is taken can be kept");

static const enum delivery_dsn_action actions[GATEWAY_NOTICES_COUNT] = {
    [GATEWAY_NOTICE_FAILED] = DELIVERY_DSN_FAILED,
    [GATEWAY_NOTICE_DELAYED] = DELIVERY_DSN_DELAYED,
    [GATEWAY_NOTICE_RELAYED] = DELIVERY_DSN_RELAYED,
};

static const struct policy_bounce_profile *profile_of(const struct gateway_message *m,
                                                      const struct gateway_report *report)
{
    return gateway_bounce_profile_of(m->home->view, gateway_message_listener(m),
                                     gateway_item_domain(report->item));
}

static bool has_sender(const struct gateway_message *m)
{
    return delivery_dsn_wanted(spool_message_sender(m->spool));
}

/* --- who is to be told ----------------------------------------------------------------------- */

static void log_double_bounce(const struct gateway_message *m, const struct gateway_verdict *v)
{
    struct gateway_worker *w = m->home;
    const struct gateway_failure *f = v->failure;
    struct observe_reply reply = { 0 };

    if (f != NULL)
        reply = (struct observe_reply){ .code = f->code,
                                        .enhanced = slice_from(f->outcome.status),
                                        .text = gateway_failure_said(f) };
    observe_delivery_double_bounce(w->log, gateway_worker_now_s(w), m->mid, v->result.rid, &reply);
    observe_count(&w->counters, OBSERVE_DOUBLE_BOUNCES, 1);
}

static void log_withheld(const struct gateway_message *m, const struct gateway_verdict *v,
                         const char *why)
{
    struct gateway_worker *w = m->home;

    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "MID %llu to RID %u: no bounce is sent: %s", (unsigned long long)m->mid,
                     v->result.rid, why);
    observe_count(&w->counters, OBSERVE_BOUNCES_WITHHELD, 1);
}

/* Why nobody is told that delivery failed; NULL: somebody is. */
static const char *obstacle_of(const struct gateway_message *m, const struct gateway_report *report,
                               const struct gateway_verdict *v)
{
    unsigned notify = spool_message_dsn(m->spool, v->result.rid).notify;

    if ((spool_message_flags(m->spool) & SPOOL_MESSAGE_DOUBLE) != 0)
        return "it told of a double bounce itself";
    if (!smtp_notify_wants_failure(notify))
        return "the sender does not want one (NOTIFY)";
    if (!has_sender(m))
        return gateway_view_settings(m->home->view)->double_bounces == CONFIG_DOUBLE_BOUNCES_DROP
                   ? "double bounces are dropped"
                   : NULL;
    return profile_of(m, report)->send_bounces ? NULL : "the bounce profile says so";
}

static bool judge_failed(const struct gateway_message *m, const struct gateway_report *report,
                         const struct gateway_verdict *v)
{
    const char *obstacle = obstacle_of(m, report, v);

    if (!has_sender(m))
        log_double_bounce(m, v);
    if (obstacle != NULL)
        log_withheld(m, v, obstacle);
    return obstacle == NULL;
}

/* Settles once what becomes of each notice, whatever is configured later on. */
static void judge(const struct gateway_message *m, struct gateway_report *report)
{
    for (unsigned i = 0; i < report->verdicts_count; i++) {
        struct gateway_verdict *v = &report->verdicts[i];
        unsigned notify = spool_message_dsn(m->spool, v->result.rid).notify;
        bool is_told = false;

        switch (v->notice) {
        case GATEWAY_NOTICE_NONE: break;
        case GATEWAY_NOTICE_FAILED: is_told = judge_failed(m, report, v); break;
        case GATEWAY_NOTICE_DELAYED:
            is_told = has_sender(m) && smtp_notify_wants_delay(notify);
            break;
        case GATEWAY_NOTICE_RELAYED:
            is_told = has_sender(m) && smtp_notify_wants_success(notify);
            break;
        case GATEWAY_NOTICES_COUNT: UNREACHABLE();
        }
        v->is_silent = !is_told;
    }
    report->is_judged = true;
}

/* Success is for who has asked for it; what goes wrong, for whom the operator has named. */
static struct slice addressee(const struct gateway_message *m, const struct gateway_report *report)
{
    const struct policy_bounce_profile *profile = profile_of(m, report);

    if (!has_sender(m))
        return slice_from(gateway_view_settings(m->home->view)->postmaster);
    if (report->notice != GATEWAY_NOTICE_RELAYED && profile->bounces_to.len > 0)
        return profile->bounces_to;
    return spool_message_sender(m->spool);
}

/* --- what they are told ---------------------------------------------------------------------- */

/* Texts of a recipient that do not lie somewhere else. */
struct told {
    char original[SMTP_ORCPT_BYTES_MAX];
    char address[IP_TEXT_MAX];
    char last_attempt[CLOCK_DATE_MAX];
};

/* Decodes what a record holds: it may be anything that once was accepted, or damage. Empty: it was
 * not given, or makes no sense. */
static struct slice decode_orcpt(struct slice orcpt, char text[static SMTP_ORCPT_BYTES_MAX])
{
    struct slice rest = orcpt, type = slice_cut(&rest, ';');
    size_t len = type.len + 1, decoded;

    if (!smtp_orcpt_is_valid(orcpt))
        return (struct slice){ 0 };
    memcpy(text, orcpt.data, len);
    if (slice_is_word(type, "utf-8")) { /* as it is: RFC 6533 has a coding of its own within */
        memcpy(text + len, rest.data, rest.len);
        return (struct slice){ text, len + rest.len };
    }
    if (!smtp_xtext_decode(rest, SMTP_XTEXT_CAPITALS, text + len, &decoded))
        return (struct slice){ 0 };
    return (struct slice){ text, len + decoded };
}

static struct slice decode_envid(struct slice envid, char text[static SMTP_ENVID_BYTES_MAX])
{
    size_t len;

    if (!smtp_envid_is_valid(envid) || !smtp_xtext_decode(envid, SMTP_XTEXT_CAPITALS, text, &len))
        return (struct slice){ 0 };
    return (struct slice){ text, len };
}

static void fill_recipient(const struct gateway_message *m, const struct gateway_verdict *v,
                           struct told *told, struct delivery_dsn_recipient *r)
{
    const struct gateway_failure *f = v->failure;

    *r = (struct delivery_dsn_recipient){
        .address = spool_message_recipient(m->spool, v->result.rid),
        .original = decode_orcpt(spool_message_dsn(m->spool, v->result.rid).orcpt, told->original),
    };
    if (f == NULL)
        return;
    if (v->notice != GATEWAY_NOTICE_RELAYED) { /* the host's own word is about its acceptance */
        r->status = slice_from(f->outcome.status);
        r->reason = slice_from(f->outcome.reason);
    }
    r->remote_name = gateway_failure_name(f);
    r->reply = gateway_failure_reply(f);
    r->reply_is_ours = f->is_ours;
    if (f->has_host)
        r->remote_address = slice_from(ip_format(&f->endpoint.address, told->address));
    if (f->at_s > 0)
        r->last_attempt = slice_from(clock_format_mail(f->at_s, told->last_attempt));
}

static bool is_to_be_told(const struct gateway_report *report, unsigned i)
{
    const struct gateway_verdict *v = &report->verdicts[i];

    return v->notice == report->notice && !v->is_silent;
}

/* The next ones that nobody has been told of; moves report->telling behind them. */
static size_t fill_recipients(const struct gateway_message *m, struct gateway_report *report,
                              struct told *told, struct delivery_dsn_recipient *recipients)
{
    size_t count = 0;
    unsigned i = report->told;

    for (; i < report->verdicts_count && count < GATEWAY_BOUNCE_RECIPIENTS_MAX; i++)
        if (is_to_be_told(report, i)) {
            fill_recipient(m, &report->verdicts[i], &told[count], &recipients[count]);
            count++;
        }
    report->telling = i;
    return count;
}

/* What is to come back of it. */
struct original {
    struct slice text; /* header and body */
    bool is_cut;       /* there is more of it */
};

/* Both lie in memory, one behind the other. */
static struct original original_in_memory(const struct spool_message *spool)
{
    struct slice trace = spool_message_trace(spool);
    struct slice body = spool_message_body(spool);

    if (trace.len > 0 && trace.data + trace.len == body.data)
        return (struct original){ .text = { trace.data, trace.len + body.len } };
    return (struct original){ .text = body };
}

/* RET is about failures only (RFC 3461 4.3); REQUIRETLS is stronger (RFC 8689 section 5). */
static uint64_t original_bytes_max(const struct gateway_message *m,
                                   const struct gateway_report *report)
{
    const unsigned header_only = SPOOL_MESSAGE_RET_HDRS | SPOOL_MESSAGE_REQUIRE_TLS;

    if (report->notice != GATEWAY_NOTICE_FAILED ||
        (spool_message_flags(m->spool) & header_only) != 0)
        return 0;
    return profile_of(m, report)->max_copy_bytes;
}

static enum status build(const struct gateway_message *m, struct gateway_report *report,
                         uint64_t mid, const struct original *original, struct buffer *text,
                         struct delivery_dsn_traits *traits)
{
    const struct gateway_worker *w = m->home;
    struct slice hostname = slice_from(gateway_view_settings(w->view)->hostname);
    char date[CLOCK_DATE_MAX], arrival[CLOCK_DATE_MAX], until[CLOCK_DATE_MAX], id[512];
    char envid[SMTP_ENVID_BYTES_MAX];
    struct delivery_dsn dsn = {
        .action = actions[report->notice],
        .hostname = hostname,
        .to = addressee(m, report),
        .date = slice_from(clock_format_mail(gateway_worker_now_s(w), date)),
        .arrival_date =
            slice_from(clock_format_mail((time_t)spool_message_arrival_wall_s(m->spool), arrival)),
        .envelope_id = decode_envid(spool_message_info(m->spool, SPOOL_INFO_ENVELOPE_ID), envid),
        .is_double = !has_sender(m),
        .mid = mid,
        .original = original->text,
        .original_is_cut = original->is_cut,
        .original_bytes_max = original_bytes_max(m, report),
        .original_is_stuffed = (spool_message_flags(m->spool) & SPOOL_MESSAGE_NOT_STUFFED) == 0,
        .original_is_smtputf8 = (spool_message_flags(m->spool) & SPOOL_MESSAGE_SMTPUTF8) != 0,
    };
    struct delivery_dsn_recipient *recipients;
    struct told *told;
    enum status status = STATUS_NO_MEMORY;

    recipients = calloc(GATEWAY_BOUNCE_RECIPIENTS_MAX, sizeof(*recipients));
    told = calloc(GATEWAY_BOUNCE_RECIPIENTS_MAX, sizeof(*told));
    if (recipients != NULL && told != NULL) {
        (void)snprintf(id, sizeof(id), "%llu.dsn@%.*s", (unsigned long long)mid,
                       SLICE_ARGS(hostname));
        dsn.message_id = slice_from(id);
        if (report->retry_until_s > 0)
            dsn.retry_until = slice_from(clock_format_mail(report->retry_until_s, until));
        dsn.recipients = recipients;
        dsn.recipients_count = fill_recipients(m, report, told, recipients);
        status = delivery_dsn_build(&dsn, text, traits);
    }
    free(told);
    free(recipients);
    return status;
}

/* --- one after the other --------------------------------------------------------------------- */

static enum status compose(const struct gateway_message *m, const struct gateway_report *report,
                           uint64_t mid, struct slice text,
                           const struct delivery_dsn_traits *traits, struct spool_draft *draft)
{
    struct spool_envelope envelope = {
        .mid = mid,
        .arrival_wall_s = gateway_worker_now_s(m->home),
        .flags = SPOOL_MESSAGE_BOUNCE | (traits->eight_bit ? SPOOL_MESSAGE_8BITMIME : 0u) |
                 (traits->smtputf8 ? SPOOL_MESSAGE_SMTPUTF8 : 0u) |
                 (has_sender(m) ? 0u : SPOOL_MESSAGE_DOUBLE) |
                 (spool_message_flags(m->spool) & SPOOL_MESSAGE_REQUIRE_TLS),
    };

    TRY(spool_draft_begin(draft, &envelope, text.len));
    TRY(spool_draft_add_recipient(draft, addressee(m, report)));
    TRY(spool_draft_body(draft, text));
    gateway_message_look(draft);
    return STATUS_OK;
}

static void log_generated(const struct gateway_message *m, const struct gateway_report *report,
                          uint64_t mid, size_t bytes)
{
    static const struct {
        enum observe_counter counter;
        const char *what;
    } kinds[GATEWAY_NOTICES_COUNT] = {
        [GATEWAY_NOTICE_FAILED] = { OBSERVE_BOUNCES_GENERATED, "bounce" },
        [GATEWAY_NOTICE_DELAYED] = { OBSERVE_DELAY_WARNINGS, "delay warning" },
        [GATEWAY_NOTICE_RELAYED] = { OBSERVE_RELAY_REPORTS, "relay report" },
    };
    struct gateway_worker *w = m->home;
    time_t now_s = gateway_worker_now_s(w);

    observe_count(&w->counters, kinds[report->notice].counter, 1);
    observe_mid_start(w->log, now_s, mid, 0);
    observe_mid_notice_generated(w->log, now_s, mid, kinds[report->notice].what, m->mid);
    observe_mid_from(w->log, now_s, mid, 0, SLICE(""));
    observe_mid_to(w->log, now_s, mid, 0, 0, addressee(m, report));
    observe_mid_ready(w->log, now_s, mid, bytes, SLICE(""));
}

static enum status attempt(struct gateway_message *m, struct gateway_report *report,
                           const struct original *original)
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
    status = build(m, report, mid, original, &text, &traits);
    if (status == STATUS_OK)
        status = compose(m, report, mid, buffer_contents(&text), &traits, &draft);
    if (status == STATUS_OK)
        status = gateway_message_commit_bounce(w, &draft, m, report);
    spool_draft_finish(&draft);
    if (status == STATUS_OK)
        log_generated(m, report, mid, buffer_len(&text));
    buffer_finish(&text);
    return status;
}

/* Finds the next notice, and place, with something to tell. */
static bool has_more_to_tell(struct gateway_report *report)
{
    for (; report->notice < GATEWAY_NOTICES_COUNT; report->notice++, report->told = 0)
        for (unsigned i = report->told; i < report->verdicts_count; i++)
            if (report->notice != GATEWAY_NOTICE_NONE && is_to_be_told(report, i))
                return true;
    return false;
}

/* Of an attempt that did not lead to a commit. */
static void put_off(struct gateway_message *m, struct gateway_report *report, enum status status)
{
    if (gateway_store_is_settled(&m->home->store))
        observe_log_line(m->home->log, OBSERVE_WARNING, gateway_worker_now_s(m->home),
                         "MID %llu: its bounce cannot be made now and is tried again: %s",
                         (unsigned long long)m->mid, status_text(status));
    gateway_bounce_retry(m, report);
}

/* For as long as its original is being read. */
struct reading {
    struct gateway_original original;
    struct gateway_message *message;
    struct gateway_report *report;
    bool is_whole;
};

/* The report is worth more than what it would return. */
static void log_unreadable(const struct gateway_message *m, enum status status)
{
    struct gateway_worker *w = m->home;

    observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w),
                     "MID %llu: its body file cannot be read, and its bounce goes without: %s",
                     (unsigned long long)m->mid, status_text(status));
}

static void on_original(struct gateway_original *o, enum status status, struct slice text)
{
    struct reading *reading = CONTAINER_OF(o, struct reading, original);
    struct gateway_message *m = reading->message;
    struct gateway_report *report = reading->report;
    const struct original original = { .text = text,
                                       .is_cut = status != STATUS_OK || !reading->is_whole };

    free(reading);
    if (status != STATUS_NO_MEMORY && status != STATUS_LIMIT) {
        if (status != STATUS_OK)
            log_unreadable(m, status);
        status = attempt(m, report, &original);
    }
    if (status != STATUS_OK)
        put_off(m, report, status);
}

/* No more than will be used of it. */
static enum status read_original(struct gateway_message *m, struct gateway_report *report)
{
    struct reading *reading = calloc(1, sizeof(*reading));

    if (reading == NULL)
        return STATUS_NO_MEMORY;
    reading->message = m;
    reading->report = report;
    reading->is_whole = spool_message_size(m->spool) <= original_bytes_max(m, report);
    gateway_original_read(m->home, &reading->original, m->spool,
                          reading->is_whole ? DELIVERY_DSN_ORIGINAL_MAX : DELIVERY_DSN_HEADER_MAX,
                          on_original);
    return STATUS_OK;
}

static void go_on(struct gateway_message *m, struct gateway_report *report)
{
    struct original original;
    enum status status;

    if (!has_more_to_tell(report)) {
        gateway_message_bounced(m, report);
        return;
    }
    if (spool_message_body_in_file(m->spool)) {
        status = read_original(m, report);
    } else {
        original = original_in_memory(m->spool);
        status = attempt(m, report, &original);
    }
    if (status != STATUS_OK)
        put_off(m, report, status);
}

void gateway_bounce_start(struct gateway_message *m, struct gateway_report *report)
{
    ASSERT(!report->is_judged);
    judge(m, report);
    go_on(m, report);
}

void gateway_bounce_committed(struct gateway_message *m, struct gateway_report *report)
{
    report->told = report->telling;
    go_on(m, report);
}

static void on_retry(struct engine_timer *timer)
{
    struct gateway_report *report = CONTAINER_OF(timer, struct gateway_report, retry);

    go_on(gateway_item_message(report->item), report);
}

void gateway_bounce_retry(struct gateway_message *m, struct gateway_report *report)
{
    uint64_t wait_ms = gateway_store_is_settled(&m->home->store) ? GATEWAY_BOUNCE_RETRY_MS
                                                                 : GATEWAY_BOUNCE_SETTLE_MS;

    engine_timer_start(m->home->loop, &report->retry, wait_ms, on_retry);
}
