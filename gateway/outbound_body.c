#include "gateway/outbound_body.h"

#include <assert.h>

#include "gateway/outbound.h"
#include "gateway/worker.h"

/* A dot is put in front of three bytes at least, but for the first. */
#define RESHAPED_MAX (GATEWAY_OUTBOUND_PIECE_MAX / 3 * 4 + 8)

static_assert(GATEWAY_BODY_SOURCE_PIECE <= GATEWAY_OUTBOUND_PIECE_MAX &&
                  GATEWAY_OUTBOUND_COPY_MAX <= GATEWAY_OUTBOUND_PIECE_MAX,
              "any piece can be reshaped");

void gateway_outbound_body_init(struct gateway_outbound_body *body)
{
    *body = (struct gateway_outbound_body){ .form = GATEWAY_BODY_AS_KEPT };
    buffer_init(&body->reshaped, RESHAPED_MAX);
}

void gateway_outbound_body_finish(struct gateway_outbound_body *body)
{
    buffer_finish(&body->reshaped);
}

static const struct spool_message *spool_of(const struct gateway_outbound *out)
{
    return gateway_item_message(out->item)->spool;
}

bool gateway_outbound_body_may_chunk(const struct gateway_outbound *out)
{
    unsigned flags = spool_message_flags(spool_of(out));

    /* What was kept by an older version is of unknown length without its dots. */
    return out->policy->chunking &&
           (flags & (SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_NOT_STUFFED)) != 0 &&
           !gateway_host_marks_has(&out->worker->unchunked, gateway_worker_now_ms(out->worker),
                                   &out->remote);
}

bool gateway_outbound_body_is_one_piece(const struct gateway_outbound *out)
{
    return out->source == NULL && out->body.form == GATEWAY_BODY_AS_KEPT;
}

static enum gateway_body_form form_of(const struct spool_message *spool, bool by_bdat)
{
    bool is_stuffed = (spool_message_flags(spool) & SPOOL_MESSAGE_NOT_STUFFED) == 0;

    if (is_stuffed && by_bdat && spool_message_dots_count(spool) > 0)
        return GATEWAY_BODY_UNSTUFFED;
    return is_stuffed || by_bdat ? GATEWAY_BODY_AS_KEPT : GATEWAY_BODY_STUFFED;
}

static enum gateway_body_step disown(const struct gateway_outbound *out)
{
    gateway_alert_unreadable(out->worker, gateway_item_message(out->item)->mid,
                             "has a body that is not as long as its record says");
    return GATEWAY_BODY_FAILED;
}

/* Takes bytes that are about to be sent off what BDAT was promised. */
static bool keep_promise(struct gateway_outbound_body *body, size_t bytes)
{
    if (!body->by_bdat)
        return true;
    if (bytes > body->promised_bytes)
        return false;
    body->promised_bytes -= bytes;
    return true;
}

/* Appends a piece in its form. */
static enum status reshape(struct gateway_outbound_body *body, struct slice piece,
                           struct buffer *to)
{
    while (piece.len > 0) {
        size_t used;
        struct slice run = body->form == GATEWAY_BODY_STUFFED
                               ? smtp_stuffing_next(&body->stuffing, piece, &used)
                               : smtp_stuffing_undo(&body->stuffing, piece, &used);

        TRY(buffer_append(to, run));
        piece = slice_after(piece, used);
    }
    return STATUS_OK;
}

static enum gateway_body_step end(struct gateway_outbound *out)
{
    struct gateway_outbound_body *body = &out->body;

    buffer_release(&body->reshaped);
    if (body->by_bdat && body->promised_bytes > 0)
        return disown(out);
    if (body->form == GATEWAY_BODY_STUFFED &&
        buffer_append(gateway_channel_output(&out->hop.channel),
                      smtp_stuffing_end(&body->stuffing)) != STATUS_OK)
        return GATEWAY_BODY_FAILED;
    return GATEWAY_BODY_COMPLETE;
}

/* COMPLETE: it was no more than a dot, and nothing is left to send of it. */
static enum gateway_body_step send_piece(struct gateway_outbound *out, struct slice piece)
{
    struct gateway_outbound_body *body = &out->body;

    if (body->form != GATEWAY_BODY_AS_KEPT) {
        buffer_clear(&body->reshaped);
        if (reshape(body, piece, &body->reshaped) != STATUS_OK)
            return GATEWAY_BODY_FAILED;
        piece = buffer_contents(&body->reshaped);
    }
    if (!keep_promise(body, piece.len))
        return disown(out);
    if (piece.len == 0)
        return GATEWAY_BODY_COMPLETE;
    gateway_channel_send_body(&out->hop.channel, piece);
    return GATEWAY_BODY_LEAVING;
}

