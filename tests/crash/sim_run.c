#include "tests/crash/sim_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/alerts.h"
#include "gateway/message_recover.h"
#include "gateway/queue_job.h"
#include "gateway/recovery.h"
#include "gateway/spool_start.h"
#include "tests/crash/plants.h"

#define CHOICES_MAX (4 * SIM_RUN_LOGS_MAX + 3)

/* --- what is on its way ------------------------------------------------------------------------
 */

enum request_kind { REQUEST_OPEN, REQUEST_WRITE, REQUEST_ALLOCATE, REQUEST_SYNC, REQUEST_UNLINK };

struct request {
    struct list_node node;
    struct engine_file_request *of;
    enum request_kind kind;
    int fd;
    const char *text; /* path, or data */
    int flags;
    uint64_t offset;
    size_t bytes;
    bool is_durable;
    int error;
};

static void put_request(struct engine_loop *loop, struct engine_file_request *of,
                        engine_file_handler *handler, const struct request *what)
{
    struct request *r = malloc(sizeof(*r));

    ASSERT(r != NULL && !of->busy);
    of->busy = true;
    of->handler = handler;
    *r = *what;
    r->of = of;
    list_append(&loop->files, &r->node);
}

void engine_file_open(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                      const char *path, int flags, mode_t mode, engine_file_handler *handler)
{
    (void)mode;
    put_request(loop, r, handler,
                &(struct request){
                    .kind = REQUEST_OPEN, .fd = directory_fd, .text = path, .flags = flags });
}

void engine_file_write(struct engine_loop *loop, struct engine_file_request *r, int fd,
                       const char *data, size_t bytes, uint64_t offset, bool durable,
                       engine_file_handler *handler)
{
    struct request request = { .kind = REQUEST_WRITE,
                               .fd = fd,
                               .text = data,
                               .bytes = bytes,
                               .offset = offset,
                               .is_durable = durable };

    if (durable)
        request.error = sim_write_begin(fd, data, bytes, (off_t)offset);
    put_request(loop, r, handler, &request);
}

void engine_file_fallocate(struct engine_loop *loop, struct engine_file_request *r, int fd,
                           int mode, uint64_t offset, uint64_t bytes, engine_file_handler *handler)
{
    ASSERT(mode == 0);
    put_request(
        loop, r, handler,
        &(struct request){ .kind = REQUEST_ALLOCATE, .fd = fd, .offset = offset, .bytes = bytes });
}

void engine_file_sync(struct engine_loop *loop, struct engine_file_request *r, int fd,
                      bool data_only, engine_file_handler *handler)
{
    ASSERT(!data_only);
    put_request(loop, r, handler, &(struct request){ .kind = REQUEST_SYNC, .fd = fd });
}

void engine_file_unlink(struct engine_loop *loop, struct engine_file_request *r, int directory_fd,
                        const char *path, engine_file_handler *handler)
{
    put_request(loop, r, handler,
                &(struct request){ .kind = REQUEST_UNLINK, .fd = directory_fd, .text = path });
}

static int write_request(const struct request *r)
{
    ssize_t done;

    if (r->error != 0)
        return r->error;
    if (r->is_durable)
        return sim_write_end(r->fd, r->text, r->bytes, (off_t)r->offset);
    done = pwrite(r->fd, r->text, r->bytes, (off_t)r->offset);
    return done == (ssize_t)r->bytes ? 0 : errno;
}

static int sync_request(const struct request *r)
{
    unsigned lies = plant_begin(PLANT_AT_BODY);
    int error = fsync(r->fd) == 0 ? 0 : errno;

    plant_end(lies);
    return error;
}

static void finish_request(struct request *r)
{
    struct engine_file_request *of = r->of;
    size_t bytes = r->bytes;
    int error = 0, fd;

    switch (r->kind) {
    case REQUEST_OPEN:
        fd = openat(r->fd, r->text, r->flags, 0600);
        error = fd < 0 ? errno : 0;
        bytes = (size_t)fd;
        break;
    case REQUEST_WRITE: error = write_request(r); break;
    case REQUEST_ALLOCATE: error = posix_fallocate(r->fd, (off_t)r->offset, (off_t)r->bytes); break;
    case REQUEST_SYNC: error = sync_request(r); break;
    case REQUEST_UNLINK: error = unlinkat(r->fd, r->text, 0) == 0 ? 0 : errno; break;
    }
    free(r);
    of->busy = false;
    of->handler(of, error == 0 ? STATUS_OK : status_from_errno(error), error == 0 ? bytes : 0);
}

