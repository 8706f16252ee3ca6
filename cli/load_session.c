#include "cli/load_session.h"

#include <errno.h>
#include <stdio.h>

#include "cli/load_letter.h"
#include "cli/load_worker.h"

static size_t on_input(struct gateway_channel *c, struct slice bytes);
static void on_drained(struct gateway_channel *c);
static void on_connected(struct gateway_channel *c, int error);
static void on_secured(struct gateway_channel *c, bool success);
static void on_expired(struct gateway_channel *c);
static void on_ended(struct gateway_channel *c, int error);
static void on_closed(struct gateway_channel *c);

static const struct gateway_channel_handlers channel_handlers = {
    .input = on_input,
    .drained = on_drained,
    .connected = on_connected,
    .secured = on_secured,
    .expired = on_expired,
    .ended = on_ended,
    .closed = on_closed,
};

static void act(struct load_session *s, const struct smtp_client_event *event, struct slice behind);
static void proceed(struct load_session *s);

static struct load_session *session_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct load_session, channel);
}

static const struct load_options *options_of(const struct load_session *s)
{
    return s->worker->run->options;
}

/* The one place that assigns the state. */
static void enter(struct load_session *s, enum load_session_state next)
{
    ASSERT(s->state != LOAD_SESSION_FINISHED);
    s->state = (uint8_t)next;
}

static void renew_deadline(struct load_session *s)
{
    gateway_channel_set_deadline(&s->channel, smtp_client_timeout_ms(&s->smtp));
}

/* --- the end --------------------------------------------------------------------------------- */

static void finish(struct load_session *s)
{
    enter(s, LOAD_SESSION_FINISHED);
    load_worker_finished(s->worker);
}

/* Neither being opened nor ready any more. */
static void uncount(struct load_session *s)
{
    engine_timer_stop(s->worker->hand.loop, &s->timer);
    s->is_body_leaving = false;
    if (s->is_counted)
        atomic_fetch_sub_explicit(&s->worker->stats.tallies.ready, 1, memory_order_relaxed);
    s->is_counted = false;
    if (s->is_opening) {
        s->is_opening = false;
        load_worker_opened(s->worker);
    }
}

static void leave(struct load_session *s, bool is_clean)
{
    if (s->state == LOAD_SESSION_CLOSING)
        return;
    enter(s, LOAD_SESSION_CLOSING);
    uncount(s);
    if (is_clean)
        gateway_channel_close(&s->channel);
    else
        gateway_channel_reset(&s->channel);
}

static void message_ended(struct load_session *s, bool is_accepted)
{
    struct load_worker *w = s->worker;

    ASSERT(s->has_ticket);
    s->has_ticket = false;
    s->sent_count++;
    w->stats.ended_ns = cli_now_ns();
    if (is_accepted) {
        load_histogram_record(&w->stats.message_us, (w->stats.ended_ns - s->began_ns) / 1000);
        load_histogram_record(&w->stats.dot_us, (w->stats.ended_ns - s->dot_ns) / 1000);
        load_worker_accepted(w, s->ticket, load_message_bytes(&s->letter->message));
    } else {
        atomic_fetch_add_explicit(&w->stats.tallies.failed, 1, memory_order_relaxed);
    }
}

static void account(struct load_session *s, unsigned code, struct slice text)
{
    load_stats_error(&s->worker->stats, code, text);
    if (s->state == LOAD_SESSION_SENDING)
        message_ended(s, false);
    else
        s->failures++;
}

/* The connection is of no use any more. */
static void trouble(struct load_session *s, unsigned code, struct slice text)
{
    if (s->state == LOAD_SESSION_CLOSING)
        return;
    account(s, code, text);
    leave(s, false);
}

static void give_up(struct load_session *s)
{
    s->worker->stats.sessions_given_up++;
    if (s->has_ticket)
        message_ended(s, false);
    finish(s);
}

