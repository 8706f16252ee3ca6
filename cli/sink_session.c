#include "cli/sink_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/json.h"
#include "cli/sink_worker.h"

#define TLS_TEXT_MAX 96

static size_t on_input(struct gateway_channel *c, struct slice bytes);
static void on_drained(struct gateway_channel *c);
static void on_secured(struct gateway_channel *c, bool success);
static void on_expired(struct gateway_channel *c);
static void on_ended(struct gateway_channel *c, int error);
static void on_closed(struct gateway_channel *c);

static const struct gateway_channel_handlers channel_handlers = {
    .input = on_input,
    .drained = on_drained,
    .secured = on_secured,
    .expired = on_expired,
    .ended = on_ended,
    .closed = on_closed,
};

static void act(struct sink_session *s, const struct smtp_server_event *event, struct slice behind);

static struct sink_session *session_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct sink_session, channel);
}

static const struct sink_options *options_of(const struct sink_session *s)
{
    return s->worker->run->options;
}

static void renew_deadline(struct sink_session *s)
{
    gateway_channel_set_deadline(&s->channel, smtp_server_timeout_ms(&s->smtp));
}

/* --- the end --------------------------------------------------------------------------------- */

static void forget_transaction(struct sink_session *s)
{
    sink_store_drop(&s->store);
    buffer_release(&s->sender);
    buffer_release(&s->recipients);
}

static void leave(struct sink_session *s, bool is_clean)
{
    if (gateway_channel_is_closing(&s->channel))
        return;
    engine_timer_stop(s->worker->hand.loop, &s->delay);
    if (smtp_server_in_transaction(&s->smtp))
        sink_count(&s->worker->tallies.dropped, 1);
    forget_transaction(s);
    if (is_clean)
        gateway_channel_close(&s->channel);
    else
        gateway_channel_reset(&s->channel);
}

static void on_closed(struct gateway_channel *c)
{
    struct sink_session *s = session_of(c);

    engine_timer_stop(s->worker->hand.loop, &s->delay);
    forget_transaction(s);
    atomic_fetch_sub_explicit(&s->worker->tallies.open, 1, memory_order_relaxed);
    smtp_server_finish(&s->smtp);
    list_remove(&s->node);
    free(s);
}

static void on_ended(struct gateway_channel *c, int error)
{
    leave(session_of(c), error == 0);
}

/* --- messages -------------------------------------------------------------------------------- */

static const char *tls_text(const struct sink_session *s, char text[static TLS_TEXT_MAX])
{
    const struct tls_session *tls = gateway_channel_tls(&s->channel);

    if (tls == NULL || !gateway_channel_is_secure(&s->channel))
        (void)snprintf(text, TLS_TEXT_MAX, "clear");
    else
        (void)snprintf(text, TLS_TEXT_MAX, "%s %s", tls_session_protocol(tls),
                       tls_session_cipher(tls));
    return text;
}

static void log_message(struct sink_session *s)
{
    uint32_t recipients = smtp_server_recipients_count(&s->smtp);
    struct slice helo = smtp_server_helo(&s->smtp), sender = buffer_contents(&s->sender);
    char tls[TLS_TEXT_MAX];

    tls_text(s, tls);
    if (!options_of(s)->json) {
        printf("%.*s <%.*s> %u %llu %s\n", SLICE_ARGS(helo), SLICE_ARGS(sender), recipients,
               (unsigned long long)s->bytes, tls);
        return;
    }
    flockfile(stdout); /* the line is one among those of other workers */
    putchar('{');
    cli_json_number(true, "at_us", clock_wall_us());
    cli_json_member(false, "helo", helo);
    cli_json_member(false, "sender", sender);
    cli_json_number(false, "recipients", recipients);
    cli_json_number(false, "bytes", s->bytes);
    cli_json_member(false, "tls", slice_from(tls));
    fputs("}\n", stdout);
    funlockfile(stdout);
}

