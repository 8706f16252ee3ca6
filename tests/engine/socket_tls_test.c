/* TLS of the kernel, from a kernel that does what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/tls.h>

#include "engine/core.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

struct scene {
    struct engine_loop *loop;
    struct fake_backend *f;
    struct peer *p;
    int fd;
};

static void set_up(struct scene *s)
{
    struct engine_loop_options options = { .buffers_small = 4, .backend = &fake_backend_ops };

    s->loop = peer_loop(&options);
    s->f = fake_backend_of(s->loop);
    s->p = peer_create(s->loop);
    s->fd = fake_fd(s->f);
    assert_int_equal(engine_socket_adopt(&s->p->socket, s->fd), STATUS_OK);
}

static void tear_down(struct scene *s)
{
    peer_finish(s->p);
    engine_loop_destroy(s->loop);
}

static int give_key(struct scene *s, enum engine_tls_direction direction)
{
    return engine_socket_tls_key(&s->p->socket, direction, "key", 3);
}

static void tls_is_started_once_for_both_keys(void **unused)
{
    struct scene s;

    (void)unused;
    set_up(&s);
    assert_int_equal(give_key(&s, ENGINE_TLS_SEND), 0);
    assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
    assert_int_equal(give_key(&s, ENGINE_TLS_SEND), 0); /* the next one */
    assert_int_equal(s.f->tls_starts, 1);
    assert_int_equal(s.f->tls_keys[ENGINE_TLS_SEND], 2);
    assert_int_equal(s.f->tls_keys[ENGINE_TLS_RECEIVE], 1);
    tear_down(&s);
}

/* The socket goes on in the clear, and a later key is tried from the beginning. */
static void what_the_kernel_refuses_is_told_and_harms_nothing(void **unused)
{
    static const int errors[] = { ENOENT, ENOTCONN, EBUSY, EINVAL, ENOMEM, EOPNOTSUPP };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        for (int at_key = 0; at_key < 2; at_key++) {
            struct scene s;

            set_up(&s);
            if (at_key)
                s.f->tls_key_error = errors[i];
            else
                s.f->tls_start_error = errors[i];
            assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), errors[i]);
            engine_socket_receive(&s.p->socket, ENGINE_BUFFERS_SMALL);
            assert_true(fake_receive(s.f, s.fd, SLICE("clear")));
            engine_loop_turn(s.loop);
            assert_int_equal(s.p->bytes_len, 5);
            s.f->tls_start_error = s.f->tls_key_error = 0;
            assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
            assert_int_equal(s.f->tls_starts, at_key ? 1 : 2);
            tear_down(&s);
        }
}

static void a_receive_may_be_bounded(void **unused)
{
    struct scene s;

    (void)unused;
    set_up(&s);
    engine_socket_receive_most(&s.p->socket, ENGINE_BUFFERS_LARGE, 17);
    assert_int_equal(fake_pending(s.f, ENGINE_OP_RECV, s.fd)->recv.bytes_max, 17);
    fake_complete(s.f, ENGINE_OP_RECV, s.fd, -EINTR); /* and stays so when it is repeated */
    engine_loop_turn(s.loop);
    assert_int_equal(fake_pending(s.f, ENGINE_OP_RECV, s.fd)->recv.bytes_max, 17);
    assert_true(fake_receive(s.f, s.fd, SLICE("x")));
    engine_loop_turn(s.loop);
    engine_socket_receive(&s.p->socket, ENGINE_BUFFERS_LARGE);
    assert_int_equal(fake_pending(s.f, ENGINE_OP_RECV, s.fd)->recv.bytes_max, 0);
    tear_down(&s);
}

static void a_record_is_sent_with_its_type(void **unused)
{
    const struct engine_request *r;
    const struct cmsghdr *header;
    struct scene s;
    char alert[2] = { 1, 0 };

    (void)unused;
    set_up(&s);
    assert_int_equal(give_key(&s, ENGINE_TLS_SEND), 0);
    engine_socket_send_record(&s.p->socket, 21, (struct iovec){ alert, sizeof(alert) });
    r = fake_pending(s.f, ENGINE_OP_SENDMSG, s.fd);
    header = CMSG_FIRSTHDR(r->sendmsg.message);
    assert_non_null(header);
    assert_int_equal(header->cmsg_level, 282);
    assert_int_equal(header->cmsg_type, TLS_SET_RECORD_TYPE);
    assert_int_equal(*CMSG_DATA(header), 21);
    fake_complete(s.f, ENGINE_OP_SENDMSG, s.fd, 2);
    engine_loop_turn(s.loop);
    assert_int_equal(s.p->sent, 1);
    /* What follows is data again. */
    engine_socket_send(&s.p->socket, &(struct iovec){ alert, 1 }, 1);
    assert_null(fake_pending(s.f, ENGINE_OP_SENDMSG, s.fd)->sendmsg.message->msg_control);
    fake_complete(s.f, ENGINE_OP_SENDMSG, s.fd, 1);
    engine_loop_turn(s.loop);
    tear_down(&s);
}

