#include "tests/sim/gateway.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "gateway/doors.h"
#include "gateway/process.h"
#include "gateway/recovery.h"
#include "gateway/spool_start.h"
#include "gateway/worker.h"
#include "tests/sim/backend.h"
#include "tests/sim/disk.h"
#include "tests/sim/fds.h"
#include "tests/sim/fiber.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#define JOBS_MAX   64
#define TICK_US    (50 * SIM_MS)
#define GRACE_MS   30000
#define INBOUND    200
#define LOOKUPS    10
#define LOG_WRITER 1 /* besides those of the workers */

struct life {
    struct gateway_process process;
    struct gateway_generation *current;
    struct gateway_generation *older;
    struct sim_gateway_options options;
    uint64_t generation;
    enum sim_gateway_state state;
    bool stop_asked;
    bool reload_asked;
};

static struct life *life; /* NULL: there is none */
static bool is_power_cut; /* while a life ends */

/* --- what the supervisor does ---------------------------------------------------------------- */

static enum status read_configuration(struct life *l, struct gateway_generation **generation_out)
{
    struct config_load_options options = { .generation = l->generation + 1, .skip_files = true };
    struct tls_kernel_support kernel = { 0 };
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    char text[CONFIG_PROBLEM_TEXT_MAX + 256];
    enum status status;

    config_problems_init(&problems);
    status = config_load_text(SIM_DISK_ROOT "/postern.conf", l->options.configuration, &options,
                              &loaded, &problems);
    for (size_t i = 0; status != STATUS_OK && i < problems.count; i++)
        fprintf(stderr, "%s\n", config_problem_format(&problems.items[i], text, sizeof(text)));
    config_problems_finish(&problems);
    /* Less than a configuration may say. */
    if (status == STATUS_OK && l->options.memory_bytes > 0)
        loaded->settings.memory_message_bytes = l->options.memory_bytes;
    if (status == STATUS_OK)
        status = gateway_generation_create(loaded, &kernel, generation_out);
    l->generation++;
    return status;
}

static enum status make_views(struct life *l, struct gateway_generation *generation,
                              struct gateway_view **views)
{
    struct tls_error error;

    for (unsigned i = 0; i < l->process.workers_count; i++)
        TRY(gateway_view_create(generation, NULL, &views[i], &error));
    return STATUS_OK;
}

static enum status start_shared(struct life *l)
{
    struct gateway_process *p = &l->process;
    struct hash_seed rates_seed;

    if (getrandom(&p->seed, sizeof(p->seed), 0) != sizeof(p->seed) ||
        getrandom(&rates_seed, sizeof(rates_seed), 0) != sizeof(rates_seed))
        return STATUS_IO;
    p->workers_count = l->options.workers;
    p->inbound_max = INBOUND;
    p->lookups_max = LOOKUPS;
    p->workers = aligned_alloc(alignof(struct gateway_worker),
                               p->workers_count * sizeof(struct gateway_worker));
    if (p->workers == NULL)
        return STATUS_NO_MEMORY;
    memset(p->workers, 0, p->workers_count * sizeof(struct gateway_worker));
    TRY(observe_log_create("/dev/null", p->workers_count + LOG_WRITER, &p->log));
    TRY(gateway_peer_count_create(&p->seed, &p->peers));
    TRY(rates_create((size_t)1 << 12, &rates_seed, &p->rates));
    TRY(engine_helper_create(1, JOBS_MAX, &p->segments));
    TRY(engine_helper_create(2, 2, &p->readers));
    if (!p->spool_is_direct)
        TRY(engine_helper_create(p->workers_count, JOBS_MAX, &p->committer));
    return STATUS_OK;
}

static enum status start_workers(struct life *l, struct gateway_view **views)
{
    struct gateway_process *p = &l->process;

