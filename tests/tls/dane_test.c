/* Servers that are judged by TLSA records. */
#include "tls/dane.h"

#include "tests/tls/delivery.h"
#include "tls/peer_check.h"

#define RECORDS_MAX 3

enum {
    AUTHORITY,
    MIDDLE,
    LEAF, /* below AUTHORITY */
    DEEP, /* below MIDDLE */
    EXPIRED,
    OTHER, /* signed by itself */
    MADE_COUNT
};

static X509 *made[MADE_COUNT];
static EVP_PKEY *keys[MADE_COUNT];
static char authority_path[PATH_BYTES];

/* With keys of their own, so that a record of a key is of one certificate only. */
static int make_all(void **unused)
{
    static const struct {
        struct certificate says;
        int issuer; /* itself: an authority, or signed by itself */
    } recipes[MADE_COUNT] = {
        [AUTHORITY] = { { "Authority", NULL, NULL, 0, 0, true }, AUTHORITY },
        [MIDDLE] = { { "Middle", NULL, NULL, 0, 0, true }, AUTHORITY },
        [LEAF] = { { "x", "DNS:mx.h.example,DNS:*.w.example", NULL, 0, 0, false }, AUTHORITY },
        [DEEP] = { { "x", "DNS:mx.h.example", NULL, 0, 0, false }, MIDDLE },
        [EXPIRED] = { { "x", "DNS:mx.h.example", NULL, -9 * DAY_S, -DAY_S, false }, AUTHORITY },
        [OTHER] = { { "other.example", NULL, NULL, 0, 0, false }, OTHER },
    };

    assert_int_equal(make_certificates(unused), 0);
    for (int i = 0; i < MADE_COUNT; i++) {
        int issuer = recipes[i].issuer;

        one_key = keys[i] = EVP_EC_gen("P-256");
        made[i] = certificate_make(&recipes[i].says, issuer != i ? made[issuer] : NULL);
        assert_true(X509_sign(made[i], keys[issuer], EVP_sha256()) > 0);
    }
    (void)snprintf(authority_path, PATH_BYTES, "%s/authority.pem", folder);
    certificates_write(authority_path, &made[AUTHORITY], 1);
    return 0;
}

static int remove_all(void **unused)
{
    for (int i = 0; i < MADE_COUNT; i++) {
        X509_free(made[i]);
        EVP_PKEY_free(keys[i]);
    }
    (void)unlink(authority_path);
    return remove_certificates(unused);
}

/* What a test says about a record. */
struct said {
    uint8_t usage, selector, matching;
    int of;
    enum { FINE, FLIPPED, SHORT, LONG, EMPTY } fault;
};

#define DATA_MAX 2048

static struct tls_dane_record record_make(const struct said *said, unsigned char room[DATA_MAX])
{
    struct tls_dane_record r = { said->usage, said->selector, said->matching, { NULL, 0 } };
    unsigned char *end = room;
    unsigned digest_len;
    size_t len = 0;

    if (said->selector == 1)
        len = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(made[said->of]), &end);
    else
        len = (size_t)i2d_X509(made[said->of], &end);
    assert_true(len > 0 && len < DATA_MAX);
    if (said->matching == 1 || said->matching == 2) {
        unsigned char digest[EVP_MAX_MD_SIZE];

        assert_true(EVP_Digest(room, len, digest, &digest_len,
                               said->matching == 1 ? EVP_sha256() : EVP_sha512(), NULL));
        memcpy(room, digest, digest_len);
        len = digest_len;
    }
    room[len] = 0;
    if (said->fault == FLIPPED)
        room[len - 1] ^= 1;
    len = said->fault == SHORT ? len - 1 : said->fault == LONG ? len + 1 : len;
    r.data = (struct slice){ (const char *)room, said->fault == EMPTY ? 0 : len };
    return r;
}