static struct smtp_answer refusal(uint16_t code, const char *enhanced, const char *text)
{
    return (struct smtp_answer){ .code = code, .enhanced = enhanced, .text = slice_from(text) };
}

/* What to say to the message that has come. */
static struct smtp_answer judge(struct sink_session *s)
{
    struct sink_run *run = s->worker->run;
    const struct sink_options *o = run->options;

    if (o->fail_millionth > 0 && sink_options_fails(o, atomic_fetch_add(&run->judged, 1)))
        return refusal(451, "4.3.0", "As --fail-rate wants it");
    if (o->messages_max < UINT64_MAX && atomic_fetch_add(&run->accepted, 1) >= o->messages_max)
        return refusal(421, "4.3.2", "As --max-messages wants it");
    if (run->store >= 0 && sink_store_close(&s->store) != STATUS_OK)
        return refusal(452, "4.3.1", "The store cannot be written");
    return SMTP_ANSWER_ACCEPTED;
}

/* Answers the message: at once, or when the delay is over. */
static struct smtp_server_event answer_message(struct sink_session *s)
{
    struct sink_tallies *t = &s->worker->tallies;
    struct smtp_answer answer = judge(s);

    if (answer.code != 0) {
        sink_count(&t->failed, 1);
    } else {
        sink_count(&t->messages, 1);
        sink_count(&t->recipients, smtp_server_recipients_count(&s->smtp));
        sink_count(&t->bytes, s->bytes);
        if (options_of(s)->log)
            log_message(s);
    }
    forget_transaction(s);
    return smtp_server_answer(&s->smtp, &answer, gateway_channel_output(&s->channel));
}

static void shut_down_if_stopping(struct sink_session *s)
{
    struct smtp_server_event event;

    if (!s->is_stopping || gateway_channel_is_closing(&s->channel) || s->wait != SINK_WAIT_NONE ||
        smtp_server_timeout_ms(&s->smtp) == 0)
        return;
    event = smtp_server_shutdown(&s->smtp, gateway_channel_output(&s->channel));
    act(s, &event, (struct slice){ 0 });
}

static void wait_over(struct sink_session *s)
{
    s->wait = SINK_WAIT_NONE;
    shut_down_if_stopping(s);
    if (gateway_channel_is_closing(&s->channel))
        return;
    renew_deadline(s);
    gateway_channel_resume(&s->channel);
}

static void on_delay(struct engine_timer *timer)
{
    struct sink_session *s = CONTAINER_OF(timer, struct sink_session, delay);
    struct smtp_server_event event = answer_message(s);

    act(s, &event, (struct slice){ 0 });
    if (!gateway_channel_is_closing(&s->channel))
        wait_over(s);
}

static void message_came(struct sink_session *s, const struct smtp_body *end)
{
    struct smtp_server_event event;

    s->bytes = smtp_body_size(end);
    gateway_channel_expect_bulk(&s->channel, false);
    if (options_of(s)->reply_delay_ms > 0) {
        s->wait = SINK_WAIT_DELAY;
        gateway_channel_pause(&s->channel);
        gateway_channel_set_deadline(&s->channel, 0);
        engine_timer_start(s->worker->hand.loop, &s->delay, options_of(s)->reply_delay_ms,
                           on_delay);
        return;
    }
    event = answer_message(s);
    act(s, &event, (struct slice){ 0 });
}

static struct smtp_answer answer_mail(struct sink_session *s, const struct smtp_command *c)
{
    bool is_kept = options_of(s)->log || s->worker->run->store >= 0;

    forget_transaction(s);
    if (is_kept && buffer_append(&s->sender, c->mailbox.whole) != STATUS_OK)
        return refusal(451, "4.3.0", "No memory");
    return SMTP_ANSWER_ACCEPTED;
}

static struct smtp_answer answer_rcpt(struct sink_session *s, const struct smtp_command *c)
{
    struct slice recipient = c->mailbox.whole;

