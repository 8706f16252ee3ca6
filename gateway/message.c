#include "gateway/message.h"

#include "base/pool.h"
#include "gateway/body.h"
#include "gateway/bounce.h"
#include "gateway/compaction.h"
#include "gateway/inbound.h"
#include "gateway/message_make.h"
#include "gateway/shelf.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

void gateway_message_destroy(struct gateway_message *m)
{
    gateway_shelf_leave(m);
    atomic_fetch_sub(&m->home->process->queue_bytes, gateway_message_own_bytes(m));
    atomic_fetch_sub(&m->home->process->body_bytes, gateway_message_file_bytes(m));
    if (m->errand != NULL)
        gateway_report_destroy(m->errand->bounce_report);
    for (unsigned i = 0; i < m->items_count; i++)
        gateway_item_finish(&m->items[i]);
    gateway_message_unmake(m);
}

struct gateway_known *gateway_message_known(const struct gateway_message *m)
{
    return (struct gateway_known *)&m->items[m->items_count];
}

uint32_t *gateway_message_warned_wall_s(const struct gateway_message *m)
{
    return (uint32_t *)(gateway_message_known(m) + m->recipients_count);
}

uint16_t *gateway_message_rids(const struct gateway_message *m)
{
    return (uint16_t *)(gateway_message_warned_wall_s(m) + m->items_count);
}

struct slice gateway_message_listener(const struct gateway_message *m)
{
    return m->items_count > 0 ? gateway_lane_listener(m->items[0].lane) : (struct slice){ 0 };
}

uint64_t gateway_message_size(const struct gateway_message *m)
{
    return m->record_text_bytes + gateway_message_file_bytes(m);
}

enum status gateway_message_begin_errand(struct gateway_message *m)
{
    ASSERT(m->errand == NULL);
    m->errand = pool_take_zeroed(sizeof(*m->errand));
    if (m->errand == NULL)
        return STATUS_NO_MEMORY;
    m->errand->message = m;
    return STATUS_OK;
}

void gateway_message_end_errand(struct gateway_message *m)
{
    struct gateway_errand *errand = m->errand;

    ASSERT(errand->session == NULL && errand->bounce_of == NULL);
    errand->is_move = false;
    if (errand->file_bytes > 0)
        return; /* for the end */
    m->errand = NULL;
    pool_give(errand, sizeof(*errand));
}

/* Takes spool; gone on failure. The caller holds it. */
static enum status message_create(struct gateway_worker *home, struct spool_message *spool,
                                  struct gateway_message **message_out)
{
    struct gateway_message *m = gateway_message_make(
        &home->lanes, spool, slice_from(gateway_view_settings(home->view)->hostname));

    if (m == NULL) {
        spool_message_destroy(spool);
        return STATUS_NO_MEMORY;
    }
    m->home = home;
    gateway_shelf_enter(m, spool);
    atomic_fetch_add(&home->process->queue_bytes, gateway_message_own_bytes(m));
    atomic_fetch_add(&home->process->body_bytes, gateway_message_file_bytes(m));
    *message_out = m;
    return STATUS_OK;
}

static enum status commit(struct gateway_worker *home, struct spool_draft *draft,
                          struct spool_reservation *reservation,
                          struct gateway_message **message_out)
{
    struct spool_message *spool = spool_draft_complete(draft);
    struct gateway_message *m;
    enum status status;

    TRY(message_create(home, spool, &m));
    status = m->errand == NULL ? gateway_message_begin_errand(m) : STATUS_OK;
    if (status == STATUS_OK)
        status = gateway_store_append(&home->store, spool, reservation, &m->errand->ticket);
    if (status != STATUS_OK) {
        gateway_message_destroy(m);
        return status;
    }
    *message_out = m;
    return STATUS_OK;
}

void gateway_message_note_content(struct spool_draft *draft, const struct smtp_body *facts)
{
    spool_draft_set_content(draft, &(struct spool_content){
                                       .has_8bit = facts->has_8bit,
                                       .has_8bit_header = facts->has_8bit_header,
                                       .dots_count = facts->dots_count,
                                   });
    if (smtp_tls_required_is_no(&facts->tls_required))
        spool_draft_set_tls_optional(draft);
}

void gateway_message_look(struct spool_draft *draft)
{
    struct smtp_body facts;

    if (smtp_body_look(spool_draft_body_so_far(draft), &facts))
        gateway_message_note_content(draft, &facts);
}

enum status gateway_message_commit(struct gateway_worker *home, struct spool_draft *draft,
                                   struct spool_reservation *reservation,
                                   struct gateway_inbound *session)
{
    struct gateway_message *m;

    TRY(commit(home, draft, reservation, &m));
    observe_count(&home->counters, OBSERVE_BYTES_RECEIVED, spool_message_size(m->spool));
    observe_mid_ready(home->log, gateway_worker_now_s(home), m->mid, spool_message_size(m->spool),
                      spool_message_sender(m->spool));
    m->errand->session = session;
    if (session != NULL)
        gateway_inbound_commits(session, m);
    return STATUS_OK;
}

