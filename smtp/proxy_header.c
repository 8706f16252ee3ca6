#include "smtp/proxy_header.h"

#include <assert.h>

#include "base/check.h"

#define V1_START_BYTES 6  /* "PROXY " */
#define V2_START_BYTES 12 /* the signature */
#define V2_HEAD_BYTES  16 /* and version, command, family, transport, length of the rest */
#define V2_IPV4_BYTES  12 /* two addresses, two ports */
#define V2_IPV6_BYTES  36
#define V2_UNIX_BYTES  216
#define V2_KEPT_BYTES  (V2_HEAD_BYTES + V2_IPV6_BYTES)

static_assert(V2_KEPT_BYTES <= SMTP_PROXY_V1_BYTES_MAX, "both versions fit what is kept");
static_assert(V2_HEAD_BYTES + SMTP_PROXY_V2_REST_BYTES_MAX <= UINT16_MAX, "the length is 16 bits");

static const char v1_start[V1_START_BYTES + 1] = "PROXY ";
static const char v2_start[V2_START_BYTES + 1] = "\r\n\r\n\0\r\nQUIT\n";

/* The bytes behind the signature of version 2. */
enum { AT_VERSION = V2_START_BYTES, AT_FAMILY, AT_LENGTH };

void smtp_proxy_header_init(struct smtp_proxy_header *h)
{
    *h = (struct smtp_proxy_header){ .kind = SMTP_PROXY_UNKNOWN };
}

/* One address of version 1. Leading zeros are refused by ip_parse(), as the specification wants. */
static bool v1_address_parse(struct slice text, bool is_v6, struct ip_address *address_out)
{
    /* An IPv4-mapped address of TCP6 is IPv4 once it is parsed: its text tells the family. */
    return (text.len > 0 && memchr(text.data, ':', text.len) != NULL) == is_v6 &&
           ip_parse(text, address_out);
}

static bool v1_port_parse(struct slice text, uint16_t *port_out)
{
    uint64_t port;

    if ((text.len > 1 && text.data[0] == '0') || !slice_to_number(text, UINT16_MAX, &port))
        return false;
    *port_out = (uint16_t)port;
    return true;
}

/* A whole line behind "PROXY ", without its CRLF. Fields are parted by exactly one space: with a
 * second one a field is empty, which none may be; what is left over is part of the last port. */
static bool v1_parse(struct smtp_proxy_header *h, struct slice line)
{
    bool has_more = line.len > 0 && memchr(line.data, ' ', line.len) != NULL;
    struct slice rest = line;
    struct slice protocol = slice_cut(&rest, ' ');
    bool is_v6 = slice_equal(protocol, SLICE("TCP6"));
    struct ip_endpoint source, destination;

    /* "The receiver must ignore anything presented before the CRLF", if there is anything. */
    if (slice_equal(protocol, SLICE("UNKNOWN"))) {
        h->kind = SMTP_PROXY_UNKNOWN;
        return true;
    }
    if (!has_more || (!is_v6 && !slice_equal(protocol, SLICE("TCP4"))))
        return false;
    if (!v1_address_parse(slice_cut(&rest, ' '), is_v6, &source.address) ||
        !v1_address_parse(slice_cut(&rest, ' '), is_v6, &destination.address) ||
        !v1_port_parse(slice_cut(&rest, ' '), &source.port) ||
        !v1_port_parse(rest, &destination.port))
        return false;
    h->kind = SMTP_PROXY_CLIENT;
    h->source = source;
    h->destination = destination;
    return true;
}

static enum smtp_proxy_result v1_take(struct smtp_proxy_header *h, uint8_t byte)
{
    struct slice line = { (const char *)h->bytes, h->len };

    if (byte != '\n') {
        /* A CR is followed by its LF. The last byte that fits has to be that LF. */
        if (h->bytes[h->len - 1] == '\r' || h->len + 1 == SMTP_PROXY_V1_BYTES_MAX)
            return SMTP_PROXY_BAD;
        h->bytes[h->len++] = byte;
        return SMTP_PROXY_MORE;
    }
    if (line.data[line.len - 1] != '\r')
        return SMTP_PROXY_BAD;
    line.len--;
    return v1_parse(h, slice_after(line, V1_START_BYTES)) ? SMTP_PROXY_DONE : SMTP_PROXY_BAD;
}

