#include "gateway/hop.h"

#include <errno.h>

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

static void act(struct gateway_hop *h, const struct smtp_client_event *event, struct slice behind);

static struct gateway_hop *hop_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct gateway_hop, channel);
}

/* The one place that assigns the state. */
static void enter(struct gateway_hop *h, enum gateway_hop_state next)
{
    ASSERT(h->state != GATEWAY_HOP_LEAVING);
    h->state = next;
}

/* Until it is open: the time of the step, unless there is one for all of them. */
static void set_step_time(struct gateway_hop *h, uint64_t step_ms)
{
    if (h->options.opening_ms == 0)
        gateway_channel_set_deadline(&h->channel, step_ms);
}

/* --- the end --------------------------------------------------------------------------------- */

void gateway_hop_reset(struct gateway_hop *h)
{
    if (h->state != GATEWAY_HOP_LEAVING)
        enter(h, GATEWAY_HOP_LEAVING);
    gateway_channel_reset(&h->channel);
}

static void fail(struct gateway_hop *h, struct gateway_hop_end *end)
{
    bool is_orderly = end->kind == GATEWAY_HOP_END_QUIT || h->has_ended ||
                      (end->kind == GATEWAY_HOP_END_TLS &&
                       (end->how == POLICY_TLS_NOT_OFFERED || end->how == POLICY_TLS_REFUSED));

    end->was_securing =
        h->state == GATEWAY_HOP_SECURING && end->event.failure != SMTP_CLIENT_FAILURE_NO_MEMORY;
    enter(h, GATEWAY_HOP_LEAVING);
    if (is_orderly)
        gateway_channel_close(&h->channel);
    else
        gateway_channel_reset(&h->channel);
    h->handlers->failed(h, end);
}

static void fail_by_event(struct gateway_hop *h, const struct smtp_client_event *event)
{
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_SMTP, .event = *event };

    ASSERT(event->kind == SMTP_CLIENT_FAILED);
    if (h->state == GATEWAY_HOP_QUITTING)
        end.kind = GATEWAY_HOP_END_QUIT; /* all is said and done */
    fail(h, &end);
}

/* Our own fault, whatever was under way. */
static void fail_by_memory(struct gateway_hop *h)
{
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_SMTP };

    end.event = smtp_client_ended(&h->smtp);
    end.event.failure = SMTP_CLIENT_FAILURE_NO_MEMORY;
    fail(h, &end);
}

static void on_closed(struct gateway_channel *c)
{
    struct gateway_hop *h = hop_of(c);

    if (h->state != GATEWAY_HOP_LEAVING)
        fail_by_memory(h); /* the channel gave up: it had to keep or encrypt something */
    smtp_client_finish(&h->smtp);
    h->handlers->closed(h);
}

void gateway_hop_quit(struct gateway_hop *h)
{
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_QUIT };
    struct smtp_client_event event;

    ASSERT(h->state == GATEWAY_HOP_OPEN);
    enter(h, GATEWAY_HOP_QUITTING);
    event = smtp_client_quit(&h->smtp, gateway_channel_output(&h->channel));
    gateway_channel_flush(&h->channel);
    gateway_channel_set_deadline(&h->channel, smtp_client_timeout_ms(&h->smtp));
    if (event.kind == SMTP_CLIENT_FAILED)
        fail(h, &end);
}

/* --- opening --------------------------------------------------------------------------------- */

static void opened(struct gateway_hop *h)
{
    enter(h, GATEWAY_HOP_OPEN);
    gateway_channel_set_deadline(&h->channel, 0);
    h->handlers->opened(h);
}

/* The demand, applied to how it went. */
static void judge_tls(struct gateway_hop *h, enum policy_tls_event how)
{
    struct gateway_hop_end end = {
        .kind = GATEWAY_HOP_END_TLS,
        .how = how,
        .action = policy_tls_outcome(&h->options.demand, how),
    };

    switch (end.action) {
    case POLICY_TLS_SEND_CLEAR:
    case POLICY_TLS_SEND_ENCRYPTED: break;
    case POLICY_TLS_TRY_CLEAR:
    case POLICY_TLS_TRY_NEXT: fail(h, &end); return;
    }
    opened(h);
}

static void unsecured(struct gateway_hop *h, struct slice why, enum policy_tls_event how)
{
    h->handlers->unsecured(h, why);
    judge_tls(h, how);
}

static void answered(struct gateway_hop *h)
{
    struct smtp_client_event event;

    if (h->handlers->answered != NULL)
        h->handlers->answered(h);
    if (gateway_channel_is_secure(&h->channel)) {
        opened(h); /* it was judged before the second EHLO */
    } else if (!h->options.demand.is_wanted) {
        opened(h);
    } else if (!smtp_client_capabilities(&h->smtp)->starttls) {
        judge_tls(h, POLICY_TLS_NOT_OFFERED);
    } else {
        enter(h, GATEWAY_HOP_SECURING);
        event = smtp_client_starttls(&h->smtp, gateway_channel_output(&h->channel));
        gateway_channel_flush(&h->channel);
        act(h, &event, (struct slice){ 0 });
    }
}

