#include "gateway/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/allocations.h"
#include "base/clock.h"
#include "base/pool.h"
#include "gateway/heap.h"
#include "gateway/inbound.h"
#include "gateway/message.h"
#include "gateway/outbound.h"
#include "gateway/port.h"
#include "gateway/recovery.h"

time_t gateway_worker_now_s(const struct gateway_worker *w)
{
    return engine_loop_wall_s(w->loop);
}

uint64_t gateway_worker_now_ms(const struct gateway_worker *w)
{
    return engine_loop_now_ms(w->loop);
}

/* SplitMix64 (Steele, Lea, Flood 2014): spreads retries, protects nothing. */
uint64_t gateway_worker_random(struct gateway_worker *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* --- a new configuration --------------------------------------------------------------------- */

struct view_change {
    struct engine_message message;
    struct gateway_worker *worker;
    struct gateway_view *view;
    struct gateway_names *names;
    struct gateway_door doors[];
};

static bool has_listener(const struct config_settings *settings, const struct gateway_port *port)
{
    for (size_t i = 0; i < settings->listeners_count; i++)
        if (ip_endpoint_equal(&settings->listeners[i].endpoint, &port->endpoint))
            return true;
    return false;
}

static void change_ports(struct gateway_worker *w, const struct view_change *change)
{
    const struct config_settings *settings = gateway_view_settings(change->view);

    LIST_FOR_EACH (node, &w->ports) {
        struct gateway_port *port = CONTAINER_OF(node, struct gateway_port, node);

        if (!has_listener(settings, port))
            gateway_port_close(port);
    }
    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct gateway_door *door = &change->doors[i];
        struct gateway_port *port = gateway_port_find(w, &settings->listeners[i].endpoint);

        if (port != NULL)
            port->index = i;
        else if (door->fd >= 0 && gateway_port_open(w, door->load, i, door->fd) != STATUS_OK)
            observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w),
                             "Listener %s: no memory to open it", settings->listeners[i].name);
    }
}

bool gateway_worker_is_accepting(const struct gateway_worker *w)
{
    return gateway_store_is_settled(&w->store) && !w->is_capped;
}

static void pause_or_resume_ports(struct gateway_worker *w)
{
    bool accepting = gateway_worker_is_accepting(w);

    LIST_FOR_EACH (node, &w->ports) {
        struct engine_listener *l = &CONTAINER_OF(node, struct gateway_port, node)->listener;

        if (accepting)
            engine_listener_resume(l);
        else
            engine_listener_pause(l);
    }
}

void gateway_worker_inbound_opened(struct gateway_worker *w)
{
    w->inbound_count++;
    if (w->is_capped || w->inbound_count < w->process->inbound_max)
        return;
    w->is_capped = true;
    observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                     "%u connections on a worker: new ones wait", w->inbound_count);
    pause_or_resume_ports(w);
}

void gateway_worker_inbound_closed(struct gateway_worker *w)
{
    unsigned max = w->process->inbound_max;

    ASSERT(w->inbound_count > 0);
    w->inbound_count--;
    if (!w->is_capped || w->inbound_count > max - max / 16)
        return;
    w->is_capped = false;
    pause_or_resume_ports(w);
}

/* Until then connections wait in the backlog: a 452 to the first ones would be our own doing. */
void gateway_worker_store_settled(struct gateway_worker *w)
{
    int runs = GATEWAY_WORKER_RUNS;

    pause_or_resume_ports(w);
    (void)atomic_compare_exchange_strong(&w->start, &runs, GATEWAY_WORKER_READY);
}

static void begin(struct gateway_worker *w)
{
    w->has_begun = true;
    gateway_store_start(&w->store);
    if (w->index == 0)
        gateway_recovery_start(w->process->recovery);
}

/* Questions that were put to the one before are answered by it. */
static void renew_names(struct gateway_worker *w, struct gateway_names *names)
{
    if (names == NULL)
        return;
    if (w->state >= GATEWAY_WORKER_DRAINED) {
        gateway_names_release(names); /* nobody asks any more */
        return;
    }
    gateway_names_release(w->names);
    w->names = names;
}

