#include "observe/tls_report.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"

#define DAY_S          86400
#define DATE_MAX       32
#define EXTENSION      ".json.gz"
#define BASE64_COLUMNS 76

time_t observe_tls_report_day(time_t wall_s)
{
    return wall_s - wall_s % DAY_S;
}

const char *observe_tls_report_name(const struct observe_tls_report *report,
                                    char name[static OBSERVE_TLS_REPORT_NAME_MAX])
{
    struct slice id = report->report_id, before_at = slice_cut(&id, '@');
    int len = snprintf(name, OBSERVE_TLS_REPORT_NAME_MAX, "%.*s!%.*s!%lld!%lld",
                       SLICE_ARGS(report->submitter), SLICE_ARGS(report->domain),
                       (long long)report->day_s, (long long)report->day_s + DAY_S - 1);
    bool has_id = false;

    ASSERT(len > 0 &&
           (size_t)len + before_at.len + sizeof("!" EXTENSION) <= OBSERVE_TLS_REPORT_NAME_MAX);
    for (size_t i = 0; i < before_at.len; i++) {
        char c = before_at.data[i];

        if (!ascii_is_letter(c) && !ascii_is_digit(c))
            continue;
        if (!has_id)
            name[len++] = '!';
        has_id = true;
        name[len++] = c;
    }
    (void)snprintf(name + len, OBSERVE_TLS_REPORT_NAME_MAX - (size_t)len, EXTENSION);
    return name;
}

/* --- the JSON -------------------------------------------------------------------------------- */

/* RFC 3339. */
static void write_time(struct json_writer *w, const char *name, time_t wall_s)
{
    char text[DATE_MAX];
    struct tm utc = { 0 };

    (void)gmtime_r(&wall_s, &utc);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_member_text(w, name, slice_from(text));
}

static void write_texts(struct json_writer *w, const char *name, const char *const *texts,
                        size_t count)
{
    if (count == 0)
        return;
    json_name(w, name);
    json_open_array(w);
    for (size_t i = 0; i < count; i++)
        json_text(w, slice_from(texts[i]));
    json_close(w);
}

static void write_optional(struct json_writer *w, const char *name, const char *text)
{
    if (text[0] != '\0')
        json_member_text(w, name, slice_from(text));
}

static void write_details(struct json_writer *w, const struct observe_tls_policy *p)
{
    if (p->details_count == 0)
        return;
    json_name(w, "failure-details");
    json_open_array(w);
    LIST_FOR_EACH (n, &p->details) {
        const struct observe_tls_detail *d = CONTAINER_OF(n, struct observe_tls_detail, node);

        json_open_object(w);
        json_member_text(w, "result-type", slice_from(observe_tls_result_type_name(d->type)));
        write_optional(w, "sending-mta-ip", d->sending_ip);
        write_optional(w, "receiving-mx-hostname", d->mx_host);
        write_optional(w, "receiving-ip", d->receiving_ip);
        json_member_number(w, "failed-session-count", d->count);
        write_optional(w, "failure-reason-code", d->reason);
        json_close(w);
    }
    json_close(w);
}

static void write_policy(struct json_writer *w, const struct observe_tls_policy *p)
{
    json_open_object(w);
    json_name(w, "policy");
    json_open_object(w);
    json_member_text(w, "policy-type", slice_from(observe_tls_policy_type_name(p->type)));
    write_texts(w, "policy-string", p->strings, p->strings_count);
    json_member_text(w, "policy-domain", slice_from(p->policy_domain));
    write_texts(w, "mx-host", p->patterns, p->patterns_count);
    json_close(w);
    json_name(w, "summary");
    json_open_object(w);
    json_member_number(w, "total-successful-session-count", p->successes);
    json_member_number(w, "total-failure-session-count", p->failures);
    json_close(w);
    write_details(w, p);
    json_close(w);
}

