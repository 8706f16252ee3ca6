#include <errno.h>

#include "engine/kernel_tls.h"
#include "engine/socket_core.h"

const size_t engine_socket_send_bytes = sizeof(struct engine_send);

static void push_send(struct engine_socket *s)
{
    struct engine_request r = { .op = ENGINE_OP_SENDMSG,
                                .sendmsg = { .message = &s->send->message } };

    ASSERT(s->send->message.msg_iovlen > 0);
    engine_socket_push(s, &r, ENGINE_OP_SENDMSG);
}

void engine_socket_release_send(struct engine_socket *s)
{
    engine_pool_give(&s->loop->sends, s->send);
    s->send = NULL;
}

/* Moves the parts on by what was sent. False when everything was. */
static bool advance(struct engine_send *send, size_t bytes)
{
    struct msghdr *m = &send->message;

    while (m->msg_iovlen > 0 && bytes >= m->msg_iov->iov_len) {
        bytes -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (m->msg_iovlen == 0) {
        ASSERT(bytes == 0);
        return false;
    }
    m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + bytes;
    m->msg_iov->iov_len -= bytes;
    return true;
}

void engine_socket_send_done(struct engine_socket *s, int result)
{
    bool again = result == -EINTR || result == -EAGAIN;
    bool unfinished = false;

    ASSERT(s->send != NULL);
    if (result > 0) {
        s->loop->counters.send_bytes += (uint64_t)result;
        unfinished = advance(s->send, (size_t)result);
        if (unfinished)
            s->loop->counters.sends_short++;
    }
    if ((unfinished || again) && !engine_socket_has(s, FLAG_HURRY)) {
        push_send(s);
        return;
    }
    engine_socket_release_send(s);
    if (engine_socket_has(s, FLAG_TLS_RECEIVE) && engine_socket_is_record_error(-result))
        engine_socket_broke(s);
    if (s->state != STATE_OPEN)
        return;
    s->loop->counters.sends++;
    s->handlers->sent(s, result > 0 ? 0 : result < 0 ? -result : EPIPE);
}

/* Takes the state of a send; false, and `sent` will tell of it, when there is no memory. */
static bool begin_send(struct engine_socket *s)
{
    ASSERT(s->state == STATE_OPEN && engine_socket_has(s, FLAG_CONNECTED));
    ASSERT(s->send == NULL && s->error == 0);
    s->send = engine_pool_take(&s->loop->sends);
    if (s->send != NULL)
        return true;
    s->error = ENOMEM;
    engine_loop_defer(s->loop, &s->late, engine_socket_run_late);
    return false;
}

void engine_socket_send(struct engine_socket *s, const struct iovec *parts, unsigned count)
{
    size_t bytes = 0;

    ASSERT(count >= 1 && count <= ENGINE_SEND_PARTS_MAX);
    if (!begin_send(s))
        return;
    s->send->message = (struct msghdr){ .msg_iov = s->send->parts, .msg_iovlen = count };
    for (unsigned i = 0; i < count; i++) {
        s->send->parts[i] = parts[i];
        bytes += parts[i].iov_len;
    }
    ASSERT(bytes > 0);
    (void)advance(s->send, 0); /* past empty parts */
    push_send(s);
}

void engine_socket_send_record(struct engine_socket *s, uint8_t type, struct iovec part)
{
    struct msghdr *m;

    ASSERT(engine_socket_has(s, FLAG_TLS) && part.iov_len > 0);
    if (!begin_send(s))
        return;
    m = &s->send->message;
    s->send->parts[0] = part;
    *m = (struct msghdr){ .msg_iov = s->send->parts,
                          .msg_iovlen = 1,
                          .msg_control = s->send->control,
                          .msg_controllen = sizeof(s->send->control) };
    engine_kernel_tls_mark(m, type);
    push_send(s);
}

bool engine_socket_is_sending(const struct engine_socket *s)
{
    return s->send != NULL || (s->state == STATE_OPEN && s->error != 0);
}
