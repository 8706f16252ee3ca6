#include "gateway/recovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/alert_sources.h"
#include "gateway/message_recover.h"
#include "gateway/worker.h"

#define TEXT_MAX 256

/* What a worker takes. */
struct adoption {
    struct engine_message post;
    struct engine_task run;
    struct engine_timer retry;
    struct gateway_recovery *recovery;
    struct gateway_worker *worker;
    size_t segments_adopted; /* index of the next one to look at */
    size_t messages_adopted; /* the same: all messages of those before are adopted */
};

struct gateway_recovery {
    struct gateway_process *process;
    struct spool_recovery spool;
    struct spool_recovery_keeper keeper;
    struct gateway_message_keeping keeping;
    char *hostname;
    struct gateway_lanes lanes; /* of the messages that have no home yet */
    struct engine_job job;
    struct engine_timer again;
    enum status status; /* of the last step */
    bool is_over;       /* the last step has been made */

    struct slim_list kept; /* struct gateway_message, in the order of their records */

    /* For each segment: its living messages, and what the log of the worker knows it as. */
    struct slim_list *messages;
    struct spool_segment **adopted;
    struct adoption *adoptions; /* one for each worker */

    size_t segments;
    _Atomic size_t read;
    _Atomic unsigned adopting; /* workers that have not adopted everything */
};

/* --- keeping --------------------------------------------------------------------------------- */

static enum status keep(struct spool_recovery_keeper *keeper, uint64_t mid, struct slice payload,
                        void **kept_out)
{
    struct gateway_recovery *r = CONTAINER_OF(keeper, struct gateway_recovery, keeper);
    struct gateway_message *m;

    TRY(gateway_message_keep(&r->keeping, mid, payload, &m));
    slim_list_append(&r->kept, &m->node);
    *kept_out = m;
    return STATUS_OK;
}

static void drop(struct spool_recovery_keeper *keeper, void *kept)
{
    struct gateway_message *m = kept;

    (void)keeper;
    slim_list_remove(&m->node);
    gateway_message_discard(m);
}

static struct spool_recovered_message *room(struct spool_recovery_keeper *keeper, void *kept)
{
    (void)keeper;
    return gateway_message_room(kept);
}

enum status gateway_recovery_create(struct gateway_process *process,
                                    const struct config_settings *settings)
{
    struct gateway_recovery *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return STATUS_NO_MEMORY;
    process->recovery = r;
    r->process = process;
    r->keeper = (struct spool_recovery_keeper){ .keep = keep, .drop = drop, .room = room };
    slim_list_init(&r->kept);
    r->hostname = strdup(settings->hostname);
    if (r->hostname == NULL)
        return STATUS_NO_MEMORY;
    TRY(gateway_lanes_init(&r->lanes, process));
    r->keeping = (struct gateway_message_keeping){
        .process = process,
        .lanes = &r->lanes,
        .hostname = slice_from(r->hostname),
        .message_bytes = settings->memory_message_bytes,
    };
    atomic_init(&r->adopting, process->workers_count);
    TRY(spool_recovery_begin(&r->spool, &process->directory,
                             &(struct spool_recovery_options){ .keeper = &r->keeper }));
    for (size_t i = 0; i < r->spool.segments_count; i++)
        r->segments += r->spool.segments[i].is_free ? 0 : 1;
    return STATUS_OK;
}

void gateway_recovery_destroy(struct gateway_recovery *r)
{
    struct slim_node *n;

    if (r == NULL)
        return;
    for (size_t i = 0; r->messages != NULL && i < r->spool.segments_count; i++)
        while ((n = slim_list_take_first(&r->messages[i])) != NULL)
            gateway_message_discard(CONTAINER_OF(n, struct gateway_message, node));
    spool_recovery_finish(&r->spool);
    gateway_lanes_finish(&r->lanes);
    free(r->messages);
    free(r->adopted);
    free(r->adoptions);
    free(r->hostname);
    free(r);
}

struct spool_recovery *gateway_recovery_spool(struct gateway_recovery *r)
{
    return &r->spool;
}

struct gateway_recovery_progress gateway_recovery_progress(const struct gateway_recovery *r)
{
    if (r == NULL)
        return (struct gateway_recovery_progress){ .is_over = true };
    return (struct gateway_recovery_progress){
        .segments = r->segments,
        .read = atomic_load(&r->read),
        .is_over = atomic_load(&r->adopting) == 0,
    };
}

/* --- reading, on the thread of the segments -------------------------------------------------- */

static enum status allocate(struct gateway_recovery *r)
{
    size_t count = r->spool.segments_count + 1; /* never nothing */

