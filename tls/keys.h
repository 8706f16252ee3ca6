/* tls/keys.h - the keys of a session in the form that the kernel takes.
 *
 * The kernel's record layer wants the traffic key itself, which OpenSSL does not give out. What it
 * gives out are the secrets that the key is derived from: the traffic secrets of TLS 1.3 through
 * its key log, the master secret and the two random values of TLS 1.2. From these the keys follow
 * by RFC 8446 7.3 and RFC 5246 6.3. Compared with OpenSSL's own offload (SSL_OP_ENABLE_KTLS) this
 * needs nothing but documented functions, works the same on every OpenSSL from 3.0 on and in both
 * directions, lets the hand-over be tried and given up at any record, and can follow a KeyUpdate
 * when the SSL object is gone.
 *
 * Everything here is secret: callers cleanse what they no longer need. Only for the files of tls/.
 */
#pragma once
#include <openssl/ssl.h>

#include "tls/kernel.h"

#define TLS_SECRET_BYTES_MAX 48 /* SHA-384 */

/* A traffic secret of TLS 1.3, application_traffic_secret_N of RFC 8446 7.2. */
struct tls_secret {
    unsigned char bytes[TLS_SECRET_BYTES_MAX];
    uint8_t len; /* 0: not known */
};

/* False when the kernel has nothing for this cipher. */
bool tls_keys_cipher(const SSL_CIPHER *cipher, enum tls_kernel_cipher *cipher_out);

/* TLS 1.3. These fail only for want of memory (STATUS_NO_MEMORY). */
MUST_USE enum status tls_keys_from_secret(const SSL_CIPHER *cipher, const struct tls_secret *secret,
                                          uint64_t number, struct tls_kernel_key *key_out);

/* The secret behind a KeyUpdate, RFC 8446 7.2. */
MUST_USE enum status tls_keys_next_secret(const SSL_CIPHER *cipher, struct tls_secret *secret);

/* TLS 1.2, of the client's or of the server's writing. nonce: of the record before, when the
 * cipher is AES-GCM; the next one gets the number behind it. */
MUST_USE enum status tls_keys_from_master(SSL *ssl, bool of_client, const unsigned char *nonce,
                                          uint64_t number, struct tls_kernel_key *key_out);
