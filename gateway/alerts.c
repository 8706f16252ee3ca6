#include "gateway/alerts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/thread.h"
#include "gateway/alert_command.h"
#include "gateway/alert_mail.h"
#include "observe/alert_text.h"

/* What somebody said; made by him, freed by the keeper. */
struct post {
    struct post *next;
    bool is_clear;
    enum observe_alert_kind kind;
    enum observe_severity severity;
    struct slice subject; /* both behind the struct */
    struct slice text;
    char bytes[];
};

struct gateway_alerts {
    struct engine_thread thread;
    struct gateway_process *process;
    int bell;                      /* eventfd: look at the next four */
    _Atomic(struct post *) posted; /* a stack, the newest first */
    _Atomic unsigned posted_count;
    _Atomic(struct gateway_alert_settings *) next_settings; /* to be taken by the keeper */
    _Atomic bool is_over;
    _Atomic uint64_t dropped;
    struct gateway_alert_command *command;
    pthread_mutex_t lock; /* of the records, between the keeper and who asks for them */
    struct gateway_alert_record records[GATEWAY_ALERTS_LATEST_MAX];
    uint64_t records_count; /* ever; the next one is records[records_count % MAX] */
    /* The keeper's from here on. */
    struct observe_log_writer *log;
    struct observe_alerts table;
    struct gateway_alert_mails mails;
    struct gateway_alert_settings *settings; /* NULL: none yet */
    uint64_t dropped_said;
};

/* --- any thread ------------------------------------------------------------------------------ */

static void ring(struct gateway_alerts *a)
{
    const uint64_t one = 1;

    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (write(a->bell, &one, sizeof(one)) < 0)
        return;
}

static struct slice first_bytes(struct slice text, size_t max)
{
    return slice_first(text, text.len < max ? text.len : max);
}

static struct slice copy(char *into, struct slice text)
{
    if (text.len > 0)
        memcpy(into, text.data, text.len);
    return (struct slice){ into, text.len };
}

static void post(struct gateway_alerts *a, bool is_clear, const struct observe_alert *alert)
{
    struct slice subject = first_bytes(alert->subject, OBSERVE_ALERT_SUBJECT_MAX);
    struct slice text = first_bytes(alert->text, OBSERVE_ALERT_TEXT_MAX);
    struct post *p = NULL, *last;

    if (a == NULL || atomic_load(&a->is_over))
        return;
    if (atomic_fetch_add(&a->posted_count, 1) < GATEWAY_ALERTS_POSTED_MAX)
        p = malloc(sizeof(*p) + subject.len + text.len);
    if (p == NULL) {
        atomic_fetch_sub(&a->posted_count, 1);
        atomic_fetch_add(&a->dropped, 1);
        return; /* whoever filled the box has rung */
    }
    p->is_clear = is_clear;
    p->kind = alert->kind;
    p->severity = alert->severity;
    p->subject = copy(p->bytes, subject);
    p->text = copy(p->bytes + subject.len, text);
    last = atomic_load(&a->posted);
    do
        p->next = last;
    while (!atomic_compare_exchange_weak(&a->posted, &last, p));
    if (last == NULL)
        ring(a);
}

void gateway_alerts_raise(struct gateway_alerts *alerts, const struct observe_alert *alert)
{
    post(alerts, false, alert);
}

void gateway_alerts_clear(struct gateway_alerts *alerts, enum observe_alert_kind kind,
                          struct slice subject)
{
    const struct observe_alert alert = { .kind = kind, .subject = subject };

    post(alerts, true, &alert);
}

size_t gateway_alerts_latest(struct gateway_alerts *alerts, struct gateway_alert_record *records,
                             size_t max)
{
    size_t count = 0;

    if (alerts == NULL)
        return 0;
    ASSERT(pthread_mutex_lock(&alerts->lock) == 0);
    while (count < max && count < GATEWAY_ALERTS_LATEST_MAX && count < alerts->records_count) {
        uint64_t number = alerts->records_count - 1 - count;

        records[count++] = alerts->records[number % GATEWAY_ALERTS_LATEST_MAX];
    }
    ASSERT(pthread_mutex_unlock(&alerts->lock) == 0);
    return count;
}

/* --- sending --------------------------------------------------------------------------------- */

static enum observe_level level_of(enum observe_severity severity)
{
    switch (severity) {
    case OBSERVE_SEVERITY_INFO: return OBSERVE_INFO;
    case OBSERVE_SEVERITY_WARNING: return OBSERVE_WARNING;
    case OBSERVE_SEVERITY_CRITICAL: return OBSERVE_CRITICAL;
    }
    UNREACHABLE();
}

static void keep_record(struct gateway_alerts *a, const struct observe_alert_notice *n,
                        time_t now_s)
{
    struct gateway_alert_record *r;

    ASSERT(pthread_mutex_lock(&a->lock) == 0);
    r = &a->records[a->records_count++ % GATEWAY_ALERTS_LATEST_MAX];
    *r = (struct gateway_alert_record){
        .wall_s = now_s,
        .kind = n->kind,
        .step = n->step,
        .severity = n->severity,
        .count = n->count,
    };
    (void)snprintf(r->subject, sizeof(r->subject), "%s", n->subject);
    (void)snprintf(r->text, sizeof(r->text), "%s", n->text);
    ASSERT(pthread_mutex_unlock(&a->lock) == 0);
}

