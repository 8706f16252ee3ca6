/* tls/tickets.h - the keys of session tickets, one set for the whole process.
 *
 * A ticket from one worker resumes on every other, because their contexts share these keys.
 * There are three: the current one seals new tickets; the previous one still opens old tickets
 * (and has them renewed); the next one becomes current at the next rotation. A ticket therefore
 * works for one to two periods of rotation. A session of TLS 1.3 that was resumed gets a new one,
 * unless it has asked for a certificate: a client should use none twice (RFC 8446 C.4).
 *
 * Workers read the keys in handshakes without a lock. One thread at a time may rotate.
 */
#pragma once
#include <time.h>

#include "base/status.h"

#define TLS_TICKETS_ROTATE_S 14400 /* a sensible period; the caller keeps it */

struct tls_tickets;

/* STATUS_NO_MEMORY; STATUS_IO when OpenSSL has no random bytes. */
MUST_USE enum status tls_tickets_create(time_t now_s, struct tls_tickets **tickets_out);

/* Only after every context and every session that uses them. Accepts NULL. */
void tls_tickets_destroy(struct tls_tickets *tickets);

/* STATUS_IO when OpenSSL has no random bytes; the keys then stay as they were. */
MUST_USE enum status tls_tickets_rotate(struct tls_tickets *tickets, time_t now_s);

/* The now_s of the last rotation, or of creation. */
time_t tls_tickets_rotated_at(const struct tls_tickets *tickets);