enum status gateway_message_commit_bounce(struct gateway_worker *home, struct spool_draft *draft,
                                          struct gateway_message *m, struct gateway_report *report)
{
    struct gateway_message *bounce;

    TRY(commit(home, draft, NULL, &bounce));
    bounce->errand->bounce_of = m;
    bounce->errand->bounce_report = report;
    return STATUS_OK;
}

bool gateway_message_is_over(const struct gateway_message *m)
{
    return m->open_count == 0;
}

static void finish_if_over(struct gateway_message *m)
{
    struct gateway_worker *w = m->home;

    /* While it is moved its ticket is in use, and its place not certain. */
    if (!gateway_message_is_over(m) || gateway_message_is_moved(m))
        return;
    w->living_bytes -= m->location.bytes;
    observe_mid_finished(w->log, gateway_worker_now_s(w), m->mid);
    /* One that is aside is not struck out, and its body stays: should a start be able to read it
     * before its segment has gone, all of it is there again. */
    if (!m->is_aside)
        gateway_store_done(&w->store, m->mid, &m->location,
                           gateway_message_file_bytes(m) > 0 ? &m->errand->ticket : NULL);
    /* Behind the DONE: who sees that the message is gone sees that its DONE waits. */
    observe_count(&w->counters, OBSERVE_MESSAGES_FINISHED, 1);
    observe_uncount(&w->counters, OBSERVE_MESSAGES_NOW, 1);
    if (gateway_message_file_bytes(m) == 0 || m->is_aside)
        gateway_message_destroy(m);
    /* Else the file goes when the DONE is durable: gateway_message_ticket_back(). */
}

static void deliver_item(struct engine_loop *here, struct engine_message *post)
{
    struct gateway_item *item = CONTAINER_OF(post, struct gateway_item, post);

    ASSERT(item->lane->owner->loop == here);
    item->delivery = (struct delivery_item){ 0 };
    gateway_dispatch_arrive(&item->lane->owner->dispatch, item);
}

static void post_items(struct gateway_message *m)
{
    unsigned count = m->items_count;

    /* While we stop, the mail stays in the spool: the other worker may be gone already. */
    if (gateway_worker_is_stopping(m->home))
        return;
    for (unsigned i = 0; i < count; i++) {
        struct gateway_item *item = &m->items[i];

        if (item->waiting_count == 0)
            continue; /* over before this start */
        item->post = (struct engine_message){ .deliver = deliver_item };
        engine_mailbox_post(item->lane->owner->loop, m->home->loop, &item->post);
    }
}

void gateway_message_start(struct gateway_message *m)
{
    observe_count(&m->home->counters, OBSERVE_MESSAGES_NOW, 1);
    if (gateway_message_is_over(m))
        finish_if_over(m);
    else
        post_items(m);
}

/* Tells the message whose bounce m is, if it is one, what became of it. */
static void settle_bounce(struct gateway_message *m, enum status status)
{
    struct gateway_message *original = m->errand->bounce_of;
    struct gateway_report *report = m->errand->bounce_report;

    if (original == NULL)
        return;
    m->errand->bounce_of = NULL;
    m->errand->bounce_report = NULL;
    if (status == STATUS_OK)
        gateway_bounce_committed(original, report);
    else
        gateway_bounce_retry(original, report);
}

/* The message is on stable storage: from here on it is ours, whatever happens. */
static void committed(struct gateway_message *m)
{
    struct gateway_worker *w = m->home;
    struct gateway_inbound *session = m->errand->session;
    uint64_t mid = m->mid;
    time_t now_s = gateway_worker_now_s(w);

    m->location = m->errand->ticket.location;
    w->living_bytes += m->location.bytes;
    observe_count(&w->counters, OBSERVE_MESSAGES_NOW, 1);
    observe_mid_queued(w->log, now_s, mid);
    m->errand->session = NULL;
    if (session != NULL)
        gateway_inbound_committed(session, STATUS_OK, mid);
    settle_bounce(m, STATUS_OK);
    gateway_message_end_errand(m);
    post_items(m);
    gateway_message_let_go(m);
    gateway_shelf_check(w);
}

static void not_committed(struct gateway_message *m)
{
    struct gateway_errand *errand = m->errand;
    struct gateway_inbound *session = errand->session;
    uint64_t mid = m->mid;

    observe_mid_aborted(m->home->log, gateway_worker_now_s(m->home), mid,
                        SLICE("Spool write failed"));
    settle_bounce(m, errand->ticket.status);
    errand->session = NULL;
    if (session != NULL)
        gateway_inbound_committed(session, errand->ticket.status, mid);
    /* The record may be whole on the disk all the same. It is struck out, so that no later start
     * sends what was answered 451, or looks for its body. */
    if (errand->file_bytes > 0) {
        gateway_store_done(&m->home->store, mid, NULL, &errand->ticket);
        return; /* as in finish_if_over() */
    }
    gateway_store_done(&m->home->store, mid, NULL, NULL);
    gateway_message_destroy(m);
}

