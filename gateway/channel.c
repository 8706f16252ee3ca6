#include "gateway/channel.h"

#include <assert.h>
#include <errno.h>

#include "base/pool.h"
#include "gateway/channel_tls.h"
#include "tls/kernel.h"

#define PLAIN_BYTES 16384 /* one TLS record */

static_assert(ENGINE_HUGE_BYTES + PLAIN_BYTES <= GATEWAY_CHANNEL_INPUT_BYTES_MAX,
              "what a receive brings, and the record that began before it, can be kept");

static void on_received(struct engine_socket *socket, struct slice bytes);
static void on_ended(struct engine_socket *socket, int error);
static void on_sent(struct engine_socket *socket, int error);
static void on_connected(struct engine_socket *socket, int error);
static void on_closed(struct engine_socket *socket);
static void on_deadline(struct engine_timer *timer);

static const struct engine_socket_handlers socket_handlers = {
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .connected = on_connected,
    .closed = on_closed,
};

static struct engine_loop *loop_of(const struct gateway_channel *c)
{
    return engine_socket_loop(&c->socket);
}

static void init(struct gateway_channel *c, struct engine_loop *loop,
                 const struct gateway_channel_handlers *handlers, enum gateway_channel_state state)
{
    *c = (struct gateway_channel){ .handlers = handlers, .state = (uint8_t)state };
    c->paused = true;
    engine_socket_init(&c->socket, loop, &socket_handlers);
}

enum status gateway_channel_adopt(struct gateway_channel *c, struct engine_loop *loop,
                                  const struct gateway_channel_handlers *handlers, int fd)
{
    init(c, loop, handlers, GATEWAY_CHANNEL_OPEN);
    return engine_socket_adopt(&c->socket, fd);
}

void gateway_channel_connect(struct gateway_channel *c, struct engine_loop *loop,
                             const struct gateway_channel_handlers *handlers,
                             const struct ip_endpoint *remote)
{
    init(c, loop, handlers, GATEWAY_CHANNEL_CONNECTING);
    engine_socket_connect(&c->socket, remote, NULL);
}

bool gateway_channel_is_closing(const struct gateway_channel *c)
{
    return c->state == GATEWAY_CHANNEL_FLUSHING || c->state == GATEWAY_CHANNEL_CLOSED;
}

bool gateway_channel_is_secure(const struct gateway_channel *c)
{
    return c->tls != NULL && c->state == GATEWAY_CHANNEL_OPEN;
}

const struct tls_session *gateway_channel_tls(const struct gateway_channel *c)
{
    return c->tls;
}

bool gateway_channel_is_paused(const struct gateway_channel *c)
{
    return c->paused;
}

void gateway_channel_expect_bulk(struct gateway_channel *c, bool bulk)
{
    c->bulk = bulk;
}

/* To be looked at, never to be changed. */
static const struct gateway_channel_traffic *traffic_of(const struct gateway_channel *c)
{
    static const struct gateway_channel_traffic nothing;

    return c->traffic != NULL ? c->traffic : &nothing;
}

/* NULL: no memory. */
static struct gateway_channel_traffic *take_traffic(struct gateway_channel *c)
{
    if (c->traffic != NULL)
        return c->traffic;
    c->traffic = pool_take(sizeof(*c->traffic));
    if (c->traffic == NULL)
        return NULL;
    buffer_init(&c->traffic->output, GATEWAY_CHANNEL_OUTPUT_BYTES_MAX);
    buffer_init(&c->traffic->cipher, GATEWAY_CHANNEL_OUTPUT_BYTES_MAX);
    buffer_init(&c->traffic->sending, GATEWAY_CHANNEL_OUTPUT_BYTES_MAX);
    buffer_init(&c->traffic->kept, GATEWAY_CHANNEL_INPUT_BYTES_MAX);
    return c->traffic;
}

static void drop_traffic(struct gateway_channel *c)
{
    if (c->traffic == NULL)
        return;
    buffer_finish(&c->traffic->output);
    buffer_finish(&c->traffic->cipher);
    buffer_finish(&c->traffic->sending);
    buffer_finish(&c->traffic->kept);
    pool_give(c->traffic, sizeof(*c->traffic));
    c->traffic = NULL;
}

/* Takes nothing: whoever appends to it is told that it is full. */
static struct buffer no_room;