void engine_mailbox_post(struct engine_loop *to, struct engine_loop *from_or_null,
                         struct engine_message *m)
{
    struct engine_message **end = &to->posts;

    (void)from_or_null;
    while (*end != NULL)
        end = &(*end)->next;
    m->next = NULL;
    *end = m;
}

enum status engine_helper_submit(struct engine_helper *helper, struct engine_loop *loop,
                                 struct engine_job *job)
{
    job->loop = loop;
    list_append(&helper->jobs, &job->node);
    return STATUS_OK;
}

void engine_timer_start(struct engine_loop *loop, struct engine_timer *timer, uint64_t delay_ms,
                        void (*handler)(struct engine_timer *timer))
{
    (void)delay_ms;
    timer->handler = handler;
    list_remove(&timer->node);
    list_append(&loop->timers, &timer->node);
}

void engine_timer_stop(struct engine_loop *loop, struct engine_timer *timer)
{
    (void)loop;
    list_remove(&timer->node);
}

void engine_loop_defer(struct engine_loop *loop, struct engine_task *task,
                       void (*handler)(struct engine_task *task))
{
    task->handler = handler;
    if (!list_is_linked(&task->node))
        list_append(&loop->tasks, &task->node);
}

void engine_loop_defer_cancel(struct engine_loop *loop, struct engine_task *task)
{
    (void)loop;
    list_remove(&task->node);
}

static struct sim_run *current; /* is being stepped */

/* --- what happens next ----------------------------------------------------------------------- */

/* Any of the list; requests of one loop overtake each other. */
static struct list_node *take_any(struct sim_run *run, struct list *l)
{
    size_t count = 0;

    LIST_FOR_EACH (n, l)
        count++;
    count = sim_below(run->random, count);
    LIST_FOR_EACH (n, l) {
        if (count-- == 0) {
            list_remove(n);
            return n;
        }
    }
    UNREACHABLE();
}

static struct engine_job *take_first_job(struct engine_helper *helper)
{
    return CONTAINER_OF(list_take_first(&helper->jobs), struct engine_job, node);
}

static void run_job(struct engine_job *job)
{
    job->run(job);
    list_append(&job->loop->done, &job->node);
}

static void run_timer(struct sim_run *run, struct list *timers)
{
    struct engine_timer *t = CONTAINER_OF(take_any(run, timers), struct engine_timer, node);

    t->handler(t);
}

static void run_task(struct list *tasks)
{
    struct engine_task *t = CONTAINER_OF(list_take_first(tasks), struct engine_task, node);

    t->handler(t);
}

static void end_job(struct engine_loop *loop)
{
    struct engine_job *job = CONTAINER_OF(list_take_first(&loop->done), struct engine_job, node);

    job->done(loop, job);
}

static void deliver_post(struct engine_loop *loop)
{
    struct engine_message *m = loop->posts;

    loop->posts = m->next;
    m->deliver(loop, m);
}

static bool step(struct sim_run *run, bool with_timers)
{
    struct list *choices[CHOICES_MAX], *chosen;
    unsigned count = 0;

    for (unsigned i = 0; i < run->process.workers_count; i++) {
        struct engine_loop *l = &run->loops[i];

        if (!list_is_empty(&l->tasks)) { /* a turn ends before anything else comes in */
            run_task(&l->tasks);
            return true;
        }
        if (l->posts != NULL) { /* nor is mail from other workers kept waiting */
            deliver_post(l);
            return true;
        }
        if (!list_is_empty(&l->files))
            choices[count++] = &l->files;
        if (!list_is_empty(&l->done))
            choices[count++] = &l->done;
        if (with_timers && !list_is_empty(&l->timers))
            choices[count++] = &l->timers;
    }
    if (!list_is_empty(&run->segments.jobs))
        choices[count++] = &run->segments.jobs;
    if (!list_is_empty(&run->readers.jobs))
        choices[count++] = &run->readers.jobs;
    if (!list_is_empty(&run->committer.jobs))
        choices[count++] = &run->committer.jobs;
    if (count == 0)
        return false;
    chosen = choices[sim_below(run->random, count)];
    if (chosen == &run->segments.jobs)
        run_job(take_first_job(&run->segments));
    else if (chosen == &run->readers.jobs) /* has two threads */
        run_job(CONTAINER_OF(take_any(run, chosen), struct engine_job, node));
    else if (chosen == &run->committer.jobs)
        run_job(take_first_job(&run->committer));
    for (unsigned i = 0; i < run->process.workers_count; i++) {
        struct engine_loop *l = &run->loops[i];

        if (chosen == &l->files)
            finish_request(CONTAINER_OF(take_any(run, &l->files), struct request, node));
        else if (chosen == &l->done)
            end_job(l);
        else if (chosen == &l->timers)
            run_timer(run, &l->timers);
    }
    return true;
}

