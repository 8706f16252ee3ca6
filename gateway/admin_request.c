#include "gateway/admin_request.h"

#include <unistd.h>

#include "base/allocations.h"
#include "base/clock.h"
#include "base/json.h"
#include "gateway/alerts.h"
#include "gateway/limits_describe.h"
#include "gateway/recovery.h"
#include "gateway/tls_reports.h"
#include "gateway/worker.h"
#include "observe/alert_text.h"

enum operand {
    OPERAND_NONE,
    OPERAND_ADDRESS,
    OPERAND_COUNT /* or none */,
    OPERAND_SEND /* or none */
};

static const struct {
    const char *word;
    enum gateway_admin_verb verb;
    enum operand operand;
} verbs[] = {
    { "status", GATEWAY_ADMIN_STATUS, OPERAND_NONE },
    { "counters", GATEWAY_ADMIN_COUNTERS, OPERAND_NONE },
    { "generation", GATEWAY_ADMIN_GENERATION, OPERAND_NONE },
    { "sender", GATEWAY_ADMIN_SENDER, OPERAND_ADDRESS },
    { "alerts", GATEWAY_ADMIN_ALERTS, OPERAND_COUNT },
    { "tls-reports", GATEWAY_ADMIN_TLS_REPORTS, OPERAND_SEND },
};

/* "ADDRESS", or with three numbers behind it. */
static bool parse_sender(struct slice text, struct gateway_limits_question *question)
{
    struct slice address = slice_cut(&text, ' '), bits_v4, bits_v6;
    uint64_t v4, v6, interval_s;

    *question = (struct gateway_limits_question){ .bits_v4 = POLICY_FLOW_BITS_V4_DEFAULT,
                                                  .bits_v6 = POLICY_FLOW_BITS_V6_DEFAULT,
                                                  .interval_s = 3600 };
    if (!ip_parse(address, &question->address))
        return false;
    text = slice_trim(text);
    if (text.len == 0)
        return true;
    bits_v4 = slice_cut(&text, ' ');
    bits_v6 = slice_cut(&text, ' ');
    if (!slice_to_number(bits_v4, 32, &v4) || !slice_to_number(bits_v6, 128, &v6) ||
        !slice_to_number(text, RATES_PERIOD_S_MAX, &interval_s) || v4 == 0 || v6 == 0 ||
        interval_s == 0)
        return false;
    question->bits_v4 = (uint32_t)v4;
    question->bits_v6 = (uint32_t)v6;
    question->interval_s = (uint32_t)interval_s;
    return true;
}

/* "", "send" or "send DATE". */
static bool parse_send(struct slice text, struct gateway_admin_request *request)
{
    if (text.len == 0)
        return true;
    request->is_send = true;
    if (!slice_equal(slice_cut(&text, ' '), SLICE("send")))
        return false;
    text = slice_trim(text);
    request->has_day = text.len > 0;
    return !request->has_day || gateway_tls_part_parse_date(text, &request->day_s);
}

static bool parse_operand(enum operand operand, struct slice text,
                          struct gateway_admin_request *request, const char **why_out)
{
    switch (operand) {
    case OPERAND_NONE: *why_out = "this request takes no operand"; return text.len == 0;
    case OPERAND_ADDRESS:
        *why_out = "an IP address is missing, or what is behind it is none";
        return parse_sender(text, &request->sender);
    case OPERAND_COUNT:
        *why_out = "what is behind it has to be a number from 1 up";
        request->count = GATEWAY_ADMIN_ALERTS_DEFAULT;
        return text.len == 0 ||
               (slice_to_number(text, UINT32_MAX, &request->count) && request->count > 0);
    case OPERAND_SEND:
        *why_out = "what is behind it has to be send, or send and a day like 2016-04-01";
        return parse_send(text, request);
    }
    UNREACHABLE();
}

bool gateway_admin_request_parse(struct slice line, struct gateway_admin_request *request_out,
                                 const char **why_out)
{
    struct gateway_admin_request request = { 0 };
    struct slice rest = slice_trim(line), word = slice_cut(&rest, ' ');

    rest = slice_trim(rest);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!slice_equal(word, slice_from(verbs[i].word)))
            continue;
        request.verb = verbs[i].verb;
        if (!parse_operand(verbs[i].operand, rest, &request, why_out))
            return false;
        *request_out = request;
        return true;
    }
    *why_out =
        "no such request; there are: status, counters, generation, sender ADDRESS, alerts [N], "
        "tls-reports [send [DATE]], queue ...";
    return false;
}

