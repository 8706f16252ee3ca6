/* The channel over a socket pair and the real ring, by turns of the loop. */
#include "gateway/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/gateway/peer.h"

#define TURNS_MAX 4000

struct owner {
    struct gateway_channel channel;
    struct engine_loop *loop;
    int peer; /* the other end */
    struct buffer got;
    size_t bite;         /* take so much at a time, then pause; 0: everything */
    char stop_byte;      /* pause behind it; 0: none */
    bool resumes_inside; /* ... and resume before the handler returns */
    bool secures;        /* starts TLS behind the stop byte */
    struct tls_session *session;
    unsigned drained, secured, ended, closed, expired;
    unsigned depth;
    bool secure_success;
    char why[128]; /* not */
    int ended_error;
    bool close_on_input;
};

static struct owner *owner_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct owner, channel);
}

static size_t on_input(struct gateway_channel *c, struct slice bytes)
{
    struct owner *o = owner_of(c);
    size_t take = bytes.len;
    const char *stop = NULL;

    assert_int_equal(o->depth++, 0);
    assert_true(bytes.len > 0);
    if (o->bite > 0 && take > o->bite)
        take = o->bite;
    if (o->stop_byte != 0)
        stop = memchr(bytes.data, o->stop_byte, take);
    if (stop != NULL)
        take = (size_t)(stop - bytes.data) + 1;
    assert_int_equal(buffer_append(&o->got, slice_first(bytes, take)), STATUS_OK);
    if (take < bytes.len || stop != NULL)
        gateway_channel_pause(c);
    if (o->resumes_inside && gateway_channel_is_paused(c)) {
        gateway_channel_resume(c);
        assert_int_equal(buffer_append(&o->got, slice_after(bytes, take)), STATUS_OK);
        take = bytes.len;
    }
    if (o->close_on_input)
        gateway_channel_close(c);
    else if (stop != NULL && o->secures && take == bytes.len)
        gateway_channel_secure(c, o->session);
    o->depth--;
    return take;
}

static void on_drained(struct gateway_channel *c)
{
    owner_of(c)->drained++;
}

static void on_secured(struct gateway_channel *c, bool success)
{
    struct owner *o = owner_of(c);

    o->secured++;
    o->secure_success = success;
    (void)snprintf(o->why, sizeof(o->why), "%s", tls_session_error(gateway_channel_tls(c)));
    if (success)
        gateway_channel_resume(c);
    else
        gateway_channel_close(c);
}

static void on_expired(struct gateway_channel *c)
{
    owner_of(c)->expired++;
    gateway_channel_reset(c);
}

static void on_ended(struct gateway_channel *c, int error)
{
    struct owner *o = owner_of(c);

    assert_int_equal(o->depth, 0);
    assert_int_equal(o->ended++, 0);
    o->ended_error = error;
}

static void on_closed(struct gateway_channel *c)
{
    assert_int_equal(owner_of(c)->closed++, 0);
}

static const struct gateway_channel_handlers handlers = {
    .input = on_input,
    .drained = on_drained,
    .secured = on_secured,
    .expired = on_expired,
    .ended = on_ended,
    .closed = on_closed,
};

static void turn(struct owner *o)
{
    struct engine_timer poke = { 0 };

    peer_poke(o->loop, &poke); /* never waits long */
    engine_loop_turn(o->loop);
    engine_timer_stop(o->loop, &poke);
}

#define TURN_UNTIL(o, condition)                                                                   \
    do {                                                                                           \
        bool is_so_ = (condition);                                                                 \
                                                                                                   \
        for (unsigned turns_ = 0; !is_so_ && turns_ < TURNS_MAX; turns_++) {                       \
            turn(o);                                                                               \
            is_so_ = (condition);                                                                  \
        }                                                                                          \
        assert_true(is_so_);                                                                       \
    } while (0)

static void set_up(struct owner *o)
{
    struct engine_loop_options options = { .requests_max = 64 };
    int fds[2];

    *o = (struct owner){ .peer = -1 };
    if (engine_loop_create(&options, &o->loop, NULL) != STATUS_OK)
        skip();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    o->peer = fds[1];
    buffer_init(&o->got, (size_t)1 << 22);
    assert_int_equal(gateway_channel_adopt(&o->channel, o->loop, &handlers, fds[0]), STATUS_OK);
}

