/* Whom a client believes. */
#include <pthread.h>

#include "tests/tls/delivery.h"

enum {
    SYSTEM,  /* the authority in the system's list */
    CUSTOM,  /* in the list of the administrator */
    MIDDLE,  /* below SYSTEM */
    UNKNOWN, /* in no list */
    RIGHT,
    OF_CUSTOM,
    OF_MIDDLE,
    OF_UNKNOWN,
    EXPIRED,
    EARLY,
    OWN, /* signed by itself */
    FOR_CLIENTS,
    REVOKED,
    MADE_COUNT
};

static X509 *made[MADE_COUNT];
static char system_path[PATH_BYTES], custom_path[PATH_BYTES], crl_path[PATH_BYTES],
    other_path[PATH_BYTES];

static int make_all(void **unused)
{
    static const struct {
        struct certificate says;
        int issuer; /* itself: an authority, or signed by itself */
    } recipes[MADE_COUNT] = {
        [SYSTEM] = { { "System Authority", NULL, NULL, 0, 0, true }, SYSTEM },
        [CUSTOM] = { { "Custom Authority", NULL, NULL, 0, 0, true }, CUSTOM },
        [MIDDLE] = { { "Middle Authority", NULL, NULL, 0, 0, true }, SYSTEM },
        [UNKNOWN] = { { "Unknown Authority", NULL, NULL, 0, 0, true }, UNKNOWN },
        [RIGHT] = { { "mx.a.example", NULL, "serverAuth", 0, 0, false }, SYSTEM },
        [OF_CUSTOM] = { { "mx.a.example", NULL, NULL, 0, 0, false }, CUSTOM },
        [OF_MIDDLE] = { { "mx.a.example", NULL, NULL, 0, 0, false }, MIDDLE },
        [OF_UNKNOWN] = { { "mx.a.example", NULL, NULL, 0, 0, false }, UNKNOWN },
        [EXPIRED] = { { "mx.a.example", NULL, NULL, -9 * DAY_S, -DAY_S, false }, SYSTEM },
        [EARLY] = { { "mx.a.example", NULL, NULL, DAY_S, 9 * DAY_S, false }, SYSTEM },
        [OWN] = { { "mx.a.example", NULL, NULL, 0, 0, false }, OWN },
        [FOR_CLIENTS] = { { "mx.a.example", NULL, "clientAuth", 0, 0, false }, SYSTEM },
        [REVOKED] = { { "mx.a.example", NULL, NULL, 0, 0, false }, SYSTEM },
    };

    assert_int_equal(make_certificates(unused), 0);
    one_key = EVP_EC_gen("P-256");
    for (int i = 0; i < MADE_COUNT; i++)
        made[i] = certificate_make(&recipes[i].says,
                                   recipes[i].issuer != i ? made[recipes[i].issuer] : NULL);
    (void)snprintf(system_path, PATH_BYTES, "%s/system.pem", folder);
    (void)snprintf(custom_path, PATH_BYTES, "%s/custom.pem", folder);
    (void)snprintf(crl_path, PATH_BYTES, "%s/some.crl", folder);
    (void)snprintf(other_path, PATH_BYTES, "%s/other.crl", folder);
    certificates_write(system_path, &made[SYSTEM], 1);
    certificates_write(custom_path, &made[CUSTOM], 1);
    return 0;
}

static int remove_all(void **unused)
{
    for (int i = 0; i < MADE_COUNT; i++)
        X509_free(made[i]);
    EVP_PKEY_free(one_key);
    (void)unlink(system_path);
    (void)unlink(custom_path);
    (void)unlink(crl_path);
    (void)unlink(other_path);
    return remove_certificates(unused);
}

static void expect_verdict(const struct meeting *m, const char *problem, int depth, size_t i)
{
    struct link l;

    meet(&l, m);
    expect_problem(l.near.session, problem, i);
    if (l.near.session->verify_depth != depth)
        fail_msg("case %zu: depth %d", i, l.near.session->verify_depth);
    finish(&l);
}

static void each_certificate_is_judged_by_what_the_files_say(void **unused)
{
    static const struct {
        bool has_system, has_custom;
        int chain[CHAIN_MAX - 1]; /* SYSTEM, which is sent by nobody, is none */
        const char *problem;
        int depth;
    } cases[] = {
        { true, true, { RIGHT }, NULL, 0 },
        { true, false, { RIGHT }, NULL, 0 },
        { false, true, { RIGHT }, "unable to get local issuer", 0 },
        { false, false, { RIGHT }, "unable to get local issuer", 0 },
        { true, true, { OF_CUSTOM }, NULL, 0 },
        { true, false, { OF_CUSTOM }, "unable to get local issuer", 0 },
        { true, true, { OF_MIDDLE, MIDDLE }, NULL, 0 },
        { true, true, { OF_MIDDLE }, "unable to get local issuer", 0 },
        { true, true, { OF_UNKNOWN }, "unable to get local issuer", 0 },
        { true, true, { OF_UNKNOWN, UNKNOWN }, "self", 1 },
        { true, true, { OWN }, "self", 0 },
        { true, true, { EXPIRED }, "certificate has expired", 0 },
        { true, true, { EARLY }, "certificate is not yet valid", 0 },
        { true, true, { FOR_CLIENTS }, "purpose", 0 },
        { true, true, { REVOKED }, NULL, 0 }, /* as far as anybody knows */
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct meeting m = { .suite = both[i % 2] };

        for (int n = 0; n < CHAIN_MAX - 1 && cases[k].chain[n] != SYSTEM; n++)
            m.chain[n] = made[cases[k].chain[n]];
        m.trust = trust_make(cases[k].has_system ? system_path : NULL,
                             cases[k].has_custom ? custom_path : NULL, NULL);
        expect_verdict(&m, cases[k].problem, cases[k].depth, k);
        tls_trust_release(m.trust);
    }
    expect_verdict(&(struct meeting){ .chain = { made[RIGHT] }, .suite = both[0] },
                   "unable to get local issuer", 0, 99);
}

