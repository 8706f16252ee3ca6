#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/listener.h"
#include "tests/engine/peer.h"

static void fill(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 31 + i / 251);
}

static void thousands_of_bytes_are_echoed_in_order(void **unused)
{
    static char out[200000];
    static char in[sizeof(out)];
    struct engine_loop *loop = peer_loop(NULL);
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);
    size_t written = 0;
    size_t read_back = 0;

    (void)unused;
    fill(out, sizeof(out));
    p->echoes = true;
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (read_back < sizeof(out)) {
        ssize_t n =
            write(fd, out + written, sizeof(out) - written < 3000 ? sizeof(out) - written : 3000);

        written += n > 0 ? (size_t)n : 0;
        peer_poll(loop);
        n = read(fd, in + read_back, sizeof(in) - read_back);
        read_back += n > 0 ? (size_t)n : 0;
    }
    assert_memory_equal(in, out, sizeof(out));
    (void)close(fd);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void short_sends_are_continued_over_all_parts(void **unused)
{
    static char out[300000];
    static char in[sizeof(out)];
    struct iovec parts[ENGINE_SEND_PARTS_MAX];
    struct engine_loop *loop = peer_loop(NULL);
    struct engine_counters counters;
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);
    int tiny = 4096;
    size_t got = 0;
    size_t at = 0;

    (void)unused;
    fill(out, sizeof(out));
    assert_int_equal(
        setsockopt(engine_socket_fd(&p->socket), SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)), 0);
    for (unsigned i = 0; i < ENGINE_SEND_PARTS_MAX; i++) { /* one of them is empty */
        size_t len = i == 3 ? 0 : i == 7 ? sizeof(out) - at : 7000 * i + 1;

        parts[i] = (struct iovec){ out + at, len };
        at += len;
    }
    engine_socket_send(&p->socket, parts, ENGINE_SEND_PARTS_MAX);
    memset(parts, 0, sizeof(parts));
    assert_true(engine_socket_is_sending(&p->socket));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (got < sizeof(in)) {
        ssize_t n;

        peer_poll(loop);
        while ((n = read(fd, in + got, sizeof(in) - got)) > 0)
            got += (size_t)n;
    }
    peer_turn_until(loop, &p->sent, 1);
    assert_int_equal(p->sent_error, 0);
    assert_false(engine_socket_is_sending(&p->socket));
    assert_memory_equal(in, out, sizeof(out));
    engine_loop_counters(loop, &counters);
    assert_true(counters.sends_short > 0);
    assert_int_equal(counters.send_bytes, sizeof(out));
    (void)close(fd);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void a_graceful_close_under_an_armed_receive_sends_a_fin(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);
    char byte;

    (void)unused;
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    peer_poll(loop);
    assert_int_equal(read(fd, &byte, 1), 0);
    assert_int_equal(p->closed, 0);
    (void)close(fd);
    peer_turn_until(loop, &p->closed, 1);
    assert_int_equal(p->ended + p->received + p->sent, 0);
    assert_int_equal(engine_loop_owners(loop), 0);
    peer_finish(p);
    engine_loop_destroy(loop);
}

/* The last reply must reach a peer that is still writing: no reset may overtake it. */
static void the_last_reply_survives_unread_input(void **unused)
{
    static char junk[30000];
    struct engine_loop *loop = peer_loop(NULL);
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);
    struct iovec part = { "421 bye\r\n", 9 };
    char in[64];

    (void)unused;
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    engine_socket_send(&p->socket, &part, 1);
    peer_turn_until(loop, &p->sent, 1);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    for (unsigned i = 0; i < 20; i++) {
        peer_poll(loop);
        assert_int_equal(write(fd, junk, 100), 100);
    }
    assert_int_equal(read(fd, in, sizeof(in)), 9);
    assert_memory_equal(in, "421 bye\r\n", 9);
    assert_int_equal(read(fd, in, sizeof(in)), 0);
    (void)close(fd);
    peer_turn_until(loop, &p->closed, 1);
    assert_int_equal(p->received, 0);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void the_drain_of_a_graceful_close_is_bounded(void **unused)
{
    static char junk[4 * ENGINE_CLOSE_DRAIN_BYTES];
    struct engine_loop *loop = peer_loop(NULL);
    struct engine_counters counters;
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);

    (void)unused;
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    while (p->closed == 0) { /* in the end by ENGINE_CLOSE_DRAIN_MS, but with more bytes */
        (void)send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
        engine_loop_turn(loop);
    }
    engine_loop_counters(loop, &counters);
    assert_true(counters.recv_bytes < 2 * ENGINE_CLOSE_DRAIN_BYTES);
    (void)close(fd);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void closing_inside_a_handler_is_allowed(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);

    (void)unused;
    p->closes_on_bytes = true;
    engine_socket_receive(&p->socket, ENGINE_BUFFERS_LARGE);
    assert_int_equal(write(fd, "QUIT", 4), 4);
    peer_turn_until(loop, &p->received, 1);
    (void)close(fd);
    peer_turn_until(loop, &p->closed, 1);
    assert_int_equal(p->received, 1);
    assert_int_equal(p->ended, 0);
    peer_finish(p);
    engine_loop_destroy(loop);
}