static uint16_t v2_number(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static struct ip_address v2_address(const uint8_t *bytes, bool is_v6)
{
    struct ip_address a = { { [10] = 0xff, [11] = 0xff } };

    if (is_v6)
        memcpy(a.bytes, bytes, sizeof(a.bytes));
    else
        memcpy(a.bytes + 12, bytes, 4);
    return a;
}

/* What the first 16 bytes say of a header, judged before its rest is waited for. */
static bool v2_head_is_good(struct smtp_proxy_header *h)
{
    unsigned version = h->bytes[AT_VERSION] >> 4, command = h->bytes[AT_VERSION] & 0x0f;
    uint16_t rest = v2_number(h->bytes + AT_LENGTH);

    if (version != 2 || command > 1 || rest > SMTP_PROXY_V2_REST_BYTES_MAX)
        return false;
    h->kind = command == 0 ? SMTP_PROXY_LOCAL : SMTP_PROXY_UNKNOWN;
    if (command == 0)
        return true; /* the family "is ignored" */
    switch (h->bytes[AT_FAMILY]) {
    case 0x00: return true; /* unspecified */
    case 0x11: h->kind = SMTP_PROXY_CLIENT; return rest >= V2_IPV4_BYTES;
    case 0x21: h->kind = SMTP_PROXY_CLIENT; return rest >= V2_IPV6_BYTES;
    case 0x31: /* a UNIX socket, stream or datagram */
    case 0x32: return rest >= V2_UNIX_BYTES;
    default:
        /* Undefined, which "must be rejected"; and UDP, which mail does not come by. */
        return false;
    }
}

static void v2_addresses_take(struct smtp_proxy_header *h)
{
    bool is_v6 = h->bytes[AT_FAMILY] == 0x21;
    size_t address_bytes = is_v6 ? 16 : 4;
    const uint8_t *at = h->bytes + V2_HEAD_BYTES;

    h->source.address = v2_address(at, is_v6);
    h->destination.address = v2_address(at + address_bytes, is_v6);
    h->source.port = v2_number(at + 2 * address_bytes);
    h->destination.port = v2_number(at + 2 * address_bytes + 2);
}

static enum smtp_proxy_result v2_take(struct smtp_proxy_header *h, uint8_t byte)
{
    if (h->len < V2_KEPT_BYTES)
        h->bytes[h->len] = byte;
    h->len++;
    if (h->len < V2_HEAD_BYTES)
        return SMTP_PROXY_MORE;
    if (h->len == V2_HEAD_BYTES && !v2_head_is_good(h))
        return SMTP_PROXY_BAD;
    if (h->len < V2_HEAD_BYTES + v2_number(h->bytes + AT_LENGTH))
        return SMTP_PROXY_MORE;
    if (h->kind == SMTP_PROXY_CLIENT)
        v2_addresses_take(h);
    return SMTP_PROXY_DONE;
}

/* The start of a header is judged byte by byte, so that a peer which says something else is not
 * waited for. */
static enum smtp_proxy_result start_take(struct smtp_proxy_header *h, struct slice start,
                                         uint8_t byte)
{
    if (byte != (uint8_t)start.data[h->len])
        return SMTP_PROXY_BAD;
    h->bytes[h->len++] = byte;
    return SMTP_PROXY_MORE;
}

static enum smtp_proxy_result take(struct smtp_proxy_header *h, uint8_t byte)
{
    bool is_v2 = (h->len > 0 ? h->bytes[0] : byte) == (uint8_t)v2_start[0];
    struct slice start = is_v2 ? (struct slice){ v2_start, V2_START_BYTES }
                               : (struct slice){ v1_start, V1_START_BYTES };

    if (h->len < start.len)
        return start_take(h, start, byte);
    return is_v2 ? v2_take(h, byte) : v1_take(h, byte);
}

enum smtp_proxy_result smtp_proxy_header_feed(struct smtp_proxy_header *h, struct slice input,
                                              size_t *used_out)
{
    enum smtp_proxy_result result = SMTP_PROXY_MORE;
    size_t used = 0;

    ASSERT(!h->is_over);
    while (result == SMTP_PROXY_MORE && used < input.len)
        result = take(h, (uint8_t)input.data[used++]);
    h->is_over = result != SMTP_PROXY_MORE;
    *used_out = used;
    return result;
}
