#include "gateway/queue_job.h"

#include "base/json.h"
#include "gateway/queue_view.h"
#include "gateway/worker.h"

static enum gateway_queue_result (*const acts[GATEWAY_QUEUE_VERBS_COUNT])(
    struct gateway_worker *w, struct gateway_item *item) = {
    [GATEWAY_QUEUE_HOLD] = gateway_queue_hold,     [GATEWAY_QUEUE_RELEASE] = gateway_queue_release,
    [GATEWAY_QUEUE_RETRY] = gateway_queue_retry,   [GATEWAY_QUEUE_BOUNCE] = gateway_queue_bounce,
    [GATEWAY_QUEUE_DELETE] = gateway_queue_delete,
};

static struct gateway_holdings *holdings_of(const struct gateway_queue_job *job)
{
    return &job->worker->dispatch.holdings;
}

/* --- one item -------------------------------------------------------------------------------- */

static enum status write_refusal(const struct gateway_queue_facts *facts,
                                 enum gateway_queue_result result, struct buffer *to)
{
    struct json_writer j;

    json_init(&j, to);
    json_open_object(&j);
    json_member_text(&j, "kind", SLICE("left"));
    json_member_number(&j, "mid", facts->mid);
    json_member_text(&j, "domain", facts->domain);
    json_member_text(&j, "why",
                     result == GATEWAY_QUEUE_BUSY
                         ? SLICE("it is being sent now")
                         : SLICE("the gateway has no memory for it, or it was held too often"));
    json_close(&j);
    TRY(json_finish(&j));
    return buffer_append(to, SLICE("\n"));
}

static void act(struct gateway_queue_job *job, struct gateway_item *item,
                const struct gateway_queue_facts *facts)
{
    unsigned recipients = item->waiting_count;
    enum gateway_queue_result result = acts[job->request.verb](job->worker, item);

    job->results[result]++;
    if (result == GATEWAY_QUEUE_DONE) { /* it may be another thread's by now */
        job->recipients += recipients;
        if (job->request.verb != GATEWAY_QUEUE_RETRY)
            job->unsynced += recipients;
    } else if (result != GATEWAY_QUEUE_NOTHING) {
        job->status = write_refusal(facts, result, &job->page);
    }
}

/* The message, then its recipients until the page is full. True: the item is through. */
static bool show(struct gateway_queue_job *job, const struct gateway_item *item,
                 const struct gateway_queue_facts *facts)
{
    struct gateway_queue_why why;

    if (job->shown != item || job->shown_mid != facts->mid) {
        job->shown = item;
        job->shown_mid = facts->mid;
        job->shown_place = 0;
        job->status = gateway_queue_write_message(item, &job->page);
    }
    gateway_queue_why(job->worker, item, &why);
    while (job->status == STATUS_OK && job->shown_place < item->waiting_count &&
           buffer_len(&job->page) < GATEWAY_QUEUE_PAGE_BYTES)
        job->status = gateway_queue_write_recipient(item, job->shown_place++, &why, &job->page);
    return job->shown_place >= item->waiting_count;
}

static void sum_up(struct gateway_queue_job *job, const struct gateway_item *item,
                   const struct gateway_queue_facts *facts)
{
    const struct gateway_queue_load load = {
        .entries = 1,
        .recipients = item->waiting_count,
        .held = facts->is_held,
        .oldest_s = facts->arrival_wall_s,
    };

    gateway_queue_summary_add(&job->summary, facts->domain, &load);
}

/* --- a walk ---------------------------------------------------------------------------------- */

static void end_walk(struct gateway_queue_job *job)
{
    gateway_holdings_walk_end(&job->walk);
    gateway_queue_summary_finish(&job->summary);
    job->is_walking = false;
}

static bool has_enough(const struct gateway_queue_job *job)
{
    return job->request.filter.limit > 0 && job->matched >= job->request.filter.limit;
}

/* The leg ends here, with more to come. */
static bool is_pausing(struct gateway_queue_job *job)
{
    job->wants_sync = job->unsynced >= GATEWAY_QUEUE_UNSYNCED_MAX;
    return job->wants_sync || buffer_len(&job->page) >= GATEWAY_QUEUE_PAGE_BYTES;
}