static void take_view(struct engine_loop *here, struct engine_message *message)
{
    struct view_change *change = CONTAINER_OF(message, struct view_change, message);
    struct gateway_worker *w = change->worker;
    struct gateway_view *old = w->view;
    bool is_first = old == change->view;

    ASSERT(w->loop == here);
    if (!gateway_worker_is_stopping(w))
        change_ports(w, change);
    w->view = change->view;
    atomic_store(&w->generation, w->view->generation->config->generation);
    renew_names(w, change->names);
    if (is_first) {
        begin(w);
    } else {
        gateway_dispatch_reload(&w->dispatch, gateway_view_policy(old));
        gateway_view_release(old);
        gateway_store_resume(&w->store);
    }
    free(change);
}

enum status gateway_worker_post_view(struct gateway_worker *w, struct gateway_view *view,
                                     const struct gateway_door *doors, struct gateway_names *names)
{
    size_t count = gateway_view_settings(view)->listeners_count;
    struct view_change *change = calloc(1, sizeof(*change) + count * sizeof(change->doors[0]));

    if (change == NULL)
        return STATUS_NO_MEMORY;
    change->message.deliver = take_view;
    change->worker = w;
    change->view = view;
    change->names = names;
    memcpy(change->doors, doors, count * sizeof(*doors));
    engine_mailbox_post(w->loop, NULL, &change->message);
    return STATUS_OK;
}

/* --- the end --------------------------------------------------------------------------------- */

struct note {
    struct engine_message message;
    struct gateway_worker *worker;
    uint64_t grace_ms;
};

static void on_grace(struct engine_timer *timer)
{
    struct gateway_worker *w = CONTAINER_OF(timer, struct gateway_worker, grace);

    LIST_FOR_EACH (node, &w->inbound) {
        gateway_inbound_reset(CONTAINER_OF(node, struct gateway_inbound, node));
    }
    LIST_FOR_EACH (out, &w->outbound) {
        gateway_outbound_reset(CONTAINER_OF(out, struct gateway_outbound, node));
    }
    gateway_call_ahead_reset(w->call_ahead);
}

static void stop(struct engine_loop *here, struct engine_message *message)
{
    struct note *note = CONTAINER_OF(message, struct note, message);
    struct gateway_worker *w = note->worker;

    if (w->state == GATEWAY_WORKER_RUNNING) {
        w->state = GATEWAY_WORKER_DRAINING;
        engine_timer_start(here, &w->grace, note->grace_ms, on_grace);
        LIST_FOR_EACH (node, &w->ports) {
            gateway_port_close(CONTAINER_OF(node, struct gateway_port, node));
        }
        LIST_FOR_EACH (in, &w->inbound) {
            gateway_inbound_stop(CONTAINER_OF(in, struct gateway_inbound, node));
        }
        LIST_FOR_EACH (out, &w->outbound) {
            gateway_outbound_stop(CONTAINER_OF(out, struct gateway_outbound, node));
        }
        gateway_dispatch_stop(&w->dispatch);
        gateway_mta_sts_stop(w->mta_sts);
        gateway_tls_gatherer_stop(&w->tls_gatherer);
        gateway_call_ahead_stop(w->call_ahead); /* last: who is answered knows that it stops */
    }
    free(note);
    gateway_worker_check_drained(w);
}

static enum status post_note(struct gateway_worker *w, struct engine_loop *from, uint64_t grace_ms,
                             void (*deliver)(struct engine_loop *here, struct engine_message *m))
{
    struct note *note = calloc(1, sizeof(*note));

    if (note == NULL)
        return STATUS_NO_MEMORY;
    note->message.deliver = deliver;
    note->worker = w;
    note->grace_ms = grace_ms;
    engine_mailbox_post(w->loop, from, &note->message);
    return STATUS_OK;
}

enum status gateway_worker_post_stop(struct gateway_worker *w, uint64_t grace_ms)
{
    return post_note(w, NULL, grace_ms, stop);
}

static void on_late(struct engine_timer *timer)
{
    struct gateway_worker *w = CONTAINER_OF(timer, struct gateway_worker, grace);

    w->is_late = true;
    gateway_worker_check_drained(w);
}

/* If the disk took no more, what was delivered and not recorded may be delivered twice. */
static void committed(struct gateway_worker *w)
{
    w->state = GATEWAY_WORKER_DONE;
    if (gateway_store_has_results(&w->store))
        observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w),
                         "Spool: log %u: the last results could not be recorded", w->index);
}

