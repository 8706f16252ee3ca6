#include "gateway/inbound.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"
#include "gateway/inbound_answer.h"
#include "gateway/inbound_open.h"
#include "gateway/inbound_proxy.h"
#include "gateway/inbound_room.h"
#include "gateway/inbound_tls.h"
#include "gateway/inquiry.h"
#include "gateway/kernel_tls.h"
#include "gateway/message.h"
#include "gateway/question.h"
#include "gateway/receipt.h"
#include "gateway/session_options.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static size_t on_input(struct gateway_channel *c, struct slice bytes);
static void on_drained(struct gateway_channel *c);
static void on_expired(struct gateway_channel *c);
static void on_ended(struct gateway_channel *c, int error);
static void on_closed(struct gateway_channel *c);

const struct gateway_channel_handlers gateway_inbound_handlers = {
    .input = on_input,
    .drained = on_drained,
    .secured = gateway_inbound_secured,
    .settled = gateway_inbound_settled,
    .expired = on_expired,
    .ended = on_ended,
    .closed = on_closed,
};

static struct gateway_inbound *inbound_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct gateway_inbound, channel);
}

struct gateway_listener_load *gateway_inbound_load(const struct gateway_inbound *in)
{
    return &in->worker->process->loads[in->load_index];
}

static time_t now_s(const struct gateway_inbound *in)
{
    return gateway_worker_now_s(in->worker);
}

/* --- the end --------------------------------------------------------------------------------- */

static void drop_transaction(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;

    if (in->receipt == NULL)
        return;
    observe_mid_aborted(w->log, now_s(in), gateway_receipt_mid(in->receipt), SLICE(""));
    observe_count(&w->counters, OBSERVE_MESSAGES_ABORTED, 1);
    gateway_receipt_destroy(in->receipt);
    in->receipt = NULL;
}

/* Nothing that waits for the session may find it any more. */
static void let_go(struct gateway_inbound *in)
{
    switch ((enum gateway_inbound_wait)in->wait) {
    case GATEWAY_INBOUND_WAIT_OPEN:
        gateway_inquiry_destroy(in->inquiry);
        in->inquiry = NULL;
        break;
    case GATEWAY_INBOUND_WAIT_ANSWER:
        gateway_question_destroy(in->question);
        in->question = NULL;
        break;
    case GATEWAY_INBOUND_WAIT_COMMIT:
        if (in->message != NULL)
            gateway_message_forget_session(in->message);
        in->message = NULL;
        if (in->receipt != NULL)
            gateway_receipt_forget_session(in->receipt);
        in->receipt = NULL;
        break;
    case GATEWAY_INBOUND_WAIT_NONE:
    case GATEWAY_INBOUND_WAIT_ROOM:
    case GATEWAY_INBOUND_WAIT_DRAIN: ASSERT(in->question == NULL); break;
    }
    drop_transaction(in);
}

void gateway_inbound_close(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;

    if (gateway_channel_is_closing(&in->channel))
        return;
    let_go(in);
    if (in->flow != NULL && in->flow->tls == POLICY_FLOW_TLS_REQUIRED && !in->said_starttls &&
        smtp_server_helo(&in->smtp).len > 0) {
        observe_icid_tls_missing(w->log, now_s(in), in->icid);
        observe_count(&w->counters, OBSERVE_TLS_IN_REQUIRED_MISSED, 1);
    }
    gateway_channel_close(&in->channel);
}

static void on_closed(struct gateway_channel *c)
{
    struct gateway_inbound *in = inbound_of(c);
    struct gateway_worker *w = in->worker;

    let_go(in);
    if (in->icid != 0)
        observe_icid_close(w->log, now_s(in), in->icid);
    observe_uncount(&w->counters, OBSERVE_CONNECTIONS_IN_NOW, 1);
    gateway_inbound_room_waited(in);
    gateway_peer_count_leave(w->process->peers, &in->hold);
    if (in->is_rejected)
        atomic_fetch_sub(&gateway_inbound_load(in)->rejected, 1);
    gateway_inbound_uncount_tls(in);
    atomic_fetch_sub(&gateway_inbound_load(in)->connections, 1);
    atomic_fetch_sub(&w->process->connections, 1);
    if (in->flow != NULL)
        smtp_server_finish(&in->smtp);
    gateway_session_options_destroy(in->options);
    free(in->name);
    free(in->proxy);
    gateway_view_release(in->view);
    list_remove(&in->node);
    pool_give(in, sizeof(*in));
    gateway_worker_inbound_closed(w);
    gateway_worker_check_drained(w);
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct gateway_inbound *in = inbound_of(c);

    if (in->flow == NULL) {
        gateway_inbound_reset(in); /* nobody to speak of: it did not say who it is */
        return;
    }
    gateway_kernel_tls_tell_end(in->worker, "ICID", in->icid, gateway_channel_tls(c));
    /* A clean end behind QUIT or between messages is no loss. */
    if (error != 0 || smtp_server_in_transaction(&in->smtp))
        observe_icid_lost(in->worker->log, now_s(in), in->icid);
    gateway_inbound_close(in);
}

