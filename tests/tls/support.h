/* tests/tls/support.h - what the tests of tls/ share: certificates made on the spot, and a
 * client and a server session that talk through memory. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tls/context.h"
#include "tls/session.h"
#include "tls/tickets.h"

enum kind { KIND_ECDSA, KIND_RSA, KINDS_COUNT };

#define PATH_BYTES 64
#define DAY_S      86400l

static char folder[] = "/tmp/postern-tls-XXXXXX";
static char chain_paths[KINDS_COUNT][PATH_BYTES];
static char key_paths[KINDS_COUNT][PATH_BYTES];
static char expired_path[PATH_BYTES]; /* of the ECDSA key */

/* Self-signed, CN=mx.example. */
static inline void write_certificate(const char *path, EVP_PKEY *key, long from_s, long until_s)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_NAME_new();
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(X509_set_version(x, 2));
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), until_s));
    assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                           (const unsigned char *)"mx.example", -1, -1, 0));
    assert_true(X509_set_subject_name(x, name));
    assert_true(X509_set_issuer_name(x, name));
    assert_true(X509_set_pubkey(x, key));
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_true(PEM_write_X509(file, x));
    assert_int_equal(fclose(file), 0);
    X509_NAME_free(name);
    X509_free(x);
}

static inline int make_certificates(void **unused)
{
    (void)unused;
    assert_non_null(mkdtemp(folder));
    for (int kind = 0; kind < KINDS_COUNT; kind++) {
        EVP_PKEY *key = kind == KIND_RSA ? EVP_RSA_gen(2048u) : EVP_EC_gen("P-256");
        FILE *file;

        assert_non_null(key);
        (void)snprintf(chain_paths[kind], PATH_BYTES, "%s/%d.pem", folder, kind);
        (void)snprintf(key_paths[kind], PATH_BYTES, "%s/%d.key", folder, kind);
        (void)snprintf(expired_path, PATH_BYTES, "%s/expired.pem", folder);
        write_certificate(chain_paths[kind], key, -DAY_S, 30 * DAY_S);
        if (kind == KIND_ECDSA)
            write_certificate(expired_path, key, -30 * DAY_S, -DAY_S);
        file = fopen(key_paths[kind], "we");
        assert_non_null(file);
        assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
        assert_int_equal(fclose(file), 0);
        EVP_PKEY_free(key);
    }
    return 0;
}

static inline int remove_certificates(void **unused)
{
    (void)unused;
    for (int kind = 0; kind < KINDS_COUNT; kind++) {
        (void)unlink(chain_paths[kind]);
        (void)unlink(key_paths[kind]);
    }
    (void)unlink(expired_path);
    return rmdir(folder);
}

/* kinds: bit 0 ECDSA, bit 1 RSA. */
static inline struct tls_context *make_server(unsigned kinds, enum tls_version min_version,
                                              struct tls_tickets *tickets)
{
    struct tls_certificate_files files[KINDS_COUNT];
    struct tls_server_options options = { .certificates = files,
                                          .min_version = min_version,
                                          .tickets = tickets };
    struct tls_context *context = NULL;
    struct tls_error error;

    for (int kind = 0; kind < KINDS_COUNT; kind++)
        if ((kinds & (1u << kind)) != 0)
            files[options.certificates_count++] =
                (struct tls_certificate_files){ chain_paths[kind], key_paths[kind] };
    assert_int_equal(tls_context_create_server(&options, &context, &error), STATUS_OK);
    assert_string_equal(error.text, "");
    return context;
}

static inline struct tls_context *make_client(enum tls_version min_version)
{
    struct tls_client_options options = { .min_version = min_version };
    struct tls_context *context = NULL;
    struct tls_error error;

    assert_int_equal(tls_context_create_client(&options, &context, &error), STATUS_OK);
    return context;
}

/* One end of a connection in memory. */
struct end {
    struct tls_session *session;
    struct buffer output;
    enum tls_progress progress;
};

static inline void end_open(struct end *e, struct tls_context *context, enum tls_role role,
                            size_t output_bytes_max)
{
    assert_int_equal(tls_session_create(context, role,
                                        role == TLS_ROLE_CLIENT ? "mx.example" : NULL, &e->session),
                     STATUS_OK);
    buffer_init(&e->output, output_bytes_max);
    e->progress = TLS_WANT_INPUT;
}

static inline void end_close(struct end *e)
{
    tls_session_destroy(e->session);
    buffer_finish(&e->output);
}

static inline bool handshake_is_over(enum tls_progress p)
{
    return p == TLS_DONE || p == TLS_FAILED;
}

/* Moves the handshake of `to` on with at most `cut` bytes of what `from` has written. */
static inline void handshake_step(struct end *to, struct end *from, size_t cut)
{
    size_t len = buffer_len(&from->output) < cut ? buffer_len(&from->output) : cut;
    struct slice input = slice_first(buffer_contents(&from->output), len);

    to->progress = tls_session_handshake(to->session, &input, &to->output);
    buffer_consume(&from->output, len - input.len);
}

/* True when both ends are established. What they have written for later stays in the outputs. */
static inline bool handshake(struct end *client, struct end *server, size_t cut)
{
    for (int steps = 0; steps < 100000; steps++) {
        if (!handshake_is_over(client->progress))
            handshake_step(client, server, cut);
        if (!handshake_is_over(server->progress))
            handshake_step(server, client, cut);
        if (client->progress == TLS_FAILED || server->progress == TLS_FAILED)
            return false;
        if (client->progress == TLS_DONE && server->progress == TLS_DONE)
            return true;
    }
    fail_msg("the handshake does not end");
    return false;
}

/* Reads once from what `from` has written, at most `cut` bytes of it. */
static inline enum tls_progress read_step(struct end *to, struct end *from, size_t cut, char *into,
                                          size_t room, size_t *len_out)
{
    size_t len = buffer_len(&from->output) < cut ? buffer_len(&from->output) : cut;
    struct slice input = slice_first(buffer_contents(&from->output), len);
    enum tls_progress p = tls_session_read(to->session, &input, &to->output, into, room, len_out);

    buffer_consume(&from->output, len - input.len);
    return p;
}
