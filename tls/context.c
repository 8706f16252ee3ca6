#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "tls/internal.h"

struct tls_context {
    SSL_CTX *ctx;
    unsigned char id[TLS_ID_BYTES];
};

SSL_CTX *tls_context_openssl(const struct tls_context *context)
{
    ASSERT(context != NULL && context->ctx != NULL);
    return context->ctx;
}

void tls_context_id(const struct tls_context *context, unsigned char id_out[static TLS_ID_BYTES])
{
    memcpy(id_out, context->id, TLS_ID_BYTES);
}

int tls_version_openssl(enum tls_version version)
{
    switch (version) {
    case TLS_VERSION_1_2: return TLS1_2_VERSION;
    case TLS_VERSION_1_3: return TLS1_3_VERSION;
    }
    UNREACHABLE();
}

/* Without it OpenSSL would ask for the password of an encrypted key on the terminal. */
static int no_password(char *into, int size, int for_writing, void *unused)
{
    (void)into;
    (void)size;
    (void)for_writing;
    (void)unused;
    return -1;
}

static bool is_over(const X509 *certificate)
{
    return X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0;
}

/* "PATH: WHAT DATE" */
static void warn_of(const char *path, const char *what, const ASN1_TIME *when,
                    struct tls_error *error)
{
    char date[CLOCK_DATE_MAX] = "a day that no clock shows";
    struct tm at = { 0 };

    if (ASN1_TIME_to_tm(when, &at) == 1)
        (void)clock_format_log(timegm(&at), date);
    tls_error_say(error, "%s: %s %s", path, what, date);
}

/* An intermediate that is over is as bad as a certificate that is: no chain holds any more. */
static void warn_about_dates(const char *path, SSL_CTX *ctx, struct tls_error *error)
{
    const X509 *certificate = SSL_CTX_get0_certificate(ctx);
    STACK_OF(X509) *chain = NULL;

    ASSERT(certificate != NULL);
    (void)SSL_CTX_get0_chain_certs(ctx, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (is_over(sk_X509_value(chain, i)))
            warn_of(path, "an intermediate has expired, on",
                    X509_get0_notAfter(sk_X509_value(chain, i)), error);
    if (is_over(certificate))
        warn_of(path, "the certificate has expired, on", X509_get0_notAfter(certificate), error);
    else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        warn_of(path, "the certificate is not valid yet, only from",
                X509_get0_notBefore(certificate), error);
}

static enum status load_pair(SSL_CTX *ctx, const struct tls_certificate_files *files,
                             struct tls_error *error)
{
    ASSERT(files->chain != NULL && files->key != NULL);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, files->chain) != 1)
        return tls_error_file(files->chain, "certificate", error);
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1)
        return tls_error_file(files->key, "private key", error);
    /* A key of another kind (RSA for an ECDSA certificate) is noticed only here. */
    if (SSL_CTX_check_private_key(ctx) != 1) {
        tls_error_say(error, "%s: the key belongs to another certificate than %s", files->key,
                      files->chain);
        ERR_clear_error();
        return STATUS_INVALID;
    }
    warn_about_dates(files->chain, ctx, error);
    return STATUS_OK;
}

static enum status load_pairs(SSL_CTX *ctx, const struct tls_certificate_files *pairs, size_t count,
                              struct tls_error *error)
{
    int kinds[TLS_CERTIFICATES_MAX];

    if (count > TLS_CERTIFICATES_MAX) {
        tls_error_say(error, "more than %d certificates", TLS_CERTIFICATES_MAX);
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        TRY(load_pair(ctx, &pairs[i], error));
        kinds[i] = EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(ctx));
        for (size_t k = 0; k < i; k++)
            if (kinds[k] == kinds[i])
                tls_error_say(error, "%s: replaces %s, both have a key of the same kind",
                              pairs[i].chain, pairs[k].chain);
    }
    return STATUS_OK;
}

/* A server has to show something. */
static enum status load_server_pairs(SSL_CTX *ctx, const struct tls_server_options *options,
                                     struct tls_error *error)
{
    if (options->certificates_count == 0) {
        tls_error_say(error, "a TLS server needs a certificate");
        return STATUS_INVALID;
    }
    return load_pairs(ctx, options->certificates, options->certificates_count, error);
}

static SSL_CTX *ctx_new(const SSL_METHOD *method, enum tls_version min_version)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return NULL;
    if (SSL_CTX_set_min_proto_version(ctx, tls_version_openssl(min_version)) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, 0) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    return ctx;
}