static void log_close(struct gateway_inbound *in, enum smtp_close_reason reason)
{
    struct gateway_worker *w = in->worker;
    char ip[IP_TEXT_MAX];
    struct slice why = { 0 };

    switch (reason) {
    case SMTP_CLOSE_NONE:
    case SMTP_CLOSE_QUIT:
    case SMTP_CLOSE_ANSWER:
    case SMTP_CLOSE_SHUTDOWN: return;
    case SMTP_CLOSE_TIMEOUT:
        (void)ip_format(&in->client.address, ip);
        observe_icid_disconnected(w->log, now_s(in), in->icid, slice_from(ip),
                                  gateway_inbound_is_over(in)
                                      ? SLICE("exceeded allowable connection time")
                                      : SLICE("no messages injected within timeout period"));
        return;
    case SMTP_CLOSE_MESSAGES: why = SLICE("Too Many Messages"); break;
    case SMTP_CLOSE_OVERSIZE: why = SLICE("Message size exceeds limit"); break;
    case SMTP_CLOSE_ERRORS:
    case SMTP_CLOSE_COMMANDS:
    case SMTP_CLOSE_BARE_NEWLINE:
    case SMTP_CLOSE_ENDLESS_LINE:
    case SMTP_CLOSE_NO_MEMORY: why = slice_from(smtp_close_reason_text(reason)); break;
    }
    observe_icid_receiving_failed(w->log, now_s(in), in->icid, why);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

static void wait_for(struct gateway_inbound *in, enum gateway_inbound_wait what)
{
    ASSERT(in->wait == GATEWAY_INBOUND_WAIT_NONE);
    in->wait = (uint8_t)what;
    gateway_channel_pause(&in->channel);
    gateway_channel_set_deadline(
        &in->channel, what == GATEWAY_INBOUND_WAIT_DRAIN ? smtp_server_timeout_ms(&in->smtp) : 0);
}

static void wait_over(struct gateway_inbound *in)
{
    in->wait = GATEWAY_INBOUND_WAIT_NONE;
    gateway_channel_set_deadline(&in->channel, gateway_inbound_time_left_ms(in));
    gateway_channel_resume(&in->channel);
}

static void end_message(struct gateway_inbound *in, const struct smtp_body *facts)
{
    struct gateway_receipt *receipt = in->receipt;

    gateway_channel_expect_bulk(&in->channel, false);
    wait_for(in, GATEWAY_INBOUND_WAIT_COMMIT);
    /* in->receipt is cleared by commits() or committed() */
    gateway_receipt_commit(receipt, facts);
}

void gateway_inbound_commits(struct gateway_inbound *in, struct gateway_message *message)
{
    in->receipt = NULL;
    in->message = message;
}

void gateway_inbound_committed(struct gateway_inbound *in, enum status status, uint64_t mid)
{
    struct gateway_worker *w = in->worker;
    struct buffer *out = gateway_channel_output(&in->channel);
    struct smtp_answer answer;
    struct smtp_server_event event;
    char text[64];

    ASSERT(in->wait == GATEWAY_INBOUND_WAIT_COMMIT);
    in->receipt = NULL;
    in->message = NULL;
    answer = gateway_inbound_commit_answer(status);
    if (status == STATUS_OK) {
        observe_count(&w->counters, OBSERVE_MESSAGES_ACCEPTED, 1);
        (void)snprintf(text, sizeof(text), "Ok: queued as MID %llu", (unsigned long long)mid);
        answer.text = slice_from(text);
    }
    event = smtp_server_answer(&in->smtp, &answer, out);
    if (event.kind == SMTP_SERVER_REPLIED && in->is_stopping)
        event = smtp_server_shutdown(&in->smtp, out);
    if (event.kind == SMTP_SERVER_CLOSE)
        gateway_inbound_close(in);
    else
        wait_over(in);
}

void gateway_inbound_spill(struct gateway_worker *w)
{
    unsigned spilt = 0;

    if (!gateway_shelf_is_high(w))
        return;
    for (unsigned i = 0; i < GATEWAY_INBOUND_SPILL_STEPS_MAX && spilt < GATEWAY_INBOUND_SPILLS_MAX;
         i++) {
        struct list_node *first = list_take_first(&w->inbound);
        struct gateway_inbound *in;

        if (first == NULL)
            return;
        list_append(&w->inbound, first);
        in = CONTAINER_OF(first, struct gateway_inbound, node);
        if (in->receipt != NULL && in->wait != GATEWAY_INBOUND_WAIT_COMMIT)
            spilt += gateway_receipt_spill(in->receipt);
    }
}

void gateway_inbound_room(struct gateway_inbound *in)
{
    if (in->wait == GATEWAY_INBOUND_WAIT_ROOM)
        wait_over(in);
}

static void on_drained(struct gateway_channel *c)
{
    struct gateway_inbound *in = inbound_of(c);

    if (in->wait == GATEWAY_INBOUND_WAIT_DRAIN)
        wait_over(in);
}

static void take_body(struct gateway_inbound *in, struct slice bytes)
{
    in->body_bytes += bytes.len;
    gateway_receipt_body(in->receipt, bytes);
    if (gateway_receipt_is_full(in->receipt))
        wait_for(in, GATEWAY_INBOUND_WAIT_ROOM);
}

static void answer_event(struct gateway_inbound *in, const struct smtp_server_event *event,
                         struct buffer *out);

/* behind: the input that the event's call did not take. */
static void act(struct gateway_inbound *in, const struct smtp_server_event *event,
                struct slice behind, struct buffer *out)
{
    if (event->transaction_dropped) {
        gateway_channel_expect_bulk(&in->channel, false);
        drop_transaction(in);
    }
    switch (event->kind) {
    case SMTP_SERVER_MORE: break;
    case SMTP_SERVER_REPLIED:
        if (event->is_bad_sender)
            gateway_inbound_note_bad_sender(in, &event->command);
        break;
    case SMTP_SERVER_ASK_MAIL:
    case SMTP_SERVER_ASK_RCPT:
    case SMTP_SERVER_ASK_DATA: answer_event(in, event, out); break;
    case SMTP_SERVER_BODY: take_body(in, event->body); break;
    case SMTP_SERVER_END: end_message(in, &event->end); break;
    case SMTP_SERVER_STARTTLS: gateway_inbound_start_tls(in, behind); break;
    case SMTP_SERVER_XCLIENT: gateway_inbound_become(in, &event->xclient); break;
    case SMTP_SERVER_CLOSE:
        log_close(in, event->reason);
        gateway_inbound_close(in);
        break;
    }
}

/* Gives the answer to MAIL, RCPT or DATA. */
static void give(struct gateway_inbound *in, const struct smtp_answer *answer, struct buffer *out)
{
    struct smtp_server_event next = smtp_server_answer(&in->smtp, answer, out);

    act(in, &next, (struct slice){ 0 }, out);
    if (in->is_dropped)
        gateway_inbound_close(in);
}

static void answer_event(struct gateway_inbound *in, const struct smtp_server_event *event,
                         struct buffer *out)
{
    struct smtp_answer answer = SMTP_ANSWER_ACCEPTED;
    bool is_known = true;

    if (event->kind == SMTP_SERVER_ASK_MAIL)
        is_known = gateway_inbound_answer_mail(in, &event->command, &answer);
    else if (event->kind == SMTP_SERVER_ASK_RCPT)
        is_known = gateway_inbound_answer_rcpt(in, &event->command, &answer);
    else
        answer = gateway_inbound_answer_data(in);
    if (!is_known) {
        wait_for(in, GATEWAY_INBOUND_WAIT_ANSWER);
        return;
    }
    if (event->kind == SMTP_SERVER_ASK_DATA && answer.code == 0)
        gateway_channel_expect_bulk(&in->channel, true);
    give(in, &answer, out);
}

void gateway_inbound_answered(struct gateway_inbound *in, const struct smtp_answer *answer)
{
    struct buffer *out = gateway_channel_output(&in->channel);

    ASSERT(in->wait == GATEWAY_INBOUND_WAIT_ANSWER);
    in->wait = GATEWAY_INBOUND_WAIT_NONE;
    give(in, answer, out);
    if (gateway_channel_is_closing(&in->channel))
        return;
    if (in->is_stopping) {
        struct smtp_server_event event = smtp_server_shutdown(&in->smtp, out);

        if (event.kind == SMTP_SERVER_CLOSE) {
            gateway_inbound_close(in);
            return;
        }
    }
    wait_over(in);
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct gateway_inbound *in = inbound_of(c);
    struct buffer *out = gateway_channel_output(c);
    bool progress = false;
    size_t total = 0;

    if (in->has_proxy) {
        total = gateway_inbound_take_header(in, bytes);
        /* Greeted already: what follows the header is the client's. */
        if (!gateway_inbound_is_judged(in))
            return total;
    }
    if (!smtp_server_is_tls(&in->smtp))
        gateway_inbound_limit_tls(in);
    while (total < bytes.len && !gateway_channel_is_paused(c) && !gateway_channel_is_closing(c)) {
        struct smtp_server_event event;
        size_t used = 0;

        event = smtp_server_feed(&in->smtp, slice_after(bytes, total), &used, out);
        total += used;
        progress = progress || event.kind != SMTP_SERVER_MORE;
        act(in, &event, slice_after(bytes, total), out);
        if (buffer_len(out) > GATEWAY_INBOUND_OUTPUT_HIGH) {
            gateway_channel_flush(c);
            if (buffer_len(out) > GATEWAY_INBOUND_OUTPUT_HIGH && !gateway_channel_is_paused(c))
                wait_for(in, GATEWAY_INBOUND_WAIT_DRAIN);
        }
    }
    if (in->is_stopping)
        gateway_inbound_stop(in);
    /* Bytes that complete nothing do not buy a slow peer more time, and nothing does a rejected
     * one. */
    if (progress && !in->is_rejected && in->wait == GATEWAY_INBOUND_WAIT_NONE &&
        !gateway_channel_is_paused(c) && !gateway_channel_is_closing(c))
        gateway_channel_set_deadline(c, gateway_inbound_time_left_ms(in));
    return total;
}

static void on_expired(struct gateway_channel *c)
{
    struct gateway_inbound *in = inbound_of(c);
    struct smtp_server_event event;

    if (in->flow == NULL) {
        gateway_inbound_no_header(in);
        return;
    }
    if (in->wait != GATEWAY_INBOUND_WAIT_NONE || smtp_server_timeout_ms(&in->smtp) == 0) {
        /* It does not read its replies, or does not finish its handshake. */
        observe_icid_lost(in->worker->log, now_s(in), in->icid);
        let_go(in);
        gateway_channel_reset(c);
        return;
    }
    event = smtp_server_expire(&in->smtp, gateway_channel_output(c));
    act(in, &event, (struct slice){ 0 }, gateway_channel_output(c));
}

/* Who is asked about a sender may take long to say, and no transaction has begun. A recipient that
 * waits is answered by gateway/call_ahead.h, and its transaction may end. */
static void answer_shutdown(struct gateway_inbound *in)
{
    const struct smtp_answer answer = { 421, "4.3.2", SLICE("Service is shutting down") };

    gateway_question_destroy(in->question);
    in->question = NULL;
    gateway_inbound_answered(in, &answer);
}

void gateway_inbound_stop(struct gateway_inbound *in)
{
    struct smtp_server_event event;

    in->is_stopping = true;
    if (gateway_channel_is_closing(&in->channel))
        return;
    if (in->flow == NULL) {
        gateway_inbound_reset(in); /* not greeted yet */
        return;
    }
    if (in->wait == GATEWAY_INBOUND_WAIT_ANSWER && in->receipt == NULL) {
        answer_shutdown(in);
        return;
    }
    if (in->wait != GATEWAY_INBOUND_WAIT_NONE)
        return; /* our turn; the end of it looks at is_stopping */
    if (smtp_server_timeout_ms(&in->smtp) == 0) {
        gateway_channel_reset(&in->channel); /* a handshake: there is no way to say anything */
        return;
    }
    event = smtp_server_shutdown(&in->smtp, gateway_channel_output(&in->channel));
    if (event.kind == SMTP_SERVER_CLOSE)
        gateway_inbound_close(in);
}

void gateway_inbound_reset(struct gateway_inbound *in)
{
    let_go(in);
    gateway_channel_reset(&in->channel);
}