bool sim_run_step(struct sim_run *run, bool with_timers)
{
    struct sim_run *outer = current; /* whose disk has its power cut in the middle of a step */
    bool has_happened;

    current = run;
    has_happened = step(run, with_timers);
    current = outer;
    return has_happened;
}

/* --- the rest of the gateway ----------------------------------------------------------------- */

enum status __real_spool_recovery_step(struct spool_recovery *r);
enum status __wrap_spool_recovery_step(struct spool_recovery *r);

static struct sim_run *run_of(const struct gateway_worker *w)
{
    return CONTAINER_OF(w->process, struct sim_run, process);
}

/* What is kept of a message: itself, and by and by what recovery has found of it. */
struct kept {
    struct spool_recovered_message found;
    struct gateway_message message;
};

static struct kept *kept_of(struct gateway_message *m)
{
    return CONTAINER_OF(m, struct kept, message);
}

enum status gateway_message_keep(const struct gateway_message_keeping *keeping,
                                 const struct spool_recovered_message *found,
                                 const struct spool_message *view,
                                 struct gateway_message **message_out)
{
    struct kept *k = calloc(1, sizeof(*k));

    (void)keeping;
    ASSERT(k != NULL);
    if (spool_message_decode(found->mid, spool_message_payload(view), &k->message.spool) !=
        STATUS_OK)
        UNREACHABLE(); /* it is one */
    k->message.location.offset = found->offset;
    k->message.location.bytes = found->bytes;
    *message_out = &k->message;
    return STATUS_OK;
}

void gateway_message_discard(struct gateway_message *m)
{
    gateway_message_destroy(m);
}

struct spool_recovered_message *gateway_message_room(struct gateway_message *m)
{
    return &kept_of(m)->found;
}

void gateway_message_recall(struct gateway_message *m, const struct spool_result *results)
{
    struct spool_recovered_message *copy = &kept_of(m)->found;
    size_t bytes = copy->recipients_count * sizeof(*results);

    copy->results = malloc(bytes);
    ASSERT(copy->results != NULL);
    memcpy(copy->results, results, bytes);
}

enum status gateway_message_settle(struct gateway_message *m, struct gateway_worker *home,
                                   struct spool_segment *segment)
{
    struct sim_run *run = run_of(home);

    m->location.segment = segment;
    run->ops->adopted(run, home->index, m->spool, &m->location, &kept_of(m)->found);
    m->spool = NULL;
    return STATUS_OK;
}

enum status gateway_lanes_init(struct gateway_lanes *lanes, struct gateway_process *process)
{
    (void)lanes, (void)process;
    return STATUS_OK;
}

void gateway_lanes_finish(struct gateway_lanes *lanes)
{
    (void)lanes;
}

void gateway_message_start(struct gateway_message *m)
{
    gateway_message_destroy(m); /* the owner has what he wants */
}

void gateway_message_destroy(struct gateway_message *m)
{
    spool_message_destroy(m->spool);
    free(kept_of(m)->found.results);
    free(kept_of(m));
}

enum status __wrap_spool_recovery_step(struct spool_recovery *r)
{
    TRY(__real_spool_recovery_step(r));
    if (spool_recovery_is_over(r)) {
        current->is_recovered = true;
        current->ops->recovered(current);
    }
    return STATUS_OK;
}

void gateway_worker_store_settled(struct gateway_worker *w)
{
    (void)w;
}

void gateway_queue_job_synced(struct spool_ticket *ticket)
{
    (void)ticket;
    UNREACHABLE(); /* nobody asks */
}

void gateway_worker_check_drained(struct gateway_worker *w)
{
    (void)w;
}

time_t gateway_worker_now_s(const struct gateway_worker *w)
{
    (void)w;
    return 1000;
}

void gateway_alert_raise(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject, enum observe_severity severity, struct slice text)
{
    (void)w, (void)kind, (void)subject, (void)severity, (void)text;
}

