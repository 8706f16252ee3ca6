#include "gateway/watch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/alerts.h"
#include "gateway/spool_start.h"
#include "gateway/worker.h"
#include "spool/quarantine.h"

#define NO_ROOM         "spool: no room (spool.max_size or spool.min_free), MAIL gets 452"
#define GONE            "spool: its folder is not in its place any more, MAIL gets 451"
#define NO_IDS          "spool: identifiers cannot be reserved"
#define QUARANTINED     "spool: damaged segments are in quarantine, see postern spool quarantine"
#define WORKER_NAME_MAX 24

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

enum status gateway_watch_take(struct gateway_watch *watch, const struct gateway_view *view)
{
    gateway_certificate_watch_take(&watch->certificates, view);
    return gateway_alerts_configure(watch->process->alerts, gateway_view_settings(view));
}

/* Where the folder lies that we have open; its descriptor goes with it wherever it is moved. */
static void find_place(struct gateway_watch *watch)
{
    char link[64];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", watch->process->directory.path_fd);
    len = readlink(link, watch->place, sizeof(watch->place) - 1);
    watch->place[len > 0 ? len : 0] = '\0';
}

static bool is_same(const char *folder, const char *name, int fd)
{
    char path[PATH_MAX + 16];
    struct stat there, ours;

    (void)snprintf(path, sizeof(path), "%s%s", folder, name);
    return stat(path, &there) == 0 && fstat(fd, &ours) == 0 && there.st_dev == ours.st_dev &&
           there.st_ino == ours.st_ino;
}

/* A spool that was moved or deleted is still written to, and the next start will not find it. */
static const char *look_at_place(struct gateway_watch *watch, enum observe_level *level_out)
{
    const struct spool_directory *d = &watch->process->directory;
    bool is_gone;

    if (watch->place[0] == '\0')
        find_place(watch);
    is_gone = watch->place[0] != '\0' && !(is_same(watch->place, "", d->path_fd) &&
                                           is_same(watch->place, "/segments", d->segments_fd) &&
                                           is_same(watch->place, "/bodies", d->bodies_fd));
    if (is_gone == watch->is_gone)
        return NULL;
    watch->is_gone = is_gone;
    atomic_store(&watch->process->spool_is_gone, is_gone);
    *level_out = is_gone ? OBSERVE_CRITICAL : OBSERVE_INFO;
    if (is_gone) {
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "place", GONE);
        return GONE;
    }
    clear_alert(watch, OBSERVE_ALERT_SPOOL, "place");
    return "spool: its folder is in its place again";
}

static const char *look_at_space(struct gateway_watch *watch,
                                 const struct config_settings *settings,
                                 enum observe_level *level_out)
{
    if (!gateway_spool_has_turned(watch->process, settings, &watch->is_low))
        return NULL;
    *level_out = watch->is_low ? OBSERVE_CRITICAL : OBSERVE_INFO;
    if (watch->is_low) {
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "space", NO_ROOM);
        return NO_ROOM;
    }
    clear_alert(watch, OBSERVE_ALERT_SPOOL, "space");
    return "spool: there is room again";
}

static const char *look_at_identifiers(struct gateway_watch *watch, enum observe_level *level_out)
{
    struct spool_ids *ids = &watch->process->ids;
    bool failed = spool_ids_need_extend(ids) && spool_ids_extend(ids) != STATUS_OK;

    if (failed == watch->ids_failed)
        return NULL;
    watch->ids_failed = failed;
    *level_out = failed ? OBSERVE_CRITICAL : OBSERVE_INFO;
    if (failed) {
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "identifiers", NO_IDS);
        return NO_IDS;
    }
    clear_alert(watch, OBSERVE_ALERT_SPOOL, "identifiers");
    return "spool: identifiers are reserved again";
}

/* A person may empty it at any time, so it is counted anew. */
static const char *look_at_quarantine(struct gateway_watch *watch, enum observe_level *level_out)
{
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    size_t before = watch->quarantined;

    if (spool_quarantine_list(&watch->process->directory, numbers, &watch->quarantined) !=
            STATUS_OK ||
        watch->quarantined == before)
        return NULL;
    atomic_store(&watch->process->quarantined, watch->quarantined);
    *level_out = watch->quarantined > before ? OBSERVE_CRITICAL : OBSERVE_INFO;
    if (watch->quarantined > before) {
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "quarantine", QUARANTINED);
        return QUARANTINED;
    }
    if (watch->quarantined > 0)
        return NULL;
    clear_alert(watch, OBSERVE_ALERT_SPOOL, "quarantine");
    return "spool: the quarantine is empty again";
}

const char *gateway_watch_look(struct gateway_watch *watch, const struct config_settings *settings,
                               enum observe_level *level_out)
{
    const char *text = look_at_place(watch, level_out);

    if (text == NULL)
        text = look_at_space(watch, settings, level_out);
    if (text == NULL)
        text = look_at_identifiers(watch, level_out);
    return text != NULL ? text : look_at_quarantine(watch, level_out);
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

void gateway_watch_repeat(struct gateway_watch *watch, uint64_t now_ms, int64_t now_s)
{
    gateway_certificate_watch_look(&watch->certificates, watch->process->alerts, now_s);
    if (now_ms - watch->repeated_ms < GATEWAY_WATCH_REPEAT_MS)
        return;
    watch->repeated_ms = now_ms;
    if (watch->is_gone)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "place", GONE);
    if (watch->is_low)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "space", NO_ROOM);
    if (watch->ids_failed)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "identifiers", NO_IDS);
    if (watch->quarantined > 0)
        raise_alert(watch, OBSERVE_ALERT_SPOOL, "quarantine", QUARANTINED);
    for (unsigned i = 0; i < watch->process->workers_count; i++)
        if (watch->is_silent[i])
            raise_silent(watch, i);
}