static void tear_down(struct owner *o)
{
    gateway_channel_reset(&o->channel);
    TURN_UNTIL(o, o->closed == 1);
    if (o->peer >= 0)
        (void)close(o->peer);
    buffer_finish(&o->got);
    assert_int_equal(engine_loop_owners(o->loop), 0);
    engine_loop_destroy(o->loop);
}

static void say(struct owner *o, const char *text)
{
    peer_write(o->peer, slice_from(text));
}

static void assert_got(const struct owner *o, const char *text)
{
    assert_int_equal(buffer_len(&o->got), strlen(text));
    assert_memory_equal(buffer_contents(&o->got).data, text, strlen(text));
}

static void test_what_a_paused_owner_leaves_comes_again_in_order(void **state)
{
    static const size_t bites[] = { 1, 2, 3, 7, 100 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bites); i++) {
        struct owner o;

        set_up(&o);
        o.bite = bites[i];
        gateway_channel_resume(&o.channel);
        say(&o, "abcdefghij");
        for (unsigned t = 0; t < TURNS_MAX && buffer_len(&o.got) < 10; t++) {
            turn(&o);
            gateway_channel_resume(&o.channel);
        }
        assert_got(&o, "abcdefghij");
        tear_down(&o);
    }
}

static void test_an_owner_may_resume_inside_its_input_handler(void **state)
{
    struct owner o;

    (void)state;
    set_up(&o);
    o.bite = 3;
    o.resumes_inside = true;
    gateway_channel_resume(&o.channel);
    say(&o, "abcdefghij");
    TURN_UNTIL(&o, buffer_len(&o.got) == 10);
    say(&o, "klm");
    TURN_UNTIL(&o, buffer_len(&o.got) == 13);
    assert_got(&o, "abcdefghijklm");
    tear_down(&o);
}

static void test_the_end_waits_for_what_is_kept_and_comes_once(void **state)
{
    struct owner o;

    (void)state;
    set_up(&o);
    o.bite = 4;
    gateway_channel_resume(&o.channel);
    say(&o, "abcdefgh");
    TURN_UNTIL(&o, buffer_len(&o.got) == 4);
    (void)close(o.peer);
    o.peer = -1;
    turn(&o);
    assert_int_equal(o.ended, 0);
    gateway_channel_resume(&o.channel);
    TURN_UNTIL(&o, o.ended == 1);
    assert_got(&o, "abcdefgh");
    assert_int_equal(o.ended_error, 0);
    tear_down(&o);
}

static void test_tls_may_start_when_all_that_was_kept_is_taken(void **state)
{
    struct peer_tls tls;
    struct owner o;

    (void)state;
    peer_tls_init(&tls);
    set_up(&o);
    o.stop_byte = '!';
    o.session = peer_tls_server(&tls);
    gateway_channel_resume(&o.channel);
    say(&o, "first!starttls!");
    TURN_UNTIL(&o, buffer_len(&o.got) == 6);
    /* The second half comes out of what was kept, and TLS starts behind it. */
    o.secures = true;
    gateway_channel_resume(&o.channel);
    assert_got(&o, "first!starttls!");
    o.secures = false;
    for (unsigned t = 0; t < TURNS_MAX && !(o.secured > 0 && tls.is_established); t++) {
        turn(&o);
        peer_tls_step(&tls, o.peer);
    }
    assert_true(o.secure_success);
    peer_tls_write(&tls, o.peer, SLICE("hidden"));
    TURN_UNTIL(&o, buffer_len(&o.got) == 21);
    assert_got(&o, "first!starttls!hidden");
    tear_down(&o);
    peer_tls_finish(&tls);
}

