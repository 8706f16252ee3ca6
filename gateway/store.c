#include "gateway/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/message.h"
#include "gateway/queue_job.h"
#include "gateway/worker.h"

#define BIT(event)  (1u << (event))
#define SUBJECT_MAX 32

static void settle(struct gateway_store *store);

static struct gateway_store *store_of(struct spool_storage *s)
{
    return CONTAINER_OF(s, struct gateway_store, storage);
}

/* What an alert of this kind of trouble is about. That the log has stopped is told apart: what led
 * to it was told a moment before, and the second alert about one thing is held back. */
static struct slice subject_of(const struct gateway_store *store, enum spool_log_event event,
                               char subject[static SUBJECT_MAX])
{
    (void)snprintf(subject, SUBJECT_MAX, "log %u%s", store->worker->index,
                   event == SPOOL_LOG_EVENT_STOPPED ? " stopped" : "");
    return slice_from(subject);
}

/* --- writing --------------------------------------------------------------------------------- */

/* What was wrong of these kinds is well again. */
static void well_again(struct gateway_store *store, unsigned events)
{
    const unsigned stopped = BIT(SPOOL_LOG_EVENT_STOPPED);
    unsigned before = store->trouble, now = before & ~events;
    char subject[SUBJECT_MAX];

    store->trouble = now;
    if ((before & stopped) != 0 && (now & stopped) == 0)
        gateway_alert_clear(store->worker, OBSERVE_ALERT_SPOOL,
                            subject_of(store, SPOOL_LOG_EVENT_STOPPED, subject));
    if ((before & ~stopped) != 0 && (now & ~stopped) == 0)
        gateway_alert_clear(store->worker, OBSERVE_ALERT_SPOOL,
                            subject_of(store, SPOOL_LOG_EVENT_NONE, subject));
}

/* Whether somebody has deleted the segment. What is written to it is kept until it is closed, and
 * the next start does not find it. The answer is in memory: no disk is asked, no server. */
static bool is_unlinked(int fd)
{
    struct statx info;

    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &info) == 0 &&
           (info.stx_mask & STATX_NLINK) != 0 && info.stx_nlink == 0;
}

static void written(struct gateway_store *store, enum status status)
{
    bool has_stopped = spool_log_state(&store->log) == SPOOL_LOG_STOPPED;

    if (status == STATUS_OK && is_unlinked(store->write.file.handle))
        status = STATUS_NOT_FOUND;
    store->is_unlinked = status == STATUS_NOT_FOUND;
    if (status == STATUS_OK) {
        store->rescues = 0;
        well_again(store, BIT(SPOOL_LOG_EVENT_WRITE_FAILED) | BIT(SPOOL_LOG_EVENT_RESULTS_LOST) |
                              (has_stopped ? 0 : BIT(SPOOL_LOG_EVENT_STOPPED)));
    }
    spool_log_written(&store->log, status);
    settle(store);
}

static void on_ring_write(struct engine_file_request *request, enum status status, size_t bytes)
{
    struct gateway_store *store = CONTAINER_OF(request, struct gateway_store, request);

    ASSERT(status != STATUS_OK || bytes == store->write.bytes);
    written(store, status);
}

/* On the committer's thread. A failed fdatasync is never repeated: what the page cache says of
 * the range afterwards is not to be believed. */
static void run_write(struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, write_job);
    const struct spool_write *w = &store->write;
    size_t done = 0;

    store->write_status = STATUS_OK;
    while (done < w->bytes) {
        ssize_t n =
            pwrite(w->file.handle, w->data + done, w->bytes - done, (off_t)(w->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            store->write_status = n < 0 ? status_from_errno(errno) : STATUS_IO;
            return;
        }
        done += (size_t)n;
    }
    if (fdatasync(w->file.handle) != 0)
        store->write_status = status_from_errno(errno);
}

static void on_committer_write(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, write_job);

    (void)loop;
    written(store, store->write_status);
}

static void submit(struct gateway_store *store, struct engine_helper *helper,
                   struct engine_job *job, void (*run)(struct engine_job *job),
                   void (*done)(struct engine_loop *loop, struct engine_job *job))
{
    job->run = run;
    job->done = done;
    /* A store has one job of each kind at most, and the queues have room for all of them. */
    if (engine_helper_submit(helper, store->worker->loop, job) != STATUS_OK)
        UNREACHABLE();
}

