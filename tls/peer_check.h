/* tls/peer_check.h - whether the certificate of a server names what mail was to go to: the two
 * algorithms of AsyncOS, for the settings that verify, and that of MTA-STS. That the certificate is
 * good otherwise (tls_session_verify_problem) is another question, and the first one.
 *
 * Verify, in this order, the first match ends it:
 *
 *     the common name     the email domain, then the PTR hosts
 *     each dNSName        the email domain
 *     each dNSName        the PTR hosts                        } only where `more_steps` says so
 *     both                the hosts of the SMTP route          }
 *
 * Hosted: the dNSNames, or the common name if there are none (RFC 6125 6.4.4), with
 *
 *     the email domain, then the hosts of the SMTP route if there is one, else the MX hosts
 *
 * MTA-STS (RFC 8461 4.2): the dNSNames alone, with the MX hosts.
 *
 * What a match is worth. Only the email domain, and a route that an administrator has written, are
 * known from somewhere else than the network. A PTR name is what the owner of the address says it
 * is, and an MX name what an unsigned answer said: who can forge DNS, or lead the connection to his
 * own host, brings a good certificate for a name of his own. Against him there are DANE, MTA-STS
 * and routes. MX hosts should therefore be the one that the connection was made for, by the name
 * that the MX record has (not the one behind a CNAME): another host of the domain has no business
 * in its place. PTR names whose forward look-up did not confirm them should be left out.
 *
 * Names are compared as tls/peer_names.h says, with wildcards in the certificate only. What is
 * wanted are A-labels: a domain in Unicode is to be converted before.
 *
 * Pure, but for the session it is asked about. Bytes may be anything on both sides.
 */
#pragma once
#include "tls/peer_names.h"

#define TLS_CHECK_NAME_MAX  256 /* NUL included */
#define TLS_CHECK_TEXT_MAX  640 /* NUL included */
#define TLS_CHECK_HOSTS_MAX 64  /* of each kind that are looked at; the rest does not count */
#define TLS_CHECK_SHOWN_MAX                                                                        \
    8 /* names that the text shows of what was tried, and of what is there */
#define TLS_CHECK_SHOWN_BYTES 80 /* of each */

enum tls_check_algorithm { TLS_CHECK_VERIFY, TLS_CHECK_HOSTED, TLS_CHECK_MTA_STS };

enum tls_check_input {
    TLS_CHECK_DOMAIN,
    TLS_CHECK_PTR,
    TLS_CHECK_ROUTE,
    TLS_CHECK_MX,
    TLS_CHECK_INPUTS_COUNT
};

/* "email domain", "PTR host", "SMTP route host", "MX host". */
const char *tls_check_input_text(enum tls_check_input input);

struct tls_hosts {
    const struct slice *names;
    size_t count;
};

/* Everything borrowed; empty: there is none. */
struct tls_peer_wanted {
    struct slice domain; /* of the recipients */
    struct tls_hosts ptr, route, mx;
    bool more_steps; /* of Verify */
};

struct tls_peer_check {
    bool is_matched;
    enum tls_check_input input;      /* this and the next two: of a match */
    char wanted[TLS_CHECK_NAME_MAX]; /* the name that was wanted */
    char name[TLS_CHECK_NAME_MAX];   /* the certificate's, which may be a wildcard */
    /* "matched *.example.com for mx1.example.com (MX host)", or "tried example.com,
     * mx1.example.com; certificate has a.example (CN), b.example and 3 more", or what else was
     * wrong; printable ASCII. */
    char text[TLS_CHECK_TEXT_MAX];
};

void tls_peer_check(const struct tls_peer_names *names, enum tls_check_algorithm algorithm,
                    const struct tls_peer_wanted *wanted, struct tls_peer_check *check_out);

/* The same of an established session of a client, before the kernel has both of its directions. No
 * match when tls_session_verify_problem() has something against the certificate, which the text
 * then says. */
void tls_session_check_peer(const struct tls_session *s, enum tls_check_algorithm algorithm,
                            const struct tls_peer_wanted *wanted, struct tls_peer_check *check_out);