static size_t expect(struct link *l, const struct slice *names, size_t names_count,
                     const struct said *said, size_t count)
{
    static unsigned char rooms[RECORDS_MAX][DATA_MAX];
    struct tls_dane_record records[RECORDS_MAX];
    size_t usable = 99;

    for (size_t i = 0; i < count; i++)
        records[i] = record_make(&said[i], rooms[i]);
    assert_int_equal(
        tls_session_expect_dane(l->near.session, names, names_count, records, count, &usable),
        STATUS_OK);
    return usable;
}

/* A server that shows this chain, up to the handshake. */
static void begin_with(struct link *l, const int chain[CHAIN_MAX - 1], const struct suite *suite,
                       struct tls_trust *trust)
{
    struct meeting m = { .suite = suite, .trust = trust };

    one_key = keys[chain[0]];
    m.chain[0] = made[chain[0]];
    for (int n = 1; n < CHAIN_MAX - 1 && chain[n] != AUTHORITY; n++)
        m.chain[n] = made[chain[n]];
    /* The authority itself is the last one where the list says so twice. */
    if (chain[1] == AUTHORITY && chain[2] == LEAF)
        m.chain[1] = made[AUTHORITY];
    meet_begin(l, &m);
}

#define WITH_AUTHORITY                                                                             \
    {                                                                                              \
        LEAF, AUTHORITY, LEAF                                                                      \
    }

static void expect_result(const struct tls_session *s, const char *text, size_t i)
{
    const struct tls_dane_result *r = tls_session_dane_result(s);

    if (strstr(r->text, text) == NULL)
        fail_msg("case %zu: %s", i, r->text);
    if ((r->verdict == TLS_DANE_MATCHED) != (strncmp(r->text, "matched", 7) == 0) ||
        (r->verdict == TLS_DANE_MATCHED) != (tls_session_verify_problem(s) == NULL))
        fail_msg("case %zu: verdict %d, %s", i, r->verdict, r->text);
}

static void each_kind_of_record_matches_what_it_is_of(void **unused)
{
    static const struct slice name = { "mx.h.example", 12 };

    (void)unused;
    for (unsigned n = 0; n < 2 * 2 * 3 * 2 * 2; n++) {
        bool is_wrong = n / 2 % 2 == 1;
        struct said said = { (uint8_t)(2 + n / 4 % 2), (uint8_t)(n / 8 % 2), (uint8_t)(n / 16),
                             is_wrong         ? OTHER
                             : n / 4 % 2 == 0 ? AUTHORITY
                                              : LEAF,
                             FINE };
        const struct tls_dane_result *r;
        struct link l;

        begin_with(&l, (const int[])WITH_AUTHORITY, both[n % 2], NULL);
        assert_int_equal(expect(&l, &name, 1, &said, 1), 1);
        shake_hands(&l);
        r = tls_session_dane_result(l.near.session);
        expect_result(l.near.session, is_wrong ? "TLSA" : "matched", n);
        assert_int_equal(r->verdict, is_wrong ? TLS_DANE_MISMATCHED : TLS_DANE_MATCHED);
        if (!is_wrong) {
            assert_int_equal(r->usage, said.usage);
            assert_int_equal(r->selector, said.selector);
            assert_int_equal(r->matching, said.matching);
            assert_int_equal(r->depth, said.usage == 2 ? 1 : 0);
        }
        finish(&l);
    }
}

