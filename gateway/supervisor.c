#include "gateway/supervisor.h"

#include <limits.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/probe.h"
#include "engine/signals.h"
#include "gateway/alerts.h"
#include "gateway/descriptors.h"
#include "gateway/helpers.h"
#include "gateway/notify.h"
#include "gateway/recovery.h"
#include "gateway/spool_start.h"
#include "gateway/supervisor_parts.h"
#include "gateway/tls_reports.h"

#define TICK_MS 1000
#define WAIT_MS 50 /* while something of the workers is waited for */

/* --- start ----------------------------------------------------------------------------------- */

static unsigned workers_wanted(const struct config_settings *settings)
{
    unsigned wanted = settings->workers > 0 ? settings->workers : engine_thread_cpus();
    return wanted < CONFIG_WORKERS_MAX ? wanted : CONFIG_WORKERS_MAX;
}

static enum status start_shared(struct supervisor *s)
{
    struct gateway_process *p = &s->process;
    const struct config_settings *settings = &s->current->config->settings;
    struct hash_seed rates_seed;
    enum status status;

    if (getrandom(&p->seed, sizeof(p->seed), 0) != sizeof(p->seed) ||
        getrandom(&rates_seed, sizeof(rates_seed), 0) != sizeof(rates_seed))
        return STATUS_IO;
    s->spool_path = strdup(settings->spool_path);
    s->log_path = strdup(settings->log_path);
    s->workers = settings->workers;
    s->is_log_stderr = strcmp(settings->log_path, "-") == 0;
    if (s->spool_path == NULL || s->log_path == NULL)
        return STATUS_NO_MEMORY;
    p->inbound_max = gateway_descriptors_inbound_max(s->descriptors, p->workers_count);
    p->lookups_max = gateway_descriptors_lookups_max(s->descriptors, p->workers_count);
    /* Counters have cache lines of their own; calloc() would not know. */
    p->workers = aligned_alloc(alignof(struct gateway_worker),
                               p->workers_count * sizeof(struct gateway_worker));
    if (p->workers == NULL)
        return STATUS_NO_MEMORY;
    memset(p->workers, 0, p->workers_count * sizeof(struct gateway_worker));
    status = observe_log_create(settings->log_path,
                                p->workers_count + 1 + GATEWAY_ALERTS_WRITERS + 1, &p->log);
    if (status != STATUS_OK) {
        fprintf(stderr, "postern: log %s: %s\n", settings->log_path, status_text(status));
        return status;
    }
    s->log = observe_log_writer(p->log, p->workers_count);
    TRY(gateway_alerts_create(p, p->workers_count + 1, &p->alerts));
    TRY(tls_tickets_create(clock_wall_s(), &p->tickets));
    TRY(gateway_peer_count_create(&p->seed, &p->peers));
    TRY(rates_create(RATES_WORDS_DEFAULT, &rates_seed, &p->rates));
    TRY(gateway_helpers_start(p));
    return gateway_tls_reports_create(p, p->workers_count + 1 + GATEWAY_ALERTS_WRITERS,
                                      &p->tls_reports);
}

static enum status start_workers(struct supervisor *s, struct gateway_view **views)
{
    struct gateway_process *p = &s->process;

    for (unsigned i = 0; i < p->workers_count; i++)
        TRY(gateway_worker_init(&p->workers[i], p, i, views[i]));
    for (unsigned i = 0; i < p->workers_count; i++) {
        struct gateway_worker *w = &p->workers[i];

        s->has_threads = true;
        TRY(gateway_worker_run(w));
        while (atomic_load(&w->start) == GATEWAY_WORKER_STARTING)
            (void)usleep(200);
        if (atomic_load(&w->start) == GATEWAY_WORKER_FAILED) {
            fprintf(stderr, "postern: worker %u: %s\n", i, w->start_reason.text);
            return STATUS_UNSUPPORTED;
        }
    }
    atomic_store(&p->workers_running, p->workers_count);
    return STATUS_OK;
}

static enum status start(struct supervisor *s)
{
    struct gateway_view *views[CONFIG_WORKERS_MAX];
    struct gateway_names *names[CONFIG_WORKERS_MAX];
    struct gateway_doors doors;
    enum status status;

