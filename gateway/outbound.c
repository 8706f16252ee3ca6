#include "gateway/outbound.h"

#include <stdio.h>

#include "base/pool.h"
#include "gateway/alert_sources.h"
#include "gateway/connect_failure.h"
#include "gateway/item_report.h"
#include "gateway/kernel_tls.h"
#include "gateway/outbound_item.h"
#include "gateway/outbound_log.h"
#include "gateway/outbound_report.h"
#include "gateway/outbound_tls.h"
#include "gateway/outbound_trouble.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static struct gateway_outbound *outbound_of(struct gateway_hop *h)
{
    return CONTAINER_OF(h, struct gateway_outbound, hop);
}

static struct delivery_scheduler *scheduler_of(const struct gateway_outbound *out)
{
    return out->worker->dispatch.scheduler;
}

/* The time for what the peer owes. A body in one piece gets a second more for each KiB of it. */
static void set_time(struct gateway_outbound *out)
{
    uint64_t more_ms = 0;

    if (out->is_body_leaving && out->item != NULL && gateway_outbound_body_is_one_piece(out))
        more_ms = spool_message_body_bytes(gateway_item_message(out->item)->spool);
    gateway_hop_set_time(&out->hop, more_ms);
}

/* The one place that assigns the state. */
static void enter(struct gateway_outbound *out, enum gateway_outbound_state next)
{
    ASSERT(out->state != GATEWAY_OUTBOUND_CLOSING);
    out->state = next;
}

/* --- the end --------------------------------------------------------------------------------- */

static void give_back(struct gateway_outbound *out)
{
    struct gateway_item *item = out->borrowed;

    out->borrowed = NULL;
    if (item == NULL)
        return;
    gateway_message_let_go(gateway_item_message(item));
    gateway_item_give_back(item, out->worker->loop);
}

/* The message on its way from the disk is for another connection. */
static void give_up_fetch(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;

    if (out->fetching == NULL)
        return;
    gateway_item_forget_fetch(out->fetching);
    out->fetching = NULL;
    delivery_item_returned(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery,
                           gateway_worker_random(w));
}

/* Tells the scheduler, once, that the connection is over. What the kernel may still be sending from
 * stays until `closed`. */
static void leave(struct gateway_outbound *out, enum delivery_failure why)
{
    struct gateway_worker *w = out->worker;
    uint64_t now_ms = gateway_worker_now_ms(w);

    if (out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    ASSERT(out->item == NULL);
    give_up_fetch(out);
    out->is_body_leaving = false;
    gateway_hop_tls_finish(&out->tls); /* before the PTR can come for a hop that is left */
    if (out->state != GATEWAY_OUTBOUND_OPENING)
        delivery_connection_closed(scheduler_of(out), now_ms, &out->delivery, why,
                                   gateway_worker_random(w));
    else
        delivery_connection_failed(scheduler_of(out), now_ms, &out->delivery,
                                   why != DELIVERY_FAILURE_NONE ? why : DELIVERY_FAILURE_LOCAL,
                                   gateway_worker_random(w));
    enter(out, GATEWAY_OUTBOUND_CLOSING);
    gateway_dispatch_run_soon(&w->dispatch);
}

/* Our own doing. */
static void give_up(struct gateway_outbound *out, enum delivery_failure why)
{
    leave(out, why);
    gateway_hop_reset(&out->hop);
}

static void on_closed(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);
    struct gateway_worker *w = out->worker;

    ASSERT(out->state == GATEWAY_OUTBOUND_CLOSING);
    give_back(out);
    gateway_body_source_release(out->source);
    gateway_outbound_body_finish(&out->body);
    if (out->is_announced)
        observe_dcid_close(w->log, gateway_worker_now_s(w), out->dcid);
    observe_uncount(&w->counters, OBSERVE_CONNECTIONS_OUT_NOW, 1);
    gateway_next_hops_release(out->hops);
    gateway_view_release(out->view);
    list_remove(&out->node);
    pool_give(out, sizeof(*out));
    gateway_worker_check_drained(w);
}

