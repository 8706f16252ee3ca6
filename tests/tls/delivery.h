/* tests/tls/delivery.h - a client that meets a server with the certificates of the test's choice.
 * The near end is the client. */
#pragma once
#include "tests/tls/authority.h"
#include "tests/tls/link.h"

#define CHAIN_MAX 4

static const struct suite *const both[] = { &suites[0], &suites[3] }; /* TLS 1.3, TLS 1.2 */

struct meeting {
    X509 *chain[CHAIN_MAX]; /* of the server; its own first, with the key one_key */
    const struct suite *suite;
    struct tls_trust *trust;
    struct tls_tickets *tickets;
    enum tls_security security;
};

static inline struct tls_trust *trust_make(const char *ca_file, const char *custom_ca_file,
                                           const char *crl_file)
{
    struct tls_trust_files files = { ca_file, custom_ca_file, &crl_file, crl_file != NULL };
    struct tls_trust *trust = NULL;
    struct tls_error error;

    assert_int_equal(tls_trust_create(&files, &trust, &error), STATUS_OK);
    return trust;
}

/* Up to the moment before the handshake. */
static inline void meet_begin(struct link *l, const struct meeting *m)
{
    struct tls_client_options options = { .trust = m->trust,
                                          .security = m->security,
                                          .kernel = true };
    struct tls_error error;
    SSL *server;

    l->server = server_context(m->tickets);
    assert_int_equal(tls_context_create_client(&options, &l->client, &error), STATUS_OK);
    end_open(&l->near, l->client, TLS_ROLE_CLIENT, BOUND);
    end_open(&l->far, l->server, TLS_ROLE_SERVER, BOUND);
    choose(l->near.session, m->suite);
    choose(l->far.session, m->suite);
    server = l->far.session->ssl;
    SSL_set_security_level(server, 0); /* for the weak certificates of some tests */
    if (m->chain[0] != NULL) {
        assert_int_equal(SSL_use_certificate(server, m->chain[0]), 1);
        assert_int_equal(SSL_use_PrivateKey(server, one_key), 1);
    }
    for (size_t i = 1; i < CHAIN_MAX && m->chain[i] != NULL; i++)
        assert_int_equal(SSL_add1_chain_cert(server, m->chain[i]), 1);
}

/* And what a server says first, with its tickets in front. */
static inline void meet_end(struct link *l)
{
    shake_hands(l);
    say(&l->far, SLICE("250\r\n"));
    hears(&l->near, &l->far, SLICE("250\r\n"));
}

static inline void meet(struct link *l, const struct meeting *m)
{
    meet_begin(l, m);
    shake_hands(l);
}

static inline void expect_problem(const struct tls_session *s, const char *problem, size_t i)
{
    const char *said = tls_session_verify_problem(s);

    if (problem != NULL ? said == NULL || strstr(said, problem) == NULL : said != NULL)
        fail_msg("case %zu: %s", i, said != NULL ? said : "no problem");
}