    /* First: the spool keeps free segments for each. */
    s->process.workers_count = workers_wanted(&s->current->config->settings);
    TRY(gateway_spool_open(&s->process, &s->current->config->settings));
    status = start_shared(s);
    if (status == STATUS_OK)
        status = supervisor_make_views(s, s->current, views);
    if (status == STATUS_OK)
        status =
            gateway_doors_open(&doors, &s->process, &s->current->config->settings, &s->doors_watch);
    if (status == STATUS_OK)
        status = start_workers(s, views);
    if (status != STATUS_OK)
        return status;
    /* Without a DNS every lookup fails, as with one that is down, until a reload. */
    TRY(supervisor_make_names(s, NULL, s->current, names));
    TRY(gateway_watch_start(&s->watch, &s->current->config->settings));
    TRY(supervisor_hand_out(s, views, &doors, names));
    gateway_doors_tell(&s->process, &s->current->config->settings, s->generation);
    if (gateway_admin_create(&s->process, &s->admin) != STATUS_OK)
        supervisor_say(s, OBSERVE_WARNING, "admin socket: its thread cannot be started");
    supervisor_open_admin_socket(s);
    return STATUS_OK;
}

/* --- the life of the process ----------------------------------------------------------------- */

static void stop(struct supervisor *s)
{
    uint64_t grace_ms = (uint64_t)s->current->config->settings.grace_s * 1000;

    if (s->is_stopping) {
        /* What got a 250 is on disk; what did not was never promised. */
        supervisor_say(s, OBSERVE_WARNING, "second signal: leaving at once");
        _exit(0);
    }
    s->is_stopping = true;
    supervisor_say(s, OBSERVE_INFO, "stopping");
    gateway_notify_stopping();
    for (unsigned i = 0; i < s->process.workers_count; i++)
        if (gateway_worker_post_stop(&s->process.workers[i], grace_ms) != STATUS_OK)
            _exit(1);
}

static void on_tick(struct supervisor *s)
{
    struct gateway_process *p = &s->process;
    time_t now_s = clock_wall_s();
    uint64_t lost = observe_log_lost(p->log), now_ms = clock_monotonic_ms();
    enum observe_level level;
    const char *text;

    supervisor_free_old_generations(s);
    while ((text = gateway_watch_look(&s->watch, now_ms, &level)) != NULL)
        supervisor_say(s, level, text);
    if (gateway_watch_workers(&s->watch, now_ms))
        gateway_notify_alive();
    gateway_watch_repeat(&s->watch, now_ms, now_s);
    rates_sweep(p->rates, now_ms / 1000);
    if (now_s - tls_tickets_rotated_at(p->tickets) >= TLS_TICKETS_ROTATE_S &&
        tls_tickets_rotate(p->tickets, now_s) != STATUS_OK)
        supervisor_say(s, OBSERVE_WARNING, "TLS: the ticket keys could not be rotated");
    if (lost != s->log_lost)
        fprintf(stderr, "postern: log: %llu lines lost\n",
                (unsigned long long)(lost - s->log_lost));
    s->log_lost = lost;
    if (atomic_load(&p->has_failed) && !s->is_stopping)
        stop(s);
}

static bool has_ended(const struct supervisor *s)
{
    for (unsigned i = 0; i < s->process.workers_count; i++)
        if (atomic_load(&s->process.workers[i].start) != GATEWAY_WORKER_ENDED)
            return false;
    return true;
}

static void look_whether_ready(struct supervisor *s)
{
    for (unsigned i = 0; i < s->process.workers_count; i++)
        if (atomic_load(&s->process.workers[i].start) != GATEWAY_WORKER_READY)
            return;
    s->is_ready = true;
    gateway_notify_ready();
    supervisor_say(s, OBSERVE_INFO, "Postern " POSTERN_VERSION " is ready");
}

