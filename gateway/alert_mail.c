#include "gateway/alert_mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/message.h"
#include "gateway/worker.h"
#include "observe/alert_text.h"
#include "observe/mail_events.h"

enum letter_state {
    LETTER_WAITING,
    LETTER_POSTED, /* the worker's until it says otherwise */
    LETTER_COMMITTED,
    LETTER_REFUSED
};

struct letter {
    struct list_node node;
    struct engine_message post;
    struct gateway_worker *worker;
    _Atomic int state; /* enum letter_state */
    unsigned tries;
    uint64_t next_ms;
    enum observe_severity severity;
    size_t to_count;
    char hostname[GATEWAY_ALERT_HOST_MAX];
    char from[GATEWAY_ALERT_HOST_MAX + GATEWAY_ALERT_ADDRESS_MAX];
    char subject_line[OBSERVE_ALERT_LINE_MAX];
    char to[CONFIG_ALERT_RECIPIENTS_MAX][GATEWAY_ALERT_ADDRESS_MAX];
    struct buffer body;
};

/* --- the worker's part ----------------------------------------------------------------------- */

static enum status compose(const struct letter *l, uint64_t mid, time_t now_s, struct buffer *text)
{
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

static enum status fill(const struct letter *l, uint64_t mid, time_t now_s, struct slice text,
                        struct spool_draft *draft)
{
    const struct spool_envelope envelope = { .mid = mid, .arrival_wall_s = now_s };

    TRY(spool_draft_begin(draft, &envelope, text.len));
    for (size_t i = 0; i < l->to_count; i++)
        TRY(spool_draft_add_recipient(draft, slice_from(l->to[i])));
    return spool_draft_body(draft, text);
}

static void log_envelope(const struct letter *l, uint64_t mid, time_t now_s)
{
    struct observe_log_writer *log = l->worker->log;

    observe_mid_start(log, now_s, mid, 0);
    observe_mid_from(log, now_s, mid, 0, SLICE(""));
    for (size_t i = 0; i < l->to_count; i++)
        observe_mid_to(log, now_s, mid, 0, i, slice_from(l->to[i]));
}

static enum status commit(struct letter *l)
{
    struct gateway_worker *w = l->worker;
    time_t now_s = gateway_worker_now_s(w);
    uint64_t mid = spool_ids_take(&w->process->ids, SPOOL_ID_MID);
    struct spool_draft draft;
    struct buffer text;
    enum status status;

    /* Drained workers take nothing: their last commit may be over. */
    if (mid == 0 || w->state >= GATEWAY_WORKER_DRAINED)
        return STATUS_LIMIT;
    buffer_init(&text, OBSERVE_ALERT_MAIL_BYTES_MAX);
    spool_draft_init(&draft);
    status = compose(l, mid, now_s, &text);
    if (status == STATUS_OK)
        status = fill(l, mid, now_s, buffer_contents(&text), &draft);
    if (status == STATUS_OK) {
        log_envelope(l, mid, now_s);
        status = gateway_message_commit(w, &draft, NULL, NULL);
        if (status != STATUS_OK)
            observe_mid_aborted(w->log, now_s, mid, slice_from(status_text(status)));
    }
    spool_draft_finish(&draft);
    buffer_finish(&text);
    return status;
}

static void deliver(struct engine_loop *here, struct engine_message *post)
{
    struct letter *l = CONTAINER_OF(post, struct letter, post);
    enum status status;

    ASSERT(l->worker->loop == here);
    status = commit(l);
    /* The keeper may free it from here on. */
    atomic_store(&l->state, status == STATUS_OK ? LETTER_COMMITTED : LETTER_REFUSED);
}

/* --- the keeper's part ----------------------------------------------------------------------- */

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
    atomic_init(&l->state, LETTER_WAITING);
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

/* The one that showed a sign of life last; NULL when none takes mail (yet, or any more). */
static struct gateway_worker *choose_worker(struct gateway_process *p)
{
    struct gateway_worker *best = NULL;
    uint64_t best_ms = 0;

    for (unsigned i = 0; i < p->workers_count; i++) {
        struct gateway_worker *w = &p->workers[i];
        uint64_t beat_ms = atomic_load(&w->beat_ms);

        if (atomic_load(&w->start) != GATEWAY_WORKER_READY)
            continue;
        if (best == NULL || beat_ms > best_ms) {
            best = w;
            best_ms = beat_ms;
        }
    }
    return best;
}

static void post(struct gateway_alert_mails *m, struct letter *l)
{
    l->worker = choose_worker(m->process);
    if (l->worker == NULL)
        return;
    l->post.deliver = deliver;
    atomic_store(&l->state, LETTER_POSTED);
    engine_mailbox_post(l->worker->loop, NULL, &l->post);
}

static void refused(struct gateway_alert_mails *m, struct letter *l, uint64_t now_ms)
{
    if (++l->tries < GATEWAY_ALERT_MAIL_TRIES) {
        l->next_ms = now_ms + GATEWAY_ALERT_MAIL_RETRY_MS;
        atomic_store(&l->state, LETTER_WAITING);
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

        switch ((enum letter_state)atomic_load(&l->state)) {
        case LETTER_WAITING:
            if (now_ms >= l->next_ms)
                post(m, l);
            break;
        case LETTER_POSTED: break;
        case LETTER_COMMITTED:
            say_sent(m, l);
            forget(m, l);
            break;
        case LETTER_REFUSED: refused(m, l, now_ms); break;
        }
    }
    return m->count > 0 ? GATEWAY_ALERT_MAIL_LOOK_MS : UINT64_MAX;
}