/* Which records are given, which chain is shown, and what comes of it. */
static const struct {
    struct said records[RECORDS_MAX]; /* usage 9 ends them */
    int chain[CHAIN_MAX - 1];
    size_t usable;
    const char *text;
} met[] = {
    /* RFC 7672 3.1.1: what else is in the certificate does not matter. */
    { { { 3, 1, 1, EXPIRED, FINE }, { 9 } }, { EXPIRED }, 1, "matched 3 1 1 (DANE-EE)" },
    { { { 3, 1, 1, OTHER, FINE }, { 9 } }, { OTHER }, 1, "matched 3 1 1 (DANE-EE)" },
    { { { 3, 0, 1, OTHER, FINE }, { 9 } }, { OTHER }, 1, "matched 3 0 1 (DANE-EE)" },
    /* 3.1.2: a chain has to be good. */
    { { { 2, 0, 1, AUTHORITY, FINE }, { 9 } },
      { EXPIRED, AUTHORITY, LEAF },
      1,
      "certificate has expired" },
    { { { 2, 1, 1, MIDDLE, FINE }, { 9 } },
      { DEEP, MIDDLE },
      1,
      "matched 2 1 1 (DANE-TA) at depth 1, name mx.h.example" },
    { { { 2, 0, 2, MIDDLE, FINE }, { 9 } },
      { DEEP, MIDDLE },
      1,
      "matched 2 0 2 (DANE-TA) at depth 1, name mx.h.example" },
    { { { 2, 0, 1, AUTHORITY, FINE }, { 9 } }, { LEAF }, 1, "TLSA" }, /* it was not sent */
    { { { 2, 0, 0, AUTHORITY, FINE }, { 9 } },
      { LEAF },
      1,
      "matched 2 0 0 (DANE-TA) at depth 1, name mx.h.example" }, /* nor need it be */
    { { { 2, 1, 0, AUTHORITY, FINE }, { 9 } }, { LEAF }, 1, "matched 2 1 0 (DANE-TA)" },
    /* A record of one usage does not match what the other is about. */
    { { { 3, 0, 1, AUTHORITY, FINE }, { 9 } }, WITH_AUTHORITY, 1, "TLSA" },
    { { { 3, 1, 1, AUTHORITY, FINE }, { 9 } }, WITH_AUTHORITY, 1, "TLSA" },
    { { { 2, 0, 1, LEAF, FINE }, { 9 } }, WITH_AUTHORITY, 1, "TLSA" },
    { { { 2, 0, 1, OTHER, FINE }, { 9 } }, { OTHER }, 1, "TLSA" },
    { { { 3, 1, 1, OTHER, FINE }, { 9 } }, { LEAF }, 1, "TLSA" },
    /* Several: one is enough. */
    { { { 3, 1, 1, OTHER, FINE }, { 3, 1, 1, LEAF, FINE }, { 9 } },
      { LEAF },
      2,
      "matched 3 1 1 (DANE-EE)" },
    { { { 2, 0, 1, OTHER, FINE }, { 3, 0, 1, LEAF, FINE }, { 9 } },
      { LEAF },
      2,
      "matched 3 0 1 (DANE-EE)" },
    { { { 3, 1, 1, OTHER, FINE }, { 2, 1, 1, AUTHORITY, FINE }, { 9 } },
      WITH_AUTHORITY,
      2,
      "matched 2 1 1 (DANE-TA) at depth 1" },
    { { { 0, 0, 1, LEAF, FINE }, { 1, 1, 1, LEAF, FINE }, { 3, 1, 1, LEAF, FINE } },
      { LEAF },
      1,
      "matched 3 1 1" },
    { { { 0, 0, 1, LEAF, FINE }, { 1, 1, 1, LEAF, FINE }, { 3, 1, 1, LEAF, FLIPPED } },
      { LEAF },
      1,
      "TLSA" },
    /* RFC 7671 9: of several digests of one kind the strongest counts. */
    { { { 3, 1, 1, LEAF, FINE }, { 3, 1, 2, LEAF, FLIPPED }, { 9 } }, { LEAF }, 2, "TLSA" },
    { { { 3, 1, 1, LEAF, FLIPPED }, { 3, 1, 2, LEAF, FINE }, { 9 } },
      { LEAF },
      2,
      "matched 3 1 2" },
    /* 2.2, 3.1.3: not fit for use. */
    { { { 0, 0, 1, AUTHORITY, FINE }, { 9 } }, WITH_AUTHORITY, 0, "no usable" },
    { { { 1, 1, 1, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 4, 1, 1, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 255, 1, 1, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 2, 1, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 255, 1, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 3, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 255, LEAF, FINE }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 1, LEAF, SHORT }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 1, LEAF, LONG }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 2, LEAF, SHORT }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 1, 1, LEAF, EMPTY }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 0, 0, LEAF, EMPTY }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 3, 0, 0, LEAF, SHORT }, { 9 } }, { LEAF }, 0, "no usable" },
    { { { 2, 1, 0, LEAF, SHORT }, { 9 } }, { LEAF }, 0, "no usable" },
};

