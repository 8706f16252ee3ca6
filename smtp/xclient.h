/* smtp/xclient.h - the arguments of XCLIENT: a proxy says who its client is.
 *
 *     XCLIENT 1*( SP attribute "=" xtext )
 *
 * as Postfix does it (XCLIENT_README), with the attributes NAME ADDR PORT PROTO HELO LOGIN DESTADDR
 * DESTPORT in any order, each once. Names and the values of PROTO know no case. What the proxy does
 * not know is "[UNAVAILABLE]"; of NAME it may say "[TEMPUNAVAIL]", when the DNS gave no answer.
 *
 * The command comes from listed hosts only, and still nothing in it is taken as it stands: what is
 * decoded may be written to a log and a header, so that control characters are refused.
 */
#pragma once
#include "base/ip.h"

#define SMTP_XCLIENT_ATTRIBUTES     "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
#define SMTP_XCLIENT_TEXT_BYTES_MAX 255 /* of NAME, HELO and LOGIN, decoded */

enum smtp_xclient_attribute {
    SMTP_XCLIENT_NAME,
    SMTP_XCLIENT_ADDR,
    SMTP_XCLIENT_PORT,
    SMTP_XCLIENT_PROTO,
    SMTP_XCLIENT_HELO,
    SMTP_XCLIENT_LOGIN,
    SMTP_XCLIENT_DESTADDR,
    SMTP_XCLIENT_DESTPORT,
    SMTP_XCLIENT_ATTRIBUTES_COUNT
};

enum smtp_xclient_state {
    SMTP_XCLIENT_ABSENT, /* not in this command: what was said before goes on to count */
    SMTP_XCLIENT_GIVEN,
    SMTP_XCLIENT_UNAVAILABLE,
    SMTP_XCLIENT_TEMPORARY /* of NAME: looking it up failed for now */
};

/* Where the state of an attribute is not GIVEN its value is zero. */
struct smtp_xclient {
    uint8_t states[SMTP_XCLIENT_ATTRIBUTES_COUNT]; /* enum smtp_xclient_state */
    struct slice name;                             /* a host name, not checked against the DNS */
    struct slice helo;                             /* one word of printable ASCII */
    struct slice login;                            /* UTF-8 without controls */
    struct ip_address address;
    struct ip_address destination_address;
    uint16_t port; /* not 0, when it is given */
    uint16_t destination_port;
    bool is_esmtp; /* PROTO */
};

/* Reads what stands behind "XCLIENT ". memory has room for as many bytes as arguments; the slices
 * of *out borrow from it. False, with *out unchanged: no attribute, an unknown one, one that comes
 * twice, or a value that is no xtext (RFC 3461 4) or not what the attribute takes: 501. */
bool smtp_xclient_parse(struct slice arguments, char *memory, struct smtp_xclient *out);
