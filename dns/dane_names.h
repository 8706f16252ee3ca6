/* dns/dane_names.h - whom a certificate below a DANE-TA(2) record may be for (RFC 7672 3.2.2).
 *
 * The names are those that nobody can have forged: the TLSA base domain, and what securely led
 * there. Which these are depends on how the host was found, not on whose mail it is: where no
 * secure MX records led from a domain to the host, the domain is none of them. Whoever holds a
 * certificate for the domain, such as its web server, would be taken for the mail host that an
 * operator has named in a route.
 *
 * Pure.
 */
#pragma once
#include "base/slice.h"

#define DNS_DANE_NAMES_MAX 4

/* Borrowed texts, empty where there is none. */
struct dns_dane_way {
    struct slice base; /* dns_tlsa_base() */
    struct slice host; /* as the MX record, the route or the operator has it */
    /* These two: of the domain whose MX records named the host; not looked at unless is_by_mx. */
    struct slice domain;
    struct slice alias; /* dns_exchange_alias() */
    bool is_by_mx;      /* and not by an implicit MX, whose host is the domain */
    bool is_mx_secure;
};

/* Writes them, the base domain first, none twice; returns how many, 1 at least. */
size_t dns_dane_names(const struct dns_dane_way *way,
                      struct slice names_out[static DNS_DANE_NAMES_MAX]);
