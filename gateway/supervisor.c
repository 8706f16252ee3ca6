#include "gateway/supervisor.h"

#include <limits.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/probe.h"
#include "engine/signals.h"
#include "gateway/admin.h"
#include "gateway/alerts.h"
#include "gateway/descriptors.h"
#include "gateway/doors.h"
#include "gateway/helpers.h"
#include "gateway/kernel_tls.h"
#include "gateway/names_supply.h"
#include "gateway/notify.h"
#include "gateway/reading.h"
#include "gateway/recovery.h"
#include "gateway/spool_start.h"
#include "gateway/tls_judge.h"
#include "gateway/tls_reports.h"
#include "gateway/watch.h"

#define TICK_MS 1000
#define WAIT_MS 50 /* while something of the workers is waited for */

struct supervisor {
    struct gateway_process process;
    const char *config_path;
    struct gateway_generation *current;
    struct gateway_generation *older; /* waiting for their last session */
    struct gateway_reading reading;   /* the next one */
    struct gateway_names_supply names;
    struct gateway_watch watch;
    struct observe_log_writer *log;
    struct gateway_admin *admin; /* NULL: its thread could not be started */
    uint64_t generation;
    uint64_t log_lost;
    char *spool_path; /* what this process runs with, whatever later files say */
    char *log_path;
    uint32_t workers;
    rlim_t descriptors;
    bool is_log_stderr;
    bool has_threads; /* workers that may use the log */
    bool is_ready;
    bool is_reloading; /* some workers do not have the current generation yet */
    bool is_asked;     /* to reload once more, when they have */
    bool is_stopping;
};

/* --- reading the configuration --------------------------------------------------------------- */

static void say(struct supervisor *s, enum observe_level level, const char *text)
{
    bool is_start = s->log == NULL || !s->is_ready;

    /* Not twice in one place: before it is ready, a log on standard error is left out. */
    if (is_start || !s->is_log_stderr)
        fprintf(stderr, "postern: %s\n", text);
    if (s->log != NULL && !(is_start && s->is_log_stderr)) {
        observe_log_line(s->log, level, clock_wall_s(), "%s", text);
        observe_log_flush(s->log);
    }
}

static void say_problems(struct supervisor *s, const struct config_problems *problems)
{
    char text[CONFIG_PROBLEM_TEXT_MAX + 256];

    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *p = &problems->items[i];

        fprintf(stderr, "%s\n", config_problem_format(p, text, sizeof(text)));
        if (s->log != NULL)
            observe_log_line(s->log, OBSERVE_WARNING, clock_wall_s(), "Configuration: %s", text);
    }
    if (problems->dropped_count > 0)
        fprintf(stderr, "postern: and %zu more problems\n", problems->dropped_count);
}

/* Said at the start, and when a reload finds it changed. */
static void look_at_kernel_tls(struct supervisor *s, const struct config_settings *settings,
                               struct tls_kernel_support *kernel_out)
{
    bool is_demanded = gateway_kernel_tls_is_demanded(settings);
    char text[GATEWAY_KERNEL_TLS_TEXT_MAX];

    gateway_kernel_tls_probe(kernel_out);
    if (s->current != NULL && memcmp(&s->current->kernel, kernel_out, sizeof(*kernel_out)) == 0)
        return;
    say(s, is_demanded && !kernel_out->has_module ? OBSERVE_WARNING : OBSERVE_INFO,
        gateway_kernel_tls_text(kernel_out, text));
}

static struct config_load_options load_options(const struct supervisor *s)
{
    return (struct config_load_options){ .generation = s->generation + 1,
                                         .machine = config_machine_here(),
                                         .judge = gateway_tls_judge() };
}

/* Makes a generation of what was read; NULL when that is no configuration. Takes both. */
static struct gateway_generation *adopt(struct supervisor *s, enum status status,
                                        struct config_loaded *loaded,
                                        struct config_problems *problems)
{
    struct gateway_generation *generation = NULL;
    struct tls_kernel_support kernel;

    say_problems(s, problems);
    config_problems_finish(problems);
    if (status != STATUS_OK)
        return NULL;
    look_at_kernel_tls(s, &loaded->settings, &kernel);
    if (gateway_generation_create(loaded, &kernel, &generation) != STATUS_OK) {
        config_loaded_destroy(loaded);
        return NULL;
    }
    s->generation++;
    return generation;
}

static struct gateway_generation *read_configuration(struct supervisor *s)
{
    const struct config_load_options options = load_options(s);
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    enum status status;

    config_problems_init(&problems);
    status = config_load_file(s->config_path, &options, &loaded, &problems);
    return adopt(s, status, loaded, &problems);
}

/* One view for each worker, or none at all. */
static enum status make_views(struct supervisor *s, struct gateway_generation *generation,
                              struct gateway_view **views)
{
    struct tls_error error;
    char text[TLS_ERROR_TEXT_MAX + 32];