static void what_an_authority_has_revoked_is_bad_and_nothing_else(void **unused)
{
    static const struct {
        int authority, revoked; /* of the CRL */
        long until_s;
        bool is_forged;
        int chain[CHAIN_MAX - 1];
        const char *problem;
        int depth;
    } cases[] = {
        { SYSTEM, REVOKED, DAY_S, false, { REVOKED }, "certificate revoked", 0 },
        { SYSTEM, REVOKED, DAY_S, false, { RIGHT }, NULL, 0 },
        { SYSTEM, REVOKED, DAY_S, false, { EXPIRED }, "certificate has expired", 0 },
        { SYSTEM, REVOKED, DAY_S, false, { OF_UNKNOWN }, "unable to get local issuer", 0 },
        /* An authority without a list. */
        { SYSTEM, REVOKED, DAY_S, false, { OF_CUSTOM }, NULL, 0 },
        { CUSTOM, REVOKED, DAY_S, false, { REVOKED }, NULL, 0 },
        { CUSTOM, OF_CUSTOM, DAY_S, false, { OF_CUSTOM }, "certificate revoked", 0 },
        /* Behind an intermediate authority. */
        { SYSTEM, REVOKED, DAY_S, false, { OF_MIDDLE, MIDDLE }, NULL, 0 },
        { SYSTEM, MIDDLE, DAY_S, false, { OF_MIDDLE, MIDDLE }, "certificate revoked", 1 },
        { MIDDLE, OF_MIDDLE, DAY_S, false, { OF_MIDDLE, MIDDLE }, "certificate revoked", 0 },
        { MIDDLE, RIGHT, DAY_S, false, { OF_MIDDLE, MIDDLE }, NULL, 0 },
        /* A list that is too old. */
        { SYSTEM, REVOKED, -DAY_S, false, { REVOKED }, "certificate revoked", 0 },
        { SYSTEM, REVOKED, -DAY_S, false, { RIGHT }, NULL, 0 },
        { SYSTEM, REVOKED, -DAY_S, false, { EARLY }, "certificate is not yet valid", 0 },
        /* A list by somebody else. */
        { SYSTEM, REVOKED, DAY_S, true, { RIGHT }, "CRL signature failure", 0 },
        { SYSTEM, REVOKED, DAY_S, true, { OF_CUSTOM }, NULL, 0 },
    };
    EVP_PKEY *other_key = EVP_EC_gen("P-256");

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct meeting m = { .suite = both[i % 2] };
        X509_CRL *crl = crl_make(made[cases[k].authority], &made[cases[k].revoked], 1,
                                 cases[k].until_s, cases[k].is_forged ? other_key : NULL);

        crls_write(crl_path, &crl, 1);
        for (int n = 0; n < CHAIN_MAX - 1 && cases[k].chain[n] != SYSTEM; n++)
            m.chain[n] = made[cases[k].chain[n]];
        m.trust = trust_make(system_path, custom_path, crl_path);
        expect_verdict(&m, cases[k].problem, cases[k].depth, k);
        tls_trust_release(m.trust);
        X509_CRL_free(crl);
    }
    EVP_PKEY_free(other_key);
}

static void a_chain_is_judged_by_its_strength_whatever_the_session_may_use(void **unused)
{
    static const struct certificate says = { "mx.a.example", NULL, NULL, 0, 0, false };
    const struct {
        const EVP_MD *md;
        const char *problem;
    } cases[] = { { EVP_sha256(), NULL }, { EVP_sha1(), "too weak" } };
    struct meeting m = { .security = TLS_SECURITY_OPPORTUNISTIC };

    (void)unused;
    m.trust = trust_make(system_path, NULL, NULL);
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        m.suite = both[i % 2];
        m.chain[0] = certificate_make(&says, made[SYSTEM]);
        assert_true(X509_sign(m.chain[0], one_key, cases[i / 2].md) > 0);
        expect_verdict(&m, cases[i / 2].problem, 0, i);
        X509_free(m.chain[0]);
    }
    tls_trust_release(m.trust);
}