static struct buffer *cipher_of(struct gateway_channel *c)
{
    return take_traffic(c) != NULL ? &c->traffic->cipher : &no_room;
}

struct buffer *gateway_channel_output(struct gateway_channel *c)
{
    return take_traffic(c) != NULL ? &c->traffic->output : &no_room;
}

void gateway_channel_set_deadline(struct gateway_channel *c, uint64_t delay_ms)
{
    if (gateway_channel_is_closing(c))
        return;
    engine_timer_stop(loop_of(c), &c->deadline);
    if (delay_ms > 0)
        engine_timer_start(loop_of(c), &c->deadline, delay_ms, on_deadline);
}

static void close_socket(struct gateway_channel *c, enum engine_close how)
{
    ASSERT(c->state != GATEWAY_CHANNEL_CLOSED);
    c->state = GATEWAY_CHANNEL_CLOSED;
    engine_timer_stop(loop_of(c), &c->deadline);
    engine_socket_close(&c->socket, how);
}

static void on_deadline(struct engine_timer *timer)
{
    struct gateway_channel *c = CONTAINER_OF(timer, struct gateway_channel, deadline);

    if (c->state == GATEWAY_CHANNEL_FLUSHING)
        close_socket(c, ENGINE_CLOSE_RESET);
    else if (c->state != GATEWAY_CHANNEL_CLOSED)
        c->handlers->expired(c);
}

static void arm_receive(struct gateway_channel *c)
{
    enum engine_buffers group = !c->bulk    ? ENGINE_BUFFERS_SMALL
                                : c->floods ? ENGINE_BUFFERS_HUGE
                                            : ENGINE_BUFFERS_LARGE;
    bool wants =
        c->state == GATEWAY_CHANNEL_SHAKING || (c->state == GATEWAY_CHANNEL_OPEN && !c->paused);
    size_t bytes_max;

    if (!wants || c->taking || c->input_ended || engine_socket_is_receiving(&c->socket))
        return;
    bytes_max = gateway_channel_offer_receive(c);
    if (bytes_max > 0)
        engine_socket_receive_most(&c->socket, group, bytes_max);
    else
        engine_socket_receive(&c->socket, group);
}

/* An idle connection holds no buffer. */
static void release_empty(struct buffer *b)
{
    if (buffer_len(b) == 0)
        buffer_release(b);
}

static void swap(struct buffer *a, struct buffer *b)
{
    struct buffer was = *a;

    *a = *b;
    *b = was;
}

static struct iovec part_of(struct slice s)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)s.data, .iov_len = s.len };
}

/* After a failure of TLS the peer is still to be told why. */
static bool has_alert_to_say(const struct gateway_channel *c)
{
    return c->tls != NULL && c->ended_error == EPROTO;
}

/* Makes what is to be sent ready; false when it cannot be. After a failure of TLS there is nothing
 * to say but its alert. */
static bool prepare_output(struct gateway_channel *c)
{
    if (has_alert_to_say(c)) {
        buffer_clear(&c->traffic->output);
        c->body_bytes = 0;
        return true;
    }
    return gateway_channel_sends_plain(c) || c->state == GATEWAY_CHANNEL_SHAKING ||
           gateway_channel_encrypt(c);
}

static bool has_output(const struct gateway_channel *c)
{
    const struct gateway_channel_traffic *traffic = traffic_of(c);

    return c->sending_now || buffer_len(&traffic->cipher) > 0 || buffer_len(&traffic->output) > 0 ||
           c->body_bytes > 0 || (c->tls != NULL && tls_kernel_has_record(c->tls));
}

/* Inside `input` the owner may be writing. */
static void drop_idle_traffic(struct gateway_channel *c)
{
    if (!c->delivering && !has_output(c) && buffer_len(&traffic_of(c)->kept) == 0)
        drop_traffic(c);
}

/* What needs no encryption is sent from where it lies, a body too. */
static void send_output(struct gateway_channel *c)
{
    struct gateway_channel_traffic *traffic = c->traffic;
    bool is_plain = gateway_channel_sends_plain(c);
    struct iovec parts[2];
    unsigned count = 0;

    swap(&traffic->sending, is_plain ? &traffic->output : &traffic->cipher);
    if (buffer_len(&traffic->sending) > 0)
        parts[count++] = part_of(buffer_contents(&traffic->sending));
    if (is_plain && c->body_bytes > 0) {
        parts[count++] = part_of((struct slice){ c->body, c->body_bytes });
        c->body_bytes = 0;
    }
    release_empty(&traffic->output);
    if (count == 0) {
        release_empty(&traffic->sending);
        return;
    }
    c->sending_now = true;
    engine_socket_send(&c->socket, parts, count);
}

