#include "gateway/inbound_open.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pool.h"
#include "gateway/inbound_answer.h"
#include "gateway/inbound_log.h"
#include "gateway/inbound_proxy.h"
#include "gateway/inbound_room.h"
#include "gateway/inbound_tls.h"
#include "gateway/inquiry.h"
#include "gateway/port.h"
#include "gateway/session_options.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

const struct config_listener *gateway_inbound_listener(const struct gateway_inbound *in)
{
    return &gateway_view_settings(in->view)->listeners[in->listener_index];
}

bool gateway_inbound_is_judged(const struct gateway_inbound *in)
{
    return in->flow != NULL;
}

struct slice gateway_inbound_group(const struct gateway_inbound *in)
{
    return policy_hat_entry_group(gateway_inbound_listener(in)->hat, in->entry);
}

struct policy_reply_facts gateway_inbound_facts(const struct gateway_inbound *in,
                                                char ip[static IP_TEXT_MAX])
{
    return (struct policy_reply_facts){
        .group = gateway_inbound_group(in),
        .hostname = in->reverse == POLICY_REVERSE_VERIFIED ? slice_from(in->name) : SLICE(""),
        .is_lookup_failed =
            in->reverse != POLICY_REVERSE_VERIFIED && in->reverse != POLICY_REVERSE_NONE,
        .remote_ip = slice_from(ip_format(&in->client.address, ip)),
        .hat_entry = policy_hat_entry_text(gateway_inbound_listener(in)->hat, in->entry),
    };
}

/* --- is there room --------------------------------------------------------------------------- */

/* Whoever is told so does not stay, and takes no place from others until its end has left. */
static struct gateway_opening no_room(struct gateway_inbound *in, unsigned code, struct slice text)
{
    struct gateway_worker *w = in->worker;

    if (!in->is_rejected) {
        in->is_rejected = true;
        atomic_fetch_add(&gateway_inbound_load(in)->rejected, 1);
    }
    observe_count(&w->counters, OBSERVE_CONNECTIONS_CAPPED, 1);
    observe_icid_receiving_failed(w->log, gateway_worker_now_s(w), in->icid,
                                  SLICE("Connection limit exceeded"));
    return (struct gateway_opening){ .code = code, .text = text, .is_last = true };
}

static struct gateway_opening worded(const struct gateway_inbound *in, enum policy_flow_reply which)
{
    struct smtp_answer answer = gateway_inbound_worded(in, which, SLICE(""));

    return (struct gateway_opening){ .code = answer.code, .text = answer.text };
}

/* Counts the connection of its peer. */
static struct gateway_opening open_session(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;
    struct gateway_peer peer = {
        .address = in->client.address,
        .listener = in->load_index,
    };
    struct gateway_opening opening = { 0 };

    if (in->icid == 0)
        return no_room(in, 421, SLICE("4.3.0 Too busy, try again later"));
    /* Who is rejected may stay to hear it, but takes no place from others. */
    in->is_rejected = in->flow->access == POLICY_ACCESS_REJECT;
    if (in->is_rejected)
        atomic_fetch_add(&gateway_inbound_load(in)->rejected, 1);
    if (in->is_crowded || gateway_inbound_room_is_full(in))
        return no_room(in, 421, SLICE("#4.4.5 Too many connections"));
    if (!gateway_peer_count_enter(w->process->peers, &peer, in->flow->max_connections_per_ip,
                                  &in->hold)) {
        opening = worded(in, POLICY_FLOW_REPLY_CONNECTIONS);
        return no_room(in, opening.code, opening.text);
    }
    if (!in->is_rejected)
        return opening;
    observe_count(&w->counters, OBSERVE_HAT_REJECTED, 1);
    if (gateway_view_settings(in->view)->delayed_rejection) {
        gateway_inbound_log_delayed(in);
        return opening;
    }
    return worded(in, POLICY_FLOW_REPLY_REJECT);
}

