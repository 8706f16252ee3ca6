#include "gateway/queue_desk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/json.h"
#include "gateway/admin_request.h"
#include "gateway/worker.h"

enum visit_state {
    VISIT_FREE,
    VISIT_AWAY,    /* a worker has the job */
    VISIT_HERE,    /* a leg is done */
    VISIT_ENDED,   /* the last line was written */
    VISIT_CLOSING, /* a worker has the job, and nobody waits for it */
};

enum visit_phase {
    PHASE_WALK,
    PHASE_SYNC,      /* of what was changed so far; the walk goes on behind it */
    PHASE_SYNC_LAST, /* of the rest */
    PHASE_OVER
};

struct gateway_queue_visit {
    struct gateway_queue_job job; /* touched only while the desk has it */
    struct gateway_queue_desk *desk;
    enum visit_state state;
    enum visit_phase phase;
    unsigned walked;  /* workers, all of their items */
    unsigned synced;  /* workers, in this round */
    bool is_failed;   /* no memory for a line */
    bool is_volatile; /* something could not be made durable */
    bool is_partial;  /* a worker could not be asked */
};

struct gateway_queue_desk {
    struct gateway_process *process;
    int bell;
    _Atomic(struct gateway_queue_job *) returned; /* a stack: workers push, the desk takes all */
    struct gateway_queue_visit visits[GATEWAY_QUEUE_VISITS_MAX];
};

static struct gateway_queue_visit *visit_of(struct gateway_queue_job *job)
{
    return CONTAINER_OF(job, struct gateway_queue_visit, job);
}

/* --- jobs come and go ------------------------------------------------------------------------ */

/* A worker's thread. */
static void on_back(struct gateway_queue_job *job)
{
    struct gateway_queue_desk *desk = visit_of(job)->desk;
    const uint64_t one = 1;

    job->next_back = atomic_load(&desk->returned);
    while (!atomic_compare_exchange_weak(&desk->returned, &job->next_back, job))
        continue;
    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (write(desk->bell, &one, sizeof(one)) < 0)
        return;
}

static void free_visit(struct gateway_queue_visit *visit)
{
    gateway_queue_job_finish(&visit->job);
    visit->state = VISIT_FREE;
}

/* Its job is here, and nobody waits for it: what it has at a worker ends there. */
static void dispose(struct gateway_queue_visit *visit)
{
    struct gateway_process *process = visit->desk->process;

    if (!gateway_queue_job_is_walking(&visit->job)) {
        free_visit(visit);
        return;
    }
    visit->state = VISIT_CLOSING;
    gateway_queue_job_post(&visit->job, &process->workers[visit->walked], GATEWAY_QUEUE_LEAVE);
}

void gateway_queue_desk_take(struct gateway_queue_desk *desk)
{
    struct gateway_queue_job *job;
    uint64_t rung;

    if (read(desk->bell, &rung, sizeof(rung)) < 0)
        return;
    job = atomic_exchange(&desk->returned, NULL);
    while (job != NULL) {
        struct gateway_queue_visit *visit = visit_of(job);

        job = job->next_back;
        if (visit->state == VISIT_CLOSING)
            dispose(visit);
        else
            visit->state = VISIT_HERE;
    }
}

/* --- the way of a visit ---------------------------------------------------------------------- */

/* The first worker from *next on that runs. False: there is none. */
static bool find_worker(struct gateway_queue_visit *visit, unsigned *next)
{
    const struct gateway_process *process = visit->desk->process;

    for (; *next < process->workers_count; ++*next) {
        int start = atomic_load(&process->workers[*next].start);

        if (start == GATEWAY_WORKER_RUNS || start == GATEWAY_WORKER_READY)
            return true;
        visit->is_partial = true;
    }
    return false;
}

static void send_to(struct gateway_queue_visit *visit, unsigned worker, enum gateway_queue_leg leg)
{
    visit->state = VISIT_AWAY;
    gateway_queue_job_post(&visit->job, &visit->desk->process->workers[worker], leg);
}

/* What came of the leg. */
static void settle(struct gateway_queue_visit *visit)
{
    const struct gateway_queue_job *job = &visit->job;

    if (visit->phase != PHASE_WALK) {
        visit->is_volatile = visit->is_volatile || job->status != STATUS_OK;
        visit->synced++;
        return;
    }
    visit->is_failed = job->status != STATUS_OK;
    visit->is_partial = visit->is_partial || job->is_stopping;
    if (job->is_over)
        visit->walked++;
    if (visit->is_failed)
        visit->walked = visit->desk->process->workers_count;
    if (job->wants_sync && !job->is_over) {
        visit->phase = PHASE_SYNC;
        visit->synced = 0;
    }
}

/* Sends the job on its next leg; without one it is over. */
static void send_on(struct gateway_queue_visit *visit)
{
    const struct gateway_queue_job *job = &visit->job;

    if (visit->phase == PHASE_SYNC && !find_worker(visit, &visit->synced))
        visit->phase = PHASE_WALK;
    if (visit->phase == PHASE_WALK && !find_worker(visit, &visit->walked)) {
        bool has_changed = job->request.verb >= GATEWAY_QUEUE_HOLD &&
                           job->request.verb < GATEWAY_QUEUE_FLUSH &&
                           job->results[GATEWAY_QUEUE_DONE] > 0;

        visit->phase = has_changed ? PHASE_SYNC_LAST : PHASE_OVER;
        visit->synced = 0;
    }
    if (visit->phase == PHASE_SYNC_LAST && !find_worker(visit, &visit->synced))
        visit->phase = PHASE_OVER;
    switch (visit->phase) {
    case PHASE_WALK: send_to(visit, visit->walked, GATEWAY_QUEUE_WALK); break;
    case PHASE_SYNC:
    case PHASE_SYNC_LAST: send_to(visit, visit->synced, GATEWAY_QUEUE_SYNC); break;
    case PHASE_OVER: break;
    }
}