static void write_counters(struct gateway_process *p, struct json_writer *w)
{
    const struct observe_counters *sets[CONFIG_WORKERS_MAX];
    uint64_t sums[OBSERVE_COUNTERS_COUNT];

    for (unsigned i = 0; i < p->workers_count; i++)
        sets[i] = &p->workers[i].counters;
    observe_counters_sum(sets, p->workers_count, sums);
    json_name(w, "counters");
    json_open_object(w);
    for (unsigned which = 0; which < OBSERVE_COUNTERS_COUNT; which++)
        json_member_number(w, observe_counter_name(which), sums[which]);
    json_close(w);
}

/* A worker that has not taken up the newest generation gives new sessions the one before. */
static void write_generation(struct gateway_process *p, const struct gateway_listing_copy *listing,
                             struct json_writer *w)
{
    bool is_in_force = true;

    json_member_number(w, "generation", listing->generation);
    json_name(w, "workers");
    json_open_array(w);
    for (unsigned i = 0; i < p->workers_count; i++) {
        uint64_t generation = atomic_load(&p->workers[i].generation);

        is_in_force = is_in_force && generation == listing->generation;
        json_number(w, generation);
    }
    json_close(w);
    json_name(w, "in_force");
    json_bool(w, is_in_force);
}

static void write_recovery(const struct gateway_process *p, struct json_writer *w)
{
    struct gateway_recovery_progress recovery = gateway_recovery_progress(p->recovery);

    json_member_number(w, "spool_recovery_segments", recovery.segments);
    json_member_number(w, "spool_recovery_read", recovery.read);
    json_name(w, "spool_is_recovered");
    json_bool(w, recovery.is_over);
}

static void write_status(struct gateway_process *p, const struct gateway_listing_copy *listing,
                         struct json_writer *w)
{
    json_member_text(w, "version", SLICE(POSTERN_VERSION));
    json_member_number(w, "pid", (uint64_t)getpid());
    json_member_number(w, "uptime_s", (clock_monotonic_ms() - p->started_ms) / 1000);
    write_generation(p, listing, w);
    json_member_number(w, "reload_failed_s", (uint64_t)atomic_load(&p->reload_failed_s));
    json_name(w, "listeners");
    json_open_array(w);
    for (size_t i = 0; i < listing->listeners_count; i++) {
        const struct gateway_listing_listener *listener = &listing->listeners[i];
        char endpoint[IP_ENDPOINT_MAX];

        json_open_object(w);
        json_member_text(w, "name", slice_from(listener->name));
        json_member_text(w, "endpoint",
                         slice_from(ip_endpoint_format(&listener->endpoint, endpoint)));
        json_member_number(w, "connections", atomic_load(&p->loads[listener->load].connections));
        json_close(w);
    }
    json_close(w);
    json_member_number(w, "allocations", allocations_count());
    json_member_number(w, "message_bytes", atomic_load(&p->message_bytes));
    json_member_number(w, "queue_bytes", atomic_load(&p->queue_bytes));
    json_member_number(w, "spool_segment_bytes", atomic_load(&p->segment_bytes));
    json_member_number(w, "spool_body_bytes", atomic_load(&p->body_bytes));
    json_member_number(w, "spool_quarantined", atomic_load(&p->quarantined));
    json_name(w, "spool_is_low");
    json_bool(w, atomic_load(&p->spool_is_low));
    json_name(w, "spool_is_silent");
    json_bool(w, atomic_load(&p->spool_is_silent));
    json_name(w, "spool_is_gone");
    json_bool(w, atomic_load(&p->spool_is_gone));
    write_recovery(p, w);
    write_counters(p, w);
}

static void write_sender(struct gateway_process *p, const struct gateway_limits_question *question,
                         struct json_writer *w)
{
    char text[IP_TEXT_MAX];

    json_member_text(w, "sender", slice_from(ip_format(&question->address, text)));
    gateway_limits_describe(p, question, clock_monotonic_ms() / 1000, w);
}