    if (sink_options_rejects(options_of(s), recipient)) {
        sink_count(&s->worker->tallies.rejected, 1);
        return refusal(550, "5.1.1", "As --reject wants it");
    }
    if (s->worker->run->store >= 0 &&
        buffer_printf(&s->recipients, "%s%.*s", buffer_len(&s->recipients) > 0 ? ",\r\n " : "",
                      SLICE_ARGS(recipient)) != STATUS_OK)
        return refusal(452, "4.5.3", "Too many recipients to write down");
    return SMTP_ANSWER_ACCEPTED;
}

static struct smtp_answer answer_data(struct sink_session *s)
{
    struct sink_run *run = s->worker->run;
    struct slice helo = smtp_server_helo(&s->smtp);
    char tls[TLS_TEXT_MAX];
    struct buffer head;
    enum status status;

    if (run->store < 0)
        return SMTP_ANSWER_ACCEPTED;
    buffer_init(&head, SINK_STORE_BYTES_MAX);
    status = buffer_printf(&head,
                           "X-Sink-Helo: %.*s\r\nX-Sink-From: <%.*s>\r\nX-Sink-To: %.*s\r\n"
                           "X-Sink-Tls: %s\r\n",
                           SLICE_ARGS(helo), SLICE_ARGS(buffer_contents(&s->sender)),
                           SLICE_ARGS(buffer_contents(&s->recipients)), tls_text(s, tls));
    if (status == STATUS_OK)
        status = sink_store_open(&s->store, run->store, atomic_fetch_add(&run->next_file, 1),
                                 buffer_contents(&head));
    buffer_finish(&head);
    if (status != STATUS_OK)
        return refusal(452, "4.3.1", "The store cannot be written");
    return SMTP_ANSWER_ACCEPTED;
}

