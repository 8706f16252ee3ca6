#include "gateway/inbound_proxy.h"

#include <stdlib.h>

#include "gateway/inbound_open.h"
#include "gateway/inquiry.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

/* --- a load balancer ------------------------------------------------------------------------- */

static bool is_listed(const struct ip_prefix *prefixes, size_t count, const struct ip_address *a)
{
    for (size_t i = 0; i < count; i++)
        if (ip_prefix_contains(&prefixes[i], a))
            return true;
    return false;
}

bool gateway_inbound_is_proxy(const struct config_listener *listener,
                              const struct ip_address *address)
{
    return is_listed(listener->proxies, listener->proxies_count, address);
}

void gateway_inbound_await_header(struct gateway_inbound *in)
{
    in->proxy = malloc(sizeof(*in->proxy));
    if (in->proxy == NULL) {
        gateway_channel_reset(&in->channel);
        return;
    }
    in->has_proxy = true;
    smtp_proxy_header_init(in->proxy);
    gateway_channel_set_deadline(&in->channel, GATEWAY_INBOUND_HEADER_MS);
    gateway_channel_resume(&in->channel);
}

void gateway_inbound_no_header(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;
    char ip[IP_TEXT_MAX];

    if (in->proxy != NULL)
        observe_log_line(w->log, OBSERVE_WARNING, gateway_worker_now_s(w),
                         "Listener %s: %s is listed in proxy_from and sent no PROXY header",
                         gateway_inbound_listener(in)->name, ip_format(&in->client.address, ip));
    gateway_inbound_reset(in);
}

size_t gateway_inbound_take_header(struct gateway_inbound *in, struct slice bytes)
{
    struct policy_sender sender;
    size_t used = 0;

    switch (smtp_proxy_header_feed(in->proxy, bytes, &used)) {
    case SMTP_PROXY_MORE: return used;
    case SMTP_PROXY_BAD: gateway_inbound_no_header(in); return bytes.len;
    case SMTP_PROXY_DONE: break;
    }
    gateway_channel_pause(&in->channel);
    gateway_channel_set_deadline(&in->channel, 0);
    if (in->proxy->kind == SMTP_PROXY_CLIENT)
        in->client = in->proxy->source;
    free(in->proxy);
    in->proxy = NULL;
    in->has_proxy = false;
    sender = gateway_inquiry_local(in->view, &in->client.address);
    gateway_inbound_inquire(in, &sender);
    return used;
}

/* --- a proxy that says XCLIENT --------------------------------------------------------------- */

bool gateway_inbound_is_xclient(const struct config_listener *listener,
                                const struct ip_address *address)
{
    return is_listed(listener->xclients, listener->xclients_count, address);
}

/* The client so far has left: it does not count any longer. */
static void leave(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;

    observe_icid_close(w->log, gateway_worker_now_s(w), in->icid);
    in->icid = 0;
    gateway_peer_count_leave(w->process->peers, &in->hold);
    if (in->is_rejected)
        atomic_fetch_sub(&gateway_inbound_load(in)->rejected, 1);
    in->is_rejected = false;
}

/* What the proxy has found out about the client's name is believed as our own lookup would be. */
static enum status take_name(struct gateway_inbound *in, const struct smtp_xclient *xclient,
                             struct policy_sender *sender)
{
    switch ((enum smtp_xclient_state)xclient->states[SMTP_XCLIENT_NAME]) {
    case SMTP_XCLIENT_ABSENT:
        if (xclient->states[SMTP_XCLIENT_ADDR] != SMTP_XCLIENT_ABSENT)
            break; /* another client, of which nothing is known */
        sender->reverse = (enum policy_reverse)in->reverse;
        sender->name = slice_from(in->name != NULL ? in->name : "");
        break;
    case SMTP_XCLIENT_GIVEN:
        free(in->name);
        in->name = strndup(xclient->name.data, xclient->name.len);
        if (in->name == NULL)
            return STATUS_NO_MEMORY;
        sender->reverse = POLICY_REVERSE_VERIFIED;
        sender->name = slice_from(in->name);
        break;
    case SMTP_XCLIENT_UNAVAILABLE: sender->reverse = POLICY_REVERSE_NONE; break;
    case SMTP_XCLIENT_TEMPORARY: sender->reverse = POLICY_REVERSE_FAILED; break;
    }
    return STATUS_OK;
}

void gateway_inbound_become(struct gateway_inbound *in, const struct smtp_xclient *xclient)
{
    struct policy_sender sender;

    leave(in);
    if (xclient->states[SMTP_XCLIENT_ADDR] == SMTP_XCLIENT_GIVEN)
        in->client.address = xclient->address;
    if (xclient->states[SMTP_XCLIENT_PORT] == SMTP_XCLIENT_GIVEN)
        in->client.port = xclient->port;
    sender = gateway_inquiry_local(in->view, &in->client.address);
    if (take_name(in, xclient, &sender) != STATUS_OK) {
        gateway_channel_reset(&in->channel);
        return;
    }
    gateway_channel_pause(&in->channel);
    gateway_channel_set_deadline(&in->channel, 0);
    gateway_inbound_inquire(in, &sender);
}
