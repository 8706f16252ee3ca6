/* smtp/trace.h - the Received: line, RFC 5321 4.4 and RFC 3848. */
#pragma once
#include "base/buffer.h"
#include "base/ip.h"

#define SMTP_TRACE_COLUMNS_MAX 78 /* RFC 5322 2.1.1; a single longer word is not broken */

struct smtp_trace {
    struct slice helo;      /* as the peer said it; what does not belong in a header becomes '?' */
    struct slice peer_name; /* confirmed reverse name, or empty */
    struct ip_address peer;
    struct slice host; /* our name */
    bool esmtp;        /* EHLO, not HELO */
    bool tls;          /* "ESMTPS", RFC 3848 */
    bool smtputf8;     /* "UTF8SMTP", "UTF8SMTPS", RFC 6531 4.3 */
    struct slice
        tls_detail; /* e.g. "TLSv1.3 TLS_AES_256_GCM_SHA384": becomes a comment; or empty */
    uint64_t mid;
    struct slice recipient; /* the only one; empty when there are more, so as to reveal none */
    struct slice date;      /* RFC 5322 3.3, clock_format_mail() */
};

/* Appends the header line, folded, with its CRLF, whole or not at all. STATUS_LIMIT,
 * STATUS_NO_MEMORY. */
MUST_USE enum status smtp_trace_write(struct buffer *out, const struct smtp_trace *t);
