/* tests/dns/packet.h - writes DNS responses, sound and otherwise. */
#pragma once
#include "base/check.h"
#include "dns/answer.h"

#define PACKET_MAX 65535
#define TTL_S      300

struct packet {
    uint8_t bytes[PACKET_MAX];
    size_t len;
};

static inline void put(struct packet *p, const void *bytes, size_t len)
{
    ASSERT(p->len + len <= PACKET_MAX);
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static inline void put_u16(struct packet *p, unsigned value)
{
    put(p, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static inline void put_u32(struct packet *p, uint32_t value)
{
    put_u16(p, value >> 16);
    put_u16(p, value & 0xffff);
}

/* "a.b" as labels; "" is the root. */
static inline void put_name(struct packet *p, const char *name)
{
    struct slice rest = slice_from(name);

    while (rest.len > 0) {
        struct slice label = slice_cut(&rest, '.');
        put(p, &(uint8_t){ (uint8_t)label.len }, 1);
        put(p, label.data, label.len);
    }
    put(p, "", 1);
}

static inline void packet_begin(struct packet *p, unsigned rcode, const char *name,
                                enum dns_type type)
{
    p->len = 0;
    put_u16(p, 0);
    put_u16(p, 0x8180 | rcode);
    put_u16(p, 1);
    put_u32(p, 0);
    put_u16(p, 0);
    put_name(p, name);
    put_u16(p, type);
    put_u16(p, 1);
}

/* Counts one more record of the answer (6) or authority (8) section. */
static inline void packet_count(struct packet *p, size_t section)
{
    unsigned count = (unsigned)p->bytes[section] << 8 | p->bytes[section + 1];

    p->bytes[section] = (uint8_t)((count + 1) >> 8);
    p->bytes[section + 1] = (uint8_t)(count + 1);
}

static inline void packet_record(struct packet *p, const char *owner, unsigned type, uint32_t ttl_s,
                                 const void *data, size_t len)
{
    packet_count(p, 6);
    put_name(p, owner);
    put_u16(p, type);
    put_u16(p, 1);
    put_u32(p, ttl_s);
    put_u16(p, (unsigned)len);
    put(p, data, len);
}

/* A record whose data are a name. */
static inline void packet_name(struct packet *p, const char *owner, unsigned type,
                               const char *target)
{
    static struct packet name;

    name.len = 0;
    put_name(&name, target);
    packet_record(p, owner, type, TTL_S, name.bytes, name.len);
}

static inline struct slice packet_slice(const struct packet *p)
{
    return (struct slice){ (const char *)p->bytes, p->len };
}