void gateway_alert_clear(struct gateway_worker *w, enum observe_alert_kind kind,
                         struct slice subject)
{
    (void)w, (void)kind, (void)subject;
}

void gateway_alerts_raise(struct gateway_alerts *alerts, const struct observe_alert *alert)
{
    (void)alerts, (void)alert;
}

void observe_log_line(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      const char *format, ...)
{
    (void)w, (void)level, (void)wall_s, (void)format;
}

uint64_t gateway_worker_now_ms(const struct gateway_worker *w)
{
    return run_of(w)->now_ms;
}

uint64_t sim_run_moved(const struct sim_run *run)
{
    uint64_t moved = 0;

    for (unsigned i = 0; i < run->process.workers_count; i++)
        moved += observe_counter_value(&run->workers[i].counters, OBSERVE_MESSAGES_COMPACTED);
    return moved;
}

/* --- start and end --------------------------------------------------------------------------- */

static struct sim_run *run_create(struct sim_disk *disk, unsigned workers, uint64_t *random)
{
    struct sim_run *run = calloc(1, sizeof(*run));

    ASSERT(run != NULL && workers > 0 && workers <= SIM_RUN_LOGS_MAX);
    run->workers = calloc(workers, sizeof(*run->workers));
    ASSERT(run->workers != NULL);
    run->disk = disk;
    run->random = random;
    run->process.workers = run->workers;
    run->process.workers_count = workers;
    run->process.segments = &run->segments;
    run->process.readers = &run->readers;
    run->process.committer = &run->committer;
    list_init(&run->segments.jobs);
    list_init(&run->readers.jobs);
    list_init(&run->committer.jobs);
    for (unsigned i = 0; i < workers; i++) {
        run->loops[i].run = run;
        list_init(&run->loops[i].tasks);
        list_init(&run->loops[i].timers);
        list_init(&run->loops[i].done);
        list_init(&run->loops[i].files);
        run->workers[i].process = &run->process;
        run->workers[i].index = i;
        run->workers[i].loop = &run->loops[i];
        run->workers[i].has_begun = true;
        slim_list_init(&run->workers[i].messages);
        slim_list_init(&run->workers[i].shelf.messages);
        gateway_compaction_init(&run->workers[i].compaction, &run->workers[i]);
    }
    return run;
}

/* The messages are their owner's. */
static void leave_messages(struct slim_list *messages)
{
    while (slim_list_take_first(messages) != NULL)
        ;
}

static void run_destroy(struct sim_run *run)
{
    for (unsigned i = 0; i < run->process.workers_count; i++) {
        leave_messages(&run->workers[i].messages);
        leave_messages(&run->workers[i].shelf.messages);
    }
    free(run->workers);
    free(run);
}

static enum status start_stores(struct sim_run *run)
{
    const struct spool_recovery *spool = gateway_recovery_spool(run->process.recovery);

    for (unsigned i = 0; i < run->process.workers_count; i++) {
        struct gateway_worker *w = &run->workers[i];

        TRY(gateway_store_init(&w->store, w, spool->batch_next, spool->sequence_next));
    }
    for (unsigned i = 0; i < run->process.workers_count; i++)
        gateway_store_start(&run->workers[i].store);
    gateway_recovery_start(run->process.recovery);
    return STATUS_OK;
}

enum status sim_run_start(struct sim_disk *disk, unsigned workers, uint64_t *random,
                          const struct sim_run_ops *ops, void *owner, struct sim_run **run_out)
{
    struct sim_run *run = run_create(disk, workers, random);
    struct config_settings settings = { .spool_path = SIM_RUN_PATH, .hostname = "gw.example" };
    enum status status;

    run->ops = ops;
    run->owner = owner;
    status = gateway_spool_open(&run->process, &settings);
    if (status != STATUS_OK) {
        run_destroy(run);
        return status;
    }
    status = start_stores(run);
    if (status != STATUS_OK) {
        sim_run_end(run);
        return status;
    }
    *run_out = run;
    return STATUS_OK;
}

void sim_run_end(struct sim_run *run)
{
    sim_disk_die(run->disk);
    run->is_ending = true;
    for (unsigned i = 0; i < run->process.workers_count; i++)
        run->workers[i].state = GATEWAY_WORKER_DRAINING; /* nothing more is moved */
    while (sim_run_step(run, false))
        ;
    for (unsigned i = 0; i < run->process.workers_count; i++)
        gateway_store_finish(&run->workers[i].store);
    gateway_spool_close(&run->process);
    run_destroy(run);
}