static void greet(struct gateway_inbound *in)
{
    struct buffer *out = gateway_channel_output(&in->channel);
    struct gateway_opening opening = open_session(in);
    struct smtp_server_event event;

    if (opening.code == 0)
        event = smtp_server_greet(&in->smtp, out);
    else
        event = smtp_server_reject(&in->smtp, opening.code, opening.text, out);
    if (event.kind == SMTP_SERVER_CLOSE || opening.is_last) {
        gateway_inbound_close(in);
        return;
    }
    gateway_channel_set_deadline(&in->channel, opening.code == 0 ? smtp_server_timeout_ms(&in->smtp)
                                                                 : GATEWAY_INBOUND_REJECTED_MS);
    gateway_channel_resume(&in->channel);
    if (in->is_stopping)
        gateway_inbound_stop(in);
}

/* --- the verdict ----------------------------------------------------------------------------- */

/* A reset, before anything is said. */
static void refuse(int fd)
{
    struct linger now = { .l_onoff = 1 };

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    (void)close(fd);
}

/* Options with the texts as they are for this session, where they have variables. */
static const struct smtp_server_options *options_for(struct gateway_inbound *in)
{
    const struct smtp_server_options *shared = gateway_view_smtp_options(
        in->view, gateway_inbound_listener(in), in->flow, in->may_xclient);
    char ip[IP_TEXT_MAX];
    struct policy_reply_facts facts;

    if (shared == NULL || !gateway_session_options_are_own(in->flow))
        return shared;
    facts = gateway_inbound_facts(in, ip);
    in->options = gateway_session_options_create(shared, &facts);
    return in->options != NULL ? gateway_session_options_smtp(in->options) : NULL;
}

/* Keeps of the facts what the session will need. The name may be the one that it has. */
static enum status keep(struct gateway_inbound *in, const struct policy_sender *sender)
{
    char *name = sender->name.len > 0 ? strndup(sender->name.data, sender->name.len) : NULL;

    if (name == NULL && sender->name.len > 0)
        return STATUS_NO_MEMORY;
    free(in->name);
    in->name = name;
    in->reverse = (uint8_t)sender->reverse;
    return STATUS_OK;
}

static void judge(struct gateway_inbound *in, const struct policy_sender *sender)
{
    struct gateway_worker *w = in->worker;
    const struct config_listener *listener = gateway_inbound_listener(in);
    struct policy_sender_verdict verdict = policy_hat_find(listener->hat, sender);
    const struct policy_mail_flow *flow = config_listener_flow(listener, verdict.flow);
    struct gateway_session_options *before = in->options;
    const struct policy_mail_flow *flow_before = in->flow;
    bool is_another = flow_before != NULL; /* XCLIENT: the session has had a client already */
    const struct smtp_server_options *options;

    if (flow->access == POLICY_ACCESS_REFUSE) {
        gateway_inbound_log_access(w, in->view, 0, listener->hat, &verdict, sender);
        observe_count(&w->counters, OBSERVE_HAT_REFUSED, 1);
        gateway_channel_reset(&in->channel);
        return;
    }
    if (keep(in, sender) != STATUS_OK) {
        gateway_channel_reset(&in->channel);
        return;
    }
    if (!is_another)
        in->may_xclient = gateway_inbound_is_xclient(listener, &in->client.address);
    in->flow = flow;
    in->entry = (uint32_t)verdict.number;
    in->options = NULL;
    options = options_for(in);
    if (options == NULL) {
        in->options = before; /* the session, if there is one, still has them */
        in->flow = flow_before;
        gateway_channel_reset(&in->channel);
        return;
    }
    in->icid = spool_ids_take(&w->process->ids, SPOOL_ID_ICID);
    if (is_another) {
        smtp_server_restart(&in->smtp, options);
        gateway_inbound_judge_tls(in);
    } else {
        smtp_server_init(&in->smtp, options);
    }
    gateway_session_options_destroy(before);
    gateway_inbound_log_new(in);
    gateway_inbound_log_access(w, in->view, in->icid, listener->hat, &verdict, sender);
    gateway_inbound_log_generation(in);
    greet(in);
}