void gateway_message_ticket_back(struct spool_ticket *ticket)
{
    struct gateway_message *m = CONTAINER_OF(ticket, struct gateway_errand, ticket)->message;

    if (gateway_message_is_moved(m)) {
        gateway_compaction_ticket_back(m);
        return;
    }
    if (ticket->kind == SPOOL_TICKET_DONE) {
        if (ticket->status == STATUS_OK)
            gateway_body_unlink(m->home, m->mid);
        gateway_message_destroy(m);
        return;
    }
    if (ticket->status == STATUS_OK)
        committed(m);
    else
        not_committed(m);
}

void gateway_message_moved(struct gateway_message *m)
{
    finish_if_over(m);
}

void gateway_message_forget_session(struct gateway_message *m)
{
    m->errand->session = NULL; /* that has not been answered: it is on its way */
}

/* --- reports --------------------------------------------------------------------------------- */

/* Whether it counts only when the sender has been told. */
static bool waits_for_notice(const struct gateway_verdict *v)
{
    return v->notice == GATEWAY_NOTICE_FAILED || v->notice == GATEWAY_NOTICE_DELAYED;
}

/* Recorded, and kept here as well, for compaction, which has to say it again. */
static void record_result(struct gateway_message *m, const struct spool_result *result)
{
    gateway_store_results(&m->home->store, m->mid, result, 1);
    gateway_known_merge(&gateway_message_known(m)[result->rid], result);
}

/* Records the verdicts that wait for the notice, or all others. */
static void record(struct gateway_message *m, const struct gateway_report *report, bool is_told)
{
    for (unsigned i = 0; i < report->verdicts_count; i++) {
        const struct gateway_verdict *v = &report->verdicts[i];

        if (m->is_aside && v->result.state != SPOOL_RESULT_DELIVERED)
            continue; /* as in finish_if_over() */
        if (waits_for_notice(v) == is_told &&
            !(v->notice == GATEWAY_NOTICE_DELAYED && v->is_silent)) {
            record_result(m, &v->result);
            if (v->result.warned_wall_s > 0)
                *gateway_item_warned_wall_s(report->item) = v->result.warned_wall_s;
        }
    }
}

static void count_results(struct gateway_worker *w, const struct gateway_report *report)
{
    for (unsigned i = 0; i < report->verdicts_count && !report->is_word; i++) {
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
        case SPOOL_RESULT_DELETED:
            observe_count(&w->counters, OBSERVE_RECIPIENTS_DELETED, 1);
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

static void end_bounce(struct gateway_message *m, struct gateway_report *report)
{
    ASSERT(m->open_count > 0);
    m->open_count--;
    record(m, report, true);
    gateway_report_destroy(report);
    finish_if_over(m);
}

void gateway_message_bounced(struct gateway_message *m, struct gateway_report *report)
{
    gateway_message_let_go(m);
    end_bounce(m, report);
}

void gateway_message_not_told(struct gateway_message *m, struct gateway_report *report)
{
    observe_log_line(m->home->log, OBSERVE_CRITICAL, gateway_worker_now_s(m->home),
                     "MID %llu: the sender cannot be told of %u recipients: it cannot be read",
                     (unsigned long long)m->mid, report->verdicts_count);
    end_bounce(m, report);
}

/* When the whole message is over, its DONE says all there is to say. While it is moved that has to
 * wait, and others do not: who deletes mail hears that it is durable. */
static bool is_to_be_said(const struct gateway_message *m)
{
    return m->open_count > 0 || gateway_message_is_moved(m);
}

void gateway_message_reported(struct gateway_message *m, struct gateway_report *report)
{
    if (report->item_ended) {
        ASSERT(m->open_count > 0);
        m->open_count--;
    }
    count_results(m->home, report);
    if (is_to_be_said(m) || has_notices(report))
        record(m, report, false);
    if (has_notices(report)) {
        m->open_count++;
        gateway_shelf_begin_bounce(m, report);
        return;
    }
    gateway_report_destroy(report);
    finish_if_over(m);
}

void gateway_message_delivered(struct gateway_item *item)
{
    struct gateway_message *m = gateway_item_message(item);

    ASSERT(m->open_count > 0);
    m->open_count--;
    observe_count(&m->home->counters, OBSERVE_RECIPIENTS_DELIVERED, item->delivered.count);
    for (unsigned i = 0; is_to_be_said(m) && i < item->delivered.count; i++)
        record_result(m, &(struct spool_result){ .rid = gateway_item_waiting(item)[i],
                                                 .state = SPOOL_RESULT_DELIVERED,
                                                 .attempts = item->delivered.attempts });
    finish_if_over(m);
}
