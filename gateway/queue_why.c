#include "gateway/queue_why.h"

#include <stdio.h>

#include "gateway/failure.h"
#include "gateway/next_hops.h"
#include "gateway/worker.h"

/* What the sentences are made of. */
struct case_of {
    const struct gateway_item *item;
    const struct delivery_wait *wait;
    const struct delivery_destination *destination; /* NULL: it has none now */
    const struct policy_destination *policy;
};

static int64_t wall_s(const struct gateway_worker *w, uint64_t at_ms)
{
    uint64_t now_ms = gateway_worker_now_ms(w);

    if (at_ms == DELIVERY_WAIT_FOREVER)
        return 0;
    return gateway_worker_now_s(w) +
           (at_ms > now_ms ? (int64_t)((at_ms - now_ms + 999) / 1000) : 0);
}

void gateway_queue_last_words(const struct gateway_failure *last, char *text, size_t room)
{
    struct slice name, reply;
    char ip[IP_ENDPOINT_MAX] = "";
    bool has_name;

    text[0] = '\0';
    if (last == NULL)
        return;
    name = gateway_failure_name(last);
    reply = gateway_failure_reply(last);
    has_name = name.len > 0;
    if (last->has_host)
        (void)ip_endpoint_format_short(&last->endpoint, GATEWAY_FAILURE_PORT, ip);
    if (reply.len == 0 || last->is_ours)
        (void)snprintf(text, room, "%s%.*s%s%s%s%s%.*s", last->has_host ? "host " : "",
                       SLICE_ARGS(name), has_name ? " (" : "", ip, has_name ? ")" : "",
                       last->has_host ? ": " : "",
                       SLICE_ARGS(reply.len > 0 ? reply : slice_from(last->outcome.reason)));
    else
        (void)snprintf(text, room, "host %.*s%s%s%s said: %.*s", SLICE_ARGS(name),
                       has_name ? " (" : "", ip, has_name ? ")" : "", SLICE_ARGS(reply));
}

void gateway_queue_trouble(const struct delivery_destination *destination, char *text, size_t room)
{
    const struct gateway_next_hops *latest = gateway_dispatch_latest(destination);
    const char *trouble = gateway_dispatch_trouble(destination);
    struct delivery_destination_state state;

    delivery_destination_describe(destination, &state);
    if (state.failure == DELIVERY_FAILURE_NONE)
        text[0] = '\0';
    else if (state.failure == DELIVERY_FAILURE_DNS && latest != NULL)
        (void)snprintf(
            text, room, "%s%s",
            latest->outcome == GATEWAY_NEXT_HOPS_NO_TLS ? "TLS: " : "DNS: ", latest->reason);
    else if (state.failure == DELIVERY_FAILURE_DNS || trouble[0] == '\0')
        (void)snprintf(text, room, "%s", delivery_failure_text(state.failure));
    else
        (void)snprintf(text, room, "%s", trouble);
}

/* --- one sentence for each reason ------------------------------------------------------------ */

static void say_retry(const struct case_of *c, struct gateway_queue_why *why)
{
    const struct gateway_item *item = c->item;

    why->reason = "retry";
    if (item->waiting_count > 0)
        gateway_queue_last_words(gateway_item_last_failure(item, gateway_item_waiting(item)[0]),
                                 why->text, sizeof(why->text));
    if (why->text[0] == '\0')
        (void)snprintf(why->text, sizeof(why->text), "the last try failed%s",
                       why->attempts > 0 ? ", before this gateway was started" : "");
}

static void say_down(const struct case_of *c, struct gateway_queue_why *why)
{
    char trouble[GATEWAY_DISPATCH_TROUBLE_MAX] = "";
    const struct gateway_next_hops *latest = NULL;
    struct delivery_destination_state state = { 0 };

    if (c->destination != NULL) {
        latest = gateway_dispatch_latest(c->destination);
        delivery_destination_describe(c->destination, &state);
        gateway_queue_trouble(c->destination, trouble, sizeof(trouble));
    }
    why->reason = "host";
    if (state.failure == DELIVERY_FAILURE_TLS ||
        (state.failure == DELIVERY_FAILURE_DNS && latest != NULL &&
         latest->outcome == GATEWAY_NEXT_HOPS_NO_TLS))
        why->reason = "tls";
    else if (state.failure == DELIVERY_FAILURE_DNS)
        why->reason = "dns";
    if (state.endpoints > 1 && state.failure != DELIVERY_FAILURE_DNS)
        (void)snprintf(why->text, sizeof(why->text),
                       "none of the %u hosts of %.*s can be used; the last one: %s",
                       state.endpoints, SLICE_ARGS(gateway_item_domain(c->item)), trouble);
    else
        (void)snprintf(why->text, sizeof(why->text), "%s",
                       trouble[0] != '\0' ? trouble : "no host can be used");
}

