#include "tls/trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "tls/internal.h"

struct tls_trust {
    X509_STORE *store;
    atomic_uint references;
    bool is_empty;
    unsigned char id[TLS_ID_BYTES];
};

/* A file of revocations must not become a file of authorities: X509_STORE_load_file() would take
 * the certificates in it. */
static X509_CRL *next_crl(BIO *file, size_t count)
{
    X509_CRL *crl = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL);

    if (crl == NULL && count == 0 && ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE &&
        BIO_reset(file) == 0) {
        crl = d2i_X509_CRL_bio(file, NULL);
        if (crl != NULL)
            ERR_clear_error();
    }
    return crl;
}

static void warn_about_update(const char *path, const X509_CRL *crl, struct tls_error *error)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

    if (next != NULL && X509_cmp_current_time(next) < 0)
        tls_error_say(error, "%s: a CRL is older than its next update", path);
}

static enum status load_crls(X509_STORE *store, const char *path, struct tls_error *error)
{
    BIO *file = BIO_new_file(path, "r");
    enum status status = STATUS_OK;
    size_t count = 0;
    X509_CRL *crl;

    if (file == NULL)
        return tls_error_file(path, "CRL", error);
    while (status == STATUS_OK && (crl = next_crl(file, count)) != NULL) {
        warn_about_update(path, crl, error);
        if (X509_STORE_add_crl(store, crl) != 1)
            status = STATUS_NO_MEMORY;
        X509_CRL_free(crl);
        count++;
    }
    BIO_free(file);
    if (status == STATUS_OK &&
        (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
        return tls_error_file(path, "CRL", error);
    ERR_clear_error();
    return status;
}

static enum status load(struct tls_trust *t, const struct tls_trust_files *files,
                        struct tls_error *error)
{
    const char *const authorities[] = { files->ca_file, files->custom_ca_file };

    for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
        ERR_clear_error();
        if (authorities[i] == NULL)
            continue;
        if (X509_STORE_load_file(t->store, authorities[i]) != 1)
            return tls_error_file(authorities[i], "certificate", error);
        t->is_empty = false;
    }
    for (size_t i = 0; i < files->crl_files_count; i++) {
        ERR_clear_error();
        TRY(load_crls(t->store, files->crl_files[i], error));
    }
    if (files->crl_files_count > 0)
        (void)X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return STATUS_OK;
}

/* What is trusted and what is revoked, as a whole. */
static enum status identify(struct tls_trust *t)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(t->store);
    struct tls_digest digest;
    unsigned char one[TLS_ID_BYTES];

    tls_digest_begin(&digest, "trust");
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        const X509_OBJECT *object = sk_X509_OBJECT_value(objects, i);
        X509_CRL *crl = X509_OBJECT_get0_X509_CRL((X509_OBJECT *)object);
        X509 *authority = X509_OBJECT_get0_X509(object);

        if ((authority != NULL && X509_digest(authority, EVP_sha256(), one, NULL) == 1) ||
            (crl != NULL && X509_CRL_digest(crl, EVP_sha256(), one, NULL) == 1))
            tls_digest_add(&digest, one, sizeof(one));
    }
    return tls_digest_end(&digest, t->id) ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status tls_trust_create(const struct tls_trust_files *files, struct tls_trust **trust_out,
                             struct tls_error *error_out)
{
    struct tls_trust *t = calloc(1, sizeof(*t));
    enum status status;

    error_out->text[0] = '\0';
    if (t == NULL)
        return STATUS_NO_MEMORY;
    atomic_init(&t->references, 1);
    t->is_empty = true;
    t->store = X509_STORE_new();
    status = t->store != NULL ? load(t, files, error_out) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = identify(t);
    if (status == STATUS_OK)
        *trust_out = t;
    else
        tls_trust_release(t);
    return status;
}

struct tls_trust *tls_trust_acquire(struct tls_trust *trust)
{
    ASSERT(atomic_fetch_add(&trust->references, 1) > 0);
    return trust;
}

void tls_trust_release(struct tls_trust *trust)
{
    unsigned before;

    if (trust == NULL)
        return;
    before = atomic_fetch_sub(&trust->references, 1);
    ASSERT(before > 0);
    if (before > 1)
        return;
    X509_STORE_free(trust->store); /* contexts and sessions have references of their own */
    free(trust);
}

/* --- judging --------------------------------------------------------------------------------- */

/* What tls/trust.h says about revocation that is not known. */
static int on_fault(int is_good, X509_STORE_CTX *chain)
{
    if (is_good == 1)
        return 1;
    switch (X509_STORE_CTX_get_error(chain)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE: X509_STORE_CTX_set_error(chain, X509_V_OK); return 1;
    default: return 0;
    }
}

/* However weak the encryption may be that is better than none: a signature that anybody can forge
 * proves nothing. OpenSSL's level for the chain is that of the session. */
#define CHAIN_LEVEL 2 /* 112 bits: RSA of 2048 bits, no SHA-1 */

static struct tls_session *session_of(X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());

    ASSERT(ssl != NULL && SSL_get_app_data(ssl) != NULL);
    return SSL_get_app_data(ssl);
}

/* Takes the chain as it is: the handshake goes on, the verdict stays with the session. */
static int judge(X509_STORE_CTX *chain, void *unused)
{
    struct tls_session *s = session_of(chain);
    X509_VERIFY_PARAM *how = X509_STORE_CTX_get0_param(chain);

    (void)unused;
    if (!tls_dane_is_judge(s) && X509_VERIFY_PARAM_get_auth_level(how) < CHAIN_LEVEL)
        X509_VERIFY_PARAM_set_auth_level(how, CHAIN_LEVEL);
    X509_STORE_CTX_set_verify_cb(chain, on_fault);
    if (X509_verify_cert(chain) != 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK)
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
    s->verify_depth = (uint16_t)X509_STORE_CTX_get_error_depth(chain);
    return 1;
}

/* Where nothing is trusted, building and checking chains would be work without a use. */
static int judge_by_dane_alone(X509_STORE_CTX *chain, void *unused)
{
    if (tls_dane_is_judge(session_of(chain)))
        return judge(chain, unused);
    X509_STORE_CTX_set_error(chain, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    return 1;
}

bool tls_trust_attach(struct tls_trust *trust, SSL_CTX *ctx)
{
    bool is_empty = trust == NULL || trust->is_empty;

    /* VERIFY_NONE still verifies, it only lets the handshake go on and keeps the result. */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, is_empty ? judge_by_dane_alone : judge, NULL);
    /* Not in the place of the context's own store: that one is searched for what might complete
     * the chain of a client's own certificate. */
    return is_empty || SSL_CTX_set1_verify_cert_store(ctx, trust->store) == 1;
}

void tls_trust_id(const struct tls_trust *trust, unsigned char id_out[static TLS_ID_BYTES])
{
    if (trust != NULL)
        memcpy(id_out, trust->id, TLS_ID_BYTES);
    else
        memset(id_out, 0, TLS_ID_BYTES);
}
