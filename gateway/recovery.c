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
    struct engine_job look_job; /* a step */
    struct engine_job read_job; /* ahead of it, at the same time */
    struct engine_job mark_job;
    unsigned running; /* of the first two */
    struct engine_timer again;
    enum status status; /* of the last step */
    bool is_ready;      /* the last step has been made, and every message is ready */

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

static enum status keep(struct spool_recovery_keeper *keeper,
                        const struct spool_recovered_message *found,
                        const struct spool_message *view, void **kept_out)
{
    struct gateway_recovery *r = CONTAINER_OF(keeper, struct gateway_recovery, keeper);
    struct gateway_message *m;

    TRY(gateway_message_keep(&r->keeping, found, view, &m));
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
    return allocate(r);
}

void gateway_recovery_destroy(struct gateway_recovery *r)
{
    size_t segments;
    struct slim_node *n;

    if (r == NULL)
        return;
    segments = r->spool.segments_count;
    spool_recovery_finish(&r->spool); /* drops those that are its own yet */
    for (size_t i = 0; r->messages != NULL && i < segments; i++)
        while ((n = slim_list_take_first(&r->messages[i])) != NULL)
            gateway_message_discard(CONTAINER_OF(n, struct gateway_message, node));
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

/* --- reading, on threads of its own ----------------------------------------------------------- */

static void run_read(struct engine_job *job)
{
    spool_recovery_read_ahead(&CONTAINER_OF(job, struct gateway_recovery, read_job)->spool);
}

/* Every message is taken, and knows what was recorded of it. False: there are more. */
static bool make_ready(struct gateway_recovery *r)
{
    for (unsigned i = 0; i < GATEWAY_RECOVERY_READY_MAX; i++) {
        struct slim_node *n = slim_list_take_first(&r->kept);
        struct spool_recovered_message *found;
        struct spool_result *results;
        struct gateway_message *m;

        if (n == NULL)
            return true;
        m = CONTAINER_OF(n, struct gateway_message, node);
        found = gateway_message_room(m);
        (void)spool_recovery_take_kept(found, &results);
        if (results != NULL)
            gateway_message_recall(m, results);
        free(results);
        slim_list_append(&r->messages[found->segment], n);
    }
    return false;
}

static void run_look(struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, look_job);

    if (spool_recovery_is_over(&r->spool)) {
        r->is_ready = make_ready(r);
        return;
    }
    r->status = spool_recovery_step(&r->spool);
    if (r->status == STATUS_OK)
        atomic_store(&r->read, r->spool.segments_read - (r->spool.segments_count - r->segments));
}

/* Nobody looks for messages there any more, nor takes them from there. */
static void run_forget(struct engine_job *job)
{
    spool_recovery_drop_messages(&CONTAINER_OF(job, struct gateway_recovery, read_job)->spool);
}

/* On the thread of the segments, whose pool it is. */
static void run_mark(struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, mark_job);

    spool_pool_forget(&r->process->pool, r->spool.blanks_unlinked);
    atomic_store(&r->process->segment_bytes, spool_pool_bytes_in_use(&r->process->pool));
    for (size_t i = 0; i < r->spool.segments_count; i++)
        if (r->spool.segments[i].is_damaged && !r->spool.segments[i].is_free)
            spool_pool_add_damaged(&r->process->pool, r->spool.segments[i].number);
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

static void go_on(struct gateway_recovery *r);

/* Both helpers have room for what is submitted here. */
static void submit(struct gateway_recovery *r, struct engine_helper *helper, struct engine_job *job,
                   void (*run)(struct engine_job *job),
                   void (*done)(struct engine_loop *loop, struct engine_job *job))
{
    job->run = run;
    job->done = done;
    if (engine_helper_submit(helper, r->process->workers[0].loop, job) != STATUS_OK)
        UNREACHABLE();
}

static void on_again(struct engine_timer *timer)
{
    struct gateway_recovery *r = CONTAINER_OF(timer, struct gateway_recovery, again);

    if (!gateway_worker_is_stopping(&r->process->workers[0]))
        go_on(r);
}

static void on_marked(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, mark_job);
    struct gateway_worker *first = &r->process->workers[0];

    (void)loop;
    if (gateway_worker_is_stopping(first))
        return;
    tell_damage(first, &r->spool);
    if (r->process->ids.was_damaged)
        complain(first, "Spool: the file of identifiers was damaged, they go on far ahead");
    hand_out(r);
}

/* Its notes lie in the messages, whose room is their own from here on. */
static void on_forgotten(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_recovery *r = CONTAINER_OF(job, struct gateway_recovery, read_job);

    (void)loop;
    if (!gateway_worker_is_stopping(&r->process->workers[0]))
        submit(r, r->process->segments, &r->mark_job, run_mark, on_marked);
}

/* One of the two has ended, on the thread of the first worker. */
static void one_ended(struct gateway_recovery *r)
{
    struct gateway_worker *first = &r->process->workers[0];

    r->running--;
    if (r->running > 0 || gateway_worker_is_stopping(first))
        return;
    if (r->status == STATUS_BUSY) /* connections may have taken all there is, for a while */
        engine_timer_start(first->loop, &r->again, GATEWAY_RECOVERY_RETRY_MS, on_again);
    else if (r->status != STATUS_OK)
        give_up(first, r->status);
    else if (r->is_ready)
        submit(r, r->process->readers, &r->read_job, run_forget, on_forgotten);
    else
        go_on(r);
}

static void on_looked(struct engine_loop *loop, struct engine_job *job)
{
    (void)loop;
    one_ended(CONTAINER_OF(job, struct gateway_recovery, look_job));
}

static void on_read(struct engine_loop *loop, struct engine_job *job)
{
    (void)loop;
    one_ended(CONTAINER_OF(job, struct gateway_recovery, read_job));
}

static void read_ahead(struct gateway_recovery *r)
{
    r->running++;
    submit(r, r->process->readers, &r->read_job, run_read, on_read);
}

/* The next step, or the same again, whose successor has been read already. */
static void go_on(struct gateway_recovery *r)
{
    r->running++;
    if (r->status == STATUS_OK && spool_recovery_has_more(&r->spool))
        read_ahead(r);
    r->status = STATUS_OK;
    submit(r, r->process->readers, &r->look_job, run_look, on_looked);
}

void gateway_recovery_start(struct gateway_recovery *r)
{
    struct gateway_worker *first = &r->process->workers[0];

    observe_log_line(first->log, OBSERVE_INFO, gateway_worker_now_s(first), "Spool: %s",
                     r->process->spool_is_direct
                         ? "written with O_DIRECT and RWF_DSYNC"
                         : "O_DIRECT or RWF_DSYNC is refused here, a thread writes and syncs");
    if (spool_recovery_has_more(&r->spool))
        read_ahead(r);
    else
        go_on(r);
}