static void what_is_wrong_with_a_file_is_said(void **unused)
{
    X509_CRL *old = crl_make(made[SYSTEM], &made[REVOKED], 1, -DAY_S, NULL);
    X509_CRL *good = crl_make(made[SYSTEM], &made[REVOKED], 1, DAY_S, NULL);
    const struct {
        const char *ca_file, *custom_ca_file, *crl_file;
        enum status status;
        const char *said;
    } cases[] = {
        { NULL, NULL, NULL, STATUS_OK, "" },
        { system_path, custom_path, NULL, STATUS_OK, "" },
        { "/nowhere/ca.crt", NULL, NULL, STATUS_NOT_FOUND, "/nowhere/ca.crt: No such file" },
        { system_path, "/nowhere/x.crt", NULL, STATUS_NOT_FOUND, "/nowhere/x.crt: No such file" },
        { key_paths[0], NULL, NULL, STATUS_INVALID,
          "0.key: certificate not usable: no certificate" },
        { system_path, key_paths[0], NULL, STATUS_INVALID,
          "0.key: certificate not usable: no certificate" },
        { system_path, NULL, crl_path, STATUS_OK, "some.crl: a CRL is older than its next" },
        { system_path, NULL, other_path, STATUS_OK, "" },
        { system_path, NULL, "/nowhere/x.crl", STATUS_NOT_FOUND, "/nowhere/x.crl: No such file" },
        { system_path, NULL, system_path, STATUS_INVALID, "system.pem: holds no CRL" },
        { system_path, NULL, "/dev/null", STATUS_INVALID, "/dev/null: holds no CRL" },
    };
    X509_CRL *two[] = { old, good };
    FILE *file = fopen(other_path, "we");

    (void)unused;
    crls_write(crl_path, two, 2);
    assert_true(i2d_X509_CRL_fp(file, good)); /* DER is good too */
    assert_int_equal(fclose(file), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_trust_files files = { cases[i].ca_file, cases[i].custom_ca_file,
                                         &cases[i].crl_file, cases[i].crl_file != NULL };
        struct tls_trust *trust = NULL;
        struct tls_error error;

        assert_int_equal(tls_trust_create(&files, &trust, &error), cases[i].status);
        if (strstr(error.text, cases[i].said) == NULL ||
            (cases[i].said[0] == '\0' && error.text[0] != '\0'))
            fail_msg("case %zu says: %s", i, error.text);
        assert_int_equal(trust != NULL, cases[i].status == STATUS_OK);
        tls_trust_release(trust);
    }
    X509_CRL_free(old);
    X509_CRL_free(good);
}

/* The certificates that stand beside a CRL in its file are nobody's authorities. */
static void a_file_of_revocations_makes_nobody_trusted(void **unused)
{
    X509_CRL *crl = crl_make(made[SYSTEM], NULL, 0, DAY_S, NULL);
    struct meeting m = { .chain = { made[OF_CUSTOM] }, .suite = both[0] };
    FILE *file = fopen(crl_path, "we");

    (void)unused;
    assert_true(PEM_write_X509(file, made[CUSTOM]));
    assert_true(PEM_write_X509_CRL(file, crl));
    assert_true(PEM_write_X509(file, made[CUSTOM]));
    assert_int_equal(fclose(file), 0);
    m.trust = trust_make(system_path, NULL, crl_path);
    expect_verdict(&m, "unable to get local issuer", 0, 0);
    tls_trust_release(m.trust);
    X509_CRL_free(crl);
}

static void *meet_often(void *argument)
{
    struct tls_trust *trust = tls_trust_acquire(argument);

    for (size_t i = 0; i < 20; i++) {
        int which = i % 3 == 0 ? RIGHT : i % 3 == 1 ? OF_UNKNOWN : EXPIRED;
        struct meeting m = { .chain = { made[which] }, .suite = both[i % 2], .trust = trust };
        struct link l;

        meet(&l, &m);
        if ((tls_session_verify_problem(l.near.session) == NULL) != (which == RIGHT))
            return argument;
        finish(&l);
    }
    tls_trust_release(trust);
    return NULL;
}

static void several_threads_share_one(void **unused)
{
    struct tls_trust *trust = trust_make(system_path, custom_path, NULL);
    pthread_t threads[4];
    void *failed;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet_often, trust), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    tls_trust_release(trust);
}

static void a_session_outlives_the_trust_that_judges_it(void **unused)
{
    struct meeting m = { .chain = { made[RIGHT] }, .suite = both[0] };
    struct link l;

    (void)unused;
    m.trust = trust_make(system_path, NULL, NULL);
    meet_begin(&l, &m);
    tls_trust_release(m.trust);
    shake_hands(&l);
    assert_null(tls_session_verify_problem(l.near.session));
    finish(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_certificate_is_judged_by_what_the_files_say),
        cmocka_unit_test(what_an_authority_has_revoked_is_bad_and_nothing_else),
        cmocka_unit_test(a_chain_is_judged_by_its_strength_whatever_the_session_may_use),
        cmocka_unit_test(what_is_wrong_with_a_file_is_said),
        cmocka_unit_test(a_file_of_revocations_makes_nobody_trusted),
        cmocka_unit_test(several_threads_share_one),
        cmocka_unit_test(a_session_outlives_the_trust_that_judges_it),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