static void log_notice(struct gateway_alerts *a, const struct observe_alert_notice *n, time_t now_s)
{
    struct buffer sentence;

    buffer_init(&sentence, OBSERVE_ALERT_BODY_BYTES_MAX);
    if (observe_alert_sentence(n, &sentence) == STATUS_OK)
        observe_log_line(a->log, level_of(n->severity), now_s, "Alert %s: %.*s",
                         observe_alert_kind_name(n->kind), SLICE_ARGS(buffer_contents(&sentence)));
    buffer_finish(&sentence);
}

static void call_command(struct gateway_alerts *a, const struct observe_alert_notice *n,
                         struct slice body, time_t now_s)
{
    const struct gateway_alert_call call = {
        .path = a->settings->command,
        .hostname = a->settings->hostname,
        .notice = n,
        .body = body,
    };
    enum status status;

    if (call.path[0] == '\0')
        return;
    status = gateway_alert_command_put(a->command, &call);
    if (status != STATUS_OK)
        observe_log_line(a->log, OBSERVE_CRITICAL, now_s,
                         "Error while sending alert: the command is not run for it: %s",
                         status == STATUS_LIMIT ? "too many wait for it" : status_text(status));
}

static void send_notice(struct gateway_alerts *a, const struct observe_alert_notice *n,
                        uint64_t now_ms)
{
    time_t now_s = clock_wall_s();
    const struct observe_alert_frame frame = {
        .hostname = a->settings->hostname,
        .version = POSTERN_VERSION,
        .now_s = now_s,
    };
    struct buffer body;

    if (n->step == OBSERVE_ALERT_HOLD)
        return;
    log_notice(a, n, now_s);
    keep_record(a, n, now_s);
    buffer_init(&body, OBSERVE_ALERT_BODY_BYTES_MAX);
    if (observe_alert_body(n, &frame, &body) == STATUS_OK) {
        gateway_alert_mail_send(&a->mails, a->settings, n, buffer_contents(&body), now_ms);
        call_command(a, n, buffer_contents(&body), now_s);
    } else {
        observe_log_line(a->log, OBSERVE_CRITICAL, now_s,
                         "Error while sending alert: no memory for it");
    }
    buffer_finish(&body);
}

/* --- the keeper ------------------------------------------------------------------------------ */

static bool is_wanted(const struct gateway_alert_settings *settings, enum observe_alert_kind kind)
{
    switch (kind) {
    case OBSERVE_ALERT_REQUIRED_TLS: return settings->required_tls;
    case OBSERVE_ALERT_SPOOL: return settings->spool;
    case OBSERVE_ALERT_CERTIFICATE: return settings->certificates;
    case OBSERVE_ALERT_WORKER:
    case OBSERVE_ALERT_TOO_MANY: return true;
    case OBSERVE_ALERT_KINDS_COUNT: break;
    }
    UNREACHABLE();
}

static void take_settings(struct gateway_alerts *a)
{
    struct gateway_alert_settings *next = atomic_exchange(&a->next_settings, NULL);

    if (next == NULL)
        return;
    free(a->settings);
    a->settings = next;
    observe_alerts_configure(&a->table, next->initial_wait_ms, next->max_wait_ms);
}

/* All posts, the oldest first. */
static struct post *take_posts(struct gateway_alerts *a)
{
    struct post *newest = atomic_exchange(&a->posted, NULL), *oldest = NULL;

    while (newest != NULL) {
        struct post *p = newest;

        newest = p->next;
        p->next = oldest;
        oldest = p;
    }
    return oldest;
}

static void judge_post(struct gateway_alerts *a, const struct post *p, uint64_t now_ms)
{
    const struct observe_alert alert = {
        .kind = p->kind,
        .severity = p->severity,
        .subject = p->subject,
        .text = p->text,
    };
    struct observe_alert_notice notice;

    if (!is_wanted(a->settings, p->kind))
        return;
    notice = p->is_clear ? observe_alerts_clear(&a->table, now_ms, p->kind, p->subject)
                         : observe_alerts_raise(&a->table, now_ms, clock_wall_s(), &alert);
    send_notice(a, &notice, now_ms);
}

static void say_dropped(struct gateway_alerts *a)
{
    uint64_t dropped = atomic_load(&a->dropped);

    if (dropped != a->dropped_said)
        observe_log_line(a->log, OBSERVE_CRITICAL, clock_wall_s(),
                         "Error while sending alert: %llu more alerts than can wait were dropped",
                         (unsigned long long)(dropped - a->dropped_said));
    a->dropped_said = dropped;
}

