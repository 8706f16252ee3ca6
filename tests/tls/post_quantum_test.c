/* Key shares that some servers do not get over. OpenSSL 3.5 is the first to offer one. */
#include "tls/post_quantum.h"

#include "tests/tls/link.h"

static bool has_it(void)
{
    return OpenSSL_version_num() >= 0x30500000ul;
}

struct pair {
    struct tls_context *server, *client;
    struct end c, s;
};

static void pair_open(struct pair *p)
{
    p->server = make_server(1, TLS_VERSION_1_2, NULL);
    p->client = make_client(TLS_VERSION_1_2);
    end_open(&p->s, p->server, TLS_ROLE_SERVER, BOUND);
    end_open(&p->c, p->client, TLS_ROLE_CLIENT, BOUND);
}

static void pair_close(struct pair *p)
{
    end_close(&p->c);
    end_close(&p->s);
    tls_context_destroy(p->server);
    tls_context_destroy(p->client);
}

static void what_openssl_offers_is_known_and_can_be_left_out(void **unused)
{
    (void)unused;
    for (int is_without = 0; is_without < 2; is_without++) {
        struct slice none = { NULL, 0 };
        struct pair p;
        bool offers = has_it() && is_without == 0;

        pair_open(&p);
        if (is_without == 1)
            assert_true(tls_session_without_post_quantum(p.c.session));
        assert_int_equal(tls_session_offered_post_quantum(p.c.session), offers);
        assert_false(tls_session_offered_post_quantum(p.s.session));
        assert_false(tls_session_blames_post_quantum(p.c.session));
        p.c.progress = tls_session_handshake(p.c.session, &none, &p.c.output);
        assert_int_equal(p.c.progress, TLS_WANT_INPUT);
        assert_int_equal(tls_session_blames_post_quantum(p.c.session), offers);
        /* 1184 bytes of it are the key of ML-KEM-768. */
        assert_int_equal(buffer_len(&p.c.output) > 1184, offers);
        assert_true(handshake(&p.c, &p.s, BOUND));
        assert_false(tls_session_blames_post_quantum(p.c.session));
        assert_int_equal(tls_session_offered_post_quantum(p.c.session), offers);
        pair_close(&p);
    }
}

static void who_does_not_answer_is_tried_without(void **unused)
{
    static const struct {
        const char *what;
        struct slice answer;
        bool ends;
    } cases[] = {
        { "handshake_failure", { "\x15\x03\x03\x00\x02\x02\x28", 7 }, false },
        { "decode_error", { "\x15\x03\x01\x00\x02\x02\x32", 7 }, false },
        { "the end", { "", 0 }, true },
        { "the start of a record", { "\x16\x03\x03\x00", 4 }, true },
        { "something else", { "220 hello\r\n", 11 }, false },
        { "silence", { "", 0 }, false },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct slice none = { NULL, 0 }, answer = cases[i / 2].answer;
        bool is_without = i % 2 == 1;
        struct pair p;

        pair_open(&p);
        if (is_without)
            assert_true(tls_session_without_post_quantum(p.c.session));
        assert_int_equal(tls_session_handshake(p.c.session, &none, &p.c.output), TLS_WANT_INPUT);
        if (cases[i / 2].ends)
            tls_session_input_ended(p.c.session);
        p.c.progress = tls_session_handshake(p.c.session, &answer, &p.c.output);
        if (tls_session_blames_post_quantum(p.c.session) != (has_it() && !is_without))
            fail_msg("%s", cases[i / 2].what);
        pair_close(&p);
    }
}

static void who_has_answered_is_not(void **unused)
{
    struct slice alert = { "\x15\x03\x03\x00\x02\x02\x28", 7 };
    struct pair p;

    (void)unused;
    pair_open(&p);
    handshake_step(&p.c, &p.s, BOUND);
    handshake_step(&p.s, &p.c, BOUND);
    handshake_step(&p.c, &p.s, 200); /* the ServerHello, or most of a longer one, then the rest */
    while (p.c.progress == TLS_WANT_INPUT && tls_session_blames_post_quantum(p.c.session))
        handshake_step(&p.c, &p.s, 100);
    assert_false(tls_session_is_established(p.c.session));
    p.c.progress = tls_session_handshake(p.c.session, &alert, &p.c.output);
    assert_false(tls_session_blames_post_quantum(p.c.session));
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openssl_offers_is_known_and_can_be_left_out),
        cmocka_unit_test(who_does_not_answer_is_tried_without),
        cmocka_unit_test(who_has_answered_is_not),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
