#include <openssl/ssl.h>

#include "tests/tls/support.h"
#include "tls/internal.h"
#include "tls/kernel.h"

#define BOUND 65536

/* SLICE() as a constant initializer. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

/* A client context that offers just this version (0: any) and these TLS 1.2 ciphers. */
static struct tls_context *make_picky_client(int version, const char *ciphers)
{
    struct tls_context *context = make_client(TLS_VERSION_1_2);
    SSL_CTX *ctx = tls_context_openssl(context);

    if (version != 0) {
        SSL_CTX_set_security_level(ctx, 0);
        assert_true(SSL_CTX_set_min_proto_version(ctx, version));
        assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    }
    if (ciphers != NULL)
        assert_true(SSL_CTX_set_cipher_list(ctx, ciphers));
    return context;
}

static void both_versions_and_kinds_of_key_work(void **unused)
{
    static const struct {
        unsigned kinds;
        int version;
        const char *ciphers, *protocol, *cipher;
    } cases[] = {
        { 1, TLS1_2_VERSION, NULL, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { 2, TLS1_2_VERSION, NULL, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384" },
        { 3, TLS1_2_VERSION, NULL, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384" },
        { 3, TLS1_2_VERSION, "aRSA", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384" },
        { 1, 0, NULL, "TLSv1.3", "TLS_AES_256_GCM_SHA384" },
        { 2, 0, NULL, "TLSv1.3", "TLS_AES_256_GCM_SHA384" },
        { 3, 0, NULL, "TLSv1.3", "TLS_AES_256_GCM_SHA384" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *server = make_server(cases[i].kinds, TLS_VERSION_1_2, NULL);
        struct tls_context *client = make_picky_client(cases[i].version, cases[i].ciphers);
        struct end c, s;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        assert_string_equal(tls_session_group(c.session), "");
        assert_true(handshake(&c, &s, BOUND));
        assert_string_not_equal(tls_session_group(c.session), "");
        assert_string_equal(tls_session_group(c.session), tls_session_group(s.session));
        assert_string_equal(tls_session_protocol(s.session), cases[i].protocol);
        assert_string_equal(tls_session_cipher(s.session), cases[i].cipher);
        assert_string_equal(tls_session_cipher(c.session), cases[i].cipher);
        assert_int_equal(tls_session_cipher_bits(s.session), 256);
        assert_false(tls_session_is_resumed(s.session));
        assert_string_equal(tls_session_peer_common_name(c.session), "mx.example");
        assert_null(tls_session_peer_common_name(s.session));
        assert_int_equal(tls_kernel_reason(s.session, TLS_SEND), TLS_KERNEL_SWITCHED_OFF);
        assert_int_equal(tls_kernel_reason(s.session, TLS_RECEIVE), TLS_KERNEL_SWITCHED_OFF);
        assert_string_equal(tls_session_error(s.session), "");
        end_close(&c);
        end_close(&s);
        tls_context_destroy(server);
        tls_context_destroy(client);
    }
}

/* Sends text from one end to the other; the ciphertext arrives in pieces of `cut` bytes. */
static void send_and_compare(struct end *from, struct end *to, const char *text, size_t text_len,
                             size_t cut, size_t room)
{
    char *got = malloc(text_len + room);
    size_t sent = 0, got_len = 0;

    assert_non_null(got);
    while (got_len < text_len) {
        size_t used, len = 0;
        enum tls_progress w, r;

        w = tls_session_write(from->session, (struct slice){ text + sent, text_len - sent },
                              &from->output, &used);
        assert_true(w == TLS_DONE || w == TLS_WANT_ROOM);
        assert_true(w != TLS_DONE || used == text_len - sent);
        assert_true(buffer_len(&from->output) <= from->output.bytes_max);
        sent += used;
        do {
            r = read_step(to, from, cut, got + got_len, room, &len);
            got_len += r == TLS_DONE ? len : 0;
            assert_true(got_len <= text_len);
        } while (r == TLS_DONE || (r == TLS_WANT_INPUT && buffer_len(&from->output) > 0));
        assert_int_equal(r, TLS_WANT_INPUT);
        assert_false(tls_session_has_pending(to->session));
    }
    assert_int_equal(sent, text_len);
    assert_memory_equal(got, text, text_len);
    free(got);
}

static void where_the_ciphertext_is_cut_does_not_matter(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);

    (void)unused;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct tls_context *client = make_picky_client(versions[v], NULL);

        for (size_t cut = 1; cut < 80; cut++) {
            struct end c, s;

            end_open(&s, server, TLS_ROLE_SERVER, BOUND);
            end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
            assert_true(handshake(&c, &s, cut));
            send_and_compare(&c, &s, "EHLO mx.example\r\n", 17, cut, 5);
            send_and_compare(&s, &c, "250 PIPELINING\r\n", 16, cut, 100);
            end_close(&c);
            end_close(&s);
        }
        tls_context_destroy(client);
    }
    tls_context_destroy(server);
}

static void random_writes_both_ways_arrive_unchanged(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    static char text[200000];
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);
    unsigned seed = 20261122;

    (void)unused;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)rand_r(&seed);
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct tls_context *client = make_picky_client(versions[v], NULL);
        struct end c, s;

        end_open(&s, server, TLS_ROLE_SERVER, TLS_OUTPUT_BYTES_MIN);
        end_open(&c, client, TLS_ROLE_CLIENT, 3 * TLS_OUTPUT_BYTES_MIN);
        assert_true(handshake(&c, &s, BOUND));
        for (int round = 0; round < 200; round++) {
            size_t len = (size_t)rand_r(&seed) % sizeof(text) + 1;
            size_t cut = (size_t)rand_r(&seed) % 40000 + 1;
            size_t room = (size_t)rand_r(&seed) % 40000 + 1;

            if (round % 4 != 0)
                len = len % 3000 + 1;
            if (round % 2 == 0)
                send_and_compare(&c, &s, text, len, cut, room);
            else
                send_and_compare(&s, &c, text, len, cut, room);
        }
        end_close(&c);
        end_close(&s);
        tls_context_destroy(client);
    }
    tls_context_destroy(server);
}