static void segment_write(struct spool_storage *s, const struct spool_write *w)
{
    struct gateway_store *store = store_of(s);
    struct gateway_process *process = store->worker->process;

    store->write = *w;
    observe_count(&store->worker->counters, OBSERVE_SPOOL_COMMITS, 1);
    observe_count(&store->worker->counters, OBSERVE_SPOOL_BYTES, w->bytes);
    if (process->spool_is_direct)
        engine_file_write(store->worker->loop, &store->request, w->file.handle, w->data, w->bytes,
                          w->offset, true, on_ring_write);
    else
        submit(store, process->committer, &store->write_job, run_write, on_committer_write);
}

/* --- segments -------------------------------------------------------------------------------- */

/* Made, and not to be had: it is nobody's. What cannot be given back either, a start finds. */
static void give_back(struct gateway_process *process, const struct spool_segment_file *file)
{
    enum status status = spool_pool_release(&process->pool, file);

    (void)status;
}

static void run_prepare(struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, prepare_job);
    struct gateway_process *process = store->worker->process;
    int flags = O_RDWR | (process->spool_is_direct ? O_DIRECT : 0);

    /* Also while the spool is low: MAIL gets 452 then, but results and bounces have to be written,
     * or nothing would ever become free again. */
    store->prepare_status =
        spool_pool_prepare(&process->pool, store->worker->index, &store->prepared);
    if (store->prepare_status == STATUS_OK) {
        store->prepare_status = spool_segment_open(&process->directory, store->prepared.number,
                                                   flags, &store->prepared.handle);
        if (store->prepare_status != STATUS_OK)
            give_back(process, &store->prepared);
    }
    atomic_store(&process->segment_bytes, spool_pool_bytes_in_use(&process->pool));
}

static void on_prepared(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, prepare_job);

    (void)loop;
    if (store->prepare_status == STATUS_OK) {
        well_again(store, BIT(SPOOL_LOG_EVENT_PREPARE_FAILED));
    }
    spool_log_segment_ready(&store->log, store->prepare_status, &store->prepared);
    settle(store);
}

static void segment_prepare(struct spool_storage *s)
{
    struct gateway_store *store = store_of(s);

    submit(store, store->worker->process->segments, &store->prepare_job, run_prepare, on_prepared);
}

/* It waits for nothing: what was written is on the disk, and the file has its name. */
static void segment_sealed(struct spool_storage *s, const struct spool_segment_file *file)
{
    (void)s;
    if (file->handle >= 0)
        (void)close(file->handle);
}

static void run_release(struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, release_job);
    struct gateway_process *process = store->worker->process;

    if (store->released_is_damaged)
        spool_pool_add_damaged(&process->pool, store->released.number);
    store->release_status = spool_pool_release(&process->pool, &store->released);
    atomic_store(&process->segment_bytes, spool_pool_bytes_in_use(&process->pool));
}

static void on_released(struct engine_loop *loop, struct engine_job *job)
{
    struct gateway_store *store = CONTAINER_OF(job, struct gateway_store, release_job);

    (void)loop;
    if (store->release_status == STATUS_OK)
        well_again(store, BIT(SPOOL_LOG_EVENT_RELEASE_FAILED));
    spool_log_segment_released(&store->log, store->release_status);
    settle(store);
}

static void segment_release(struct spool_storage *s, const struct spool_segment_file *file)
{
    struct gateway_store *store = store_of(s);

    store->released = *file;
    store->released_is_damaged = file->generation == store->damaged_generation;
    submit(store, store->worker->process->segments, &store->release_job, run_release, on_released);
}

static const struct spool_storage_ops storage_ops = {
    .segment_prepare = segment_prepare,
    .segment_write = segment_write,
    .segment_sealed = segment_sealed,
    .segment_release = segment_release,
};

/* --- the log --------------------------------------------------------------------------------- */

static void on_retry(struct engine_timer *timer)
{
    struct gateway_store *store = CONTAINER_OF(timer, struct gateway_store, retry);

    spool_log_retry(&store->log);
    settle(store);
}

static void on_rescue(struct engine_timer *timer)
{
    struct gateway_store *store = CONTAINER_OF(timer, struct gateway_store, rescue);

    store->rescues++;
    spool_log_rescue(&store->log);
    settle(store);
}

