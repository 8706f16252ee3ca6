#include "gateway/message.h"

#include <stdlib.h>

#include "gateway/body.h"
#include "gateway/bounce.h"
#include "gateway/inbound.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

void gateway_message_destroy(struct gateway_message *m)
{
    atomic_fetch_sub(&m->home->process->message_bytes, m->memory_bytes);
    atomic_fetch_sub(&m->home->process->body_bytes, m->file_bytes);
    list_remove(&m->node);
    gateway_report_destroy(m->bounce_report);
    for (unsigned i = 0; i < m->items_count; i++)
        gateway_failures_finish(&m->items[i].failures, m->items[i].all_count);
    spool_message_destroy(m->spool);
    free(m->hostname);
    free(m->known);
    free(m->items);
    free(m->rids);
    free(m);
}

static struct gateway_message *message_create(struct gateway_worker *home,
                                              struct spool_message *spool)
{
    struct gateway_message *m = calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->home = home;
    m->spool = spool;
    m->memory_bytes = spool_message_memory_bytes(spool) + sizeof(*m);
    m->file_bytes = spool_message_body_in_file(spool) ? spool_message_body_bytes(spool) : 0;
    atomic_fetch_add(&home->process->message_bytes, m->memory_bytes);
    atomic_fetch_add(&home->process->body_bytes, m->file_bytes);
    list_append(&home->messages, &m->node);
    return m;
}

static bool is_final(const struct gateway_message *m, unsigned rid)
{
    return m->known != NULL && m->known[rid].state != SPOOL_RESULT_WAITING &&
           m->known[rid].state != SPOOL_RESULT_DEFERRED;
}

static struct slice domain_of(const struct gateway_message *m, unsigned rid)
{
    struct slice address = spool_message_recipient(m->spool, rid);
    size_t at = address.len;

    while (at > 0 && address.data[at - 1] != '@')
        at--;
    if (at == 0 || at == address.len) /* <postmaster>, RFC 5321 4.5.1: ours */
        return slice_from(m->hostname);
    return slice_after(address, at);
}

/* A copy: the message outlives the view whose name it is. */
static enum status keep_hostname(struct gateway_message *m)
{
    m->hostname = strdup(gateway_view_settings(m->home->view)->hostname);
    return m->hostname != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static bool needs_hostname(const struct gateway_message *m)
{
    for (unsigned rid = 0; rid < spool_message_recipients_count(m->spool); rid++) {
        struct slice address = spool_message_recipient(m->spool, rid);

        if (address.len == 0 || memchr(address.data, '@', address.len) == NULL ||
            address.data[address.len - 1] == '@')
            return true;
    }
    return false;
}

/* Orders recipients by domain, and within it by number, so that groups lie together. */
static int compare_domains(const void *a, const void *b, void *arg)
{
    const struct gateway_message *m = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    struct slice dx = domain_of(m, x), dy = domain_of(m, y);

    for (size_t i = 0; i < dx.len && i < dy.len; i++)
        if (ascii_lower(dx.data[i]) != ascii_lower(dy.data[i]))
            return ascii_lower(dx.data[i]) - ascii_lower(dy.data[i]);
    if (dx.len != dy.len)
        return dx.len < dy.len ? -1 : 1;
    return x < y ? -1 : 1;
}

static unsigned group_end(const struct gateway_message *m, unsigned from, unsigned count)
{
    unsigned to = from + 1;

    while (to < count && slice_equal_nocase(domain_of(m, m->rids[from]), domain_of(m, m->rids[to])))
        to++;
    return to;
}

static void init_item(struct gateway_message *m, struct gateway_item *item, unsigned from,
                      unsigned to, unsigned count)
{
    time_t now_s = gateway_worker_now_s(m->home);
    int64_t wait_s = 0;

    *item = (struct gateway_item){
        .message = m,
        .domain = domain_of(m, m->rids[from]),
        .all = m->rids + from,
        .waiting = m->rids + count + from,
        .all_count = to - from,
        .waiting_count = to - from,
    };
    memcpy(item->waiting, item->all, item->all_count * sizeof(uint32_t));
    for (unsigned i = from; m->known != NULL && i < to; i++) {
        const struct spool_result *r = &m->known[m->rids[i]];
        int64_t later_s = r->state == SPOOL_RESULT_DEFERRED ? r->next_attempt_wall_s - now_s : 0;

        if (r->attempts > item->attempts)
            item->attempts = r->attempts;
        if (r->warnings > item->warnings)
            item->warnings = r->warnings;
        if (r->warned_wall_s > item->warned_s)
            item->warned_s = r->warned_wall_s;
        if (later_s > wait_s)
            wait_s = later_s;
    }
    item->wait_ms = (uint64_t)wait_s * 1000;
}

/* Groups the recipients without a final result. */
static enum status make_items(struct gateway_message *m)
{
    unsigned all = spool_message_recipients_count(m->spool), count = 0, groups = 0;