static void on_due(struct engine_timer *timer)
{
    proceed(CONTAINER_OF(timer, struct load_session, timer));
}

static void retry_later(struct load_session *s)
{
    uint64_t wait_ms = LOAD_RETRY_MS;

    for (uint32_t i = 1; i < s->failures && wait_ms < LOAD_RETRY_MS_MAX; i++)
        wait_ms *= 2;
    engine_timer_start(s->worker->hand.loop, &s->timer, wait_ms, on_due);
}

static void on_closed(struct gateway_channel *c)
{
    struct load_session *s = session_of(c);

    if (s->state != LOAD_SESSION_CLOSING) {
        account(s, LOAD_ERROR_LOST, SLICE("the connection broke"));
        uncount(s);
    }
    smtp_client_finish(&s->smtp);
    enter(s, LOAD_SESSION_OFF);
    if (s->worker->is_stopping || s->failures == 0)
        proceed(s);
    else if (options_of(s)->idle && s->is_greeted)
        give_up(s); /* it was there, and is missed */
    else if (s->failures > options_of(s)->retries)
        give_up(s);
    else
        retry_later(s);
}

static void quit(struct load_session *s)
{
    struct smtp_client_event event;

    enter(s, LOAD_SESSION_QUITTING);
    event = smtp_client_quit(&s->smtp, gateway_channel_output(&s->channel));
    gateway_channel_flush(&s->channel);
    renew_deadline(s);
    act(s, &event, (struct slice){ 0 });
}

/* --- messages -------------------------------------------------------------------------------- */

static void send_message(struct load_session *s)
{
    struct load_worker *w = s->worker;
    struct smtp_client_event event;

    enter(s, LOAD_SESSION_SENDING);
    s->began_ns = cli_now_ns();
    if (s->letter == NULL)
        s->letter = load_letter_create(options_of(s));
    if (s->letter == NULL) {
        trouble(s, LOAD_ERROR_MEMORY, SLICE("no memory for a message"));
        return;
    }
    load_letter_write(s->letter, options_of(s), w->run->id, s->ticket, load_worker_date(w));
    event = smtp_client_send(&s->smtp, &s->letter->envelope, gateway_channel_output(&s->channel));
    gateway_channel_flush(&s->channel);
    renew_deadline(s);
    act(s, &event, (struct slice){ 0 });
}

/* Makes as much of the body as may wait; the rest follows when that has left. */
static void send_body(struct load_session *s)
{
    struct buffer *output = gateway_channel_output(&s->channel);
    struct smtp_client_event event;
    bool is_done = false;

    if (load_message_next(&s->letter->message, LOAD_BODY_HIGH, output, &is_done) != STATUS_OK) {
        trouble(s, LOAD_ERROR_MEMORY, SLICE("no memory for a body"));
        return;
    }
    s->is_body_leaving = !is_done;
    if (is_done) {
        s->dot_ns = cli_now_ns();
        event = smtp_client_body_sent(&s->smtp, output);
        gateway_channel_flush(&s->channel);
        renew_deadline(s);
        act(s, &event, (struct slice){ 0 });
    } else {
        gateway_channel_flush(&s->channel);
        renew_deadline(s);
    }
}

static void on_drained(struct gateway_channel *c)
{
    struct load_session *s = session_of(c);

    if (s->state == LOAD_SESSION_SENDING && s->is_body_leaving)
        send_body(s);
}

static void recipient_answered(struct load_session *s, const struct smtp_reply *reply)
{
    if (smtp_reply_is_positive(reply))
        return;
    s->worker->stats.recipients_refused++;
    load_stats_error(&s->worker->stats, reply->code, reply->text);
}