static void start_tls(struct gateway_hop *h, struct slice behind)
{
    struct tls_session *session;

    if (behind.len > 0) {
        /* RFC 3207 section 6: what came in the clear behind the 220 is an attack. */
        unsecured(h, SLICE("plaintext behind the reply to STARTTLS"), POLICY_TLS_HANDSHAKE_FAILED);
        return;
    }
    if (h->handlers->session(h, &session) != STATUS_OK) {
        fail_by_memory(h);
        return;
    }
    set_step_time(h, GATEWAY_HOP_HANDSHAKE_MS);
    gateway_channel_secure(&h->channel, session);
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct gateway_hop *h = hop_of(c);

    if (h->state == GATEWAY_HOP_LEAVING)
        return;
    if (!success && tls_session_lacks_memory(gateway_channel_tls(c))) {
        fail_by_memory(h);
        return;
    }
    if (!success) {
        unsecured(h, slice_from(tls_session_error(gateway_channel_tls(c))),
                  POLICY_TLS_HANDSHAKE_FAILED);
        return;
    }
    enter(h, GATEWAY_HOP_JUDGING);
    set_step_time(h, GATEWAY_HOP_JUDGE_MS);
    h->handlers->secured(h);
}

void gateway_hop_judged(struct gateway_hop *h, bool is_verified, struct slice why)
{
    enum policy_tls_event how = is_verified ? POLICY_TLS_ESTABLISHED : POLICY_TLS_UNVERIFIED;
    struct smtp_client_event event;

    ASSERT(h->state == GATEWAY_HOP_JUDGING);
    if (!is_verified && policy_tls_outcome(&h->options.demand, how) != POLICY_TLS_SEND_ENCRYPTED) {
        unsecured(h, why, how);
        return;
    }
    enter(h, GATEWAY_HOP_GREETING);
    event = smtp_client_tls_started(&h->smtp, gateway_channel_output(&h->channel));
    gateway_channel_flush(&h->channel);
    set_step_time(h, smtp_client_timeout_ms(&h->smtp));
    act(h, &event, (struct slice){ 0 });
    gateway_channel_resume(&h->channel);
}

static void on_connected(struct gateway_channel *c, int error)
{
    struct gateway_hop *h = hop_of(c);
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_CONNECT, .error = error };

    if (error != 0) {
        fail(h, &end);
        return;
    }
    enter(h, GATEWAY_HOP_GREETING);
    set_step_time(h, smtp_client_timeout_ms(&h->smtp));
    if (h->handlers->connected != NULL)
        h->handlers->connected(h);
    gateway_channel_resume(c);
}

static uint32_t at_most(uint32_t ms, uint32_t ms_max)
{
    return ms_max > 0 && ms_max < ms ? ms_max : ms;
}

static struct smtp_client_options smtp_options_of(const struct gateway_hop_options *options)
{
    uint32_t most = options->reply_ms_max;

    return (struct smtp_client_options){
        .hostname = options->hostname,
        .greeting_ms_max = at_most(SMTP_CLIENT_GREETING_MS, most),
        .command_ms_max = at_most(SMTP_CLIENT_COMMAND_MS, most),
        .data_ms_max = at_most(SMTP_CLIENT_DATA_MS, most),
        .body_ms_max = at_most(SMTP_CLIENT_BODY_MS, most),
        .final_ms_max = at_most(SMTP_CLIENT_FINAL_MS, most),
        .quit_ms_max = GATEWAY_HOP_QUIT_MS,
    };
}

void gateway_hop_open(struct gateway_hop *h, struct engine_loop *loop,
                      const struct gateway_hop_handlers *handlers,
                      const struct gateway_hop_options *options)
{
    ASSERT(options->demand.obstacle == POLICY_TLS_NO_OBSTACLE);
    h->handlers = handlers;
    h->options = *options;
    h->smtp_options = smtp_options_of(options);
    h->state = GATEWAY_HOP_CONNECTING;
    h->was_greeted = false;
    smtp_client_init(&h->smtp, &h->smtp_options);
    gateway_channel_connect(&h->channel, loop, &channel_handlers, &h->options.remote);
    gateway_channel_set_deadline(&h->channel, options->opening_ms > 0 ? options->opening_ms
                                                                      : GATEWAY_HOP_CONNECT_MS);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

static void act(struct gateway_hop *h, const struct smtp_client_event *event, struct slice behind)
{
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_QUIT };

    switch (event->kind) {
    case SMTP_CLIENT_MORE: break;
    case SMTP_CLIENT_READY: answered(h); break;
    case SMTP_CLIENT_TLS_GO: start_tls(h, behind); break;
    case SMTP_CLIENT_TLS_REFUSED:
        enter(h, GATEWAY_HOP_GREETING);
        if (h->handlers->refused != NULL)
            h->handlers->refused(h, &event->reply);
        unsecured(h, SLICE("STARTTLS unexpected response"), POLICY_TLS_REFUSED);
        break;
    case SMTP_CLIENT_RECIPIENT:
    case SMTP_CLIENT_BODY_WANTED:
    case SMTP_CLIENT_DONE: h->handlers->event(h, event); break;
    case SMTP_CLIENT_BYE: fail(h, &end); break;
    case SMTP_CLIENT_FAILED: fail_by_event(h, event); break;
    }
}

