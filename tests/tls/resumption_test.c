/* Sessions that are resumed. */
#include "tls/resumption.h"

#include "tests/tls/delivery.h"
#include "tls/dane.h"
#include "tls/peer_check.h"

#define NOW_S 5000

static X509 *authority, *leaf, *expired;
static char authority_path[PATH_BYTES], stranger_path[PATH_BYTES], crl_path[PATH_BYTES],
    key_path[PATH_BYTES], shown_path[PATH_BYTES];
static char digest[2][32]; /* of the leaf's key; and another one */

static int make_all(void **unused)
{
    static const struct certificate ours = { "Authority", NULL, NULL, 0, 0, true };
    static const struct certificate other = { "Stranger", NULL, NULL, 0, 0, true };
    static const struct certificate shown = { "x", "DNS:mx.h.example", NULL, 0, 0, false };
    static const struct certificate old = {
        "x", "DNS:mx.h.example", NULL, -9 * DAY_S, -DAY_S, false
    };
    unsigned char spki[256], *end = spki;
    X509 *stranger;
    X509_CRL *crl;
    FILE *file;
    int len;

    assert_int_equal(make_certificates(unused), 0);
    one_key = EVP_EC_gen("P-256");
    authority = certificate_make(&ours, NULL);
    stranger = certificate_make(&other, NULL);
    leaf = certificate_make(&shown, authority);
    expired = certificate_make(&old, authority);
    crl = crl_make(authority, NULL, 0, DAY_S, NULL);
    (void)snprintf(authority_path, PATH_BYTES, "%s/authority.pem", folder);
    (void)snprintf(stranger_path, PATH_BYTES, "%s/stranger.pem", folder);
    (void)snprintf(crl_path, PATH_BYTES, "%s/some.crl", folder);
    (void)snprintf(key_path, PATH_BYTES, "%s/one.key", folder);
    (void)snprintf(shown_path, PATH_BYTES, "%s/shown.pem", folder);
    certificates_write(authority_path, &authority, 1);
    certificates_write(stranger_path, &stranger, 1);
    certificates_write(shown_path, &leaf, 1);
    crls_write(crl_path, &crl, 1);
    file = fopen(key_path, "we");
    assert_non_null(file);
    assert_true(PEM_write_PrivateKey(file, one_key, NULL, NULL, 0, NULL, NULL));
    assert_int_equal(fclose(file), 0);
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &end);
    assert_true(len > 0 && (size_t)len < sizeof(spki));
    assert_true(
        EVP_Digest(spki, (size_t)len, (unsigned char *)digest[0], NULL, EVP_sha256(), NULL));
    X509_free(stranger);
    X509_CRL_free(crl);
    return 0;
}

static int remove_all(void **unused)
{
    X509_free(authority);
    X509_free(leaf);
    X509_free(expired);
    EVP_PKEY_free(one_key);
    (void)unlink(authority_path);
    (void)unlink(stranger_path);
    (void)unlink(crl_path);
    (void)unlink(key_path);
    (void)unlink(shown_path);
    return remove_certificates(unused);
}

/* Everything that may differ from one visit to the next. */
struct visit {
    const char *ca_file, *crl_file;
    const char *key, *name;
    const char *shown; /* the client's certificate */
    enum tls_version min_version;
    enum tls_security security;
    const struct suite *suite;
    X509 *leaf;
    const char *tlsa; /* NULL: no DANE; the digest of a 3 1 1 record */
    const char *tlsa_name;
    int64_t now_s;
    struct tls_tickets *tickets;
    bool is_unkept;
};

static struct tls_resumption *cache;