static void message_done(struct load_session *s, const struct smtp_client_event *event)
{
    bool is_accepted =
        event->stage == SMTP_CLIENT_STAGE_FINAL && smtp_reply_is_positive(&event->reply);

    /* Refused recipients have been counted one by one. */
    if (!is_accepted && event->stage != SMTP_CLIENT_STAGE_RCPT)
        load_stats_error(&s->worker->stats, event->reply.code, event->reply.text);
    message_ended(s, is_accepted);
    enter(s, LOAD_SESSION_READY);
    if (s->sent_count >= options_of(s)->per_connection)
        quit(s);
    else
        proceed(s);
}

/* False: nothing is left to do. */
static bool has_work(struct load_session *s)
{
    if (s->worker->is_stopping)
        s->has_ticket = false;
    else if (options_of(s)->idle)
        return true;
    else if (!s->has_ticket)
        s->has_ticket = load_worker_take_ticket(s->worker, &s->ticket);
    return s->has_ticket;
}

/* In OFF or READY: what comes next. */
static void proceed(struct load_session *s)
{
    bool is_open = s->state == LOAD_SESSION_READY;
    uint64_t wait_ms = 0;

    ASSERT(is_open || s->state == LOAD_SESSION_OFF);
    if (!has_work(s) || !load_worker_is_due(s->worker, s->ticket, &wait_ms)) {
        s->has_ticket = false;
        if (is_open)
            quit(s);
        else
            finish(s);
    } else if (wait_ms > 0) {
        if (is_open)
            renew_deadline(s);
        engine_timer_start(s->worker->hand.loop, &s->timer, wait_ms, on_due);
    } else if (is_open) {
        send_message(s);
    } else {
        enter(s, LOAD_SESSION_QUEUED);
        load_worker_queue(s->worker, s);
    }
}

/* --- opening --------------------------------------------------------------------------------- */

void load_session_connect(struct load_session *s)
{
    const struct load_options *o = options_of(s);
    /* Sessions take the targets in turn, over all workers. */
    uint64_t number = (uint64_t)s->index * o->workers + s->worker->hand.index;

    enter(s, LOAD_SESSION_CONNECTING);
    s->is_opening = true;
    s->is_greeted = false;
    s->sent_count = 0;
    s->began_ns = cli_now_ns();
    smtp_client_init(&s->smtp, &s->worker->smtp_options);
    gateway_channel_connect(&s->channel, s->worker->hand.loop, &channel_handlers,
                            &o->targets[number % o->targets_count]);
    gateway_channel_set_deadline(&s->channel, o->timeout_ms);
}

static void on_connected(struct gateway_channel *c, int error)
{
    struct load_session *s = session_of(c);
    char why[64];

    if (error != 0) {
        errno = error;
        (void)snprintf(why, sizeof(why), "%m");
        trouble(s, LOAD_ERROR_CONNECT, slice_from(why));
        return;
    }
    enter(s, LOAD_SESSION_GREETING);
    renew_deadline(s);
    gateway_channel_resume(c);
}

static void ready(struct load_session *s)
{
    struct load_worker *w = s->worker;

    enter(s, LOAD_SESSION_READY);
    s->failures = 0;
    s->is_counted = true;
    w->stats.sessions_opened++;
    atomic_fetch_add_explicit(&w->stats.tallies.ready, 1, memory_order_relaxed);
    s->is_opening = false;
    load_worker_opened(w);
    if (!options_of(s)->idle) {
        proceed(s);
    } else if (w->is_stopping) {
        quit(s);
    } else {
        enter(s, LOAD_SESSION_HOLDING);
        gateway_channel_set_deadline(&s->channel, 0);
    }
}

static void greeted(struct load_session *s)
{
    enum load_starttls wish = options_of(s)->starttls;
    struct smtp_client_event event;

    if (gateway_channel_is_secure(&s->channel) || wish == LOAD_STARTTLS_NEVER) {
        ready(s);
    } else if (smtp_client_capabilities(&s->smtp)->starttls) {
        enter(s, LOAD_SESSION_SECURING);
        event = smtp_client_starttls(&s->smtp, gateway_channel_output(&s->channel));
        renew_deadline(s);
        act(s, &event, (struct slice){ 0 });
    } else if (wish == LOAD_STARTTLS_OFFERED) {
        ready(s);
    } else {
        trouble(s, LOAD_ERROR_TLS, SLICE("STARTTLS is not offered"));
    }
}