    for (unsigned i = 0; i < s->process.workers_count; i++) {
        enum status status = gateway_view_create(generation, s->process.tickets, &views[i], &error);

        if (i == 0 && error.text[0] != '\0') {
            (void)snprintf(text, sizeof(text), "TLS: %s", error.text);
            say(s, OBSERVE_WARNING, text);
        }
        if (status == STATUS_OK)
            continue;
        while (i-- > 0)
            gateway_view_release(views[i]);
        return status;
    }
    return STATUS_OK;
}

/* before is NULL at the start. To have none is no failure where there was none. */
static enum status make_names(struct supervisor *s, const struct gateway_generation *before,
                              const struct gateway_generation *next, struct gateway_names **names)
{
    char text[DNS_REASON_MAX + 32];
    struct dns_reason reason;
    enum status status = gateway_names_supply_make(
        &s->names, &s->process, before != NULL ? &before->config->settings.dns : NULL,
        &next->config->settings.dns, names, &reason);

    if (status != STATUS_OK) {
        (void)snprintf(text, sizeof(text), "DNS: no resolver: %s", reason.text);
        say(s, OBSERVE_WARNING, text);
    }
    return gateway_names_supply_has_made(&s->names) ? status : STATUS_OK;
}

static enum status hand_out(struct supervisor *s, struct gateway_view **views,
                            struct gateway_doors *doors, struct gateway_names **names)
{
    const struct config_settings *settings = gateway_view_settings(views[0]);

    TRY(gateway_watch_take(&s->watch, views[0]));
    TRY(gateway_tls_reports_configure(s->process.tls_reports, settings));
    for (unsigned i = 0; i < s->process.workers_count; i++)
        TRY(gateway_worker_post_view(&s->process.workers[i], views[i], gateway_doors_of(doors, i),
                                     names[i]));
    gateway_doors_finish(doors, &s->process, settings);
    return STATUS_OK;
}

/* The socket is for people; a gateway that cannot have it carries mail all the same. */
static void open_admin_socket(struct supervisor *s)
{
    const char *path = s->current->config->settings.admin_socket_path;
    char why[GATEWAY_ADMIN_WHY_MAX], text[GATEWAY_ADMIN_WHY_MAX + CONFIG_SOCKET_PATH_MAX + 32];

    if (s->admin == NULL || gateway_admin_listen(s->admin, path, why) == STATUS_OK)
        return;
    (void)snprintf(text, sizeof(text), "admin socket %s: %s", path, why);
    say(s, OBSERVE_WARNING, text);
}

static bool needs_restart(const struct supervisor *s, const struct config_settings *next)
{
    return strcmp(s->spool_path, next->spool_path) != 0 || s->workers != next->workers ||
           strcmp(s->log_path, next->log_path) != 0;
}

/* The reading has ended: what it found comes into force. */
static void reload(struct supervisor *s)
{
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    struct gateway_generation *next;
    enum status status;
    struct gateway_view *views[CONFIG_WORKERS_MAX];
    struct gateway_names *names[CONFIG_WORKERS_MAX];
    struct gateway_doors doors;

    config_problems_init(&problems);
    status = gateway_reading_finish(&s->reading, &loaded, &problems);
    next = adopt(s, status, loaded, &problems);
    if (next == NULL) {
        say(s, OBSERVE_WARNING, "reload: the configuration has errors, the old one stays in force");
        return;
    }
    if (needs_restart(s, &next->config->settings))
        say(s, OBSERVE_WARNING,
            "reload: changes of spool.path, workers and log.file take effect at the next start");
    if (make_views(s, next, views) != STATUS_OK) {
        say(s, OBSERVE_WARNING, "reload: TLS cannot be set up, the old configuration stays");
        gateway_generation_destroy(next);
        return;
    }
    status = gateway_doors_open(&doors, &s->process, &next->config->settings);
    if (status == STATUS_OK) {
        status = make_names(s, s->current, next, names);
        if (status != STATUS_OK)
            gateway_doors_close(&doors);
    }
    if (status != STATUS_OK) {
        for (unsigned i = 0; i < s->process.workers_count; i++)
            gateway_view_release(views[i]);
        gateway_generation_destroy(next);
        say(s, OBSERVE_WARNING, "reload: not all can be had, the old configuration stays in force");
        return;
    }
    s->is_reloading = hand_out(s, views, &doors, names) == STATUS_OK;
    if (!s->is_reloading)
        say(s, OBSERVE_CRITICAL, "reload: no memory; some workers keep the old configuration");
    s->current->older = s->older;
    s->older = s->current;
    s->current = next;
    gateway_doors_tell(&s->process, &next->config->settings, next->config->generation);
    open_admin_socket(s);
}