/* The session is of no use any more: what was under way is tried again, or is in doubt. */
static void end_by_event(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    enum delivery_failure why = gateway_outbound_failure(event);
    enum delivery_stage stage =
        event->in_doubt ? DELIVERY_STAGE_FINAL : gateway_outbound_stage(event->stage);
    struct delivery_outcome outcome;

    gateway_outbound_log_failure(out, event);
    if (gateway_outbound_body_is_unanswered(out, event))
        gateway_outbound_body_give_up_bdat(out);
    if (out->item != NULL && out->sent_any && !out->heard_of_item &&
        event->failure == SMTP_CLIENT_FAILURE_ENDED && !event->in_doubt) {
        gateway_outbound_item_return(out); /* closed while it was idle */
    } else if (out->item != NULL && why == DELIVERY_FAILURE_LOCAL && !event->in_doubt) {
        gateway_outbound_item_postpone(out);
    } else if (out->item != NULL) {
        outcome = gateway_outbound_classify(stage, &event->reply);
        if (outcome.verdict == DELIVERY_VERDICT_DELIVERED)
            delivery_outcome_for(DELIVERY_CAUSE_LOCAL, &outcome);
        gateway_outbound_item_end(out, &outcome, &event->reply, false);
    }
    gateway_outbound_note_trouble(out, why, &event->reply);
    leave(out, why);
}

/* At once, if it will be known then: else it would come to the same. */
static void leave_for_other_way(struct gateway_outbound *out, struct gateway_host_marks *marks)
{
    bool is_noted = gateway_host_marks_add(marks, gateway_worker_now_ms(out->worker), &out->remote);

    leave(out, is_noted ? DELIVERY_FAILURE_OTHER_WAY : DELIVERY_FAILURE_LOCAL);
}

/* The host is not blamed where another try, in another way, is worth it. */
static void end_by_tls(struct gateway_outbound *out, const struct gateway_hop_end *end)
{
    gateway_outbound_report_failed(out, end->how);
    if (end->how == POLICY_TLS_HANDSHAKE_FAILED && gateway_hop_tls_may_be_cured(&out->tls)) {
        leave_for_other_way(out, &out->worker->classic);
    } else if (end->action == POLICY_TLS_TRY_CLEAR) {
        leave_for_other_way(out, &out->worker->cleared);
    } else {
        gateway_outbound_tls_denied(out);
        gateway_outbound_note_trouble(out, DELIVERY_FAILURE_TLS, NULL);
        leave(out, DELIVERY_FAILURE_TLS);
    }
}

/* The peer has gone, or says goodbye, in place of an answer to STARTTLS. */
static void end_without_tls(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    (void)snprintf(out->tls_trouble, sizeof(out->tls_trouble), "STARTTLS was not answered: %s",
                   smtp_client_failure_text(event->failure));
    gateway_outbound_report_failed(out, POLICY_TLS_REFUSED);
    if (!out->host->demand.is_required) {
        end_by_event(out, event);
        return;
    }
    gateway_outbound_log_failure(out, event);
    gateway_outbound_tls_denied(out);
    gateway_outbound_note_trouble(out, DELIVERY_FAILURE_TLS, NULL);
    leave(out, DELIVERY_FAILURE_TLS);
}

static void note_end(struct gateway_outbound *out)
{
    const struct tls_session *tls = gateway_channel_tls(&out->hop.channel);
    uint64_t now_ms = gateway_worker_now_ms(out->worker);

    if (tls == NULL)
        return;
    if (tls_session_ending(tls) != NULL)
        (void)gateway_host_marks_add(&out->worker->shunned, now_ms, &out->remote);
    gateway_kernel_tls_tell_end(out->worker, "DCID", out->dcid, tls);
}

static void on_failed(struct gateway_hop *h, const struct gateway_hop_end *end)
{
    struct gateway_outbound *out = outbound_of(h);
    enum delivery_failure why;

    switch (end->kind) {
    case GATEWAY_HOP_END_QUIT:
        note_end(out);
        leave(out, DELIVERY_FAILURE_NONE);
        break;
    case GATEWAY_HOP_END_CONNECT:
        gateway_outbound_log_connect(out, end->error);
        why = gateway_connect_failure(end->error, ip_is_v4(&out->remote.address));
        gateway_outbound_note_trouble(out, why, NULL);
        leave(out, why);
        break;
    case GATEWAY_HOP_END_TLS: end_by_tls(out, end); break;
    case GATEWAY_HOP_END_SMTP:
        note_end(out);
        if (end->was_securing)
            end_without_tls(out, &end->event);
        else
            end_by_event(out, &end->event);
        break;
    }
}

static void quit(struct gateway_outbound *out)
{
    give_up_fetch(out);
    enter(out, GATEWAY_OUTBOUND_QUITTING);
    gateway_hop_quit(&out->hop);
}

/* --- messages -------------------------------------------------------------------------------- */

