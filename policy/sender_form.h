/* policy/sender_form.h - what one sender of a HAT says, out of its text.
 *
 *     192.0.2.1                             one IPv4 address
 *     10.1.2.  10.1.2  10.  10              all addresses that begin with these octets
 *     10.1.1.10-20  10.1.1-3  10.1-3.  10-12  a range in the last given octet, with all below it
 *     192.0.2.0/24  10.1/16  10/8           a CIDR block; octets left out are zero
 *     2001:db8::1  2001:db8::/32            one IPv6 address, a CIDR block
 *     2001:db8::1-2001:db8::ff              from the one address to the other
 *     2001:db8:1-5:0:0:0:0:0                the same, where only one group differs
 *     mail.example.com                      exactly this verified host name
 *     .example.com                          the verified names below the domain, not itself
 *     dnslist[zen.example.org]              what the DNS list holds
 *     dnslist[zen.example.org=127.0.0.2]    ...with an answer of any of the IPv4 forms above
 *     nx.domain serv.fail not.double.verified  how the double lookup ended, policy/sender.h
 *     SBRS[-10.0:-3.0]  SBRS[none]          a reputation, both ends included; none is known
 *     geo[DE]                               a country, ISO 3166-1 alpha-2
 *     ALL                                   everybody
 *
 * Case never matters. An IPv6 form matches IPv6 hosts only, "::/0" too: the IPv4-mapped addresses
 * (RFC 4291 2.5.5.2) are IPv4 addresses, and may be written as such.
 */
#pragma once
#include "base/check.h"
#include "policy/sender.h"

#define POLICY_SENDER_BYTES_MAX 320 /* more than the longest form needs */

enum policy_sender_form {
    POLICY_SENDER_INVALID,
    POLICY_SENDER_ADDRESS, /* an address, or a block or range of them */
    POLICY_SENDER_LOOSE,   /* a CIDR block with bits set behind its prefix; they count as zero */
    POLICY_SENDER_NAME,
    POLICY_SENDER_PARTIAL,
    POLICY_SENDER_LIST,
    POLICY_SENDER_REVERSE,
    POLICY_SENDER_SCORE,
    POLICY_SENDER_NO_SCORE,
    POLICY_SENDER_COUNTRY,
    POLICY_SENDER_ALL
};
#define POLICY_SENDER_FORMS_COUNT (POLICY_SENDER_ALL + 1)

/* Both ends belong to it and are of one family. */
struct policy_address_range {
    struct ip_address first;
    struct ip_address last;
};

struct policy_sender_entry {
    enum policy_sender_form form;
    struct policy_address_range range; /* ADDRESS, LOOSE; LIST with has_answer: of the answers */
    struct slice name;                 /* NAME, PARTIAL (with its dot), LIST (the zone): without a
                                          dot at the end; borrows from the text */
    bool has_answer;                   /* LIST */
    enum policy_reverse reverse;       /* REVERSE */
    int tenths_min, tenths_max;        /* SCORE */
    char country[2];                   /* COUNTRY, upper case */
};

/* NULL, and *entry_out is filled in; otherwise a phrase that says what is wrong, a literal, and
 * nothing is written. */
MUST_USE const char *policy_sender_parse(struct slice text, struct policy_sender_entry *entry_out);

/* What the text of an entry is; POLICY_SENDER_INVALID when no row may hold it. */
enum policy_sender_form policy_sender_form(struct slice text);

bool policy_address_range_holds(const struct policy_address_range *range,
                                const struct ip_address *address);

/* "nx.domain", "serv.fail", "not.double.verified"; "" for the others. */
const char *policy_reverse_text(enum policy_reverse reverse);
