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
    if (authority == NULL)
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
