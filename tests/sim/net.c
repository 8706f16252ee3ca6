#include "tests/sim/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/link.h"
#include "tests/sim/world.h"

#define PIECES_MAX   4
#define DELAY_US_MAX 2000

struct sim_net_faults sim_net_faults;

struct arrival {
    struct sim_link *link;
    struct flow *flow;
    size_t bytes;
    bool is_fin;
};

struct sim_link *sim_link_create(void)
{
    struct sim_link *link = sim_allocate(sizeof(*link));

    link->window =
        sim_chance(sim_net_faults.window_is_tiny) ? (size_t)sim_between(1, 600) : SIM_WINDOW_BYTES;
    return link;
}

uint64_t sim_link_delay_us(void)
{
    if (sim_chance(sim_net_faults.is_slow))
        return sim_between(1, sim_net_faults.slow_ms * SIM_MS);
    return sim_between(20, DELAY_US_MAX);
}

/* --- the peer's side ------------------------------------------------------------------------- */

void sim_link_end_peer(struct sim_link *link, int error)
{
    if (link->has_ended || link->is_cut)
        return;
    link->has_ended = true;
    link->peer->ops->ended(link->peer, error);
}

static void on_reset_arrived(void *subject)
{
    sim_link_end_peer(subject, ECONNRESET);
}

static void on_gateway_hears(void *subject)
{
    struct sim_link *link = subject;

    if (link->is_cut)
        return;
    link->is_reset = true;
    if (link->socket == NULL)
        return;
    if (sim_chance(500))
        link->in.arrived = link->in.taken; /* what was not read is lost */
    sim_socket_try_receive(link->socket);
    sim_socket_try_send(link->socket);
}

void sim_link_reset_peer(struct sim_link *link)
{
    sim_after(sim_link_delay_us(), on_reset_arrived, link);
}

void sim_link_reset(struct sim_link *link)
{
    if (link->has_ended)
        return;
    link->has_ended = true;
    sim_after(sim_link_delay_us(), on_gateway_hears, link);
}

/* Both ends hear of a reset, or neither of anything. */
static void break_link(struct sim_link *link)
{
    link->is_broken = true;
    if (sim_chance(500)) {
        link->is_cut = true;
        return;
    }
    sim_after(sim_link_delay_us(), on_reset_arrived, link);
    sim_after(sim_link_delay_us(), on_gateway_hears, link);
}

static void hand_to_peer(struct sim_link *link)
{
    struct flow *f = &link->out;
    size_t len = (size_t)(f->arrived - f->taken);
    char *bytes;

    if (link->has_ended || link->is_cut || link->stops_reading)
        return;
    if (len > 0) {
        bytes = sim_allocate(len); /* the peer may send, and end */
        memcpy(bytes, f->data, len);
        memmove(f->data, f->data + len, (size_t)(f->sent - f->arrived));
        f->taken = f->arrived;
        link->peer->ops->received(link->peer, (struct slice){ bytes, len });
        free(bytes);
        if (link->socket != NULL)
            sim_socket_try_send(link->socket);
    }
    if (f->fin_arrived && f->taken == f->sent)
        sim_link_end_peer(link, 0);
}

void sim_link_stop_reading(struct sim_link *link)
{
    link->stops_reading = true;
}

/* --- bytes on their way ---------------------------------------------------------------------- */

static void on_arrival(void *subject)
{
    struct arrival a = *(struct arrival *)subject;
    struct sim_link *link = a.link;

    free(subject);
    if (link->is_cut || link->is_reset)
        return;
    a.flow->arrived += a.bytes;
    a.flow->fin_arrived = a.flow->fin_arrived || a.is_fin;
    if (a.flow == &link->out) {
        hand_to_peer(link);
    } else if (link->socket != NULL) {
        sim_socket_try_receive(link->socket);
    } else if (link->is_gone && a.bytes > 0) {
        sim_after(sim_link_delay_us(), on_reset_arrived, link);
    }
}

static void arrive(struct sim_link *link, struct flow *flow, size_t bytes, bool is_fin)
{
    struct arrival *a = sim_allocate(sizeof(*a));
    uint64_t at_us = sim_now_us() + sim_link_delay_us();

    if (at_us <= flow->last_us)
        at_us = flow->last_us + 1;
    flow->last_us = at_us;
    *a = (struct arrival){ .link = link, .flow = flow, .bytes = bytes, .is_fin = is_fin };
    sim_after(at_us - sim_now_us(), on_arrival, a);
}

static void flow_add(struct flow *flow, struct slice bytes)
{
    size_t held = (size_t)(flow->sent - flow->taken);

    if (bytes.len == 0)
        return;
    if (held + bytes.len > flow->capacity) {
        flow->capacity = 2 * (held + bytes.len);
        flow->data = realloc(flow->data, flow->capacity);
        ASSERT(flow->data != NULL);
    }
    memcpy(flow->data + held, bytes.data, bytes.len);
    flow->sent += bytes.len;
}

static void flow_send(struct sim_link *link, struct flow *flow, struct slice bytes)
{
    bool breaks = !link->is_broken && sim_chance(sim_net_faults.link_breaks);
    size_t left = link->is_broken ? 0 : breaks ? (size_t)sim_below(bytes.len + 1) : bytes.len;

    flow_add(flow, slice_first(bytes, left));
    for (unsigned i = 0; left > 0; i++) {
        size_t now = i + 1 < PIECES_MAX ? (size_t)sim_between(1, left) : left;

        arrive(link, flow, now, false);
        left -= now;
    }
    if (breaks)
        break_link(link);
}

void sim_link_send(struct sim_link *link, struct slice bytes)
{
    if (link->has_ended || link->in.is_finished || link->is_cut || bytes.len == 0)
        return;
    flow_send(link, &link->in, bytes);
}

void sim_link_finish(struct sim_link *link)
{
    if (link->has_ended || link->in.is_finished)
        return;
    link->in.is_finished = true;
    arrive(link, &link->in, 0, true);
}

void sim_link_mark(struct sim_link *link, uint64_t *read_us)
{
    if (link->is_broken || link->has_ended)
        return;
    if (link->marks_count == SIM_MARKS_MAX)
        memmove(link->marks, link->marks + 1, --link->marks_count * sizeof(struct mark));
    link->marks[link->marks_count++] = (struct mark){ .at = link->in.sent, .read_us = read_us };
}

void sim_link_send_out(struct sim_link *link, struct slice bytes)
{
    flow_send(link, &link->out, bytes);
}

void sim_link_finish_out(struct sim_link *link)
{
    if (link->out.is_finished)
        return;
    link->out.is_finished = true;
    if (!link->is_reset && !link->is_cut)
        arrive(link, &link->out, 0, true);
}

void sim_link_taken(struct sim_link *link, size_t bytes, bool is_wanted)
{
    struct flow *f = &link->in;

    memmove(f->data, f->data + bytes, (size_t)(f->sent - f->taken) - bytes);
    f->taken += bytes;
    for (unsigned i = 0; is_wanted && i < link->marks_count; i++)
        if (link->marks[i].at <= f->taken && *link->marks[i].read_us == 0)
            *link->marks[i].read_us = sim_now_us();
}