static void start_tls(struct load_session *s, struct slice behind)
{
    struct tls_session *session;

    /* RFC 3207 section 6. */
    if (behind.len > 0)
        trouble(s, LOAD_ERROR_PROTOCOL, SLICE("plaintext behind the reply to STARTTLS"));
    else if (tls_session_create(s->worker->tls, TLS_ROLE_CLIENT, NULL, &session) != STATUS_OK)
        trouble(s, LOAD_ERROR_MEMORY, SLICE("no memory for TLS"));
    else
        gateway_channel_secure(&s->channel, session);
    gateway_channel_set_deadline(&s->channel, options_of(s)->timeout_ms);
}

static void tls_refused(struct load_session *s, const struct smtp_reply *reply)
{
    if (options_of(s)->starttls == LOAD_STARTTLS_REQUIRED)
        trouble(s, reply->code, reply->text);
    else
        ready(s);
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct load_session *s = session_of(c);
    const struct tls_session *tls = gateway_channel_tls(c);
    struct load_stats *stats = &s->worker->stats;
    struct smtp_client_event event;
    const char *why = tls_session_error(tls);

    if (!success) {
        trouble(s, LOAD_ERROR_TLS, slice_from(why[0] != '\0' ? why : "the handshake was cut off"));
        return;
    }
    stats->sessions_tls++;
    if (stats->tls[0] == '\0')
        (void)snprintf(stats->tls, sizeof(stats->tls), "%s %s", tls_session_protocol(tls),
                       tls_session_cipher(tls));
    enter(s, LOAD_SESSION_GREETING);
    event = smtp_client_tls_started(&s->smtp, gateway_channel_output(c));
    renew_deadline(s);
    act(s, &event, (struct slice){ 0 });
    gateway_channel_resume(c);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

static unsigned error_code(const struct smtp_client_event *event)
{
    switch (event->failure) {
    case SMTP_CLIENT_FAILURE_NONE:
    case SMTP_CLIENT_FAILURE_BAD_REPLY: return LOAD_ERROR_PROTOCOL;
    case SMTP_CLIENT_FAILURE_GREETING:
    case SMTP_CLIENT_FAILURE_EHLO:
    case SMTP_CLIENT_FAILURE_CLOSING:
    case SMTP_CLIENT_FAILURE_EARLY:
        return event->reply.code != 0 ? event->reply.code : LOAD_ERROR_PROTOCOL;
    case SMTP_CLIENT_FAILURE_ENDED: return LOAD_ERROR_LOST;
    case SMTP_CLIENT_FAILURE_TIMEOUT: return LOAD_ERROR_TIMEOUT;
    case SMTP_CLIENT_FAILURE_NO_MEMORY: return LOAD_ERROR_MEMORY;
    }
    UNREACHABLE();
}

static void failed(struct load_session *s, const struct smtp_client_event *event)
{
    if (s->state == LOAD_SESSION_QUITTING) {
        leave(s, false); /* all that mattered has been said */
        return;
    }
    trouble(s, error_code(event),
            event->reply.code != 0 ? event->reply.text
                                   : slice_from(smtp_client_failure_text(event->failure)));
}

/* behind: the input that the event's call did not take. */
static void act(struct load_session *s, const struct smtp_client_event *event, struct slice behind)
{
    switch (event->kind) {
    case SMTP_CLIENT_MORE: break;
    case SMTP_CLIENT_READY: greeted(s); break;
    case SMTP_CLIENT_TLS_GO: start_tls(s, behind); break;
    case SMTP_CLIENT_TLS_REFUSED: tls_refused(s, &event->reply); break;
    case SMTP_CLIENT_RECIPIENT: recipient_answered(s, &event->reply); break;
    case SMTP_CLIENT_BODY_WANTED: send_body(s); break;
    case SMTP_CLIENT_DONE: message_done(s, event); break;
    case SMTP_CLIENT_BYE: leave(s, true); break;
    case SMTP_CLIENT_FAILED: failed(s, event); break;
    }
}

static void note_greeting(struct load_session *s)
{
    if (s->is_greeted)
        return;
    s->is_greeted = true;
    load_histogram_record(&s->worker->stats.session_us, (cli_now_ns() - s->began_ns) / 1000);
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct load_session *s = session_of(c);
    size_t total = 0;

    note_greeting(s);
    /* A reply may bring two events, the second without input. */
    while (!gateway_channel_is_paused(c) && !gateway_channel_is_closing(c)) {
        size_t used = 0;
        struct smtp_client_event event =
            smtp_client_feed(&s->smtp, slice_after(bytes, total), &used, gateway_channel_output(c));

        total += used;
        act(s, &event, slice_after(bytes, total));
        if (event.kind == SMTP_CLIENT_MORE)
            break;
        if (!gateway_channel_is_paused(c))
            renew_deadline(s);
    }
    return total;
}

static void on_expired(struct gateway_channel *c)
{
    struct load_session *s = session_of(c);
    struct smtp_client_event event;

    if (s->state == LOAD_SESSION_CONNECTING) {
        trouble(s, LOAD_ERROR_TIMEOUT, SLICE("connecting"));
    } else if (smtp_client_timeout_ms(&s->smtp) == 0) {
        trouble(s, LOAD_ERROR_TIMEOUT, SLICE("TLS handshake"));
    } else {
        event = smtp_client_expire(&s->smtp);
        act(s, &event, (struct slice){ 0 });
    }
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct load_session *s = session_of(c);
    struct smtp_client_event event;
    char why[64];

    if (error != 0) {
        errno = error;
        (void)snprintf(why, sizeof(why), "%m");
        if (s->state == LOAD_SESSION_QUITTING)
            leave(s, false);
        else
            trouble(s, LOAD_ERROR_LOST, slice_from(why));
        return;
    }
    event = smtp_client_ended(&s->smtp);
    act(s, &event, (struct slice){ 0 });
}

/* --- from the worker ------------------------------------------------------------------------- */

void load_session_begin(struct load_session *s, struct load_worker *worker, uint32_t index)
{
    s->worker = worker;
    s->index = index;
    proceed(s);
}

void load_session_stop(struct load_session *s, bool at_once)
{
    switch ((enum load_session_state)s->state) {
    case LOAD_SESSION_OFF:
        engine_timer_stop(s->worker->hand.loop, &s->timer);
        finish(s);
        break;
    case LOAD_SESSION_QUEUED:
        list_remove(&s->node);
        finish(s);
        break;
    case LOAD_SESSION_CONNECTING:
    case LOAD_SESSION_GREETING:
    case LOAD_SESSION_SECURING: leave(s, false); break;
    case LOAD_SESSION_READY:
    case LOAD_SESSION_HOLDING:
        engine_timer_stop(s->worker->hand.loop, &s->timer);
        quit(s);
        break;
    case LOAD_SESSION_SENDING:
        if (at_once)
            trouble(s, LOAD_ERROR_INTERRUPTED, SLICE("by a second signal"));
        break;
    case LOAD_SESSION_QUITTING:
        if (at_once)
            leave(s, false);
        break;
    case LOAD_SESSION_CLOSING:
        if (at_once)
            gateway_channel_reset(&s->channel);
        break;
    case LOAD_SESSION_FINISHED: break;
    }
}

void load_session_finish(struct load_session *s)
{
    load_letter_destroy(s->letter);
    s->letter = NULL;
}
