#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/listener.h"
#include "engine/poll.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

#define FDS_MAX 64

struct door {
    struct engine_listener listener;
    unsigned accepted;
    unsigned stopped;
    int fds[FDS_MAX];
    struct ip_endpoint remote;
};

static void accepted(struct engine_listener *l, int fd, const struct ip_endpoint *remote)
{
    struct door *d = CONTAINER_OF(l, struct door, listener);

    assert_true(d->accepted < FDS_MAX);
    d->fds[d->accepted++] = fd;
    d->remote = *remote;
}

static void stopped(struct engine_listener *l)
{
    CONTAINER_OF(l, struct door, listener)->stopped++;
}

static const struct engine_listener_handlers handlers = { .accepted = accepted,
                                                          .stopped = stopped };

static int bind_loopback(const char *address, struct ip_endpoint *endpoint_out)
{
    int error = 0;
    int fd = -1;

    *endpoint_out = (struct ip_endpoint){ .port = 0 };
    assert_true(ip_parse(slice_from(address), &endpoint_out->address));
    assert_int_equal(engine_listener_bind(endpoint_out, 50, &fd, &error), STATUS_OK);
    assert_true(engine_listener_endpoint(fd, endpoint_out));
    assert_int_not_equal(endpoint_out->port, 0);
    return fd;
}