    if (needs_hostname(m))
        TRY(keep_hostname(m));
    m->rids = calloc(all, 2 * sizeof(uint32_t));
    if (m->rids == NULL)
        return STATUS_NO_MEMORY;
    for (unsigned rid = 0; rid < all; rid++)
        if (!is_final(m, rid))
            m->rids[count++] = rid;
    if (count > 1)
        qsort_r(m->rids, count, sizeof(uint32_t), compare_domains, m);
    for (unsigned i = 0; i < count; i = group_end(m, i, count))
        groups++;
    m->items = calloc(groups > 0 ? groups : 1, sizeof(*m->items));
    if (m->items == NULL)
        return STATUS_NO_MEMORY;
    for (unsigned i = 0, end; i < count; i = end) {
        end = group_end(m, i, count);
        init_item(m, &m->items[m->items_count++], i, end, count);
    }
    ASSERT(m->items_count == groups);
    m->items_open = groups;
    return STATUS_OK;
}

static enum status commit(struct gateway_worker *home, struct spool_draft *draft,
                          struct spool_reservation *reservation,
                          struct gateway_message **message_out)
{
    struct spool_message *spool = spool_draft_complete(draft);
    struct gateway_message *m = message_create(home, spool);
    enum status status;

    if (m == NULL) {
        spool_message_destroy(spool);
        return STATUS_NO_MEMORY;
    }
    status = make_items(m);
    if (status == STATUS_OK)
        status = gateway_store_append(&home->store, spool, reservation, &m->ticket);
    if (status != STATUS_OK) {
        gateway_message_destroy(m);
        return status;
    }
    *message_out = m;
    return STATUS_OK;
}

enum status gateway_message_commit(struct gateway_worker *home, struct spool_draft *draft,
                                   struct spool_reservation *reservation,
                                   struct gateway_inbound *session)
{
    struct gateway_message *m;

    TRY(commit(home, draft, reservation, &m));
    observe_count(&home->counters, OBSERVE_BYTES_RECEIVED, spool_message_size(m->spool));
    observe_mid_ready(home->log, gateway_worker_now_s(home), spool_message_mid(m->spool),
                      spool_message_size(m->spool), spool_message_sender(m->spool));
    m->session = session;
    if (session != NULL)
        gateway_inbound_commits(session, m);
    return STATUS_OK;
}

enum status gateway_message_commit_bounce(struct gateway_worker *home, struct spool_draft *draft,
                                          struct gateway_message *m, struct gateway_report *report)
{
    struct gateway_message *bounce;