/* Starts a send when there is something to send and none is in flight. */
static void push(struct gateway_channel *c)
{
    if (c->sending_now || c->state == GATEWAY_CHANNEL_CONNECTING ||
        c->state == GATEWAY_CHANNEL_CLOSED)
        return;
    ASSERT(buffer_len(&traffic_of(c)->sending) == 0);
    gateway_channel_offer_send(c);
    if (has_output(c)) {
        if (take_traffic(c) == NULL || !prepare_output(c)) {
            close_socket(c, ENGINE_CLOSE_RESET);
            return;
        }
        c->sending_now = gateway_channel_send_control(c);
        if (!c->sending_now)
            send_output(c);
    }
    drop_idle_traffic(c);
}

/* The close_notify goes behind the last byte, and the socket's close behind that. */
static void finish_close_if_flushed(struct gateway_channel *c)
{
    if (c->state != GATEWAY_CHANNEL_FLUSHING || has_output(c))
        return;
    if (c->secured) {
        c->secured = false;
        if (!has_alert_to_say(c))
            tls_session_close(c->tls, cipher_of(c));
        push(c);
    }
    if (c->state == GATEWAY_CHANNEL_FLUSHING && !has_output(c))
        close_socket(c, ENGINE_CLOSE_GRACEFUL);
}

void gateway_channel_flush(struct gateway_channel *c)
{
    if (buffer_len(&traffic_of(c)->output) > 0 || c->body_bytes > 0)
        c->undrained = true;
    push(c);
}

void gateway_channel_send_body(struct gateway_channel *c, struct slice body)
{
    ASSERT(c->body_bytes == 0 && body.len <= UINT32_MAX);
    c->body = body.data;
    c->body_bytes = (uint32_t)body.len;
    c->undrained = true;
    push(c);
}

/* Hands plain bytes to the owner, and keeps what a paused owner leaves. */
static void deliver(struct gateway_channel *c, struct slice bytes)
{
    size_t used = 0;

    if (!c->paused && buffer_len(&traffic_of(c)->kept) == 0) {
        c->delivering = true;
        used = c->handlers->input(c, bytes);
        c->delivering = false;
    }
    if (gateway_channel_is_closing(c))
        return;
    ASSERT(used <= bytes.len);
    ASSERT(used == bytes.len || c->paused);
    if (used < bytes.len &&
        (take_traffic(c) == NULL ||
         buffer_append(&c->traffic->kept, slice_after(bytes, used)) != STATUS_OK))
        close_socket(c, ENGINE_CLOSE_RESET);
}

/* Runs the handshake on what has arrived; leaves in *input what belongs behind it. */
static void shake(struct gateway_channel *c, struct slice *input)
{
    switch (tls_session_handshake(c->tls, input, cipher_of(c))) {
    case TLS_WANT_INPUT:
        push(c);
        arm_receive(c);
        break;
    case TLS_DONE:
        c->state = GATEWAY_CHANNEL_OPEN;
        c->secured = true;
        push(c);
        c->handlers->secured(c, true);
        break;
    case TLS_WANT_ROOM: /* a handshake that fills GATEWAY_CHANNEL_OUTPUT_BYTES_MAX is none */
    case TLS_CLOSED:
    case TLS_FAILED:
        push(c); /* the alert, if there is one */
        c->handlers->secured(c, false);
        break;
    }
}

/* The session is to say it, too: whoever tells of the failure asks there for the reason. */
static void shake_alone(struct gateway_channel *c)
{
    struct slice nothing = { 0 };

    tls_session_input_ended(c->tls);
    shake(c, &nothing);
}

