/* What a person is told about a server's certificates. */
#include "tls/chain.h"

#include "tests/tls/delivery.h"

static X509 *authority;

static int make_all(void **unused)
{
    static const struct certificate ours = { "Authority", NULL, NULL, 0, 0, true };

    assert_int_equal(make_certificates(unused), 0);
    one_key = EVP_EC_gen("P-256");
    authority = certificate_make(&ours, NULL);
    return 0;
}

static int remove_all(void **unused)
{
    X509_free(authority);
    EVP_PKEY_free(one_key);
    return remove_certificates(unused);
}

static void expect_text(const char *text, const char *wanted)
{
    if (strcmp(text, wanted) != 0)
        fail_msg("%s", text);
}

static void each_certificate_is_described(void **unused)
{
    static const struct certificate says = {
        "mx.h.example", "DNS:mx.h.example,email:a@h.example,DNS:*.w.example",
        NULL,           -3 * DAY_S,
        4 * DAY_S,      false
    };
    X509 *leaf = certificate_make(&says, authority);

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct meeting m = { .chain = { leaf, authority }, .suite = both[i] };
        struct tls_chain_certificate c;
        time_t now_s = time(NULL);
        struct link l;

        meet(&l, &m);
        assert_int_equal(tls_session_peer_chain_count(l.near.session), 2);
        assert_int_equal(tls_session_peer_chain_count(l.far.session), 0);
        tls_session_peer_chain_describe(l.near.session, 0, &c);
        expect_text(c.subject, "CN=mx.h.example,O=Postern's tests");
        expect_text(c.issuer, "CN=Authority,O=Postern's tests");
        expect_text(c.names, "mx.h.example, *.w.example");
        assert_int_equal(c.names_count, 2);
        expect_text(c.key, "EC prime256v1");
        assert_int_equal(c.key_bits, 256);
        expect_text(c.signature, "ecdsa-with-SHA256");
        assert_int_equal(strlen(c.print), 64);
        assert_false(c.is_self_issued);
        assert_in_range(c.not_before_s + 3 * DAY_S, now_s - 600, now_s);
        assert_in_range(c.not_after_s - 4 * DAY_S, now_s - 600, now_s);
        tls_session_peer_chain_describe(l.near.session, 1, &c);
        expect_text(c.subject, "CN=Authority,O=Postern's tests");
        expect_text(c.names, "");
        assert_true(c.is_self_issued);
        finish(&l);
    }
    X509_free(leaf);
}

static void what_a_peer_says_stays_within_bounds(void **unused)
{
    struct certificate says = { "evil\r\nname\x1b[2J \xc3\xbc", NULL, NULL, 0, 0, false };
    struct meeting m = { .suite = both[0] };
    struct tls_chain_certificate c;
    struct buffer list;
    struct link l;

    (void)unused;
    buffer_init(&list, BOUND);
    for (size_t i = 0; i < TLS_PEER_NAMES_MAX + 9; i++)
        assert_int_equal(buffer_printf(&list, "%sDNS:%04zu.h.example", i > 0 ? "," : "", i),
                         STATUS_OK);
    assert_int_equal(buffer_append(&list, (struct slice){ "", 1 }), STATUS_OK);
    says.alternatives = buffer_contents(&list).data;
    m.chain[0] = certificate_make(&says, authority);
    meet(&l, &m);
    tls_session_peer_chain_describe(l.near.session, 0, &c);
    expect_text(c.subject, "CN=evil\\0D\\0Aname\\1B[2J \\C3\\BC,O=Postern's tests");
    assert_non_null(strstr(c.names, "0031.h.example and at least 224 more"));
    assert_int_equal(c.names_count, TLS_PEER_NAMES_MAX);
    finish(&l);
    X509_free(m.chain[0]);
    buffer_finish(&list);
}

static void too_late_there_is_nothing_to_tell(void **unused)
{
    struct meeting m = { .suite = both[0] };
    struct soft send, receive;
    struct link l;

    (void)unused;
    meet_begin(&l, &m);
    assert_int_equal(tls_session_peer_chain_count(l.near.session), 0);
    tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
    meet_end(&l);
    assert_int_equal(tls_session_peer_chain_count(l.near.session), 1);
    take(&l.near, TLS_SEND, &send);
    take(&l.near, TLS_RECEIVE, &receive);
    assert_int_equal(tls_session_peer_chain_count(l.near.session), 0);
    finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_certificate_is_described),
        cmocka_unit_test(what_a_peer_says_stays_within_bounds),
        cmocka_unit_test(too_late_there_is_nothing_to_tell),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
