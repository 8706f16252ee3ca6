#include "tests/engine/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TURNS_MAX 200000

static void received(struct engine_socket *s, struct slice bytes)
{
    struct peer *p = CONTAINER_OF(s, struct peer, socket);
    size_t room = PEER_BYTES_MAX - p->bytes_len;

    p->received++;
    assert_true(bytes.len > 0 && bytes.len <= room);
    memcpy(p->bytes + p->bytes_len, bytes.data, bytes.len);
    p->bytes_len += bytes.len;
    if (p->closes_on_bytes) {
        engine_socket_close(s, ENGINE_CLOSE_GRACEFUL);
        return;
    }
    if (p->echoes) {
        struct iovec part = { p->bytes + p->bytes_len - bytes.len, bytes.len };

        engine_socket_send(s, &part, 1);
    } else if (p->keeps_receiving) {
        engine_socket_receive(s, p->group);
    }
}

static void ended(struct engine_socket *s, int error)
{
    struct peer *p = CONTAINER_OF(s, struct peer, socket);

    p->ended++;
    p->ended_error = error;
}

static void sent(struct engine_socket *s, int error)
{
    struct peer *p = CONTAINER_OF(s, struct peer, socket);

    p->sent++;
    p->sent_error = error;
    if (p->echoes && error == 0)
        engine_socket_receive(s, p->group);
}

static void connected(struct engine_socket *s, int error)
{
    struct peer *p = CONTAINER_OF(s, struct peer, socket);

    p->connected++;
    p->connected_error = error;
}

static void closed(struct engine_socket *s)
{
    CONTAINER_OF(s, struct peer, socket)->closed++;
}

const struct engine_socket_handlers peer_handlers = {
    .received = received,
    .ended = ended,
    .sent = sent,
    .connected = connected,
    .closed = closed,
};

struct engine_loop *peer_loop(const struct engine_loop_options *options)
{
    struct engine_loop_options defaults = { .requests_max = 0 };
    struct engine_reason reason = { .text = "" };
    struct engine_loop *loop = NULL;
    enum status status = engine_loop_create(options != NULL ? options : &defaults, &loop, &reason);

    if (status != STATUS_OK)
        print_message("no loop: %s\n", reason.text);
    assert_int_equal(status, STATUS_OK);
    return loop;
}

struct peer *peer_create(struct engine_loop *loop)
{
    struct peer *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    engine_socket_init(&p->socket, loop, &peer_handlers);
    return p;
}

static void tcp_pair(int pair[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(pair[1] >= 0);
    assert_int_equal(connect(pair[1], (struct sockaddr *)&address, len), 0);
    pair[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(pair[0] >= 0);
    (void)close(listener);
}

int peer_adopt(struct peer *p)
{
    int pair[2];

    tcp_pair(pair);
    assert_int_equal(engine_socket_adopt(&p->socket, pair[0]), STATUS_OK);
    return pair[1];
}

static void do_nothing(struct engine_task *task)
{
    (void)task;
}

void peer_poll(struct engine_loop *loop)
{
    struct engine_task task = { .handler = NULL };

    engine_loop_defer(loop, &task, do_nothing);
    engine_loop_turn(loop);
}

void peer_turn_until(struct engine_loop *loop, const unsigned *counter, unsigned count)
{
    for (unsigned i = 0; i < TURNS_MAX && *counter < count; i++)
        engine_loop_turn(loop);
    assert_true(*counter >= count);
}

void peer_finish(struct peer *p)
{
    struct engine_loop *loop = engine_socket_loop(&p->socket);

    if (p->closed == 0) {
        engine_socket_close(&p->socket, ENGINE_CLOSE_RESET);
        peer_turn_until(loop, &p->closed, 1);
    }
    assert_int_equal(p->closed, 1);
    free(p);
}