static void end_input(struct gateway_channel *c, int error)
{
    /* A send may fail after the peer's FIN; the owner is then told of the failure as well. */
    if (c->input_ended && (error == 0 || c->ended_error != 0))
        return;
    c->input_ended = true;
    ASSERT(error >= 0);
    c->ended_error = error <= UINT8_MAX ? (uint8_t)error : EIO; /* 133 are known outside a kernel */
    if (gateway_channel_is_closing(c))
        return;
    if (c->state == GATEWAY_CHANNEL_SHAKING)
        shake_alone(c);
    else if (error != 0 || (!c->paused && buffer_len(&traffic_of(c)->kept) == 0))
        c->handlers->ended(c, error);
}

static void decrypt(struct gateway_channel *c, struct slice input)
{
    char plain[PLAIN_BYTES];
    size_t len;

    while (c->state == GATEWAY_CHANNEL_OPEN) {
        switch (tls_session_read(c->tls, &input, cipher_of(c), plain, sizeof(plain), &len)) {
        case TLS_DONE: deliver(c, (struct slice){ plain, len }); break;
        case TLS_WANT_INPUT: return;
        case TLS_CLOSED: end_input(c, 0); return;
        case TLS_WANT_ROOM: /* a peer that asks for key updates and reads nothing */
        case TLS_FAILED: end_input(c, EPROTO); return;
        }
    }
}

static void on_received(struct engine_socket *socket, struct slice bytes)
{
    struct gateway_channel *c = CONTAINER_OF(socket, struct gateway_channel, socket);

    c->taking = true;
    c->floods = c->bulk && bytes.len >= ENGINE_LARGE_BYTES;
    if (c->state == GATEWAY_CHANNEL_SHAKING)
        shake(c, &bytes);
    if (c->state == GATEWAY_CHANNEL_OPEN && bytes.len > 0) {
        if (!gateway_channel_receives_plain(c)) {
            decrypt(c, bytes);
        } else {
            if (c->tls != NULL)
                tls_kernel_data(c->tls);
            deliver(c, bytes);
        }
    }
    c->taking = false;
    if (c->state == GATEWAY_CHANNEL_OPEN)
        gateway_channel_flush(c);
    arm_receive(c);
}

/* The kernel has met a record that is not data. */
static void take_control(struct gateway_channel *c)
{
    enum tls_control control = gateway_channel_take_control(c);

    switch (control) {
    case TLS_CONTROL_DONE:
    case TLS_CONTROL_KEY: break;
    case TLS_CONTROL_CLOSED: end_input(c, 0); break;
    case TLS_CONTROL_FAILED: end_input(c, EPROTO); break;
    }
    push(c); /* what it has to be answered with, if anything */
    arm_receive(c);
}

/* What the kernel says of a record that it cannot open becomes a failure of TLS. */
static int judge_error(struct gateway_channel *c, int error)
{
    bool by_kernel = c->tls != NULL && tls_kernel_has(c->tls, TLS_RECEIVE);

    if (!by_kernel || (error != EBADMSG && error != EMSGSIZE && error != EINVAL))
        return error;
    tls_kernel_receive_failed(c->tls, error);
    return EPROTO;
}

static void on_ended(struct engine_socket *socket, int error)
{
    struct gateway_channel *c = CONTAINER_OF(socket, struct gateway_channel, socket);
    bool by_kernel = c->tls != NULL && tls_kernel_has(c->tls, TLS_RECEIVE);

    if (by_kernel && error == EIO)
        take_control(c);
    else
        end_input(c, judge_error(c, error));
}

static void on_connected(struct engine_socket *socket, int error)
{
    struct gateway_channel *c = CONTAINER_OF(socket, struct gateway_channel, socket);

    if (error == 0)
        c->state = GATEWAY_CHANNEL_OPEN;
    c->handlers->connected(c, error);
}

static void begin_handshake(struct gateway_channel *c)
{
    struct slice nothing = { 0 };

    ASSERT(!engine_socket_is_receiving(&c->socket));
    c->state = GATEWAY_CHANNEL_SHAKING;
    if (c->input_ended)
        shake_alone(c);
    else
        shake(c, &nothing);
}

