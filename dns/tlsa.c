#include "dns/tlsa.h"

#include <assert.h>
#include <stdio.h>

#include "base/check.h"

#define PREFIX_MAX sizeof("_65535._tcp.")

static_assert(DNS_TLSA_BYTES_MAX <= UINT16_MAX, "where data lie is 16 bits");

static void finish(struct dns_tlsa *t, enum dns_tlsa_outcome outcome)
{
    ASSERT(t->source != NULL && (outcome != DNS_TLSA_FOUND || t->security == DNS_SECURE));
    t->outcome = outcome;
    if (t->ttl_s < DNS_TLSA_TTL_S_MIN || outcome == DNS_TLSA_FAILED)
        t->ttl_s = DNS_TLSA_TTL_S_MIN;
    t->source = NULL;
    t->done(t); /* t may be gone now */
}

static void fail(struct dns_tlsa *t, const char *what, const struct dns_answer *answer)
{
    (void)snprintf(t->reason, sizeof(t->reason), "%s of %s: %s", what, t->names[t->name],
                   answer->reason);
    t->security = answer->security;
    finish(t, DNS_TLSA_FAILED);
}

static void note(struct dns_tlsa *t, const struct dns_answer *answer)
{
    if (answer->ttl_s < t->ttl_s)
        t->ttl_s = answer->ttl_s;
    if (answer->security != DNS_SECURE)
        t->security = DNS_INSECURE;
}

static void take_records(struct dns_tlsa *t, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->records; i++) {
        struct dns_association a;

        if (t->records_count == DNS_TLSA_RECORDS_MAX || !dns_answer_association(answer, i, &a) ||
            a.data.len > sizeof(t->bytes) - t->bytes_count) {
            t->dropped_count++;
            continue;
        }
        t->records[t->records_count++] = (struct dns_tlsa_record){ .usage = a.usage,
                                                                   .selector = a.selector,
                                                                   .matching = a.matching,
                                                                   .at = (uint16_t)t->bytes_count,
                                                                   .len = (uint16_t)a.data.len };
        memcpy(t->bytes + t->bytes_count, a.data.data, a.data.len);
        t->bytes_count += a.data.len;
    }
}

static void ask(struct dns_tlsa *t);

static void records_came(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_tlsa *t = CONTAINER_OF(q, struct dns_tlsa, query);

    if (answer->outcome == DNS_FAILED) {
        fail(t, "TLSA", answer);
        return;
    }
    if (answer->outcome == DNS_FOUND && answer->security == DNS_SECURE) {
        t->security = DNS_SECURE; /* whatever the candidate before this one was */
        if (answer->ttl_s < t->ttl_s)
            t->ttl_s = answer->ttl_s;
        take_records(t, answer);
        finish(t, DNS_TLSA_FOUND);
        return;
    }
    note(t, answer);
    if (++t->name < t->names_count)
        ask(t);
    else
        finish(t, DNS_TLSA_NONE);
}

static void ask(struct dns_tlsa *t)
{
    char name[PREFIX_MAX + DNS_NAME_MAX] = "";

    /* A host that can be no name has no records, and one that is too long neither: dns/query.h
     * says so. Without a host it would be the prefix's own name. */
    if (t->names_count > 0)
        (void)snprintf(name, sizeof(name), "_%u._tcp.%s", t->port, t->names[t->name]);
    dns_query_start(&t->query, t->source, slice_from(name), DNS_TYPE_TLSA, records_came);
}

/* Whether there is an alias or not: what is said about it is as secure as the zone of the name. */
static void alias_came(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_tlsa *t = CONTAINER_OF(q, struct dns_tlsa, query);

    if (answer->outcome == DNS_FAILED) {
        fail(t, "CNAME", answer);
        return;
    }
    note(t, answer);
    if (answer->security == DNS_SECURE)
        ask(t);
    else
        finish(t, DNS_TLSA_NONE);
}

static void add_name(struct dns_tlsa *t, struct slice name)
{
    if (dns_name_copy(name, t->names[t->names_count]) &&
        (t->names_count == 0 || strcmp(t->names[0], t->names[1]) != 0))
        t->names_count++;
}

void dns_tlsa_start(struct dns_tlsa *t, struct dns_source *source,
                    const struct dns_tlsa_wanted *wanted, void (*done)(struct dns_tlsa *t))
{
    ASSERT(!dns_tlsa_is_running(t) && source != NULL && done != NULL);
    t->source = source;
    t->done = done;
    t->port = wanted->port;
    t->security = DNS_SECURE;
    t->ttl_s = DNS_TLSA_TTL_S_MAX;
    t->name = t->names_count = t->records_count = t->dropped_count = t->bytes_count = 0;
    t->names[0][0] = t->reason[0] = '\0';
    if (!wanted->is_insecure)
        add_name(t, wanted->base);
    add_name(t, wanted->host);
    if (wanted->is_insecure)
        dns_query_start(&t->query, source, slice_from(t->names[0]), DNS_TYPE_CNAME, alias_came);
    else
        ask(t);
}

void dns_tlsa_cancel(struct dns_tlsa *t)
{
    dns_query_cancel(&t->query);
    t->source = NULL;
}

bool dns_tlsa_is_running(const struct dns_tlsa *t)
{
    return t->source != NULL;
}

enum dns_tlsa_outcome dns_tlsa_outcome(const struct dns_tlsa *t)
{
    ASSERT(!dns_tlsa_is_running(t));
    return t->outcome;
}

enum dns_security dns_tlsa_security(const struct dns_tlsa *t)
{
    return t->security;
}

const char *dns_tlsa_reason(const struct dns_tlsa *t)
{
    return t->reason;
}

const char *dns_tlsa_base(const struct dns_tlsa *t)
{
    return dns_tlsa_outcome(t) == DNS_TLSA_FOUND ? t->names[t->name] : "";
}

uint32_t dns_tlsa_ttl_s(const struct dns_tlsa *t)
{
    return t->ttl_s;
}

size_t dns_tlsa_records_count(const struct dns_tlsa *t)
{
    ASSERT(!dns_tlsa_is_running(t));
    return t->records_count;
}

size_t dns_tlsa_dropped_count(const struct dns_tlsa *t)
{
    return t->dropped_count;
}

struct dns_association dns_tlsa_record(const struct dns_tlsa *t, size_t index)
{
    ASSERT(!dns_tlsa_is_running(t) && index < t->records_count);
    const struct dns_tlsa_record *r = &t->records[index];

    return (struct dns_association){ .usage = r->usage,
                                     .selector = r->selector,
                                     .matching = r->matching,
                                     .data = { t->bytes + r->at, r->len } };
}
