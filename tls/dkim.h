/* tls/dkim.h - signs a message of our own: DKIM, RFC 6376.
 *
 *     load the key -> sign (any number of messages, by any thread) -> destroy
 *
 * For reports about TLS, which nobody has to believe without (RFC 8460 3): relaxed/relaxed, all of
 * the body (no l=), rsa-sha256 (RFC 8301) or ed25519-sha256 (RFC 8463) by the kind of the key. Not
 * for mail that is relayed: it is taken as it stands, and nothing is looked for in it but the end
 * of its header. Pure, but for the loading.
 */
#pragma once
#include "base/buffer.h"
#include "base/check.h"
#include "tls/error.h"

#define TLS_DKIM_RSA_BITS_MIN 1024  /* RFC 8301 3.2: signers must not use less; 2048 is better */
#define TLS_DKIM_RSA_BITS_MAX 4096  /* verifiers need not know more */
#define TLS_DKIM_HEADER_BYTES 65536 /* of the fields that are signed */

struct tls_dkim_key; /* opaque */

/* A private key in PEM, RSA or Ed25519, without a passphrase. STATUS_INVALID, STATUS_NOT_FOUND,
 * STATUS_IO and so on: error says why. Reads a file. */
MUST_USE enum status tls_dkim_key_load(const char *path, struct tls_dkim_key **key_out,
                                       struct tls_error *error);
void tls_dkim_key_destroy(struct tls_dkim_key *key); /* accepts NULL */

struct tls_dkim_signing { /* All borrowed. */
    const struct tls_dkim_key *key;
    struct slice domain;       /* d=; these two are of letters, digits, "-", "_" and "." */
    struct slice selector;     /* s= */
    int64_t now_s;             /* t= */
    const char *const *fields; /* names of what is signed, From among them (RFC 6376 5.4); each */
    size_t fields_count;       /* one that is there counts once, the last of its name */
};

/* Appends "DKIM-Signature: ..." with its CRLF, to stand before the message: a header, an empty line
 * and a body, as after DATA, without dot-stuffing. STATUS_INVALID: it has no header or no From;
 * STATUS_LIMIT, STATUS_NO_MEMORY. On failure what was appended is of no use. */
MUST_USE enum status tls_dkim_sign(const struct tls_dkim_signing *signing, struct slice message,
                                   struct buffer *out);

/* "relaxed", RFC 6376 3.4.4 and 3.4.2, for tests: a body; a field with its line ends, which comes
 * to one line with CRLF. */
MUST_USE enum status tls_dkim_relax_body(struct slice body, struct buffer *out);
MUST_USE enum status tls_dkim_relax_field(struct slice field, struct buffer *out);