static void answer_command(struct sink_session *s, const struct smtp_server_event *event)
{
    struct smtp_answer answer;
    struct smtp_server_event next;

    if (event->kind == SMTP_SERVER_ASK_MAIL)
        answer = answer_mail(s, &event->command);
    else if (event->kind == SMTP_SERVER_ASK_RCPT)
        answer = answer_rcpt(s, &event->command);
    else
        answer = answer_data(s);
    if (event->kind == SMTP_SERVER_ASK_DATA && answer.code == 0)
        gateway_channel_expect_bulk(&s->channel, true);
    next = smtp_server_answer(&s->smtp, &answer, gateway_channel_output(&s->channel));
    act(s, &next, (struct slice){ 0 });
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void start_tls(struct sink_session *s, struct slice behind)
{
    struct tls_session *session;

    /* RFC 3207 4.2: nothing that was said in the clear may count after the handshake. */
    if (behind.len > 0 ||
        tls_session_create(s->worker->tls, TLS_ROLE_SERVER, NULL, &session) != STATUS_OK) {
        leave(s, false);
        return;
    }
    gateway_channel_set_deadline(&s->channel, SINK_HANDSHAKE_MS);
    gateway_channel_secure(&s->channel, session);
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct sink_session *s = session_of(c);

    if (!success) {
        leave(s, true);
        return;
    }
    sink_count(&s->worker->tallies.tls, 1);
    if (tls_session_is_resumed(gateway_channel_tls(c)))
        sink_count(&s->worker->tallies.resumed, 1);
    smtp_server_tls_started(&s->smtp);
    renew_deadline(s);
    gateway_channel_resume(c);
    shut_down_if_stopping(s);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

/* behind: the input that the event's call did not take. */
static void act(struct sink_session *s, const struct smtp_server_event *event, struct slice behind)
{
    if (event->transaction_dropped) {
        sink_count(&s->worker->tallies.dropped, 1);
        gateway_channel_expect_bulk(&s->channel, false);
        forget_transaction(s);
    }
    switch (event->kind) {
    case SMTP_SERVER_MORE:
    case SMTP_SERVER_REPLIED: break;
    case SMTP_SERVER_ASK_MAIL:
    case SMTP_SERVER_ASK_RCPT:
    case SMTP_SERVER_ASK_DATA: answer_command(s, event); break;
    case SMTP_SERVER_BODY:
        /* A failure is seen again, and told, when the store is closed. */
        if (s->worker->run->store >= 0)
            (void)!sink_store_write(&s->store, event->body);
        break;
    case SMTP_SERVER_END: message_came(s, &event->end); break;
    case SMTP_SERVER_STARTTLS: start_tls(s, behind); break;
    case SMTP_SERVER_XCLIENT: UNREACHABLE(); /* not offered */
    case SMTP_SERVER_CLOSE: leave(s, true); break;
    }
}

static void wait_for_reader(struct sink_session *s)
{
    struct gateway_channel *c = &s->channel;

    if (buffer_len(gateway_channel_output(c)) <= SINK_OUTPUT_HIGH)
        return;
    gateway_channel_flush(c);
    if (buffer_len(gateway_channel_output(c)) <= SINK_OUTPUT_HIGH || gateway_channel_is_paused(c) ||
        gateway_channel_is_closing(c))
        return;
    s->wait = SINK_WAIT_DRAIN;
    gateway_channel_pause(c);
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct sink_session *s = session_of(c);
    bool has_progress = false;
    size_t total = 0;

    while (total < bytes.len && !gateway_channel_is_paused(c) && !gateway_channel_is_closing(c)) {
        size_t used = 0;
        struct smtp_server_event event =
            smtp_server_feed(&s->smtp, slice_after(bytes, total), &used, gateway_channel_output(c));

        total += used;
        has_progress = has_progress || event.kind != SMTP_SERVER_MORE;
        act(s, &event, slice_after(bytes, total));
        wait_for_reader(s);
    }
    if (s->wait != SINK_WAIT_DELAY && (has_progress || s->wait == SINK_WAIT_DRAIN) &&
        smtp_server_timeout_ms(&s->smtp) > 0)
        renew_deadline(s);
    shut_down_if_stopping(s);
    return total;
}

static void on_drained(struct gateway_channel *c)
{
    struct sink_session *s = session_of(c);

    if (s->wait == SINK_WAIT_DRAIN)
        wait_over(s);
}

static void on_expired(struct gateway_channel *c)
{
    struct sink_session *s = session_of(c);
    struct smtp_server_event event;

    if (s->wait != SINK_WAIT_NONE || smtp_server_timeout_ms(&s->smtp) == 0) {
        leave(s, false); /* it does not read, or does not finish its handshake */
        return;
    }
    event = smtp_server_expire(&s->smtp, gateway_channel_output(c));
    act(s, &event, (struct slice){ 0 });
}

/* --- from the worker ------------------------------------------------------------------------- */

void sink_session_stop(struct sink_session *s, bool at_once)
{
    s->is_stopping = true;
    if (!at_once) {
        shut_down_if_stopping(s);
        return;
    }
    engine_timer_stop(s->worker->hand.loop, &s->delay);
    gateway_channel_reset(&s->channel);
}

void sink_session_accept(struct sink_worker *w, int fd)
{
    struct sink_session *s = calloc(1, sizeof(*s));
    struct smtp_server_event event;

    if (s == NULL ||
        gateway_channel_adopt(&s->channel, w->hand.loop, &channel_handlers, fd) != STATUS_OK) {
        if (s == NULL)
            (void)close(fd);
        free(s);
        return;
    }
    s->worker = w;
    s->store.fd = -1;
    buffer_init(&s->sender, SMTP_MAILBOX_BYTES_MAX);
    buffer_init(&s->recipients, SINK_ENVELOPE_BYTES);
    smtp_server_init(&s->smtp, &w->run->smtp_options);
    list_append(&w->sessions, &s->node);
    sink_count(&w->tallies.connections, 1);
    sink_count(&w->tallies.open, 1);
    event = smtp_server_greet(&s->smtp, gateway_channel_output(&s->channel));
    act(s, &event, (struct slice){ 0 });
    if (gateway_channel_is_closing(&s->channel))
        return;
    renew_deadline(s);
    gateway_channel_resume(&s->channel);
}
