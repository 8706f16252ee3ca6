/* dns/exchange.h - where the mail of a domain goes: its MX, or itself, and the addresses.
 *
 *     start -> done(exchange)      once, never from inside start
 *          \-> cancel              done is not called any more
 *
 * One object embedded in its owner, of about 40 KiB. After done() the accessors tell the result,
 * which lives as long as the object and until it is started again.
 *
 * The MX question (RFC 5321 5.1). NODATA is an implicit MX: the domain is its own only host.
 * Nothing else is: NXDOMAIN says that the domain does not exist, and a failure, of whatever kind,
 * says nothing, so that it can only be waited out; to take the domain's own address then would hand
 * its mail to whoever can suppress an answer. An alias is followed, and may lead to an NXDOMAIN or
 * NODATA, which then are the domain's. Records whose target is no name (dns/name.h) are as if they
 * named a host that does not exist, and so is a target that reads as an IPv4 address. "." as the
 * only target is the null MX of RFC 7505; beside others it is an error there (section 3), and it is
 * passed over.
 *
 * The hosts: of each name one, of all the DNS_EXCHANGE_HOSTS_MAX with the lowest preference, by
 * preference and for the rest in the order of the answer; to shuffle equals is up to who chooses.
 * All their addresses are asked for at once, and done() waits for the last answer,
 * at most for as long as two queries may take one after the other. A target that is an alias is
 * against RFC 2181 10.3, and followed. Addresses that no host can have (unspecified, multicast,
 * IPv4 in IPv6 form) are dropped.
 *
 * Both families asked for, one answered and one failed: the host is used with the addresses that
 * came. Name servers that fail every AAAA question are too common (RFC 4074 4.2) to hold up mail
 * for, and an attacker wins nothing but the choice of one of the host's own addresses: what is
 * demanded of the host's TLS stays. A bogus answer makes the host DNS_FAILED, since somebody or
 * something tampers with that name right now. From the resolver's cache it comes again as a plain
 * failure; then the rule above holds, with no harm done: no host becomes insecure by an answer that
 * failed.
 *
 * DANE. RFC 7672 2.2 in the terms of this header. dns_exchange_wants_tlsa() tells whether the TLSA
 * records of a host are to be looked for (dns/tlsa.h). That takes two things:
 *
 * First, a secure MX answer (2.2.1). Without one an attacker names the hosts, and proof that they
 * are the ones he named is worth nothing. A host without MX answer (a route's, an implicit MX)
 * needs none (2.2.2): the domain itself is then the name to be proved.
 *
 * Second, that the host's name lies in a signed zone: its addresses are secure, or it is an alias,
 * which may be secure when what it leads to is not (2.1.3). Only a question of type CNAME tells,
 * and dns/tlsa.h asks it, for only DANE needs it. Names in unsigned zones are not asked about: that
 * would be no risk, but many of their servers answer no TLSA question properly, and such a failure
 * puts a host out of use. Of two families, one that is secure is enough; they differ only while the
 * zone changes, and then the TLSA question decides.
 *
 * The addresses themselves need no protection: a wrong one leads to a server that cannot prove
 * itself.
 */
#pragma once
#include "dns/query.h"

#define DNS_EXCHANGE_HOSTS_MAX     32
#define DNS_EXCHANGE_ADDRESSES_MAX 16  /* of a host; half of it for each of two families */
#define DNS_EXCHANGE_WHY_MAX       160 /* of a host; NUL included */
#define DNS_EXCHANGE_REASON_MAX    (DNS_NAME_MAX + 1 + DNS_EXCHANGE_WHY_MAX) /* name and why */

/* The bounds of dns_exchange_ttl_s(): not to ask for each message of a domain that has no time to
 * live, and not to stay for a day with what a domain had when it changed. */
#define DNS_EXCHANGE_TTL_S_MIN 30
#define DNS_EXCHANGE_TTL_S_MAX 3600

enum dns_exchange_kind {
    DNS_EXCHANGE_MX,       /* MX, then addresses */
    DNS_EXCHANGE_ADDRESSES /* those of the name itself: a host, as in "[mx.example.com]" */
};

enum dns_exchange_families { DNS_EXCHANGE_V4 = 1, DNS_EXCHANGE_V6 = 2, DNS_EXCHANGE_V4_V6 = 3 };

enum dns_exchange_outcome {
    DNS_EXCHANGE_FOUND,     /* at least one host has an address; look at each one's outcome */
    DNS_EXCHANGE_NO_DOMAIN, /* it does not exist, or is a text that can be no name */
    DNS_EXCHANGE_NO_MAIL,   /* the null MX */
    DNS_EXCHANGE_NO_HOST,   /* no host that is named exists with an address of the families */
    DNS_EXCHANGE_FAILED     /* for now: the MX, or the addresses without which no host is left */
};