static void visit_begin(struct link *l, const struct visit *v)
{
    struct tls_certificate_files shown = { v->shown, key_path };
    struct tls_trust *trust = trust_make(v->ca_file, NULL, v->crl_file);
    struct tls_client_options options = { .trust = trust,
                                          .min_version = v->min_version,
                                          .security = v->security,
                                          .certificates = &shown,
                                          .certificates_count = v->shown != NULL,
                                          .kernel = true };
    struct tls_error error;
    SSL *server;

    l->server = server_context(v->tickets);
    assert_int_equal(tls_context_create_client(&options, &l->client, &error), STATUS_OK);
    tls_trust_release(trust);
    assert_int_equal(tls_session_create(l->client, TLS_ROLE_CLIENT, v->name, &l->near.session),
                     STATUS_OK);
    buffer_init(&l->near.output, BOUND);
    l->near.progress = TLS_WANT_INPUT;
    end_open(&l->far, l->server, TLS_ROLE_SERVER, BOUND);
    choose(l->far.session, v->suite);
    server = l->far.session->ssl;
    assert_int_equal(SSL_use_certificate(server, v->leaf), 1);
    assert_int_equal(SSL_use_PrivateKey(server, one_key), 1);
    assert_int_equal(SSL_add1_chain_cert(server, authority), 1);
    if (v->tlsa != NULL) {
        struct tls_dane_record record = { 3, 1, 1, { v->tlsa, 32 } };
        struct slice name = slice_from(v->tlsa_name);
        size_t usable;

        assert_int_equal(tls_session_expect_dane(l->near.session, &name, 1, &record, 1, &usable),
                         STATUS_OK);
        assert_int_equal(usable, 1);
    }
    tls_session_resume_from(l->near.session, l->client, cache, slice_from(v->key), v->now_s);
}

/* A visit up to the end of the server's first words. */
static void visit(struct link *l, const struct visit *v)
{
    visit_begin(l, v);
    shake_hands(l);
    if (!v->is_unkept)
        tls_session_keep_tickets(l->near.session);
    say(&l->far, SLICE("250\r\n"));
    hears(&l->near, &l->far, SLICE("250\r\n"));
}

static bool visit_resumes(const struct visit *v)
{
    struct link l;
    bool is_resumed;

    visit(&l, v);
    is_resumed = tls_session_is_resumed(l.near.session);
    assert_int_equal(tls_session_is_resumed(l.far.session), is_resumed);
    finish(&l);
    return is_resumed;
}

/* Whether there is something to resume, which is then taken out. */
static bool visit_would_resume(const struct visit *v)
{
    struct link l;
    bool has;

    visit_begin(&l, v);
    has = SSL_get_session(l.near.session->ssl) != NULL;
    finish(&l);
    return has;
}

static void open_cache(struct visit *v, const struct suite *suite, size_t entries_max)
{
    assert_int_equal(tls_resumption_create(entries_max, &cache), STATUS_OK);
    *v = (struct visit){ .ca_file = authority_path,
                         .key = "mx.h.example:25 verify",
                         .name = "mx.h.example",
                         .suite = suite,
                         .leaf = leaf,
                         .tlsa_name = "mx.h.example",
                         .now_s = NOW_S };
    assert_int_equal(tls_tickets_create(NOW_S, &v->tickets), STATUS_OK);
}

static void close_cache(struct visit *v)
{
    tls_resumption_destroy(cache);
    tls_tickets_destroy(v->tickets);
}

static void a_server_that_was_good_is_met_again_for_less(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        struct tls_peer_wanted wanted = { .domain = SLICE("mx.h.example") };
        struct tls_peer_check check;
        struct visit v;
        struct link l;

        open_cache(&v, both[i % 2], 8);
        v.ca_file = i < 2 ? authority_path : stranger_path;
        for (int again = 0; again < 4; again++) {
            visit(&l, &v);
            assert_int_equal(tls_session_is_resumed(l.near.session), again > 0);
            expect_problem(l.near.session, i < 2 ? NULL : "self-signed", i);
            assert_int_equal(l.near.session->verify_depth, i < 2 ? 0 : 1);
            assert_true(tls_session_has_peer_certificate(l.near.session));
            assert_string_equal(tls_session_peer_common_name(l.near.session), "x");
            tls_session_check_peer(l.near.session, TLS_CHECK_HOSTED, &wanted, &check);
            assert_int_equal(check.is_matched, i < 2);
            assert_int_equal(tls_resumption_count(cache), 1);
            finish(&l);
            assert_int_equal(tls_resumption_count(cache), 1);
        }
        close_cache(&v);
    }
}

