#include "engine/socket.h"

#include <errno.h>

#include "engine/socket_core.h"

/* What a record counts for towards ENGINE_CLOSE_DRAIN_BYTES, however short it is. */
#define DRAINED_RECORD_BYTES 1024

/* What a graceful close has to remember; idle sockets do without. */
struct engine_linger {
    struct engine_timer timer;
    struct engine_socket *socket;
    size_t drained_bytes;
};

const size_t engine_socket_linger_bytes = sizeof(struct engine_linger);

static void step_close(struct engine_socket *s);

/* The only place that assigns s->state. */
static void enter(struct engine_socket *s, enum engine_socket_state next)
{
    ASSERT(next > (enum engine_socket_state)s->state);
    s->state = (uint8_t)next;
}

static enum engine_op recv_op(const struct engine_socket *s)
{
    static const enum engine_op ops[ENGINE_BUFFERS_COUNT] = {
        [ENGINE_BUFFERS_SMALL] = ENGINE_OP_RECV,
        [ENGINE_BUFFERS_LARGE] = ENGINE_OP_RECV_LARGE,
        [ENGINE_BUFFERS_HUGE] = ENGINE_OP_RECV_HUGE,
    };

    return ops[s->group];
}

void engine_socket_push(struct engine_socket *s, struct engine_request *r, enum engine_op token_op)
{
    ASSERT(s->in_flight < UINT8_MAX);
    ASSERT(engine_socket_has_slot(s) && s->state < STATE_CLOSE_PUSHED);
    r->fd = s->fd;
    r->token = engine_owner_token(s->loop, token_op, s->slot);
    s->in_flight++;
    engine_loop_push(s->loop, r);
}

static void push_recv(struct engine_socket *s)
{
    struct engine_request r = { .op = ENGINE_OP_RECV,
                                .recv = { .group = (enum engine_buffers)s->group,
                                          .bytes_max = s->recv_bytes_max } };

    ASSERT(engine_socket_has(s, FLAG_RECEIVING));
    engine_socket_push(s, &r, recv_op(s));
}

static void push_cancel(struct engine_socket *s, unsigned flag, enum engine_op op)
{
    struct engine_request r = {
        .op = ENGINE_OP_CANCEL,
        .cancel = { .token = engine_owner_token(s->loop, op, s->slot) },
    };

    if (engine_socket_has(s, flag))
        return;
    engine_socket_set(s, flag);
    engine_socket_push(s, &r, ENGINE_OP_CANCEL);
}

/* ---- receive ---- */

void engine_socket_unstarve(struct list_node *starved)
{
    struct engine_socket *s = CONTAINER_OF(starved, struct engine_socket, starved);

    ASSERT(engine_socket_has(s, FLAG_RECEIVING));
    push_recv(s);
}

/* Input that comes while closing is dropped; too much of it hurries the close. */
static void drain(struct engine_socket *s, size_t bytes)
{
    ASSERT(s->state == STATE_CLOSING);
    if (s->linger == NULL)
        return;
    s->linger->drained_bytes += bytes;
    if (s->linger->drained_bytes >= ENGINE_CLOSE_DRAIN_BYTES)
        engine_socket_set(s, FLAG_HURRY);
}

/* While closing, a record that is not data is dropped like data: unread, it would make the kernel
 * send a reset. True when the receive goes on. */
static bool drain_record(struct engine_socket *s)
{
    char record[ENGINE_TLS_RECORD_BYTES];
    uint8_t type;

    if (s->state == STATE_OPEN || s->linger == NULL || !engine_socket_has(s, FLAG_TLS_RECEIVE) ||
        engine_socket_has(s, FLAG_HURRY) ||
        engine_socket_tls_record(s, &type, record, sizeof(record)) < 0)
        return false;
    drain(s, DRAINED_RECORD_BYTES);
    if (engine_socket_has(s, FLAG_HURRY))
        return false;
    push_recv(s);
    return true;
}

bool engine_socket_is_record_error(int error)
{
    return error == EBADMSG || error == EMSGSIZE || error == EINVAL;
}

void engine_socket_broke(struct engine_socket *s)
{
    s->loop->backend->ops->socket_take_error(s->loop->backend, s->fd);
    engine_socket_set(s, FLAG_BROKEN);
}

static void end_input(struct engine_socket *s, int error)
{
    if (error != EIO || !engine_socket_has(s, FLAG_TLS_RECEIVE))
        engine_socket_set(s, FLAG_ENDED);
    if (engine_socket_has(s, FLAG_TLS_RECEIVE) && engine_socket_is_record_error(error))
        engine_socket_broke(s);
    if (s->state == STATE_OPEN)
        s->handlers->ended(s, error);
    else
        engine_socket_set(s, FLAG_ENDED);
}