/* Takes ctx, also when it fails. */
static enum status wrap(SSL_CTX *ctx, struct tls_context **context_out)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (context == NULL) {
        SSL_CTX_free(ctx);
        return STATUS_NO_MEMORY;
    }
    context->ctx = ctx;
    *context_out = context;
    return STATUS_OK;
}

/* Where nothing is trusted, building and checking chains would be work without a use. */
static int verify_nothing(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    return 1;
}

/* Takes the chain as it is: a server that asks for certificates lets its policy judge them. OpenSSL
 * checks it for the purpose of a TLS client, stops at the first fault and keeps it for
 * SSL_get_verify_result(), in the session and in its tickets. */
static int verify_and_go_on(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    if (X509_verify_cert(chain) != 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK)
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
    return 1;
}

/* Tells clients what this context trusts, unless that is too much to be told. */
static enum status name_authorities(SSL_CTX *ctx, const STACK_OF(X509_OBJECT) * objects)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    size_t bytes = 0;
    bool ok = names != NULL;

    for (int i = 0; ok && i < sk_X509_OBJECT_num(objects); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        X509_NAME *name =
            authority != NULL ? X509_NAME_dup(X509_get_subject_name(authority)) : NULL;

        if (authority == NULL)
            continue; /* a CRL in the file */
        ok = name != NULL && sk_X509_NAME_push(names, name) > 0;
        if (ok)
            bytes += (size_t)i2d_X509_NAME(name, NULL);
        else
            X509_NAME_free(name);
    }
    if (!ok) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return STATUS_NO_MEMORY;
    }
    if (sk_X509_NAME_num(names) > TLS_CLIENT_CA_NAMES_MAX || bytes > TLS_CLIENT_CA_NAME_BYTES_MAX) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        names = sk_X509_NAME_new_null();
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes them; NULL is none */
    return STATUS_OK;
}

/* A ticket carries the verdict on a certificate, and all contexts share the keys of tickets: what
 * is trusted has to be part of the id, or a client could take the verdict of one listener to
 * another, or to the time after a reload that no longer trusts its authority. */
static enum status asking_id_make(const STACK_OF(X509_OBJECT) * objects,
                                  unsigned char id_out[static TLS_ID_BYTES])
{
    struct tls_digest all;
    unsigned char one[TLS_ID_BYTES];

    tls_digest_begin(&all, "postern asks for a certificate");
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));

        if (authority != NULL && X509_digest(authority, EVP_sha256(), one, NULL) == 1)
            tls_digest_add(&all, one, sizeof(one));
    }
    return tls_digest_end(&all, id_out) ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The store is for judging clients only: in the place of the context's own store it would also be
 * searched, at each handshake, for what might complete the chain of the server. */
static enum status trust_for_clients(struct tls_context *context, const char *ca_file,
                                     struct tls_error *error)
{
    X509_STORE *store = X509_STORE_new();
    const STACK_OF(X509_OBJECT) * objects;

    if (store == NULL || SSL_CTX_set0_verify_cert_store(context->ctx, store) != 1) {
        X509_STORE_free(store);
        return STATUS_NO_MEMORY;
    }
    ERR_clear_error();
    if (ca_file != NULL && X509_STORE_load_file(store, ca_file) != 1)
        return tls_error_file(ca_file, "certificate", error);
    SSL_CTX_set_cert_verify_callback(context->ctx,
                                     ca_file != NULL ? verify_and_go_on : verify_nothing, NULL);
    objects = X509_STORE_get0_objects(store);
    TRY(name_authorities(context->ctx, objects));
    return asking_id_make(objects, context->id);
}

enum status tls_context_create_server(const struct tls_server_options *options,
                                      struct tls_context **context_out, struct tls_error *error_out)
{
    static const unsigned char id_context[] = "postern"; /* a ticket is for this service only */
    SSL_CTX *ctx = ctx_new(TLS_server_method(), options->min_version);
    struct tls_context *context;
    enum status status;

