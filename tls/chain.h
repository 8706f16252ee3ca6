/* tls/chain.h - the certificates that a server has shown, for a person to read.
 *
 * Of an established session of a client, before the kernel has both of its directions. In the
 * order in which the server sent them, its own first. Texts are printable ASCII; what does not fit
 * is left out and ends with "...", other bytes are escaped as \xHH. Decides nothing:
 * tls_session_verify_problem() is the verdict, and tls_session_verify_depth() the certificate that
 * it is about.
 */
#pragma once
#include <time.h>

#include "tls/session.h"

#define TLS_CHAIN_MAX         16  /* certificates that can be described; the rest are counted */
#define TLS_CHAIN_NAME_MAX    256 /* NUL included */
#define TLS_CHAIN_NAMES_MAX   1024
#define TLS_CHAIN_NAMES_SHOWN 32 /* alternative names */
#define TLS_CHAIN_KEY_MAX     32
#define TLS_CHAIN_PRINT_MAX   65 /* SHA-256 in hexadecimal digits */

struct tls_chain_certificate {
    char subject[TLS_CHAIN_NAME_MAX]; /* "CN=mx.example.com,O=Example", RFC 2253 */
    char issuer[TLS_CHAIN_NAME_MAX];
    char names[TLS_CHAIN_NAMES_MAX]; /* "mx.example.com, *.example.com and 3 more"; dNSNames */
    size_t names_count;              /* of all dNSNames that are looked at */
    char key[TLS_CHAIN_KEY_MAX];     /* "RSA", "EC prime256v1", "ED25519" */
    int key_bits;
    char signature[TLS_CHAIN_KEY_MAX]; /* "ecdsa-with-SHA256" */
    char print[TLS_CHAIN_PRINT_MAX];   /* "" : no memory */
    time_t not_before_s, not_after_s;  /* -1: the certificate has no date that can be read */
    bool is_self_issued;
};

/* 0: the server has shown nothing, or it is too late to ask. */
size_t tls_session_peer_chain_count(const struct tls_session *s);

/* index: below the count and TLS_CHAIN_MAX. */
void tls_session_peer_chain_describe(const struct tls_session *s, size_t index,
                                     struct tls_chain_certificate *certificate_out);
