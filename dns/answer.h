/* dns/answer.h - what became of a query: its outcome, and the records as typed values.
 *
 * An answer borrows the packet it was read from, and both live only as long as the call that hands
 * them over. Whatever bytes a zone holds, and however the packet is damaged, the accessors return
 * false or a value that is safe to use; nothing of it reaches an assertion.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"
#include "dns/name.h"

#define DNS_RECORDS_MAX  1024 /* what a set holds beyond is not looked at */
#define DNS_POINTERS_MAX 32   /* of compression, in one name */

enum dns_type { /* RFC 1035, 3596, 6698: the numbers of the wire */
                DNS_TYPE_A = 1,
                DNS_TYPE_CNAME = 5,
                DNS_TYPE_PTR = 12,
                DNS_TYPE_MX = 15,
                DNS_TYPE_TXT = 16,
                DNS_TYPE_AAAA = 28,
                DNS_TYPE_TLSA = 52
};

enum dns_outcome {
    DNS_FOUND,   /* at least one record */
    DNS_NO_NAME, /* NXDOMAIN, or a text that can be no name */
    DNS_NO_DATA, /* the name is there, without a record of this type */
    DNS_FAILED   /* for now: server failure, refusal, time, bogus, a limit of ours */
};

enum dns_security {
    DNS_INSECURE, /* nothing signs it, or nothing was validated */
    DNS_SECURE,   /* signed and validated, also what is said not to exist */
    DNS_BOGUS     /* signed and wrong: the outcome is DNS_FAILED. From the resolver's cache a bogus
                     answer may come again as a plain failure. */
};

struct dns_answer {
    enum dns_outcome outcome;
    enum dns_security security;
    enum dns_type type;
    const char *reason; /* of DNS_FAILED: a lower-case phrase of printable ASCII; else "" */
    uint32_t ttl_s;     /* how long it may be remembered; 0 when that is not known */
    size_t records;     /* 0 unless DNS_FOUND */

    const uint8_t *packet; /* private from here on */
    size_t packet_len;
    uint16_t canonical;                /* of the name at the end of the CNAMEs */
    uint16_t offsets[DNS_RECORDS_MAX]; /* of each record's data */
};

/* Reads a response with one question. Follows the CNAMEs from the question's name, which must
 * stand in their order, unless CNAME is what was asked for; takes the records of the given type at
 * their end. Damage gives DNS_FAILED. Borrows the packet. */
void dns_answer_parse(struct slice packet, enum dns_type type, struct dns_answer *answer_out);

/* An answer without a packet. outcome is not DNS_FOUND; borrows reason. */
void dns_answer_set(enum dns_outcome outcome, enum dns_type type, const char *reason,
                    struct dns_answer *answer_out);

/* The name whose records the answer is about, or which it says has none: the question's, or the one
 * to which CNAMEs led from there. In lower case. False when it is no name as dns/name.h has it, or
 * when the answer is DNS_FAILED or came without a packet. It is as secure as the whole answer. */
bool dns_answer_canonical(const struct dns_answer *a, char text[static DNS_NAME_MAX]);

/* The accessors: index < records; false when the record's type is another, or its data are not
 * what the type says. */

/* Of A and AAAA. */
bool dns_answer_address(const struct dns_answer *a, size_t index, struct ip_address *address_out);

/* The target of a PTR, if it is a name as dns/name.h has it: anything else is no name. In
 * lower case. */
bool dns_answer_name(const struct dns_answer *a, size_t index, char text[static DNS_NAME_MAX]);

/* The strings of a TXT in one piece: any bytes, no NUL added, cut at room. */
bool dns_answer_text(const struct dns_answer *a, size_t index, char *text, size_t room,
                     size_t *len_out);

/* MX; the name is in lower case, and empty for the null MX of RFC 7505. */
bool dns_answer_exchange(const struct dns_answer *a, size_t index, uint16_t *preference_out,
                         char text[static DNS_NAME_MAX]);

/* TLSA, of RFC 6698 2.1. The data may be empty, and are borrowed from the packet. */
struct dns_association {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    struct slice data;
};

bool dns_answer_association(const struct dns_answer *a, size_t index,
                            struct dns_association *association_out);

/* The data of any record as they came; a name in them may be compressed. */
struct slice dns_answer_data(const struct dns_answer *a, size_t index);
