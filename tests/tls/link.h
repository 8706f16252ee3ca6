/* tests/tls/link.h - two TLS ends that talk through memory, of which the tested one, `near`, may be
 * handed to tests/tls/soft_records.h in place of a kernel. */
#pragma once
#include <openssl/ssl.h>

#include "tests/tls/soft_records.h"
#include "tls/internal.h"

#define BOUND     ((size_t)1 << 20)
#define TYPE_DATA 23

static const struct tls_kernel_support able = {
    .has_module = true,
    .takes = { { true, true, true }, { true, true, true } },
    .rekeys = true,
    .waits_inline = true,
};

struct suite {
    const char *name; /* OpenSSL's */
    bool is_13;
};

static const struct suite suites[] = {
    { "TLS_AES_128_GCM_SHA256", true },         { "TLS_AES_256_GCM_SHA384", true },
    { "TLS_CHACHA20_POLY1305_SHA256", true },   { "ECDHE-ECDSA-AES128-GCM-SHA256", false },
    { "ECDHE-ECDSA-AES256-GCM-SHA384", false }, { "ECDHE-ECDSA-CHACHA20-POLY1305", false },
};

/* Two ends, the tested one first. */
struct link {
    struct tls_context *server, *client;
    struct end near, far;
};

static inline void choose(struct tls_session *s, const struct suite *suite)
{
    if (suite->is_13) {
        assert_int_equal(SSL_set_ciphersuites(s->ssl, suite->name), 1);
        assert_int_equal(SSL_set_min_proto_version(s->ssl, TLS1_3_VERSION), 1);
    } else {
        assert_int_equal(SSL_set_cipher_list(s->ssl, suite->name), 1);
        assert_int_equal(SSL_set_max_proto_version(s->ssl, TLS1_2_VERSION), 1);
    }
}

static inline struct tls_context *server_context(struct tls_tickets *tickets)
{
    struct tls_certificate_files files = { chain_paths[KIND_ECDSA], key_paths[KIND_ECDSA] };
    struct tls_server_options options = { .certificates = &files,
                                          .certificates_count = 1,
                                          .min_version = TLS_VERSION_1_2,
                                          .tickets = tickets,
                                          .kernel = true };
    struct tls_context *context = NULL;
    struct tls_error error;

    assert_int_equal(tls_context_create_server(&options, &context, &error), STATUS_OK);
    return context;
}

static inline struct tls_context *client_context(void)
{
    struct tls_client_options options = { .min_version = TLS_VERSION_1_2, .kernel = true };
    struct tls_context *context = NULL;
    struct tls_error error;

    assert_int_equal(tls_context_create_client(&options, &context, &error), STATUS_OK);
    return context;
}

static inline void begin(struct link *l, bool near_is_server, const struct suite *suite,
                         struct tls_tickets *tickets)
{
    l->server = server_context(tickets);
    l->client = client_context();
    end_open(&l->near, near_is_server ? l->server : l->client,
             near_is_server ? TLS_ROLE_SERVER : TLS_ROLE_CLIENT, BOUND);
    end_open(&l->far, near_is_server ? l->client : l->server,
             near_is_server ? TLS_ROLE_CLIENT : TLS_ROLE_SERVER, BOUND);
    if (suite != NULL) {
        choose(l->near.session, suite);
        choose(l->far.session, suite);
    }
}

static inline void shake_hands(struct link *l)
{
    struct end *client = tls_context_openssl(l->client) == SSL_get_SSL_CTX(l->near.session->ssl)
                             ? &l->near
                             : &l->far;

    assert_true(handshake(client, client == &l->near ? &l->far : &l->near, BOUND));
}

static inline void finish(struct link *l)
{
    end_close(&l->near);
    end_close(&l->far);
    tls_context_destroy(l->server);
    tls_context_destroy(l->client);
}

static inline void link_up(struct link *l, bool near_is_server, const struct suite *suite,
                           const struct tls_kernel_support *support, enum tls_kernel_use use)
{
    begin(l, near_is_server, suite, NULL);
    tls_kernel_allow(l->near.session, support, use);
    shake_hands(l);
}

static inline void say(struct end *from, struct slice text)
{
    size_t used;

    assert_int_equal(tls_session_write(from->session, text, &from->output, &used), TLS_DONE);
    assert_int_equal(used, text.len);
}

/* Everything that `from` has put out, read by the session of `to`. */
static inline void hears(struct end *to, struct end *from, struct slice text)
{
    struct slice input = buffer_contents(&from->output);
    struct buffer got;
    char room[512];
    size_t len;

    buffer_init(&got, BOUND);
    while (tls_session_read(to->session, &input, &to->output, room, sizeof(room), &len) == TLS_DONE)
        assert_int_equal(buffer_append(&got, (struct slice){ room, len }), STATUS_OK);
    assert_string_equal(tls_session_error(to->session), "");
    assert_true(slice_equal(buffer_contents(&got), text));
    buffer_clear(&from->output);
    buffer_finish(&got);
}

static inline void take(struct end *e, enum tls_direction direction, struct soft *soft)
{
    struct tls_kernel_key key;

    assert_int_equal(tls_kernel_rest(e->session, direction), 0);
    assert_int_equal(tls_kernel_key(e->session, direction, &key), STATUS_OK);
    soft_init(soft, &key);
    tls_kernel_key_finish(&key);
    assert_int_equal(key.len, 0);
    if (!tls_kernel_has(e->session, direction))
        tls_kernel_taken(e->session, direction);
}

static inline void opens(struct soft *soft, struct end *from, uint8_t type, struct slice text)
{
    static char room[SOFT_MAX];
    struct slice bytes = buffer_contents(&from->output);
    uint8_t got_type = 0;
    size_t len = 0;

    assert_true(soft_open(soft, &bytes, &got_type, room, &len));
    assert_int_equal(got_type, type);
    assert_true(slice_equal((struct slice){ room, len }, text));
    buffer_consume(&from->output, buffer_len(&from->output) - bytes.len);
}

/* A link of which the kernel has both directions of the near end. */
static inline void link_to_kernel(struct link *l, bool near_is_server, const struct suite *suite,
                                  const struct tls_kernel_support *support, struct soft *send,
                                  struct soft *receive)
{
    link_up(l, near_is_server, suite, support, TLS_KERNEL_BOTH);
    hears(&l->far, &l->near, SLICE(""));
    hears(&l->near, &l->far, SLICE(""));
    say(&l->far, SLICE("first"));
    hears(&l->near, &l->far, SLICE("first"));
    take(&l->near, TLS_SEND, send);
    take(&l->near, TLS_RECEIVE, receive);
}