static void records_and_chains_meet_as_the_rfc_says(void **unused)
{
    static const struct slice name = { "mx.h.example", 12 };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(met); i++) {
        size_t k = i / 2, count = 0, usable;
        struct link l;

        while (count < RECORDS_MAX && met[k].records[count].usage != 9)
            count++;
        begin_with(&l, met[k].chain, both[i % 2], NULL);
        usable = expect(&l, &name, 1, met[k].records, count);
        if (usable != met[k].usable)
            fail_msg("case %zu: %zu usable", k, usable);
        shake_hands(&l);
        expect_result(l.near.session, met[k].text, k);
        assert_int_equal(tls_session_dane_result(l.near.session)->verdict == TLS_DANE_UNUSABLE,
                         met[k].usable == 0);
        finish(&l);
    }
}

static void a_chain_has_to_have_one_of_the_names(void **unused)
{
    static const struct {
        const char *names[TLS_DANE_NAMES_MAX + 1];
        const char *text, *sni;
    } cases[] = {
        { { "mx.h.example" },
          "matched 2 0 1 (DANE-TA) at depth 1, name mx.h.example",
          "mx.h.example" },
        { { "MX.h.example." }, "name mx.h.example", "MX.h.example" },
        { { "a.example", "b.example", "mx.h.example" }, "name mx.h.example", "a.example" },
        { { "x.w.example" }, "name *.w.example", "x.w.example" },
        { { "w.example" }, "hostname mismatch", "w.example" },
        { { "x.x.w.example" }, "hostname mismatch", "x.x.w.example" },
        { { "other.example" }, "hostname mismatch", "other.example" },
        { { "x" }, "hostname mismatch", "x" }, /* the common name, beside alternatives */
        { { "a.example", "b.example", "c.example", "d.example", "mx.h.example" },
          "hostname mismatch",
          "a.example" },
        /* Where no name is one, none matches. */
        { { NULL }, "hostname mismatch", "mx.example" },
        { { "*.h.example" }, "hostname mismatch", "mx.example" },
        { { "192.0.2.1" }, "hostname mismatch", "mx.example" },
        { { "." }, "hostname mismatch", "mx.example" },
        { { "" }, "hostname mismatch", "mx.example" },
        { { ".example" }, "hostname mismatch", "mx.example" },
        { { "mx h.example", "mx.h.example" }, "name mx.h.example", "mx.example" },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        static const struct said said = { 2, 0, 1, AUTHORITY, FINE };
        struct slice names[TLS_DANE_NAMES_MAX + 1];
        size_t k = i / 2, count = 0;
        struct link l;

        while (count < ARRAY_LEN(names) && cases[k].names[count] != NULL) {
            names[count] = slice_from(cases[k].names[count]);
            count++;
        }
        begin_with(&l, (const int[])WITH_AUTHORITY, both[i % 2], NULL);
        assert_int_equal(expect(&l, names, count, &said, 1), 1);
        shake_hands(&l);
        expect_result(l.near.session, cases[k].text, k);
        assert_string_equal(SSL_get_servername(l.far.session->ssl, TLSEXT_NAMETYPE_host_name),
                            cases[k].sni);
        finish(&l);
    }
}