static void test_a_handshake_with_a_peer_that_goes_fails_at_once_and_says_why(void **state)
{
    static const struct {
        struct slice said; /* of its hello */
        bool is_there;     /* when the handshake begins */
        bool resets;
    } cases[] = {
        { SLICE(""), false, false },
        { SLICE(""), true, false },
        { SLICE("\x16\x03\x01"), true, false },
        { SLICE("\x16\x03\x01\x01\x00\x01"), true, false },
        { SLICE("\x16\x03\x01"), true, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct linger at_once = { .l_onoff = 1 };
        struct peer_tls tls;
        struct owner o;

        peer_tls_init(&tls);
        set_up(&o);
        o.stop_byte = '!';
        o.session = peer_tls_server(&tls);
        o.secures = true;
        gateway_channel_resume(&o.channel);
        say(&o, "starttls!");
        if (cases[i].is_there)
            TURN_UNTIL(&o, gateway_channel_tls(&o.channel) != NULL);
        if (cases[i].said.len > 0)
            peer_write(o.peer, cases[i].said);
        turn(&o);
        if (cases[i].resets)
            assert_int_equal(setsockopt(o.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
                             0);
        (void)close(o.peer);
        TURN_UNTIL(&o, o.secured == 1);
        assert_false(o.secure_success);
        assert_non_null(strstr(o.why, "the peer closed the connection during the handshake"));
        TURN_UNTIL(&o, o.closed == 1);
        buffer_finish(&o.got);
        engine_loop_destroy(o.loop);
        peer_tls_finish(&tls);
    }
}

/* Fills the channel's output and then the socket's, until nothing moves. */
static size_t stuff(struct owner *o)
{
    static char block[8192];
    size_t total = 0;

    while (buffer_append(gateway_channel_output(&o->channel),
                         (struct slice){ block, sizeof(block) }) == STATUS_OK) {
        total += sizeof(block);
        gateway_channel_flush(&o->channel);
        turn(o);
    }
    return total;
}

static void test_output_is_bounded_while_the_peer_does_not_read(void **state)
{
    struct owner o;
    size_t total, seen = 0;
    char room[65536];

    (void)state;
    set_up(&o);
    total = stuff(&o);
    assert_true(buffer_len(gateway_channel_output(&o.channel)) <= GATEWAY_CHANNEL_OUTPUT_BYTES_MAX);
    for (unsigned t = 0; t < TURNS_MAX && seen < total; t++) {
        ssize_t n = read(o.peer, room, sizeof(room));

        seen += n > 0 ? (size_t)n : 0;
        turn(&o);
    }
    assert_int_equal(seen, total);
    TURN_UNTIL(&o, o.drained > 0);
    tear_down(&o);
}

static void test_a_reset_during_a_send_ends_with_closed_alone(void **state)
{
    struct owner o;
    char *body = malloc((size_t)1 << 20);

    (void)state;
    assert_non_null(body);
    memset(body, 'x', (size_t)1 << 20);
    set_up(&o);
    gateway_channel_send_body(&o.channel, (struct slice){ body, (size_t)1 << 20 });
    turn(&o);
    gateway_channel_reset(&o.channel);
    TURN_UNTIL(&o, o.closed == 1);
    assert_int_equal(o.drained + o.ended + o.expired, 0);
    free(body); /* the kernel has let go of it */
    (void)close(o.peer);
    buffer_finish(&o.got);
    engine_loop_destroy(o.loop);
}

static void test_a_close_lets_the_last_bytes_leave(void **state)
{
    struct owner o;
    char text[16] = { 0 };

    (void)state;
    set_up(&o);
    o.close_on_input = true;
    gateway_channel_resume(&o.channel);
    assert_int_equal(buffer_append_text(gateway_channel_output(&o.channel), "221 bye"), STATUS_OK);
    say(&o, "QUIT");
    TURN_UNTIL(&o, read(o.peer, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "221 bye");
    (void)close(o.peer);
    TURN_UNTIL(&o, o.closed == 1);
    buffer_finish(&o.got);
    engine_loop_destroy(o.loop);
}

static void test_a_reset_hurries_a_close_that_lingers(void **state)
{
    struct owner o;
    uint64_t begun_ms;

    (void)state;
    set_up(&o);
    begun_ms = engine_loop_now_ms(o.loop);
    gateway_channel_close(&o.channel); /* the peer neither reads nor closes */
    for (unsigned t = 0; t < 5; t++)
        turn(&o);
    assert_int_equal(o.closed, 0);
    gateway_channel_reset(&o.channel);
    TURN_UNTIL(&o, o.closed == 1);
    assert_true(engine_loop_now_ms(o.loop) - begun_ms < ENGINE_CLOSE_DRAIN_MS);
    (void)close(o.peer);
    buffer_finish(&o.got);
    engine_loop_destroy(o.loop);
}

static void test_a_body_arrives_whole_behind_the_output_in_the_clear_and_under_tls(void **state)
{
    size_t body_bytes = 700001;
    char *body = malloc(body_bytes);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < body_bytes; i++)
        body[i] = (char)('a' + i % 26);
    for (int with_tls = 0; with_tls < 2; with_tls++) {
        struct peer_tls tls;
        struct owner o;
        struct buffer seen;

        peer_tls_init(&tls);
        buffer_init(&seen, (size_t)1 << 21);
        set_up(&o);
        if (with_tls) {
            gateway_channel_secure(&o.channel, peer_tls_server(&tls));
            for (unsigned t = 0; t < TURNS_MAX && !(o.secured > 0 && tls.is_established); t++) {
                turn(&o);
                peer_tls_step(&tls, o.peer);
            }
            assert_true(o.secure_success);
        }
        assert_int_equal(buffer_append_text(gateway_channel_output(&o.channel), "head:"),
                         STATUS_OK);
        gateway_channel_send_body(&o.channel, (struct slice){ body, body_bytes });
        for (unsigned t = 0; t < TURNS_MAX && buffer_len(&seen) < 5 + body_bytes; t++) {
            turn(&o);
            peer_read(with_tls ? &tls : NULL, o.peer, &seen);
        }
        TURN_UNTIL(&o, o.drained == 1);
        assert_int_equal(buffer_len(&seen), 5 + body_bytes);
        assert_memory_equal(buffer_contents(&seen).data, "head:", 5);
        assert_memory_equal(buffer_contents(&seen).data + 5, body, body_bytes);
        buffer_finish(&seen);
        tear_down(&o);
        peer_tls_finish(&tls);
    }
    free(body);
}

static void test_too_much_input_for_a_paused_owner_ends_the_connection(void **state)
{
    struct owner o;
    char block[4096];

    (void)state;
    memset(block, 'x', sizeof(block));
    set_up(&o);
    o.bite = 1;
    gateway_channel_resume(&o.channel);
    peer_write(o.peer, (struct slice){ block, sizeof(block) });
    TURN_UNTIL(&o, buffer_len(&o.got) == 1);
    /* Paused: nothing more is received, however much there is. */
    peer_write(o.peer, (struct slice){ block, sizeof(block) });
    for (unsigned t = 0; t < 10; t++)
        turn(&o);
    assert_int_equal(o.closed + o.ended, 0);
    assert_int_equal(buffer_len(&o.got), 1);
    tear_down(&o);
}

static void test_the_deadline_comes_and_can_be_stopped(void **state)
{
    struct owner o;

    (void)state;
    set_up(&o);
    gateway_channel_set_deadline(&o.channel, 1);
    gateway_channel_set_deadline(&o.channel, 0);
    for (unsigned t = 0; t < 20; t++)
        turn(&o);
    assert_int_equal(o.expired, 0);
    gateway_channel_set_deadline(&o.channel, 1);
    TURN_UNTIL(&o, o.expired == 1);
    tear_down(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_paused_owner_leaves_comes_again_in_order),
        cmocka_unit_test(test_an_owner_may_resume_inside_its_input_handler),
        cmocka_unit_test(test_the_end_waits_for_what_is_kept_and_comes_once),
        cmocka_unit_test(test_tls_may_start_when_all_that_was_kept_is_taken),
        cmocka_unit_test(test_a_handshake_with_a_peer_that_goes_fails_at_once_and_says_why),
        cmocka_unit_test(test_output_is_bounded_while_the_peer_does_not_read),
        cmocka_unit_test(test_a_reset_during_a_send_ends_with_closed_alone),
        cmocka_unit_test(test_a_close_lets_the_last_bytes_leave),
        cmocka_unit_test(test_a_reset_hurries_a_close_that_lingers),
        cmocka_unit_test(test_a_body_arrives_whole_behind_the_output_in_the_clear_and_under_tls),
        cmocka_unit_test(test_too_much_input_for_a_paused_owner_ends_the_connection),
        cmocka_unit_test(test_the_deadline_comes_and_can_be_stopped),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
