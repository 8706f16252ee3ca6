#include "gateway/alert_mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/own_mail.h"
#include "observe/alert_text.h"

struct letter {
    struct list_node node;
    struct gateway_own_mail mail;
    unsigned tries;
    uint64_t next_ms;
    enum observe_severity severity;
    size_t to_count;
    char hostname[GATEWAY_ALERT_HOST_MAX];
    char from[GATEWAY_ALERT_HOST_MAX + GATEWAY_ALERT_ADDRESS_MAX];
    char subject_line[OBSERVE_ALERT_LINE_MAX];
    char to[CONFIG_ALERT_RECIPIENTS_MAX][GATEWAY_ALERT_ADDRESS_MAX];
    struct slice recipients[CONFIG_ALERT_RECIPIENTS_MAX]; /* the same, for the envelope */
    struct buffer body;
};

/* On the worker's thread. */
static enum status compose(const struct gateway_own_mail *mail, uint64_t mid, time_t now_s,
                           struct buffer *text)
{
    const struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    const char *to[CONFIG_ALERT_RECIPIENTS_MAX];
    struct observe_alert_letter letter = {
        .from = l->from,
        .to = to,
        .to_count = l->to_count,
        .subject_line = l->subject_line,
        .body = buffer_contents(&l->body),
        .hostname = l->hostname,
        .mid = mid,
        .now_s = now_s,
    };

    for (size_t i = 0; i < l->to_count; i++)
        to[i] = l->to[i];
    return observe_alert_letter(&letter, text);
}

void gateway_alert_mails_init(struct gateway_alert_mails *m, struct gateway_process *process,
                              struct observe_log_writer *log)
{
    *m = (struct gateway_alert_mails){ .process = process, .log = log };
    list_init(&m->letters);
}

static void forget(struct gateway_alert_mails *m, struct letter *l)
{
    list_remove(&l->node);
    m->count--;
    buffer_finish(&l->body);
    free(l);
}

void gateway_alert_mails_finish(struct gateway_alert_mails *m)
{
    LIST_FOR_EACH (n, &m->letters) {
        forget(m, CONTAINER_OF(n, struct letter, node));
    }
}

static void say_sent(struct gateway_alert_mails *m, const struct letter *l)
{
    for (size_t i = 0; i < l->to_count; i++)
        observe_log_line(m->log, OBSERVE_INFO, clock_wall_s(),
                         "A System/%s alert was sent to %s with subject \"%s\".",
                         observe_severity_name(l->severity), l->to[i], l->subject_line);
}

static void say_not_sent(struct gateway_alert_mails *m, enum observe_severity severity,
                         const char *to, const char *subject_line)
{
    observe_log_line(m->log, OBSERVE_CRITICAL, clock_wall_s(),
                     "Error while sending alert: Unable to send System/%s alert to %s with subject "
                     "\"%s\".",
                     observe_severity_name(severity), to, subject_line);
}

/* Whether the alert is about the way to this recipient. */
static bool would_go_in_a_circle(const struct observe_alert_notice *notice, const char *to)
{
    const char *at = strrchr(to, '@');

    return notice->kind == OBSERVE_ALERT_REQUIRED_TLS && !notice->is_over && at != NULL &&
           slice_equal_nocase(slice_from(at + 1), slice_from(notice->subject));
}

static struct letter *write_letter(struct gateway_alert_mails *m,
                                   const struct gateway_alert_settings *settings,
                                   const struct observe_alert_notice *notice, struct slice body)
{
    struct letter *l = m->count < GATEWAY_ALERT_MAILS_MAX ? calloc(1, sizeof(struct letter)) : NULL;

    if (l == NULL)
        return NULL;
    buffer_init(&l->body, OBSERVE_ALERT_BODY_BYTES_MAX);
    if (buffer_append(&l->body, body) != STATUS_OK) {
        free(l);
        return NULL;
    }
    gateway_own_mail_init(&l->mail);
    l->mail.bytes_max = OBSERVE_ALERT_MAIL_BYTES_MAX;
    l->mail.compose = compose;
    l->mail.recipients = l->recipients;
    l->severity = notice->severity;
    memcpy(l->hostname, settings->hostname, sizeof(l->hostname));
    memcpy(l->from, settings->from, sizeof(l->from));
    (void)observe_alert_subject_line(notice, settings->hostname, l->subject_line);
    list_append(&m->letters, &l->node);
    m->count++;
    return l;
}

void gateway_alert_mail_send(struct gateway_alert_mails *m,
                             const struct gateway_alert_settings *settings,
                             const struct observe_alert_notice *notice, struct slice body,
                             uint64_t now_ms)
{
    char subject_line[OBSERVE_ALERT_LINE_MAX];
    struct letter *l;

    if (settings->mail_count == 0)
        return;
    (void)observe_alert_subject_line(notice, settings->hostname, subject_line);
    l = write_letter(m, settings, notice, body);
    for (size_t i = 0; i < settings->mail_count; i++) {
        if (l == NULL || would_go_in_a_circle(notice, settings->mail[i]))
            say_not_sent(m, notice->severity, settings->mail[i], subject_line);
        else
            memcpy(l->to[l->to_count++], settings->mail[i], sizeof(l->to[0]));
    }
    if (l != NULL && l->to_count == 0)
        forget(m, l);
    else if (l != NULL)
        l->next_ms = now_ms;
}

/* Without a worker that takes mail it goes on waiting. */
static void post(struct gateway_alert_mails *m, struct letter *l)
{
    for (size_t i = 0; i < l->to_count; i++)
        l->recipients[i] = slice_from(l->to[i]);
    l->mail.recipients_count = l->to_count;
    (void)gateway_own_mail_post(&l->mail, m->process);
}

static void refused(struct gateway_alert_mails *m, struct letter *l, uint64_t now_ms)
{
    if (++l->tries < GATEWAY_ALERT_MAIL_TRIES) {
        l->next_ms = now_ms + GATEWAY_ALERT_MAIL_RETRY_MS;
        gateway_own_mail_wait(&l->mail);
        return;
    }
    for (size_t i = 0; i < l->to_count; i++)
        say_not_sent(m, l->severity, l->to[i], l->subject_line);
    forget(m, l);
}

uint64_t gateway_alert_mails_run(struct gateway_alert_mails *m, uint64_t now_ms)
{
    LIST_FOR_EACH (n, &m->letters) {
        struct letter *l = CONTAINER_OF(n, struct letter, node);

        switch (gateway_own_mail_state_of(&l->mail)) {
        case GATEWAY_OWN_MAIL_WAITING:
            if (now_ms >= l->next_ms)
                post(m, l);
            break;
        case GATEWAY_OWN_MAIL_POSTED: break;
        case GATEWAY_OWN_MAIL_COMMITTED:
            say_sent(m, l);
            forget(m, l);
            break;
        case GATEWAY_OWN_MAIL_REFUSED: refused(m, l, now_ms); break;
        }
    }
    return m->count > 0 ? GATEWAY_ALERT_MAIL_LOOK_MS : UINT64_MAX;
}
