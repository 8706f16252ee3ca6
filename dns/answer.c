#include "dns/answer.h"

#include <assert.h>

#include "base/check.h"

#define HEADER_BYTES      12
#define QUESTION_BYTES    4 /* behind its name */
#define RECORD_BYTES      10
#define WIRE_NAME_MAX     255
#define CLASS_IN          1
#define TYPE_SOA          6
#define SOA_TAIL_BYTES    20
#define ASSOCIATION_BYTES 3 /* of a TLSA, before its data */
#define RCODE_NONE        0
#define RCODE_SERVER      2
#define RCODE_NO_NAME     3
#define RCODE_REFUSED     5
#define TTL_S_MAX         0x7fffffffu /* RFC 2181 8 */
#define LABEL_KIND        0xc0u
#define LABEL_IS_POINTER  0xc0u

/* Uncompressed, in lower case, so that names can be compared byte by byte (RFC 4343). */
struct wire_name {
    uint8_t bytes[WIRE_NAME_MAX];
    size_t len;
};

struct record {
    unsigned type;
    unsigned class;
    uint32_t ttl_s;
    size_t data;
    size_t data_len;
};

static unsigned read_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)read_u16(at) << 16 | read_u16(at + 2);
}

/* Moves *offset behind the name. A pointer may only lead to what stands before the labels it ends,
 * so there is no circle to walk in. */
static bool read_name(const uint8_t *packet, size_t len, size_t *offset, struct wire_name *name_out)
{
    size_t at = *offset;
    size_t begin = at;
    unsigned pointers = 0;
    struct wire_name *n = name_out;

    n->len = 0;
    while (at < len) {
        unsigned label = packet[at];

        if ((label & LABEL_KIND) == LABEL_IS_POINTER) {
            if (len - at < 2 || ++pointers > DNS_POINTERS_MAX)
                return false;
            size_t target = read_u16(packet + at) & 0x3fffu;
            if (pointers == 1)
                *offset = at + 2;
            if (target >= begin)
                return false;
            at = begin = target;
            continue;
        }
        if ((label & LABEL_KIND) != 0 || label >= len - at || n->len + label + 1 > WIRE_NAME_MAX)
            return false;
        n->bytes[n->len++] = (uint8_t)label;
        for (size_t i = 1; i <= label; i++)
            n->bytes[n->len++] = (uint8_t)ascii_lower((char)packet[at + i]);
        at += label + 1;
        if (label == 0) {
            if (pointers == 0)
                *offset = at;
            return true;
        }
    }
    return false;
}