/* A worker takes its view between two completions; who connects before that gets the old one. */
static void look_whether_in_force(struct supervisor *s)
{
    uint64_t generation = s->current->config->generation;
    char text[96];

    for (unsigned i = 0; i < s->process.workers_count; i++)
        if (atomic_load(&s->process.workers[i].generation) != generation)
            return;
    s->is_reloading = false;
    (void)snprintf(text, sizeof(text), "configuration generation %llu is in force",
                   (unsigned long long)generation);
    say(s, OBSERVE_INFO, text);
    gateway_notify_ready();
}

static void free_old_generations(struct supervisor *s)
{
    struct gateway_generation **at = &s->older;

    while (*at != NULL) {
        struct gateway_generation *g = *at;

        if (atomic_load(&g->views_count) > 0) {
            at = &g->older;
            continue;
        }
        *at = g->older;
        gateway_generation_destroy(g);
    }
}

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
        status = make_views(s, s->current, views);
    if (status == STATUS_OK)
        status = gateway_doors_open(&doors, &s->process, &s->current->config->settings);
    if (status == STATUS_OK)
        status = start_workers(s, views);
    if (status != STATUS_OK)
        return status;
    /* Without a DNS every lookup fails, as with one that is down, until a reload. */
    TRY(make_names(s, NULL, s->current, names));
    TRY(hand_out(s, views, &doors, names));
    gateway_doors_tell(&s->process, &s->current->config->settings, s->generation);
    if (gateway_admin_create(&s->process, &s->admin) != STATUS_OK)
        say(s, OBSERVE_WARNING, "admin socket: its thread cannot be started");
    open_admin_socket(s);
    return STATUS_OK;
}

/* --- the life of the process ----------------------------------------------------------------- */

static void stop(struct supervisor *s)
{
    uint64_t grace_ms = (uint64_t)s->current->config->settings.grace_s * 1000;

    if (s->is_stopping) {
        /* What got a 250 is on disk; what did not was never promised. */
        say(s, OBSERVE_WARNING, "second signal: leaving at once");
        _exit(0);
    }
    s->is_stopping = true;
    say(s, OBSERVE_INFO, "stopping");
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

    free_old_generations(s);
    while ((text = gateway_watch_look(&s->watch, &s->current->config->settings, &level)) != NULL)
        say(s, level, text);
    if (gateway_watch_workers(&s->watch, now_ms))
        gateway_notify_alive();
    gateway_watch_repeat(&s->watch, now_ms, now_s);
    rates_sweep(p->rates, now_ms / 1000);
    if (now_s - tls_tickets_rotated_at(p->tickets) >= TLS_TICKETS_ROTATE_S &&
        tls_tickets_rotate(p->tickets, now_s) != STATUS_OK)
        say(s, OBSERVE_WARNING, "TLS: the ticket keys could not be rotated");
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
    say(s, OBSERVE_INFO, "Postern " POSTERN_VERSION " is ready");
}

/* One after another: a port that the last one closed may still be in the hands of a worker. */
static void begin_reload(struct supervisor *s)
{
    const struct config_load_options options = load_options(s);

    s->is_asked = false;
    gateway_notify_reloading(clock_monotonic_ms());
    if (gateway_reading_start(&s->reading, s->config_path, &options) == STATUS_OK)
        return;
    say(s, OBSERVE_WARNING, "reload: no thread to read with, the old configuration stays in force");
    gateway_notify_ready();
}

/* What is under way with the configuration, one step after another. */
static void go_on_reloading(struct supervisor *s)
{
    if (s->is_stopping)
        return;
    if (gateway_reading_is_done(&s->reading)) {
        reload(s);
        if (!s->is_reloading)
            gateway_notify_ready();
    }
    if (s->is_reloading)
        look_whether_in_force(s);
    if (s->is_asked && !s->is_reloading && !gateway_reading_is_running(&s->reading))
        begin_reload(s);
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
                say(s, OBSERVE_WARNING, "log: cannot be opened again, the old file stays in use");
            break;
        default: break;
        }
        if (!s->is_ready)
            look_whether_ready(s);
        go_on_reloading(s);
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
    free_old_generations(s);
    gateway_generation_destroy(s->current);
    rates_destroy(p->rates);
    gateway_peer_count_destroy(p->peers);
    tls_tickets_destroy(p->tickets);
    observe_log_destroy(p->log);
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
    s->watch.process = &s->process;
    gateway_listing_init(&s->process.listing);
    if (engine_probe(NULL, &report) != STATUS_OK)
        fprintf(stderr, "postern: %s\n", report.reason.text);
    else
        s->current = read_configuration(s);
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
    say(s, OBSERVE_INFO, "stopped");
    tear_down(s);
    if (gateway_reading_is_running(&s->reading))
        _exit(code); /* a name server or a disk may hold it for long */
    free(s);
    return code;
}