static void a_tiny_output_slows_the_handshake_and_does_not_break_it(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct tls_context *server = make_server(3, TLS_VERSION_1_2, NULL);

    (void)unused;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct tls_context *client = make_picky_client(versions[v], NULL);
        struct end c, s;
        int full = 0;

        end_open(&s, server, TLS_ROLE_SERVER, 64);
        end_open(&c, client, TLS_ROLE_CLIENT, 64);
        for (int steps = 0; steps < 1000; steps++) {
            if (!handshake_is_over(c.progress))
                handshake_step(&c, &s, BOUND);
            full += c.progress == TLS_WANT_ROOM;
            if (!handshake_is_over(s.progress))
                handshake_step(&s, &c, BOUND);
            full += s.progress == TLS_WANT_ROOM;
            assert_true(buffer_len(&c.output) <= 64 && buffer_len(&s.output) <= 64);
        }
        assert_true(c.progress == TLS_DONE && s.progress == TLS_DONE);
        assert_true(full > 5);
        end_close(&c);
        end_close(&s);
        tls_context_destroy(client);
    }
    tls_context_destroy(server);
}

static void close_notify_ends_the_stream_and_its_absence_is_told(void **unused)
{
    static const struct {
        bool close, truncated;
    } cases[] = { { true, false }, { false, true } };
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);
    struct tls_context *client = make_client(TLS_VERSION_1_2);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct end c, s;
        size_t used, len = 0;
        char into[10];

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        assert_true(handshake(&c, &s, BOUND));
        assert_int_equal(tls_session_write(c.session, SLICE("QUIT\r\n"), &c.output, &used),
                         TLS_DONE);
        if (cases[i].close)
            tls_session_close(c.session, &c.output);
        tls_session_input_ended(s.session);
        assert_int_equal(read_step(&s, &c, BOUND, into, sizeof(into), &len), TLS_DONE);
        assert_int_equal(len, 6);
        assert_int_equal(read_step(&s, &c, BOUND, into, sizeof(into), &len), TLS_CLOSED);
        assert_int_equal(read_step(&s, &c, BOUND, into, sizeof(into), &len), TLS_CLOSED);
        assert_int_equal(tls_session_was_truncated(s.session), cases[i].truncated);
        /* The other direction is still open. */
        assert_int_equal(tls_session_write(s.session, SLICE("221\r\n"), &s.output, &used),
                         TLS_DONE);
        assert_int_equal(read_step(&c, &s, BOUND, into, sizeof(into), &len), TLS_DONE);
        assert_int_equal(len, 5);
        end_close(&c);
        end_close(&s);
    }
    tls_context_destroy(server);
    tls_context_destroy(client);
}