static void a_record_that_is_not_data_can_be_taken(void **unused)
{
    struct scene s;
    uint8_t type = 0;
    char room[16];

    (void)unused;
    set_up(&s);
    assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
    engine_socket_receive(&s.p->socket, ENGINE_BUFFERS_SMALL);
    fake_complete(s.f, ENGINE_OP_RECV, s.fd, -EIO);
    engine_loop_turn(s.loop);
    assert_int_equal(s.p->ended_error, EIO);
    assert_int_equal(engine_socket_tls_record(&s.p->socket, &type, room, sizeof(room)), -EAGAIN);
    s.f->tls_record = SLICE("\1\0");
    s.f->tls_record_type = 21;
    assert_int_equal(engine_socket_tls_record(&s.p->socket, &type, room, sizeof(room)), 2);
    assert_int_equal(type, 21);
    engine_socket_receive(&s.p->socket, ENGINE_BUFFERS_SMALL);
    tear_down(&s);
}

/* Left unread they would make the kernel send a reset behind our last bytes. */
static void a_closing_socket_drops_such_records_up_to_a_bound(void **unused)
{
    unsigned rounds = 0;
    struct scene s;

    (void)unused;
    set_up(&s);
    assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
    s.f->tls_record = SLICE("\1\0");
    s.f->tls_record_type = 21;
    engine_socket_close(&s.p->socket, ENGINE_CLOSE_GRACEFUL);
    for (; rounds < 1000 && fake_pending(s.f, ENGINE_OP_RECV, s.fd) != NULL; rounds++) {
        fake_complete(s.f, ENGINE_OP_RECV, s.fd, -EIO);
        engine_loop_turn(s.loop);
    }
    assert_in_range(rounds, 10, 100);
    assert_int_equal(s.f->tls_records_taken, rounds);
    tear_down(&s);
}

static void a_closing_socket_goes_on_to_the_fin_behind_such_a_record(void **unused)
{
    struct scene s;

    (void)unused;
    set_up(&s);
    assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
    s.f->tls_record = SLICE("\1\0");
    engine_socket_close(&s.p->socket, ENGINE_CLOSE_GRACEFUL);
    engine_loop_turn(s.loop);
    fake_complete(s.f, ENGINE_OP_RECV, s.fd, -EIO);
    engine_loop_turn(s.loop);
    assert_int_equal(s.p->closed, 0);
    fake_complete(s.f, ENGINE_OP_RECV, s.fd, 0);
    peer_turn_until(s.loop, &s.p->closed, 1);
    assert_int_equal(s.f->resets, 0);
    tear_down(&s);
}

/* Else it would be the answer to the next send, and the alert about it would not leave. */
static void the_error_that_a_bad_record_leaves_is_taken(void **unused)
{
    static const struct {
        int error;
        unsigned taken;
    } cases[] = { { EBADMSG, 1 }, { EMSGSIZE, 1 }, { EINVAL, 1 }, { ECONNRESET, 0 }, { 0, 0 } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;

        set_up(&s);
        assert_int_equal(give_key(&s, ENGINE_TLS_RECEIVE), 0);
        engine_socket_receive(&s.p->socket, ENGINE_BUFFERS_SMALL);
        fake_complete(s.f, ENGINE_OP_RECV, s.fd, -cases[i].error);
        engine_loop_turn(s.loop);
        assert_int_equal(s.p->ended_error, cases[i].error);
        assert_int_equal(s.f->errors_taken, cases[i].taken);
        tear_down(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_is_started_once_for_both_keys),
        cmocka_unit_test(what_the_kernel_refuses_is_told_and_harms_nothing),
        cmocka_unit_test(a_receive_may_be_bounded),
        cmocka_unit_test(a_record_is_sent_with_its_type),
        cmocka_unit_test(a_record_that_is_not_data_can_be_taken),
        cmocka_unit_test(a_closing_socket_drops_such_records_up_to_a_bound),
        cmocka_unit_test(a_closing_socket_goes_on_to_the_fin_behind_such_a_record),
        cmocka_unit_test(the_error_that_a_bad_record_leaves_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
