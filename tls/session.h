/* tls/session.h - one TLS connection without a socket.
 *
 * Ciphertext goes in as a slice, ciphertext comes out at the end of a buffer; both are lent for
 * the call only, and the input slice is advanced over what was taken. Calls, in order:
 *
 *     create -> handshake until TLS_DONE -> read and write in any order -> close -> destroy
 *
 * After every call, whatever it returned, the caller sends what is in the output buffer: it may
 * be an alert. Input that a call left in the slice (application data behind the handshake, or
 * records for which `into` had no room) belongs to the next call.
 *
 * What a peer sends can only lead to TLS_FAILED or TLS_CLOSED. The output never passes the
 * buffer's maximum: the handshake and reads stop with TLS_WANT_ROOM, writes are cut by record.
 *
 * Belongs to one worker. Never touches a socket, never logs, reads no clock of its own.
 */
#pragma once
#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "tls/context.h"

/* An output buffer's maximum must be at least this, so that one full record with its overhead
 * (and a post-handshake message before it) always fits into an empty one. */
#define TLS_OUTPUT_BYTES_MIN 20480

#define TLS_SERVER_NAME_MAX 254 /* NUL included */
#define TLS_COMMON_NAME_MAX 256 /* NUL included */

struct tls_session;

enum tls_role { TLS_ROLE_SERVER, TLS_ROLE_CLIENT };

enum tls_progress {
    TLS_DONE,       /* what was asked has happened; see each function */
    TLS_WANT_INPUT, /* all input was taken; call again with more */
    TLS_WANT_ROOM,  /* the output buffer is full; send, then call again with the same */
    TLS_CLOSED,     /* the peer ended the stream; nothing more will be read */
    TLS_FAILED      /* for good; tls_session_error() says why */
};

enum tls_direction { TLS_SEND, TLS_RECEIVE };

/* The context's role must be the session's. server_name is the SNI of a client: the name of the
 * peer without a final dot; NULL, an address literal or a name that is too long: none is sent.
 * Costs several KiB at once; create it when STARTTLS arrives, not before. STATUS_NO_MEMORY. */
MUST_USE enum status tls_session_create(struct tls_context *context, enum tls_role role,
                                        const char *server_name, struct tls_session **session_out);

/* Before the first tls_session_handshake(), of a server: asks the client for a certificate.
 * context: the session's. The handshake fails for none and for none that is bad: afterwards
 * tls_session_has_peer_certificate() and tls_session_verify_problem() say what came, and the policy
 * decides. A ticket of a session that did not ask is no good for one that does, nor the other way
 * round, nor between contexts that trust different authorities; one that is good brings the
 * certificate and the verdict of its first handshake along, which may be as old as a ticket lives
 * (two hours). */
void tls_session_ask_certificate(struct tls_session *s, const struct tls_context *context);

/* Before the first tls_session_handshake(): the lowest version, in place of the context's. A peer
 * that has only older ones gets the alert protocol_version. */
void tls_session_set_min_version(struct tls_session *s, enum tls_version version);

/* Gives everything back; the session stays resumable by the peer. Accepts NULL. */
void tls_session_destroy(struct tls_session *s);

/* TLS_DONE: established. A client starts with an empty input. */
MUST_USE enum tls_progress tls_session_handshake(struct tls_session *s, struct slice *input,
                                                 struct buffer *output);

/* Reads plaintext, at most `room` (> 0) bytes. TLS_DONE: *len_out > 0 bytes are in `into`; call
 * again until TLS_WANT_INPUT. TLS_CLOSED: close_notify, or the end of input told by
 * tls_session_input_ended(). Output is needed for alerts and key updates. */
MUST_USE enum tls_progress tls_session_read(struct tls_session *s, struct slice *input,
                                            struct buffer *output, char *into, size_t room,
                                            size_t *len_out);

/* Whether the handshake is done. */
bool tls_session_is_established(const struct tls_session *s);

/* True when a read could return something without more input: check it before waiting for the
 * network with the input slice empty. */
bool tls_session_has_pending(const struct tls_session *s);

/* Encrypts the start of plain; *used_out says how much. TLS_DONE: all of it; TLS_WANT_ROOM: the
 * output is too full for another record. *used_out is set in both cases. After TLS_WANT_ROOM go
 * on with the rest, nothing has to be repeated. */
MUST_USE enum tls_progress tls_session_write(struct tls_session *s, struct slice plain,
                                             struct buffer *output, size_t *used_out);

/* Appends close_notify, once, or has it said by tls_kernel_next_record(); does nothing before the
 * handshake or after a failure. */
void tls_session_close(struct tls_session *s, struct buffer *output);

/* The transport has ended. A handshake then fails, a read returns what is left and then
 * TLS_CLOSED; tls_session_was_truncated() tells that no close_notify came, which is common in
 * SMTP and harmless there, because SMTP marks the end of everything itself. */
void tls_session_input_ended(struct tls_session *s);
bool tls_session_was_truncated(const struct tls_session *s);

/* For the log and the Received header; after the handshake. The strings live as long as s. */
const char *tls_session_protocol(const struct tls_session *s); /* "TLSv1.3" */
const char *tls_session_cipher(const struct tls_session *s);   /* "TLS_AES_256_GCM_SHA384" */
int tls_session_cipher_bits(const struct tls_session *s);
bool tls_session_is_resumed(const struct tls_session *s);

/* The group of the key exchange, in the words of OpenSSL: "x25519", "secp256r1", "X25519MLKEM768";
 * "" where there is none (an RSA key exchange), or when it is too late to ask: before the kernel
 * has both directions. Lives as long as s. */
const char *tls_session_group(const struct tls_session *s);

/* The common name in the peer's certificate, UTF-8; NULL: no certificate, or it has none. The text
 * is the peer's choice, control characters included. Lives as long as s. */
const char *tls_session_peer_common_name(const struct tls_session *s);

/* Whether the peer has shown a certificate, good or bad, in this handshake or in the one that it
 * resumes, and proved that its key is the peer's. */
bool tls_session_has_peer_certificate(const struct tls_session *s);

/* NULL when the peer's certificate chain leads to an authority of the context's file (ca_file,
 * client_ca_file), is valid today and made for this role (RFC 5280 4.2.1.12: serverAuth of a
 * server, clientAuth of a client, where it says so at all); otherwise the reason, also when there
 * is no certificate. Says nothing about the names in it: tls/peer_check.h, tls/peer_names.h. Where
 * TLSA records take the place of the authorities (tls/dane.h) it is what they have against it. */
const char *tls_session_verify_problem(const struct tls_session *s);

/* Of the certificate that the problem is about: 0 is the peer's own, 1 that of its issuer and so
 * on, as far as a chain was found. Of a client. */
int tls_session_verify_depth(const struct tls_session *s);

/* One line after TLS_FAILED, "" before: "(167772353, 'error:0A0000C1:SSL routines::no shared
 * cipher')", the form of AsyncOS logs. Lives as long as s. */
const char *tls_session_error(const struct tls_session *s);

/* After TLS_FAILED: it was memory of ours that was short; the peer has done nothing wrong. Where
 * OpenSSL calls that by another name, which is rare, it is not known. */
bool tls_session_lacks_memory(const struct tls_session *s);

/* Why no more can be read although nothing failed: a key update that the kernel cannot follow.
 * NULL: the peer ended the stream, or did not. */
const char *tls_session_ending(const struct tls_session *s);