static void on_sent(struct engine_socket *socket, int error)
{
    struct gateway_channel *c = CONTAINER_OF(socket, struct gateway_channel, socket);

    c->sending_now = false;
    buffer_clear(&c->traffic->sending);
    release_empty(&c->traffic->sending);
    error = judge_error(c, error);
    if (error == 0 && !gateway_channel_control_sent(c))
        error = EPROTO;
    if (error != 0) {
        if (c->state == GATEWAY_CHANNEL_FLUSHING)
            close_socket(c, ENGINE_CLOSE_RESET);
        else
            end_input(c, error);
        return;
    }
    push(c);
    if (has_output(c))
        return;
    if (c->state == GATEWAY_CHANNEL_UPGRADING) {
        begin_handshake(c);
    } else if (c->state == GATEWAY_CHANNEL_FLUSHING) {
        finish_close_if_flushed(c);
    } else if (c->state == GATEWAY_CHANNEL_OPEN && c->undrained) {
        c->undrained = false;
        c->handlers->drained(c);
    }
}

void gateway_channel_pause(struct gateway_channel *c)
{
    c->paused = true;
}

/* Offers the owner what was kept. It lies in a buffer of its own meanwhile, so that the channel
 * keeps nothing when the owner, having taken all of it, starts TLS. */
static void deliver_kept(struct gateway_channel *c)
{
    struct gateway_channel_traffic *traffic = c->traffic;
    struct buffer kept = traffic->kept;
    size_t used;

    buffer_init(&traffic->kept, GATEWAY_CHANNEL_INPUT_BYTES_MAX);
    c->delivering = true;
    used = c->handlers->input(c, buffer_contents(&kept));
    c->delivering = false;
    ASSERT(c->traffic == traffic && buffer_len(&traffic->kept) == 0);
    buffer_consume(&kept, used);
    if (buffer_len(&kept) > 0 && !gateway_channel_is_closing(c)) {
        ASSERT(c->paused);
        swap(&traffic->kept, &kept);
    }
    buffer_finish(&kept);
}

void gateway_channel_resume(struct gateway_channel *c)
{
    if (gateway_channel_is_closing(c))
        return;
    ASSERT(!c->delivering || c->paused);
    c->paused = false;
    if (c->delivering)
        return; /* the input handler goes on; what follows here follows behind it */
    if (buffer_len(&traffic_of(c)->kept) > 0 && c->state == GATEWAY_CHANNEL_OPEN)
        deliver_kept(c);
    if (gateway_channel_is_closing(c))
        return;
    if (c->state == GATEWAY_CHANNEL_OPEN)
        gateway_channel_flush(c);
    if (c->input_ended && !c->paused && !gateway_channel_is_closing(c))
        c->handlers->ended(c, c->ended_error);
    else
        arm_receive(c);
}

void gateway_channel_secure(struct gateway_channel *c, struct tls_session *session)
{
    ASSERT(c->tls == NULL && c->state == GATEWAY_CHANNEL_OPEN);
    ASSERT(buffer_len(&traffic_of(c)->kept) == 0);
    c->paused = true;
    c->tls = session;
    c->state = GATEWAY_CHANNEL_UPGRADING;
    push(c);
    if (!has_output(c))
        begin_handshake(c);
}

void gateway_channel_close(struct gateway_channel *c)
{
    if (gateway_channel_is_closing(c))
        return;
    if (c->state == GATEWAY_CHANNEL_CONNECTING ||
        (c->input_ended && c->ended_error != 0 && !has_alert_to_say(c))) {
        close_socket(c, ENGINE_CLOSE_RESET);
        return;
    }
    push(c);
    if (c->state == GATEWAY_CHANNEL_CLOSED)
        return;
    engine_timer_stop(loop_of(c), &c->deadline);
    engine_timer_start(loop_of(c), &c->deadline, GATEWAY_CHANNEL_CLOSE_MS, on_deadline);
    c->state = GATEWAY_CHANNEL_FLUSHING;
    finish_close_if_flushed(c);
}

void gateway_channel_reset(struct gateway_channel *c)
{
    if (c->state != GATEWAY_CHANNEL_CLOSED)
        close_socket(c, ENGINE_CLOSE_RESET);
    else
        engine_socket_close(&c->socket, ENGINE_CLOSE_RESET); /* hurries a close that lingers */
}

static void on_closed(struct engine_socket *socket)
{
    struct gateway_channel *c = CONTAINER_OF(socket, struct gateway_channel, socket);

    ASSERT(c->state == GATEWAY_CHANNEL_CLOSED);
    gateway_channel_settle(c);
    tls_session_destroy(c->tls);
    c->tls = NULL;
    drop_traffic(c);
    c->handlers->closed(c);
}