static void look_for_greeting(struct gateway_hop *h, const struct smtp_client_event *event)
{
    if (h->was_greeted || !smtp_client_is_greeted(&h->smtp) || event->kind == SMTP_CLIENT_FAILED)
        return;
    h->was_greeted = true;
    if (h->handlers->greeted != NULL)
        h->handlers->greeted(h);
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct gateway_hop *h = hop_of(c);
    struct smtp_client_event event = { .kind = SMTP_CLIENT_READY };
    size_t total = 0;

    /* Until MORE, also when all bytes are taken: one reply can be the cause of two events. */
    while (event.kind != SMTP_CLIENT_MORE && !gateway_channel_is_paused(c) &&
           !gateway_channel_is_closing(c)) {
        size_t used = 0;

        event =
            smtp_client_feed(&h->smtp, slice_after(bytes, total), &used, gateway_channel_output(c));
        total += used;
        look_for_greeting(h, &event);
        act(h, &event, slice_after(bytes, total));
        if (event.kind != SMTP_CLIENT_MORE && h->state == GATEWAY_HOP_GREETING)
            set_step_time(h, smtp_client_timeout_ms(&h->smtp));
    }
    return total;
}

static void on_drained(struct gateway_channel *c)
{
    struct gateway_hop *h = hop_of(c);

    if (h->state == GATEWAY_HOP_OPEN)
        h->handlers->drained(h);
}

static void on_settled(struct gateway_channel *c)
{
    struct gateway_hop *h = hop_of(c);

    if (h->handlers->settled != NULL)
        h->handlers->settled(h);
}

static void time_out(struct gateway_hop *h)
{
    struct smtp_client_event event = { .kind = SMTP_CLIENT_FAILED,
                                       .failure = SMTP_CLIENT_FAILURE_TIMEOUT };

    if (smtp_client_timeout_ms(&h->smtp) > 0)
        event = smtp_client_expire(&h->smtp);
    act(h, &event, (struct slice){ 0 });
}

static void on_expired(struct gateway_channel *c)
{
    struct gateway_hop *h = hop_of(c);
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_CONNECT, .error = ETIMEDOUT };

    switch (h->state) {
    case GATEWAY_HOP_CONNECTING: fail(h, &end); break;
    case GATEWAY_HOP_GREETING:
    case GATEWAY_HOP_QUITTING: time_out(h); break;
    case GATEWAY_HOP_SECURING:
        if (gateway_channel_tls(c) == NULL)
            time_out(h); /* the command itself had no answer */
        else
            unsecured(h, SLICE("timeout"), POLICY_TLS_HANDSHAKE_FAILED);
        break;
    case GATEWAY_HOP_JUDGING:
        h->handlers->judge_now(h);
        ASSERT(h->state != GATEWAY_HOP_JUDGING);
        break;
    case GATEWAY_HOP_OPEN:
        if (smtp_client_timeout_ms(&h->smtp) > 0)
            time_out(h);
        else
            h->handlers->idle(h);
        break;
    case GATEWAY_HOP_LEAVING: UNREACHABLE();
    }
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct gateway_hop *h = hop_of(c);
    struct gateway_hop_end end = { .kind = GATEWAY_HOP_END_QUIT };
    struct smtp_client_event event;
    bool is_idle = h->state == GATEWAY_HOP_OPEN && smtp_client_is_ready(&h->smtp);

    if (h->state == GATEWAY_HOP_LEAVING)
        return;
    /* In good order, or by a record of TLS that the peer is to be told of. */
    h->has_ended = error == 0 || error == EPROTO;
    event = smtp_client_ended(&h->smtp);
    if (is_idle && event.kind == SMTP_CLIENT_FAILED)
        fail(h, &end); /* it had nothing to do either */
    else
        act(h, &event, (struct slice){ 0 });
}

/* --- for the owner --------------------------------------------------------------------------- */

void gateway_hop_go(struct gateway_hop *h, const struct smtp_client_event *event)
{
    gateway_channel_flush(&h->channel);
    act(h, event, (struct slice){ 0 });
}

void gateway_hop_set_time(struct gateway_hop *h, uint64_t more_ms)
{
    if (h->state == GATEWAY_HOP_OPEN)
        gateway_channel_set_deadline(&h->channel, smtp_client_timeout_ms(&h->smtp) + more_ms);
}
