/* smtp/proxy_header.h - the PROXY protocol: who the client behind a load balancer is.
 *
 * A listed load balancer says so once, before the first byte of SMTP or TLS, in one of two forms
 * (the PROXY protocol specification of HAProxy, sections 2.1 and 2.2): version 1 is a line of at
 * most 107 bytes, version 2 binary. Which one it is shows in the first byte.
 *
 *     init -> feed -> MORE    everything was taken; feed again with more
 *                  -> DONE    kind, source and destination stand in the header
 *                  -> BAD     this is no such header: end the connection
 *
 * Behind the header not a byte is taken: it is what the client says. The result does not depend on
 * how the bytes were cut. The caller listens to it from listed hosts only, bounds the time that it
 * waits, and never guesses: a connection that must begin with a header and does not is refused
 * (section 2 forbids to take it for one that has none).
 *
 * Owns no memory. No I/O, no clock.
 */
#pragma once
#include "base/ip.h"

#define SMTP_PROXY_V1_BYTES_MAX 107 /* CRLF included */

/* Behind the 16 bytes of a version 2 header: 216 of addresses at most, the rest are TLVs. They are
 * skipped without being kept, so there is room for those that carry a client certificate. */
#define SMTP_PROXY_V2_REST_BYTES_MAX 4096

enum smtp_proxy_kind {
    SMTP_PROXY_CLIENT, /* source and destination are those of the client's connection */
    SMTP_PROXY_LOCAL,  /* the load balancer speaks for itself, as in a health check */
    SMTP_PROXY_UNKNOWN /* it knows no internet addresses: unspecified, or a UNIX socket */
};

enum smtp_proxy_result { SMTP_PROXY_MORE, SMTP_PROXY_DONE, SMTP_PROXY_BAD };

struct smtp_proxy_header {
    /* After DONE. For LOCAL and UNKNOWN the addresses of the connection itself count, and these
     * are zero. An IPv4-mapped address is the IPv4 address, as everywhere (base/ip.h). */
    enum smtp_proxy_kind kind;
    struct ip_endpoint source;
    struct ip_endpoint destination;

    /* Private. */
    uint8_t bytes[SMTP_PROXY_V1_BYTES_MAX]; /* of the header, as far as they say something */
    uint16_t len;                           /* of the header, taken so far */
    bool is_over;
};

void smtp_proxy_header_init(struct smtp_proxy_header *h);

/* *used_out bytes of input were taken: all of them on MORE, those of the header on DONE; of no
 * meaning on BAD. Not to be called after DONE or BAD. */
enum smtp_proxy_result smtp_proxy_header_feed(struct smtp_proxy_header *h, struct slice input,
                                              size_t *used_out);
