#include "gateway/watch.h"

#include <stdio.h>

#include "gateway/alerts.h"
#include "gateway/worker.h"

#define WORKER_NAME_MAX 24

/* Of the spool: an alert, and a line of the log, while it lasts and when it is over. */
struct spool_trouble {
    const char *subject;
    const char *text;
    const char *is_over;
};

static const struct spool_trouble silent = { "disk",
                                             "spool: its disk has not answered for ten seconds",
                                             "spool: its disk answers again" };
static const struct spool_trouble gone = {
    "place", "spool: its folder is not in its place any more, MAIL gets 451",
    "spool: its folder is in its place again"
};
static const struct spool_trouble low = {
    "space", "spool: no room (spool.max_size or spool.min_free), MAIL gets 452",
    "spool: there is room again"
};
static const struct spool_trouble no_ids = { "identifiers", "spool: identifiers cannot be reserved",
                                             "spool: identifiers are reserved again" };
static const struct spool_trouble quarantine = {
    "quarantine", "spool: damaged segments are in quarantine, see postern spool quarantine",
    "spool: the quarantine is empty again"
};

static_assert(GATEWAY_SPOOL_SILENT_MS == 10000, "as its text says");

static void raise_alert(const struct gateway_watch *watch, enum observe_alert_kind kind,
                        const char *subject, const char *text)
{
    const struct observe_alert alert = {
        .kind = kind,
        .severity = OBSERVE_SEVERITY_CRITICAL,
        .subject = slice_from(subject),
        .text = slice_from(text),
    };

    gateway_alerts_raise(watch->process->alerts, &alert);
}

static void clear_alert(const struct gateway_watch *watch, enum observe_alert_kind kind,
                        const char *subject)
{
    gateway_alerts_clear(watch->process->alerts, kind, slice_from(subject));
}

static void set_limits(struct gateway_watch *watch, const struct config_settings *settings)
{
    gateway_spool_watch_set_limits(&watch->spool, settings->spool_max_bytes,
                                   settings->spool_free_bytes);
}

void gateway_watch_init(struct gateway_watch *watch, struct gateway_process *process)
{
    *watch = (struct gateway_watch){ .process = process };
    gateway_spool_watch_init(&watch->spool, process, NULL);
}

enum status gateway_watch_start(struct gateway_watch *watch, const struct config_settings *settings)
{
    set_limits(watch, settings);
    return gateway_spool_watch_start(&watch->spool);
}

bool gateway_watch_stop(struct gateway_watch *watch)
{
    return gateway_spool_watch_stop(&watch->spool, GATEWAY_SPOOL_STOP_MS);
}

void gateway_watch_finish(struct gateway_watch *watch)
{
    gateway_spool_watch_finish(&watch->spool);
}

enum status gateway_watch_take(struct gateway_watch *watch, const struct gateway_view *view)
{
    const struct config_settings *settings = gateway_view_settings(view);

    gateway_certificate_watch_take(&watch->certificates, view);
    set_limits(watch, settings);
    return gateway_alerts_configure(watch->process->alerts, settings);
}

/* Something has turned, or NULL. */
static const char *turn(const struct gateway_watch *watch, bool *told, bool is_so,
                        const struct spool_trouble *trouble, enum observe_level *level_out)
{
    if (is_so == *told)
        return NULL;
    *told = is_so;
    *level_out = is_so ? OBSERVE_CRITICAL : OBSERVE_INFO;
    if (is_so)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, trouble->subject, trouble->text);
    else
        clear_alert(watch, OBSERVE_ALERT_SPOOL, trouble->subject);
    return is_so ? trouble->text : trouble->is_over;
}

/* Each further segment is told, and that none is left. */
static const char *look_at_quarantine(struct gateway_watch *watch, size_t quarantined,
                                      enum observe_level *level_out)
{
    size_t before = watch->told.quarantined;

    watch->told.quarantined = quarantined;
    if (quarantined > before) {
        *level_out = OBSERVE_CRITICAL;
        raise_alert(watch, OBSERVE_ALERT_SPOOL, quarantine.subject, quarantine.text);
        return quarantine.text;
    }
    if (quarantined == before || quarantined > 0)
        return NULL;
    *level_out = OBSERVE_INFO;
    clear_alert(watch, OBSERVE_ALERT_SPOOL, quarantine.subject);
    return quarantine.is_over;
}

const char *gateway_watch_look(struct gateway_watch *watch, uint64_t now_ms,
                               enum observe_level *level_out)
{
    struct gateway_spool_facts facts = gateway_spool_watch_facts(&watch->spool, now_ms);
    struct gateway_spool_facts *told = &watch->told;
    const char *text = turn(watch, &told->is_silent, facts.is_silent, &silent, level_out);

    atomic_store(&watch->process->spool_is_silent, facts.is_silent);
    if (text == NULL)
        text = turn(watch, &told->is_gone, facts.is_gone, &gone, level_out);
    if (text == NULL)
        text = turn(watch, &told->is_low, facts.is_low, &low, level_out);
    if (text == NULL)
        text = turn(watch, &told->ids_failed, facts.ids_failed, &no_ids, level_out);
    return text != NULL ? text : look_at_quarantine(watch, facts.quarantined, level_out);
}

static void raise_silent(const struct gateway_watch *watch, unsigned worker)
{
    char subject[WORKER_NAME_MAX], text[128];

    (void)snprintf(subject, sizeof(subject), "worker %u", worker);
    (void)snprintf(text, sizeof(text),
                   "Worker %u has shown no sign of life for %u seconds: its connections and its "
                   "mail stand still.",
                   worker, GATEWAY_WORKER_SILENT_MS / 1000);
    raise_alert(watch, OBSERVE_ALERT_WORKER, subject, text);
}

bool gateway_watch_workers(struct gateway_watch *watch, uint64_t now_ms)
{
    const struct gateway_process *p = watch->process;
    char subject[WORKER_NAME_MAX];
    bool all_beat = true;

    for (unsigned i = 0; i < p->workers_count; i++) {
        uint64_t beat_ms = atomic_load(&p->workers[i].beat_ms);
        bool is_silent = now_ms > beat_ms && now_ms - beat_ms > GATEWAY_WORKER_SILENT_MS;

        all_beat = all_beat && !is_silent;
        if (is_silent && !watch->is_silent[i])
            raise_silent(watch, i);
        (void)snprintf(subject, sizeof(subject), "worker %u", i);
        if (!is_silent && watch->is_silent[i])
            clear_alert(watch, OBSERVE_ALERT_WORKER, subject);
        watch->is_silent[i] = is_silent;
    }
    return all_beat;
}

static void repeat(const struct gateway_watch *watch, bool is_so,
                   const struct spool_trouble *trouble)
{
    if (is_so)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, trouble->subject, trouble->text);
}

void gateway_watch_repeat(struct gateway_watch *watch, uint64_t now_ms, int64_t now_s)
{
    const struct gateway_spool_facts *told = &watch->told;

    gateway_certificate_watch_look(&watch->certificates, watch->process->alerts, now_s);
    if (now_ms - watch->repeated_ms < GATEWAY_WATCH_REPEAT_MS)
        return;
    watch->repeated_ms = now_ms;
    repeat(watch, told->is_silent, &silent);
    repeat(watch, told->is_gone, &gone);
    repeat(watch, told->is_low, &low);
    repeat(watch, told->ids_failed, &no_ids);
    repeat(watch, told->quarantined > 0, &quarantine);
    for (unsigned i = 0; i < watch->process->workers_count; i++)
        if (watch->is_silent[i])
            raise_silent(watch, i);
}