/* Results wait for a disk that takes them. */
static void plan_rescue(struct gateway_store *store)
{
    uint64_t wait_ms = GATEWAY_STORE_RESCUE_MS;

    if (engine_timer_is_running(&store->rescue) || store->rescues >= GATEWAY_STORE_RESCUES_MAX)
        return;
    for (unsigned i = 0; i < store->rescues && wait_ms < GATEWAY_STORE_RESCUE_MS_MAX; i++)
        wait_ms *= 2;
    engine_timer_start(
        store->worker->loop, &store->rescue,
        wait_ms < GATEWAY_STORE_RESCUE_MS_MAX ? wait_ms : GATEWAY_STORE_RESCUE_MS_MAX, on_rescue);
}

static void alert(struct gateway_store *store, enum spool_log_event event, enum observe_level level,
                  const char *what)
{
    char subject[SUBJECT_MAX], text[256];
    int len = snprintf(text, sizeof(text), "Spool: log %u: %s", store->worker->index, what);

    store->trouble |= BIT(event);
    gateway_alert_raise(store->worker, OBSERVE_ALERT_SPOOL, subject_of(store, event, subject),
                        level == OBSERVE_CRITICAL ? OBSERVE_SEVERITY_CRITICAL
                                                  : OBSERVE_SEVERITY_WARNING,
                        (struct slice){ text, (size_t)len });
}

static void report(struct gateway_store *store, enum spool_log_event event)
{
    struct gateway_worker *w = store->worker;
    enum observe_level level = OBSERVE_CRITICAL;
    const char *text = NULL;
    bool was_said = (store->trouble & BIT(event)) != 0; /* and has not gone well since */

    switch (event) {
    case SPOOL_LOG_EVENT_NONE: return;
    case SPOOL_LOG_EVENT_READY:
        level = OBSERVE_INFO;
        text = "ready for mail";
        store->is_settled = true;
        gateway_worker_store_settled(w);
        break;
    case SPOOL_LOG_EVENT_WRITE_FAILED:
        text = store->is_unlinked
                   ? "a segment that is in use was deleted; the messages that were written to it "
                     "last were answered 451"
                   : "a write failed, its segment is sealed; the messages in it were answered 451";
        break;
    case SPOOL_LOG_EVENT_STOPPED:
        text = "writes failed twice in a row, no more mail is accepted until a reload";
        break;
    case SPOOL_LOG_EVENT_PREPARE_FAILED:
        text = "no new segment could be prepared; is the disk full?";
        if (!store->is_settled) { /* at start: who connects shall hear 452, not nothing */
            store->is_settled = true;
            gateway_worker_store_settled(w);
        }
        break;
    case SPOOL_LOG_EVENT_RELEASE_FAILED:
        level = OBSERVE_WARNING;
        text = store->release_status == STATUS_LIMIT
                   ? "a damaged segment cannot be put aside, the quarantine is full; see postern "
                     "spool quarantine"
                   : "a segment that holds no mail any more could not be freed";
        break;
    case SPOOL_LOG_EVENT_RESULTS_LOST:
        level = OBSERVE_WARNING;
        text = "results of deliveries could not be recorded; a restart may deliver twice";
        break;
    }
    if (event != SPOOL_LOG_EVENT_READY)
        alert(store, event, level, text);
    if (event == SPOOL_LOG_EVENT_PREPARE_FAILED || event == SPOOL_LOG_EVENT_RELEASE_FAILED) {
        engine_timer_start(w->loop, &store->retry, GATEWAY_STORE_RETRY_MS, on_retry);
        if (was_said)
            return;
    }
    if (level == OBSERVE_CRITICAL)
        observe_count(&w->counters, OBSERVE_SPOOL_ERRORS, 1);
    observe_log_line(w->log, level, gateway_worker_now_s(w), "Spool: log %u: %s", w->index, text);
}

static void on_flush(struct engine_timer *timer)
{
    gateway_store_flush(CONTAINER_OF(timer, struct gateway_store, flush));
}

static void count_waiting(struct gateway_store *store)
{
    observe_set(&store->worker->counters, OBSERVE_RESULTS_WAITING_NOW,
                spool_log_results_waiting(&store->log));
}

/* After every answer of the storage: goes on, and hands back what is through. The next write does
 * not wait for that: a batch may be laid out, and 250s and deliveries take longer than its start.
 */
