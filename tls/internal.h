/* tls/internal.h - what the files of tls/ share; nobody else includes it. */
#pragma once
#include <openssl/ssl.h>

#include "tls/context.h"
#include "tls/tickets.h"

/* Lives as long as the context; an SSL made from it keeps its own reference. */
SSL_CTX *tls_context_openssl(struct tls_context *context);

/* Makes a server context seal and open its tickets with these keys. */
void tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *ctx);

/* Empties this thread's OpenSSL error queue and describes its first entry, which is the cause of
 * the others, in the form of AsyncOS logs. `otherwise` when the queue is empty. */
void tls_error_drain(const char *otherwise, char text_out[static TLS_ERROR_TEXT_MAX]);