enum status observe_tls_report_json(const struct observe_tls_report *report,
                                    const struct observe_tls_results *results, struct buffer *out)
{
    const struct observe_tls_policy *p = observe_tls_results_of(results, report->domain, NULL);
    struct json_writer w;

    if (p == NULL)
        return STATUS_NOT_FOUND;
    json_init(&w, out);
    json_open_object(&w);
    json_member_text(&w, "organization-name", report->organization);
    json_name(&w, "date-range");
    json_open_object(&w);
    write_time(&w, "start-datetime", report->day_s);
    write_time(&w, "end-datetime", report->day_s + DAY_S - 1);
    json_close(&w);
    json_member_text(&w, "contact-info", report->contact);
    json_member_text(&w, "report-id", report->report_id);
    json_name(&w, "policies");
    json_open_array(&w);
    for (; p != NULL; p = observe_tls_results_of(results, report->domain, p))
        write_policy(&w, p);
    json_close(&w);
    json_close(&w);
    return json_finish(&w);
}

/* --- the letter ------------------------------------------------------------------------------ */

static enum status append_base64(struct slice bytes, struct buffer *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[BASE64_COLUMNS + 2];
    size_t len = 0;

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        unsigned three = (unsigned)(unsigned char)bytes.data[i] << 16;

        if (left > 1)
            three |= (unsigned)(unsigned char)bytes.data[i + 1] << 8;
        if (left > 2)
            three |= (unsigned char)bytes.data[i + 2];
        line[len++] = digits[three >> 18];
        line[len++] = digits[three >> 12 & 63];
        line[len++] = left > 1 ? digits[three >> 6 & 63] : '=';
        line[len++] = left > 2 ? digits[three & 63] : '=';
        if (len < BASE64_COLUMNS && left > 3)
            continue;
        line[len++] = '\r';
        line[len++] = '\n';
        TRY(buffer_append(out, (struct slice){ line, len }));
        len = 0;
    }
    return STATUS_OK;
}

/* The boundary has a character that base64 and the text do not have: "_". */
#define BOUNDARY "_tls_report_"

enum status observe_tls_report_letter(const struct observe_tls_letter *letter, struct buffer *out)
{
    const struct observe_tls_report *r = letter->report;
    char date[CLOCK_DATE_MAX], name[OBSERVE_TLS_REPORT_NAME_MAX];

    TRY(buffer_printf(out, "Date: %s\r\nFrom: %.*s\r\nTo: %.*s\r\n",
                      clock_format_mail(letter->now_s, date), SLICE_ARGS(letter->from),
                      SLICE_ARGS(letter->to)));
    TRY(buffer_printf(out,
                      "Subject: Report Domain: %.*s\r\n Submitter: %.*s\r\n Report-ID: <%.*s>\r\n",
                      SLICE_ARGS(r->domain), SLICE_ARGS(r->submitter), SLICE_ARGS(r->report_id)));
    TRY(buffer_printf(out, "Message-ID: <%.*s>\r\nTLS-Report-Domain: %.*s\r\n",
                      SLICE_ARGS(letter->message_id), SLICE_ARGS(r->domain)));
    TRY(buffer_printf(out, "TLS-Report-Submitter: %.*s\r\nTLS-Required: No\r\n",
                      SLICE_ARGS(r->submitter)));
    TRY(buffer_append_text(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                                "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                                " boundary=\"" BOUNDARY "\"\r\n\r\n--" BOUNDARY "\r\n"
                                "Content-Type: text/plain; charset=us-ascii\r\n\r\n"));
    TRY(buffer_printf(out, "This is an aggregate TLS report from %.*s\r\nabout mail to %.*s.\r\n",
                      SLICE_ARGS(r->submitter), SLICE_ARGS(r->domain)));
    TRY(buffer_printf(out,
                      "\r\n--" BOUNDARY "\r\nContent-Type: " OBSERVE_TLS_REPORT_TYPE "\r\n"
                      "Content-Transfer-Encoding: base64\r\n"
                      "Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n",
                      observe_tls_report_name(r, name)));
    TRY(append_base64(letter->gzip, out));
    return buffer_append_text(out, "\r\n--" BOUNDARY "--\r\n");
}
