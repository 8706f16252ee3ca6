/* The hand-over to the kernel without a kernel: tests/tls/soft_records.h takes its place. */
#include "tests/tls/link.h"

/* However many records OpenSSL made and read before, the kernel goes on behind them. */
static void the_kernel_goes_on_where_openssl_stopped(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(suites) * 2 * 4; i++) {
        const struct suite *suite = &suites[i % ARRAY_LEN(suites)];
        bool is_server = i / ARRAY_LEN(suites) % 2 == 0;
        size_t before = i / ARRAY_LEN(suites) / 2;
        struct soft send, receive;
        struct link l;

        link_up(&l, is_server, suite, &able, TLS_KERNEL_BOTH);
        assert_string_equal(tls_session_cipher(l.near.session), suite->name);
        hears(&l.far, &l.near, SLICE("")); /* tickets, and the end of the handshake */
        hears(&l.near, &l.far, SLICE(""));
        for (size_t k = 0; k < before; k++) {
            say(&l.near, SLICE("in user space"));
            hears(&l.far, &l.near, SLICE("in user space"));
            say(&l.far, SLICE("as well"));
            hears(&l.near, &l.far, SLICE("as well"));
        }
        assert_true(tls_kernel_wants(l.near.session, TLS_SEND));
        assert_int_equal(tls_kernel_wants(l.near.session, TLS_RECEIVE), is_server || before > 0);
        take(&l.near, TLS_SEND, &send);
        assert_non_null(l.near.session->ssl);
        take(&l.near, TLS_RECEIVE, &receive);
        assert_null(l.near.session->ssl);
        for (int k = 0; k < 3; k++) {
            soft_seal(&send, TYPE_DATA, SLICE("from the kernel"), &l.near.output);
            hears(&l.far, &l.near, SLICE("from the kernel"));
            say(&l.far, SLICE("to the kernel"));
            opens(&receive, &l.far, TYPE_DATA, SLICE("to the kernel"));
        }
        assert_string_equal(tls_session_protocol(l.near.session),
                            suite->is_13 ? "TLSv1.3" : "TLSv1.2");
        assert_string_equal(tls_session_cipher(l.near.session), suite->name);
        finish(&l);
    }
}

/* AES-GCM is broken by one nonce used twice, RFC 5288 3. */
static void no_nonce_comes_twice(void **unused)
{
    const unsigned char *last, *next;
    struct soft send;
    struct link l;
    uint64_t before = 0, after = 0;

    (void)unused;
    link_up(&l, true, &suites[3], &able, TLS_KERNEL_TX);
    buffer_clear(&l.near.output);
    say(&l.near, SLICE("x"));
    last = (const unsigned char *)buffer_contents(&l.near.output).data + SOFT_HEADER;
    for (int i = 0; i < 8; i++)
        before = before << 8 | last[i];
    take(&l.near, TLS_SEND, &send);
    next = send.explicit_nonce;
    for (int i = 0; i < 8; i++)
        after = after << 8 | next[i];
    assert_true(after == before + 1);
    finish(&l);
}

static void each_reason_for_user_space_is_told(void **unused)
{
    struct tls_kernel_support none = { .has_module = false }, threads = able, old = able;
    const struct {
        const struct tls_kernel_support *support;
        enum tls_kernel_use use;
        const struct suite *suite;
        enum tls_kernel_reason send, receive;
    } cases[] = {
        { &able, TLS_KERNEL_AUTO, &suites[0], TLS_KERNEL_PENDING, TLS_KERNEL_PENDING },
        { &able, TLS_KERNEL_BOTH, &suites[0], TLS_KERNEL_PENDING, TLS_KERNEL_PENDING },
        { &able, TLS_KERNEL_TX, &suites[0], TLS_KERNEL_PENDING, TLS_KERNEL_SWITCHED_OFF },
        { &able, TLS_KERNEL_OFF, &suites[0], TLS_KERNEL_SWITCHED_OFF, TLS_KERNEL_SWITCHED_OFF },
        { &none, TLS_KERNEL_AUTO, &suites[0], TLS_KERNEL_NO_MODULE, TLS_KERNEL_NO_MODULE },
        { &none, TLS_KERNEL_TX, &suites[3], TLS_KERNEL_NO_MODULE, TLS_KERNEL_SWITCHED_OFF },
        { &threads, TLS_KERNEL_AUTO, &suites[1], TLS_KERNEL_PENDING, TLS_KERNEL_HALF_RECORDS },
        { &threads, TLS_KERNEL_BOTH, &suites[1], TLS_KERNEL_PENDING, TLS_KERNEL_PENDING },
        { &old, TLS_KERNEL_AUTO, &suites[2], TLS_KERNEL_VERSION, TLS_KERNEL_VERSION },
        { &old, TLS_KERNEL_AUTO, &suites[5], TLS_KERNEL_PENDING, TLS_KERNEL_PENDING },
        { &able, TLS_KERNEL_AUTO, &(struct suite){ "ECDHE-ECDSA-AES128-SHA256", false },
          TLS_KERNEL_CIPHER, TLS_KERNEL_CIPHER },
    };

    (void)unused;
    threads.waits_inline = false;
    old.takes[1][TLS_KERNEL_CHACHA20_POLY1305] = false;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct link l;

        link_up(&l, true, cases[i].suite, cases[i].support, cases[i].use);
        assert_int_equal(tls_kernel_reason(l.near.session, TLS_SEND), cases[i].send);
        assert_int_equal(tls_kernel_reason(l.near.session, TLS_RECEIVE), cases[i].receive);
        finish(&l);
    }
}

