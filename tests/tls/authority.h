/* tests/tls/authority.h - authorities and the certificates that they hand out, made on the spot.
 * All have the same key, which the test makes. */
#pragma once
#include "tests/tls/support.h"

/* What a certificate says; NULL: nothing. */
struct certificate {
    const char *common_name;
    const char *alternatives; /* "DNS:a.example,email:b@a.example" */
    const char *key_usage;    /* extended: "clientAuth" */
    long from_s, until_s;     /* from now on; both 0: valid today */
    bool is_authority;        /* although another authority has issued it */
};

static EVP_PKEY *one_key;

static inline void extension_add(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_true(X509_add_ext(x, extension, -1));
    X509_EXTENSION_free(extension);
}

/* authority: NULL, and the certificate is an authority itself. */
static inline X509 *certificate_make(const struct certificate *c, X509 *authority)
{
    static long serial = 100;
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();

    assert_true(X509_set_version(x, 2));
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), c->until_s == 0 ? -DAY_S : c->from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), c->until_s == 0 ? DAY_S : c->until_s));
    assert_true(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                           (const unsigned char *)"Postern's tests", -1, -1, 0));
    if (c->common_name != NULL)
        assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                               (const unsigned char *)c->common_name, -1, -1, 0));
    assert_true(X509_set_subject_name(x, name));
    assert_true(
        X509_set_issuer_name(x, authority != NULL ? X509_get_subject_name(authority) : name));
    X509_NAME_free(name);
    assert_true(X509_set_pubkey(x, one_key));
    if (authority == NULL || c->is_authority)
        extension_add(x, NID_basic_constraints, "critical,CA:TRUE");
    if (c->alternatives != NULL)
        extension_add(x, NID_subject_alt_name, c->alternatives);
    if (c->key_usage != NULL)
        extension_add(x, NID_ext_key_usage, c->key_usage);
    assert_true(X509_sign(x, one_key, EVP_sha256()) > 0);
    return x;
}

/* A file with one certificate or more. */
static inline void certificates_write(const char *path, X509 *const *list, size_t count)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_true(PEM_write_X509(file, list[i]));
    assert_int_equal(fclose(file), 0);
}

/* What an authority has revoked; bad_key: it was not the authority that signed it. */
static inline X509_CRL *crl_make(X509 *authority, X509 *const *revoked, size_t count, long until_s,
                                 EVP_PKEY *bad_key)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *time = X509_gmtime_adj(NULL, -2 * DAY_S);

    assert_true(X509_CRL_set_version(crl, 1));
    assert_true(X509_CRL_set_issuer_name(crl, X509_get_subject_name(authority)));
    assert_true(X509_CRL_set1_lastUpdate(crl, time));
    assert_non_null(X509_gmtime_adj(time, until_s));
    assert_true(X509_CRL_set1_nextUpdate(crl, time));
    for (size_t i = 0; i < count; i++) {
        X509_REVOKED *one = X509_REVOKED_new();

        assert_true(X509_REVOKED_set_serialNumber(one, X509_get_serialNumber(revoked[i])));
        assert_non_null(X509_gmtime_adj(time, -DAY_S));
        assert_true(X509_REVOKED_set_revocationDate(one, time));
        assert_true(X509_CRL_add0_revoked(crl, one));
    }
    ASN1_TIME_free(time);
    assert_true(X509_CRL_sign(crl, bad_key != NULL ? bad_key : one_key, EVP_sha256()) > 0);
    return crl;
}

static inline void crls_write(const char *path, X509_CRL *const *list, size_t count)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_true(PEM_write_X509_CRL(file, list[i]));
    assert_int_equal(fclose(file), 0);
}