    error_out->text[0] = '\0';
    if (ctx == NULL) {
        tls_error_drain("no memory", error_out->text);
        return STATUS_NO_MEMORY;
    }
    status = load_server_pairs(ctx, options, error_out);
    if (status != STATUS_OK) {
        SSL_CTX_free(ctx);
        return status;
    }
    if (options->kernel)
        tls_kernel_attach(ctx);
    (void)SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_id_context(ctx, id_context, sizeof(id_context) - 1);
    if (options->tickets != NULL) {
        tls_tickets_attach(options->tickets, ctx);
        (void)SSL_CTX_set_num_tickets(ctx, 1);
    } else {
        (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(ctx, 0);
    }
    TRY(wrap(ctx, &context));
    status = trust_for_clients(context, options->client_ca_file, error_out);
    if (status == STATUS_OK)
        *context_out = context;
    else
        tls_context_destroy(context);
    return status;
}

/* What a session was resumed from must have been judged as this context would, and shown what this
 * context shows. */
static enum status client_id_make(const struct tls_client_options *options, SSL_CTX *ctx,
                                  unsigned char id_out[static TLS_ID_BYTES])
{
    unsigned char trusted[TLS_ID_BYTES], one[TLS_ID_BYTES];
    struct tls_digest all;

    tls_digest_begin(&all, "client");
    tls_trust_id(options->trust, trusted);
    tls_digest_add(&all, trusted, sizeof(trusted));
    tls_digest_add(&all, &options->min_version, sizeof(options->min_version));
    tls_digest_add(&all, &options->security, sizeof(options->security));
    for (long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more == 1;
         more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT))
        if (X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), one, NULL) == 1)
            tls_digest_add(&all, one, sizeof(one));
    return tls_digest_end(&all, id_out) ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status tls_context_create_client(const struct tls_client_options *options,
                                      struct tls_context **context_out, struct tls_error *error_out)
{
    SSL_CTX *ctx = ctx_new(TLS_client_method(), options->min_version);
    struct tls_context *context = NULL;
    enum status status = STATUS_OK;

    error_out->text[0] = '\0';
    if (ctx == NULL) {
        tls_error_drain("no memory", error_out->text);
        return STATUS_NO_MEMORY;
    }
    if (options->kernel)
        tls_kernel_attach(ctx);
    if (options->security == TLS_SECURITY_OPPORTUNISTIC) {
        SSL_CTX_set_security_level(ctx, 0);
        (void)SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    }
    tls_resumption_attach(ctx);
    if (options->certificates_count > 0)
        status = load_pairs(ctx, options->certificates, options->certificates_count, error_out);
    if (status == STATUS_OK && (!tls_trust_attach(options->trust, ctx) || !tls_dane_attach(ctx)))
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        SSL_CTX_free(ctx);
        return status;
    }
    TRY(wrap(ctx, &context));
    status = client_id_make(options, ctx, context->id);
    if (status == STATUS_OK)
        *context_out = context;
    else
        tls_context_destroy(context);
    return status;
}

bool tls_context_is_self_signed(const struct tls_context *context)
{
    bool is_self_signed = false;

    for (long one = SSL_CTX_set_current_cert(context->ctx, SSL_CERT_SET_FIRST); one == 1;
         one = SSL_CTX_set_current_cert(context->ctx, SSL_CERT_SET_NEXT)) {
        const X509 *certificate = SSL_CTX_get0_certificate(context->ctx);

        is_self_signed = is_self_signed || (certificate != NULL &&
                                            X509_NAME_cmp(X509_get_subject_name(certificate),
                                                          X509_get_issuer_name(certificate)) == 0);
    }
    return is_self_signed;
}

/* The earlier one of expires_s (0: none yet) and the end of the certificate; a date that no clock
 * can show is the end of time. */
static int64_t earlier(int64_t expires_s, const X509 *certificate)
{
    struct tm end = { 0 };
    int64_t end_s = INT64_MAX;

    if (certificate == NULL)
        return expires_s;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
        end_s = timegm(&end);
    return expires_s == 0 || end_s < expires_s ? end_s : expires_s;
}

int64_t tls_context_expires_wall_s(const struct tls_context *context)
{
    int64_t expires_s = 0;

    for (long one = SSL_CTX_set_current_cert(context->ctx, SSL_CERT_SET_FIRST); one == 1;
         one = SSL_CTX_set_current_cert(context->ctx, SSL_CERT_SET_NEXT)) {
        STACK_OF(X509) *chain = NULL;

        expires_s = earlier(expires_s, SSL_CTX_get0_certificate(context->ctx));
        (void)SSL_CTX_get0_chain_certs(context->ctx, &chain);
        for (int i = 0; i < sk_X509_num(chain); i++)
            expires_s = earlier(expires_s, sk_X509_value(chain, i));
    }
    return expires_s;
}

void tls_context_destroy(struct tls_context *context)
{
    if (context == NULL)
        return;
    SSL_CTX_free(context->ctx);
    free(context);
}