static void what_is_not_tls_fails_with_a_text(void **unused)
{
    static const struct {
        struct slice sent; /* with its NUL bytes */
        const char *said;
    } cases[] = {
        { TEXT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "http request" },
        { TEXT("EHLO mx.example\r\nMAIL FROM:<a@b>\r\n"), "wrong version number" },
        { TEXT("\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff"), "unexpected message" },
        { TEXT("\x80\x2e\x01\x03\x01garbage garbage garbage garbage garbage"), "" },
        { TEXT("\x15\x03\x01\xff\xff"), "" },
        { TEXT("\x16\x03\x01\x00\x2a\x02this is a handshake type of a server......"),
          "unexpected" },
    };
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice input = cases[i].sent;
        enum tls_progress p;
        struct end s;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        p = tls_session_handshake(s.session, &input, &s.output);
        if (p == TLS_WANT_INPUT) {
            tls_session_input_ended(s.session);
            p = tls_session_handshake(s.session, &input, &s.output);
        }
        assert_int_equal(p, TLS_FAILED);
        if (strstr(tls_session_error(s.session), cases[i].said) == NULL)
            fail_msg("case %zu says: %s", i, tls_session_error(s.session));
        assert_int_equal(tls_session_error(s.session)[0], '(');
        assert_int_equal(tls_session_handshake(s.session, &input, &s.output), TLS_FAILED);
        tls_session_close(s.session, &s.output);
        end_close(&s);
    }
    tls_context_destroy(server);
}

static void two_sides_with_nothing_in_common_are_told_by_an_alert(void **unused)
{
    static const struct {
        unsigned kinds;
        enum tls_version server_min;
        int version;
        const char *ciphers, *server_said, *client_said;
    } cases[] = {
        { 1, TLS_VERSION_1_2, TLS1_2_VERSION, "aRSA", "no shared cipher",
          "alert handshake failure" },
        { 3, TLS_VERSION_1_3, TLS1_2_VERSION, NULL, "unsupported protocol",
          "alert protocol version" },
        { 3, TLS_VERSION_1_2, TLS1_1_VERSION, "ALL:@SECLEVEL=0", "unsupported protocol",
          "alert protocol version" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *server = make_server(cases[i].kinds, cases[i].server_min, NULL);
        struct tls_context *client = make_picky_client(cases[i].version, cases[i].ciphers);
        struct end c, s;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        assert_false(handshake(&c, &s, BOUND));
        assert_int_equal(s.progress, TLS_FAILED);
        assert_int_equal(buffer_len(&s.output), 7); /* an alert record */
        handshake_step(&c, &s, BOUND);
        assert_int_equal(c.progress, TLS_FAILED);
        if (strstr(tls_session_error(s.session), cases[i].server_said) == NULL)
            fail_msg("case %zu, server: %s", i, tls_session_error(s.session));
        if (strstr(tls_session_error(c.session), cases[i].client_said) == NULL)
            fail_msg("case %zu, client: %s", i, tls_session_error(c.session));
        end_close(&c);
        end_close(&s);
        tls_context_destroy(server);
        tls_context_destroy(client);
    }
}

static void any_damaged_byte_ends_the_connection(void **unused)
{
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);
    struct tls_context *client = make_client(TLS_VERSION_1_2);

    (void)unused;
    for (size_t at = 0; at < 32; at++) {
        struct end c, s;
        size_t used, len = 0;
        char into[10];
        enum tls_progress p;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        assert_true(handshake(&c, &s, BOUND));
        assert_int_equal(tls_session_write(c.session, SLICE("0123456789"), &c.output, &used),
                         TLS_DONE);
        assert_int_equal(buffer_len(&c.output), 32);
        c.output.data[c.output.start + at] ^= 0x40;
        p = read_step(&s, &c, BOUND, into, sizeof(into), &len);
        if (p == TLS_WANT_INPUT) {
            tls_session_input_ended(s.session); /* the length has become larger */
            p = read_step(&s, &c, BOUND, into, sizeof(into), &len);
            assert_int_equal(p, TLS_CLOSED);
            assert_true(tls_session_was_truncated(s.session));
        } else {
            assert_int_equal(p, TLS_FAILED);
            assert_string_not_equal(tls_session_error(s.session), "");
        }
        end_close(&c);
        end_close(&s);
    }
    tls_context_destroy(server);
    tls_context_destroy(client);
}