/* The second visit differs in one thing from the first. */
static void nothing_is_resumed_where_the_judge_is_another(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++)
        for (int change = 0; change <= 12; change++) {
            struct visit first, then;
            bool resumes = false;

            open_cache(&first, both[i], 8);
            then = first;
            switch (change) {
            case 0: resumes = true; break;
            case 1: then.key = "mx.h.example:25 prefer"; break;
            case 2: then.name = "other.example"; break;
            case 3: then.ca_file = stranger_path; break;
            case 4: then.ca_file = NULL; break;
            case 5: then.crl_file = crl_path; break;
            case 6: then.shown = shown_path; break;
            case 7: then.security = TLS_SECURITY_OPPORTUNISTIC; break;
            case 8: then.tlsa = digest[0]; break;
            case 9: first.tlsa = digest[0]; break;
            case 10: /* the records have changed */
                first.tlsa = digest[0];
                then.tlsa = digest[1];
                break;
            case 11: /* or the names */
                first.tlsa = then.tlsa = digest[0];
                then.tlsa_name = "MX.h.example"; /* SNI too */
                break;
            case 12:
                first.tlsa = then.tlsa = digest[0];
                resumes = true;
                break;
            }
            assert_false(visit_resumes(&first));
            if (visit_resumes(&then) != resumes)
                fail_msg("change %d, version %zu", change, i);
            close_cache(&first);
        }
}

static void a_higher_version_is_not_lowered(void **unused)
{
    struct visit v;
    struct link l;

    (void)unused;
    open_cache(&v, both[1], 8);
    assert_false(visit_resumes(&v));
    visit_begin(&l, &v);
    assert_int_equal(SSL_set_max_proto_version(l.far.session->ssl, 0), 1);
    tls_session_set_min_version(l.near.session, TLS_VERSION_1_3);
    shake_hands(&l);
    assert_false(tls_session_is_resumed(l.near.session));
    assert_string_equal(tls_session_protocol(l.near.session), "TLSv1.3");
    finish(&l);
    close_cache(&v);
}

static void the_verdict_on_tlsa_records_comes_along(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        bool is_matched = i < 2;
        struct visit v;
        struct link l;

        open_cache(&v, both[i % 2], 8);
        v.tlsa = digest[is_matched ? 0 : 1];
        for (int again = 0; again < 3; again++) {
            const struct tls_dane_result *r;

            visit(&l, &v);
            assert_int_equal(tls_session_is_resumed(l.near.session), again > 0);
            r = tls_session_dane_result(l.near.session);
            assert_int_equal(r->verdict, is_matched ? TLS_DANE_MATCHED : TLS_DANE_MISMATCHED);
            if (is_matched)
                assert_string_equal(r->text, "matched 3 1 1 (DANE-EE)");
            else
                assert_non_null(strstr(r->text, "TLSA"));
            expect_problem(l.near.session, is_matched ? NULL : "TLSA", i);
            finish(&l);
        }
        close_cache(&v);
    }
}

static void a_server_that_declines_is_judged_anew(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 4; i++) {
        bool is_bad_first = i < 2;
        struct tls_tickets *old_keys;
        struct visit v;
        struct link l;

        open_cache(&v, both[i % 2], 8);
        v.leaf = is_bad_first ? expired : leaf;
        assert_false(visit_resumes(&v));
        old_keys = v.tickets;
        assert_int_equal(tls_tickets_create(NOW_S, &v.tickets), STATUS_OK);
        v.leaf = is_bad_first ? leaf : expired;
        visit(&l, &v);
        assert_false(tls_session_is_resumed(l.near.session));
        expect_problem(l.near.session, is_bad_first ? NULL : "expired", i);
        finish(&l);
        tls_tickets_destroy(old_keys);
        close_cache(&v);
    }
}

static void nothing_is_stored_of_a_server_that_nobody_accepted(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct visit v;
        struct link l;

        open_cache(&v, both[i], 8);
        v.is_unkept = true;
        assert_false(visit_resumes(&v));
        assert_int_equal(tls_resumption_count(cache), 0);
        /* Nor of a resumed one. */
        v.is_unkept = false;
        assert_false(visit_resumes(&v));
        v.is_unkept = true;
        assert_true(visit_resumes(&v));
        assert_int_equal(tls_resumption_count(cache), 0);
        /* To accept it late, when its ticket is there already, is as good. */
        visit(&l, &v);
        tls_session_keep_tickets(l.near.session);
        tls_session_keep_tickets(l.near.session);
        assert_int_equal(tls_resumption_count(cache), 1);
        finish(&l);
        assert_true(visit_resumes(&v));
        close_cache(&v);
    }
}