/* All workers are drained; every report there will ever be has been delivered before this. */
static void last_commit(struct engine_loop *here, struct engine_message *message)
{
    struct note *note = CONTAINER_OF(message, struct note, message);
    struct gateway_worker *w = note->worker;

    (void)here;
    free(note);
    ASSERT(w->state == GATEWAY_WORKER_DRAINED);
    w->state = GATEWAY_WORKER_LAST_COMMIT;
    engine_timer_start(w->loop, &w->grace, GATEWAY_WORKER_LAST_COMMIT_MS, on_late);
    gateway_store_flush_last(&w->store);
}

static void drained(struct gateway_worker *w)
{
    struct gateway_process *process = w->process;

    w->state = GATEWAY_WORKER_DRAINED;
    engine_timer_stop(w->loop, &w->grace);
    gateway_tls_gatherer_end(&w->tls_gatherer);
    gateway_names_release(w->names);
    w->names = NULL;
    if (atomic_fetch_sub(&process->workers_running, 1) > 1)
        return;
    /* Not by the bell of our ring: it rings with the next turn, and this may be our last one. */
    for (unsigned i = 0; i < process->workers_count; i++)
        while (post_note(&process->workers[i], NULL, 0, last_commit) != STATUS_OK)
            ; /* the process ends, and memory comes back as it does */
}

void gateway_worker_check_drained(struct gateway_worker *w)
{
    if (w->state == GATEWAY_WORKER_DRAINING && list_is_empty(&w->ports) &&
        list_is_empty(&w->inbound) && list_is_empty(&w->outbound))
        drained(w);
    else if (w->state == GATEWAY_WORKER_LAST_COMMIT &&
             (gateway_store_is_quiet(&w->store) ||
              (w->is_late && gateway_store_is_still(&w->store))))
        committed(w);
}

/* --- the thread ------------------------------------------------------------------------------ */

static void on_heart(struct engine_timer *timer)
{
    struct gateway_worker *w = CONTAINER_OF(timer, struct gateway_worker, heart);

    struct engine_counters counters;

    engine_loop_counters(w->loop, &counters);
    if (counters.accept_pauses != w->accept_pauses_said)
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "Out of file descriptors or memory: connections had to wait");
    w->accept_pauses_said = counters.accept_pauses;
    gateway_compaction_check(w);
    gateway_shelf_check(w); /* it may be other workers who need the room */
    gateway_inbound_spill(w);
    gateway_heap_sweep();
    atomic_store(&w->beat_ms, clock_monotonic_ms());
    engine_timer_start(w->loop, &w->heart, GATEWAY_WORKER_BEAT_MS, on_heart);
}

/* What the engine and the allocator count themselves. */
static void copy_counters(struct gateway_worker *w, const uint64_t *allocated)
{
    struct engine_counters e;

    engine_loop_counters(w->loop, &e);
    observe_set(&w->counters, OBSERVE_RING_ENTERS, e.enters);
    observe_set(&w->counters, OBSERVE_RING_COMPLETIONS, e.completions);
    observe_set(&w->counters, OBSERVE_SOCKET_RECEIVES, e.recvs);
    observe_set(&w->counters, OBSERVE_SOCKET_SENDS, e.sends);
    observe_set(&w->counters, OBSERVE_ALLOCATED_BYTES, *allocated);
}

/* What a read that was under way has led to, such as a bounce, is recorded too, as long as there is
 * time for it. */
static bool is_over(const struct gateway_worker *w)
{
    return w->state == GATEWAY_WORKER_DONE && engine_loop_owners(w->loop) == 0 &&
           gateway_store_is_still(&w->store) && (w->is_late || gateway_store_is_quiet(&w->store));
}

