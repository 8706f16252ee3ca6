/* tests/gateway/kernel_rig.h - a channel under TLS over a real TCP connection, whose records the
 * kernel makes in the directions that a test names, and a peer that can make any record.
 *
 * The near end is the channel. The far end shakes hands with OpenSSL and then makes its records
 * with tests/tls/soft_records.h, so that it can say what OpenSSL never would. On a kernel without
 * TLS, and only outside of a guest that must have it, everything stays in user space.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/tls/link.h"

#include "engine/ring.h"
#include "gateway/channel.h"
#include "gateway/kernel_tls.h"
#include "tests/gateway/peer.h"

#define ALERT     SSL3_RT_ALERT
#define HANDSHAKE SSL3_RT_HANDSHAKE
#define UPDATE    "\x18\0\0\1\0"
#define ASKING    "\x18\0\0\1\1"

#define TURNS_MAX     2000
#define QUICK_TURNS   500
#define RIG_BYTES_MAX ((size_t)1 << 22)

static const struct suite *const suite_13 = &suites[0], *const suite_12 = &suites[3];

/* In which directions the kernel is to make the near end's records. */
enum combo { COMBO_USER, COMBO_SEND, COMBO_RECEIVE, COMBO_BOTH, COMBOS_COUNT };

static const char *const combo_names[] = { "user", "send", "receive", "both" };

struct rig {
    struct gateway_channel channel;
    struct engine_loop *loop;
    struct tls_context *server, *client;
    struct tls_session *far;
    struct buffer far_out;
    struct soft far_send, far_receive;
    int peer; /* the far end's socket; -1: closed */
    bool is_server;
    enum combo combo;

    /* What the near end has seen. */
    struct buffer got;
    unsigned drained, secured, settled, ended, closed;
    int ended_error;
    bool closes_on_end;
    bool replies; /* to whatever comes, at once */

    /* What the far end has seen since its hand-over: data, and the records that were none. */
    struct buffer heard, raw;
    uint8_t controls[64]; /* type and first two bytes of each */
    unsigned controls_count;
    bool far_saw_end;
    int far_error;
};

static struct tls_kernel_support rig_support;
static bool rig_refuses[2];  /* the key of a direction, in place of the kernel */
static int rig_record_error; /* of the next records that are not data */
static struct engine_backend_ops rig_ops;

static inline struct rig *rig_of(struct gateway_channel *c)
{
    return CONTAINER_OF(c, struct rig, channel);
}

static inline size_t rig_on_input(struct gateway_channel *c, struct slice bytes)
{
    assert_true(bytes.len > 0);
    assert_int_equal(buffer_append(&rig_of(c)->got, bytes), STATUS_OK);
    if (rig_of(c)->replies)
        assert_int_equal(buffer_append_text(gateway_channel_output(c), "250 ok"), STATUS_OK);
    return bytes.len;
}

static inline void rig_on_drained(struct gateway_channel *c)
{
    rig_of(c)->drained++;
}

static inline void rig_on_secured(struct gateway_channel *c, bool success)
{
    rig_of(c)->secured++;
    if (!success)
        fail_msg("handshake: %s", tls_session_error(gateway_channel_tls(c)));
    gateway_channel_resume(c);
}

static inline void rig_on_settled(struct gateway_channel *c)
{
    assert_int_equal(rig_of(c)->settled++, 0);
}

static inline void rig_on_expired(struct gateway_channel *c)
{
    (void)c;
    fail_msg("a deadline that nobody has set");
}

static inline void rig_on_ended(struct gateway_channel *c, int error)
{
    struct rig *r = rig_of(c);

    r->ended++;
    r->ended_error = error;
    if (r->closes_on_end)
        gateway_channel_close(c);
}

static inline void rig_on_closed(struct gateway_channel *c)
{
    assert_int_equal(rig_of(c)->closed++, 0);
}

static const struct gateway_channel_handlers rig_handlers = {
    .input = rig_on_input,
    .drained = rig_on_drained,
    .secured = rig_on_secured,
    .settled = rig_on_settled,
    .expired = rig_on_expired,
    .ended = rig_on_ended,
    .closed = rig_on_closed,
};

