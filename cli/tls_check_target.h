/* cli/tls_check_target.h - what `postern tls-check` was asked about.
 *
 *     example.com                     the hosts of a domain: its MX, or itself
 *     mx1.example.com:25              one host; also [mx1.example.com], [mx1.example.com]:25
 *     192.0.2.1, [2001:db8::1]:25     one address; also 192.0.2.1:25
 *
 * A name without a port is a domain: of a host that has no MX it comes to the same.
 */
#pragma once
#include "base/ip.h"
#include "dns/name.h"

struct tlscheck_target {
    bool is_host;                /* else a domain */
    bool is_address;             /* a host whose address was given */
    char name[DNS_NAME_MAX];     /* of the domain or the host, in lower case; "" of an address */
    struct ip_address address;   /* of is_address */
    uint16_t port;               /* 0: none was given */
    char text[DNS_NAME_MAX + 8]; /* as it is shown: "mx1.example.com:25" */
};

/* False: it is none of these. */
bool tlscheck_target_parse(struct slice text, struct tlscheck_target *target_out);