    TRY(commit(home, draft, NULL, &bounce));
    bounce->bounce_of = m;
    bounce->bounce_report = report;
    return STATUS_OK;
}

enum status gateway_message_recover(struct gateway_worker *home, struct spool_message *spool,
                                    const struct spool_location *location,
                                    const struct spool_recovered_message *found)
{
    unsigned count = spool_message_recipients_count(spool);
    struct gateway_message *m = message_create(home, spool);

    if (m == NULL)
        return STATUS_NO_MEMORY;
    m->location = *location;
    m->known = calloc(count, sizeof(*m->known));
    if (m->known == NULL) {
        m->spool = NULL;
        gateway_message_destroy(m);
        return STATUS_NO_MEMORY;
    }
    for (unsigned rid = 0; rid < count; rid++)
        m->known[rid] = spool_recovery_result(found, rid);
    return STATUS_OK;
}

static void finish_if_over(struct gateway_message *m)
{
    struct gateway_worker *w = m->home;
    uint64_t mid = spool_message_mid(m->spool);

    if (m->items_open > 0 || m->bounces_open > 0)
        return;
    observe_mid_finished(w->log, gateway_worker_now_s(w), mid);
    observe_count(&w->counters, OBSERVE_MESSAGES_FINISHED, 1);
    observe_uncount(&w->counters, OBSERVE_MESSAGES_NOW, 1);
    if (spool_message_body_in_file(m->spool)) {
        gateway_store_done(&w->store, mid, &m->location, &m->ticket);
        return; /* the file goes when the DONE is durable: gateway_message_ticket_back() */
    }
    gateway_store_done(&w->store, mid, &m->location, NULL);
    gateway_message_destroy(m);
}

static void deliver_item(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_item *item = CONTAINER_OF(post, struct gateway_item, post);

    ASSERT(item->owner->loop == here);
    gateway_dispatch_add(&item->owner->dispatch, item);
}

static void post_items(struct gateway_message *m)
{
    struct gateway_process *process = m->home->process;
    unsigned count = m->items_count;

    /* While we stop, the mail stays in the spool: the other worker may be gone already. */
    if (gateway_worker_is_stopping(m->home))
        return;
    for (unsigned i = 0; i < count; i++) {
        struct gateway_item *item = &m->items[i];
        uint64_t hash = hash_text_nocase(&process->seed, item->domain);

        item->owner = &process->workers[hash % process->workers_count];
        item->post.deliver = deliver_item;
        engine_mailbox_post(item->owner->loop, m->home->loop, &item->post);
    }
}

void gateway_message_start(struct gateway_message *m)
{
    observe_count(&m->home->counters, OBSERVE_MESSAGES_NOW, 1);
    if (make_items(m) != STATUS_OK) {
        observe_log_line(m->home->log, OBSERVE_CRITICAL, gateway_worker_now_s(m->home),
                         "MID %llu stays in the spool until the next start: no memory",
                         (unsigned long long)spool_message_mid(m->spool));
        return;
    }
    if (m->items_open == 0)
        finish_if_over(m);
    else
        post_items(m);
}

/* Tells the message whose bounce m is, if it is one, what became of it. */
static void settle_bounce(struct gateway_message *m, enum status status)
{
    struct gateway_message *original = m->bounce_of;
    struct gateway_report *report = m->bounce_report;

    if (original == NULL)
        return;
    m->bounce_of = NULL;
    m->bounce_report = NULL;
    if (status == STATUS_OK)
        gateway_bounce_committed(original, report);
    else
        gateway_bounce_retry(original, report);
}

/* The message is on stable storage: from here on it is ours, whatever happens. */
static void committed(struct gateway_message *m)
{
    struct gateway_worker *w = m->home;
    uint64_t mid = spool_message_mid(m->spool);
    time_t now_s = gateway_worker_now_s(w);

    m->location = m->ticket.location;
    observe_count(&w->counters, OBSERVE_MESSAGES_NOW, 1);
    observe_mid_queued(w->log, now_s, mid);
    if (m->session != NULL) {
        struct gateway_inbound *session = m->session;

        m->session = NULL;
        gateway_inbound_committed(session, STATUS_OK, mid);
    }
    settle_bounce(m, STATUS_OK);
    post_items(m);
}

static void not_committed(struct gateway_message *m)
{
    struct gateway_inbound *session = m->session;
    uint64_t mid = spool_message_mid(m->spool);

    observe_mid_aborted(m->home->log, gateway_worker_now_s(m->home), mid,
                        SLICE("Spool write failed"));
    settle_bounce(m, m->ticket.status);
    if (session != NULL)
        gateway_inbound_committed(session, m->ticket.status, mid);
    if (spool_message_body_in_file(m->spool))
        gateway_body_unlink(m->home, mid);
    gateway_message_destroy(m);
}

void gateway_message_ticket_back(struct spool_ticket *ticket)
{
    struct gateway_message *m = CONTAINER_OF(ticket, struct gateway_message, ticket);

    if (ticket->kind == SPOOL_TICKET_DONE) {
        if (ticket->status == STATUS_OK)
            gateway_body_unlink(m->home, spool_message_mid(m->spool));
        gateway_message_destroy(m);
        return;
    }
    if (ticket->status == STATUS_OK)
        committed(m);
    else
        not_committed(m);
}

void gateway_message_forget_session(struct gateway_message *m)
{
    m->session = NULL;
}

/* --- reports --------------------------------------------------------------------------------- */

/* Whether it counts only when the sender has been told. */
static bool waits_for_notice(const struct gateway_verdict *v)
{
    return v->notice == GATEWAY_NOTICE_FAILED || v->notice == GATEWAY_NOTICE_DELAYED;
}

/* Records the verdicts that wait for the notice, or all others. */
static void record(struct gateway_message *m, const struct gateway_report *report, bool is_told)
{
    for (unsigned i = 0; i < report->verdicts_count; i++) {
        const struct gateway_verdict *v = &report->verdicts[i];

        if (waits_for_notice(v) == is_told &&
            !(v->notice == GATEWAY_NOTICE_DELAYED && v->is_silent))
            gateway_store_results(&m->home->store, spool_message_mid(m->spool), &v->result, 1);
    }
}

static void count_results(struct gateway_worker *w, const struct gateway_report *report)
{
    for (unsigned i = 0; i < report->verdicts_count; i++) {
        if (report->verdicts[i].notice == GATEWAY_NOTICE_DELAYED)
            continue; /* its deferral was reported before */
        switch (report->verdicts[i].result.state) {
        case SPOOL_RESULT_WAITING: break;
        case SPOOL_RESULT_DELIVERED:
            observe_count(&w->counters, OBSERVE_RECIPIENTS_DELIVERED, 1);
            break;
        case SPOOL_RESULT_DEFERRED:
            observe_count(&w->counters, OBSERVE_RECIPIENTS_DEFERRED, 1);
            break;
        case SPOOL_RESULT_BOUNCED:
            observe_count(&w->counters, OBSERVE_RECIPIENTS_BOUNCED, 1);
            break;
        }
    }
}

static bool has_notices(const struct gateway_report *report)
{
    for (unsigned i = 0; i < report->verdicts_count; i++)
        if (report->verdicts[i].notice != GATEWAY_NOTICE_NONE)
            return true;
    return false;
}

void gateway_message_bounced(struct gateway_message *m, struct gateway_report *report)
{
    ASSERT(m->bounces_open > 0);
    m->bounces_open--;
    record(m, report, true);
    gateway_report_destroy(report);
    finish_if_over(m);
}

void gateway_message_reported(struct gateway_message *m, struct gateway_report *report)
{
    if (report->item_ended) {
        ASSERT(m->items_open > 0);
        m->items_open--;
    }
    count_results(m->home, report);
    /* When the whole message is over, its DONE says all there is to say. */
    if (m->items_open > 0 || m->bounces_open > 0 || has_notices(report))
        record(m, report, false);
    if (has_notices(report)) {
        m->bounces_open++;
        gateway_bounce_start(m, report);
        return;
    }
    gateway_report_destroy(report);
    finish_if_over(m);
}