static void say_limit(const struct case_of *c, struct gateway_queue_why *why)
{
    const struct policy_destination *p = c->policy;
    const char *of = p->limit_scope == POLICY_LIMIT_ADDRESS ? "of each address of " : "of ";

    if (why->until_s == 0) {
        why->reason = "connection limit";
        (void)snprintf(why->text, sizeof(why->text),
                       "the connection limit %s%.*s is reached: %u at a time", of,
                       SLICE_ARGS(gateway_item_domain(c->item)), p->max_connections);
    } else if (p->max_recipients > 0) {
        why->reason = "recipient limit";
        (void)snprintf(why->text, sizeof(why->text),
                       "the rate limit %s%.*s is reached: %u recipients in %u seconds", of,
                       SLICE_ARGS(gateway_item_domain(c->item)), p->max_recipients,
                       p->recipients_interval_s);
    } else {
        why->reason = "crowded";
        (void)snprintf(why->text, sizeof(why->text),
                       "the hosts of %.*s take no more connections than they have",
                       SLICE_ARGS(gateway_item_domain(c->item)));
    }
}

static void say_turn(const struct case_of *c, struct gateway_queue_why *why)
{
    struct delivery_destination_state state = { 0 };

    if (c->destination != NULL)
        delivery_destination_describe(c->destination, &state);
    why->reason = "turn";
    (void)snprintf(why->text, sizeof(why->text),
                   "it waits for its turn: %zu entries for %.*s are ready, %u connections send",
                   state.ready, SLICE_ARGS(gateway_item_domain(c->item)), state.connections);
}

static void say(const struct case_of *c, struct gateway_queue_why *why)
{
    const char *text = NULL;

    switch (c->wait->reason) {
    case DELIVERY_WAIT_RETRY: say_retry(c, why); return;
    case DELIVERY_WAIT_HOST_DOWN: say_down(c, why); return;
    case DELIVERY_WAIT_LIMIT: say_limit(c, why); return;
    case DELIVERY_WAIT_TURN: say_turn(c, why); return;
    case DELIVERY_WAIT_DELIVERING:
        why->reason = "sending";
        text = "it is being sent now";
        break;
    case DELIVERY_WAIT_RESOLVING:
        why->reason = "resolving";
        text = "the DNS is being asked for the hosts of";
        break;
    case DELIVERY_WAIT_CONNECTING:
        why->reason = "connecting";
        text = "a connection is being opened to";
        break;
    case DELIVERY_WAIT_OURSELVES:
        why->reason = "gateway";
        text = "the gateway has no connection left for";
        break;
    case DELIVERY_WAIT_EXPIRED:
        why->reason = "expired";
        text = "it is being given up";
        break;
    case DELIVERY_WAIT_NOTHING:
        why->reason = "memory";
        text = "the gateway has no memory for it now, and tries again soon";
        break;
    }
    if (c->wait->reason == DELIVERY_WAIT_RESOLVING || c->wait->reason == DELIVERY_WAIT_CONNECTING ||
        c->wait->reason == DELIVERY_WAIT_OURSELVES)
        (void)snprintf(why->text, sizeof(why->text), "%s %.*s", text,
                       SLICE_ARGS(gateway_item_domain(c->item)));
    else
        (void)snprintf(why->text, sizeof(why->text), "%s", text);
}

void gateway_queue_why(struct gateway_worker *w, const struct gateway_item *item,
                       struct gateway_queue_why *why_out)
{
    struct delivery_wait wait;
    struct case_of c = { .item = item, .wait = &wait };

    *why_out = (struct gateway_queue_why){ 0 };
    c.policy = policy_destination_find(gateway_view_policy(w->view), gateway_item_domain(item));
    why_out->attempts_max = gateway_bounce_profile_of(w->view, gateway_lane_listener(item->lane),
                                                      gateway_item_domain(item))
                                ->max_retries +
                            1;
    if (gateway_item_is_held(item)) {
        why_out->attempts = delivery_item_attempts(&item->delivery);
        why_out->reason = "held";
        (void)snprintf(why_out->text, sizeof(why_out->text), "held by the administrator");
        return;
    }
    delivery_item_explain(&item->delivery, gateway_worker_now_ms(w), &wait);
    why_out->attempts = wait.attempts;
    why_out->until_s = wall_s(w, wait.until_ms);
    why_out->expires_s = wall_s(w, wait.expires_ms);
    if (wait.reason != DELIVERY_WAIT_NOTHING)
        c.destination = delivery_item_destination(&item->delivery);
    say(&c, why_out);
}
