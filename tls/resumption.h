/* tls/resumption.h - sessions that a client may resume with servers that it has met, RFC 8446 2.2.
 *
 *     tls_session_resume_from (before the handshake) -> handshake -> the policy accepts the server
 *         -> tls_session_keep_tickets -> the first read
 *
 * One cache for each worker; bounded, the least recently stored goes first. A session is handed out
 * once (RFC 8446 C.4: two connections with one ticket can be told to be of one client); that of TLS
 * 1.2 comes back when it is kept again. For one server a few are stored, for as many connections.
 *
 * A resumed session brings the certificate of its first handshake along, and what was found out
 * about it then: names can be judged again, chain and TLSA records are not. So a session is resumed
 * only where the judge would be the same: by a context of the same trust, certificate, version and
 * security (its other parts do not matter, so that the sessions outlive a reload that changes none
 * of these), with the same SNI, the same TLSA records and names, and the same key of the caller.
 * Nothing is stored but what tls_session_keep_tickets() was called for: the bad verdict on a server
 * whose certificate is renewed a minute later must not stay for two hours. Nor does a good verdict
 * get older than that, however often the session is resumed.
 *
 * Tickets of TLS 1.3 come behind the handshake, with the first data of the server as a rule. Those
 * that come when the kernel has the direction of receiving are passed over (tls/kernel.h): they are
 * few, and what is lost is one handshake.
 */
#pragma once
#include "tls/session.h"

#define TLS_RESUMPTION_ENTRIES_MAX 65536 /* each takes about 10 KiB */
#define TLS_RESUMPTION_PER_KEY_MAX 4
#define TLS_RESUMPTION_LIFETIME_S  7200  /* or less, if the server says so */
#define TLS_RESUMPTION_BYTES_MAX   32768 /* of ticket and certificates; with more none is kept */

struct tls_resumption;

/* entries_max: 1..TLS_RESUMPTION_ENTRIES_MAX. STATUS_NO_MEMORY. */
MUST_USE enum status tls_resumption_create(size_t entries_max,
                                           struct tls_resumption **resumption_out);

/* No session may be left that resumes from it. Accepts NULL. */
void tls_resumption_destroy(struct tls_resumption *resumption);

size_t tls_resumption_count(const struct tls_resumption *resumption);

/* Of a client, once, before its first tls_session_handshake() and behind tls_session_expect_dane().
 * context: the session's. Borrows the cache, which outlives the session. key: what this server and
 * this way of judging it are to the caller, such as host, port and the setting of the destination.
 * now_s: of any steady clock, the same for all. Whether a session was resumed
 * tls_session_is_resumed() tells; where memory is short none is. */
void tls_session_resume_from(struct tls_session *s, const struct tls_context *context,
                             struct tls_resumption *resumption, struct slice key, int64_t now_s);

/* The server is as it should be, whatever that means to the policy: its sessions may be resumed.
 * After the handshake; does nothing for a session that does not resume. */
void tls_session_keep_tickets(struct tls_session *s);
