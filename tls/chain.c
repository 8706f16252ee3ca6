#include "tls/chain.h"

#include <assert.h>
#include <openssl/err.h>

#include "base/check.h"
#include "tls/internal.h"
#include "tls/text.h"

#define NAME_BYTES_SHOWN 100 /* of an alternative name */

size_t tls_session_peer_chain_count(const struct tls_session *s)
{
    const STACK_OF(X509) *chain = s->ssl != NULL ? SSL_get_peer_cert_chain(s->ssl) : NULL;

    return chain != NULL ? (size_t)sk_X509_num(chain) : 0;
}

/* OpenSSL writes it as ASCII, with escapes of its own. */
static void name_text(const X509_NAME *name, char text_out[static TLS_CHAIN_NAME_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct tls_text text;
    struct slice written;
    char *bytes;

    tls_text_begin(&text, text_out, TLS_CHAIN_NAME_MAX);
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        written.len = (size_t)BIO_get_mem_data(bio, &bytes);
        written.data = bytes;
        tls_text_add_phrase(&text, written, TLS_CHAIN_NAME_MAX);
    }
    BIO_free(bio);
}

static time_t time_of(const ASN1_TIME *when)
{
    struct tm parts;

    if (when == NULL || ASN1_TIME_to_tm(when, &parts) != 1)
        return -1;
    return timegm(&parts);
}

static void key_text(X509 *x, struct tls_chain_certificate *out)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    const char *type = key != NULL ? EVP_PKEY_get0_type_name(key) : NULL;
    struct tls_text text;
    char group[32];

    tls_text_begin(&text, out->key, sizeof(out->key));
    if (type == NULL) {
        tls_text_add(&text, "unknown");
        return;
    }
    out->key_bits = EVP_PKEY_get_bits(key);
    tls_text_add_name(&text, slice_from(type), sizeof(out->key));
    if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1) {
        tls_text_add(&text, " ");
        tls_text_add_name(&text, slice_from(group), sizeof(group));
    }
}

static void names_text(X509 *x, struct tls_chain_certificate *out)
{
    struct tls_peer_listing listing;
    struct tls_text text;
    size_t shown;

    tls_text_begin(&text, out->names, sizeof(out->names));
    if (!tls_peer_listing_of(x, NULL, &listing)) {
        tls_text_add(&text, "(cannot be read)");
        return;
    }
    out->names_count = listing.names.hosts_count;
    shown = out->names_count < TLS_CHAIN_NAMES_SHOWN ? out->names_count : TLS_CHAIN_NAMES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        tls_text_add(&text, i > 0 ? ", " : "");
        tls_text_add_name(&text, listing.hosts[i], NAME_BYTES_SHOWN);
    }
    if (shown < out->names_count) {
        tls_text_add(&text, listing.names.is_cut ? " and at least " : " and ");
        tls_text_add_number(&text, out->names_count - shown);
        tls_text_add(&text, " more");
    }
    tls_peer_listing_finish(&listing);
}

static void print_text(X509 *x, char text_out[static TLS_CHAIN_PRINT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char print[TLS_ID_BYTES];

    static_assert(TLS_CHAIN_PRINT_MAX == 2 * TLS_ID_BYTES + 1, "all digits and a NUL");
    if (X509_digest(x, EVP_sha256(), print, NULL) != 1)
        return;
    for (size_t i = 0; i < sizeof(print); i++) {
        text_out[2 * i] = digits[print[i] >> 4];
        text_out[2 * i + 1] = digits[print[i] & 15];
    }
    text_out[2 * sizeof(print)] = '\0';
}

void tls_session_peer_chain_describe(const struct tls_session *s, size_t index,
                                     struct tls_chain_certificate *certificate_out)
{
    struct tls_chain_certificate *out = certificate_out;
    struct tls_text text;
    X509 *x;

    ASSERT(index < TLS_CHAIN_MAX && index < tls_session_peer_chain_count(s));
    x = sk_X509_value(SSL_get_peer_cert_chain(s->ssl), (int)index);
    *out = (struct tls_chain_certificate){ .key_bits = 0 };
    name_text(X509_get_subject_name(x), out->subject);
    name_text(X509_get_issuer_name(x), out->issuer);
    out->is_self_issued = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
    out->not_before_s = time_of(X509_get0_notBefore(x));
    out->not_after_s = time_of(X509_get0_notAfter(x));
    names_text(x, out);
    key_text(x, out);
    tls_text_begin(&text, out->signature, sizeof(out->signature));
    tls_text_add_name(&text, slice_from(OBJ_nid2sn(X509_get_signature_nid(x))),
                      sizeof(out->signature));
    print_text(x, out->print);
    ERR_clear_error();
}
