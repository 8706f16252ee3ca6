#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/fds.h"
#include "tests/sim/link.h"
#include "tests/sim/world.h"

#define BACKLOG_MAX    64
#define LISTENERS_MAX  64
#define CONNECT_US_MAX 5000

struct socket {
    struct sim_link *link; /* NULL: not connected */
    struct ip_endpoint remote;
    struct sim_op *connect;
    struct sim_op *receive;
    struct sim_op *send;
    bool resets;     /* when it is closed */
    bool is_closing; /* the gateway has given the peer up */
};

struct listener {
    struct ip_endpoint endpoint;
    struct sim_op *accept;
    struct sim_link *backlog[BACKLOG_MAX];
    unsigned backlog_count;
};

static struct listener *listeners[LISTENERS_MAX];
static struct sim_server *servers;

void sim_socket_try_receive(struct socket *s)
{
    struct sim_link *link = s->link;
    struct sim_op *op = s->receive;
    struct flow *f;
    size_t len;

    if (op == NULL || link == NULL)
        return;
    f = &link->in;
    len = (size_t)(f->arrived - f->taken);
    if (len == 0 && link->is_reset) {
        s->receive = NULL;
        sim_op_complete(op, -ECONNRESET);
        return;
    }
    if (len == 0 && f->fin_arrived && f->taken == f->sent) {
        s->receive = NULL;
        sim_op_complete(op, 0);
        return;
    }
    if (len == 0)
        return;
    if (len > sim_op_room(op))
        len = sim_op_room(op);
    if (sim_chance(300))
        len = (size_t)sim_between(1, len);
    s->receive = NULL;
    if (!sim_op_complete_receive(op, f->data, len))
        return;
    sim_link_taken(link, len, !s->is_closing);
}

static size_t gather(const struct msghdr *message, char *to, size_t max)
{
    size_t len = 0;

    for (size_t i = 0; i < message->msg_iovlen && len < max; i++) {
        const struct iovec *part = &message->msg_iov[i];
        size_t now = part->iov_len < max - len ? part->iov_len : max - len;

        memcpy(to + len, part->iov_base, now);
        len += now;
    }
    return len;
}

void sim_socket_try_send(struct socket *s)
{
    struct sim_link *link = s->link;
    struct sim_op *op = s->send;
    size_t room, len = 0;
    char *bytes;

    if (op == NULL || link == NULL)
        return;
    if (link->is_reset || link->out.is_finished) {
        s->send = NULL;
        sim_op_complete(op, sim_chance(500) ? -ECONNRESET : -EPIPE);
        return;
    }
    room = (size_t)(link->out.sent - link->out.taken);
    if (room >= link->window)
        return;
    room = link->window - room;
    if (sim_chance(sim_net_faults.send_is_short))
        room = (size_t)sim_between(1, room);
    bytes = sim_allocate(room);
    len = gather(op->request.sendmsg.message, bytes, room);
    s->send = NULL;
    if (link->peer->ops->wired != NULL)
        link->peer->ops->wired(link->peer, (struct slice){ bytes, len });
    sim_link_send_out(link, (struct slice){ bytes, len });
    free(bytes);
    sim_op_complete(op, (int)len);
}

int sim_socket_open(const struct ip_endpoint *remote)
{
    struct socket *s = sim_allocate(sizeof(*s));

    s->remote = *remote;
    return sim_fd_take(SIM_FD_SOCKET, s);
}

static struct socket *socket_of(int fd)
{
    struct socket *s = sim_fd_object(fd, SIM_FD_SOCKET);

    if (s == NULL)
        sim_fault("fd %d is used as a socket, and is none", fd);
    return s;
}

bool sim_socket_local(int fd, struct ip_endpoint *local_out)
{
    struct socket *s = socket_of(fd);

    if (s->link == NULL)
        return false;
    *local_out = s->connect == NULL && s->remote.port == s->link->server.port ? s->link->client
                                                                              : s->link->server;
    return true;
}

void sim_socket_reset_on_close(int fd)
{
    socket_of(fd)->resets = true;
}

/* --- connections made by the gateway --------------------------------------------------------- */

void sim_server_listen(struct sim_server *server)
{
    server->next = servers;
    servers = server;
}

static struct sim_server *server_at(const struct ip_endpoint *endpoint)
{
    struct sim_server *server = servers;

    while (server != NULL && !ip_endpoint_equal(&server->endpoint, endpoint))
        server = server->next;
    return server;
}

static void on_connect(void *subject)
{
    struct sim_op *op = subject;
    struct socket *s;
    struct sim_server *server;
    struct sim_link *link;

    if (op->is_over)
        return;
    s = socket_of(op->request.fd);
    server = server_at(&s->remote);
    switch (server != NULL ? server->mood(server) : SIM_MOOD_REFUSES) {
    case SIM_MOOD_SILENT: return;
    case SIM_MOOD_REFUSES:
        s->connect = NULL;
        sim_op_complete(op, sim_chance(900) ? -ECONNREFUSED : -EHOSTUNREACH);
        return;
    case SIM_MOOD_TAKES: break;
    }
    link = sim_link_create();
    link->socket = s;
    link->server = s->remote;
    link->client = (struct ip_endpoint){ .port = (uint16_t)sim_between(32768, 60999) };
    link->client.address = s->remote.address;
    s->link = link;
    s->connect = NULL;
    link->peer = server->accept(server);
    link->peer->link = link;
    link->peer->ops->opened(link->peer);
    sim_op_complete(op, 0);
}

/* --- connections made to the gateway --------------------------------------------------------- */

