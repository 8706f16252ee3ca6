/* tls/kernel.h - a session whose records the kernel makes, in one direction or in both.
 *
 * OpenSSL does every handshake. Behind it the owner of the socket may move the record layer of a
 * direction into the kernel, at any moment when that direction stands between two records:
 *
 *     allow (before the handshake) -> handshake ... until wants() and rest() == 0
 *         -> key() -> the socket takes it -> taken()      or does not -> refused()
 *
 * Until then, and for good where it never comes to that, tls_session_read() and _write() do it in
 * user space; nothing is lost by trying. For a direction that was taken they are not called any
 * more: plaintext goes to and comes from the socket, and what is not data passes by here:
 *
 *     received a record that is not data  -> control(), which says what follows
 *     something has to be said as a record of its own -> next_record(), sent as such; behind one
 *         that changes the key, key()
 *
 * With both directions taken OpenSSL's objects are freed; the facts about the session stay, and the
 * peer's ticket stays good. Pure like the rest of tls/: the socket's part is engine/socket.h.
 */
#pragma once
#include <linux/tls.h>

#include "tls/session.h"

enum tls_kernel_cipher {
    TLS_KERNEL_AES_128_GCM,
    TLS_KERNEL_AES_256_GCM,
    TLS_KERNEL_CHACHA20_POLY1305,
    TLS_KERNEL_CIPHERS_COUNT
};

/* The value of the socket options TLS_TX and TLS_RX, the first `len` bytes of it. */
struct tls_kernel_key {
    union {
        struct tls_crypto_info info;
        struct tls12_crypto_info_aes_gcm_128 aes_gcm_128;
        struct tls12_crypto_info_aes_gcm_256 aes_gcm_256;
        struct tls12_crypto_info_chacha20_poly1305 chacha20_poly1305;
    };
    unsigned len;
};

/* Puts a key together. iv: the whole 12 bytes of RFC 8446 5.3; for TLS 1.2 with AES-GCM the 4 of
 * the key block and the 8 that record `number` is to carry. key: as long as the cipher wants. */
void tls_kernel_key_fill(struct tls_kernel_key *key_out, uint16_t version,
                         enum tls_kernel_cipher cipher, const unsigned char *key,
                         const unsigned char iv[static 12], uint64_t number);

/* Records that are not data, in a row. A peer with more of them is at something else than mail. */
#define TLS_CONTROL_RECORDS_MAX 32

/* What this kernel does, as its self-test found (gateway/kernel_tls.h). */
struct tls_kernel_support {
    bool was_tried; /* for the words about it */
    bool has_module;
    bool takes[2][TLS_KERNEL_CIPHERS_COUNT]; /* TLS 1.2, TLS 1.3 */
    bool rekeys;                             /* follows a KeyUpdate */
    bool waits_inline; /* a receive that finds half a record costs no kernel thread */
};

/* The words of the configuration. */
enum tls_kernel_use {
    TLS_KERNEL_AUTO, /* every direction in which this kernel is safe */
    TLS_KERNEL_OFF,
    TLS_KERNEL_TX,  /* sending only */
    TLS_KERNEL_BOTH /* also where a receive may cost a kernel thread */
};

/* Who makes the records of a direction, or why it is not the kernel. */
enum tls_kernel_reason {
    TLS_KERNEL_PENDING, /* not decided yet; said of a session that ended before */
    TLS_KERNEL_TAKEN,
    TLS_KERNEL_SWITCHED_OFF,
    TLS_KERNEL_NO_MODULE,
    TLS_KERNEL_HALF_RECORDS, /* !waits_inline, and not asked for all the same */
    TLS_KERNEL_VERSION,      /* this kernel has no cipher for this version of TLS */
    TLS_KERNEL_CIPHER,
    TLS_KERNEL_FRAGMENT, /* the peer wants short records, RFC 6066 4 */
    TLS_KERNEL_UPDATED,  /* the peer changed its key before the hand-over */
    TLS_KERNEL_UNSURE,   /* where its records begin is not known */
    TLS_KERNEL_REFUSED,  /* the socket did not take the key */
    TLS_KERNEL_REASONS_COUNT
};

/* "kernel", or "switched off", "no module"... Never NULL. */
const char *tls_kernel_reason_text(enum tls_kernel_reason reason);

/* Before the handshake; borrows support, which outlives the session. The context must have been
 * created with `kernel`. Without this call nothing is ever handed over. */
void tls_kernel_allow(struct tls_session *s, const struct tls_kernel_support *support,
                      enum tls_kernel_use use);

enum tls_kernel_reason tls_kernel_reason(const struct tls_session *s, enum tls_direction direction);
static inline bool tls_kernel_has(const struct tls_session *s, enum tls_direction direction)
{
    return tls_kernel_reason(s, direction) == TLS_KERNEL_TAKEN;
}

/* After the handshake: whether the direction is to be handed over, now or when rest() is 0. A
 * client's receiving is not wanted before the first data has come: the tickets that a server sends
 * right behind the handshake are then OpenSSL's to read, which costs less than one by one. */
bool tls_kernel_wants(const struct tls_session *s, enum tls_direction direction);

/* Bytes that are missing to the end of the record under way; a receive of no more than these ends
 * between two records. */
size_t tls_kernel_rest(const struct tls_session *s, enum tls_direction direction);

/* The key with which the direction goes on. rest() is 0, and the direction is wanted, or its secret
 * has changed. Cleanse it with tls_kernel_key_finish(). STATUS_NO_MEMORY. */
MUST_USE enum status tls_kernel_key(struct tls_session *s, enum tls_direction direction,
                                    struct tls_kernel_key *key_out);
void tls_kernel_key_finish(struct tls_kernel_key *key);
void tls_kernel_taken(struct tls_session *s, enum tls_direction direction);
void tls_kernel_refused(struct tls_session *s, enum tls_direction direction);

enum tls_control {
    TLS_CONTROL_DONE,   /* receive again */
    TLS_CONTROL_KEY,    /* give the socket tls_kernel_key(TLS_RECEIVE), then receive again */
    TLS_CONTROL_CLOSED, /* close_notify, or a key update that cannot be followed: see
                           tls_session_ending() */
    TLS_CONTROL_FAILED  /* tls_session_error() says why */
};

/* A record that is not data (RFC 8446 5.1), as the socket gave it: its type and all of it. */
MUST_USE enum tls_control tls_kernel_control(struct tls_session *s, uint8_t type,
                                             struct slice record);

/* Data has come; what came before it is forgiven. */
void tls_kernel_data(struct tls_session *s);

/* A receive failed with this errno; tls_session_error() then says so. EBADMSG, EMSGSIZE and EINVAL
 * are the peer's bad records, which it is told of. */
void tls_kernel_receive_failed(struct tls_session *s, int error);

/* The kernel did not do what it had been found to do: change a key, give out a record. */
void tls_kernel_failed(struct tls_session *s, int error);

/* What is to be sent as a record of its own, when sending is the kernel's. */
struct tls_control_record {
    uint8_t type;
    uint8_t len;
    uint8_t bytes[8];
    bool changes_key; /* behind it, before anything else: tls_kernel_key(TLS_SEND) */
};

bool tls_kernel_has_record(const struct tls_session *s);

/* Takes the next one. A status other than STATUS_OK: no memory for the key that follows it. */
MUST_USE enum status tls_kernel_next_record(struct tls_session *s,
                                            struct tls_control_record *record_out);
