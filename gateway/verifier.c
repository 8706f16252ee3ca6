#include "gateway/verifier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHY_BYTES_MAX (GATEWAY_VERIFIER_REPLY_MAX + 128)

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

static void act(struct gateway_verifier *v, const struct smtp_client_event *event);

static struct gateway_verifier *verifier_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct gateway_verifier, channel);
}

/* The one place that assigns the state. */
static void enter(struct gateway_verifier *v, enum gateway_verifier_state next)
{
    ASSERT(v->state != GATEWAY_VERIFIER_LEAVING);
    v->state = next;
}

/* --- the end --------------------------------------------------------------------------------- */

static void lose(struct gateway_verifier *v, struct slice why, bool is_graceful)
{
    bool was_idle = v->state == GATEWAY_VERIFIER_IDLE;

    enter(v, GATEWAY_VERIFIER_LEAVING);
    if (is_graceful)
        gateway_channel_close(&v->channel);
    else
        gateway_channel_reset(&v->channel);
    v->handlers->gone(v, was_idle ? SLICE("") : why);
}

const char *gateway_verifier_reply_text(const struct smtp_reply *reply,
                                        char text[static GATEWAY_VERIFIER_REPLY_MAX])
{
    const struct smtp_enhanced *e = &reply->enhanced;

    if (e->class == 0)
        (void)snprintf(text, GATEWAY_VERIFIER_REPLY_MAX, "%u %.*s", reply->code,
                       SLICE_ARGS(reply->text));
    else
        (void)snprintf(text, GATEWAY_VERIFIER_REPLY_MAX, "%u %u.%u.%u %.*s", reply->code, e->class,
                       e->subject, e->detail, SLICE_ARGS(reply->text));
    return text;
}

/* "TLS: no memory", "refused by the greeting: 554 5.7.1 Go away". */
static void lose_by(struct gateway_verifier *v, const char *what, const struct smtp_reply *reply,
                    bool is_graceful)
{
    char text[GATEWAY_VERIFIER_REPLY_MAX], why[WHY_BYTES_MAX];
    bool has_reply = reply != NULL && reply->code != 0;

    (void)snprintf(why, sizeof(why), "%s%s%s", what, has_reply ? ": " : "",
                   has_reply ? gateway_verifier_reply_text(reply, text) : "");
    lose(v, slice_from(why), is_graceful);
}

void gateway_verifier_quit(struct gateway_verifier *v)
{
    struct smtp_client_event event;

    ASSERT(v->state == GATEWAY_VERIFIER_IDLE);
    enter(v, GATEWAY_VERIFIER_LEAVING);
    event = smtp_client_quit(&v->smtp, gateway_channel_output(&v->channel));
    gateway_channel_flush(&v->channel);
    gateway_channel_set_deadline(&v->channel, GATEWAY_VERIFIER_QUIT_MS);
    if (event.kind == SMTP_CLIENT_FAILED)
        gateway_channel_reset(&v->channel);
    v->handlers->gone(v, SLICE(""));
}

void gateway_verifier_drop(struct gateway_verifier *v)
{
    if (v->state != GATEWAY_VERIFIER_LEAVING)
        enter(v, GATEWAY_VERIFIER_LEAVING);
    gateway_channel_reset(&v->channel);
}

static void on_closed(struct gateway_channel *c)
{
    struct gateway_verifier *v = verifier_of(c);

    if (v->state != GATEWAY_VERIFIER_LEAVING) {
        /* The channel gave up by itself: no memory for what it had to keep or encrypt. */
        enter(v, GATEWAY_VERIFIER_LEAVING);
        v->handlers->gone(v, SLICE("no memory"));
    }
    smtp_client_finish(&v->smtp);
    v->handlers->closed(v);
}

/* --- opening --------------------------------------------------------------------------------- */

static void opened(struct gateway_verifier *v)
{
    enter(v, GATEWAY_VERIFIER_IDLE);
    gateway_channel_set_deadline(&v->channel, GATEWAY_VERIFIER_IDLE_MS);
    v->handlers->opened(v);
}

