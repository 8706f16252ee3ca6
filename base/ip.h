/* base/ip.h - IPv4 and IPv6 addresses, prefixes and endpoints as values.
 *
 * An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291 2.5.5.2), so one comparison
 * serves both; an IPv4-mapped address that arrives on an IPv6 socket is the IPv4 address.
 */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/slice.h"

#define IP_TEXT_MAX     46                /* INET6_ADDRSTRLEN, NUL included */
#define IP_ENDPOINT_MAX (IP_TEXT_MAX + 8) /* "[" address "]:" port */

struct ip_address {
    uint8_t bytes[16];
};

struct ip_prefix {
    struct ip_address address; /* bits behind the prefix are zero */
    unsigned bits;             /* 0..128, of the mapped form: an IPv4 /24 is 120 */
};

struct ip_endpoint {
    struct ip_address address;
    uint16_t port;
};

bool ip_is_v4(const struct ip_address *a);
bool ip_equal(const struct ip_address *a, const struct ip_address *b);

/* "192.0.2.1" or "2001:db8::1", nothing else: no name, no brackets, no zone. */
bool ip_parse(struct slice text, struct ip_address *address_out);

/* Writes the canonical text (RFC 5952) and returns text. */
const char *ip_format(const struct ip_address *a, char text[static IP_TEXT_MAX]);

/* "192.0.2.0/24", "2001:db8::/32" or a bare address. *loose_out, which may be NULL, is set when
 * bits behind the prefix were not zero in the text; they are cleared in the result. */
bool ip_prefix_parse(struct slice text, struct ip_prefix *prefix_out, bool *loose_out);
bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_address *a);

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b);

/* "192.0.2.1:25", "[2001:db8::1]:25"; without a port, port_default is taken (0: refuse). */
bool ip_endpoint_parse(struct slice text, uint16_t port_default, struct ip_endpoint *endpoint_out);
const char *ip_endpoint_format(const struct ip_endpoint *e, char text[static IP_ENDPOINT_MAX]);

/* The same without the port where that is port_default: "192.0.2.1", "2001:db8::1". */
const char *ip_endpoint_format_short(const struct ip_endpoint *e, uint16_t port_default,
                                     char text[static IP_ENDPOINT_MAX]);

/* An IPv4 endpoint becomes AF_INET, any other AF_INET6. Returns the length used. */
socklen_t ip_endpoint_to_socket(const struct ip_endpoint *e, struct sockaddr_storage *out);
bool ip_endpoint_from_socket(const struct sockaddr_storage *s, struct ip_endpoint *endpoint_out);
