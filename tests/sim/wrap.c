#include "tests/sim/wrap.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "engine/helper.h"
#include "engine/listener.h"
#include "engine/thread.h"
#include "gateway/bounce.h"
#include "gateway/message_recover.h"
#include "gateway/worker.h"
#include "observe/ring.h"
#include "spool/log_parts.h"
#include "spool/pool.h"
#include "tests/sim/backend.h"
#include "tests/sim/fiber.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/plant.h"
#include "tests/sim/world.h"
#include "tls/resumption.h"

#define WAIT_US       500
#define FIBERS_MAX    256
#define LOG_LINE_MAX  400
#define CANNOT_READ   "cannot be read from segment"
#define UNCOUNTED_MAX 256

struct sim_sizes sim_sizes;
enum sim_plant sim_plant;

const char *sim_plant_name(enum sim_plant plant)
{
    static const char *const names[SIM_PLANT_COUNT] = {
        [SIM_PLANT_NONE] = "none",
        [SIM_PLANT_EARLY_COMMIT] = "250 before the write is durable",
        [SIM_PLANT_FAILED_COMMIT] = "a failed write counts as done",
        [SIM_PLANT_SYNC_OF_BODIES] = "body files are not synced",
        [SIM_PLANT_SYNC_OF_NAMES] = "folders are not synced",
        [SIM_PLANT_EARLY_DONE] = "DONE with the first result",
        [SIM_PLANT_DEFERRED_IS_DELIVERED] = "a 4xx is recorded as delivered",
        [SIM_PLANT_DELIVERED_IS_FORGOTTEN] = "results are not recorded",
        [SIM_PLANT_BOUNCE_UNSENT] = "bounced, and the sender not told",
        [SIM_PLANT_RECOVERY_SKIPS] = "recovery leaves messages out",
        [SIM_PLANT_BODY_CHANGED] = "a byte changes on its way to the disk",
        [SIM_PLANT_READER_NOT_COUNTED] = "put away while it is read",
        [SIM_PLANT_FETCHES_ANOTHER] = "another message fetched",
    };

    return names[plant];
}

/* Declares the wrapper that the linker looks for, and what it wraps. */
#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* --- threads --------------------------------------------------------------------------------- */

static void run_thread(void *subject)
{
    struct engine_thread *thread = subject;

    thread->run(thread);
}

WRAP(enum status, engine_thread_start, struct engine_thread *thread, const char *name, int cpu,
     void (*run)(struct engine_thread *thread))
{
    (void)cpu;
    thread->run = run;
    thread->started = true;
    thread->id = (pthread_t)sim_fiber_start(name, run_thread, thread);
    return STATUS_OK;
}

WRAP(void, engine_thread_join, struct engine_thread *thread)
{
    while (thread->started && !sim_fiber_has_ended((const struct sim_fiber *)thread->id))
        sim_fiber_sleep(WAIT_US);
    thread->started = false;
}

/* The log's thread: its lines are taken before (observe_ring_put below). */
WRAP(int, pthread_create, pthread_t *id, const pthread_attr_t *attributes, void *(*run)(void *),
     void *argument)
{
    (void)attributes;
    (void)run;
    (void)argument;
    *id = 0;
    return 0;
}

WRAP(int, pthread_join, pthread_t id, void **result)
{
    (void)id;
    (void)result;
    return 0;
}

WRAP(int, pthread_setname_np, pthread_t id, const char *name)
{
    (void)id;
    (void)name;
    return 0;
}

/* Those who wait on a condition. A fiber that a crash has abandoned stays in the list, and a wake
 * does nothing to it. */
static struct {
    pthread_cond_t *condition;
    struct sim_fiber *fiber;
} waiting[FIBERS_MAX];

static void wake_all(pthread_cond_t *condition)
{
    for (unsigned i = 0; i < FIBERS_MAX; i++) {
        if (waiting[i].condition != condition)
            continue;
        waiting[i].condition = NULL;
        sim_fiber_wake(waiting[i].fiber);
    }
}

WRAP(int, pthread_cond_wait, pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    unsigned i = 0;

    while (i < FIBERS_MAX && waiting[i].condition != NULL)
        i++;
    ASSERT(i < FIBERS_MAX);
    waiting[i].condition = condition;
    waiting[i].fiber = sim_fiber_current();
    ASSERT(pthread_mutex_unlock(mutex) == 0);
    (void)sim_fiber_park(SIM_EVER);
    ASSERT(pthread_mutex_lock(mutex) == 0);
    return 0;
}