static inline int rig_tls_key(struct engine_backend *b, int fd, enum engine_tls_direction direction,
                              const void *key, unsigned key_bytes)
{
    if (rig_refuses[direction])
        return -EINVAL;
    return engine_ring_ops.socket_tls_key(b, fd, direction, key, key_bytes);
}

static inline int rig_tls_record(struct engine_backend *b, int fd, uint8_t *type_out, char *into,
                                 size_t room)
{
    if (rig_record_error != 0)
        return -rig_record_error;
    return engine_ring_ops.socket_tls_record(b, fd, type_out, into, room);
}

static inline void rig_nothing(struct engine_task *task)
{
    (void)task;
}

/* A turn that does not wait: what goes over the loopback is there at once. */
static inline void rig_turn(struct rig *r)
{
    struct engine_task task = { 0 };

    engine_loop_defer(r->loop, &task, rig_nothing);
    engine_loop_turn(r->loop);
}

/* A turn that waits for a tick of the clock. */
static inline void rig_turn_slowly(struct rig *r)
{
    struct engine_timer poke = { 0 };

    engine_timer_start(r->loop, &poke, 1, peer_poked);
    engine_loop_turn(r->loop);
    engine_timer_stop(r->loop, &poke);
}

static inline void rig_connect(int fds[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fds[0] >= 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 2; i++) /* as the engine does */
        assert_int_equal(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    (void)close(listener);
}

/* Everything written, turning the near end meanwhile. */
static inline void rig_write(struct rig *r, struct slice bytes)
{
    for (unsigned t = 0; t < RIG_BYTES_MAX && bytes.len > 0; t++) {
        ssize_t n = send(r->peer, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            rig_turn(r);
        else if (n < 0)
            return; /* the near end has gone, which the test will see */
        else
            bytes = slice_after(bytes, (size_t)n);
    }
    assert_int_equal(bytes.len, 0);
}

/* What the far end has put into far_out. */
static inline void rig_flush(struct rig *r)
{
    rig_write(r, buffer_contents(&r->far_out));
    buffer_clear(&r->far_out);
}

static inline void rig_far_shake(struct rig *r)
{
    char room[16384];
    ssize_t n = recv(r->peer, room, sizeof(room), 0);
    struct slice input = { room, n > 0 ? (size_t)n : 0 };
    enum tls_progress progress = tls_session_handshake(r->far, &input, &r->far_out);

    assert_true(progress == TLS_DONE || progress == TLS_WANT_INPUT);
    assert_int_equal(buffer_append(&r->raw, input), STATUS_OK);
}

static inline void rig_far_key(struct rig *r, enum tls_direction direction, struct soft *soft)
{
    struct tls_kernel_key key;

    assert_int_equal(tls_kernel_rest(r->far, direction), 0);
    assert_int_equal(tls_kernel_key(r->far, direction, &key), STATUS_OK);
    soft_init(soft, &key);
}

static inline void rig_far_record(struct rig *r, uint8_t type, struct slice bytes)
{
    soft_seal(&r->far_send, type, bytes, &r->far_out);
}

static inline void rig_far_data(struct rig *r, struct slice bytes)
{
    rig_far_record(r, TYPE_DATA, bytes);
}

static inline void rig_far_new_key(struct rig *r)
{
    assert_int_equal(tls_keys_next_secret(r->far->kernel.cipher, &r->far->kernel.secrets[TLS_SEND]),
                     STATUS_OK);
    rig_far_key(r, TLS_SEND, &r->far_send);
    r->far_send.number = 0;
}

/* Reads what has come and opens its records. */
static inline void rig_far_read(struct rig *r)
{
    static char room[65536], plain[SOFT_MAX];
    ssize_t n = recv(r->peer, room, sizeof(room), 0);
    struct slice bytes;
    uint8_t type;
    size_t len;

    if (n > 0)
        assert_int_equal(buffer_append(&r->raw, (struct slice){ room, (size_t)n }), STATUS_OK);
    else if (n == 0)
        r->far_saw_end = true;
    else if (errno != EAGAIN)
        r->far_error = errno;
    bytes = buffer_contents(&r->raw);
    while (soft_open(&r->far_receive, &bytes, &type, plain, &len)) {
        struct slice text = { plain, len };

        if (type == TYPE_DATA) {
            assert_int_equal(buffer_append(&r->heard, text), STATUS_OK);
            continue;
        }
        assert_true(r->controls_count < ARRAY_LEN(r->controls) / 3);
        r->controls[3 * r->controls_count] = type;
        r->controls[3 * r->controls_count + 1] = (uint8_t)plain[0];
        r->controls[3 * r->controls_count + 2] = (uint8_t)plain[1];
        r->controls_count++;
        if (type == SSL3_RT_HANDSHAKE && plain[0] == SSL3_MT_KEY_UPDATE) {
            assert_int_equal(
                tls_keys_next_secret(r->far->kernel.cipher, &r->far->kernel.secrets[TLS_RECEIVE]),
                STATUS_OK);
            rig_far_key(r, TLS_RECEIVE, &r->far_receive);
        }
    }
    buffer_consume(&r->raw, buffer_len(&r->raw) - bytes.len);
}

static inline bool rig_far_heard_control(const struct rig *r, uint8_t type, int first, int second)
{
    for (unsigned i = 0; i < r->controls_count; i++)
        if (r->controls[3 * i] == type && (first < 0 || r->controls[3 * i + 1] == first) &&
            (second < 0 || r->controls[3 * i + 2] == second))
            return true;
    return false;
}

#define RIG_UNTIL(r, condition)                                                                    \
    do {                                                                                           \
        bool is_so_ = (condition);                                                                 \
                                                                                                   \
        for (unsigned turns_ = 0; !is_so_ && turns_ < TURNS_MAX; turns_++) {                       \
            if (turns_ < QUICK_TURNS)                                                              \
                rig_turn(r);                                                                       \
            else                                                                                   \
                rig_turn_slowly(r);                                                                \
            is_so_ = (condition);                                                                  \
        }                                                                                          \
        if (!is_so_)                                                                               \
            fail_msg("%s, kernel: %s, near is %s: never %s", __func__, combo_names[(r)->combo],    \
                     (r)->is_server ? "server" : "client", #condition);                            \
    } while (0)

/* The connection, and the handshake on it. first: data that the far end sends in one write with the
 * end of its handshake, if it is a client; may be empty. */
static inline void rig_open(struct rig *r, enum tls_kernel_use use, const struct suite *suite,
                            struct slice first)
{
    struct engine_loop_options options = { .requests_max = 64 };
    struct tls_session *near = NULL;
    bool is_server = r->is_server;
    size_t used;
    int fds[2];

    assert_int_equal(engine_loop_create(&options, &r->loop, NULL), STATUS_OK);
    rig_ops = engine_ring_ops;
    rig_ops.socket_tls_key = rig_tls_key;
    rig_ops.socket_tls_record = rig_tls_record;
    rig_record_error = 0;
    engine_loop_backend(r->loop)->ops = &rig_ops;
    rig_connect(fds);
    r->peer = fds[1];
    buffer_init(&r->got, RIG_BYTES_MAX);
    buffer_init(&r->heard, RIG_BYTES_MAX);
    buffer_init(&r->raw, RIG_BYTES_MAX);
    buffer_init(&r->far_out, RIG_BYTES_MAX);
    r->server = server_context(NULL);
    r->client = client_context();
    assert_int_equal(tls_session_create(is_server ? r->server : r->client,
                                        is_server ? TLS_ROLE_SERVER : TLS_ROLE_CLIENT, NULL, &near),
                     STATUS_OK);
    assert_int_equal(tls_session_create(is_server ? r->client : r->server,
                                        is_server ? TLS_ROLE_CLIENT : TLS_ROLE_SERVER, NULL,
                                        &r->far),
                     STATUS_OK);
    choose(near, suite);
    choose(r->far, suite);
    tls_kernel_allow(r->far, &able, TLS_KERNEL_BOTH);
    tls_kernel_allow(near, &rig_support, use);
    assert_int_equal(gateway_channel_adopt(&r->channel, r->loop, &rig_handlers, fds[0]), STATUS_OK);
    gateway_channel_secure(&r->channel, near);
    for (unsigned t = 0; t < TURNS_MAX && !r->far->established; t++) {
        rig_turn(r);
        rig_far_shake(r);
        if (r->far->established && first.len > 0)
            assert_int_equal(tls_session_write(r->far, first, &r->far_out, &used), TLS_DONE);
        rig_flush(r);
    }
    assert_true(r->far->established);
    RIG_UNTIL(r, r->secured == 1);
}

/* With a far end that makes its own records. */
static inline void rig_up(struct rig *r, enum combo combo, bool is_server,
                          const struct suite *suite, struct slice first)
{
    *r = (struct rig){ .is_server = is_server, .combo = combo };
    rig_refuses[ENGINE_TLS_SEND] = combo == COMBO_RECEIVE;
    rig_refuses[ENGINE_TLS_RECEIVE] = combo == COMBO_SEND;
    rig_open(r, combo == COMBO_USER ? TLS_KERNEL_OFF : TLS_KERNEL_BOTH, suite, first);
    rig_far_key(r, TLS_SEND, &r->far_send);
    rig_far_key(r, TLS_RECEIVE, &r->far_receive);
}

/* One word each way. */
static inline void rig_talk(struct rig *r)
{
    size_t before = buffer_len(&r->got), heard = buffer_len(&r->heard);

    soft_seal(&r->far_send, TYPE_DATA, SLICE("hello"), &r->far_out);
    rig_flush(r);
    RIG_UNTIL(r, buffer_len(&r->got) == before + 5);
    assert_int_equal(buffer_append_text(gateway_channel_output(&r->channel), "hi"), STATUS_OK);
    gateway_channel_flush(&r->channel);
    RIG_UNTIL(r, (rig_far_read(r), buffer_len(&r->heard) == heard + 2));
}

/* Also a client's receiving is handed over then, nothing is left to be decided, and the kernel has
 * the directions that were asked for. */
static inline void rig_settle(struct rig *r)
{
    const struct tls_session *tls = gateway_channel_tls(&r->channel);

    rig_talk(r);
    buffer_clear(&r->got);
    buffer_clear(&r->heard);
    RIG_UNTIL(r, r->settled == 1);
    assert_int_equal(tls_kernel_has(tls, TLS_SEND),
                     rig_support.has_module && (r->combo == COMBO_SEND || r->combo == COMBO_BOTH));
    assert_int_equal(tls_kernel_has(tls, TLS_RECEIVE),
                     rig_support.has_module &&
                         (r->combo == COMBO_RECEIVE || r->combo == COMBO_BOTH));
}

static inline void rig_down(struct rig *r)
{
    if (r->closed == 0)
        gateway_channel_reset(&r->channel);
    RIG_UNTIL(r, r->closed == 1);
    if (r->peer >= 0)
        (void)close(r->peer);
    tls_session_destroy(r->far);
    tls_context_destroy(r->server);
    tls_context_destroy(r->client);
    buffer_finish(&r->got);
    buffer_finish(&r->heard);
    buffer_finish(&r->raw);
    buffer_finish(&r->far_out);
    assert_int_equal(engine_loop_owners(r->loop), 0);
    engine_loop_destroy(r->loop);
}

/* How many combinations there are to try: without a kernel for it there is one. */
static inline unsigned rig_combos(void)
{
    return rig_support.has_module ? COMBOS_COUNT : 1;
}

/* Of a group of tests: looks at the kernel, which in a guest has to have TLS. */
static inline int rig_begin(void **state)
{
    gateway_kernel_tls_probe(&rig_support);
    if (getenv("POSTERN_GUEST") != NULL && !rig_support.has_module)
        return -1;
    return make_certificates(state);
}
