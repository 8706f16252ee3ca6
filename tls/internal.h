/* tls/internal.h - what the files of tls/ share; nobody else includes it, but for tests. */
#pragma once
#include <assert.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/context.h"
#include "tls/dane.h"
#include "tls/kernel.h"
#include "tls/keys.h"
#include "tls/peer_names.h"
#include "tls/records.h"
#include "tls/resumption.h"
#include "tls/tickets.h"
#include "tls/trust.h"

/* Lives as long as the context; an SSL made from it keeps its own reference. */
SSL_CTX *tls_context_openssl(const struct tls_context *context);

int tls_version_openssl(enum tls_version version);

/* What tells one set of things from another, such as whom two contexts trust. */
#define TLS_ID_BYTES 32 /* SHA-256, and SSL_MAX_SID_CTX_LENGTH */

/* Makes an id of parts; where one part ends and the next begins counts. */
struct tls_digest {
    EVP_MD_CTX *all;
    bool is_good;
};
void tls_digest_begin(struct tls_digest *d, const char *label); /* what it is the id of */
void tls_digest_add(struct tls_digest *d, const void *bytes, size_t len);
/* Frees what it holds. False: no memory, and id_out may hold anything. */
bool tls_digest_end(struct tls_digest *d, unsigned char id_out[static TLS_ID_BYTES]);

/* Of a server's context: what a session that asks for certificates gives as its session id context.
 * Tickets are good only where it is the same: among those that ask, and trust the same authorities.
 * Of a client's: whom it trusts, what it shows and demands; sessions are resumed only where all
 * that is the same. */
void tls_context_id(const struct tls_context *context, unsigned char id_out[static TLS_ID_BYTES]);

/* Makes a client context judge by this trust, NULL: by none. False: no memory. */
MUST_USE bool tls_trust_attach(struct tls_trust *trust, SSL_CTX *ctx);
void tls_trust_id(const struct tls_trust *trust, unsigned char id_out[static TLS_ID_BYTES]);

/* Makes a server context seal and open its tickets with these keys. */
void tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *ctx);

/* Empties this thread's OpenSSL error queue and describes its first entry, which is the cause of
 * the others, in the form of AsyncOS logs. `otherwise` when the queue is empty. True: one of them
 * says that there was no memory. */
bool tls_error_drain(const char *otherwise, char text_out[static TLS_ERROR_TEXT_MAX]);

void tls_error_say(struct tls_error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Describes why OpenSSL could not use a file that should hold a `what`, from the first entry of its
 * error queue, which it empties. */
enum status tls_error_file(const char *path, const char *what, struct tls_error *error);

#define TLS_ALERT_WARNING 1 /* RFC 8446 6 */
#define TLS_ALERT_FATAL   2

/* What a server is to match, tls/dane.c. */
struct tls_dane {
    size_t records_count, usable_count;
    unsigned char id[TLS_ID_BYTES]; /* of names and records */
    struct tls_dane_result result;
};

/* Makes a client context able to judge by TLSA records. False: no memory. */
MUST_USE bool tls_dane_attach(SSL_CTX *ctx);

/* Whether TLSA records take the place of the authorities. */
bool tls_dane_is_judge(const struct tls_session *s);

/* The handshake is over, and what it gave is noted. */
void tls_dane_judge(struct tls_session *s);

/* Makes the sessions of a client context tell their tickets to tls/resumption.c. */
void tls_resumption_attach(SSL_CTX *ctx);

/* The handshake is over, and what it gave is noted: what it did not give is brought along. */
void tls_resumption_recall(struct tls_session *s);
void tls_resumption_leave(struct tls_session *s);

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
    bool established : 1;
    bool failed : 1;
    bool lacks_memory : 1;
    bool closed : 1;
    bool close_sent : 1;
    bool input_ended : 1;
    bool truncated : 1;
    bool is_server : 1;
    bool has_data : 1; /* some was read */
    bool is_resumed : 1;
    bool has_certificate : 1;
    bool is_classic : 1; /* offers no post-quantum key share */
    uint16_t cipher_bits;
    uint16_t verify_depth; /* of the certificate that it is about, 0 is the peer's own */
    int32_t verify_result;
    const char *protocol; /* these two: "" before the handshake is over, static text then */
    const char *cipher;
    const char *ending;          /* static text */
    char *common_name;           /* heap, of the peer's certificate; NULL: none */
    X509 *peer;                  /* of a server that asked: its own reference; NULL: none */
    struct tls_dane *dane;       /* heap; NULL: nothing is expected */
    struct tls_keeping *keeping; /* heap; NULL: it does not resume */
    struct tls_records records[2];
    struct tls_kernel kernel;
};

static_assert(sizeof(struct tls_session) <= 320, "a size of jemalloc's; the next one is 384");

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

/* The names of a certificate, with the room for them; borrows from it. */
struct tls_peer_listing {
    struct tls_peer_names names;
    struct slice hosts[TLS_PEER_NAMES_MAX], mailboxes[TLS_PEER_NAMES_MAX];
    GENERAL_NAMES *alternatives;
};

/* False: the names cannot be read, or there is no certificate any more; nothing is held then.
 * common_name may be NULL. */
bool tls_peer_listing_of(X509 *certificate, const char *common_name, struct tls_peer_listing *l);
bool tls_peer_listing_take(const struct tls_session *s, struct tls_peer_listing *l);
void tls_peer_listing_finish(struct tls_peer_listing *l);

/* A name of the DNS: labels, no address, no wildcard; one final dot may be there. */
bool tls_peer_is_host(struct slice name);
