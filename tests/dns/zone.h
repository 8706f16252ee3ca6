/* tests/dns/zone.h - a source that answers from a zone written as text, in the order of the test.
 *
 * A record is a line: "mx.example A 192.0.2.1", "example MX 10 mx.example", "a.example CNAME b",
 * "_25._tcp.mx TLSA 3 1 1 data". In the place of the data SERVFAIL, BOGUS and NXDOMAIN are what
 * becomes of the question. What lies below "signed" is secure, the rest is not. No record of a name
 * and none below it: NXDOMAIN.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "dns/query.h"
#include "tests/dns/packet.h"

#define ZONE_ASKED_MAX 128
#define ZONE_LINKS_MAX 8

static const char *zone_text = "";
static struct {
    struct dns_query *query;
    char name[DNS_NAME_MAX];
} zone_asked[ZONE_ASKED_MAX];
static size_t zone_asked_count;

static void zone_start(struct dns_source *s, struct dns_query *q, const char *name)
{
    (void)s;
    ASSERT(zone_asked_count < ZONE_ASKED_MAX);
    zone_asked[zone_asked_count].query = q;
    memcpy(zone_asked[zone_asked_count++].name, name, strlen(name) + 1);
}

static void zone_forget(size_t index)
{
    zone_asked_count--;
    memmove(&zone_asked[index], &zone_asked[index + 1],
            (zone_asked_count - index) * sizeof(zone_asked[0]));
}

static void zone_cancel(struct dns_source *s, struct dns_query *q)
{
    (void)s;
    for (size_t i = 0; i < zone_asked_count; i++) {
        if (zone_asked[i].query == q) {
            zone_forget(i);
            return;
        }
    }
    UNREACHABLE();
}

static const struct dns_source_ops zone_ops = { .start = zone_start, .cancel = zone_cancel };
static struct dns_source zone_source = { &zone_ops };

static inline const char *zone_type_name(enum dns_type type)
{
    switch (type) {
    case DNS_TYPE_A: return "A";
    case DNS_TYPE_CNAME: return "CNAME";
    case DNS_TYPE_PTR: return "PTR";
    case DNS_TYPE_MX: return "MX";
    case DNS_TYPE_TXT: return "TXT";
    case DNS_TYPE_AAAA: return "AAAA";
    case DNS_TYPE_TLSA: return "TLSA";
    }
    UNREACHABLE();
}

static inline bool zone_is_below(struct slice name, const char *parent)
{
    struct slice end = slice_from(parent);

    return slice_ends_nocase(name, end) &&
           (name.len == end.len || name.data[name.len - end.len - 1] == '.');
}

static inline void zone_put_record(struct packet *p, const char *owner, enum dns_type type,
                                   struct slice data)
{
    static struct packet d;
    char name[DNS_NAME_MAX];
    struct ip_address address;
    uint64_t number;

    d.len = 0;
    if (type == DNS_TYPE_A || type == DNS_TYPE_AAAA) {
        ASSERT(ip_parse(data, &address));
        put(&d, address.bytes + (type == DNS_TYPE_A ? 12 : 0), type == DNS_TYPE_A ? 4 : 16);
    } else if (type == DNS_TYPE_TLSA) {
        for (int i = 0; i < 3 && data.len > 0; i++) {
            ASSERT(slice_to_number(slice_cut(&data, ' '), 255, &number));
            put(&d, &(uint8_t){ (uint8_t)number }, 1);
        }
        if (data.len > 0)
            put(&d, data.data, data.len);
    } else {
        if (type == DNS_TYPE_MX) {
            ASSERT(slice_to_number(slice_cut(&data, ' '), 65535, &number));
            put_u16(&d, (unsigned)number);
        }
        (void)snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(data));
        put_name(&d, strcmp(name, ".") == 0 ? "" : name);
    }
    packet_record(p, owner, type, TTL_S, d.bytes, d.len);
}

/* Puts the records of one type; true when there is one, or when the question fails. */
static inline bool zone_put_records(struct packet *p, const char *owner, enum dns_type type,
                                    bool *exists, const char **failure)
{
    struct slice rest = slice_from(zone_text);
    bool is_found = false;

    while (rest.len > 0) {
        struct slice data = slice_cut(&rest, '\n');
        struct slice name = slice_cut(&data, ' ');
        *exists = *exists || zone_is_below(name, owner);
        if (!slice_equal_nocase(name, slice_from(owner)) ||
            !slice_is_word(slice_cut(&data, ' '), zone_type_name(type)))
            continue;
        is_found = true;
        if (slice_equal(data, SLICE("SERVFAIL")))
            *failure = "server failure";
        else if (slice_equal(data, SLICE("BOGUS")))
            *failure = "bogus";
        else if (slice_equal(data, SLICE("NXDOMAIN")))
            *failure = "";
        else
            zone_put_record(p, owner, type, data);
    }
    return is_found;
}

/* The target of the name's alias, in name; false when it is none. */
static inline bool zone_follow(struct packet *p, char name[static DNS_NAME_MAX])
{
    struct slice rest = slice_from(zone_text);

    while (rest.len > 0) {
        struct slice data = slice_cut(&rest, '\n');
        if (!slice_equal_nocase(slice_cut(&data, ' '), slice_from(name)) ||
            !slice_is_word(slice_cut(&data, ' '), "CNAME") || slice_equal(data, SLICE("SERVFAIL")))
            continue;
        zone_put_record(p, name, DNS_TYPE_CNAME, data);
        (void)snprintf(name, DNS_NAME_MAX, "%.*s", SLICE_ARGS(data));
        return true;
    }
    return false;
}

/* Answers one of the questions; index < zone_asked_count. */
static inline void zone_answer(size_t index)
{
    static struct packet p;
    struct dns_query *q = zone_asked[index].query;
    char name[DNS_NAME_MAX];
    const char *failure = NULL;
    bool exists = false;
    struct dns_answer a;

    memcpy(name, zone_asked[index].name, sizeof(name));
    zone_forget(index);
    if (name[0] == '\0') {
        dns_answer_set(DNS_NO_NAME, q->type, "", &a);
        dns_query_answer(q, &a);
        return;
    }
    bool is_secure = zone_is_below(slice_from(name), "signed");
    packet_begin(&p, 0, name, q->type);
    for (int links = 0; links < ZONE_LINKS_MAX; links++) {
        exists = false;
        if (zone_put_records(&p, name, q->type, &exists, &failure) || !zone_follow(&p, name))
            break;
        is_secure = is_secure && zone_is_below(slice_from(name), "signed");
    }
    p.bytes[3] = (uint8_t)(p.bytes[3] | (exists ? 0 : 3));
    if (failure != NULL)
        dns_answer_set(failure[0] == '\0' ? DNS_NO_NAME : DNS_FAILED, q->type, failure, &a);
    else
        dns_answer_parse(packet_slice(&p), q->type, &a);
    if (failure != NULL && strcmp(failure, "bogus") == 0)
        a.security = DNS_BOGUS;
    else if (failure == NULL && is_secure)
        a.security = DNS_SECURE;
    dns_query_answer(q, &a);
}

/* Answers all, also what is asked meanwhile; order 0: the oldest first, 1: the newest, else a
 * seed. */
static inline void zone_answer_all(unsigned order)
{
    srandom(order);
    while (zone_asked_count > 0)
        zone_answer(order == 0   ? 0
                    : order == 1 ? zone_asked_count - 1
                                 : (size_t)random() % zone_asked_count);
}