void gateway_inbound_known(struct gateway_inbound *in)
{
    struct gateway_inquiry *inquiry = in->inquiry;

    ASSERT(in->wait == GATEWAY_INBOUND_WAIT_OPEN);
    in->wait = GATEWAY_INBOUND_WAIT_NONE;
    in->inquiry = NULL;
    gateway_inbound_room_waited(in);
    judge(in, gateway_inquiry_sender(inquiry));
    gateway_inquiry_destroy(inquiry);
}

void gateway_inbound_inquire(struct gateway_inbound *in, const struct policy_sender *known)
{
    struct policy_sender sender = *known;
    struct policy_hat_needs needs;

    in->is_crowded = false;
    policy_hat_needs(gateway_inbound_listener(in)->hat, &sender, &needs);
    if (!needs.any) {
        judge(in, &sender);
        return;
    }
    in->is_crowded = !gateway_inbound_room_wait(in, &sender);
    if (in->is_crowded) {
        judge(in, &sender); /* for the log; it gets 421, never what others get by their names */
        return;
    }
    in->wait = GATEWAY_INBOUND_WAIT_OPEN;
    if (gateway_inquiry_start(in, &sender, &in->inquiry) == STATUS_OK)
        return;
    /* Without a resolver, or memory for it, nothing can be found out for now. */
    in->wait = GATEWAY_INBOUND_WAIT_NONE;
    gateway_inbound_room_waited(in);
    sender.reverse = POLICY_REVERSE_FAILED;
    if (sender.score.state == POLICY_SCORE_UNKNOWN)
        sender.score.state = POLICY_SCORE_FAILED;
    judge(in, &sender);
}

/* --- the beginning --------------------------------------------------------------------------- */

/* Whether the machine's own facts are enough to refuse the host, so that it costs no memory. */
static bool is_refused_at_once(struct gateway_worker *w, const struct config_listener *listener,
                               const struct policy_sender *sender)
{
    struct policy_sender_verdict verdict = policy_hat_find(listener->hat, sender);
    struct policy_hat_needs needs;

    if (config_listener_flow(listener, verdict.flow)->access != POLICY_ACCESS_REFUSE)
        return false;
    policy_hat_needs(listener->hat, sender, &needs);
    if (needs.any)
        return false;
    gateway_inbound_log_access(w, w->view, 0, listener->hat, &verdict, sender);
    observe_count(&w->counters, OBSERVE_HAT_REFUSED, 1);
    return true;
}

void gateway_inbound_accept(struct gateway_port *port, int fd, const struct ip_endpoint *remote)
{
    struct gateway_worker *w = port->worker;
    struct gateway_view *view = w->view;
    const struct config_listener *listener = &gateway_view_settings(view)->listeners[port->index];
    struct policy_sender sender = gateway_inquiry_local(view, &remote->address);
    bool is_proxy = gateway_inbound_is_proxy(listener, &remote->address);
    struct gateway_inbound *in;

    observe_count(&w->counters, OBSERVE_CONNECTIONS_IN, 1);
    if (!is_proxy && is_refused_at_once(w, listener, &sender)) {
        refuse(fd);
        return;
    }
    in = pool_take_zeroed(sizeof(*in));
    if (in == NULL ||
        gateway_channel_adopt(&in->channel, w->loop, &gateway_inbound_handlers, fd) != STATUS_OK) {
        if (in == NULL)
            refuse(fd);
        pool_give(in, sizeof(*in));
        return;
    }
    in->worker = w;
    in->view = gateway_view_acquire(view);
    in->listener_index = (uint16_t)port->index;
    in->client = *remote;
    in->load_index = (uint16_t)(port->load - w->process->loads);
    in->opened_ms = gateway_worker_now_ms(w);
    list_append(&w->inbound, &in->node);
    atomic_fetch_add(&gateway_inbound_load(in)->connections, 1);
    atomic_fetch_add(&w->process->connections, 1);
    observe_count(&w->counters, OBSERVE_CONNECTIONS_IN_NOW, 1);
    gateway_worker_inbound_opened(w);
    if (is_proxy)
        gateway_inbound_await_header(in);
    else
        gateway_inbound_inquire(in, &sender);
}