static void note_mid(struct gateway_queue_job *job, uint64_t mid)
{
    unsigned place = gateway_queue_mid_place(&job->request.filter, mid);

    static_assert(GATEWAY_QUEUE_MIDS_MAX <= 32, "each MID has a bit");
    if (place < job->request.filter.mids_count)
        job->mids_seen |= UINT32_C(1) << place;
}

/* The item that the walk stands at; returns how much work it was. */
static unsigned take(struct gateway_queue_job *job, struct gateway_item *item)
{
    const struct gateway_queue_filter *filter = &job->request.filter;
    struct gateway_queue_facts facts;

    gateway_queue_facts(item, &facts);
    note_mid(job, facts.mid);
    if (!gateway_queue_matches(filter, &facts, gateway_worker_now_s(job->worker))) {
        (void)gateway_holdings_walk_next(holdings_of(job), &job->walk);
        return 0;
    }
    if (job->request.verb == GATEWAY_QUEUE_SHOW && !show(job, item, &facts))
        return 1;
    (void)gateway_holdings_walk_next(holdings_of(job), &job->walk);
    job->matched++;
    if (job->request.verb == GATEWAY_QUEUE_LIST)
        job->status = gateway_queue_write_entry(job->worker, item, &job->page);
    else if (job->request.verb == GATEWAY_QUEUE_SUMMARY)
        sum_up(job, item, &facts);
    else if (job->request.verb == GATEWAY_QUEUE_FLUSH)
        job->results[GATEWAY_QUEUE_NOTHING]++;
    else if (job->request.verb >= GATEWAY_QUEUE_HOLD)
        act(job, item, &facts);
    return job->request.verb != GATEWAY_QUEUE_SUMMARY;
}

/* True: the same again in the next turn. */
static bool step_items(struct gateway_queue_job *job)
{
    unsigned work = 0;

    for (unsigned i = 0; i < GATEWAY_QUEUE_STEP_ITEMS && work < GATEWAY_QUEUE_STEP_WORK; i++) {
        struct slim_node *n = gateway_holdings_walk_peek(holdings_of(job), &job->walk);

        if (job->status != STATUS_OK || is_pausing(job))
            return false;
        if (n == NULL || has_enough(job)) {
            job->is_through = true;
            return job->request.verb == GATEWAY_QUEUE_SUMMARY;
        }
        work += take(job, CONTAINER_OF(n, struct gateway_item, node));
    }
    return true;
}

static bool step_summary(struct gateway_queue_job *job)
{
    char domain[GATEWAY_QUEUE_DOMAIN_MAX];
    struct gateway_queue_load load;

    for (unsigned i = 0; i < GATEWAY_QUEUE_STEP_WORK; i++) {
        if (job->status != STATUS_OK || is_pausing(job))
            return false;
        if (!gateway_queue_summary_take(&job->summary, domain, &load)) {
            load = job->summary.others;
            job->summary.others = (struct gateway_queue_load){ 0 };
            domain[0] = '\0';
        }
        if (load.entries == 0) {
            job->is_over = true;
            return false;
        }
        job->status =
            gateway_queue_write_destination(job->worker, slice_from(domain), &load, &job->page);
    }
    return true;
}

static bool step(struct gateway_queue_job *job)
{
    if (job->is_through && job->request.verb == GATEWAY_QUEUE_SUMMARY)
        return step_summary(job);
    if (step_items(job))
        return true;
    job->is_over = job->is_through;
    return false;
}

static void begin_walk(struct gateway_queue_job *job)
{
    job->is_walking = true;
    job->walked = job->worker;
    job->is_through = false;
    job->shown = NULL;
    gateway_holdings_walk_begin(holdings_of(job), &job->walk);
    if (job->request.verb == GATEWAY_QUEUE_SUMMARY)
        job->status = gateway_queue_summary_init(&job->summary, &job->worker->process->seed);
}

static void flush_one(struct gateway_queue_job *job, struct delivery_destination *d)
{
    struct gateway_worker *w = job->worker;
    struct delivery_destination_state state;

    delivery_destination_describe(d, &state);
    delivery_destination_flush(w->dispatch.scheduler, gateway_worker_now_ms(w), d);
    gateway_dispatch_run_soon(&w->dispatch);
    job->matched += state.ready + state.delayed + state.active;
    job->results[GATEWAY_QUEUE_DONE] += state.ready + state.delayed;
    job->results[GATEWAY_QUEUE_BUSY] += state.active;
}