/* --- the answer ------------------------------------------------------------------------------ */

/* The MIDs that were named and are not there, one a line; known when every worker was asked. */
static enum status write_missing(const struct gateway_queue_visit *visit, struct buffer *reply)
{
    const struct gateway_queue_filter *filter = &visit->job.request.filter;

    for (unsigned i = 0; i < filter->mids_count && !visit->is_partial; i++) {
        struct json_writer j;

        if (!gateway_queue_job_is_missing(&visit->job, i))
            continue;
        json_init(&j, reply);
        json_open_object(&j);
        json_member_text(&j, "kind", SLICE("missing"));
        json_member_number(&j, "mid", filter->mids[i]);
        json_close(&j);
        TRY(json_finish(&j));
        TRY(buffer_append(reply, SLICE("\n")));
    }
    return STATUS_OK;
}

static enum status write_end(const struct gateway_queue_visit *visit, struct buffer *reply)
{
    const struct gateway_queue_job *job = &visit->job;
    struct json_writer j;

    if (visit->is_failed)
        return gateway_admin_answer_error("no memory for the answer", reply);
    TRY(write_missing(visit, reply));
    json_init(&j, reply);
    json_open_object(&j);
    json_member_text(&j, "kind", SLICE("end"));
    json_member_number(&j, "matched", job->matched);
    json_member_number(&j, "done", job->results[GATEWAY_QUEUE_DONE]);
    json_member_number(&j, "nothing", job->results[GATEWAY_QUEUE_NOTHING]);
    json_member_number(&j, "busy", job->results[GATEWAY_QUEUE_BUSY]);
    json_member_number(&j, "refused", job->results[GATEWAY_QUEUE_REFUSED]);
    json_member_number(&j, "recipients", job->recipients);
    json_name(&j, "durable");
    json_bool(&j, !visit->is_volatile);
    json_name(&j, "complete");
    json_bool(&j, !visit->is_partial);
    json_close(&j);
    TRY(json_finish(&j));
    return buffer_append(reply, SLICE("\n"));
}

enum status gateway_queue_visit_go_on(struct gateway_queue_visit *visit, struct buffer *reply)
{
    struct slice page;

    if (visit->state != VISIT_HERE)
        return STATUS_OK;
    page = buffer_contents(&visit->job.page);
    if (page.len > 0) {
        TRY(buffer_append(reply, page));
        buffer_release(&visit->job.page);
        return STATUS_OK;
    }
    settle(visit);
    send_on(visit);
    if (visit->phase != PHASE_OVER)
        return STATUS_OK;
    visit->state = VISIT_ENDED;
    return write_end(visit, reply);
}

bool gateway_queue_visit_is_ended(const struct gateway_queue_visit *visit)
{
    return visit->state == VISIT_ENDED;
}

void gateway_queue_visit_close(struct gateway_queue_visit *visit)
{
    if (visit == NULL)
        return;
    ASSERT(visit->state != VISIT_FREE && visit->state != VISIT_CLOSING);
    if (visit->state == VISIT_AWAY)
        visit->state = VISIT_CLOSING;
    else
        dispose(visit);
}

bool gateway_queue_desk_is_asked(struct slice line)
{
    struct slice rest = slice_trim(line);

    return slice_equal(slice_cut(&rest, ' '), SLICE("queue"));
}

bool gateway_queue_desk_open(struct gateway_queue_desk *desk, struct slice line,
                             struct gateway_queue_visit **visit_out, const char **why_out)
{
    struct gateway_queue_visit *visit = NULL;
    struct gateway_queue_request request;
    struct slice rest = slice_trim(line);

    (void)slice_cut(&rest, ' ');
    if (!gateway_queue_parse(rest, &request, why_out))
        return false;
    for (size_t i = 0; i < GATEWAY_QUEUE_VISITS_MAX && visit == NULL; i++)
        if (desk->visits[i].state == VISIT_FREE)
            visit = &desk->visits[i];
    *why_out = "too many are asking about the queue now";
    if (visit == NULL)
        return false;
    *visit = (struct gateway_queue_visit){ .desk = desk };
    gateway_queue_job_init(&visit->job, &request);
    visit->job.back = on_back;
    send_on(visit);
    *why_out = "no worker runs yet, or any more";
    if (visit->phase == PHASE_OVER)
        return false;
    *visit_out = visit;
    return true;
}

/* --- the desk -------------------------------------------------------------------------------- */

enum status gateway_queue_desk_create(struct gateway_process *process,
                                      struct gateway_queue_desk **desk_out)
{
    struct gateway_queue_desk *desk = calloc(1, sizeof(*desk));

    if (desk == NULL)
        return STATUS_NO_MEMORY;
    desk->process = process;
    desk->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (desk->bell < 0) {
        enum status status = status_from_errno(errno);

        free(desk);
        return status;
    }
    *desk_out = desk;
    return STATUS_OK;
}

void gateway_queue_desk_destroy(struct gateway_queue_desk *desk)
{
    if (desk == NULL)
        return;
    for (size_t i = 0; i < GATEWAY_QUEUE_VISITS_MAX; i++)
        if (desk->visits[i].state != VISIT_FREE)
            gateway_queue_job_finish(&desk->visits[i].job);
    (void)close(desk->bell);
    free(desk);
}

int gateway_queue_desk_bell(const struct gateway_queue_desk *desk)
{
    return desk->bell;
}
