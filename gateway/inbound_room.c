#include "gateway/inbound_room.h"

#include "gateway/worker.h"
#include "policy/hat.h"

/* Sessions by kind; they change while we look. */
struct kinds {
    unsigned all;
    unsigned rejected;
    unsigned waiting;
};

static struct kinds kinds_of(const struct gateway_listener_load *load)
{
    return (struct kinds){ .all = atomic_load(&load->connections),
                           .rejected = atomic_load(&load->rejected),
                           .waiting = atomic_load(&load->waiting) };
}

static struct kinds kinds_everywhere(const struct gateway_process *process)
{
    struct kinds sum = { .all = atomic_load(&process->connections) };

    for (size_t i = 0; i < ARRAY_LEN(process->loads); i++) {
        sum.rejected += atomic_load(&process->loads[i].rejected);
        sum.waiting += atomic_load(&process->loads[i].waiting);
    }
    return sum;
}

/* Those of the session's own kind. */
static unsigned own_of(const struct gateway_inbound *in, const struct kinds *k)
{
    unsigned apart = k->rejected + k->waiting;

    if (in->is_waiting)
        return k->waiting;
    if (in->is_rejected)
        return k->rejected;
    return k->all > apart ? k->all - apart : 0;
}

bool gateway_inbound_room_is_full(const struct gateway_inbound *in)
{
    uint32_t max = gateway_view_settings(in->view)->max_connections;
    struct kinds here = kinds_of(gateway_inbound_load(in));

    if (max > 0) {
        struct kinds everywhere = kinds_everywhere(in->worker->process);

        if (own_of(in, &everywhere) > max)
            return true;
    }
    return own_of(in, &here) > gateway_inbound_listener(in)->max_connections;
}

bool gateway_inbound_room_wait(struct gateway_inbound *in, const struct policy_sender *known)
{
    const struct config_listener *listener = gateway_inbound_listener(in);
    struct gateway_process *process = in->worker->process;
    struct policy_sender_verdict verdict = policy_hat_find(listener->hat, known);
    const struct policy_mail_flow *flow = config_listener_flow(listener, verdict.flow);
    /* Hosts that wait are counted apart here, too: under a number that is no listener's. */
    const struct gateway_peer peer = {
        .address = in->client.address,
        .listener = GATEWAY_LISTENER_LOADS_MAX + (uint32_t)in->load_index,
    };

    ASSERT(!in->is_waiting);
    in->is_waiting = true;
    atomic_fetch_add(&gateway_inbound_load(in)->waiting, 1);
    if (!gateway_inbound_room_is_full(in) &&
        gateway_peer_count_enter(process->peers, &peer, flow->max_connections_per_ip, &in->hold))
        return true;
    gateway_inbound_room_waited(in);
    return false;
}

void gateway_inbound_room_waited(struct gateway_inbound *in)
{
    if (!in->is_waiting)
        return;
    in->is_waiting = false;
    atomic_fetch_sub(&gateway_inbound_load(in)->waiting, 1);
    gateway_peer_count_leave(in->worker->process->peers, &in->hold);
}