/* The domain's destinations are of this worker, or of another: that of most of its mail, and that
 * of mail that may go with less TLS. */
static void flush(struct gateway_queue_job *job)
{
    struct gateway_worker *w = job->worker;
    struct slice domain = slice_from(job->request.filter.domain);
    struct delivery_destination *both[] = {
        delivery_scheduler_find(w->dispatch.scheduler, domain),
        delivery_scheduler_find_tls_optional(w->dispatch.scheduler, domain),
    };

    for (size_t i = 0; i < ARRAY_LEN(both); i++)
        if (both[i] != NULL)
            flush_one(job, both[i]);
    if (both[0] == NULL && both[1] == NULL)
        return;
    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "Delivery: all mail for %.*s is tried now, says the administrator",
                     SLICE_ARGS(domain));
}

/* A flush that finds nothing to be tried tells whether that is because it is held, for which its
 * owner looks through what it has. */
static bool looks_for_held(const struct gateway_queue_job *job)
{
    return job->results[GATEWAY_QUEUE_DONE] == 0 &&
           gateway_lane_owner_of(job->worker->process, slice_from(job->request.filter.domain)) ==
               job->worker;
}

static void walk(struct gateway_queue_job *job)
{
    struct gateway_worker *w = job->worker;

    if (gateway_worker_is_stopping(w)) {
        job->is_stopping = job->is_over = true;
        end_walk(job);
        job->back(job);
        return;
    }
    if (job->request.verb == GATEWAY_QUEUE_FLUSH && !job->is_walking) {
        flush(job);
        job->is_over = !looks_for_held(job);
        if (job->is_over) {
            job->back(job);
            return;
        }
        job->request.filter.is_held = true;
    }
    if (!job->is_walking)
        begin_walk(job);
    if (job->status == STATUS_OK && step(job)) {
        engine_mailbox_post(w->loop, w->loop, &job->post);
        return;
    }
    if (job->is_over || job->status != STATUS_OK) {
        job->is_over = true;
        end_walk(job);
    }
    job->back(job);
}

/* --- legs ------------------------------------------------------------------------------------ */

static void on_post(struct engine_loop *here, struct engine_message *m)
{
    struct gateway_queue_job *job = CONTAINER_OF(m, struct gateway_queue_job, post);

    ASSERT(job->worker->loop == here);
    switch (job->leg) {
    case GATEWAY_QUEUE_WALK: walk(job); break;
    case GATEWAY_QUEUE_SYNC:
        gateway_store_await_results(&job->worker->store, 0, &job->ticket);
        break;
    case GATEWAY_QUEUE_LEAVE:
        end_walk(job);
        job->is_over = true;
        job->back(job);
        break;
    }
}

void gateway_queue_job_synced(struct spool_ticket *ticket)
{
    struct gateway_queue_job *job = CONTAINER_OF(ticket, struct gateway_queue_job, ticket);

    job->status = ticket->status;
    job->back(job);
}

void gateway_queue_job_init(struct gateway_queue_job *job,
                            const struct gateway_queue_request *request)
{
    *job = (struct gateway_queue_job){ .request = *request };
    buffer_init(&job->page, GATEWAY_QUEUE_PAGE_MAX);
}

void gateway_queue_job_post(struct gateway_queue_job *job, struct gateway_worker *worker,
                            enum gateway_queue_leg leg)
{
    ASSERT(!job->is_walking || leg == GATEWAY_QUEUE_SYNC || job->walked == worker);
    job->leg = leg;
    job->status = STATUS_OK;
    if (leg == GATEWAY_QUEUE_WALK)
        job->is_over = job->wants_sync = false;
    if (leg == GATEWAY_QUEUE_SYNC)
        job->unsynced = 0;
    job->post.deliver = on_post;
    job->worker = worker;
    engine_mailbox_post(worker->loop, NULL, &job->post);
}

bool gateway_queue_job_is_missing(const struct gateway_queue_job *job, unsigned place)
{
    ASSERT(place < job->request.filter.mids_count);
    return !has_enough(job) && (job->mids_seen & UINT32_C(1) << place) == 0;
}

bool gateway_queue_job_is_walking(const struct gateway_queue_job *job)
{
    return job->is_walking;
}

void gateway_queue_job_finish(struct gateway_queue_job *job)
{
    gateway_queue_summary_finish(&job->summary);
    buffer_finish(&job->page);
}
