#include "gateway/verifier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/worker.h"

#define WHY_BYTES_MAX (GATEWAY_VERIFIER_REPLY_MAX + 128)

static struct gateway_verifier *verifier_of(struct gateway_hop *h)
{
    return CONTAINER_OF(h, struct gateway_verifier, hop);
}

/* The one place that assigns the state. */
static void enter(struct gateway_verifier *v, enum gateway_verifier_state next)
{
    ASSERT(v->state != GATEWAY_VERIFIER_LEAVING);
    v->state = next;
}

/* --- the end --------------------------------------------------------------------------------- */

/* Before a PTR can come for a hop that is left. */
static void leave(struct gateway_verifier *v)
{
    enter(v, GATEWAY_VERIFIER_LEAVING);
    gateway_hop_tls_finish(&v->tls);
}

static void lose(struct gateway_verifier *v, struct slice why)
{
    bool was_idle = v->state == GATEWAY_VERIFIER_IDLE;

    leave(v);
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
static void lose_by(struct gateway_verifier *v, const char *what, const struct smtp_reply *reply)
{
    char text[GATEWAY_VERIFIER_REPLY_MAX], why[WHY_BYTES_MAX];
    bool has_reply = reply != NULL && reply->code != 0;

    (void)snprintf(why, sizeof(why), "%s%s%s", what, has_reply ? ": " : "",
                   has_reply ? gateway_verifier_reply_text(reply, text) : "");
    lose(v, slice_from(why));
}

static void lose_by_error(struct gateway_verifier *v, int error)
{
    const char *name = error == ETIMEDOUT ? "timeout" : strerrordesc_np(error);

    lose_by(v, name != NULL ? name : "unknown error", NULL);
}

/* As for a delivery (gateway/outbound.c): the host may have stumbled over something that the next
 * connection goes without. */
static void look_for_a_cure(struct gateway_verifier *v, const struct gateway_hop_end *end)
{
    if (end->how != POLICY_TLS_HANDSHAKE_FAILED || !gateway_hop_tls_may_be_cured(&v->tls))
        return;
    v->is_curable = gateway_host_marks_add(
        &v->tls.worker->classic, gateway_worker_now_ms(v->tls.worker), &v->hop.options.remote);
}

static void on_failed(struct gateway_hop *h, const struct gateway_hop_end *end)
{
    struct gateway_verifier *v = verifier_of(h);

    switch (end->kind) {
    case GATEWAY_HOP_END_QUIT:
        if (v->state != GATEWAY_VERIFIER_LEAVING)
            lose_by(v, smtp_client_failure_text(SMTP_CLIENT_FAILURE_ENDED), NULL);
        break;
    case GATEWAY_HOP_END_CONNECT: lose_by_error(v, end->error); break;
    case GATEWAY_HOP_END_TLS:
        look_for_a_cure(v, end);
        lose_by(v, v->why[0] != '\0' ? v->why : "TLS is required and not offered", NULL);
        break;
    case GATEWAY_HOP_END_SMTP:
        lose_by(v, smtp_client_failure_text(end->event.failure), &end->event.reply);
        break;
    }
}

void gateway_verifier_quit(struct gateway_verifier *v)
{
    ASSERT(v->state == GATEWAY_VERIFIER_IDLE);
    leave(v);
    gateway_hop_quit(&v->hop);
    v->handlers->gone(v, SLICE(""));
}

void gateway_verifier_drop(struct gateway_verifier *v)
{
    if (v->state != GATEWAY_VERIFIER_LEAVING)
        leave(v);
    gateway_hop_reset(&v->hop);
}

static void on_closed(struct gateway_hop *h)
{
    struct gateway_verifier *v = verifier_of(h);

    ASSERT(v->state == GATEWAY_VERIFIER_LEAVING);
    v->handlers->closed(v);
}

/* --- the hop --------------------------------------------------------------------------------- */

static void on_refused(struct gateway_hop *h, const struct smtp_reply *reply)
{
    struct gateway_verifier *v = verifier_of(h);
    char text[GATEWAY_VERIFIER_REPLY_MAX];

    (void)snprintf(v->why, sizeof(v->why), "STARTTLS refused: %s",
                   gateway_verifier_reply_text(reply, text));
}

/* What a refusal of STARTTLS said counts for more. */
static void on_unsecured(struct gateway_hop *h, struct slice why)
{
    struct gateway_verifier *v = verifier_of(h);

    if (v->why[0] == '\0')
        (void)snprintf(v->why, sizeof(v->why), "TLS: %.*s", SLICE_ARGS(why));
}

static enum status on_session(struct gateway_hop *h, struct tls_session **session_out)
{
    return gateway_hop_tls_session(&verifier_of(h)->tls, session_out);
}

static void on_judged(struct gateway_hop_tls *t)
{
    struct gateway_verifier *v = CONTAINER_OF(t, struct gateway_verifier, tls);
    char why[TLS_CHECK_TEXT_MAX + 32];

    (void)snprintf(why, sizeof(why), "verify error: %s", t->text);
    gateway_hop_judged(&v->hop, t->is_verified, slice_from(why));
}

static void on_secured(struct gateway_hop *h)
{
    gateway_hop_tls_judge(&verifier_of(h)->tls, on_judged);
}

static void on_judge_now(struct gateway_hop *h)
{
    gateway_hop_tls_judge_now(&verifier_of(h)->tls);
}

static void on_connected(struct gateway_hop *h)
{
    gateway_hop_tls_start(&verifier_of(h)->tls, &h->options.remote);
}

static void on_opened(struct gateway_hop *h)
{
    struct gateway_verifier *v = verifier_of(h);

    enter(v, GATEWAY_VERIFIER_IDLE);
    gateway_hop_set_time(h, GATEWAY_VERIFIER_IDLE_MS);
    v->handlers->opened(v);
}

static void on_event(struct gateway_hop *h, const struct smtp_client_event *event)
{
    struct gateway_verifier *v = verifier_of(h);

    ASSERT(event->kind == SMTP_CLIENT_DONE && v->state == GATEWAY_VERIFIER_ASKING);
    enter(v, GATEWAY_VERIFIER_IDLE);
    gateway_hop_set_time(h, GATEWAY_VERIFIER_IDLE_MS);
    v->handlers->answered(v, event);
}

static void on_drained(struct gateway_hop *h)
{
    (void)h; /* what is said here always fits */
}

static void on_idle(struct gateway_hop *h)
{
    gateway_verifier_quit(verifier_of(h));
}

void gateway_verifier_open(struct gateway_verifier *v, struct gateway_worker *worker,
                           const struct gateway_verifier_handlers *handlers,
                           const struct gateway_verifier_target *target, uint64_t opening_ms)
{
    static const struct gateway_hop_handlers hop_handlers = {
        .connected = on_connected,
        .refused = on_refused,
        .session = on_session,
        .unsecured = on_unsecured,
        .secured = on_secured,
        .judge_now = on_judge_now,
        .opened = on_opened,
        .event = on_event,
        .drained = on_drained,
        .idle = on_idle,
        .failed = on_failed,
        .closed = on_closed,
    };
    const struct gateway_hop_options options = {
        .remote = target->hops->endpoints[target->endpoint].address,
        .hostname = slice_from(gateway_view_settings(target->view)->hostname),
        .demand = gateway_next_hops_host(target->hops, target->endpoint)->demand,
        .opening_ms = opening_ms,
    };

    ASSERT(opening_ms > 0);
    v->handlers = handlers;
    gateway_hop_tls_init(&v->tls, worker, target->view, target->destination, target->domain,
                         target->hops, gateway_next_hops_host(target->hops, target->endpoint));
    v->state = GATEWAY_VERIFIER_OPENING;
    gateway_hop_open(&v->hop, worker->loop, &hop_handlers, &options);
}

/* --- questions ------------------------------------------------------------------------------- */

void gateway_verifier_ask(struct gateway_verifier *v, struct slice recipient, bool smtputf8)
{
    struct smtp_client_event event;

    ASSERT(v->state == GATEWAY_VERIFIER_IDLE);
    enter(v, GATEWAY_VERIFIER_ASKING);
    v->recipient = (struct smtp_client_recipient){ .address = recipient };
    v->question = (struct smtp_client_envelope){ .recipients = &v->recipient,
                                                 .recipients_count = 1,
                                                 .smtputf8 = smtputf8 };
    event = smtp_client_verify(&v->hop.smtp, &v->question, gateway_channel_output(&v->hop.channel));
    gateway_hop_set_time(&v->hop, 0);
    gateway_hop_go(&v->hop, &event);
}