static void recv_done(struct engine_socket *s, const struct engine_completion *c)
{
    enum engine_buffers group = (enum engine_buffers)s->group;
    bool again = c->result == -EINTR || c->result == -EAGAIN;

    ASSERT(engine_socket_has(s, FLAG_RECEIVING));
    if (c->result == -ENOBUFS && !engine_socket_has(s, FLAG_HURRY)) {
        s->loop->counters.recvs_starved++;
        list_append(&s->loop->starved[group], &s->starved);
        return;
    }
    if (again && !engine_socket_has(s, FLAG_HURRY)) {
        push_recv(s);
        return;
    }
    if (c->result == -EIO && drain_record(s))
        return;
    engine_socket_clear(s, FLAG_RECEIVING);
    if (c->result <= 0) {
        end_input(s, -c->result);
        return;
    }
    if (c->buffer == ENGINE_BUFFER_NONE) {
        end_input(s, EPROTO); /* bytes without a place: this is not to be believed */
        return;
    }
    s->loop->counters.recvs++;
    s->loop->counters.recv_bytes += (uint64_t)c->result;
    if (s->state == STATE_OPEN) {
        struct engine_backend *b = s->loop->backend;
        struct slice bytes = { b->ops->buffer_data(b, group, c->buffer), (size_t)c->result };

        s->handlers->received(s, bytes);
    } else {
        drain(s, (size_t)c->result);
    }
}

static void receive(struct engine_socket *s, enum engine_buffers group, size_t bytes_max)
{
    ASSERT(s->state == STATE_OPEN && engine_socket_has(s, FLAG_CONNECTED));
    ASSERT(!engine_socket_has(s, FLAG_RECEIVING | FLAG_ENDED));
    ASSERT(group < ENGINE_BUFFERS_COUNT);
    engine_socket_set(s, FLAG_RECEIVING);
    s->group = (uint8_t)group;
    s->recv_bytes_max = (uint16_t)bytes_max;
    push_recv(s);
}

void engine_socket_receive(struct engine_socket *s, enum engine_buffers group)
{
    receive(s, group, 0);
}

void engine_socket_receive_most(struct engine_socket *s, enum engine_buffers group,
                                size_t bytes_max)
{
    ASSERT(bytes_max > 0);
    receive(s, group, bytes_max < UINT16_MAX ? bytes_max : UINT16_MAX);
}

bool engine_socket_is_receiving(const struct engine_socket *s)
{
    return engine_socket_has(s, FLAG_RECEIVING);
}

/* ---- connect ---- */

static void connect_done(struct engine_socket *s, int error)
{
    engine_socket_clear(s, FLAG_CONNECTING);
    if (s->send != NULL)
        engine_socket_release_send(s);
    if (s->state != STATE_CONNECTING)
        return;
    enter(s, STATE_OPEN);
    if (error == 0)
        engine_socket_set(s, FLAG_CONNECTED);
    else
        engine_socket_set(s, FLAG_ENDED);
    s->handlers->connected(s, error);
}

/* ---- kernel TLS ---- */

int engine_socket_tls_key(struct engine_socket *s, enum engine_tls_direction direction,
                          const void *key, unsigned key_bytes)
{
    struct engine_backend *b = s->loop->backend;
    bool is_receive = direction == ENGINE_TLS_RECEIVE;
    int result = 0;

    ASSERT(s->state == STATE_OPEN && engine_socket_has(s, FLAG_CONNECTED));
    ASSERT(is_receive ? !engine_socket_has(s, FLAG_RECEIVING) : s->send == NULL);
    if (!engine_socket_has(s, FLAG_TLS))
        result = b->ops->socket_tls_start(b, s->fd);
    if (result < 0)
        return -result;
    engine_socket_set(s, FLAG_TLS);
    result = b->ops->socket_tls_key(b, s->fd, direction, key, key_bytes);
    if (result < 0)
        return -result;
    if (is_receive)
        engine_socket_set(s, FLAG_TLS_RECEIVE);
    return 0;
}

int engine_socket_tls_record(struct engine_socket *s, uint8_t *type_out, char *into, size_t room)
{
    struct engine_backend *b = s->loop->backend;

    ASSERT(engine_socket_has(s, FLAG_TLS_RECEIVE));
    return b->ops->socket_tls_record(b, s->fd, type_out, into, room);
}

/* ---- close ---- */

static void finish(struct engine_socket *s)
{
    ASSERT(s->in_flight == 0 && s->send == NULL && s->linger == NULL);
    ASSERT(!list_is_linked(&s->starved));
    engine_loop_defer_cancel(s->loop, &s->late);
    if (engine_socket_has_slot(s))
        engine_owner_release(s->loop, s->slot);
    s->slot = ENGINE_SLOT_NONE;
    s->fd = -1;
    enter(s, STATE_CLOSED);
    s->loop->counters.closes++;
    s->handlers->closed(s); /* s may be gone now */
}