static void run(struct engine_thread *thread)
{
    struct gateway_worker *w = CONTAINER_OF(thread, struct gateway_worker, thread);
    const uint64_t *allocated = allocations_thread_bytes();
    struct engine_loop_options options = { 0 };

    gateway_heap_own();
    if (engine_loop_create(&options, &w->loop, &w->start_reason) != STATUS_OK) {
        atomic_store(&w->start, GATEWAY_WORKER_FAILED);
        return;
    }
    on_heart(&w->heart);
    atomic_store(&w->start, GATEWAY_WORKER_RUNS);
    while (!is_over(w)) {
        engine_loop_turn(w->loop);
        observe_log_flush(w->log);
        copy_counters(w, allocated);
    }
    gateway_dispatch_finish(&w->dispatch);
    gateway_store_stop(&w->store); /* the helpers go before the loop does */
    atomic_store(&w->start, GATEWAY_WORKER_ENDED);
    /* Whoever posted the last message here may not have returned from posting it. */
    while (!atomic_load(&w->process->nobody_posts))
        (void)usleep(500);
    engine_loop_close(w->loop);
    gateway_heap_disown();
}

enum status gateway_worker_init(struct gateway_worker *w, struct gateway_process *process,
                                unsigned index, struct gateway_view *view)
{
    const struct spool_recovery *spool = gateway_recovery_spool(process->recovery);

    *w = (struct gateway_worker){ .process = process, .index = index, .view = view };
    w->log = observe_log_writer(process->log, index);
    w->random = process->seed.k1 + index;
    observe_counters_init(&w->counters);
    list_init(&w->ports);
    list_init(&w->inbound);
    list_init(&w->outbound);
    slim_list_init(&w->messages);
    TRY(gateway_lanes_init(&w->lanes, process));
    gateway_shelf_init(&w->shelf, w);
    gateway_originals_init(&w->originals);
    gateway_compaction_init(&w->compaction, w);
    TRY(tls_resumption_create(GATEWAY_WORKER_RESUMPTIONS_MAX, &w->resumption));
    gateway_tls_gatherer_init(&w->tls_gatherer, w);
    TRY(gateway_host_marks_init(&w->shunned, &process->seed, GATEWAY_WORKER_BROKEN_MS));
    TRY(gateway_host_marks_init(&w->classic, &process->seed, GATEWAY_WORKER_BROKEN_MS));
    TRY(gateway_host_marks_init(&w->unchunked, &process->seed, GATEWAY_WORKER_BROKEN_MS));
    TRY(gateway_host_marks_init(&w->cleared, &process->seed, GATEWAY_WORKER_CLEARED_MS));
    TRY(gateway_call_ahead_create(w, &w->call_ahead));
    TRY(gateway_mta_sts_create(w, &gateway_mta_sts_ops_real, &w->mta_sts));
    TRY(gateway_store_init(&w->store, w, spool->batch_next, spool->sequence_next));
    return gateway_dispatch_init(&w->dispatch, w);
}

struct gateway_worker *gateway_worker_choose(const struct gateway_process *process)
{
    struct gateway_worker *best = NULL;
    uint64_t best_ms = 0;

    for (unsigned i = 0; i < process->workers_count; i++) {
        struct gateway_worker *w = &process->workers[i];
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

enum status gateway_worker_run(struct gateway_worker *w)
{
    char name[ENGINE_THREAD_NAME_MAX];

    (void)snprintf(name, sizeof(name), "worker %u", w->index % 1000);
    return engine_thread_start(&w->thread, name, (int)w->index, run);
}

void gateway_worker_join(struct gateway_worker *w)
{
    engine_thread_join(&w->thread);
}

void gateway_worker_finish(struct gateway_worker *w)
{
    struct slim_node *node;

    gateway_store_finish(&w->store); /* before the messages: their tickets may wait in it */
    engine_loop_destroy(w->loop);
    while ((node = slim_list_take_first(&w->messages)) != NULL ||
           (node = slim_list_take_first(&w->shelf.messages)) != NULL)
        gateway_message_destroy(CONTAINER_OF(node, struct gateway_message, node));
    gateway_lanes_finish(&w->lanes);
    gateway_call_ahead_destroy(w->call_ahead);
    gateway_mta_sts_destroy(w->mta_sts);
    tls_resumption_destroy(w->resumption);
    gateway_host_marks_finish(&w->shunned);
    gateway_host_marks_finish(&w->classic);
    gateway_host_marks_finish(&w->unchunked);
    gateway_host_marks_finish(&w->cleared);
    gateway_tls_gatherer_finish(&w->tls_gatherer);
    gateway_view_release(w->view);
}
