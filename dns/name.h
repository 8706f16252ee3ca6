/* dns/name.h - domain names as text: which may be asked for, and the reversed ones of addresses.
 *
 * Text is without a final dot. Only letters, digits, '-' and '_' are taken in a label: no name of a
 * host has anything else, and what has cannot be printed, compared or put into a header safely.
 */
#pragma once
#include "base/ip.h"
#include "base/slice.h"

#define DNS_NAME_MAX  254 /* NUL included: 255 bytes on the wire, RFC 1035 2.3.4 */
#define DNS_LABEL_MAX 63

/* Whether a text is a name of 1 to 253 bytes, each label of 1 to 63; a final dot is allowed. */
bool dns_name_is_valid(struct slice name);

/* Writes a valid name in lower case and without the final dot. Of any other text it writes "", and
 * returns false. */
bool dns_name_copy(struct slice name, char text[static DNS_NAME_MAX]);

/* "4.3.2.1.in-addr.arpa", or 32 nibbles and "ip6.arpa" (RFC 1035 3.5, RFC 3596 2.5). Returns
 * text. */
const char *dns_name_reverse(const struct ip_address *a, char text[static DNS_NAME_MAX]);

/* The same reversed address in front of a DNS list's zone (RFC 5782 2.1, 2.4): "4.3.2.1.zone".
 * False when the zone is no name, or the whole would be too long. */
bool dns_name_listed(const struct ip_address *a, struct slice zone, char text[static DNS_NAME_MAX]);
