#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "engine/core.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

static struct engine_loop *fake_loop(void)
{
    struct engine_loop_options options = { .buffers_small = 4,
                                           .buffers_large = 2,
                                           .backend = &fake_backend_ops };

    return peer_loop(&options);
}

static int adopt_fake(struct peer *p)
{
    int fd = fake_fd(fake_backend_of(engine_socket_loop(&p->socket)));

    assert_int_equal(engine_socket_adopt(&p->socket, fd), STATUS_OK);
    return fd;
}

static void a_send_ends_as_the_kernel_says(void **unused)
{
    static const struct {
        int results[4]; /* of 10 bytes in two parts; 0x7fff ends the list */
        int error;
    } cases[] = {
        { { 10, 0x7fff }, 0 },
        { { 4, 6, 0x7fff }, 0 },
        { { 3, 1, 6, 0x7fff }, 0 },
        { { 1, 1, 1, 7 }, 0 },
        { { -EINTR, -EAGAIN, 10, 0x7fff }, 0 },
        { { -EPIPE, 0x7fff }, EPIPE },
        { { 9, -ECONNRESET, 0x7fff }, ECONNRESET },
        { { 0, 0x7fff }, EPIPE },
        { { 4, 0, 0x7fff }, EPIPE },
    };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *p = peer_create(loop);
        struct iovec parts[2] = { { p->bytes, 4 }, { p->bytes + 4, 6 } };
        int fd = adopt_fake(p);

        engine_socket_send(&p->socket, parts, 2);
        for (size_t k = 0; k < 4 && cases[i].results[k] != 0x7fff; k++) {
            assert_int_equal(p->sent, 0);
            fake_complete(f, ENGINE_OP_SENDMSG, fd, cases[i].results[k]);
            engine_loop_turn(loop);
        }
        assert_int_equal(p->sent, 1);
        assert_int_equal(p->sent_error, cases[i].error);
        assert_false(engine_socket_is_sending(&p->socket));
        peer_finish(p);
    }
    engine_loop_destroy(loop);
}

static void a_receive_ends_as_the_kernel_says(void **unused)
{
    static const struct {
        int result;
        bool with_buffer;
        int error;
    } cases[] = {
        { 0, false, 0 },
        { -ECONNRESET, false, ECONNRESET },
        { -ETIMEDOUT, false, ETIMEDOUT },
        { 0, true, 0 }, /* a buffer that came without bytes goes back */
        { -EIO, true, EIO },
        { 5, false, EPROTO }, /* bytes that came without a buffer are not believed */
    };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *p = peer_create(loop);
        int fd = adopt_fake(p);
        uint64_t token;

        engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
        assert_int_equal(f->buffers_out, 0);
        token = fake_pending(f, ENGINE_OP_RECV, fd)->token;
        fake_complete(f, ENGINE_OP_RECV, fd, 0);
        f->ready_count--;
        fake_inject(f, token, cases[i].result, cases[i].with_buffer);
        engine_loop_turn(loop);
        assert_int_equal(p->received, 0);
        assert_int_equal(p->ended, 1);
        assert_int_equal(p->ended_error, cases[i].error);
        assert_int_equal(f->buffers_out, 0);
        peer_finish(p);
    }
    engine_loop_destroy(loop);
}

/* With the kernel's TLS, EIO announces a record that is not data; data may follow it. */
static void after_eio_a_socket_may_receive_again(void **unused)
{
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct peer *p = peer_create(loop);
    int fd = adopt_fake(p);

    (void)unused;
    assert_int_equal(engine_socket_tls_key(&p->socket, ENGINE_TLS_RECEIVE, "key", 3), 0);
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    fake_complete(f, ENGINE_OP_RECV, fd, -EIO);
    engine_loop_turn(loop);
    assert_int_equal(p->ended, 1);
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_LARGE);
    assert_true(fake_receive(f, fd, SLICE("data")));
    engine_loop_turn(loop);
    assert_memory_equal(p->bytes, "data", 4);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void a_completion_of_an_earlier_life_is_dropped(void **unused)
{
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct engine_counters counters;
    struct peer *p = peer_create(loop);
    int fd = adopt_fake(p);
    uint64_t token;
    unsigned fds_closed;

    (void)unused;
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    token = fake_pending(f, ENGINE_OP_RECV, fd)->token;
    peer_finish(p);

    fake_inject(f, token, 5, true); /* the slot is free */
    engine_loop_turn(loop);
    p = peer_create(loop);
    fd = adopt_fake(p);
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    assert_int_equal(engine_token_slot(fake_pending(f, ENGINE_OP_RECV, fd)->token),
                     engine_token_slot(token));
    fake_inject(f, token, 5, true); /* the slot has a new owner */
    engine_loop_turn(loop);
    assert_int_equal(p->received + p->ended, 0);
    assert_int_equal(f->buffers_out, 0);
    fds_closed = f->fds_closed; /* a connection that nobody takes must not stay open */
    fake_inject(f, engine_token(ENGINE_OP_ACCEPT, 77, 3), fake_fd(f), false);
    fake_inject(f, engine_token(ENGINE_OP_RECV, 0, 999999), 1, true); /* no such slot */
    engine_loop_turn(loop);
    assert_int_equal(f->fds_closed, fds_closed + 1);
    engine_loop_counters(loop, &counters);
    assert_int_equal(counters.completions_late, 4);
    peer_finish(p);
    engine_loop_destroy(loop);
}