/* The message of the item is held. */
static void deliver(struct gateway_outbound *out, struct gateway_item *item)
{
    struct gateway_worker *w = out->worker;
    struct smtp_client_event event;

    enter(out, GATEWAY_OUTBOUND_SENDING);
    if (gateway_outbound_item_begin(out, item) != STATUS_OK) {
        delivery_item_postponed(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery);
        give_up(out, DELIVERY_FAILURE_LOCAL);
        return;
    }
    if (out->is_to_report && (spool_message_flags(gateway_item_message(out->item)->spool) &
                              SPOOL_MESSAGE_TLS_OPTIONAL) == 0) {
        out->is_to_report = false;
        gateway_outbound_report(out);
    }
    if (!gateway_outbound_item_is_barred(out, &event))
        event = smtp_client_send(&out->hop.smtp, &out->envelope,
                                 gateway_channel_output(&out->hop.channel));
    set_time(out);
    gateway_hop_go(&out->hop, &event);
}

static void deliver_or_fetch(struct gateway_outbound *out, struct gateway_item *item)
{
    if (gateway_message_hold(gateway_item_message(item))) {
        deliver(out, item);
        return;
    }
    enter(out, GATEWAY_OUTBOUND_FETCHING);
    gateway_hop_set_time(&out->hop, GATEWAY_OUTBOUND_FETCH_MS);
    out->fetching = item;
    if (gateway_item_fetch(item, out->worker->loop, out) == STATUS_OK)
        return;
    out->fetching = NULL;
    delivery_item_postponed(scheduler_of(out), gateway_worker_now_ms(out->worker), &out->delivery);
    give_up(out, DELIVERY_FAILURE_LOCAL);
}

static void take(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;
    struct delivery_item *item;

    /* A connection of an older configuration went to the hosts, and has the TLS, of that one. */
    if (gateway_worker_is_stopping(w) || out->view != w->view) {
        quit(out);
        return;
    }
    switch (delivery_connection_take(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery,
                                     &item)) {
    case DELIVERY_TAKE_ITEM:
        deliver_or_fetch(out, CONTAINER_OF(item, struct gateway_item, delivery));
        break;
    case DELIVERY_TAKE_IDLE:
        enter(out, GATEWAY_OUTBOUND_IDLE);
        gateway_hop_set_time(&out->hop, GATEWAY_OUTBOUND_IDLE_MS);
        break;
    case DELIVERY_TAKE_CLOSE: quit(out); break;
    }
    gateway_dispatch_run_soon(&w->dispatch);
}

/* It is in the quarantine, and its home has said so. False: no memory. */
static bool end_lost(struct gateway_outbound *out, struct gateway_item *item)
{
    struct gateway_worker *w = out->worker;
    struct gateway_report *report;

    if (gateway_report_create(item, item->waiting_count, &report) != STATUS_OK)
        return false;
    gateway_item_delete(w, item, report);
    delivery_item_done(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery);
    gateway_report_post(report, w->loop, true);
    return true;
}

/* What cannot be read is tried again when its time has come, like what a host defers. */
void gateway_outbound_fetched(struct gateway_outbound *out, struct gateway_item *item,
                              enum status status)
{
    struct gateway_worker *w = out->worker;

    ASSERT(out->state == GATEWAY_OUTBOUND_FETCHING && out->fetching == item);
    if (status == STATUS_OK && !gateway_worker_is_stopping(w) && out->view == w->view) {
        out->fetching = NULL;
        deliver(out, item);
        return;
    }
    if (status == STATUS_OK) {
        gateway_message_let_go(gateway_item_message(item));
        give_up_fetch(out);
    } else if (status == STATUS_NO_MEMORY) {
        delivery_item_postponed(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery);
    } else if (status != STATUS_NOT_FOUND || !end_lost(out, item)) {
        delivery_item_deferred(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery,
                               item->waiting_count, gateway_worker_random(w));
    }
    out->fetching = NULL;
    enter(out, GATEWAY_OUTBOUND_IDLE);
    take(out);
}

void gateway_outbound_wake(struct delivery_connection *connection)
{
    struct gateway_outbound *out = CONTAINER_OF(connection, struct gateway_outbound, delivery);

    if (out->state == GATEWAY_OUTBOUND_IDLE)
        take(out);
}

static void body_complete(struct gateway_outbound *out)
{
    struct smtp_client_event event;

    out->is_body_leaving = false;
    give_back(out);
    event = smtp_client_body_sent(&out->hop.smtp, gateway_channel_output(&out->hop.channel));
    set_time(out);
    gateway_hop_go(&out->hop, &event);
}