WRAP(int, pthread_cond_signal, pthread_cond_t *condition)
{
    wake_all(condition);
    return 0;
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *condition)
{
    wake_all(condition);
    return 0;
}

WRAP(int, usleep, useconds_t us)
{
    sim_fiber_sleep(us);
    return 0;
}

/* --- time and chance ------------------------------------------------------------------------- */

WRAP(uint64_t, clock_monotonic_ms, void)
{
    return (SIM_EPOCH_US + sim_now_us()) / SIM_MS;
}

WRAP(time_t, clock_wall_s, void)
{
    return (time_t)(SIM_EPOCH_S + (int64_t)(sim_now_us() / SIM_S));
}

WRAP(uint64_t, clock_wall_us, void)
{
    return (uint64_t)SIM_EPOCH_S * SIM_S + sim_now_us();
}

WRAP(int, clock_gettime, clockid_t clock, struct timespec *now)
{
    uint64_t us = (clock == CLOCK_MONOTONIC ? SIM_EPOCH_US : SIM_EPOCH_S * SIM_S) + sim_now_us();

    now->tv_sec = (time_t)(us / SIM_S);
    now->tv_nsec = (long)(us % SIM_S) * 1000;
    return 0;
}

WRAP(ssize_t, getrandom, void *into, size_t bytes, unsigned flags)
{
    uint8_t *at = into;

    (void)flags;
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)sim_random();
    return (ssize_t)bytes;
}

/* --- the engine ------------------------------------------------------------------------------ */

WRAP(enum status, engine_loop_create, const struct engine_loop_options *options,
     struct engine_loop **loop, struct engine_reason *reason)
{
    struct engine_loop_options ours = *options;

    ours.backend = &sim_backend_ops;
    return __real_engine_loop_create(&ours, loop, reason);
}

WRAP(enum status, engine_listener_probe, const struct ip_endpoint *endpoint, int *error)
{
    (void)endpoint;
    *error = 0;
    return STATUS_OK;
}

WRAP(enum status, engine_listener_bind, const struct ip_endpoint *endpoint, int backlog, int *fd,
     int *error)
{
    int result = sim_listener_open(endpoint);

    (void)backlog;
    *error = result < 0 ? -result : 0;
    if (result < 0)
        return STATUS_LIMIT;
    *fd = result;
    return STATUS_OK;
}

/* Nobody resumes a session here, and the room for it takes long to make. */
WRAP(enum status, tls_resumption_create, size_t entries_max, struct tls_resumption **resumption)
{
    (void)entries_max;
    return __real_tls_resumption_create(1, resumption);
}

/* --- the log --------------------------------------------------------------------------------- */