static void one_session_serves_one_connection(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct visit v;

        open_cache(&v, both[i], 8);
        assert_false(visit_resumes(&v));
        assert_true(visit_would_resume(&v));
        assert_false(visit_would_resume(&v));
        assert_int_equal(tls_resumption_count(cache), 0);
        close_cache(&v);
    }
}

static void the_cache_has_bounds(void **unused)
{
    static const char *const keys[] = { "a", "b", "c", "d" };
    struct link links[TLS_RESUMPTION_PER_KEY_MAX + 2];
    struct visit v;

    (void)unused;
    /* Of all: the one that was stored first goes. */
    open_cache(&v, both[0], 3);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        v.key = keys[i];
        assert_false(visit_resumes(&v));
    }
    assert_int_equal(tls_resumption_count(cache), 3);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        v.key = keys[i];
        assert_int_equal(visit_would_resume(&v), i > 0);
    }
    close_cache(&v);

    /* Of one server, met by several connections at the same time. */
    open_cache(&v, both[1], 16);
    v.key = "another";
    assert_false(visit_resumes(&v));
    v.key = "a";
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        visit_begin(&links[i], &v);
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        shake_hands(&links[i]);
        tls_session_keep_tickets(links[i].near.session);
    }
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        finish(&links[i]);
    assert_int_equal(tls_resumption_count(cache), TLS_RESUMPTION_PER_KEY_MAX + 1);
    for (size_t i = 0; i < TLS_RESUMPTION_PER_KEY_MAX; i++)
        assert_true(visit_would_resume(&v));
    assert_false(visit_would_resume(&v));
    v.key = "another";
    assert_true(visit_would_resume(&v));
    assert_int_equal(tls_resumption_count(cache), 0);
    close_cache(&v);
}

/* Against a list that is as plain as can be. */
static void the_cache_stays_whole_in_any_order(void **unused)
{
    enum { KEYS = 6, MAX = 5 };
    static const char *const keys[KEYS] = { "a", "b", "c", "d", "e", "f" };
    size_t list[MAX], count = 0;
    unsigned random = 12345;
    struct visit v;

    (void)unused;
    open_cache(&v, both[1], MAX);
    for (int step = 0; step < 400; step++) {
        size_t k, at = 0;
        bool is_put;
        struct link l;

        random = random * 1103515245u + 12345u;
        k = (random >> 16) % KEYS;
        is_put = (random >> 8) % 2 == 0;
        v.key = keys[k];
        visit_begin(&l, &v);
        for (at = count; at > 0 && list[at - 1] != k; at--)
            ;
        assert_int_equal(SSL_get_session(l.near.session->ssl) != NULL, at > 0);
        if (at > 0) {
            memmove(&list[at - 1], &list[at], (count - at) * sizeof(list[0]));
            count--;
        }
        if (is_put) {
            shake_hands(&l);
            tls_session_keep_tickets(l.near.session);
            if (count == MAX) {
                memmove(&list[0], &list[1], (MAX - 1) * sizeof(list[0]));
                count--;
            }
            list[count++] = k;
        }
        finish(&l);
        assert_int_equal(tls_resumption_count(cache), count);
    }
    close_cache(&v);
}

static void sessions_grow_old(void **unused)
{
    static const struct {
        int64_t later_s;
        bool resumes;
    } cases[] = { { 0, true },
                  { TLS_RESUMPTION_LIFETIME_S - 1, true },
                  { TLS_RESUMPTION_LIFETIME_S, false },
                  { 10 * TLS_RESUMPTION_LIFETIME_S, false } };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct visit v;

        open_cache(&v, both[i % 2], 8);
        assert_false(visit_resumes(&v));
        v.now_s += cases[i / 2].later_s;
        assert_int_equal(visit_would_resume(&v), cases[i / 2].resumes);
        assert_int_equal(tls_resumption_count(cache), 0);
        close_cache(&v);
    }
}