static void live(struct supervisor *s)
{
    while (!has_ended(s)) {
        bool is_waiting = s->is_stopping || s->is_reloading || !s->is_ready ||
                          gateway_reading_is_running(&s->reading);

        switch (engine_signals_wait(is_waiting ? WAIT_MS : TICK_MS)) {
        case SIGHUP: s->is_asked = !s->is_stopping; break;
        case SIGTERM:
        case SIGINT: stop(s); break;
        case SIGUSR1:
            if (observe_log_reopen(s->process.log) != STATUS_OK)
                supervisor_say(s, OBSERVE_WARNING,
                               "log: cannot be opened again, the old file stays in use");
            break;
        default: break;
        }
        if (!s->is_ready)
            look_whether_ready(s);
        supervisor_go_on_reloading(s);
        on_tick(s);
        observe_log_flush(s->log);
    }
}

/* A configuration that was being read comes too late. */
static void give_up_reading(struct supervisor *s)
{
    struct config_loaded *loaded = NULL;
    struct config_problems problems;

    config_problems_init(&problems);
    if (gateway_reading_finish(&s->reading, &loaded, &problems) == STATUS_OK)
        config_loaded_destroy(loaded);
    config_problems_finish(&problems);
}

static void tear_down(struct supervisor *s)
{
    struct gateway_process *p = &s->process;

    gateway_alerts_stop(p->alerts);
    gateway_tls_reports_stop(p->tls_reports);
    gateway_admin_stop(s->admin);
    gateway_helpers_stop(p);
    atomic_store(&p->nobody_posts, true);
    for (unsigned i = 0; i < p->workers_count; i++)
        gateway_worker_join(&p->workers[i]);
    gateway_recovery_destroy(p->recovery);
    p->recovery = NULL;
    for (unsigned i = 0; i < p->workers_count; i++)
        gateway_worker_finish(&p->workers[i]);
    gateway_admin_destroy(s->admin);
    gateway_alerts_destroy(p->alerts);
    gateway_tls_reports_destroy(p->tls_reports);
    gateway_spool_close(p);
    if (gateway_reading_is_done(&s->reading))
        give_up_reading(s);
    supervisor_free_old_generations(s);
    gateway_generation_destroy(s->current);
    rates_destroy(p->rates);
    gateway_peer_count_destroy(p->peers);
    tls_tickets_destroy(p->tickets);
    observe_log_destroy(p->log);
    gateway_watch_finish(&s->watch);
    gateway_listing_finish(&p->listing);
    free(p->workers);
    free(s->spool_path);
    free(s->log_path);
}

int gateway_run(const char *config_path)
{
    static struct engine_probe_report report;
    struct supervisor *s = calloc(1, sizeof(*s));
    int code;

    if (s == NULL) {
        fprintf(stderr, "postern: no memory\n");
        return 1;
    }
    engine_signals_block();
    s->descriptors = gateway_descriptors_raise();
    s->config_path = config_path;
    s->process.started_ms = clock_monotonic_ms();
    gateway_watch_init(&s->watch, &s->process);
    s->doors_watch.trouble = supervisor_door_trouble;
    gateway_listing_init(&s->process.listing);
    if (engine_probe(NULL, &report) != STATUS_OK)
        fprintf(stderr, "postern: %s\n", report.reason.text);
    else
        s->current = supervisor_read_configuration(s);
    if (s->current == NULL) {
        free(s);
        return 1;
    }
    if (start(s) != STATUS_OK) {
        /* Why has been said. Nothing was accepted, and the system takes back what was opened. */
        gateway_alerts_stop(s->process.alerts);
        gateway_tls_reports_stop(s->process.tls_reports);
        if (!s->has_threads)
            observe_log_destroy(s->process.log);
        if (s->process.log == NULL) { /* the spool could not be had: there is nothing else yet */
            gateway_generation_destroy(s->current);
            free(s);
        }
        return 1;
    }
    live(s);
    code = atomic_load(&s->process.has_failed) ? 1 : 0;
    supervisor_say(s, OBSERVE_INFO, "stopped");
    if (!gateway_watch_stop(&s->watch))
        _exit(code); /* its disk hangs, and holds whoever would close what is open there */
    tear_down(s);
    if (gateway_reading_is_running(&s->reading))
        _exit(code); /* a name server or a disk may hold it for long */
    free(s);
    return code;
}