    r->messages = calloc(count, sizeof(*r->messages));
    for (size_t i = 0; r->messages != NULL && i < count; i++)
        slim_list_init(&r->messages[i]);
    r->adopted = calloc(count, sizeof(struct spool_segment *));
    r->adoptions = calloc(r->process->workers_count, sizeof(*r->adoptions));
    if (r->messages == NULL || r->adopted == NULL || r->adoptions == NULL)
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

static enum status make_ready(struct gateway_recovery *r)
{
    struct slim_node *n;

    TRY(allocate(r));
    while ((n = slim_list_take_first(&r->kept)) != NULL) {
        struct gateway_message *m = CONTAINER_OF(n, struct gateway_message, node);
        struct spool_recovered_message *found = gateway_message_room(m);
        struct spool_result *results;

        (void)spool_recovery_take_kept(found, &results);
        gateway_message_recall(m, results, found);
        free(results);
        slim_list_append(&r->messages[found->segment], n);
    }
    spool_recovery_drop_messages(&r->spool);
    for (size_t i = 0; i < r->spool.segments_count; i++)
        if (r->spool.segments[i].is_damaged && !r->spool.segments[i].is_free)
            spool_pool_add_damaged(&r->process->pool, r->spool.segments[i].number);
    return STATUS_OK;
}

static void run_step(struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, job);

    r->status = spool_recovery_is_over(&r->spool) ? STATUS_OK : spool_recovery_step(&r->spool);
    if (r->status != STATUS_OK)
        return;
    atomic_store(&r->read, r->spool.segments_read - (r->spool.segments_count - r->segments));
    if (!spool_recovery_is_over(&r->spool))
        return;
    r->status = make_ready(r);
    r->is_over = true;
}

/* --- what it found --------------------------------------------------------------------------- */

/* A CRITICAL line, and an alert. */
static void complain(struct gateway_worker *w, const char *text)
{
    observe_count(&w->counters, OBSERVE_SPOOL_ERRORS, 1);
    observe_log_line(w->log, OBSERVE_CRITICAL, gateway_worker_now_s(w), "%s", text);
    gateway_alert_raise(w, OBSERVE_ALERT_SPOOL, SLICE("recovery"), OBSERVE_SEVERITY_CRITICAL,
                        slice_from(text));
}

static void tell_damage(struct gateway_worker *w, const struct spool_recovery *spool)
{
    char text[TEXT_MAX];

    for (unsigned kind = 0; kind < SPOOL_DAMAGE_KIND_COUNT; kind++) {
        (void)snprintf(text, sizeof(text), "Spool: recovery found %llu of: %s",
                       (unsigned long long)spool->damage_counts[kind],
                       spool_damage_text((enum spool_damage_kind)kind));
        if (spool->damage_counts[kind] > 0 && kind == SPOOL_DAMAGE_TORN)
            observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w), "%s",
                             text); /* a crash leaves that */
        else if (spool->damage_counts[kind] > 0)
            complain(w, text);
    }
}

static void give_up(struct gateway_worker *w, enum status status)
{
    char text[TEXT_MAX];

    (void)snprintf(text, sizeof(text), "Spool: what it holds cannot be read: %s; stopping",
                   status_text(status));
    complain(w, text);
    atomic_store(&w->process->has_failed, true);
}

/* --- adoption, on each worker's thread ------------------------------------------------------- */

static void on_run(struct engine_task *task);

static bool is_of(const struct adoption *a, size_t segment)
{
    const struct spool_recovered_segment *s = &a->recovery->spool.segments[segment];

    return !s->is_free && s->home % a->recovery->process->workers_count == a->worker->index;
}

static enum status adopt_segments(struct adoption *a)
{
    struct gateway_recovery *r = a->recovery;

    for (; a->segments_adopted < r->spool.segments_count; a->segments_adopted++) {
        const struct spool_recovered_segment *s = &r->spool.segments[a->segments_adopted];
        struct spool_segment_file file = { .generation = s->header.generation,
                                           .salt = s->header.salt,
                                           .number = s->number,
                                           .handle = -1 };

        if (is_of(a, a->segments_adopted))
            TRY(spool_log_adopt(&a->worker->store.log, &file, s->messages_living,
                                &r->adopted[a->segments_adopted]));
    }
    return STATUS_OK;
}

/* STATUS_LIMIT: there are more. STATUS_NO_MEMORY: the same, and not now. */
static enum status adopt_messages(struct adoption *a)
{
    struct gateway_recovery *r = a->recovery;
    unsigned steps = 0;

