#include "gateway/outbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/kernel_tls.h"
#include "gateway/outbound_item.h"
#include "gateway/outbound_log.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static size_t on_input(struct gateway_channel *c, struct slice bytes);
static void on_drained(struct gateway_channel *c);
static void on_connected(struct gateway_channel *c, int error);
static void on_secured(struct gateway_channel *c, bool success);
static void on_settled(struct gateway_channel *c);
static void on_expired(struct gateway_channel *c);
static void on_ended(struct gateway_channel *c, int error);
static void on_closed(struct gateway_channel *c);

static const struct gateway_channel_handlers channel_handlers = {
    .input = on_input,
    .drained = on_drained,
    .connected = on_connected,
    .secured = on_secured,
    .settled = on_settled,
    .expired = on_expired,
    .ended = on_ended,
    .closed = on_closed,
};

static void act(struct gateway_outbound *out, const struct smtp_client_event *event);

static struct gateway_outbound *outbound_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct gateway_outbound, channel);
}

static struct delivery_scheduler *scheduler_of(const struct gateway_outbound *out)
{
    return out->worker->dispatch.scheduler;
}

/* How long the peer has now. A body in one piece gets a second more for each KiB of it. */
static uint64_t time_left_ms(const struct gateway_outbound *out)
{
    uint64_t left_ms = smtp_client_timeout_ms(&out->smtp);

    if (out->is_body_leaving && out->source == NULL && out->item != NULL)
        left_ms += spool_message_body_bytes(out->item->message->spool);
    return left_ms;
}

/* The one place that assigns the state. */
static void enter(struct gateway_outbound *out, enum gateway_outbound_state next)
{
    ASSERT(out->state != GATEWAY_OUTBOUND_CLOSING);
    out->state = next;
}

/* --- the end --------------------------------------------------------------------------------- */

static bool is_opened(const struct gateway_outbound *out)
{
    return out->state == GATEWAY_OUTBOUND_IDLE || out->state == GATEWAY_OUTBOUND_SENDING ||
           out->state == GATEWAY_OUTBOUND_QUITTING;
}

static void give_back(struct gateway_outbound *out)
{
    struct gateway_item *item = out->borrowed;

    out->borrowed = NULL;
    if (item != NULL)
        gateway_item_give_back(item, out->worker->loop);
}

/* Tells the scheduler, once, that the connection is over, and closes it. What the kernel may
 * still be sending from stays until `closed`. */
