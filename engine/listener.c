#include "engine/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "engine/core.h"

#define ADDRESS_BYTES ((socklen_t)sizeof(struct sockaddr_storage))

static enum status open_bound(const struct ip_endpoint *endpoint, bool share_port, int *fd_out,
                              int *error_out)
{
    struct sockaddr_storage address;
    socklen_t len = ip_endpoint_to_socket(endpoint, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0)
        goto failed;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        goto failed;
    if (share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0)
        goto failed;
    if (address.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)
        goto failed;
    if (bind(fd, (const struct sockaddr *)&address, len) < 0)
        goto failed;
    *fd_out = fd;
    return STATUS_OK;
failed:
    *error_out = errno;
    if (fd >= 0)
        (void)close(fd);
    return status_from_errno(*error_out);
}

/* The bind alone would pass beside a socket that is bound but does not listen; to listen is what
 * both cannot. */
enum status engine_listener_probe(const struct ip_endpoint *endpoint, int *error_out)
{
    int fd = -1;

    TRY(open_bound(endpoint, false, &fd, error_out));
    if (listen(fd, 1) < 0) {
        *error_out = errno;
        (void)close(fd);
        return status_from_errno(*error_out);
    }
    (void)close(fd);
    return STATUS_OK;
}

enum status engine_listener_bind(const struct ip_endpoint *endpoint, int backlog, int *fd_out,
                                 int *error_out)
{
    int fd = -1;

    TRY(open_bound(endpoint, true, &fd, error_out));
    if (listen(fd, backlog) < 0) {
        *error_out = errno;
        (void)close(fd);
        return status_from_errno(*error_out);
    }
    *fd_out = fd;
    return STATUS_OK;
}

bool engine_listener_endpoint(int fd, struct ip_endpoint *endpoint_out)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           ip_endpoint_from_socket(&address, endpoint_out);
}

static void push(struct engine_listener *l, struct engine_request *r)
{
    r->token = engine_owner_token(l->loop, r->op, l->slot);
    l->in_flight++;
    engine_loop_push(l->loop, r);
}

static void arm(struct engine_listener *l)
{
    struct engine_request r = {
        .op = ENGINE_OP_ACCEPT,
        .fd = l->fd,
        .accept = { .address = (struct sockaddr *)&l->address, .address_len = &l->address_len },
    };

    if (l->armed || l->paused || l->stopping || engine_timer_is_running(&l->retry))
        return;
    l->armed = true;
    l->address_len = ADDRESS_BYTES;
    push(l, &r);
}

static void disarm(struct engine_listener *l)
{
    struct engine_request r = { .op = ENGINE_OP_CANCEL, .fd = -1 };

    if (!l->armed || l->cancelling)
        return;
    r.cancel.token = engine_owner_token(l->loop, ENGINE_OP_ACCEPT, l->slot);
    l->cancelling = true;
    push(l, &r);
}

static void retry_is_due(struct engine_timer *timer)
{
    arm(CONTAINER_OF(timer, struct engine_listener, retry));
}

static void accept_failed(struct engine_listener *l, int error)
{
    if (error == ECANCELED || error == EINTR || error == EAGAIN)
        return;
    l->loop->counters.accepts_failed++;
    /* These cost the peer his connection and us nothing: the next is taken at once (accept(2),
     * "Error handling"). Of anything else there would be more at once, so it waits. */
    if (error == ECONNABORTED || error == EPROTO || error == EPERM || error == ENETDOWN ||
        error == EHOSTUNREACH || error == ENETUNREACH)
        return;
    l->loop->counters.accept_pauses++;
    engine_timer_start(l->loop, &l->retry, ENGINE_ACCEPT_PAUSE_MS, retry_is_due);
}

static void accept_done(struct engine_listener *l, int result)
{
    struct ip_endpoint remote = { .port = 0 };

    ASSERT(l->armed);
    l->armed = false;
    l->cancelling = false; /* of this accept; the next can be cancelled anew */
    if (result < 0) {
        accept_failed(l, -result);
        return;
    }
    if (l->stopping) {
        engine_loop_close_fd(l->loop, result);
        return;
    }
    (void)ip_endpoint_from_socket(&l->address, &remote);
    l->loop->counters.accepts++;
    l->handlers->accepted(l, result, &remote);
}

static void finish(struct engine_listener *l)
{
    ASSERT(l->in_flight == 0 && !l->armed);
    engine_owner_release(l->loop, l->slot);
    l->slot = ENGINE_SLOT_NONE;
    l->fd = -1;
    l->handlers->stopped(l); /* l may be gone now */
}

static void step_stop(struct engine_listener *l)
{
    struct engine_request r = { .op = ENGINE_OP_CLOSE, .fd = l->fd };

    disarm(l);
    if (l->in_flight > 0 || l->closing)
        return;
    l->closing = true;
    push(l, &r);
}

static void complete(struct engine_owner *owner, const struct engine_completion *c)
{
    struct engine_listener *l = CONTAINER_OF(owner, struct engine_listener, owner);

    ASSERT(l->in_flight > 0);
    l->in_flight--;
    switch (engine_token_op(c->token)) {
    case ENGINE_OP_ACCEPT: accept_done(l, c->result); break;
    case ENGINE_OP_CANCEL: break; /* the accept has a completion of its own */
    case ENGINE_OP_CLOSE: finish(l); return;
    default: UNREACHABLE();
    }
    if (l->stopping)
        step_stop(l);
    else
        arm(l);
}

enum status engine_listener_start_paused(struct engine_listener *l, struct engine_loop *loop,
                                         int fd, const struct engine_listener_handlers *handlers)
{
    int one = 1;

    ASSERT(fd >= 0);
    ASSERT(handlers->accepted != NULL && handlers->stopped != NULL);
    *l = (struct engine_listener){
        .owner = { .complete = complete },
        .loop = loop,
        .handlers = handlers,
        .fd = fd,
        .paused = true,
    };
    TRY(engine_owner_acquire(loop, &l->owner, &l->slot));
    /* Inherited by what is accepted; also for an fd that was bound by somebody else. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return STATUS_OK;
}

enum status engine_listener_start(struct engine_listener *l, struct engine_loop *loop, int fd,
                                  const struct engine_listener_handlers *handlers)
{
    TRY(engine_listener_start_paused(l, loop, fd, handlers));
    engine_listener_resume(l);
    return STATUS_OK;
}

void engine_listener_pause(struct engine_listener *l)
{
    ASSERT(l->handlers != NULL);
    if (l->paused || l->stopping)
        return;
    l->paused = true;
    disarm(l);
}

void engine_listener_resume(struct engine_listener *l)
{
    ASSERT(l->handlers != NULL);
    l->paused = false;
    arm(l);
}

bool engine_listener_is_paused(const struct engine_listener *l)
{
    return l->paused;
}

void engine_listener_stop(struct engine_listener *l)
{
    ASSERT(l->handlers != NULL);
    if (l->stopping)
        return;
    l->stopping = true;
    engine_timer_stop(l->loop, &l->retry);
    step_stop(l);
}