static void a_peer_that_wants_short_records_keeps_openssl(void **unused)
{
    struct link l;

    (void)unused;
    begin(&l, true, &suites[0], NULL);
    tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
    assert_int_equal(
        SSL_set_tlsext_max_fragment_length(l.far.session->ssl, TLSEXT_max_fragment_length_512), 1);
    shake_hands(&l);
    assert_int_equal(tls_kernel_reason(l.near.session, TLS_SEND), TLS_KERNEL_FRAGMENT);
    finish(&l);
}

/* What the kernel does not take goes on as if nothing had been. */
static void a_refused_key_changes_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        struct tls_kernel_key key;
        struct link l;

        link_up(&l, true, &suites[i], &able, TLS_KERNEL_BOTH);
        for (int d = 0; d < 2; d++) {
            assert_int_equal(tls_kernel_key(l.near.session, (enum tls_direction)d, &key),
                             STATUS_OK);
            tls_kernel_refused(l.near.session, (enum tls_direction)d);
            assert_false(tls_kernel_wants(l.near.session, (enum tls_direction)d));
        }
        hears(&l.far, &l.near, SLICE(""));
        say(&l.near, SLICE("still here"));
        hears(&l.far, &l.near, SLICE("still here"));
        say(&l.far, SLICE("and here"));
        hears(&l.near, &l.far, SLICE("and here"));
        finish(&l);
    }
}

/* Whatever part of the next record has been read, the rest is what is missing to its end. */
static void the_rest_of_a_record_is_known_at_every_byte(void **unused)
{
    struct slice bytes;
    struct link l;
    char room[64];
    size_t len;

    (void)unused;
    link_up(&l, true, &suites[0], &able, TLS_KERNEL_BOTH);
    hears(&l.near, &l.far, SLICE(""));
    say(&l.far, SLICE("twelve bytes"));
    bytes = buffer_contents(&l.far.output);
    for (size_t i = 0; i < bytes.len; i++) {
        struct slice one = { bytes.data + i, 1 };
        size_t rest = i + 1 < SOFT_HEADER ? SOFT_HEADER - i - 1 : bytes.len - i - 1;
        enum tls_progress p =
            tls_session_read(l.near.session, &one, &l.near.output, room, sizeof(room), &len);

        assert_int_equal(p, i + 1 < bytes.len ? TLS_WANT_INPUT : TLS_DONE);
        assert_int_equal(tls_kernel_rest(l.near.session, TLS_RECEIVE), rest);
    }
    assert_int_equal(len, 12);
    finish(&l);
}

/* A key update before the hand-over leaves that direction to OpenSSL. */
static void a_key_update_in_user_space_keeps_openssl(void **unused)
{
    for (int asks = 0; asks < 2; asks++) {
        struct link l;

        (void)unused;
        link_up(&l, true, &suites[0], &able, TLS_KERNEL_BOTH);
        hears(&l.far, &l.near, SLICE(""));
        assert_int_equal(SSL_key_update(l.far.session->ssl, asks ? SSL_KEY_UPDATE_REQUESTED
                                                                 : SSL_KEY_UPDATE_NOT_REQUESTED),
                         1);
        say(&l.far, SLICE("x"));
        hears(&l.near, &l.far, SLICE("x"));
        assert_int_equal(tls_kernel_reason(l.near.session, TLS_RECEIVE), TLS_KERNEL_UPDATED);
        assert_int_equal(tls_kernel_reason(l.near.session, TLS_SEND),
                         asks ? TLS_KERNEL_UPDATED : TLS_KERNEL_PENDING);
        finish(&l);
    }
}

/* The ticket of a session whose SSL object went early is as good as any other. */
static void a_session_given_to_the_kernel_is_resumed(void **unused)
{
    struct tls_tickets *tickets = NULL;

    (void)unused;
    assert_int_equal(tls_tickets_create(0, &tickets), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        struct soft send, receive;
        SSL_SESSION *session;
        struct link l, again;

        begin(&l, true, &suites[i], tickets);
        tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
        shake_hands(&l);
        hears(&l.far, &l.near, SLICE(""));
        take(&l.near, TLS_SEND, &send);
        take(&l.near, TLS_RECEIVE, &receive);
        session = SSL_get1_session(l.far.session->ssl);
        begin(&again, true, &suites[i], tickets);
        tls_kernel_allow(again.near.session, &able, TLS_KERNEL_BOTH);
        assert_int_equal(SSL_set_session(again.far.session->ssl, session), 1);
        shake_hands(&again);
        assert_true(tls_session_is_resumed(again.near.session));
        hears(&again.far, &again.near, SLICE(""));
        take(&again.near, TLS_SEND, &send);
        take(&again.near, TLS_RECEIVE, &receive);
        soft_seal(&send, TYPE_DATA, SLICE("resumed"), &again.near.output);
        hears(&again.far, &again.near, SLICE("resumed"));
        say(&again.far, SLICE("indeed"));
        opens(&receive, &again.far, TYPE_DATA, SLICE("indeed"));
        SSL_SESSION_free(session);
        finish(&again);
        finish(&l);
    }
    tls_tickets_destroy(tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_goes_on_where_openssl_stopped),
        cmocka_unit_test(no_nonce_comes_twice),
        cmocka_unit_test(each_reason_for_user_space_is_told),
        cmocka_unit_test(a_peer_that_wants_short_records_keeps_openssl),
        cmocka_unit_test(a_refused_key_changes_nothing),
        cmocka_unit_test(the_rest_of_a_record_is_known_at_every_byte),
        cmocka_unit_test(a_key_update_in_user_space_keeps_openssl),
        cmocka_unit_test(a_session_given_to_the_kernel_is_resumed),
    };

    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