    for (unsigned i = 0; i < p->workers_count; i++)
        TRY(gateway_worker_init(&p->workers[i], p, i, views[i]));
    for (unsigned i = 0; i < p->workers_count; i++) {
        TRY(gateway_worker_run(&p->workers[i]));
        while (atomic_load(&p->workers[i].start) == GATEWAY_WORKER_STARTING)
            sim_fiber_sleep(SIM_MS);
    }
    atomic_store(&p->workers_running, p->workers_count);
    return STATUS_OK;
}

static enum status hand_out(struct life *l, struct gateway_view **views,
                            struct gateway_doors *doors)
{
    for (unsigned i = 0; i < l->process.workers_count; i++)
        TRY(gateway_worker_post_view(&l->process.workers[i], views[i], gateway_doors_of(doors, i),
                                     NULL));
    gateway_doors_finish(doors, &l->process, gateway_view_settings(views[0]));
    return STATUS_OK;
}

static void on_door_trouble(struct gateway_doors_watch *watch, const char *text)
{
    (void)watch;
    sim_note("gateway: %s", text);
}

static struct gateway_doors_watch doors_watch = { .trouble = on_door_trouble };

static enum status start(struct life *l)
{
    struct gateway_view *views[CONFIG_WORKERS_MAX];
    struct gateway_doors doors;
    enum status status;

    TRY(read_configuration(l, &l->current));
    l->process.started_ms = clock_monotonic_ms();
    l->process.workers_count = l->options.workers;
    TRY(gateway_spool_open(&l->process, &l->current->config->settings));
    status = start_shared(l);
    if (status == STATUS_OK)
        status = make_views(l, l->current, views);
    if (status == STATUS_OK)
        status =
            gateway_doors_open(&doors, &l->process, &l->current->config->settings, &doors_watch);
    if (status == STATUS_OK)
        status = start_workers(l, views);
    return status == STATUS_OK ? hand_out(l, views, &doors) : status;
}

static void reload(struct life *l)
{
    struct gateway_view *views[CONFIG_WORKERS_MAX];
    struct gateway_generation *next = NULL;
    struct gateway_doors doors;

    if (read_configuration(l, &next) != STATUS_OK || make_views(l, next, views) != STATUS_OK ||
        gateway_doors_open(&doors, &l->process, &next->config->settings, &doors_watch) !=
            STATUS_OK ||
        hand_out(l, views, &doors) != STATUS_OK)
        sim_fault("a reload fails");
    l->current->older = l->older;
    l->older = l->current;
    l->current = next;
}

static bool have_all(const struct life *l, int start)
{
    for (unsigned i = 0; i < l->process.workers_count; i++)
        if (atomic_load(&l->process.workers[i].start) != start)
            return false;
    return true;
}

static void tear_down(struct life *l)
{
    struct gateway_process *p = &l->process;

    engine_helper_destroy(p->committer);
    engine_helper_destroy(p->readers);
    engine_helper_destroy(p->segments);
    atomic_store(&p->nobody_posts, true);
    for (unsigned i = 0; i < p->workers_count; i++)
        gateway_worker_join(&p->workers[i]);
    gateway_recovery_destroy(p->recovery);
    p->recovery = NULL;
    for (unsigned i = 0; i < p->workers_count; i++)
        gateway_worker_finish(&p->workers[i]);
    gateway_spool_close(p);
    while (l->older != NULL) {
        struct gateway_generation *g = l->older;

        l->older = g->older;
        gateway_generation_destroy(g);
    }
    gateway_generation_destroy(l->current);
    rates_destroy(p->rates);
    gateway_peer_count_destroy(p->peers);
    observe_log_destroy(p->log);
    free(p->workers);
    /* Files of segments are left to the system. */
    if (sim_fds_of(SIM_FD_SOCKET) + sim_fds_of(SIM_FD_LISTENER) + sim_fds_of(SIM_FD_BELL) > 0)
        sim_fault("sockets or bells are left open by a stop");
}