static void leave(struct gateway_outbound *out, enum delivery_failure why)
{
    struct gateway_worker *w = out->worker;
    uint64_t now_ms = gateway_worker_now_ms(w);

    if (out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    ASSERT(out->item == NULL);
    out->is_body_leaving = false;
    if (is_opened(out))
        delivery_connection_closed(scheduler_of(out), now_ms, &out->delivery, why,
                                   gateway_worker_random(w));
    else
        delivery_connection_failed(scheduler_of(out), now_ms, &out->delivery,
                                   why != DELIVERY_FAILURE_NONE ? why : DELIVERY_FAILURE_LOCAL,
                                   gateway_worker_random(w));
    enter(out, GATEWAY_OUTBOUND_CLOSING);
    gateway_dispatch_run_soon(&w->dispatch);
    if (why == DELIVERY_FAILURE_NONE || out->has_ended)
        gateway_channel_close(&out->channel);
    else
        gateway_channel_reset(&out->channel);
}

static void on_closed(struct gateway_channel *c)
{
    struct gateway_outbound *out = outbound_of(c);
    struct gateway_worker *w = out->worker;

    if (out->state != GATEWAY_OUTBOUND_CLOSING) {
        /* The channel gave up by itself: no memory for what it had to keep or encrypt. */
        struct smtp_client_event event = smtp_client_ended(&out->smtp);

        act(out, &event);
    }
    ASSERT(out->state == GATEWAY_OUTBOUND_CLOSING);
    give_back(out);
    gateway_body_source_release(out->source);
    if (out->is_announced)
        observe_dcid_close(w->log, gateway_worker_now_s(w), out->dcid);
    observe_uncount(&w->counters, OBSERVE_CONNECTIONS_OUT_NOW, 1);
    smtp_client_finish(&out->smtp);
    gateway_view_release(out->view);
    list_remove(&out->node);
    free(out);
    gateway_worker_check_drained(w);
}

/* The session is of no use any more: what was under way is tried again, or is in doubt. */
static void fail(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    enum delivery_failure why = gateway_outbound_failure(event);
    enum delivery_stage stage =
        event->in_doubt ? DELIVERY_STAGE_FINAL : gateway_outbound_stage(event->stage);
    struct delivery_outcome outcome;

    gateway_outbound_log_failure(out, event);
    if (out->item != NULL && out->sent_any && !out->heard_of_item &&
        event->failure == SMTP_CLIENT_FAILURE_ENDED && !event->in_doubt) {
        gateway_outbound_item_return(out); /* closed while it was idle */
    } else if (out->item != NULL) {
        outcome = gateway_outbound_classify(stage, &event->reply);
        if (outcome.verdict == DELIVERY_VERDICT_DELIVERED)
            delivery_outcome_for(DELIVERY_CAUSE_LOCAL, &outcome);
        gateway_outbound_item_end(out, &outcome, &event->reply);
    }
    leave(out, why);
}

static void quit(struct gateway_outbound *out)
{
    struct smtp_client_event event;

    enter(out, GATEWAY_OUTBOUND_QUITTING);
    event = smtp_client_quit(&out->smtp, gateway_channel_output(&out->channel));
    gateway_channel_flush(&out->channel);
    gateway_channel_set_deadline(&out->channel, time_left_ms(out));
    if (event.kind == SMTP_CLIENT_FAILED)
        leave(out, DELIVERY_FAILURE_LOCAL);
}

/* --- messages -------------------------------------------------------------------------------- */

static void deliver(struct gateway_outbound *out, struct delivery_item *item)
{
    struct gateway_worker *w = out->worker;
    struct smtp_client_event event;

    enter(out, GATEWAY_OUTBOUND_SENDING);
    if (gateway_outbound_item_begin(out, CONTAINER_OF(item, struct gateway_item, delivery)) !=
        STATUS_OK) {
        delivery_item_returned(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery,
                               gateway_worker_random(w));
        leave(out, DELIVERY_FAILURE_LOCAL);
        return;
    }
    event = smtp_client_send(&out->smtp, &out->envelope, gateway_channel_output(&out->channel));
    gateway_channel_flush(&out->channel);
    gateway_channel_set_deadline(&out->channel, time_left_ms(out));
    act(out, &event);
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
    case DELIVERY_TAKE_ITEM: deliver(out, item); break;
    case DELIVERY_TAKE_IDLE:
        enter(out, GATEWAY_OUTBOUND_IDLE);
        gateway_channel_set_deadline(&out->channel, GATEWAY_OUTBOUND_IDLE_MS);
        break;
    case DELIVERY_TAKE_CLOSE: quit(out); break;
    }
    gateway_dispatch_run_soon(&w->dispatch);
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
    event = smtp_client_body_sent(&out->smtp, gateway_channel_output(&out->channel));

    gateway_channel_flush(&out->channel);
    gateway_channel_set_deadline(&out->channel, time_left_ms(out));
    act(out, &event);
}

/* A small body goes out with its final dot in one piece; a large one is sent from where it
 * lies, and the dot when it has left. */
static void send_body(struct gateway_outbound *out)
{
    const struct spool_message *spool = out->item->message->spool;
    struct slice trace = spool_message_trace(spool), body = spool_message_body(spool);
    struct buffer *output = gateway_channel_output(&out->channel);
    bool is_copied = !spool_message_body_in_file(spool) && body.len <= GATEWAY_OUTBOUND_COPY_MAX;
    enum status status = buffer_append(output, trace);

    if (status == STATUS_OK && is_copied)
        status = buffer_append(output, body);
    if (status == STATUS_OK && spool_message_body_in_file(spool))
        status = gateway_body_source_start(out->worker, out, spool, &out->source);
    if (status != STATUS_OK) {
        struct smtp_client_event event = { .kind = SMTP_CLIENT_FAILED,
                                           .stage = SMTP_CLIENT_STAGE_BODY,
                                           .failure = SMTP_CLIENT_FAILURE_NO_MEMORY };

        fail(out, &event);
        return;
    }
    out->is_body_leaving = !is_copied;
    if (is_copied) {
        body_complete(out);
    } else if (!spool_message_body_in_file(spool)) {
        out->borrowed = out->item;
        gateway_item_borrow(out->item);
        gateway_channel_send_body(&out->channel, body);
    } else {
        gateway_channel_flush(&out->channel);
    }
}