/* The destination's TLS rule, applied to how it went. */
static void judge_tls(struct gateway_verifier *v, enum policy_tls_event how, const char *why,
                      const struct smtp_reply *reply)
{
    switch (policy_tls_outcome(v->policy->tls, how)) {
    case POLICY_TLS_SEND_CLEAR:
    case POLICY_TLS_SEND_ENCRYPTED: opened(v); return;
    case POLICY_TLS_TRY_NEXT: break;
    }
    lose_by(v, why, reply, true);
}

static void greeted(struct gateway_verifier *v)
{
    struct smtp_client_event event;

    if (gateway_channel_is_secure(&v->channel)) {
        judge_tls(v, POLICY_TLS_ESTABLISHED, "TLS", NULL);
    } else if (!policy_tls_is_wanted(v->policy->tls)) {
        opened(v);
    } else if (!smtp_client_capabilities(&v->smtp)->starttls) {
        judge_tls(v, POLICY_TLS_NOT_OFFERED, "TLS is required and not offered", NULL);
    } else {
        enter(v, GATEWAY_VERIFIER_SECURING);
        event = smtp_client_starttls(&v->smtp, gateway_channel_output(&v->channel));
        act(v, &event);
    }
}

static void start_tls(struct gateway_verifier *v, struct slice behind)
{
    struct tls_session *session;

    if (behind.len > 0) /* RFC 3207 section 6: what came in the clear behind the 220 is an attack */
        lose_by(v, "TLS: plaintext behind the reply to STARTTLS", NULL, false);
    else if (tls_session_create(v->view->client, TLS_ROLE_CLIENT, NULL, &session) != STATUS_OK)
        lose_by(v, "TLS: no memory", NULL, false);
    else
        gateway_channel_secure(&v->channel, session);
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct gateway_verifier *v = verifier_of(c);
    struct smtp_client_event event;
    char why[WHY_BYTES_MAX];

    if (v->state == GATEWAY_VERIFIER_LEAVING)
        return;
    if (!success) {
        (void)snprintf(why, sizeof(why), "TLS: %s", tls_session_error(gateway_channel_tls(c)));
        judge_tls(v, POLICY_TLS_HANDSHAKE_FAILED, why, NULL);
        return;
    }
    enter(v, GATEWAY_VERIFIER_GREETING);
    event = smtp_client_tls_started(&v->smtp, gateway_channel_output(c));
    act(v, &event);
    gateway_channel_resume(c);
}

static void on_connected(struct gateway_channel *c, int error)
{
    struct gateway_verifier *v = verifier_of(c);
    const char *name;

    if (error != 0) {
        name = error == ETIMEDOUT ? "timeout" : strerrordesc_np(error);
        lose_by(v, name != NULL ? name : "unknown error", NULL, false);
        return;
    }
    enter(v, GATEWAY_VERIFIER_GREETING);
    gateway_channel_resume(c);
}

void gateway_verifier_open(struct gateway_verifier *v, struct engine_loop *loop,
                           const struct gateway_verifier_handlers *handlers,
                           const struct gateway_view *view, const struct policy_destination *policy,
                           const struct ip_endpoint *remote, uint64_t opening_ms)
{
    ASSERT(opening_ms > 0);
    v->handlers = handlers;
    v->view = view;
    v->policy = policy;
    v->state = GATEWAY_VERIFIER_CONNECTING;
    v->options = (struct smtp_client_options){
        .hostname = slice_from(gateway_view_settings(view)->hostname),
    };
    smtp_client_init(&v->smtp, &v->options);
    gateway_channel_connect(&v->channel, loop, &channel_handlers, remote);
    gateway_channel_set_deadline(&v->channel, opening_ms);
}

/* --- questions ------------------------------------------------------------------------------- */

