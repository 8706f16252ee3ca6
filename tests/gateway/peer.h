/* tests/gateway/peer.h - the other end of a channel under test: a socket, in the clear or as the
 * client of a TLS session that talks through memory. */
#pragma once
#include "engine/timer.h"
#include "tests/tls/support.h"

struct peer_tls {
    struct tls_context *server;
    struct tls_context *client;
    struct tls_session *session;
    struct buffer out;
    bool is_established;
};

static inline void peer_tls_init(struct peer_tls *p)
{
    *p = (struct peer_tls){ .server = make_server(1u << KIND_ECDSA, TLS_VERSION_1_2, NULL),
                            .client = make_client(TLS_VERSION_1_2) };
    buffer_init(&p->out, (size_t)1 << 20);
    assert_int_equal(tls_session_create(p->client, TLS_ROLE_CLIENT, NULL, &p->session), STATUS_OK);
}

static inline void peer_tls_finish(struct peer_tls *p)
{
    tls_session_destroy(p->session);
    tls_context_destroy(p->client);
    tls_context_destroy(p->server);
    buffer_finish(&p->out);
}

/* A session for the channel, which takes it. */
static inline struct tls_session *peer_tls_server(struct peer_tls *p)
{
    struct tls_session *session = NULL;

    assert_int_equal(tls_session_create(p->server, TLS_ROLE_SERVER, NULL, &session), STATUS_OK);
    return session;
}

static inline void peer_write(int fd, struct slice bytes)
{
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
}

static inline void peer_tls_flush(struct peer_tls *p, int fd)
{
    if (buffer_len(&p->out) > 0)
        peer_write(fd, buffer_contents(&p->out));
    buffer_clear(&p->out);
}

/* One step of the client's handshake, on what has come. */
static inline void peer_tls_step(struct peer_tls *p, int fd)
{
    char room[16384];
    ssize_t n = read(fd, room, sizeof(room));
    struct slice input = { room, n > 0 ? (size_t)n : 0 };
    enum tls_progress progress;

    if (p->is_established)
        return;
    progress = tls_session_handshake(p->session, &input, &p->out);
    assert_true(progress == TLS_DONE || progress == TLS_WANT_INPUT);
    p->is_established = progress == TLS_DONE;
    peer_tls_flush(p, fd);
}

static inline void peer_tls_write(struct peer_tls *p, int fd, struct slice plain)
{
    size_t used;

    assert_int_equal(tls_session_write(p->session, plain, &p->out, &used), TLS_DONE);
    peer_tls_flush(p, fd);
}

/* Adds what has come to `seen`; tls may be NULL. */
static inline void peer_read(struct peer_tls *tls, int fd, struct buffer *seen)
{
    char room[16384], plain[16384];
    ssize_t n = read(fd, room, sizeof(room));
    struct slice input = { room, n > 0 ? (size_t)n : 0 };
    size_t len;

    if (input.len == 0)
        return;
    if (tls == NULL) {
        assert_int_equal(buffer_append(seen, input), STATUS_OK);
        return;
    }
    while (tls_session_read(tls->session, &input, &tls->out, plain, sizeof(plain), &len) ==
           TLS_DONE)
        assert_int_equal(buffer_append(seen, (struct slice){ plain, len }), STATUS_OK);
}

static inline void peer_poked(struct engine_timer *timer)
{
    (void)timer;
}

/* The loop's next wait is over after a tick at the latest. */
static inline void peer_poke(struct engine_loop *loop, struct engine_timer *timer)
{
    engine_timer_start(loop, timer, ENGINE_TICK_MS, peer_poked);
}