WRAP(bool, observe_ring_put, struct observe_ring *ring, uint64_t stamp_ns, struct slice line)
{
    (void)ring;
    (void)stamp_ns;
    while (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    if (!sim_ledger_rules.reads_fail &&
        memmem(line.data, line.len, CANNOT_READ, strlen(CANNOT_READ)) != NULL)
        sim_fault("%.*s", SLICE_ARGS(line));
    sim_note("log: %.*s", line.len < LOG_LINE_MAX ? (int)line.len : LOG_LINE_MAX, line.data);
    return true;
}

/* --- the spool ------------------------------------------------------------------------------- */

WRAP(enum status, spool_pool_init, struct spool_pool *pool, const struct spool_directory *directory,
     uint32_t segment_bytes, uint64_t generation_next, uint32_t number_next, size_t files_count,
     size_t free_kept_max)
{
    (void)segment_bytes;
    return __real_spool_pool_init(pool, directory, sim_sizes.segment_bytes, generation_next,
                                  number_next, files_count, free_kept_max);
}

WRAP(enum status, spool_log_init, struct spool_log *log, struct spool_storage *storage,
     const struct spool_log_options *options)
{
    struct spool_log_options ours = *options;

    ours.segment_bytes = sim_sizes.segment_bytes;
    ours.record_bytes_max = sim_sizes.record_bytes_max;
    return __real_spool_log_init(log, storage, &ours);
}

/* STATUS_LIMIT makes the receipt go on in a file, as it does above SPOOL_BODY_INLINE_MAX. */
WRAP(enum status, spool_draft_body, struct spool_draft *draft, struct slice bytes)
{
    if (spool_draft_body_bytes(draft) + bytes.len > sim_sizes.inline_bytes_max)
        return STATUS_LIMIT;
    return __real_spool_draft_body(draft, bytes);
}

/* --- planted bugs ---------------------------------------------------------------------------- */

WRAP(void, spool_log_append_results, struct spool_log *log, uint64_t mid,
     const struct spool_result *results, size_t count)
{
    struct spool_result changed = *results;

    if (sim_plant_is(SIM_PLANT_DELIVERED_IS_FORGOTTEN))
        return;
    if (sim_plant_is(SIM_PLANT_DEFERRED_IS_DELIVERED) && count == 1 &&
        changed.state == SPOOL_RESULT_DEFERRED) {
        changed.state = SPOOL_RESULT_DELIVERED;
        results = &changed;
    }
    __real_spool_log_append_results(log, mid, results, count);
}

/* The segment counts the message once more, so that nothing else goes wrong. */
WRAP(void, gateway_store_results, struct gateway_store *store, uint64_t mid,
     const struct spool_result *results, size_t count)
{
    __real_gateway_store_results(store, mid, results, count);
    if (!sim_plant_is(SIM_PLANT_EARLY_DONE))
        return;
    SLIM_LIST_FOR_EACH (node, &store->worker->messages) {
        struct gateway_message *m = CONTAINER_OF(node, struct gateway_message, node);

        if (spool_message_mid(m->spool) != mid)
            continue;
        m->location.segment->messages++;
        gateway_store_done(store, mid, &m->location, NULL);
    }
}

WRAP(void, gateway_bounce_start, struct gateway_message *message, struct gateway_report *report)
{
    if (sim_plant_is(SIM_PLANT_BOUNCE_UNSENT))
        gateway_message_bounced(message, report);
    else
        __real_gateway_bounce_start(message, report);
}

/* As if all its recipients had a final result. */
WRAP(enum status, gateway_message_settle, struct gateway_message *m, struct gateway_worker *home,
     struct spool_segment *segment)
{
    enum status status = __real_gateway_message_settle(m, home, segment);

    if (status == STATUS_OK && sim_plant_is(SIM_PLANT_RECOVERY_SKIPS) && sim_below(8) == 0)
        m->open_count = 0;
    return status;
}

/* --- the shelf ------------------------------------------------------------------------------- */

/* Whose readers are not counted, once for each of them. */
static struct gateway_message *uncounted[UNCOUNTED_MAX];

void __real_gateway_message_let_go(struct gateway_message *m);

WRAP(bool, gateway_message_hold, struct gateway_message *m)
{
    unsigned i = 0;

    if (!__real_gateway_message_hold(m))
        return false;
    while (i < UNCOUNTED_MAX && uncounted[i] != NULL)
        i++;
    if (!sim_plant_is(SIM_PLANT_READER_NOT_COUNTED) || i == UNCOUNTED_MAX)
        return true;
    uncounted[i] = m;
    __real_gateway_message_let_go(m);
    return true;
}

WRAP(void, gateway_message_let_go, struct gateway_message *m)
{
    for (unsigned i = 0; i < UNCOUNTED_MAX; i++) {
        if (uncounted[i] != m)
            continue;
        uncounted[i] = NULL;
        return;
    }
    __real_gateway_message_let_go(m);
}

/* By the shelf, not by a start, which the supervisor makes. The first one is remembered. */
WRAP(enum status, spool_message_from_record, uint64_t mid, uint64_t generation, struct slice bytes,
     struct spool_message **message)
{
    static struct {
        uint64_t mid;
        uint64_t generation;
        struct slice bytes;
    } first;
    enum status status = __real_spool_message_from_record(mid, generation, bytes, message);

    if (status != STATUS_OK || strcmp(sim_fiber_name(sim_fiber_current()), "supervisor") == 0)
        return status;
    sim_counts.fetched++;
    if (!sim_plant_is(SIM_PLANT_FETCHES_ANOTHER))
        return STATUS_OK;
    if (first.mid != 0 && first.mid != mid) {
        spool_message_destroy(*message);
        return __real_spool_message_from_record(first.mid, first.generation, first.bytes, message);
    }
    first.mid = mid;
    first.generation = generation;
    first.bytes.data = memcpy(sim_allocate(bytes.len), bytes.data, bytes.len);
    first.bytes.len = bytes.len;
    return STATUS_OK;
}

WRAP(void, gateway_message_moved, struct gateway_message *m)
{
    sim_counts.moved++;
    __real_gateway_message_moved(m);
}