/* Whatever is said by then is about a certificate that was looked at two hours ago. */
static void a_verdict_does_not_get_younger_by_resumption(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct visit v;

        open_cache(&v, both[i], 8);
        assert_false(visit_resumes(&v));
        for (int step = 1; step <= 8; step++) {
            v.now_s = NOW_S + step * TLS_RESUMPTION_LIFETIME_S / 4;
            assert_int_equal(visit_resumes(&v), step % 4 != 0);
        }
        close_cache(&v);
    }
}

/* RFC 5246 7.2.2: an error ends the session for good. */
static void a_session_that_broke_is_not_resumed(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct slice junk = SLICE("\x17\x03\x03\x00\x20junkjunkjunkjunkjunkjunkjunkjunk");
        struct visit v;
        struct link l;
        char room[64];
        size_t len;

        open_cache(&v, both[i], 8);
        visit(&l, &v);
        assert_int_equal(tls_resumption_count(cache), 1);
        assert_int_equal(
            tls_session_read(l.near.session, &junk, &l.near.output, room, sizeof(room), &len),
            TLS_FAILED);
        finish(&l);
        assert_false(visit_would_resume(&v));
        close_cache(&v);
    }
}

/* The tickets have come before the kernel takes over, and stay good when OpenSSL's objects go. */
static void sessions_of_the_kernel_are_resumed_and_resume(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct visit v;

        open_cache(&v, both[i], 8);
        for (int again = 0; again < 3; again++) {
            struct soft send, receive;
            struct link l;

            visit_begin(&l, &v);
            tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
            shake_hands(&l);
            assert_int_equal(tls_session_is_resumed(l.near.session), again > 0);
            tls_session_keep_tickets(l.near.session);
            say(&l.far, SLICE("250\r\n"));
            hears(&l.near, &l.far, SLICE("250\r\n"));
            take(&l.near, TLS_SEND, &send);
            take(&l.near, TLS_RECEIVE, &receive);
            assert_null(l.near.session->ssl);
            tls_session_keep_tickets(l.near.session); /* too late, and no harm */
            soft_seal(&send, TYPE_DATA, SLICE("QUIT\r\n"), &l.near.output);
            hears(&l.far, &l.near, SLICE("QUIT\r\n"));
            expect_problem(l.near.session, NULL, i);
            finish(&l);
        }
        close_cache(&v);
    }
}

static void what_is_too_large_is_not_kept(void **unused)
{
    static struct certificate big = { "x", NULL, NULL, 0, 0, false };
    struct buffer list;
    struct visit v;

    (void)unused;
    buffer_init(&list, BOUND);
    for (size_t i = 0; i < TLS_RESUMPTION_BYTES_MAX / 16; i++)
        assert_int_equal(buffer_printf(&list, "%sDNS:%06zu.h.example", i > 0 ? "," : "", i),
                         STATUS_OK);
    assert_int_equal(buffer_append(&list, (struct slice){ "", 1 }), STATUS_OK);
    big.alternatives = buffer_contents(&list).data;
    for (size_t i = 0; i < 2; i++) {
        open_cache(&v, both[i], 8);
        v.leaf = certificate_make(&big, authority);
        assert_false(visit_resumes(&v));
        assert_int_equal(tls_resumption_count(cache), 0);
        X509_free(v.leaf);
        close_cache(&v);
    }
    buffer_finish(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_was_good_is_met_again_for_less),
        cmocka_unit_test(nothing_is_resumed_where_the_judge_is_another),
        cmocka_unit_test(a_higher_version_is_not_lowered),
        cmocka_unit_test(the_verdict_on_tlsa_records_comes_along),
        cmocka_unit_test(a_server_that_declines_is_judged_anew),
        cmocka_unit_test(nothing_is_stored_of_a_server_that_nobody_accepted),
        cmocka_unit_test(one_session_serves_one_connection),
        cmocka_unit_test(the_cache_has_bounds),
        cmocka_unit_test(the_cache_stays_whole_in_any_order),
        cmocka_unit_test(sessions_grow_old),
        cmocka_unit_test(a_verdict_does_not_get_younger_by_resumption),
        cmocka_unit_test(a_session_that_broke_is_not_resumed),
        cmocka_unit_test(sessions_of_the_kernel_are_resumed_and_resume),
        cmocka_unit_test(what_is_too_large_is_not_kept),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
