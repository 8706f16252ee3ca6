/* gateway/hop_identity.h - the names by which the host of a hop is known, and how it is asked for
 * and judged by them. Pure, but for the session.
 *
 * For deliveries and call-ahead (gateway/hop_tls.h) and for who tells what they would do
 * (cli/tls_check_probe.h): the rules stand here alone.
 */
#pragma once
#include "dns/dane_names.h"
#include "policy/tls_demand.h"
#include "tls/dane.h"
#include "tls/peer_check.h"

/* All borrowed; empty: there is none. */
struct gateway_hop_identity {
    struct slice domain; /* of the recipients */
    struct slice host;   /* by which it was found; NUL behind it; none of an address */
    struct slice base;   /* of the TLSA records, where DANE is in charge; NUL behind it */
    struct slice ptr;    /* of its address, if it leads back to that */
    bool is_route;       /* the operator has named the host */
    struct slice dane_names[DNS_DANE_NAMES_MAX]; /* dns/dane_names.h, where there is a base */
    size_t dane_names_count;
};

/* For SNI (RFC 7672 8.1, RFC 8461 4.2); NULL: none is sent. Lives as long as the names. */
const char *gateway_hop_identity_server_name(const struct gateway_hop_identity *i);

/* Has DANE judge the session, before its handshake; i has a base. STATUS_NO_MEMORY: the session is
 * good for nothing. */
MUST_USE enum status gateway_hop_identity_expect_dane(const struct gateway_hop_identity *i,
                                                      struct tls_session *session,
                                                      const struct tls_dane_record *records,
                                                      size_t count);

/* Judges the session after its handshake; that by DANE was expected to be. Without a check every
 * host is the right one, and the text is empty. */
void gateway_hop_identity_check(const struct gateway_hop_identity *i,
                                const struct tls_session *session, enum policy_tls_check check,
                                struct tls_peer_check *check_out);

/* Whether the session leads to who it should, in the strict sense of REQUIRETLS (RFC 8689 4.2.1),
 * with or without a demand: by DANE or MTA-STS where they are in charge, else by the name of the
 * host or the domain. What a PTR says is the word of whoever has the address, which is enough for
 * POLICY_TLS_CHECK_VERIFY and not for this. check: the one that is demanded, and what it came to.
 */
bool gateway_hop_identity_is_proven(const struct gateway_hop_identity *i,
                                    const struct tls_session *session, enum policy_tls_check check,
                                    bool is_matched);