static void drain_time_is_over(struct engine_timer *timer)
{
    struct engine_socket *s = CONTAINER_OF(timer, struct engine_linger, timer)->socket;

    ASSERT(s->state == STATE_CLOSING);
    engine_socket_set(s, FLAG_HURRY);
    step_close(s);
}

static void start_linger(struct engine_socket *s)
{
    if (s->linger != NULL)
        return;
    s->linger = engine_pool_take(&s->loop->lingers);
    if (s->linger == NULL) {
        engine_socket_set(s, FLAG_HURRY);
        return;
    }
    *s->linger = (struct engine_linger){ .socket = s };
    engine_timer_start(s->loop, &s->linger->timer, ENGINE_CLOSE_DRAIN_MS, drain_time_is_over);
}

static void stop_linger(struct engine_socket *s)
{
    if (s->linger == NULL)
        return;
    engine_timer_stop(s->loop, &s->linger->timer);
    engine_pool_give(&s->loop->lingers, s->linger);
    s->linger = NULL;
}

static void cancel_all(struct engine_socket *s)
{
    ASSERT(engine_socket_has(s, FLAG_HURRY));
    if (list_is_linked(&s->starved)) {
        list_remove(&s->starved);
        engine_socket_clear(s, FLAG_RECEIVING);
    }
    if (engine_socket_has(s, FLAG_RECEIVING))
        push_cancel(s, FLAG_CANCEL_RECV, recv_op(s));
    if (engine_socket_has(s, FLAG_CONNECTING))
        push_cancel(s, FLAG_CANCEL_CONNECT, ENGINE_OP_CONNECT);
    else if (s->send != NULL)
        push_cancel(s, FLAG_CANCEL_SEND, ENGINE_OP_SENDMSG);
}

/* What cannot be read makes the kernel send a reset when the socket is closed. The peer is given
 * the time of a drain to read the alert before. */
static bool is_left_unread(const struct engine_socket *s)
{
    return engine_socket_has(s, FLAG_BROKEN);
}

/* One step towards the peer's FIN: ours behind the last bytes, then reading what still comes. */
static void wind_down(struct engine_socket *s)
{
    start_linger(s);
    if (s->send != NULL || engine_socket_has(s, FLAG_HURRY))
        return;
    if (!engine_socket_has(s, FLAG_SHUT)) {
        engine_socket_set(s, FLAG_SHUT);
        s->loop->backend->ops->socket_shut(s->loop->backend, s->fd);
    }
    if (!engine_socket_has(s, FLAG_RECEIVING | FLAG_BROKEN)) {
        engine_socket_set(s, FLAG_RECEIVING);
        s->group = ENGINE_BUFFERS_SMALL;
        s->recv_bytes_max = 0;
        push_recv(s);
    }
}

/* Called after everything that can bring the close further; does what is next, if anything. A
 * bare close() under an armed receive would leave the peer connected: the request holds the
 * file. So the close goes out only when nothing else is in flight. */
static void step_close(struct engine_socket *s)
{
    struct engine_request r = { .op = ENGINE_OP_CLOSE };

    if (s->state != STATE_CLOSING)
        return;
    if (!engine_socket_has(s, FLAG_CONNECTED))
        engine_socket_set(s, FLAG_HURRY);
    if (!engine_socket_has(s, FLAG_HURRY) &&
        (s->send != NULL || !engine_socket_has(s, FLAG_ENDED) || is_left_unread(s)))
        wind_down(s);
    if (engine_socket_has(s, FLAG_HURRY))
        cancel_all(s);
    if (s->in_flight > 0 || list_is_linked(&s->starved))
        return;
    if (is_left_unread(s) && s->linger != NULL && !engine_socket_has(s, FLAG_HURRY))
        return; /* until drain_time_is_over() */
    stop_linger(s);
    ASSERT(s->send == NULL);
    if (s->fd < 0) {
        engine_loop_defer(s->loop, &s->late, engine_socket_run_late);
        return;
    }
    engine_socket_push(s, &r, ENGINE_OP_CLOSE);
    enter(s, STATE_CLOSE_PUSHED);
}

void engine_socket_close(struct engine_socket *s, enum engine_close how)
{
    ASSERT(s->state != STATE_NEW);
    if (s->state >= STATE_CLOSE_PUSHED)
        return;
    if (how == ENGINE_CLOSE_RESET &&
        !(s->state == STATE_CLOSING && engine_socket_has(s, FLAG_HURRY))) {
        engine_socket_set(s, FLAG_HURRY);
        if (s->fd >= 0)
            s->loop->backend->ops->socket_reset_on_close(s->loop->backend, s->fd);
    }
    if (s->state < STATE_CLOSING) {
        engine_loop_defer_cancel(s->loop, &s->late);
        enter(s, STATE_CLOSING);
    }
    step_close(s);
}

