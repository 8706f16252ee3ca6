#include "gateway/supervisor_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/kernel_tls.h"
#include "gateway/notify.h"
#include "gateway/tls_judge.h"
#include "gateway/tls_reports.h"

/* --- reading the configuration --------------------------------------------------------------- */

void supervisor_say(struct supervisor *s, enum observe_level level, const char *text)
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
            observe_log_line(s->log,
                             p->severity == CONFIG_ERROR ? OBSERVE_CRITICAL : OBSERVE_WARNING,
                             clock_wall_s(), "Configuration: %s", text);
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
    supervisor_say(s, is_demanded && !kernel_out->has_module ? OBSERVE_WARNING : OBSERVE_INFO,
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

struct gateway_generation *supervisor_read_configuration(struct supervisor *s)
{
    const struct config_load_options options = load_options(s);
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    enum status status;

    config_problems_init(&problems);
    status = config_load_file(s->config_path, &options, &loaded, &problems);
    return adopt(s, status, loaded, &problems);
}

enum status supervisor_make_views(struct supervisor *s, struct gateway_generation *generation,
                                  struct gateway_view **views)
{
    struct tls_error error;
    char text[TLS_ERROR_TEXT_MAX + 32];

    for (unsigned i = 0; i < s->process.workers_count; i++) {
        enum status status = gateway_view_create(generation, s->process.tickets, &views[i], &error);

        if (i == 0 && error.text[0] != '\0') {
            (void)snprintf(text, sizeof(text), "TLS: %s", error.text);
            supervisor_say(s, OBSERVE_WARNING, text);
        }
        if (status == STATUS_OK)
            continue;
        while (i-- > 0)
            gateway_view_release(views[i]);
        return status;
    }
    return STATUS_OK;
}

enum status supervisor_make_names(struct supervisor *s, const struct gateway_generation *before,
                                  const struct gateway_generation *next,
                                  struct gateway_names **names)
{
    char text[DNS_REASON_MAX + 32];
    struct dns_reason reason;
    enum status status = gateway_names_supply_make(
        &s->names, &s->process, before != NULL ? &before->config->settings.dns : NULL,
        &next->config->settings.dns, names, &reason);

    if (status != STATUS_OK) {
        (void)snprintf(text, sizeof(text), "DNS: no resolver: %s", reason.text);
        supervisor_say(s, OBSERVE_WARNING, text);
    }
    return gateway_names_supply_has_made(&s->names) ? status : STATUS_OK;
}

enum status supervisor_hand_out(struct supervisor *s, struct gateway_view **views,
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

void supervisor_open_admin_socket(struct supervisor *s)
{
    const char *path = s->current->config->settings.admin_socket_path;
    char why[GATEWAY_ADMIN_WHY_MAX], text[GATEWAY_ADMIN_WHY_MAX + CONFIG_SOCKET_PATH_MAX + 32];

    if (s->admin == NULL || gateway_admin_listen(s->admin, path, why) == STATUS_OK)
        return;
    (void)snprintf(text, sizeof(text), "admin socket %s: %s", path, why);
    supervisor_say(s, OBSERVE_WARNING, text);
}

void supervisor_door_trouble(struct gateway_doors_watch *watch, const char *text)
{
    supervisor_say(CONTAINER_OF(watch, struct supervisor, doors_watch), OBSERVE_CRITICAL, text);
}

/* Of what is changed, that which a reload cannot change. */
static void say_what_needs_a_restart(struct supervisor *s, const struct config_settings *next)
{
    const struct {
        const char *name;
        bool is_changed;
    } settings[] = {
        { "spool.path", strcmp(s->spool_path, next->spool_path) != 0 },
        { "workers", s->workers != next->workers },
        { "log.file", strcmp(s->log_path, next->log_path) != 0 },
    };
    char text[128];

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (!settings[i].is_changed)
            continue;
        (void)snprintf(text, sizeof(text),
                       "reload: the change of %s takes effect at the next start", settings[i].name);
        supervisor_say(s, OBSERVE_WARNING, text);
    }
}

/* Nothing has changed; `postern status` tells it too, until a reload goes well. */
static void refuse_reload(struct supervisor *s, const char *text)
{
    atomic_store(&s->process.reload_failed_s, clock_wall_s());
    supervisor_say(s, OBSERVE_CRITICAL, text);
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
        refuse_reload(s, "reload: the configuration has errors, the old one stays in force");
        return;
    }
    say_what_needs_a_restart(s, &next->config->settings);
    if (supervisor_make_views(s, next, views) != STATUS_OK) {
        refuse_reload(s, "reload: TLS cannot be set up, the old configuration stays in force");
        gateway_generation_destroy(next);
        return;
    }
    status = gateway_doors_open(&doors, &s->process, &next->config->settings, &s->doors_watch);
    if (status == STATUS_OK) {
        status = supervisor_make_names(s, s->current, next, names);
        if (status != STATUS_OK)
            gateway_doors_close(&doors);
    }
    if (status != STATUS_OK) {
        for (unsigned i = 0; i < s->process.workers_count; i++)
            gateway_view_release(views[i]);
        gateway_generation_destroy(next);
        refuse_reload(s, "reload: not all can be had, the old configuration stays in force");
        return;
    }
    s->is_reloading = supervisor_hand_out(s, views, &doors, names) == STATUS_OK;
    if (!s->is_reloading)
        supervisor_say(s, OBSERVE_CRITICAL,
                       "reload: no memory; some workers keep the old configuration");
    atomic_store(&s->process.reload_failed_s, 0);
    s->current->older = s->older;
    s->older = s->current;
    s->current = next;
    gateway_doors_tell(&s->process, &next->config->settings, next->config->generation);
    supervisor_open_admin_socket(s);
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
    supervisor_say(s, OBSERVE_INFO, text);
    gateway_notify_ready();
}

void supervisor_free_old_generations(struct supervisor *s)
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

/* One after another: a port that the last one closed may still be in the hands of a worker. */
static void begin_reload(struct supervisor *s)
{
    const struct config_load_options options = load_options(s);

    s->is_asked = false;
    gateway_notify_reloading(clock_monotonic_ms());
    if (gateway_reading_start(&s->reading, s->config_path, &options) == STATUS_OK)
        return;
    refuse_reload(s, "reload: no thread to read with, the old configuration stays in force");
    gateway_notify_ready();
}

void supervisor_go_on_reloading(struct supervisor *s)
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