/* The cancel may be too late: the operation then completes as it would have. Whatever the order,
 * the close waits for all of it and tells nothing but `closed`. */
static void a_reset_waits_for_all_that_is_in_flight(void **unused)
{
    static const struct {
        int recv_result;
        int send_result;
        int cancel_result;
    } cases[] = {
        { -ECANCELED, -ECANCELED, 0 },
        { 0, 4, -ENOENT },
        { -ENOBUFS, 2, -EALREADY },
        { -EINTR, -EINTR, -ENOENT },
    };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    f->holds_cancels = true;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned order = 0; order < 2; order++) {
            struct peer *p = peer_create(loop);
            struct iovec part = { p->bytes, 4 };
            int fd = adopt_fake(p);
            unsigned fds_closed = f->fds_closed;

            engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
            engine_socket_send(&p->socket, &part, 1);
            engine_socket_close(&p->socket, ENGINE_CLOSE_RESET);
            engine_socket_close(&p->socket, ENGINE_CLOSE_RESET);
            for (unsigned k = 0; k < 4; k++) {
                assert_int_equal(f->fds_closed, fds_closed);
                switch (order == 0 ? k : 3 - k) {
                case 0: fake_complete(f, ENGINE_OP_RECV, fd, cases[i].recv_result); break;
                case 1: fake_complete(f, ENGINE_OP_SENDMSG, fd, cases[i].send_result); break;
                default: fake_complete(f, ENGINE_OP_CANCEL, fd, cases[i].cancel_result); break;
                }
                engine_loop_turn(loop);
                assert_int_equal(p->closed, 0);
            }
            assert_int_equal(f->fds_closed, fds_closed + 1);
            engine_loop_turn(loop);
            assert_int_equal(p->closed, 1);
            assert_int_equal(p->received + p->ended + p->sent, 0);
            peer_finish(p);
        }
    }
    f->holds_cancels = false;
    assert_int_equal(f->resets, 2 * ARRAY_LEN(cases));
    engine_loop_destroy(loop);
}