static void a_reset_reaches_the_peer_as_a_reset(void **unused)
{
    static char unsent[1 << 20];
    struct engine_loop *loop = peer_loop(NULL);
    char byte;

    (void)unused;
    for (unsigned armed = 0; armed < 4; armed++) {
        struct peer *p = peer_create(loop);
        int fd = peer_adopt(p);
        struct iovec parts[2] = { { unsent, sizeof(unsent) }, { unsent, sizeof(unsent) } };
        ssize_t n;

        if ((armed & 1) != 0)
            engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
        if ((armed & 2) != 0)
            engine_socket_send(&p->socket, parts, 2);
        engine_socket_close(&p->socket, ENGINE_CLOSE_RESET);
        peer_turn_until(loop, &p->closed, 1);
        while ((n = read(fd, &byte, 1)) > 0)
            continue;
        assert_int_equal(n, -1);
        assert_int_equal(errno, ECONNRESET);
        assert_int_equal(p->ended + p->sent, 0);
        (void)close(fd);
        peer_finish(p);
    }
    assert_int_equal(engine_loop_owners(loop), 0);
    engine_loop_destroy(loop);
}

static void the_peers_end_is_told_with_its_reason(void **unused)
{
    static const struct {
        bool reset;
        int error;
    } cases[] = { { false, 0 }, { true, ECONNRESET } };
    struct engine_loop *loop = peer_loop(NULL);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer *p = peer_create(loop);
        int fd = peer_adopt(p);
        struct linger linger = { .l_onoff = cases[i].reset ? 1 : 0 };

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        engine_socket_receive(&p->socket, ENGINE_BUFFERS_SMALL);
        (void)close(fd);
        peer_turn_until(loop, &p->ended, 1);
        assert_int_equal(p->ended_error, cases[i].error);
        assert_false(engine_socket_is_receiving(&p->socket));
        engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
        peer_turn_until(loop, &p->closed, 1);
        peer_finish(p);
    }
    engine_loop_destroy(loop);
}

/* And no SIGPIPE. */
static void sending_to_a_peer_that_is_gone_is_an_error(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct peer *p = peer_create(loop);
    int fd = peer_adopt(p);
    struct iovec parts[2] = { { "250 ", 4 }, { "ok\r\n", 4 } };

    (void)unused;
    (void)close(fd);
    for (unsigned i = 1; i <= 4; i++) {
        engine_socket_send(&p->socket, parts, 1 + i % 2);
        peer_turn_until(loop, &p->sent, i);
    }
    assert_int_equal(p->sent_error, EPIPE);
    peer_finish(p);
    engine_loop_destroy(loop);
}

/* Two buffers, twenty sockets that all have bytes waiting: everybody gets everything. */
static void sockets_that_find_no_buffer_wait_for_one(void **unused)
{
    enum { SOCKETS = 20, BYTES = 40000 };
    struct engine_loop_options options = { .buffers_small = 2,
                                           .buffers_large = 2,
                                           .buffers_huge = 2 };
    struct engine_loop *loop = peer_loop(&options);
    struct engine_counters counters;
    struct peer *peers[SOCKETS];
    int fds[SOCKETS];
    static char out[BYTES];

    (void)unused;
    fill(out, sizeof(out));
    for (unsigned i = 0; i < SOCKETS; i++) {
        peers[i] = peer_create(loop);
        fds[i] = peer_adopt(peers[i]);
        peers[i]->keeps_receiving = true;
        peers[i]->group = (enum engine_buffers)(i % ENGINE_BUFFERS_COUNT);
        assert_int_equal(write(fds[i], out, sizeof(out)), sizeof(out));
        (void)shutdown(fds[i], SHUT_WR);
    }
    for (unsigned i = 0; i < SOCKETS; i++)
        engine_socket_receive(&peers[i]->socket, peers[i]->group);
    for (unsigned i = 0; i < SOCKETS; i++) {
        peer_turn_until(loop, &peers[i]->ended, 1);
        assert_int_equal(peers[i]->bytes_len, sizeof(out));
        assert_memory_equal(peers[i]->bytes, out, sizeof(out));
    }
    engine_loop_counters(loop, &counters);
    assert_true(counters.recvs_starved > 0);
    for (unsigned i = 0; i < SOCKETS; i++) {
        (void)close(fds[i]);
        peer_finish(peers[i]);
    }
    engine_loop_destroy(loop);
}

