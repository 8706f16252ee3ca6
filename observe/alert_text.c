#include "observe/alert_text.h"

#include <stdio.h>

#include "base/clock.h"

const char *observe_severity_name(enum observe_severity severity)
{
    switch (severity) {
    case OBSERVE_SEVERITY_INFO: return "Info";
    case OBSERVE_SEVERITY_WARNING: return "Warning";
    case OBSERVE_SEVERITY_CRITICAL: return "Critical";
    }
    UNREACHABLE();
}

const char *observe_alert_kind_name(enum observe_alert_kind kind)
{
    switch (kind) {
    case OBSERVE_ALERT_REQUIRED_TLS: return "required-tls";
    case OBSERVE_ALERT_SPOOL: return "spool";
    case OBSERVE_ALERT_CERTIFICATE: return "certificate";
    case OBSERVE_ALERT_WORKER: return "worker";
    case OBSERVE_ALERT_TOO_MANY: return "too-many";
    case OBSERVE_ALERT_KINDS_COUNT: break;
    }
    UNREACHABLE();
}

const char *observe_alert_step_name(enum observe_alert_step step)
{
    switch (step) {
    case OBSERVE_ALERT_HOLD:
    case OBSERVE_ALERT_SEND: return "alert";
    case OBSERVE_ALERT_SUMMARY: return "summary";
    case OBSERVE_ALERT_RECOVERED: return "recovered";
    }
    UNREACHABLE();
}

/* The first words that fit into `room` bytes. */
static size_t first_words(struct slice text, size_t room)
{
    size_t len = text.len;

    if (len <= room)
        return len;
    for (len = room; len > 0 && text.data[len] != ' '; len--)
        ;
    return len > 0 ? len : room;
}

const char *observe_alert_subject_line(const struct observe_alert_notice *notice,
                                       const char *hostname,
                                       char line[static OBSERVE_ALERT_LINE_MAX])
{
    struct slice text = slice_from(notice->text);
    size_t len = first_words(text, OBSERVE_ALERT_WORDS_MAX);

    (void)snprintf(line, OBSERVE_ALERT_LINE_MAX, "%s <System> %s: %s%.*s%s",
                   observe_severity_name(notice->severity), hostname,
                   notice->step == OBSERVE_ALERT_RECOVERED ? "Recovered: " : "", (int)len,
                   notice->text, len < text.len ? "..." : "");
    return line;
}

/* How often it happened; nothing about what happened once, now. */
static enum status append_history(const struct observe_alert_notice *n, struct buffer *out)
{
    char since[CLOCK_DATE_MAX], last[CLOCK_DATE_MAX];
    unsigned long long count = n->count;

    (void)clock_format_log(n->since_wall_s, since);
    (void)clock_format_log(n->last_wall_s, last);
    switch (n->step) {
    case OBSERVE_ALERT_HOLD: return STATUS_OK;
    case OBSERVE_ALERT_SEND:
        if (count > 1)
            return buffer_printf(out, " This is the case since %s.", since);
        return STATUS_OK;
    case OBSERVE_ALERT_SUMMARY:
    case OBSERVE_ALERT_RECOVERED: break;
    }
    if (count == 1)
        TRY(buffer_append_text(out, " This happened once"));
    else
        TRY(buffer_printf(out, " This happened %llu times", count));
    if (n->step == OBSERVE_ALERT_RECOVERED)
        return buffer_printf(out, ", first on %s, last on %s.", since, last);
    return buffer_printf(out, " since the last alert about it, last on %s; it began on %s.%s", last,
                         since, n->is_over ? " It is over." : "");
}

enum status observe_alert_sentence(const struct observe_alert_notice *notice, struct buffer *out)
{
    if (notice->step == OBSERVE_ALERT_RECOVERED)
        TRY(buffer_append_text(out, "Recovered: "));
    TRY(buffer_append_text(out, notice->text));
    return append_history(notice, out);
}

/* Breaks a line at spaces. */
static enum status append_wrapped(struct slice text, struct buffer *out)
{
    while (text.len > 0) {
        size_t len = first_words(text, OBSERVE_ALERT_COLUMNS);

        TRY(buffer_append(out, slice_first(text, len)));
        TRY(buffer_append(out, SLICE("\n")));
        text = slice_trim(slice_after(text, len));
    }
    return STATUS_OK;
}

enum status observe_alert_body(const struct observe_alert_notice *notice,
                               const struct observe_alert_frame *frame, struct buffer *out)
{
    char date[CLOCK_DATE_MAX];
    struct buffer sentence;
    enum status status;

    buffer_init(&sentence, OBSERVE_ALERT_BODY_BYTES_MAX);
    status = observe_alert_sentence(notice, &sentence);
    if (status == STATUS_OK)
        status =
            buffer_printf(out, "The %s message is:\n\n", observe_severity_name(notice->severity));
    if (status == STATUS_OK)
        status = append_wrapped(buffer_contents(&sentence), out);
    buffer_finish(&sentence);
    TRY(status);
    TRY(buffer_printf(out, "\nKind: %s\n", observe_alert_kind_name(notice->kind)));
    if (notice->subject[0] != '\0')
        TRY(buffer_printf(out, "About: %s\n", notice->subject));
    return buffer_printf(out, "Host: %s\nVersion: Postern %s\nTimestamp: %s\n", frame->hostname,
                         frame->version, clock_format_mail(frame->now_s, date));
}

/* A header field's value: no byte of it can end the field. */
static enum status append_value(struct buffer *out, const char *name, struct slice value)
{
    TRY(buffer_append_text(out, name));
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];

        if (c < 0x20 || c > 0x7e)
            c = '?';
        TRY(buffer_append(out, (struct slice){ &c, 1 }));
    }
    return STATUS_OK;
}

static enum status append_recipients(const struct observe_alert_letter *letter, struct buffer *out)
{
    for (size_t i = 0; i < letter->to_count; i++)
        TRY(append_value(out, i == 0 ? "To: " : ",\r\n ", slice_from(letter->to[i])));
    return buffer_append(out, SLICE("\r\n"));
}

static enum status append_lines(struct slice body, struct buffer *out)
{
    while (body.len > 0) {
        struct slice line = slice_cut(&body, '\n');

        if (line.len > 0 && line.data[0] == '.')
            TRY(buffer_append(out, SLICE(".")));
        TRY(buffer_append(out, line));
        TRY(buffer_append(out, SLICE("\r\n")));
    }
    return STATUS_OK;
}

enum status observe_alert_letter(const struct observe_alert_letter *letter, struct buffer *out)
{
    char date[CLOCK_DATE_MAX];

    ASSERT(letter->to_count > 0);
    TRY(buffer_printf(out, "Date: %s\r\n", clock_format_mail(letter->now_s, date)));
    TRY(append_value(out, "From: ", slice_from(letter->from)));
    TRY(buffer_append(out, SLICE("\r\n")));
    TRY(append_recipients(letter, out));
    TRY(append_value(out, "Subject: ", slice_from(letter->subject_line)));
    TRY(buffer_printf(out, "\r\nMessage-ID: <%llu.alert@%s>\r\n", (unsigned long long)letter->mid,
                      letter->hostname));
    TRY(buffer_append_text(out, "Auto-Submitted: auto-generated\r\n"
                                "MIME-Version: 1.0\r\n"
                                "Content-Type: text/plain; charset=us-ascii\r\n"
                                "\r\n"));
    return append_lines(letter->body, out);
}
