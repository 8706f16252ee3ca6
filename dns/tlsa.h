/* dns/tlsa.h - the TLSA records that say how an SMTP server proves itself (RFC 6698, RFC 7672).
 *
 *     start -> done(tlsa)      once, never from inside start
 *          \-> cancel          done is not called any more
 *
 * One object embedded in its owner, of 34 KiB; a copy of one that is not running is good too.
 * Whether to ask at all is up to dns_exchange_wants_tlsa(); its header has the rule.
 *
 * Asked is _PORT._tcp.NAME for the candidates for the TLSA base domain, one after the other: what
 * the host's aliases led to, then the host's own name (RFC 7672 2.2.2). The first with secure
 * records wins, and its name is what the certificate is compared with (3.2.3) and what SNI says
 * (RFC 7671 7). Where the addresses are not secure it is asked first whether the host's name is an
 * alias that is, and if so then only its own name counts (2.1.3).
 *
 * Three outcomes, which are not to be mixed up (2.1.1, 2.1.2, 2.2):
 *   DNS_TLSA_FOUND   The host must be reached by TLS, whatever becomes of the records. When all of
 *                    them are unusable, be it for their numbers or because none was well-formed
 *                    (records_count 0), TLS without proof of identity does; never clear text.
 *   DNS_TLSA_NONE    A secure denial, or an answer without signatures: no DANE for this host.
 *   DNS_TLSA_FAILED  Nobody knows. The host must not be used now, not even with TLS, or who can
 *                    suppress an answer could turn DANE off. The next candidate stays
 *                    untried.
 */
#pragma once
#include "dns/query.h"

#define DNS_TLSA_RECORDS_MAX 32
#define DNS_TLSA_BYTES_MAX   32768 /* of all their data; whole certificates take some KiB each */
#define DNS_TLSA_WHY_MAX     (DNS_NAME_MAX + 180) /* NUL included */
#define DNS_TLSA_TTL_S_MIN   30
#define DNS_TLSA_TTL_S_MAX   3600

enum dns_tlsa_outcome { DNS_TLSA_FOUND, DNS_TLSA_NONE, DNS_TLSA_FAILED };

struct dns_tlsa_wanted {
    struct slice host; /* the name from the MX or the route */
    struct slice base; /* as dns_exchange_host.base: empty when there is no other name */
    bool is_insecure;  /* its addresses are not secure */
    uint16_t port;
};

struct dns_tlsa {              /* Fields are private. Zeroed at first. */
    struct dns_source *source; /* NULL: not running */
    void (*done)(struct dns_tlsa *t);
    struct dns_query query;
    enum dns_tlsa_outcome outcome;
    enum dns_security security;
    uint32_t ttl_s;
    uint16_t port;
    size_t names_count;
    size_t name; /* the one that is asked for, or that was found */
    char names[2][DNS_NAME_MAX];
    char reason[DNS_TLSA_WHY_MAX];
    size_t records_count;
    size_t dropped_count;
    struct dns_tlsa_record {
        uint8_t usage, selector, matching;
        uint16_t at, len; /* of bytes */
    } records[DNS_TLSA_RECORDS_MAX];
    size_t bytes_count;
    char bytes[DNS_TLSA_BYTES_MAX];
};

/* t is not running. wanted is borrowed for the call. */
void dns_tlsa_start(struct dns_tlsa *t, struct dns_source *source,
                    const struct dns_tlsa_wanted *wanted, void (*done)(struct dns_tlsa *t));

/* Does nothing to one that is not running. */
void dns_tlsa_cancel(struct dns_tlsa *t);
bool dns_tlsa_is_running(const struct dns_tlsa *t);

/* After done(): */
enum dns_tlsa_outcome dns_tlsa_outcome(const struct dns_tlsa *t);

/* DNS_SECURE: of DNS_TLSA_FOUND, and of DNS_TLSA_NONE when all that was asked was denied securely.
 * DNS_BOGUS only of DNS_TLSA_FAILED. */
enum dns_security dns_tlsa_security(const struct dns_tlsa *t);

/* Of DNS_TLSA_FAILED, in printable ASCII; else "". */
const char *dns_tlsa_reason(const struct dns_tlsa *t);

/* The TLSA base domain: of DNS_TLSA_FOUND the candidate that has the records, else "". */
const char *dns_tlsa_base(const struct dns_tlsa *t);

/* The least of the answers that were used, DNS_TLSA_TTL_S_MIN to _MAX. */
uint32_t dns_tlsa_ttl_s(const struct dns_tlsa *t);

/* The well-formed records, in the order of the answer: any numbers, any data, even none. How many
 * are left out because they are malformed or beyond the maximum is dropped_count. */
size_t dns_tlsa_records_count(const struct dns_tlsa *t);
size_t dns_tlsa_dropped_count(const struct dns_tlsa *t);

/* index < records_count. The data are borrowed from t. */
struct dns_association dns_tlsa_record(const struct dns_tlsa *t, size_t index);