int sim_listener_open(const struct ip_endpoint *endpoint)
{
    struct listener *l = sim_allocate(sizeof(*l));

    l->endpoint = *endpoint;
    for (unsigned i = 0; i < LISTENERS_MAX; i++) {
        if (listeners[i] != NULL)
            continue;
        listeners[i] = l;
        return sim_fd_take(SIM_FD_LISTENER, l);
    }
    return -ENFILE;
}

static void try_accept(struct listener *l)
{
    struct sim_op *op = l->accept;
    struct sim_link *link;
    struct socket *s;
    struct sockaddr_storage address;
    int fd;

    if (op == NULL || l->backlog_count == 0)
        return;
    link = l->backlog[0];
    memmove(l->backlog, l->backlog + 1, --l->backlog_count * sizeof(l->backlog[0]));
    l->accept = NULL;
    s = sim_allocate(sizeof(*s));
    s->remote = link->client;
    s->link = link;
    link->socket = s;
    fd = sim_fd_take(SIM_FD_SOCKET, s);
    *op->request.accept.address_len = ip_endpoint_to_socket(&link->client, &address);
    memcpy(op->request.accept.address, &address, *op->request.accept.address_len);
    sim_op_complete(op, fd);
}

static void on_knock(void *subject)
{
    struct sim_link *link = subject;
    struct listener *open[LISTENERS_MAX], *l;
    unsigned count = 0;

    if (link->has_ended)
        return;
    for (unsigned i = 0; i < LISTENERS_MAX; i++)
        if (listeners[i] != NULL && ip_endpoint_equal(&listeners[i]->endpoint, &link->server) &&
            listeners[i]->backlog_count < BACKLOG_MAX)
            open[count++] = listeners[i];
    if (count == 0) {
        sim_link_end_peer(link, ECONNREFUSED);
        return;
    }
    l = open[sim_below(count)];
    l->backlog[l->backlog_count++] = link;
    link->peer->ops->opened(link->peer);
    try_accept(l);
}

void sim_net_connect(struct sim_peer *peer, const struct ip_endpoint *from,
                     const struct ip_endpoint *to)
{
    struct sim_link *link = sim_link_create();

    link->peer = peer;
    link->client = *from;
    link->server = *to;
    peer->link = link;
    sim_after(sim_between(20, CONNECT_US_MAX), on_knock, link);
}

/* --- requests -------------------------------------------------------------------------------- */

void sim_socket_shut(int fd)
{
    struct socket *s = socket_of(fd);

    s->is_closing = true;
    if (s->link != NULL)
        sim_link_finish_out(s->link);
}

void sim_net_request(struct sim_op *op)
{
    struct listener *l;
    struct socket *s;

    if (op->request.op == ENGINE_OP_ACCEPT) {
        l = sim_fd_object(op->request.fd, SIM_FD_LISTENER);
        if (l == NULL)
            sim_fault("fd %d is used as a listener, and is none", op->request.fd);
        ASSERT(l->accept == NULL);
        l->accept = op;
        try_accept(l);
        return;
    }
    s = socket_of(op->request.fd);
    switch (op->request.op) {
    case ENGINE_OP_CONNECT:
        s->connect = op;
        sim_after_in_life(sim_between(20, CONNECT_US_MAX), on_connect, op);
        break;
    case ENGINE_OP_RECV:
        ASSERT(s->receive == NULL);
        s->receive = op;
        sim_socket_try_receive(s);
        break;
    case ENGINE_OP_SENDMSG:
        ASSERT(s->send == NULL);
        s->send = op;
        sim_socket_try_send(s);
        break;
    default: UNREACHABLE();
    }
}

bool sim_net_cancel(struct sim_op *op)
{
    struct listener *l = sim_fd_object(op->request.fd, SIM_FD_LISTENER);
    struct socket *s = sim_fd_object(op->request.fd, SIM_FD_SOCKET);

    if (l != NULL && l->accept == op) {
        l->accept = NULL;
    } else if (s != NULL && s->connect == op) {
        s->connect = NULL;
    } else if (s != NULL && s->receive == op) {
        s->receive = NULL;
        s->is_closing = true;
    } else if (s != NULL && s->send == op) {
        s->send = NULL;
    } else {
        return false;
    }
    return true;
}

static void close_socket(struct socket *s)
{
    struct sim_link *link = s->link;

    if (link == NULL)
        return;
    s->link = NULL;
    link->socket = NULL;
    link->is_gone = true;
    if (link->is_reset || link->is_cut)
        return;
    if (s->resets || link->in.arrived > link->in.taken)
        sim_link_reset_peer(link);
    else
        sim_link_finish_out(link);
}

static void close_listener(struct listener *l)
{
    for (unsigned i = 0; i < l->backlog_count; i++)
        sim_link_reset_peer(l->backlog[i]);
    l->backlog_count = 0;
    for (unsigned i = 0; i < LISTENERS_MAX; i++)
        if (listeners[i] == l)
            listeners[i] = NULL;
}

void sim_net_close(int fd)
{
    struct socket *s = sim_fd_object(fd, SIM_FD_SOCKET);

    if (s != NULL) {
        ASSERT(s->connect == NULL && s->receive == NULL && s->send == NULL);
        close_socket(s);
    } else {
        close_listener(sim_fd_object(fd, SIM_FD_LISTENER));
    }
    sim_fd_release(fd);
}

void sim_net_abandon(bool is_power_cut, int kind, void *object)
{
    struct socket *s = object;

    if (kind == SIM_FD_LISTENER) {
        struct listener *l = object;

        for (unsigned i = 0; is_power_cut && i < l->backlog_count; i++)
            l->backlog[i]->is_cut = true;
        close_listener(l);
        return;
    }
    s->connect = s->receive = s->send = NULL;
    if (is_power_cut && s->link != NULL)
        s->link->is_cut = true;
    s->resets = s->resets || sim_chance(500);
    close_socket(s);
}