void gateway_outbound_chunk(struct gateway_outbound *out, enum status status, struct slice chunk)
{
    if (out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    if (status != STATUS_OK) {
        struct smtp_client_event event = { .kind = SMTP_CLIENT_FAILED,
                                           .stage = SMTP_CLIENT_STAGE_BODY,
                                           .failure = SMTP_CLIENT_FAILURE_NO_MEMORY };

        observe_log_line(out->worker->log, OBSERVE_CRITICAL, gateway_worker_now_s(out->worker),
                         "MID %llu: its body file cannot be read: %s",
                         (unsigned long long)spool_message_mid(out->item->message->spool),
                         status_text(status));
        fail(out, &event);
        return;
    }
    gateway_channel_set_deadline(&out->channel, time_left_ms(out));
    if (chunk.len > 0) {
        gateway_channel_send_body(&out->channel, chunk);
        return;
    }
    gateway_body_source_release(out->source);
    out->source = NULL;
    body_complete(out);
}

static void on_drained(struct gateway_channel *c)
{
    struct gateway_outbound *out = outbound_of(c);

    if (out->state != GATEWAY_OUTBOUND_SENDING || !out->is_body_leaving)
        return;
    gateway_channel_set_deadline(c, time_left_ms(out));
    if (out->source == NULL)
        body_complete(out);
    else if (gateway_body_source_is_idle(out->source))
        gateway_body_source_next(out->source);
}

static void message_done(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    struct delivery_outcome outcome =
        gateway_outbound_classify(gateway_outbound_stage(event->stage), &event->reply);

    out->sent_any = true;
    if (outcome.verdict == DELIVERY_VERDICT_DELIVERED &&
        event->stage != SMTP_CLIENT_STAGE_FINAL) /* nothing was accepted */
        delivery_outcome_for(DELIVERY_CAUSE_LOCAL, &outcome);
    gateway_outbound_item_end(out, &outcome, &event->reply);
    take(out);
}

/* --- opening --------------------------------------------------------------------------------- */

static void opened(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;

    delivery_connection_opened(scheduler_of(out), gateway_worker_now_ms(w), &out->delivery);
    enter(out, GATEWAY_OUTBOUND_IDLE);
    take(out);
}

/* The destination's TLS rule, applied to how it went. */
static void judge_tls(struct gateway_outbound *out, enum policy_tls_event how)
{
    struct gateway_worker *w = out->worker;
    char ip[IP_TEXT_MAX];

    switch (policy_tls_outcome(out->policy->tls, how)) {
    case POLICY_TLS_SEND_CLEAR:
    case POLICY_TLS_SEND_ENCRYPTED: opened(out); return;
    case POLICY_TLS_TRY_NEXT: break;
    }
    if (policy_tls_is_required(out->policy->tls))
        observe_dcid_tls_required(w->log, gateway_worker_now_s(w), out->dcid,
                                  slice_from(ip_format(&out->remote.address, ip)));
    leave(out, DELIVERY_FAILURE_TLS);
}

static void greeted(struct gateway_outbound *out)
{
    struct smtp_client_event event;

    if (gateway_channel_is_secure(&out->channel)) {
        judge_tls(out, POLICY_TLS_ESTABLISHED);
    } else if (!policy_tls_is_wanted(out->policy->tls)) {
        opened(out);
    } else if (!smtp_client_capabilities(&out->smtp)->starttls) {
        judge_tls(out, POLICY_TLS_NOT_OFFERED);
    } else {
        enter(out, GATEWAY_OUTBOUND_SECURING);
        event = smtp_client_starttls(&out->smtp, gateway_channel_output(&out->channel));
        gateway_channel_set_deadline(&out->channel, time_left_ms(out));
        act(out, &event);
    }
}

static void tls_failed(struct gateway_outbound *out, struct slice reason, enum policy_tls_event how)
{
    struct gateway_worker *w = out->worker;

    observe_dcid_tls_failed(w->log, gateway_worker_now_s(w), out->dcid, reason);
    observe_count(&w->counters, OBSERVE_TLS_OUT_FAILED, 1);
    judge_tls(out, how);
}

static void start_tls(struct gateway_outbound *out, struct slice behind)
{
    struct tls_session *session;
    enum tls_kernel_use use;

    if (behind.len > 0) {
        /* RFC 3207 section 6: what came in the clear behind the 220 is an attack. */
        tls_failed(out, SLICE("plaintext behind the reply to STARTTLS"),
                   POLICY_TLS_HANDSHAKE_FAILED);
        return;
    }
    if (tls_session_create(out->view->client, TLS_ROLE_CLIENT, NULL, &session) != STATUS_OK) {
        tls_failed(out, SLICE("no memory"), POLICY_TLS_HANDSHAKE_FAILED);
        return;
    }
    use = gateway_kernel_tls_use(out->policy->ktls);
    if (gateway_kernel_tls_is_shunned(&out->worker->shunned, &out->remote))
        use = TLS_KERNEL_OFF;
    tls_kernel_allow(session, &out->view->generation->kernel, use);
    gateway_channel_set_deadline(&out->channel, GATEWAY_OUTBOUND_HANDSHAKE_MS);
    gateway_channel_secure(&out->channel, session);
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct gateway_outbound *out = outbound_of(c);
    struct gateway_worker *w = out->worker;
    const struct tls_session *tls = gateway_channel_tls(c);
    struct smtp_client_event event;

    if (!success) {
        tls_failed(out, slice_from(tls_session_error(tls)), POLICY_TLS_HANDSHAKE_FAILED);
        return;
    }
    observe_dcid_tls_success(w->log, gateway_worker_now_s(w), out->dcid,
                             slice_from(tls_session_protocol(tls)),
                             slice_from(tls_session_cipher(tls)));
    observe_count(&w->counters, OBSERVE_TLS_OUT_SUCCESS, 1);
    enter(out, GATEWAY_OUTBOUND_GREETING);
    event = smtp_client_tls_started(&out->smtp, gateway_channel_output(c));
    gateway_channel_set_deadline(c, time_left_ms(out));
    act(out, &event);
    gateway_channel_resume(c);
}

static void on_settled(struct gateway_channel *c)
{
    struct gateway_outbound *out = outbound_of(c);

    gateway_kernel_tls_tell(out->worker, "DCID", out->dcid, gateway_channel_tls(c));
}

static void on_connected(struct gateway_channel *c, int error)
{
    struct gateway_outbound *out = outbound_of(c);

    if (error != 0) {
        gateway_outbound_log_connect(out, error);
        leave(out, error == ECONNREFUSED ? DELIVERY_FAILURE_REFUSED
                   : error == ETIMEDOUT  ? DELIVERY_FAILURE_TIMEOUT
                                         : DELIVERY_FAILURE_UNREACHABLE);
        return;
    }
    gateway_outbound_log_new(out);
    out->is_announced = true;
    enter(out, GATEWAY_OUTBOUND_GREETING);
    gateway_channel_set_deadline(c, time_left_ms(out));
    gateway_channel_resume(c);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

static void act_behind(struct gateway_outbound *out, const struct smtp_client_event *event,
                       struct slice behind)
{
    switch (event->kind) {
    case SMTP_CLIENT_MORE: break;
    case SMTP_CLIENT_READY: greeted(out); break;
    case SMTP_CLIENT_TLS_GO: start_tls(out, behind); break;
    case SMTP_CLIENT_TLS_REFUSED:
        enter(out, GATEWAY_OUTBOUND_GREETING);
        gateway_outbound_log_refused_tls(out, &event->reply);
        tls_failed(out, SLICE("STARTTLS unexpected response"), POLICY_TLS_REFUSED);
        break;
    case SMTP_CLIENT_RECIPIENT:
        gateway_outbound_item_recipient(out, event->recipient, &event->reply);
        break;
    case SMTP_CLIENT_BODY_WANTED:
        out->heard_of_item = true;
        send_body(out);
        break;
    case SMTP_CLIENT_DONE: message_done(out, event); break;
    case SMTP_CLIENT_BYE: leave(out, DELIVERY_FAILURE_NONE); break;
    case SMTP_CLIENT_FAILED: fail(out, event); break;
    }
}

static void act(struct gateway_outbound *out, const struct smtp_client_event *event)
{
    act_behind(out, event, (struct slice){ 0 });
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct gateway_outbound *out = outbound_of(c);
    struct smtp_client_event event = { .kind = SMTP_CLIENT_READY };
    size_t total = 0;

    /* Until MORE, also when all bytes are taken: one reply can be the cause of two events. */
    while (event.kind != SMTP_CLIENT_MORE && !gateway_channel_is_paused(c) &&
           !gateway_channel_is_closing(c)) {
        size_t used = 0;

        event = smtp_client_feed(&out->smtp, slice_after(bytes, total), &used,
                                 gateway_channel_output(c));
        total += used;
        act_behind(out, &event, slice_after(bytes, total));
        if (event.kind != SMTP_CLIENT_MORE && out->state != GATEWAY_OUTBOUND_IDLE &&
            !gateway_channel_is_paused(c))
            gateway_channel_set_deadline(c, time_left_ms(out));
    }
    return total;
}

static void on_expired(struct gateway_channel *c)
{
    struct gateway_outbound *out = outbound_of(c);
    struct smtp_client_event event = { .kind = SMTP_CLIENT_FAILED,
                                       .failure = SMTP_CLIENT_FAILURE_TIMEOUT };

    switch (out->state) {
    case GATEWAY_OUTBOUND_CONNECTING:
        gateway_outbound_log_connect(out, ETIMEDOUT);
        leave(out, DELIVERY_FAILURE_TIMEOUT);
        break;
    case GATEWAY_OUTBOUND_IDLE: quit(out); break;
    case GATEWAY_OUTBOUND_SECURING:
        if (gateway_channel_tls(c) != NULL) {
            tls_failed(out, SLICE("timeout"), POLICY_TLS_HANDSHAKE_FAILED);
            break;
        }
        __attribute__((fallthrough)); /* the command itself had no answer */
    case GATEWAY_OUTBOUND_GREETING:
    case GATEWAY_OUTBOUND_SENDING:
    case GATEWAY_OUTBOUND_QUITTING:
        if (smtp_client_timeout_ms(&out->smtp) > 0)
            event = smtp_client_expire(&out->smtp);
        act(out, &event);
        break;
    case GATEWAY_OUTBOUND_CLOSING: UNREACHABLE();
    }
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct gateway_outbound *out = outbound_of(c);
    struct smtp_client_event event;

    if (out->state == GATEWAY_OUTBOUND_CLOSING)
        return;
    if (gateway_channel_tls(c) != NULL && tls_session_ending(gateway_channel_tls(c)) != NULL)
        gateway_kernel_tls_shun(&out->worker->shunned, &out->remote);
    /* In good order, or by a record of TLS that the peer is to be told of. */
    out->has_ended = error == 0 || error == EPROTO;
    gateway_kernel_tls_tell_end(out->worker, "DCID", out->dcid, gateway_channel_tls(c));
    event = smtp_client_ended(&out->smtp);
    if (out->state == GATEWAY_OUTBOUND_IDLE && event.kind == SMTP_CLIENT_FAILED)
        leave(out, DELIVERY_FAILURE_NONE); /* it had nothing to do either */
    else
        act(out, &event);
}

void gateway_outbound_stop(struct gateway_outbound *out)
{
    if (out->state == GATEWAY_OUTBOUND_IDLE)
        quit(out);
    else if (out->state == GATEWAY_OUTBOUND_CONNECTING || out->state == GATEWAY_OUTBOUND_GREETING ||
             out->state == GATEWAY_OUTBOUND_SECURING)
        leave(out, DELIVERY_FAILURE_LOCAL);
}

void gateway_outbound_reset(struct gateway_outbound *out)
{
    if (out->item != NULL)
        gateway_outbound_item_return(out);
    if (out->state != GATEWAY_OUTBOUND_CLOSING)
        leave(out, DELIVERY_FAILURE_LOCAL);
    else
        gateway_channel_reset(&out->channel);
}

enum status gateway_outbound_open(struct gateway_worker *worker,
                                  const struct delivery_action *connect)
{
    struct gateway_outbound *out = calloc(1, sizeof(*out));
    struct slice domain = delivery_destination_domain(connect->destination);

    if (out == NULL)
        return STATUS_NO_MEMORY;
    out->worker = worker;
    out->view = gateway_view_acquire(worker->view);
    out->policy = policy_destination_find(gateway_view_policy(out->view), domain);
    out->remote = connect->address;
    out->state = GATEWAY_OUTBOUND_CONNECTING;
    out->smtp_options.hostname = slice_from(gateway_view_settings(out->view)->hostname);
    out->dcid = spool_ids_take(&worker->process->ids, SPOOL_ID_DCID);
    smtp_client_init(&out->smtp, &out->smtp_options);
    list_append(&worker->outbound, &out->node);
    observe_count(&worker->counters, OBSERVE_CONNECTIONS_OUT, 1);
    observe_count(&worker->counters, OBSERVE_CONNECTIONS_OUT_NOW, 1);
    delivery_connection_start(worker->dispatch.scheduler, gateway_worker_now_ms(worker),
                              &out->delivery, connect);
    gateway_channel_connect(&out->channel, worker->loop, &channel_handlers, &out->remote);
    gateway_channel_set_deadline(&out->channel, GATEWAY_OUTBOUND_CONNECT_MS);
    return STATUS_OK;
}
