/* tls/context.h - what all TLS sessions of one worker and one role have in common.
 *
 * A context holds certificates, keys, versions and trusted authorities. Each worker creates
 * its own, one per role (server; client for each level of trust), because the locks inside
 * OpenSSL are per context. A new configuration means new contexts; a context may be destroyed
 * while sessions made from it live on, they keep what they need.
 *
 * Servers: the order of the server's ciphers wins, no renegotiation, no compression, no
 * session cache (its lock would be shared); resumption is by tickets only (tls/tickets.h).
 *
 * Reads PEM files through OpenSSL and does nothing else to the world. Never logs.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"
#include "tls/error.h"
#include "tls/trust.h"

#define TLS_CERTIFICATES_MAX 8 /* pairs per server context */

/* A client that is asked for a certificate is told the names of the authorities, so that it can
 * choose among its certificates (RFC 8446 4.2.4), unless there are more than these: all the
 * authorities of the world are no help, and cost each handshake 16 KiB. */
#define TLS_CLIENT_CA_NAMES_MAX      100
#define TLS_CLIENT_CA_NAME_BYTES_MAX 8192 /* of all names together */

struct tls_context;
struct tls_tickets;

enum tls_version {
    TLS_VERSION_1_2, /* the lowest; 1.0 and 1.1 are forbidden by RFC 8996 */
    TLS_VERSION_1_3
};

struct tls_certificate_files {
    const char *chain; /* PEM: the server's certificate first, then its intermediates */
    const char *key;   /* PEM, not encrypted; may be the same file */
};

struct tls_server_options {
    const struct tls_certificate_files *certificates; /* one per kind of key: ECDSA, RSA */
    size_t certificates_count;                        /* 1..TLS_CERTIFICATES_MAX */
    enum tls_version min_version;
    struct tls_tickets *tickets; /* shared by all workers, outlives every context and session
                                    that uses it; NULL: no resumption */
    const char *client_ca_file;  /* PEM: who may vouch for clients; NULL: nobody, every client is
                                    unverified. Sessions that do not ask for a certificate
                                    (tls_session_ask_certificate) have no use for it. */
    bool kernel;                 /* its sessions may be handed to the kernel: tls/kernel.h */
};

enum tls_security {
    TLS_SECURITY_DEFAULT,      /* OpenSSL's level: no RSA below 2048 bits, no SHA-1 */
    TLS_SECURITY_OPPORTUNISTIC /* level 0: weak encryption is better than clear text, which
                                  is what the peer would get instead (RFC 7435) */
};

struct tls_client_options {
    enum tls_version min_version;
    enum tls_security security;
    struct tls_trust *trust; /* borrowed; the context keeps what it needs of it, not a reference.
                                NULL: nothing is trusted, every peer is unverified */
    const struct tls_certificate_files *certificates; /* shown to servers that ask; one per kind */
    size_t certificates_count;                        /* 0..TLS_CERTIFICATES_MAX */
    bool kernel;                                      /* as above */
};

/* Borrows options for the call. On success error_out->text is empty or holds a warning (a
 * certificate has expired, or two pairs have keys of one kind and the last wins); otherwise it
 * says what is wrong with which file. STATUS_NOT_FOUND, STATUS_DENIED, STATUS_IO: a file cannot be
 * read; STATUS_INVALID: it holds no certificate or key, or the key is of another certificate;
 * STATUS_LIMIT: too many pairs; STATUS_NO_MEMORY. */
MUST_USE enum status tls_context_create_server(const struct tls_server_options *options,
                                               struct tls_context **context_out,
                                               struct tls_error *error_out);

/* The handshake never fails because of the peer's certificate: whether it is good enough is
 * decided afterwards (tls_session_verify_problem), by the destination's TLS rule. Whatever the
 * security of the session, its chain is judged at OpenSSL's level 2: no RSA below 2048 bits, no
 * SHA-1. The errors are those of a server's certificates. */
MUST_USE enum status tls_context_create_client(const struct tls_client_options *options,
                                               struct tls_context **context_out,
                                               struct tls_error *error_out);

/* Whether a certificate of a server's context was issued by itself: a demonstration certificate,
 * which encrypts and proves nothing. */
bool tls_context_is_self_signed(const struct tls_context *context);

/* When the first certificate that a context shows to its peers expires, its own or an intermediate;
 * 0: it has none. */
int64_t tls_context_expires_wall_s(const struct tls_context *context);

void tls_context_destroy(struct tls_context *context); /* accepts NULL */