struct dns_exchange_host {
    char name[DNS_NAME_MAX]; /* in lower case, without a final dot */
    char base[DNS_NAME_MAX]; /* what secure aliases led to, down to secure addresses; else "" */
    uint16_t preference;     /* 0 of an implicit MX, and without MX */
    enum dns_outcome outcome;
    enum dns_security security; /* of the addresses, all aliases included */
    bool is_alias;              /* name is, of whatever */
    size_t addresses_count;     /* 0 unless DNS_FOUND */
    struct ip_address addresses[DNS_EXCHANGE_ADDRESSES_MAX]; /* IPv6 first, each in its order */
    char reason[DNS_EXCHANGE_WHY_MAX]; /* of DNS_FAILED, or of the family that failed; else "" */
};

struct dns_exchange {          /* Fields are private. Zeroed at first, or by init. */
    struct dns_source *source; /* NULL: not running */
    void (*done)(struct dns_exchange *x);
    struct dns_query query; /* of the MX */
    enum dns_exchange_kind kind;
    enum dns_exchange_families families;
    enum dns_exchange_outcome outcome;
    enum dns_security security;
    bool is_implicit;
    uint32_t ttl_s;
    size_t hosts_count;
    size_t unsettled; /* hosts */
    char domain[DNS_NAME_MAX];
    char alias[DNS_NAME_MAX];
    char reason[DNS_EXCHANGE_REASON_MAX];
    struct dns_exchange_lookup {
        struct dns_exchange *exchange;
        struct dns_query v4, v6;
        bool is_bogus, has_failed, exists;
        size_t v6_count;
    } lookups[DNS_EXCHANGE_HOSTS_MAX]; /* of the host with the same index */
    struct dns_exchange_host hosts[DNS_EXCHANGE_HOSTS_MAX];
};

/* For memory that is not zeroed: the greater part of it need not be. */
void dns_exchange_init(struct dns_exchange *x);

/* x is not running. domain is borrowed for the call. */
void dns_exchange_start(struct dns_exchange *x, struct dns_source *source, struct slice domain,
                        enum dns_exchange_kind kind, enum dns_exchange_families families,
                        void (*done)(struct dns_exchange *x));

/* Does nothing to one that is not running. */
void dns_exchange_cancel(struct dns_exchange *x);
bool dns_exchange_is_running(const struct dns_exchange *x);

/* After done(): */
enum dns_exchange_outcome dns_exchange_outcome(const struct dns_exchange *x);

/* A phrase of printable ASCII for what is not DNS_EXCHANGE_FOUND, with the host's name where it is
 * about one; else "". */
const char *dns_exchange_reason(const struct dns_exchange *x);

/* Of the MX answer, also where it says that there is none. DNS_INSECURE of DNS_EXCHANGE_ADDRESSES.
 */
enum dns_security dns_exchange_security(const struct dns_exchange *x);

/* The name that the domain's secure aliases led to: one more that a certificate may have
 * (dns/dane_names.h). "" when it is none, or not secure. */
const char *dns_exchange_alias(const struct dns_exchange *x);

/* As asked for, in lower case, without a final dot. */
const char *dns_exchange_domain(const struct dns_exchange *x);

/* Its hosts were named by MX records: not by being asked for, nor for want of an MX. */
bool dns_exchange_is_by_mx(const struct dns_exchange *x);

/* The domain is its own host, for want of an MX. */
bool dns_exchange_is_implicit(const struct dns_exchange *x);

/* How long this holds: the least of everything that was used, DNS_EXCHANGE_TTL_S_MIN to _MAX. */
uint32_t dns_exchange_ttl_s(const struct dns_exchange *x);

/* 0 unless DNS_EXCHANGE_FOUND, DNS_EXCHANGE_NO_HOST or DNS_EXCHANGE_FAILED for want of addresses;
 * the hosts without a usable address are among them, for the log. */
size_t dns_exchange_hosts_count(const struct dns_exchange *x);
const struct dns_exchange_host *dns_exchange_host(const struct dns_exchange *x, size_t index);

/* Whether nobody can have forged the name of the host: it was asked for, is the domain itself, or
 * stands in a secure MX answer. Else a certificate for that name proves nothing to who demands
 * proof (RFC 8689 4.2.1). */
bool dns_exchange_is_authentic(const struct dns_exchange *x, size_t index);

/* Whether the host's TLSA records are to be asked for: see above. A host with an address. */
bool dns_exchange_wants_tlsa(const struct dns_exchange *x, size_t index);