/* Everything that can be done now. Returns for how long to wait; -1: for the bell. */
static int go_on(struct gateway_alerts *a)
{
    uint64_t now_ms = clock_monotonic_ms(), wait_ms, due_ms;
    struct observe_alert_notice notice;
    struct post *next;

    take_settings(a);
    if (a->settings == NULL)
        return -1; /* what was posted waits for them */
    for (struct post *p = take_posts(a); p != NULL; p = next) {
        next = p->next;
        judge_post(a, p, now_ms);
        free(p);
        atomic_fetch_sub(&a->posted_count, 1);
    }
    while ((notice = observe_alerts_tick(&a->table, now_ms)).step != OBSERVE_ALERT_HOLD)
        send_notice(a, &notice, now_ms);
    wait_ms = gateway_alert_mails_run(&a->mails, now_ms);
    say_dropped(a);
    due_ms = observe_alerts_due_ms(&a->table);
    if (due_ms != UINT64_MAX && due_ms - now_ms < wait_ms)
        wait_ms = due_ms - now_ms;
    if (wait_ms == UINT64_MAX)
        return -1;
    return wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX;
}

static void run(struct engine_thread *thread)
{
    struct gateway_alerts *a = CONTAINER_OF(thread, struct gateway_alerts, thread);
    struct pollfd bell = { .fd = a->bell, .events = POLLIN };
    uint64_t rung;

    while (!atomic_load(&a->is_over)) {
        int wait_ms = go_on(a);

        observe_log_flush(a->log);
        /* One that is too early, EINTR say, costs one look more. */
        if (poll(&bell, 1, wait_ms) > 0 && read(a->bell, &rung, sizeof(rung)) < 0)
            continue;
    }
    (void)go_on(a);
    observe_log_flush(a->log);
}

/* --- the supervisor's part ------------------------------------------------------------------- */

static enum status start_threads(struct gateway_alerts *a, unsigned first_writer)
{
    struct hash_seed seed;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return STATUS_IO;
    TRY(observe_alerts_init(&a->table, &seed, OBSERVE_ALERTS_MAX));
    TRY(gateway_alert_command_create(observe_log_writer(a->process->log, first_writer + 1),
                                     &a->command));
    return engine_thread_start(&a->thread, "alerts", ENGINE_THREAD_ANY_CPU, run);
}

enum status gateway_alerts_create(struct gateway_process *process, unsigned first_writer,
                                  struct gateway_alerts **alerts_out)
{
    struct gateway_alerts *a = calloc(1, sizeof(*a));
    enum status status;

    if (a == NULL)
        return STATUS_NO_MEMORY;
    a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->bell < 0) {
        status = status_from_errno(errno);
        free(a);
        return status;
    }
    ASSERT(pthread_mutex_init(&a->lock, NULL) == 0);
    a->process = process;
    a->log = observe_log_writer(process->log, first_writer);
    gateway_alert_mails_init(&a->mails, process, a->log);
    status = start_threads(a, first_writer);
    if (status != STATUS_OK) {
        gateway_alerts_stop(a);
        gateway_alerts_destroy(a);
        return status;
    }
    *alerts_out = a;
    return STATUS_OK;
}

enum status gateway_alerts_configure(struct gateway_alerts *alerts,
                                     const struct config_settings *settings)
{
    const struct config_alerts *from = &settings->alerts;
    struct gateway_alert_settings *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->initial_wait_ms = (uint64_t)from->initial_wait_s * 1000;
    s->max_wait_ms = (uint64_t)from->max_wait_s * 1000;
    s->required_tls = from->required_tls;
    s->spool = from->spool;
    s->certificates = from->certificates;
    (void)snprintf(s->hostname, sizeof(s->hostname), "%s", settings->hostname);
    if (from->from[0] != '\0')
        (void)snprintf(s->from, sizeof(s->from), "%s", from->from);
    else
        (void)snprintf(s->from, sizeof(s->from), "alert@%s", settings->hostname);
    (void)snprintf(s->command, sizeof(s->command), "%s", from->command);
    ASSERT(from->mail_count <= CONFIG_ALERT_RECIPIENTS_MAX);
    for (; s->mail_count < from->mail_count; s->mail_count++)
        (void)snprintf(s->mail[s->mail_count], sizeof(s->mail[0]), "%s", from->mail[s->mail_count]);
    free(atomic_exchange(&alerts->next_settings, s));
    ring(alerts);
    return STATUS_OK;
}

void gateway_alerts_stop(struct gateway_alerts *alerts)
{
    if (alerts == NULL)
        return;
    atomic_store(&alerts->is_over, true);
    ring(alerts);
    engine_thread_join(&alerts->thread);
    gateway_alert_command_destroy(alerts->command);
    alerts->command = NULL;
}

void gateway_alerts_destroy(struct gateway_alerts *alerts)
{
    struct post *next;

    if (alerts == NULL)
        return;
    ASSERT(atomic_load(&alerts->is_over));
    for (struct post *p = take_posts(alerts); p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    gateway_alert_mails_finish(&alerts->mails);
    observe_alerts_finish(&alerts->table);
    free(atomic_load(&alerts->next_settings));
    free(alerts->settings);
    ASSERT(pthread_mutex_destroy(&alerts->lock) == 0);
    (void)close(alerts->bell);
    free(alerts);
}
