/* tls/post_quantum.h - the key share that quantum computers cannot undo, and those who cannot read
 * it.
 *
 * Where OpenSSL has X25519MLKEM768 (3.5 on) it offers it by itself, and its first message no longer
 * fits into one packet. Some servers, and some boxes in front of them, do not get over that: they
 * reset the connection, say nothing, or send an alert, before they have answered. Such a server is
 * to be tried once more without:
 *
 *     handshake fails, or the time is up -> tls_session_blames_post_quantum()
 *         -> another connection, tls_session_without_post_quantum() before its handshake
 */
#pragma once
#include "tls/session.h"

/* Of a client, before its first tls_session_handshake(). False: OpenSSL has none of the groups that
 * everybody has, and everything stays as it was. */
bool tls_session_without_post_quantum(struct tls_session *s);

/* Whether this client offers such a key share. */
bool tls_session_offered_post_quantum(const struct tls_session *s);

/* It has offered one, and the server has not answered with a ServerHello. True while the handshake
 * waits for it, and when it has failed there. (Also behind a HelloRetryRequest: who can ask for
 * another group may stumble over the next message, and one more try does no harm.) */
bool tls_session_blames_post_quantum(const struct tls_session *s);