static void live(void *subject)
{
    struct life *l = subject;
    enum status status = start(l);

    if (status != STATUS_OK) {
        sim_note("gateway: cannot start: %s", status_text(status));
        l->state = SIM_GATEWAY_FAILED;
        return;
    }
    while (!have_all(l, GATEWAY_WORKER_ENDED)) {
        if (l->state == SIM_GATEWAY_STARTING && have_all(l, GATEWAY_WORKER_READY)) {
            sim_note("gateway: ready");
            l->state = SIM_GATEWAY_READY;
        }
        if (l->reload_asked && !l->stop_asked)
            reload(l);
        l->reload_asked = false;
        if (l->stop_asked && l->state != SIM_GATEWAY_STOPPING) {
            l->state = SIM_GATEWAY_STOPPING;
            for (unsigned i = 0; i < l->process.workers_count; i++)
                if (gateway_worker_post_stop(&l->process.workers[i], GRACE_MS) != STATUS_OK)
                    sim_fault("a stop fails");
        }
        (void)sim_fiber_park(l->stop_asked ? TICK_US : SIM_S);
    }
    tear_down(l);
    sim_note("gateway: stopped");
    l->state = SIM_GATEWAY_STOPPED;
}

/* --- what the world does --------------------------------------------------------------------- */

static struct sim_fiber *supervisor;

void sim_gateway_start(const struct sim_gateway_options *options)
{
    ASSERT(life == NULL);
    life = sim_allocate(sizeof(*life));
    life->options = *options;
    life->state = SIM_GATEWAY_STARTING;
    sim_note("gateway: starts with %u workers", options->workers);
    supervisor = sim_fiber_start("supervisor", live, life);
}

enum sim_gateway_state sim_gateway_state(void)
{
    return life != NULL ? life->state : SIM_GATEWAY_DOWN;
}

void sim_gateway_stop(void)
{
    sim_note("gateway: is to stop");
    life->stop_asked = true;
    sim_fiber_wake(supervisor);
}

void sim_gateway_reload(void)
{
    sim_note("gateway: is to reload");
    life->reload_asked = true;
    sim_fiber_wake(supervisor);
}

static void leave(enum sim_fd_kind kind, void *object)
{
    switch (kind) {
    case SIM_FD_FILE: sim_disk_close(object); return;
    case SIM_FD_SOCKET:
    case SIM_FD_LISTENER: sim_net_abandon(is_power_cut, (int)kind, object); return;
    case SIM_FD_BELL:
    case SIM_FD_FREE: return;
    }
}

void sim_gateway_die(enum sim_death how)
{
    static const char *const names[] = { "is killed", "loses power", "has left" };

    ASSERT(sim_fiber_current() == NULL);
    sim_note("gateway: %s", names[how]);
    is_power_cut = how == SIM_DEATH_POWER;
    sim_disk_arm(0, NULL);
    sim_backend_abandon();
    sim_fds_end(leave);
    if (is_power_cut)
        sim_disk_lose_power();
    sim_life_end();
    life = NULL;
}

bool sim_gateway_is_empty(void)
{
    if (life == NULL || atomic_load(&life->process.connections) > 0)
        return false;
    for (unsigned i = 0; i < life->process.workers_count; i++)
        if (!slim_list_is_empty(&life->process.workers[i].messages) ||
            !slim_list_is_empty(&life->process.workers[i].shelf.messages))
            return false;
    return gateway_recovery_progress(life->process.recovery).is_over;
}

void sim_gateway_check_books(void)
{
    uint64_t message_bytes = atomic_load(&life->process.message_bytes);
    uint64_t body_bytes = atomic_load(&life->process.body_bytes);

    if (message_bytes > 0 || body_bytes > 0)
        sim_fault("the queue is empty, and %llu bytes of messages, %llu of files are counted",
                  (unsigned long long)message_bytes, (unsigned long long)body_bytes);
}