    for (; a->messages_adopted < r->spool.segments_count; a->messages_adopted++) {
        size_t segment = a->messages_adopted;
        struct slim_node *n;

        while (is_of(a, segment) && (n = slim_list_take_first(&r->messages[segment])) != NULL) {
            struct gateway_message *m = CONTAINER_OF(n, struct gateway_message, node);

            steps += 1 + m->items_count;
            if (gateway_message_settle(m, a->worker, r->adopted[segment]) != STATUS_OK) {
                slim_list_prepend(&r->messages[segment], n);
                return STATUS_NO_MEMORY;
            }
            gateway_message_start(m);
            if (steps >= GATEWAY_RECOVERY_STEPS_MAX)
                return STATUS_LIMIT;
        }
    }
    return STATUS_OK;
}

static void on_retry(struct engine_timer *timer)
{
    struct adoption *a = CONTAINER_OF(timer, struct adoption, retry);

    on_run(&a->run);
}

static void adopted(struct adoption *a)
{
    struct gateway_recovery *r = a->recovery;
    struct gateway_worker *w = a->worker;

    gateway_store_adopted(&w->store);
    if (atomic_fetch_sub(&r->adopting, 1) > 1)
        return;
    gateway_lanes_finish(&r->lanes); /* by the last one */
    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "Spool: recovered %zu messages from %zu segments", r->spool.messages_living,
                     r->spool.segments_count);
}

static void on_run(struct engine_task *task)
{
    struct adoption *a = CONTAINER_OF(task, struct adoption, run);
    struct gateway_worker *w = a->worker;
    enum status status;

    if (gateway_worker_is_stopping(w))
        return;          /* what is left stays in the spool */
    if (!w->has_begun) { /* it has nobody to ask for hosts yet */
        engine_timer_start(w->loop, &a->retry, GATEWAY_RECOVERY_BEGIN_MS, on_retry);
        return;
    }
    status = adopt_segments(a);
    if (status == STATUS_OK)
        status = adopt_messages(a);
    if (status == STATUS_OK)
        adopted(a);
    else if (status == STATUS_LIMIT)
        engine_loop_defer(w->loop, &a->run, on_run);
    else
        engine_timer_start(w->loop, &a->retry, GATEWAY_RECOVERY_RETRY_MS, on_retry);
}

static void adopt(struct engine_loop *here, struct engine_message *post)
{
    (void)here;
    on_run(&CONTAINER_OF(post, struct adoption, post)->run);
}

static void hand_out(struct gateway_recovery *r)
{
    struct gateway_process *process = r->process;

    for (unsigned i = 0; i < process->workers_count; i++) {
        struct adoption *a = &r->adoptions[i];

        *a = (struct adoption){ .recovery = r, .worker = &process->workers[i] };
        a->post.deliver = adopt;
        engine_mailbox_post(a->worker->loop, process->workers[0].loop, &a->post);
    }
}

/* --- the order of things --------------------------------------------------------------------- */

static void next_step(struct gateway_recovery *r);

static void on_again(struct engine_timer *timer)
{
    struct gateway_recovery *r = CONTAINER_OF(timer, struct gateway_recovery, again);

    if (!gateway_worker_is_stopping(&r->process->workers[0]))
        next_step(r);
}

static void on_step(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, job);
    struct gateway_worker *first = &r->process->workers[0];

    (void)loop;
    if (gateway_worker_is_stopping(first))
        return;
    if (r->status == STATUS_BUSY) { /* connections may have taken all there is, for a while */
        engine_timer_start(first->loop, &r->again, GATEWAY_RECOVERY_RETRY_MS, on_again);
        return;
    }
    if (r->status != STATUS_OK) {
        give_up(first, r->status);
        return;
    }
    if (!r->is_over) {
        next_step(r);
        return;
    }
    tell_damage(first, &r->spool);
    if (r->process->ids.was_damaged)
        complain(first, "Spool: the file of identifiers was damaged, they go on far ahead");
    hand_out(r);
}

static void next_step(struct gateway_recovery *r)
{
    r->job.run = run_step;
    r->job.done = on_step;
    /* One of these at a time, and the queue has room for it. */
    if (engine_helper_submit(r->process->segments, r->process->workers[0].loop, &r->job) !=
        STATUS_OK)
        UNREACHABLE();
}

void gateway_recovery_start(struct gateway_recovery *r)
{
    struct gateway_worker *first = &r->process->workers[0];

    observe_log_line(first->log, OBSERVE_INFO, gateway_worker_now_s(first), "Spool: %s",
                     r->process->spool_is_direct
                         ? "written with O_DIRECT and RWF_DSYNC"
                         : "O_DIRECT or RWF_DSYNC is refused here, a thread writes and syncs");
    next_step(r);
}
