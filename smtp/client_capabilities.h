/* smtp/client_capabilities.h - what a server says that it can do, in its reply to EHLO.
 *
 * A line that is not understood says nothing, as does a value that makes no sense: a capability
 * is believed where it lets more be sent, and a limit only where some sending is left.
 */
#pragma once
#include "base/slice.h"

#define SMTP_LIMIT_MAX 999999 /* RFC 9422 section 4: 1 to 6 digits, the first not 0 */

struct smtp_client_capabilities {
    bool esmtp; /* the server took EHLO */
    bool starttls;
    bool starttls_masked; /* not offered, and something on the way has likely blotted it out */
    bool pipelining;
    bool eight_bit_mime;
    bool smtputf8;
    bool enhanced_status_codes;
    bool chunking;           /* RFC 3030 */
    bool dsn;                /* RFC 3461; without it who relays tells the sender so, 5.2.2 */
    bool require_tls;        /* RFC 8689; under TLS only */
    bool size;               /* SIZE was offered */
    uint64_t size_bytes_max; /* its value; 0: no fixed limit, RFC 1870 section 4 */
    /* RFC 9422, LIMITS; 0: none was given. */
    uint32_t mails_max;             /* MAILMAX: transactions on a connection */
    uint32_t recipients_max;        /* RCPTMAX: in a transaction */
    uint32_t recipient_domains_max; /* RCPTDOMAINMAX: different ones in a transaction */
};

/* Reads one line behind the first, without its code. REQUIRETLS counts under TLS only, because
 * RFC 8689 section 2 forbids a server to say it elsewhere: who says it there is not to be trusted.
 */
void smtp_client_capabilities_read(struct smtp_client_capabilities *can, struct slice line,
                                   bool is_tls);

/* A firewall that inspects SMTP (Cisco PIX and ASA, "fixup" or "inspect esmtp") overwrites what it
 * does not know: a keyword of eight letters with "XXXXXXXX" or "XXXXXXXA" (B, C...), a greeting
 * with asterisks. Whether this line of EHLO may have been STARTTLS, whether this greeting was
 * overwritten. */
bool smtp_client_line_is_masked(struct slice line);
bool smtp_client_greeting_is_masked(struct slice text);