/* Its body cannot be read, and may be so for long: as if the host had not taken it. */
static void defer_item(struct gateway_outbound *out)
{
    const struct smtp_reply none = { 0 };
    struct delivery_outcome outcome;

    delivery_outcome_for(DELIVERY_CAUSE_LOCAL, &outcome);
    gateway_outbound_item_end(out, &outcome, &none, false);
}

/* We cannot say what we were to say: nothing is wrong with the host, and nothing was accepted. */
static void fail_body(struct gateway_outbound *out)
{
    const struct smtp_client_event event = { .kind = SMTP_CLIENT_FAILED,
                                             .stage = SMTP_CLIENT_STAGE_BODY,
                                             .failure = SMTP_CLIENT_FAILURE_NO_MEMORY };

    end_by_event(out, &event);
    gateway_hop_reset(&out->hop);
}

static void body_step(struct gateway_outbound *out, enum gateway_body_step step)
{
    switch (step) {
    case GATEWAY_BODY_LEAVING: break;
    case GATEWAY_BODY_COMPLETE: body_complete(out); break;
    case GATEWAY_BODY_FAILED: fail_body(out); break;
    }
}

static void send_body(struct gateway_outbound *out, bool by_bdat)
{
    enum gateway_body_step step = gateway_outbound_body_start(out, by_bdat);

    out->is_body_leaving = step == GATEWAY_BODY_LEAVING;
    body_step(out, step);
}

void gateway_outbound_chunk(struct gateway_outbound *out, enum status status, struct slice chunk)
{
    if (out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    if (status != STATUS_OK) {
        char what[64];

        (void)snprintf(what, sizeof(what), "has a body file that cannot be read: %s",
                       status_text(status));
        gateway_alert_unreadable(out->worker, gateway_item_message(out->item)->mid, what);
        if (status != STATUS_NO_MEMORY)
            defer_item(out);
        fail_body(out);
        return;
    }
    set_time(out);
    body_step(out, gateway_outbound_body_piece(out, chunk));
}

static void on_drained(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);

    if (out->state != GATEWAY_OUTBOUND_SENDING || !out->is_body_leaving)
        return;
    set_time(out);
    body_step(out, gateway_outbound_body_go_on(out));
}

/* What this host lacks another one of the domain may have: REQUIRETLS (RFC 8689 4.2.1 demands that
 * each is asked), 8BITMIME, SMTPUTF8, room. What has gone over this connection before says nothing
 * of the others, so that a new one begins the search; true: it is under way. */
static bool seek_able_host(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    if (out->hops->endpoints_count <= 1)
        return false;
    if (out->sent_any) {
        gateway_outbound_item_return(out);
        quit(out);
        return true;
    }
    if (!gateway_outbound_item_next_host(out, &event->reply))
        return false;
    out->sent_any = true;
    take(out);
    return true;
}

static void message_done(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    struct delivery_outcome outcome =
        gateway_outbound_classify(gateway_outbound_stage(event->stage), &event->reply);

    if (event->stage == SMTP_CLIENT_STAGE_LOCAL && seek_able_host(out, event))
        return;
    if (gateway_outbound_body_is_unanswered(out, event)) {
        gateway_outbound_body_give_up_bdat(out);
        gateway_outbound_item_return(out);
        quit(out);
        return;
    }
    out->sent_any = true;
    if (outcome.verdict == DELIVERY_VERDICT_DELIVERED &&
        event->stage != SMTP_CLIENT_STAGE_FINAL) /* nothing was accepted */
        delivery_outcome_for(DELIVERY_CAUSE_LOCAL, &outcome);
    if (outcome.verdict == DELIVERY_VERDICT_DEFERRED && outcome.about_host &&
        gateway_outbound_item_next_host(out, &event->reply)) {
        take(out);
        return;
    }
    gateway_outbound_item_hold_back(out, event->recipients_sent);
    gateway_outbound_item_end(out, &outcome, &event->reply,
                              event->stage == SMTP_CLIENT_STAGE_LOCAL);
    take(out);
}

/* --- the hop --------------------------------------------------------------------------------- */

static void on_connected(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);

    gateway_outbound_log_new(out);
    out->is_announced = true;
    gateway_hop_tls_start(&out->tls, &out->remote);
}