static void a_key_update_is_followed_in_both_directions(void **unused)
{
    struct tls_context *server = make_server(1, TLS_VERSION_1_3, NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    struct end s;
    char into[100];
    size_t used, len = 0;

    (void)unused;
    SSL_set_bio(ssl, in, out);
    end_open(&s, server, TLS_ROLE_SERVER, BOUND);
    for (int round = 0; round < 20; round++) {
        char *bytes;
        struct slice input, sent;

        if (round >= 10)
            assert_true(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED));
        if (round >= 10)
            assert_int_equal(SSL_write(ssl, "NOOP\r\n", 6), 6);
        else
            (void)SSL_connect(ssl);
        input.len = (size_t)BIO_get_mem_data(out, &bytes);
        input.data = bytes;
        if (s.progress != TLS_DONE) {
            s.progress = tls_session_handshake(s.session, &input, &s.output);
        } else if (round >= 10) {
            assert_int_equal(
                tls_session_read(s.session, &input, &s.output, into, sizeof(into), &len), TLS_DONE);
            assert_int_equal(len, 6);
            assert_int_equal(tls_session_write(s.session, SLICE("250\r\n"), &s.output, &used),
                             TLS_DONE);
        }
        (void)BIO_reset(out);
        sent = buffer_contents(&s.output);
        assert_int_equal(sent.len > 0 ? BIO_write(in, sent.data, (int)sent.len) : 0, sent.len);
        buffer_clear(&s.output);
        if (round >= 10)
            assert_int_equal(SSL_read(ssl, into, sizeof(into)), 5);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    end_close(&s);
    tls_context_destroy(server);
}

/* Enough of them that a leak is seen by the sanitizer and by the eye. Half are thrown away in the
 * middle of the handshake. */
static void ten_thousand_sessions_leave_nothing_behind(void **unused)
{
    struct tls_tickets *tickets;
    struct tls_context *server, *client = make_client(TLS_VERSION_1_2);

    (void)unused;
    assert_int_equal(tls_tickets_create(0, &tickets), STATUS_OK);
    server = make_server(1, TLS_VERSION_1_2, tickets);
    for (int i = 0; i < 10000; i++) {
        struct end c, s;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        if (i % 4 == 0) {
            assert_true(handshake(&c, &s, BOUND));
            tls_session_close(s.session, &s.output);
        } else {
            handshake_step(&c, &s, BOUND);
            if (i % 4 == 1)
                handshake_step(&s, &c, 100);
            if (i % 4 == 2)
                handshake_step(&s, &c, BOUND);
        }
        end_close(&c);
        end_close(&s);
    }
    tls_context_destroy(server);
    tls_context_destroy(client);
    tls_tickets_destroy(tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_and_kinds_of_key_work),
        cmocka_unit_test(where_the_ciphertext_is_cut_does_not_matter),
        cmocka_unit_test(random_writes_both_ways_arrive_unchanged),
        cmocka_unit_test(a_tiny_output_slows_the_handshake_and_does_not_break_it),
        cmocka_unit_test(close_notify_ends_the_stream_and_its_absence_is_told),
        cmocka_unit_test(what_is_not_tls_fails_with_a_text),
        cmocka_unit_test(two_sides_with_nothing_in_common_are_told_by_an_alert),
        cmocka_unit_test(any_damaged_byte_ends_the_connection),
        cmocka_unit_test(a_key_update_is_followed_in_both_directions),
        cmocka_unit_test(ten_thousand_sessions_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