static int call(const struct ip_endpoint *endpoint)
{
    struct sockaddr_storage address;
    socklen_t len = ip_endpoint_to_socket(endpoint, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    return fd;
}

static void hang_up(struct door *d, int *calls, unsigned count)
{
    for (unsigned i = 0; i < d->accepted; i++)
        (void)close(d->fds[i]);
    for (unsigned i = 0; i < count; i++)
        (void)close(calls[i]);
}

static void stop(struct engine_loop *loop, struct door *d)
{
    engine_listener_stop(&d->listener);
    engine_listener_stop(&d->listener);
    assert_int_equal(d->stopped, 0);
    peer_turn_until(loop, &d->stopped, 1);
    assert_int_equal(engine_loop_owners(loop), 0);
}

static void connections_are_accepted_unless_paused(void **unused)
{
    static const char *const addresses[] = { "127.0.0.1", "::1" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct engine_loop *loop = peer_loop(NULL);
        struct ip_endpoint endpoint;
        struct door d = { .accepted = 0 };
        int fd = bind_loopback(addresses[i], &endpoint);
        int calls[6];
        int no_delay = 0;
        socklen_t len = sizeof(no_delay);

        assert_int_equal(engine_listener_start_paused(&d.listener, loop, fd, &handlers), STATUS_OK);
        calls[0] = call(&endpoint);
        for (unsigned k = 0; k < 20; k++)
            peer_poll(loop);
        assert_int_equal(d.accepted, 0);
        engine_listener_resume(&d.listener);
        for (unsigned k = 1; k < 3; k++)
            calls[k] = call(&endpoint);
        peer_turn_until(loop, &d.accepted, 3);
        assert_true(ip_equal(&d.remote.address, &endpoint.address));
        assert_int_equal(getsockopt(d.fds[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
        assert_int_not_equal(no_delay, 0);

        engine_listener_pause(&d.listener);
        for (unsigned k = 0; k < 5; k++)
            peer_poll(loop);
        for (unsigned k = 3; k < 6; k++)
            calls[k] = call(&endpoint); /* the kernel's backlog takes them */
        for (unsigned k = 0; k < 20; k++)
            peer_poll(loop);
        assert_int_equal(d.accepted, 3);
        assert_true(engine_listener_is_paused(&d.listener));

        engine_listener_resume(&d.listener);
        peer_turn_until(loop, &d.accepted, 6);
        stop(loop, &d);
        hang_up(&d, calls, 6);
        engine_loop_destroy(loop);
    }
}

static void a_port_in_use_is_told(void **unused)
{
    struct ip_endpoint endpoint;
    int fd = bind_loopback("127.0.0.1", &endpoint);
    int second = -1;
    int error = 0;

    (void)unused;
    assert_int_equal(engine_listener_probe(&endpoint, &error), STATUS_BUSY);
    assert_int_equal(error, EADDRINUSE);
    assert_int_equal(engine_listener_bind(&endpoint, 5, &second, &error), STATUS_OK);
    (void)close(second); /* the workers of one instance share the port */
    (void)close(fd);
    assert_int_equal(engine_listener_probe(&endpoint, &error), STATUS_OK);
    assert_true(ip_parse(SLICE("192.0.2.1"), &endpoint.address));
    assert_int_not_equal(engine_listener_bind(&endpoint, 5, &fd, &error), STATUS_OK);
    assert_int_equal(error, EADDRNOTAVAIL);
}

static void out_of_descriptors_it_waits_instead_of_spinning(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct ip_endpoint endpoint;
    struct engine_counters before;
    struct engine_counters after = { 0 };
    struct door d = { .accepted = 0 };
    struct rlimit limit;
    struct rlimit none;
    int fd = bind_loopback("127.0.0.1", &endpoint);
    int calls[1];

    (void)unused;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
    calls[0] = call(&endpoint);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0); /* captured when the accept is armed */
    assert_int_equal(engine_listener_start(&d.listener, loop, fd, &handlers), STATUS_OK);
    engine_loop_counters(loop, &before);
    while (after.accept_pauses < 2) {
        engine_loop_turn(loop);
        engine_loop_counters(loop, &after);
    }
    assert_int_equal(d.accepted, 0);
    assert_true(after.turns - before.turns < 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    peer_turn_until(loop, &d.accepted, 1);
    stop(loop, &d);
    hang_up(&d, calls, 1);
    engine_loop_destroy(loop);
}

static void an_accept_ends_as_the_kernel_says(void **unused)
{
    static const struct {
        int result;
        bool armed_at_once;
    } cases[] = {
        { -ECONNABORTED, true }, { -EINTR, true },   { -EPROTO, true },   { -EMFILE, false },
        { -ENFILE, false },      { -ENOMEM, false }, { -ENOBUFS, false }, { -EINVAL, false },
    };
    struct engine_loop_options options = { .backend = &fake_backend_ops };
    struct engine_loop *loop = peer_loop(&options);
    struct fake_backend *f = fake_backend_of(loop);
    struct door d = { .accepted = 0 };
    int fd = fake_fd(f);

    (void)unused;
    assert_int_equal(engine_listener_start(&d.listener, loop, fd, &handlers), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t begun_ms = f->now_ms;

        fake_complete(f, ENGINE_OP_ACCEPT, fd, cases[i].result);
        engine_loop_turn(loop);
        assert_int_equal(fake_pending(f, ENGINE_OP_ACCEPT, fd) != NULL, cases[i].armed_at_once);
        while (fake_pending(f, ENGINE_OP_ACCEPT, fd) == NULL)
            engine_loop_turn(loop);
        assert_true(cases[i].armed_at_once || f->now_ms - begun_ms >= ENGINE_ACCEPT_PAUSE_MS);
    }
    stop(loop, &d);
    assert_int_equal(d.accepted, 0);
    engine_loop_destroy(loop);
}

/* The accept can win against its cancel: a paused listener hands the connection on, a stopped
 * one closes it. */
static void a_connection_may_win_against_the_cancel(void **unused)
{
    struct engine_loop_options options = { .backend = &fake_backend_ops };
    struct engine_loop *loop = peer_loop(&options);
    struct fake_backend *f = fake_backend_of(loop);
    struct door d = { .accepted = 0 };
    int fd = fake_fd(f);

    (void)unused;
    f->holds_cancels = true;
    assert_int_equal(engine_listener_start(&d.listener, loop, fd, &handlers), STATUS_OK);
    engine_listener_pause(&d.listener);
    fake_complete(f, ENGINE_OP_ACCEPT, fd, fake_fd(f));
    fake_complete(f, ENGINE_OP_CANCEL, -1, -ENOENT);
    engine_loop_turn(loop);
    assert_int_equal(d.accepted, 1);
    assert_null(fake_pending(f, ENGINE_OP_ACCEPT, fd));
    engine_listener_resume(&d.listener);
    engine_listener_stop(&d.listener);
    fake_complete(f, ENGINE_OP_CANCEL, -1, -EALREADY);
    fake_complete(f, ENGINE_OP_ACCEPT, fd, fake_fd(f));
    peer_turn_until(loop, &d.stopped, 1);
    assert_int_equal(d.accepted, 1);
    assert_int_equal(f->fds_closed, 2);
    f->holds_cancels = false;
    engine_loop_destroy(loop);
}

/* ---- descriptors of others ---- */

struct watch {
    struct engine_poll poll;
    unsigned calls;
    int events;
};

static void polled(struct engine_poll *p, int events)
{
    struct watch *w = CONTAINER_OF(p, struct watch, poll);

    w->calls++;
    w->events = events;
}

static void a_descriptor_is_watched_until_something_comes(void **unused)
{
    struct engine_loop *loop = peer_loop(NULL);
    struct watch w = { .calls = 0 };
    int ends[2];

    (void)unused;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(engine_poll_start(loop, &w.poll, ends[0], POLLIN, polled), STATUS_OK);
    peer_poll(loop);
    assert_int_equal(w.calls, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    peer_turn_until(loop, &w.calls, 1);
    assert_int_equal(w.events & POLLIN, POLLIN);
    assert_false(engine_poll_is_armed(&w.poll));

    assert_int_equal(engine_poll_start(loop, &w.poll, ends[1], POLLOUT, polled), STATUS_OK);
    peer_turn_until(loop, &w.calls, 2);
    assert_int_equal(w.events & POLLOUT, POLLOUT);

    assert_int_equal(read(ends[0], &(char){ 0 }, 1), 1);
    assert_int_equal(engine_poll_start(loop, &w.poll, ends[0], POLLIN, polled), STATUS_OK);
    peer_poll(loop);
    engine_poll_stop(&w.poll);
    engine_poll_stop(&w.poll);
    peer_turn_until(loop, &w.calls, 3);
    assert_int_equal(w.events, 0);
    assert_int_equal(engine_loop_owners(loop), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    engine_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_accepted_unless_paused),
        cmocka_unit_test(a_port_in_use_is_told),
        cmocka_unit_test(out_of_descriptors_it_waits_instead_of_spinning),
        cmocka_unit_test(an_accept_ends_as_the_kernel_says),
        cmocka_unit_test(a_connection_may_win_against_the_cancel),
        cmocka_unit_test(a_descriptor_is_watched_until_something_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