static void authorities_count_only_where_no_record_is_usable(void **unused)
{
    static const struct {
        struct said record;
        bool is_trusted;
        const char *problem, *checked;
    } cases[] = {
        { { 3, 1, 1, LEAF, FLIPPED }, true, "TLSA", "TLSA" },
        { { 3, 1, 1, LEAF, FLIPPED }, false, "TLSA", "TLSA" },
        { { 3, 1, 1, LEAF, FINE }, true, NULL, "judged by TLSA records" },
        { { 3, 1, 1, LEAF, FINE }, false, NULL, "judged by TLSA records" },
        /* And names that were meant for a DANE-TA(2) do not either. */
        { { 1, 1, 1, LEAF, FINE }, true, NULL, "matched mx.h.example (email domain)" },
        { { 1, 1, 1, LEAF, FINE }, false, "local issuer", "local issuer" },
    };
    static const struct slice name = { "other.example", 13 };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        struct tls_peer_wanted wanted = { .domain = SLICE("mx.h.example") };
        struct tls_trust *trust =
            cases[i / 2].is_trusted ? trust_make(authority_path, NULL, NULL) : NULL;
        struct tls_peer_check check;
        struct link l;

        begin_with(&l, (const int[]){ LEAF, AUTHORITY, AUTHORITY }, both[i % 2], trust);
        (void)expect(&l, &name, 1, &cases[i / 2].record, 1);
        shake_hands(&l);
        expect_problem(l.near.session, cases[i / 2].problem, i / 2);
        tls_session_check_peer(l.near.session, TLS_CHECK_HOSTED, &wanted, &check);
        if (strstr(check.text, cases[i / 2].checked) == NULL)
            fail_msg("case %zu: %s", i / 2, check.text);
        assert_int_equal(check.is_matched, strncmp(cases[i / 2].checked, "matched", 7) == 0);
        finish(&l);
        tls_trust_release(trust);
    }
}

static void who_expects_nothing_is_told_nothing(void **unused)
{
    static const struct slice name = { "mx.h.example", 12 };

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct link l;

        begin_with(&l, (const int[]){ LEAF, AUTHORITY, AUTHORITY }, both[i], NULL);
        if (i == 1)
            assert_int_equal(expect(&l, &name, 1, NULL, 0), 0);
        assert_int_equal(tls_session_dane_result(l.near.session)->verdict, TLS_DANE_NOT_EXPECTED);
        shake_hands(&l);
        assert_int_equal(tls_session_dane_result(l.near.session)->verdict, TLS_DANE_NOT_EXPECTED);
        assert_string_equal(tls_session_dane_result(l.near.session)->text, "");
        finish(&l);
    }
}

/* Facts outlive OpenSSL's objects. */
static void the_result_stays_when_the_kernel_has_the_session(void **unused)
{
    static const struct slice name = { "mx.h.example", 12 };
    static const struct said said = { 2, 1, 1, AUTHORITY, FINE };

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct soft send, receive;
        struct link l;

        begin_with(&l, (const int[])WITH_AUTHORITY, both[i], NULL);
        (void)expect(&l, &name, 1, &said, 1);
        tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
        meet_end(&l);
        take(&l.near, TLS_SEND, &send);
        take(&l.near, TLS_RECEIVE, &receive);
        assert_null(l.near.session->ssl);
        expect_result(l.near.session, "matched 2 1 1 (DANE-TA) at depth 1, name mx.h.example", i);
        finish(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_record_matches_what_it_is_of),
        cmocka_unit_test(records_and_chains_meet_as_the_rfc_says),
        cmocka_unit_test(a_chain_has_to_have_one_of_the_names),
        cmocka_unit_test(authorities_count_only_where_no_record_is_usable),
        cmocka_unit_test(who_expects_nothing_is_told_nothing),
        cmocka_unit_test(the_result_stays_when_the_kernel_has_the_session),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