void gateway_verifier_ask(struct gateway_verifier *v, struct slice recipient, bool smtputf8)
{
    struct smtp_client_event event;

    ASSERT(v->state == GATEWAY_VERIFIER_IDLE);
    enter(v, GATEWAY_VERIFIER_ASKING);
    v->recipient = recipient;
    v->question = (struct smtp_client_envelope){ .recipients = &v->recipient,
                                                 .recipients_count = 1,
                                                 .smtputf8 = smtputf8 };
    gateway_channel_set_deadline(&v->channel, 0);
    event = smtp_client_verify(&v->smtp, &v->question, gateway_channel_output(&v->channel));
    gateway_channel_flush(&v->channel);
    act(v, &event);
}

static void answered(struct gateway_verifier *v, const struct smtp_client_event *event)
{
    ASSERT(v->state == GATEWAY_VERIFIER_ASKING);
    enter(v, GATEWAY_VERIFIER_IDLE);
    gateway_channel_set_deadline(&v->channel, GATEWAY_VERIFIER_IDLE_MS);
    v->handlers->answered(v, event);
}

/* --- events of the SMTP machine -------------------------------------------------------------- */

static void act_behind(struct gateway_verifier *v, const struct smtp_client_event *event,
                       struct slice behind)
{
    switch (event->kind) {
    case SMTP_CLIENT_MORE: break;
    case SMTP_CLIENT_READY: greeted(v); break;
    case SMTP_CLIENT_TLS_GO: start_tls(v, behind); break;
    case SMTP_CLIENT_TLS_REFUSED:
        enter(v, GATEWAY_VERIFIER_GREETING);
        judge_tls(v, POLICY_TLS_REFUSED, "STARTTLS refused", &event->reply);
        break;
    case SMTP_CLIENT_DONE: answered(v, event); break;
    case SMTP_CLIENT_BYE: gateway_channel_close(&v->channel); break;
    case SMTP_CLIENT_FAILED:
        if (v->state == GATEWAY_VERIFIER_LEAVING)
            gateway_channel_reset(&v->channel);
        else
            lose_by(v, smtp_client_failure_text(event->failure), &event->reply, true);
        break;
    case SMTP_CLIENT_RECIPIENT:
    case SMTP_CLIENT_BODY_WANTED: UNREACHABLE(); /* nothing is sent */
    }
}

static void act(struct gateway_verifier *v, const struct smtp_client_event *event)
{
    act_behind(v, event, (struct slice){ 0 });
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct gateway_verifier *v = verifier_of(c);
    struct smtp_client_event event = { .kind = SMTP_CLIENT_READY };
    size_t total = 0;

    /* Until MORE, also when all bytes are taken: one reply can be the cause of two events. */
    while (event.kind != SMTP_CLIENT_MORE && !gateway_channel_is_paused(c) &&
           !gateway_channel_is_closing(c)) {
        size_t used = 0;

        event =
            smtp_client_feed(&v->smtp, slice_after(bytes, total), &used, gateway_channel_output(c));
        total += used;
        act_behind(v, &event, slice_after(bytes, total));
    }
    return total;
}

static void on_drained(struct gateway_channel *c)
{
    (void)c; /* what is said here always fits */
}

static void on_expired(struct gateway_channel *c)
{
    struct gateway_verifier *v = verifier_of(c);

    switch (v->state) {
    case GATEWAY_VERIFIER_CONNECTING: lose_by(v, "timeout", NULL, false); break;
    case GATEWAY_VERIFIER_GREETING: lose_by(v, "timeout of the greeting", NULL, false); break;
    case GATEWAY_VERIFIER_SECURING: lose_by(v, "TLS: timeout", NULL, false); break;
    case GATEWAY_VERIFIER_IDLE: gateway_verifier_quit(v); break;
    case GATEWAY_VERIFIER_LEAVING: gateway_channel_reset(c); break; /* QUIT has no answer */
    case GATEWAY_VERIFIER_ASKING: UNREACHABLE();
    }
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct gateway_verifier *v = verifier_of(c);
    /* In good order, or by a record of TLS that the peer is to be told of. */
    bool is_graceful = error == 0 || error == EPROTO;

    if (v->state == GATEWAY_VERIFIER_LEAVING)
        gateway_channel_close(c);
    else
        lose_by(v, smtp_client_failure_text(SMTP_CLIENT_FAILURE_ENDED), NULL, is_graceful);
}