/* The newest first. */
static void write_alerts(struct gateway_process *p, uint64_t max, struct json_writer *w)
{
    struct gateway_alert_record records[GATEWAY_ALERTS_LATEST_MAX];
    size_t count = gateway_alerts_latest(
        p->alerts, records,
        max < GATEWAY_ALERTS_LATEST_MAX ? (size_t)max : GATEWAY_ALERTS_LATEST_MAX);

    json_name(w, "alerts");
    json_open_array(w);
    for (size_t i = 0; i < count; i++) {
        const struct gateway_alert_record *r = &records[i];

        json_open_object(w);
        json_member_number(w, "time", (uint64_t)r->wall_s);
        json_member_text(w, "severity", slice_from(observe_severity_name(r->severity)));
        json_member_text(w, "kind", slice_from(observe_alert_kind_name(r->kind)));
        json_member_text(w, "step", slice_from(observe_alert_step_name(r->step)));
        json_member_text(w, "about", slice_from(r->subject));
        json_member_number(w, "count", r->count);
        json_member_text(w, "text", slice_from(r->text));
        json_close(w);
    }
    json_close(w);
}

static void write_tls_part(const struct gateway_tls_part_facts *f, struct json_writer *w)
{
    char date[GATEWAY_TLS_PART_DATE_MAX];

    json_open_object(w);
    json_member_text(w, "day", slice_from(gateway_tls_part_date(f->day_s, date)));
    json_member_text(w, "state", f->is_closed ? SLICE("sending") : SLICE("gathering"));
    json_member_number(w, "due", (uint64_t)f->due_s);
    json_member_number(w, "sessions", f->sessions);
    json_member_number(w, "domains", f->domains);
    json_member_number(w, "sent", f->counts[GATEWAY_TLS_TARGET_SENT]);
    json_member_number(w, "unwanted", f->counts[GATEWAY_TLS_TARGET_UNWANTED]);
    json_member_number(w, "given_up", f->counts[GATEWAY_TLS_TARGET_GIVEN_UP]);
    json_member_number(
        w, "waiting", f->counts[GATEWAY_TLS_TARGET_WAITING] + f->counts[GATEWAY_TLS_TARGET_ACTIVE]);
    json_close(w);
}

static void write_tls_reports(struct gateway_process *p, bool is_begun, struct json_writer *w)
{
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    bool is_on;
    size_t count = gateway_tls_reports_facts(p->tls_reports, facts, &is_on);

    json_name(w, "send");
    json_bool(w, is_on);
    json_name(w, "begun");
    json_bool(w, is_begun);
    json_name(w, "parts");
    json_open_array(w);
    for (size_t i = 0; i < count; i++)
        write_tls_part(&facts[i], w);
    json_close(w);
}

static enum status end_reply(struct json_writer *w, struct buffer *reply)
{
    json_close(w);
    TRY(json_finish(w));
    return buffer_append(reply, SLICE("\n"));
}

enum status gateway_admin_answer(struct gateway_process *process, struct slice line,
                                 struct buffer *reply)
{
    struct gateway_admin_request request;
    struct gateway_listing_copy listing;
    struct json_writer w;
    const char *why;

    if (!gateway_admin_request_parse(line, &request, &why))
        return gateway_admin_answer_error(why, reply);
    if (request.is_send &&
        !gateway_tls_reports_send(process->tls_reports, request.has_day ? &request.day_s : NULL))
        return gateway_admin_answer_error("tls_reports.send is false: nothing is gathered", reply);
    gateway_listing_read(&process->listing, &listing);
    json_init(&w, reply);
    json_open_object(&w);
    switch (request.verb) {
    case GATEWAY_ADMIN_STATUS: write_status(process, &listing, &w); break;
    case GATEWAY_ADMIN_COUNTERS: write_counters(process, &w); break;
    case GATEWAY_ADMIN_GENERATION: write_generation(process, &listing, &w); break;
    case GATEWAY_ADMIN_SENDER: write_sender(process, &request.sender, &w); break;
    case GATEWAY_ADMIN_ALERTS: write_alerts(process, request.count, &w); break;
    case GATEWAY_ADMIN_TLS_REPORTS: write_tls_reports(process, request.is_send, &w); break;
    }
    return end_reply(&w, reply);
}

enum status gateway_admin_answer_error(const char *why, struct buffer *reply)
{
    struct json_writer w;

    json_init(&w, reply);
    json_open_object(&w);
    json_member_text(&w, "error", slice_from(why));
    return end_reply(&w, reply);
}