bool engine_socket_is_closing(const struct engine_socket *s)
{
    return s->state >= STATE_CLOSING;
}

/* ---- events ---- */

/* An event that has no completion: a connect or a send that failed before it began, or the end of
 * a socket that never had an fd. */
void engine_socket_run_late(struct engine_task *task)
{
    struct engine_socket *s = CONTAINER_OF(task, struct engine_socket, late);
    int error = s->error;

    s->error = 0;
    if (s->state == STATE_CONNECTING) {
        ASSERT(error != 0);
        connect_done(s, error);
    } else if (s->state == STATE_OPEN) {
        ASSERT(error != 0);
        s->handlers->sent(s, error);
    } else {
        ASSERT(s->state == STATE_CLOSING && s->fd < 0);
        finish(s);
    }
}

static void complete(struct engine_owner *owner, const struct engine_completion *c)
{
    struct engine_socket *s = CONTAINER_OF(owner, struct engine_socket, owner);

    ASSERT(s->in_flight > 0);
    s->in_flight--;
    switch (engine_token_op(c->token)) {
    case ENGINE_OP_RECV:
    case ENGINE_OP_RECV_LARGE:
    case ENGINE_OP_RECV_HUGE: recv_done(s, c); break;
    case ENGINE_OP_SENDMSG: engine_socket_send_done(s, c->result); break;
    case ENGINE_OP_CONNECT: connect_done(s, -c->result); break;
    case ENGINE_OP_CANCEL: break; /* what it brings about has a completion of its own */
    case ENGINE_OP_CLOSE: finish(s); return;
    default: UNREACHABLE();
    }
    step_close(s);
}

/* ---- beginning, and what a socket is ---- */

void engine_socket_init(struct engine_socket *s, struct engine_loop *loop,
                        const struct engine_socket_handlers *handlers)
{
    ASSERT(handlers->received != NULL && handlers->ended != NULL);
    ASSERT(handlers->sent != NULL && handlers->closed != NULL);
    *s = (struct engine_socket){ .owner = { .complete = complete },
                                 .loop = loop,
                                 .handlers = handlers,
                                 .fd = -1,
                                 .slot = ENGINE_SLOT_NONE };
}

enum status engine_socket_adopt(struct engine_socket *s, int fd)
{
    enum status status;

    ASSERT(s->state == STATE_NEW && fd >= 0);
    status = engine_owner_acquire(s->loop, &s->owner, &s->slot);
    if (status != STATUS_OK) {
        engine_loop_close_fd(s->loop, fd);
        return status;
    }
    s->fd = fd;
    engine_socket_set(s, FLAG_CONNECTED);
    enter(s, STATE_OPEN);
    return STATUS_OK;
}

/* The errno of a connect that cannot begin; 0 when its completion will tell. */
static int begin_connect(struct engine_socket *s, const struct ip_endpoint *remote,
                         const struct ip_endpoint *local_or_null)
{
    struct engine_backend *b = s->loop->backend;
    struct engine_request r = { .op = ENGINE_OP_CONNECT };
    struct engine_send *send;
    int fd;

    if (engine_owner_acquire(s->loop, &s->owner, &s->slot) != STATUS_OK)
        return ENOMEM;
    fd = b->ops->socket_open(b, remote, local_or_null);
    if (fd < 0)
        return -fd;
    s->fd = fd;
    send = engine_pool_take(&s->loop->sends);
    if (send == NULL)
        return ENOMEM;
    s->send = send;
    r.connect.address_len = ip_endpoint_to_socket(remote, &send->address);
    r.connect.address = (const struct sockaddr *)&send->address;
    engine_socket_set(s, FLAG_CONNECTING);
    engine_socket_push(s, &r, ENGINE_OP_CONNECT);
    return 0;
}

void engine_socket_connect(struct engine_socket *s, const struct ip_endpoint *remote,
                           const struct ip_endpoint *local_or_null)
{
    int error;

    ASSERT(s->state == STATE_NEW);
    ASSERT(s->handlers->connected != NULL);
    s->loop->counters.connects++;
    enter(s, STATE_CONNECTING);
    error = begin_connect(s, remote, local_or_null);
    ASSERT(error >= 0 && error <= UINT8_MAX);
    s->error = (uint8_t)error;
    if (s->error != 0)
        engine_loop_defer(s->loop, &s->late, engine_socket_run_late);
}

int engine_socket_fd(const struct engine_socket *s)
{
    return s->fd;
}

bool engine_socket_local(const struct engine_socket *s, struct ip_endpoint *local_out)
{
    return s->fd >= 0 && s->loop->backend->ops->socket_local(s->loop->backend, s->fd, local_out);
}

struct engine_loop *engine_socket_loop(const struct engine_socket *s)
{
    return s->loop;
}
