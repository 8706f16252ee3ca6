/* tls/dane.h - a server that is judged by TLSA records, as SMTP does it (RFC 7672).
 *
 *     tls_session_expect_dane (before the handshake) -> handshake -> tls_session_dane_result
 *
 * The caller has seen to it that the records, and what led to their name, are secure (RFC 7672 2);
 * here they only have to be fit for use: DANE-TA(2) or DANE-EE(3), the others being meaningless for
 * SMTP (3.1.3), with a selector and a matching type that are known, and data that go with them.
 *
 * With at least one of them the server is judged by DANE alone: the authorities of the context have
 * no say, tls_session_verify_problem() is DANE's verdict, and tls_session_check_peer() has nothing
 * to tell. Who wants to know both makes two sessions.
 *
 *     DANE-EE(3)  the server's certificate or key, whatever names and dates are in it (3.1.1)
 *     DANE-TA(2)  a valid chain below that authority or key, and one of the names (3.1.2, 3.2.2)
 *
 * With records none of which is fit TLS is still mandatory, but the server is not authenticated
 * (2.2): the session is one like any other then, and the verdict is TLS_DANE_UNUSABLE.
 *
 * Keys and signatures may be as weak as the session's security allows: it is the owner of the zone
 * who vouches for them. CRLs of the context count below a DANE-TA(2), where there is one.
 */
#pragma once
#include "tls/session.h"

#define TLS_DANE_NAMES_MAX   4   /* more are not looked at */
#define TLS_DANE_RECORDS_MAX 100 /* of usable ones; what is behind them is not looked at */
#define TLS_DANE_TEXT_MAX    384 /* NUL included */

/* As in the DNS, RFC 6698 2.1; data is borrowed. */
struct tls_dane_record {
    uint8_t usage, selector, matching;
    struct slice data;
};

enum tls_dane_verdict {
    TLS_DANE_NOT_EXPECTED, /* no record was given, or the handshake is not over */
    TLS_DANE_UNUSABLE,     /* none of them was fit for use */
    TLS_DANE_MATCHED,
    TLS_DANE_MISMATCHED
};

struct tls_dane_result {
    enum tls_dane_verdict verdict;
    uint8_t usage, selector, matching; /* these: of the record that matched */
    int depth; /* of the certificate that it matched, 0 is the server's own */
    /* For the log, printable ASCII: "matched 3 1 1 (DANE-EE)", "matched 2 0 1 (DANE-TA) at depth
     * 1, name *.example.com", which is the certificate's, or why nothing did. */
    char text[TLS_DANE_TEXT_MAX];
};

/* Once, before the first tls_session_handshake() and before tls_session_resume_from(), of a
 * client. names[0] is the TLSA base domain, which is also asked for by SNI (8.1); the others count
 * beside it: the domain of the recipients and the host of the MX record (3.2.2). Final dots are
 * dropped, and what is no host is passed over; where nothing is left no DANE-TA(2) matches. Says
 * how many records are fit for use. STATUS_NO_MEMORY: the session is good for nothing. */
MUST_USE enum status tls_session_expect_dane(struct tls_session *s, const struct slice *names,
                                             size_t names_count,
                                             const struct tls_dane_record *records,
                                             size_t records_count, size_t *usable_out);

/* How many of the records are fit for use, without a session of them: it decides, before anybody
 * connects, whether DANE is in charge of a host at all. context: of a client. STATUS_NO_MEMORY. */
MUST_USE enum status tls_dane_count_usable(struct tls_context *context,
                                           const struct tls_dane_record *records,
                                           size_t records_count, size_t *usable_out);

/* After the handshake; lives as long as s. That of a resumed session is the verdict of its first
 * handshake, on the same records. */
const struct tls_dane_result *tls_session_dane_result(const struct tls_session *s);