/* Of a body in memory. */
static enum gateway_body_step send_next(struct gateway_outbound *out)
{
    struct gateway_outbound_body *body = &out->body;
    struct slice whole = spool_message_body(spool_of(out));
    enum gateway_body_step step = GATEWAY_BODY_COMPLETE;

    while (step == GATEWAY_BODY_COMPLETE && body->taken_bytes < whole.len) {
        struct slice piece = slice_after(whole, body->taken_bytes);

        if (piece.len > GATEWAY_OUTBOUND_PIECE_MAX)
            piece.len = GATEWAY_OUTBOUND_PIECE_MAX;
        body->taken_bytes += piece.len;
        step = send_piece(out, piece);
    }
    return step == GATEWAY_BODY_COMPLETE ? end(out) : step;
}

/* A small one leaves in one piece with what is before and behind it. */
static enum gateway_body_step copy(struct gateway_outbound *out, struct slice whole)
{
    struct gateway_outbound_body *body = &out->body;
    struct buffer *output = gateway_channel_output(&out->hop.channel);
    size_t before = buffer_len(output);
    enum status status = body->form == GATEWAY_BODY_AS_KEPT ? buffer_append(output, whole)
                                                            : reshape(body, whole, output);

    if (status != STATUS_OK)
        return GATEWAY_BODY_FAILED;
    return keep_promise(body, buffer_len(output) - before) ? end(out) : disown(out);
}

enum gateway_body_step gateway_outbound_body_start(struct gateway_outbound *out, bool by_bdat)
{
    const struct spool_message *spool = spool_of(out);
    struct gateway_outbound_body *body = &out->body;
    struct slice trace = spool_message_trace(spool), whole = spool_message_body(spool);

    body->by_bdat = by_bdat;
    body->promised_bytes = out->envelope.message_bytes;
    body->form = form_of(spool, by_bdat);
    body->taken_bytes = 0;
    smtp_stuffing_init(&body->stuffing);
    if (!keep_promise(body, trace.len))
        return disown(out);
    if (buffer_append(gateway_channel_output(&out->hop.channel), trace) != STATUS_OK)
        return GATEWAY_BODY_FAILED;
    if (spool_message_body_in_file(spool)) {
        if (gateway_body_source_start(out->worker, out, spool, &out->source) != STATUS_OK)
            return GATEWAY_BODY_FAILED;
        gateway_channel_flush(&out->hop.channel);
        return GATEWAY_BODY_LEAVING;
    }
    if (whole.len <= GATEWAY_OUTBOUND_COPY_MAX)
        return copy(out, whole);
    if (body->form != GATEWAY_BODY_AS_KEPT)
        return send_next(out);
    if (gateway_item_borrow(out->item) != STATUS_OK)
        return GATEWAY_BODY_FAILED;
    out->borrowed = out->item;
    if (!gateway_message_hold(
            gateway_item_message(out->item))) /* for the kernel; the connection holds it */
        UNREACHABLE();
    body->taken_bytes = whole.len;
    return send_piece(out, whole);
}

enum gateway_body_step gateway_outbound_body_go_on(struct gateway_outbound *out)
{
    if (out->source == NULL)
        return send_next(out);
    if (gateway_body_source_is_idle(out->source))
        gateway_body_source_next(out->source);
    return GATEWAY_BODY_LEAVING;
}

enum gateway_body_step gateway_outbound_body_piece(struct gateway_outbound *out, struct slice piece)
{
    enum gateway_body_step step;

    if (piece.len == 0) {
        gateway_body_source_release(out->source);
        out->source = NULL;
        return end(out);
    }
    step = send_piece(out, piece);
    if (step != GATEWAY_BODY_COMPLETE)
        return step;
    gateway_body_source_next(out->source);
    return GATEWAY_BODY_LEAVING;
}

bool gateway_outbound_body_is_unanswered(const struct gateway_outbound *out,
                                         const struct smtp_client_event *event)
{
    if (out->item == NULL || !out->body.by_bdat ||
        (event->stage != SMTP_CLIENT_STAGE_BODY && event->stage != SMTP_CLIENT_STAGE_FINAL))
        return false;
    return (event->reply.code >= 500 && event->reply.code <= 504) ||
           event->failure == SMTP_CLIENT_FAILURE_BAD_REPLY ||
           event->failure == SMTP_CLIENT_FAILURE_ENDED ||
           event->failure == SMTP_CLIENT_FAILURE_TIMEOUT;
}

void gateway_outbound_body_give_up_bdat(struct gateway_outbound *out)
{
    (void)gateway_host_marks_add(&out->worker->unchunked, gateway_worker_now_ms(out->worker),
                                 &out->remote);
    observe_log_line(out->worker->log, OBSERVE_INFO, gateway_worker_now_s(out->worker),
                     "DCID %llu: the host offers CHUNKING and had no answer to BDAT: it gets DATA",
                     (unsigned long long)out->dcid);
}