static void a_graceful_close_finishes_the_send_then_waits_two_seconds(void **unused)
{
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct peer *p = peer_create(loop);
    struct iovec part = { p->bytes, 8 };
    int fd = adopt_fake(p);
    uint64_t begun_ms;

    (void)unused;
    engine_socket_send(&p->socket, &part, 1);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    begun_ms = f->now_ms;
    fake_complete(f, ENGINE_OP_SENDMSG, fd, 3);
    engine_loop_turn(loop);
    assert_null(fake_pending(f, ENGINE_OP_RECV, fd));
    assert_int_equal(f->fins_sent, 0);
    fake_complete(f, ENGINE_OP_SENDMSG, fd, 5);
    engine_loop_turn(loop);
    assert_non_null(fake_pending(f, ENGINE_OP_RECV, fd));
    assert_int_equal(f->fins_sent, 1);
    assert_true(fake_receive(f, fd, SLICE("more")));
    engine_loop_turn(loop);
    assert_non_null(fake_pending(f, ENGINE_OP_RECV, fd));
    assert_int_equal(f->fins_sent, 1);
    peer_turn_until(loop, &p->closed, 1);
    assert_true(f->now_ms - begun_ms >= ENGINE_CLOSE_DRAIN_MS);
    assert_true(f->now_ms - begun_ms <= ENGINE_CLOSE_DRAIN_MS + 2 * ENGINE_TICK_MS);
    assert_int_equal(p->sent + p->received + p->ended, 0);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void starved_sockets_get_their_turn_in_order(void **unused)
{
    enum { SOCKETS = 7 };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct peer *peers[SOCKETS];
    int fds[SOCKETS];

    (void)unused;
    for (unsigned i = 0; i < SOCKETS; i++) {
        peers[i] = peer_create(loop);
        fds[i] = adopt_fake(peers[i]);
        engine_socket_receive(&peers[i]->socket, ENGINE_BUFFERS_LARGE);
    }
    for (unsigned i = 0; i < SOCKETS; i++)
        assert_int_equal(fake_receive(f, fds[i], SLICE("x")), i < 2);
    for (unsigned served = 2; served < SOCKETS; served += 2) {
        engine_loop_turn(loop);
        for (unsigned i = 0; i < SOCKETS; i++) {
            bool armed = fake_pending(f, ENGINE_OP_RECV, fds[i]) != NULL;

            assert_int_equal(peers[i]->received, i < served);
            assert_int_equal(engine_socket_is_receiving(&peers[i]->socket), i >= served);
            assert_int_equal(armed, i >= served && i < served + 2);
        }
        for (unsigned i = served; i < served + 2 && i < SOCKETS; i++)
            assert_true(fake_receive(f, fds[i], SLICE("x")));
    }
    engine_loop_turn(loop);
    for (unsigned i = 0; i < SOCKETS; i++) {
        assert_int_equal(peers[i]->received, 1);
        peer_finish(peers[i]);
    }
    engine_loop_destroy(loop);
}

/* Closed from a task of the turn in which it found no buffer, while it waits in the queue. */
struct closer {
    struct engine_task task;
    struct peer *peer;
    enum engine_close how;
};

static void close_starved(struct engine_task *task)
{
    struct closer *c = CONTAINER_OF(task, struct closer, task);

    assert_true(list_is_linked(&c->peer->socket.starved));
    engine_socket_close(&c->peer->socket, c->how);
}

static void a_starved_socket_can_be_closed(void **unused)
{
    static const enum engine_close hows[] = { ENGINE_CLOSE_GRACEFUL, ENGINE_CLOSE_RESET };
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
        struct peer *p = peer_create(loop);
        struct closer c = { .peer = p, .how = hows[i] };
        int fd = adopt_fake(p);

        engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
        fake_complete(f, ENGINE_OP_RECV, fd, -ENOBUFS);
        engine_loop_defer(loop, &c.task, close_starved);
        peer_turn_until(loop, &p->closed, 1);
        assert_int_equal(p->ended, 0);
        peer_finish(p);
    }
    engine_loop_destroy(loop);
}

static void a_connect_that_cannot_open_a_socket_is_told_later(void **unused)
{
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct ip_endpoint remote = { .port = 25 };

    (void)unused;
    f->socket_open_error = EMFILE;
    for (unsigned closed_at_once = 0; closed_at_once < 2; closed_at_once++) {
        struct peer *p = peer_create(loop);

        engine_socket_connect(&p->socket, &remote, NULL);
        assert_int_equal(p->connected, 0);
        if (closed_at_once == 0) {
            peer_turn_until(loop, &p->connected, 1);
            assert_int_equal(p->connected_error, EMFILE);
        }
        engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
        assert_int_equal(p->closed, 0);
        peer_turn_until(loop, &p->closed, 1);
        assert_int_equal(p->connected, closed_at_once == 0);
        peer_finish(p);
    }
    assert_int_equal(engine_loop_owners(loop), 0);
    engine_loop_destroy(loop);
}

static void without_memory_each_call_ends_in_its_event(void **unused)
{
    struct engine_loop *loop = fake_loop();
    struct fake_backend *f = fake_backend_of(loop);
    struct ip_endpoint remote = { .port = 25 };
    struct peer *p = peer_create(loop);
    int fd = adopt_fake(p);
    uint64_t begun_ms = f->now_ms;

    (void)unused;
    loop->sends.objects_max = 0;
    loop->lingers.objects_max = 0;
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    engine_socket_send(&p->socket, &(struct iovec){ p->bytes, 3 }, 1);
    assert_true(engine_socket_is_sending(&p->socket));
    assert_int_equal(p->sent, 0);
    engine_loop_turn(loop);
    assert_int_equal(p->sent, 1);
    assert_int_equal(p->sent_error, ENOMEM);
    assert_false(engine_socket_is_sending(&p->socket));
    assert_non_null(fake_pending(f, ENGINE_OP_RECV, fd));
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL); /* then without a drain */
    peer_turn_until(loop, &p->closed, 1);
    assert_true(f->now_ms - begun_ms < 1000);
    peer_finish(p);

    p = peer_create(loop);
    engine_socket_connect(&p->socket, &remote, NULL);
    peer_turn_until(loop, &p->connected, 1);
    assert_int_equal(p->connected_error, ENOMEM);
    peer_finish(p);
    assert_int_equal(engine_loop_owners(loop), 0);
    engine_loop_destroy(loop);
}

/* ---- a storm: random calls, random completions, from a printed seed ---- */

#define STORM_SOCKETS 24
#define STORM_STEPS   3000

