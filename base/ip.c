#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool ip_is_v4(const struct ip_address *a)
{
    return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool ip_parse(struct slice text, struct ip_address *address_out)
{
    char copy[IP_TEXT_MAX];
    struct ip_address a;

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    memcpy(a.bytes, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, copy, a.bytes + 12) != 1 && inet_pton(AF_INET6, copy, a.bytes) != 1)
        return false;
    *address_out = a;
    return true;
}

const char *ip_format(const struct ip_address *a, char text[static IP_TEXT_MAX])
{
    const char *done = ip_is_v4(a) ? inet_ntop(AF_INET, a->bytes + 12, text, IP_TEXT_MAX)
                                   : inet_ntop(AF_INET6, a->bytes, text, IP_TEXT_MAX);

    return done != NULL ? done : "?";
}

/* Clears the bits behind the prefix; true when one of them was set. */
static bool clear_host_bits(struct ip_prefix *p)
{
    bool loose = false;

    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = p->bits >= 8 * (i + 1) ? 8 : p->bits > 8 * i ? p->bits - 8 * i : 0;
        uint8_t mask = (uint8_t)(0xff << (8 - kept));

        loose = loose || (p->address.bytes[i] & (uint8_t)~mask) != 0;
        p->address.bytes[i] &= mask;
    }
    return loose;
}

bool ip_prefix_parse(struct slice text, struct ip_prefix *prefix_out, bool *loose_out)
{
    bool has_bits = text.len > 0 && memchr(text.data, '/', text.len) != NULL;
    struct slice rest = text;
    struct slice head = slice_cut(&rest, '/');
    struct ip_prefix p = { .bits = 128 };
    uint64_t bits;
    bool loose;

    if (!ip_parse(head, &p.address))
        return false;
    if (has_bits) {
        unsigned offset = ip_is_v4(&p.address) ? 96 : 0;

        if (!slice_to_number(rest, 128 - offset, &bits))
            return false;
        p.bits = offset + (unsigned)bits;
    }
    loose = clear_host_bits(&p);
    if (loose_out != NULL)
        *loose_out = loose;
    *prefix_out = p;
    return true;
}

bool ip_prefix_contains(const struct ip_prefix *p, const struct ip_address *a)
{
    unsigned whole = p->bits / 8, rest = p->bits % 8;

    if (memcmp(p->address.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((p->address.bytes[whole] ^ a->bytes[whole]) >> (8 - rest)) == 0;
}

bool ip_endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_equal(&a->address, &b->address);
}

bool ip_endpoint_parse(struct slice text, uint16_t port_default, struct ip_endpoint *endpoint_out)
{
    struct ip_endpoint e = { .port = port_default };
    struct slice rest = text, host;
    uint64_t port;

    if (text.len > 0 && text.data[0] == '[') {
        rest = slice_after(text, 1);
        host = slice_cut(&rest, ']');
        if (rest.len > 0 && rest.data[0] != ':')
            return false;
        if (rest.len > 0)
            rest = slice_after(rest, 1);
        else if (text.data[text.len - 1] != ']')
            return false;
    } else if (ip_parse(text, &e.address)) { /* a bare IPv6 address has colons of its own */
        host = text;
        rest = slice_after(text, text.len);
    } else {
        host = slice_cut(&rest, ':');
    }
    if (!ip_parse(host, &e.address))
        return false;
    if (rest.len > 0) {
        if (!slice_to_number(rest, 65535, &port) || port == 0)
            return false;
        e.port = (uint16_t)port;
    }
    if (e.port == 0)
        return false;
    *endpoint_out = e;
    return true;
}

const char *ip_endpoint_format(const struct ip_endpoint *e, char text[static IP_ENDPOINT_MAX])
{
    char address[IP_TEXT_MAX];

    (void)snprintf(text, IP_ENDPOINT_MAX, ip_is_v4(&e->address) ? "%s:%u" : "[%s]:%u",
                   ip_format(&e->address, address), e->port);
    return text;
}

const char *ip_endpoint_format_short(const struct ip_endpoint *e, uint16_t port_default,
                                     char text[static IP_ENDPOINT_MAX])
{
    return e->port == port_default ? ip_format(&e->address, text) : ip_endpoint_format(e, text);
}

socklen_t ip_endpoint_to_socket(const struct ip_endpoint *e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (ip_is_v4(&e->address)) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;

        v4->sin_family = AF_INET;
        v4->sin_port = htons(e->port);
        memcpy(&v4->sin_addr, e->address.bytes + 12, 4);
        return sizeof(*v4);
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(e->port);
    memcpy(&v6->sin6_addr, e->address.bytes, 16);
    return sizeof(*v6);
}

bool ip_endpoint_from_socket(const struct sockaddr_storage *s, struct ip_endpoint *endpoint_out)
{
    struct ip_endpoint e;

    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)s;

        memcpy(e.address.bytes, mapped, sizeof(mapped));
        memcpy(e.address.bytes + 12, &v4->sin_addr, 4);
        e.port = ntohs(v4->sin_port);
    } else if (s->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)s;

        memcpy(e.address.bytes, &v6->sin6_addr, 16);
        e.port = ntohs(v6->sin6_port);
    } else {
        return false;
    }
    *endpoint_out = e;
    return true;
}