static void settle(struct gateway_store *store)
{
    struct spool_ticket *ticket;
    enum spool_log_event event;

    spool_log_run(&store->log);
    while ((ticket = spool_log_take_committed(&store->log)) != NULL)
        if (ticket->kind == SPOOL_TICKET_RESULTS && ticket->mid == 0)
            gateway_queue_job_synced(ticket);
        else
            gateway_message_ticket_back(ticket);
    while ((event = spool_log_take_event(&store->log)) != SPOOL_LOG_EVENT_NONE)
        report(store, event);
    spool_log_run(&store->log); /* whoever heard of it may have given a place up */
    count_waiting(store);
    if (spool_log_has_lazy(&store->log) && spool_log_is_holding(&store->log))
        plan_rescue(store);
    else if (spool_log_has_lazy(&store->log) && !engine_timer_is_running(&store->flush))
        engine_timer_start(store->worker->loop, &store->flush, GATEWAY_STORE_FLUSH_MS, on_flush);
    gateway_worker_check_drained(store->worker);
}

static void on_run(struct engine_task *task)
{
    settle(CONTAINER_OF(task, struct gateway_store, run));
}

static void run_soon(struct gateway_store *store)
{
    engine_loop_defer(store->worker->loop, &store->run, on_run);
}

enum status gateway_store_init(struct gateway_store *store, struct gateway_worker *worker,
                               uint64_t batch_first, uint64_t sequence_first)
{
    struct spool_log_options options = {
        .log_id = worker->index,
        .batch_first = batch_first,
        .sequence_first = sequence_first,
        .is_adopting = true,
    };

    *store = (struct gateway_store){ .worker = worker, .storage = { .ops = &storage_ops } };
    return spool_log_init(&store->log, &store->storage, &options);
}

void gateway_store_finish(struct gateway_store *store)
{
    spool_log_finish(&store->log);
}

void gateway_store_start(struct gateway_store *store)
{
    run_soon(store);
}

bool gateway_store_reserve(struct gateway_store *store, struct spool_reservation *reservation,
                           size_t bytes)
{
    run_soon(store);
    return spool_log_reserve(&store->log, reservation, bytes);
}

enum status gateway_store_append(struct gateway_store *store, const struct spool_message *message,
                                 struct spool_reservation *reservation, struct spool_ticket *ticket)
{
    run_soon(store);
    return spool_log_append_message(&store->log, message, reservation, ticket);
}

void gateway_store_results(struct gateway_store *store, uint64_t mid,
                           const struct spool_result *results, size_t count)
{
    spool_log_append_results(&store->log, mid, results, count);
    count_waiting(store);
    run_soon(store);
}

void gateway_store_await_results(struct gateway_store *store, uint64_t mid,
                                 struct spool_ticket *ticket)
{
    spool_log_await_results(&store->log, mid, ticket);
    run_soon(store);
}

void gateway_store_done(struct gateway_store *store, uint64_t mid,
                        const struct spool_location *location, struct spool_ticket *ticket)
{
    spool_log_append_done(&store->log, mid, location, ticket);
    count_waiting(store);
    run_soon(store);
}

void gateway_store_adopted(struct gateway_store *store)
{
    spool_log_adopted(&store->log);
    run_soon(store);
}

void gateway_store_damaged(struct gateway_store *store, const struct spool_segment *segment)
{
    ASSERT(segment == spool_log_head(&store->log));
    store->damaged_generation = spool_segment_generation(segment);
    run_soon(store);
}

void gateway_store_flush(struct gateway_store *store)
{
    engine_timer_stop(store->worker->loop, &store->flush);
    spool_log_flush(&store->log);
    run_soon(store);
}

void gateway_store_flush_last(struct gateway_store *store)
{
    spool_log_rescue(&store->log);
    gateway_store_flush(store);
}

bool gateway_store_is_settled(const struct gateway_store *store)
{
    return store->is_settled;
}

bool gateway_store_is_quiet(const struct gateway_store *store)
{
    bool can_write = !spool_log_is_holding(&store->log);

    return spool_log_is_quiet(&store->log) && !(can_write && spool_log_has_lazy(&store->log));
}

bool gateway_store_has_results(const struct gateway_store *store)
{
    return spool_log_results_waiting(&store->log) > 0;
}

bool gateway_store_is_still(const struct gateway_store *store)
{
    return spool_log_is_quiet(&store->log);
}

void gateway_store_stop(struct gateway_store *store)
{
    struct engine_loop *loop = store->worker->loop;

    ASSERT(gateway_store_is_still(store));
    engine_loop_defer_cancel(loop, &store->run);
    engine_timer_stop(loop, &store->flush);
    engine_timer_stop(loop, &store->retry);
    engine_timer_stop(loop, &store->rescue);
}

void gateway_store_resume(struct gateway_store *store)
{
    engine_timer_stop(store->worker->loop, &store->rescue);
    store->rescues = 0;
    spool_log_resume(&store->log);
    run_soon(store);
}
