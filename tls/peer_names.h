/* tls/peer_names.h - whether the certificate of a peer has a name that a policy wants.
 *
 * What may be wanted:
 *
 *     host.example.com    this host: a dNSName that says so, or *.example.com
 *     *.example.com       any host directly below: a dNSName of one label more, *.example.com too
 *     user@example.com    this mailbox: an rfc822Name (RFC 5280 4.2.1.6)
 *
 * The common name counts as a dNSName when the certificate has none of those (RFC 6125 6.4.4), and
 * only then. A wildcard is the whole left-most label, stands for exactly one, and has two labels or
 * more behind it; everything else with an asterisk is no name. Letters are compared without regard
 * to their case, names as A-labels; one final dot is dropped on either side. What is no name of the
 * DNS (an address, an empty label, a NUL, a byte that is not ASCII) matches nothing.
 *
 * Pure, but for the session it is asked about.
 */
#pragma once
#include "base/slice.h"

#define TLS_PEER_NAMES_MAX 256 /* subject alternative names that are looked at */

struct tls_session;

/* What a certificate says, borrowed; the bytes as they are in it. */
struct tls_peer_names {
    const struct slice *hosts; /* dNSName */
    size_t hosts_count;
    const struct slice *mailboxes; /* rfc822Name */
    size_t mailboxes_count;
    struct slice common_name; /* empty: there is none */
    bool is_cut; /* there are more alternative names, with dNSNames among them for all we know */
};

/* Whether the certificate says its hosts as dNSNames: then the common name is not one of them. */
static inline bool tls_peer_names_are_listed(const struct tls_peer_names *names)
{
    return names->hosts_count > 0 || names->is_cut;
}

/* Whether `has`, a name or wildcard of a certificate, is one of the host `wanted`, in which an
 * asterisk is nothing but a byte that no host has. */
bool tls_peer_host_matches(struct slice has, struct slice wanted);

bool tls_peer_names_have(const struct tls_peer_names *names, struct slice wanted);

/* The same of an established session. False when there is no certificate, or when
 * tls_session_verify_problem() has something against it: the names of a certificate that nobody
 * vouches for are what the peer likes them to be. Of a certificate with more than
 * TLS_PEER_NAMES_MAX alternative names the first ones count. A client is to be asked before the
 * kernel has both of its directions; a server keeps the certificate. */
bool tls_session_peer_has_name(const struct tls_session *s, struct slice wanted);