/* Far more completions at once than the rings have room for: none may be lost. */
static void small_rings_lose_nothing(void **unused)
{
    enum { SOCKETS = 150, BYTES = 9000 };
    struct engine_loop_options options = { .requests_max = 4, .buffers_small = 64 };
    struct engine_loop *loop = peer_loop(&options);
    struct engine_counters counters;
    static char out[BYTES];
    struct peer *peers[SOCKETS];
    int fds[SOCKETS];

    (void)unused;
    fill(out, sizeof(out));
    for (unsigned i = 0; i < SOCKETS; i++) {
        peers[i] = peer_create(loop);
        fds[i] = peer_adopt(peers[i]);
        peers[i]->keeps_receiving = true;
        engine_socket_receive(&peers[i]->socket, ENGINE_BUFFERS_SMALL);
    }
    peer_poll(loop);
    for (unsigned i = 0; i < SOCKETS; i++) {
        assert_int_equal(write(fds[i], out, sizeof(out)), sizeof(out));
        (void)shutdown(fds[i], SHUT_WR);
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        peer_turn_until(loop, &peers[i]->ended, 1);
        assert_int_equal(peers[i]->bytes_len, sizeof(out));
        assert_memory_equal(peers[i]->bytes, out, sizeof(out));
        (void)close(fds[i]);
    }
    engine_loop_counters(loop, &counters);
    assert_true(counters.cq_overflows > 0);
    for (unsigned i = 0; i < SOCKETS; i++)
        peer_finish(peers[i]);
    engine_loop_destroy(loop);
}

static void connecting_tells_how_it_went(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct ip_endpoint endpoint = { .port = 0 };
    struct ip_endpoint listening;
    struct ip_endpoint local = { .port = 0 };
    struct peer *p = peer_create(loop);
    int error = 0;
    int fd = -1;

    (void)unused;
    assert_true(ip_parse(SLICE("127.0.0.1"), &endpoint.address));
    assert_true(ip_parse(SLICE("127.0.0.7"), &local.address));
    assert_int_equal(engine_listener_bind(&endpoint, 5, &fd, &error), STATUS_OK);
    assert_true(engine_listener_endpoint(fd, &endpoint));
    listening = endpoint;

    engine_socket_connect(&p->socket, &endpoint, &local);
    peer_turn_until(loop, &p->connected, 1);
    assert_int_equal(p->connected_error, 0);
    assert_true(engine_socket_local(&p->socket, &endpoint));
    assert_true(ip_equal(&endpoint.address, &local.address));
    endpoint = listening;
    peer_finish(p);
    (void)close(fd);

    p = peer_create(loop);
    engine_socket_connect(&p->socket, &endpoint, NULL);
    peer_turn_until(loop, &p->connected, 1);
    assert_int_equal(p->connected_error, ECONNREFUSED);
    peer_finish(p);

    p = peer_create(loop); /* an address that is not ours: fails before it begins */
    assert_true(ip_parse(SLICE("192.0.2.1"), &local.address));
    engine_socket_connect(&p->socket, &endpoint, &local);
    assert_int_equal(p->connected, 0);
    peer_turn_until(loop, &p->connected, 1);
    assert_int_equal(p->connected_error, EADDRNOTAVAIL);
    peer_finish(p);

    p = peer_create(loop); /* closed before it could answer */
    engine_socket_connect(&p->socket, &endpoint, NULL);
    engine_socket_close(&p->socket, ENGINE_CLOSE_GRACEFUL);
    peer_turn_until(loop, &p->closed, 1);
    assert_int_equal(p->connected, 0);
    peer_finish(p);
    assert_int_equal(engine_loop_owners(loop), 0);
    engine_loop_destroy(loop);
}

static void adopting_beyond_the_limit_closes_the_fd(void **unused)
{
    struct engine_loop_options options = { .owners_max = 1 }; /* taken by the loop's own bell */
    struct engine_loop *loop = peer_loop(&options);
    struct peer *p = peer_create(loop);
    int fd = dup(0);

    (void)unused;
    assert_int_equal(engine_socket_adopt(&p->socket, fd), STATUS_LIMIT);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(engine_socket_fd(&p->socket), -1);
    engine_socket_connect(&p->socket, &(struct ip_endpoint){ .port = 25 }, NULL);
    peer_turn_until(loop, &p->connected, 1);
    assert_int_equal(p->connected_error, ENOMEM);
    peer_finish(p);
    engine_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_bytes_are_echoed_in_order),
        cmocka_unit_test(short_sends_are_continued_over_all_parts),
        cmocka_unit_test(a_graceful_close_under_an_armed_receive_sends_a_fin),
        cmocka_unit_test(the_last_reply_survives_unread_input),
        cmocka_unit_test(the_drain_of_a_graceful_close_is_bounded),
        cmocka_unit_test(closing_inside_a_handler_is_allowed),
        cmocka_unit_test(a_reset_reaches_the_peer_as_a_reset),
        cmocka_unit_test(the_peers_end_is_told_with_its_reason),
        cmocka_unit_test(sending_to_a_peer_that_is_gone_is_an_error),
        cmocka_unit_test(sockets_that_find_no_buffer_wait_for_one),
        cmocka_unit_test(small_rings_lose_nothing),
        cmocka_unit_test(connecting_tells_how_it_went),
        cmocka_unit_test(adopting_beyond_the_limit_closes_the_fd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