static bool same_name(const struct wire_name *a, const struct wire_name *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* A record with its owner; moves *offset behind it. */
static bool read_record(const uint8_t *packet, size_t len, size_t *offset, struct wire_name *owner,
                        struct record *record_out)
{
    if (!read_name(packet, len, offset, owner) || len - *offset < RECORD_BYTES)
        return false;
    const uint8_t *at = packet + *offset;
    uint32_t ttl_s = read_u32(at + 4);

    *record_out = (struct record){ .type = read_u16(at),
                                   .class = read_u16(at + 2),
                                   .ttl_s = ttl_s > TTL_S_MAX ? 0 : ttl_s,
                                   .data = *offset + RECORD_BYTES,
                                   .data_len = read_u16(at + 8) };
    if (len - record_out->data < record_out->data_len)
        return false;
    *offset = record_out->data + record_out->data_len;
    return true;
}

static void shorten_ttl(struct dns_answer *a, uint32_t ttl_s)
{
    if (ttl_s < a->ttl_s)
        a->ttl_s = ttl_s;
}

/* The records of the answer section that are the answer. */
static bool read_answers(struct dns_answer *a, unsigned count, size_t *offset,
                         struct wire_name *name)
{
    struct wire_name owner;
    struct record r;

    for (unsigned i = 0; i < count; i++) {
        if (!read_record(a->packet, a->packet_len, offset, &owner, &r))
            return false;
        if (r.class != CLASS_IN || !same_name(&owner, name))
            continue;
        if (r.type == DNS_TYPE_CNAME && a->type != DNS_TYPE_CNAME && a->records == 0) {
            size_t target = r.data;
            if (!read_name(a->packet, r.data + r.data_len, &target, name))
                return false;
            a->canonical = (uint16_t)r.data;
            shorten_ttl(a, r.ttl_s);
        } else if (r.type == (unsigned)a->type && a->records < DNS_RECORDS_MAX) {
            shorten_ttl(a, r.ttl_s);
            a->offsets[a->records++] = (uint16_t)r.data;
        }
    }
    return true;
}

/* How long "it does not exist" holds: RFC 2308 5. */
static void read_negative_ttl(struct dns_answer *a, unsigned count, size_t offset)
{
    struct wire_name owner;
    struct record r;

    for (unsigned i = 0; i < count; i++) {
        if (!read_record(a->packet, a->packet_len, &offset, &owner, &r))
            break;
        if (r.type != TYPE_SOA || r.data_len < SOA_TAIL_BYTES)
            continue;
        shorten_ttl(a, r.ttl_s);
        shorten_ttl(a, read_u32(a->packet + r.data + r.data_len - 4));
        return;
    }
    a->ttl_s = 0;
}

static const char *reason_of(unsigned rcode)
{
    switch (rcode) {
    case RCODE_SERVER: return "server failure";
    case RCODE_REFUSED: return "the server refused";
    default: return "the server answered with an error";
    }
}

void dns_answer_parse(struct slice packet, enum dns_type type, struct dns_answer *answer_out)
{
    struct dns_answer *a = answer_out;
    const uint8_t *bytes = (const uint8_t *)packet.data;
    size_t offset = HEADER_BYTES;
    struct wire_name name;

    dns_answer_set(DNS_FAILED, type, "a malformed answer", a);
    if (packet.len < HEADER_BYTES || packet.len > UINT16_MAX || read_u16(bytes + 4) != 1)
        return;
    if (!read_name(bytes, packet.len, &offset, &name) || packet.len - offset < QUESTION_BYTES)
        return;
    offset += QUESTION_BYTES;
    unsigned rcode = bytes[3] & 15u;
    if (rcode != RCODE_NONE && rcode != RCODE_NO_NAME) {
        a->reason = reason_of(rcode);
        return;
    }
    a->packet = bytes;
    a->packet_len = packet.len;
    a->canonical = HEADER_BYTES;
    a->ttl_s = TTL_S_MAX;
    if (!read_answers(a, read_u16(bytes + 6), &offset, &name)) {
        a->records = 0;
        a->ttl_s = 0;
        return;
    }
    a->reason = "";
    if (rcode == RCODE_NONE && a->records > 0) {
        a->outcome = DNS_FOUND;
        return;
    }
    a->outcome = rcode == RCODE_NO_NAME ? DNS_NO_NAME : DNS_NO_DATA;
    a->records = 0;
    read_negative_ttl(a, read_u16(bytes + 8), offset);
}

void dns_answer_set(enum dns_outcome outcome, enum dns_type type, const char *reason,
                    struct dns_answer *answer_out)
{
    ASSERT(outcome != DNS_FOUND && reason != NULL);
    answer_out->outcome = outcome;
    answer_out->security = DNS_INSECURE;
    answer_out->type = type;
    answer_out->reason = reason;
    answer_out->ttl_s = 0;
    answer_out->records = 0;
    answer_out->packet = NULL;
    answer_out->packet_len = 0;
    answer_out->canonical = 0;
}

struct slice dns_answer_data(const struct dns_answer *a, size_t index)
{
    ASSERT(index < a->records && a->offsets[index] >= HEADER_BYTES + RECORD_BYTES);
    const uint8_t *data = a->packet + a->offsets[index];

    return (struct slice){ (const char *)data, read_u16(data - 2) };
}

bool dns_answer_address(const struct dns_answer *a, size_t index, struct ip_address *address_out)
{
    static const struct ip_address mapped = { { [10] = 0xff, [11] = 0xff } };
    struct slice data = dns_answer_data(a, index);

    if (a->type == DNS_TYPE_A && data.len == 4) {
        *address_out = mapped;
        memcpy(address_out->bytes + 12, data.data, 4);
        return true;
    }
    if (a->type != DNS_TYPE_AAAA || data.len != sizeof(address_out->bytes))
        return false;
    memcpy(address_out->bytes, data.data, sizeof(address_out->bytes));
    return true;
}

static bool name_to_text(const struct wire_name *name, char text[static DNS_NAME_MAX])
{
    char label_text[DNS_NAME_MAX + 1];
    size_t used = 0;

    for (size_t at = 0; name->bytes[at] != 0; at += name->bytes[at] + 1u) {
        if (memchr(name->bytes + at + 1, '.', name->bytes[at]) != NULL)
            return false; /* a dot within a label, which would look like two labels */
        memcpy(label_text + used, name->bytes + at + 1, name->bytes[at]);
        used += name->bytes[at];
        label_text[used++] = '.';
    }
    if (used > 0 && !dns_name_is_valid((struct slice){ label_text, used - 1 }))
        return false;
    if (used > 0)
        used--;
    memcpy(text, label_text, used);
    text[used] = '\0';
    return true;
}

static_assert(WIRE_NAME_MAX - 1 <= DNS_NAME_MAX,
              "a label and its dot take what they take on the wire");

/* The name that begins at offset and fills the record's data. */
static bool read_target(const struct dns_answer *a, size_t offset, size_t end,
                        char text[static DNS_NAME_MAX])
{
    struct wire_name name;

    return read_name(a->packet, end, &offset, &name) && offset == end && name_to_text(&name, text);
}

bool dns_answer_canonical(const struct dns_answer *a, char text[static DNS_NAME_MAX])
{
    struct wire_name name;
    char canonical[DNS_NAME_MAX];
    size_t offset = a->canonical;

    if (a->outcome == DNS_FAILED || a->packet == NULL)
        return false;
    if (!read_name(a->packet, a->packet_len, &offset, &name) || !name_to_text(&name, canonical) ||
        canonical[0] == '\0')
        return false;
    memcpy(text, canonical, strlen(canonical) + 1);
    return true;
}

bool dns_answer_name(const struct dns_answer *a, size_t index, char text[static DNS_NAME_MAX])
{
    char name[DNS_NAME_MAX];
    struct slice data = dns_answer_data(a, index);
    size_t offset = a->offsets[index];

    if (a->type != DNS_TYPE_PTR || !read_target(a, offset, offset + data.len, name) ||
        name[0] == '\0')
        return false;
    memcpy(text, name, strlen(name) + 1);
    return true;
}

bool dns_answer_exchange(const struct dns_answer *a, size_t index, uint16_t *preference_out,
                         char text[static DNS_NAME_MAX])
{
    struct slice data = dns_answer_data(a, index);
    size_t offset = a->offsets[index];

    if (a->type != DNS_TYPE_MX || data.len < 3 ||
        !read_target(a, offset + 2, offset + data.len, text))
        return false;
    *preference_out = (uint16_t)read_u16(a->packet + offset);
    return true;
}

bool dns_answer_association(const struct dns_answer *a, size_t index,
                            struct dns_association *association_out)
{
    struct slice data = dns_answer_data(a, index);

    if (a->type != DNS_TYPE_TLSA || data.len < ASSOCIATION_BYTES)
        return false;
    *association_out = (struct dns_association){ .usage = (uint8_t)data.data[0],
                                                 .selector = (uint8_t)data.data[1],
                                                 .matching = (uint8_t)data.data[2],
                                                 .data = slice_after(data, ASSOCIATION_BYTES) };
    return true;
}

bool dns_answer_text(const struct dns_answer *a, size_t index, char *text, size_t room,
                     size_t *len_out)
{
    struct slice data = dns_answer_data(a, index);
    size_t used = 0;

    if (a->type != DNS_TYPE_TXT || data.len == 0)
        return false;
    while (data.len > 0) {
        size_t bytes = (uint8_t)data.data[0];

        data = slice_after(data, 1);
        if (bytes > data.len)
            return false;
        size_t kept = bytes < room - used ? bytes : room - used;
        memcpy(text + used, data.data, kept);
        used += kept;
        data = slice_after(data, bytes);
    }
    *len_out = used;
    return true;
}