struct storm {
    struct engine_loop *loop;
    struct fake_backend *f;
    struct peer *peers[STORM_SOCKETS];
    uint64_t seed;
};

static uint64_t roll(struct storm *s, uint64_t below)
{
    s->seed += 0x9e3779b97f4a7c15ull;
    return hash_number(s->seed) % below;
}

static void storm_complete(struct storm *s)
{
    const struct engine_request *r;

    if (s->f->pending_count == 0)
        return;
    r = &s->f->pending[roll(s, s->f->pending_count)];
    switch (r->op) {
    case ENGINE_OP_RECV: {
        static const int results[] = { 0, -ECONNRESET, -ENOBUFS, -EINTR, -EIO };

        if (roll(s, 3) > 0)
            (void)fake_receive(s->f, r->fd, SLICE("some bytes"));
        else
            fake_complete(s->f, r->op, r->fd, results[roll(s, ARRAY_LEN(results))]);
        break;
    }
    case ENGINE_OP_SENDMSG: {
        static const int results[] = { 1, 2, 3, -EPIPE, -EAGAIN, 0 };
        int left = (int)r->sendmsg.message->msg_iov->iov_len;
        int result = results[roll(s, ARRAY_LEN(results))];

        fake_complete(s->f, r->op, r->fd, result < left ? result : left);
        break;
    }
    case ENGINE_OP_CONNECT:
        fake_complete(s->f, r->op, r->fd, roll(s, 2) == 0 ? 0 : -ECONNREFUSED);
        break;
    default: break; /* the bell */
    }
}

static bool may_use(const struct peer *p)
{
    return !engine_socket_is_closing(&p->socket) &&
           (p->connected == 0 || p->connected_error == 0) && engine_socket_fd(&p->socket) >= 0;
}

static void storm_call(struct storm *s)
{
    struct peer **slot = &s->peers[roll(s, STORM_SOCKETS)];
    struct peer *p = *slot;
    struct ip_endpoint remote = { .port = 25 };

    if (p == NULL) {
        *slot = p = peer_create(s->loop);
        if (roll(s, 2) == 0) {
            engine_socket_connect(&p->socket, &remote, NULL);
            p->connected_error = EINPROGRESS;
        } else {
            (void)adopt_fake(p);
        }
        p->connected = p->connected_error != 0;
        return;
    }
    if (p->closed > 0) {
        peer_finish(p);
        *slot = NULL;
        return;
    }
    switch (roll(s, 6)) {
    case 0:
    case 1:
        if (may_use(p) && p->ended == 0 && !engine_socket_is_receiving(&p->socket))
            engine_socket_receive(&p->socket, (enum engine_buffers)roll(s, 2));
        break;
    case 2:
    case 3:
        if (may_use(p) && !engine_socket_is_sending(&p->socket))
            engine_socket_send(&p->socket, &(struct iovec){ p->bytes, 3 }, 1);
        break;
    case 4:
        if (roll(s, 4) == 0)
            engine_socket_close(&p->socket, (enum engine_close)roll(s, 2));
        break;
    default: break;
    }
}

static void whatever_happens_every_socket_is_closed_once(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct storm s = { .loop = fake_loop(), .seed = seed << 32 };

        print_message("seed %llu\n", (unsigned long long)seed);
        s.f = fake_backend_of(s.loop);
        for (unsigned step = 0; step < STORM_STEPS; step++) {
            if (roll(&s, 2) == 0)
                storm_complete(&s);
            else
                storm_call(&s);
            if (roll(&s, 4) == 0) {
                peer_poll(s.loop);
                assert_int_equal(s.f->buffers_out, 0);
            }
        }
        for (unsigned i = 0; i < STORM_SOCKETS; i++)
            if (s.peers[i] != NULL)
                peer_finish(s.peers[i]);
        assert_int_equal(engine_loop_owners(s.loop), 0);
        engine_loop_destroy(s.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_send_ends_as_the_kernel_says),
        cmocka_unit_test(a_receive_ends_as_the_kernel_says),
        cmocka_unit_test(after_eio_a_socket_may_receive_again),
        cmocka_unit_test(a_completion_of_an_earlier_life_is_dropped),
        cmocka_unit_test(a_reset_waits_for_all_that_is_in_flight),
        cmocka_unit_test(a_graceful_close_finishes_the_send_then_waits_two_seconds),
        cmocka_unit_test(starved_sockets_get_their_turn_in_order),
        cmocka_unit_test(a_starved_socket_can_be_closed),
        cmocka_unit_test(a_connect_that_cannot_open_a_socket_is_told_later),
        cmocka_unit_test(without_memory_each_call_ends_in_its_event),
        cmocka_unit_test(whatever_happens_every_socket_is_closed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