static void on_opened(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);
    const struct smtp_client_capabilities *can = smtp_client_capabilities(&h->smtp);

    delivery_connection_opened(scheduler_of(out), gateway_worker_now_ms(out->worker),
                               &out->delivery);
    if (can->mails_max > 0)
        delivery_connection_limit(&out->delivery, can->mails_max);
    if (can->recipients_max > 0)
        delivery_connection_limit_recipients(&out->delivery, can->recipients_max);
    enter(out, GATEWAY_OUTBOUND_IDLE);
    if (out->hop.options.demand.is_wanted)
        out->is_to_report = true;
    /* Also where TLS is not demanded any more: there is nothing left that fails. Mail that may go
     * without says nothing of the rest. */
    if (!out->hops->is_tls_optional)
        gateway_alert_tls_recovered(out->worker,
                                    delivery_destination_domain(out->delivery.destination));
    take(out);
}

static void on_event(struct gateway_hop *h, const struct smtp_client_event *event)
{
    struct gateway_outbound *out = outbound_of(h);

    if (event->kind == SMTP_CLIENT_RECIPIENT) {
        gateway_outbound_item_recipient(out, event->recipient, &event->reply);
        set_time(out);
    } else if (event->kind == SMTP_CLIENT_BODY_WANTED) {
        out->heard_of_item = true;
        send_body(out, event->by_bdat);
    } else {
        message_done(out, event);
    }
}

static void on_settled(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);

    gateway_kernel_tls_tell(out->worker, "DCID", out->dcid, gateway_channel_tls(&h->channel));
}

static void on_idle(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);

    if (out->state == GATEWAY_OUTBOUND_IDLE || out->state == GATEWAY_OUTBOUND_FETCHING)
        quit(out);
}

static const struct gateway_hop_handlers hop_handlers = {
    .connected = on_connected,
    .refused = gateway_outbound_tls_refused,
    .session = gateway_outbound_tls_session,
    .unsecured = gateway_outbound_tls_failed,
    .secured = gateway_outbound_tls_secured,
    .judge_now = gateway_outbound_tls_judge_now,
    .settled = on_settled,
    .opened = on_opened,
    .event = on_event,
    .drained = on_drained,
    .idle = on_idle,
    .failed = on_failed,
    .closed = on_closed,
};

void gateway_outbound_stop(struct gateway_outbound *out)
{
    if (out->state == GATEWAY_OUTBOUND_IDLE || out->state == GATEWAY_OUTBOUND_FETCHING)
        quit(out);
    else if (out->state == GATEWAY_OUTBOUND_OPENING)
        give_up(out, DELIVERY_FAILURE_LOCAL);
}

void gateway_outbound_reset(struct gateway_outbound *out)
{
    if (out->item != NULL)
        gateway_outbound_item_return(out);
    if (out->state != GATEWAY_OUTBOUND_CLOSING)
        leave(out, DELIVERY_FAILURE_LOCAL);
    gateway_hop_reset(&out->hop);
}

enum status gateway_outbound_open(struct gateway_worker *worker,
                                  const struct delivery_action *connect)
{
    struct gateway_outbound *out = pool_take_zeroed(sizeof(*out));
    struct slice domain = delivery_destination_domain(connect->destination);
    struct gateway_hop_options options = { 0 };
    uint64_t now_ms = gateway_worker_now_ms(worker);

    if (out == NULL)
        return STATUS_NO_MEMORY;
    out->worker = worker;
    out->view = gateway_view_acquire(worker->view);
    out->policy = policy_destination_find(gateway_view_policy(out->view), domain);
    out->hops = gateway_next_hops_acquire(gateway_dispatch_hops(connect->destination));
    out->host = gateway_next_hops_host(out->hops, connect->endpoint);
    out->remote = connect->address;
    out->state = GATEWAY_OUTBOUND_OPENING;
    gateway_outbound_body_init(&out->body);
    out->dcid = spool_ids_take(&worker->process->ids, SPOOL_ID_DCID);
    list_append(&worker->outbound, &out->node);
    observe_count(&worker->counters, OBSERVE_CONNECTIONS_OUT, 1);
    observe_count(&worker->counters, OBSERVE_CONNECTIONS_OUT_NOW, 1);
    delivery_connection_start(worker->dispatch.scheduler, now_ms, &out->delivery, connect);
    gateway_hop_tls_init(&out->tls, worker, out->view, out->policy, domain, out->hops, out->host);
    options.remote = out->remote;
    options.hostname = slice_from(gateway_view_settings(out->view)->hostname);
    options.demand = out->host->demand;
    if (options.demand.may_fall_back &&
        gateway_host_marks_take(&worker->cleared, now_ms, &out->remote))
        options.demand.is_wanted = false;
    options.reply_ms_max = gateway_view_settings(out->view)->delivery_timeout_s * 1000;
    gateway_hop_open(&out->hop, worker->loop, &hop_handlers, &options);
    return STATUS_OK;
}
