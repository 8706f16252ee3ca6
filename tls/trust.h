/* tls/trust.h - whom a client believes: the authorities, and what they have revoked.
 *
 * One is made for each reading of the configuration and shared by all workers: the list of the
 * system has some 140 authorities, which take tens of ms to read and 1 MiB to keep. Immutable
 * after its creation but for the count of references; OpenSSL takes a lock for each look-up, about
 * one for each certificate of a chain, and holds it for a binary search: next to the signatures of
 * a handshake that is nothing (tests/tls/trust_test.c has several threads at it).
 *
 * Revocation. With CRL files every certificate of a chain is looked up in the list of its issuer.
 * What that list names is revoked, and the chain is bad. Of an issuer that has no list here nothing
 * is known, and its certificates are good: the files of an administrator name the authorities he
 * has reason to watch, not all that there are. For the same reason a list that has passed its next
 * update, or that was made for another kind of certificates (RFC 5280 5.2.5), is no worse than no
 * list: what it names stays revoked, the rest stays good, and creation warns of it. A list that its
 * issuer did not sign makes the certificates of that issuer bad. Delta CRLs are not combined.
 *
 * Reads files through OpenSSL and does nothing else to the world. Never logs.
 */
#pragma once
#include <stddef.h>

#include "base/status.h"
#include "tls/error.h"

struct tls_trust;

struct tls_trust_files {
    const char *ca_file;          /* PEM, the list of the system; NULL: none */
    const char *custom_ca_file;   /* PEM, added to it; NULL: none */
    const char *const *crl_files; /* each PEM, with one list or more, or DER */
    size_t crl_files_count;
};

/* The caller owns a reference. Borrows files for the call. On success error_out->text is empty or
 * a warning (the last one, where there are several); otherwise it says what is wrong with which
 * file, with the status that says the same: see tls_context_create_server(). Without any file
 * nothing is trusted. */
MUST_USE enum status tls_trust_create(const struct tls_trust_files *files,
                                      struct tls_trust **trust_out, struct tls_error *error_out);

/* From any thread. The last release destroys it. */
struct tls_trust *tls_trust_acquire(struct tls_trust *trust);
void tls_trust_release(struct tls_trust *trust); /* accepts NULL */
