/* tls/internal.h - what the files of tls/ share; nobody else includes it, but for tests. */
#pragma once
#include <openssl/ssl.h>

#include "tls/context.h"
#include "tls/kernel.h"
#include "tls/keys.h"
#include "tls/records.h"
#include "tls/tickets.h"

/* Lives as long as the context; an SSL made from it keeps its own reference. */
SSL_CTX *tls_context_openssl(struct tls_context *context);

int tls_version_openssl(enum tls_version version);

/* What a server session that asks for certificates gives as its session id context. Tickets are
 * good only where it is the same: among those that ask, and trust the same authorities. */
#define TLS_ASKING_ID_BYTES 32 /* SHA-256, and SSL_MAX_SID_CTX_LENGTH */
void tls_context_asking_id(const struct tls_context *context,
                           unsigned char id_out[static TLS_ASKING_ID_BYTES]);

/* Makes a server context seal and open its tickets with these keys. */
void tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *ctx);

/* Empties this thread's OpenSSL error queue and describes its first entry, which is the cause of
 * the others, in the form of AsyncOS logs. `otherwise` when the queue is empty. */
void tls_error_drain(const char *otherwise, char text_out[static TLS_ERROR_TEXT_MAX]);

#define TLS_ALERT_WARNING 1 /* RFC 8446 6 */
#define TLS_ALERT_FATAL   2

/* What is to be said through the kernel, each at most once. */
struct tls_sayings {
    bool has_alert;
    uint8_t alert[2]; /* level, description */
    bool key_update;
};

/* The kernel's part of a session, tls/kernel.c; what the handshake leaves is in [direction]. */
struct tls_kernel {
    const struct tls_kernel_support *support; /* NULL: never allowed */
    const SSL_CIPHER *cipher;
    struct tls_secret secrets[2]; /* TLS 1.3 */
    struct tls_sayings sayings;
    uint32_t skip_bytes; /* of a handshake message that goes on in the next record */
    uint8_t use;         /* enum tls_kernel_use */
    uint8_t reasons[2];  /* enum tls_kernel_reason */
    uint8_t controls;    /* in a row */
    bool is_13;
};

struct tls_session {
    SSL *ssl;            /* NULL: the kernel has both directions */
    struct slice *input; /* both are lent for one call and NULL between calls */
    struct buffer *output;
    char *error; /* heap; NULL before a failure */
    bool established;
    bool failed;
    bool closed;
    bool close_sent;
    bool input_ended;
    bool truncated;
    bool is_server;
    bool has_data; /* some was read */
    bool is_resumed;
    bool has_certificate;
    int cipher_bits;
    long verify_result;
    const char *protocol; /* these two: "" before the handshake is over, static text then */
    const char *cipher;
    const char *ending; /* static text */
    char *common_name;  /* heap, of the peer's certificate; NULL: none */
    X509 *peer;         /* of a server that asked: its own reference; NULL: none */
    unsigned char asking_id[TLS_ASKING_ID_BYTES]; /* of a server's context, which may be gone */
    struct tls_records records[2];
    struct tls_kernel kernel;
};

/* Text of the form of tls_session_error(); the first failure counts. */
void tls_session_fail(struct tls_session *s, const char *text);

/* Frees what OpenSSL holds for the session, which stays resumable. */
void tls_session_free_openssl(struct tls_session *s);

/* Makes the sessions of a context tell their secrets to tls/kernel.c. */
void tls_kernel_attach(SSL_CTX *ctx);

/* The handshake is over: what stands in the way of each direction? */
void tls_kernel_decide(struct tls_session *s);

void tls_kernel_say_alert(struct tls_session *s, uint8_t level, uint8_t description);

/* The peer wants to hear a KeyUpdate of ours before our next data. */
void tls_kernel_answer_update(struct tls_session *s);

/* Decides a direction for good. */
void tls_kernel_settle(struct tls_session *s, enum tls_direction direction,
                       enum tls_kernel_reason reason);

/* Cleanses the secrets. */
void tls_kernel_finish(struct tls_session *s);
