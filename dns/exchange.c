#include "dns/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct choice {
    uint16_t preference;
    uint16_t record;
};

/* The text is ours, or a resolver's reason, which is printable. */
static void explain_host(struct dns_exchange_host *h, const char *about, const char *text)
{
    (void)snprintf(h->reason, sizeof(h->reason), "%s: %s", about, text);
}

static void explain(struct dns_exchange *x, const char *text)
{
    (void)snprintf(x->reason, sizeof(x->reason), "%s", text);
}

static void shorten_ttl(struct dns_exchange *x, const struct dns_answer *answer)
{
    if (answer->ttl_s < x->ttl_s)
        x->ttl_s = answer->ttl_s;
}

static void finish(struct dns_exchange *x, enum dns_exchange_outcome outcome)
{
    ASSERT(x->source != NULL && x->unsettled == 0);
    x->outcome = outcome;
    if (x->ttl_s < DNS_EXCHANGE_TTL_S_MIN || outcome == DNS_EXCHANGE_FAILED)
        x->ttl_s = DNS_EXCHANGE_TTL_S_MIN;
    x->source = NULL;
    x->done(x); /* x may be gone now */
}

/* --- the hosts ------------------------------------------------------------------------------- */

static struct dns_exchange_host *host_of(struct dns_exchange_lookup *l)
{
    return &l->exchange->hosts[l - l->exchange->lookups];
}

/* What the hosts have come to, together. */
static void finish_hosts(struct dns_exchange *x)
{
    const struct dns_exchange_host *failed = NULL;

    for (size_t i = 0; i < x->hosts_count; i++) {
        if (x->hosts[i].outcome == DNS_FOUND) {
            finish(x, DNS_EXCHANGE_FOUND);
            return;
        }
        if (x->hosts[i].outcome == DNS_FAILED && failed == NULL)
            failed = &x->hosts[i];
    }
    if (failed != NULL) {
        (void)snprintf(x->reason, sizeof(x->reason), "%s: %s", failed->name, failed->reason);
        finish(x, DNS_EXCHANGE_FAILED);
    } else if (x->kind == DNS_EXCHANGE_ADDRESSES && x->hosts[0].outcome == DNS_NO_NAME) {
        explain(x, "the host does not exist");
        finish(x, DNS_EXCHANGE_NO_DOMAIN);
    } else {
        explain(x, x->kind == DNS_EXCHANGE_ADDRESSES ? "the host has no address"
                   : x->is_implicit                  ? "neither an MX nor an address"
                                                     : "no host of the MX has an address");
        finish(x, DNS_EXCHANGE_NO_HOST);
    }
}

static void fail_host(struct dns_exchange_host *h)
{
    h->outcome = DNS_FAILED;
    h->addresses_count = 0;
    h->base[0] = '\0';
}

/* All addresses are here that will come. */
static void conclude(struct dns_exchange_lookup *l)
{
    struct dns_exchange *x = l->exchange;
    struct dns_exchange_host *h = host_of(l);

    if (l->is_bogus) {
        fail_host(h);
        h->security = DNS_BOGUS;
    } else if (h->addresses_count > 0) {
        h->outcome = DNS_FOUND;
    } else if (l->has_failed) {
        fail_host(h);
    } else {
        h->outcome = l->exists ? DNS_NO_DATA : DNS_NO_NAME;
    }
    ASSERT(x->unsettled > 0);
    if (--x->unsettled == 0)
        finish_hosts(x);
}

static bool is_of_a_host(const struct ip_address *a, bool is_v6)
{
    static const struct ip_address unspecified = { { 0 } };

    if (ip_is_v4(a)) /* in an AAAA it would pass for what was not asked for */
        return !is_v6 && a->bytes[12] != 0 && a->bytes[12] < 224;
    return a->bytes[0] != 0xff && !ip_equal(a, &unspecified);
}

/* IPv6 goes in front of IPv4, whichever came first. */
static void add_addresses(struct dns_exchange_lookup *l, const struct dns_answer *answer)
{
    struct dns_exchange_host *h = host_of(l);
    bool is_v6 = answer->type == DNS_TYPE_AAAA;
    size_t room = l->exchange->families == DNS_EXCHANGE_V4_V6 ? DNS_EXCHANGE_ADDRESSES_MAX / 2
                                                              : DNS_EXCHANGE_ADDRESSES_MAX;
    struct ip_address address;

    for (size_t i = 0; i < answer->records && room > 0; i++) {
        if (!dns_answer_address(answer, i, &address) || !is_of_a_host(&address, is_v6))
            continue;
        ASSERT(h->addresses_count < DNS_EXCHANGE_ADDRESSES_MAX);
        size_t at = is_v6 ? l->v6_count++ : h->addresses_count;
        memmove(h->addresses + at + 1, h->addresses + at,
                (h->addresses_count - at) * sizeof(address));
        h->addresses[at] = address;
        h->addresses_count++;
        room--;
    }
}

/* The end of an alias is told only by an answer that is secure. Both families have the same, but
 * for a zone that changes: then one that has addresses goes before one that has none. */
static void note_name(struct dns_exchange_lookup *l, const struct dns_answer *answer)
{
    struct dns_exchange_host *h = host_of(l);
    char name[DNS_NAME_MAX];
    bool is_name = dns_answer_canonical(answer, name);

    l->exists = l->exists || answer->outcome != DNS_NO_NAME;
    /* Also where it leads to what is no name. */
    bool is_alias = is_name ? strcmp(name, h->name) != 0 : answer->packet != NULL;
    h->is_alias = h->is_alias || is_alias;
    if (answer->security != DNS_SECURE)
        return;
    h->security = DNS_SECURE;
    if (is_alias && is_name && (h->base[0] == '\0' || answer->outcome == DNS_FOUND))
        memcpy(h->base, name, strlen(name) + 1);
}

static void addresses_came(struct dns_exchange_lookup *l, const struct dns_answer *answer)
{
    struct dns_exchange_host *h = host_of(l);

    shorten_ttl(l->exchange, answer);
    if (answer->outcome == DNS_FAILED) {
        bool is_v4 = answer->type == DNS_TYPE_A;
        bool is_bogus = answer->security == DNS_BOGUS;

        /* Of two reasons the graver one, whichever came first. */
        if (!l->has_failed || (is_bogus != l->is_bogus ? is_bogus : is_v4))
            explain_host(h, is_v4 ? "A" : "AAAA", answer->reason);
        l->has_failed = true;
        l->is_bogus = l->is_bogus || is_bogus;
    } else {
        note_name(l, answer);
        add_addresses(l, answer);
    }
    if (!dns_query_is_running(&l->v4) && !dns_query_is_running(&l->v6))
        conclude(l);
}

static void v4_came(struct dns_query *q, const struct dns_answer *answer)
{
    addresses_came(CONTAINER_OF(q, struct dns_exchange_lookup, v4), answer);
}

static void v6_came(struct dns_query *q, const struct dns_answer *answer)
{
    addresses_came(CONTAINER_OF(q, struct dns_exchange_lookup, v6), answer);
}

static void add_host(struct dns_exchange *x, uint16_t preference, const char *name)
{
    ASSERT(x->hosts_count < DNS_EXCHANGE_HOSTS_MAX);
    struct dns_exchange_host *h = &x->hosts[x->hosts_count];

    *h = (struct dns_exchange_host){ .preference = preference };
    memcpy(h->name, name, strlen(name) + 1);
    x->lookups[x->hosts_count] = (struct dns_exchange_lookup){ .exchange = x };
    x->hosts_count++;
}

/* What is written as an address is no name; who is asked for an empty text says so. */
static struct slice name_to_ask(const char *text)
{
    struct ip_address address;

    return ip_parse(slice_from(text), &address) ? (struct slice){ NULL, 0 } : slice_from(text);
}

/* All of them are started before the first can be answered. */
static void ask_for_addresses(struct dns_exchange *x)
{
    x->unsettled = x->hosts_count;
    for (size_t i = 0; i < x->hosts_count; i++) {
        struct slice name = name_to_ask(x->hosts[i].name);

        if ((x->families & DNS_EXCHANGE_V4) != 0)
            dns_query_start(&x->lookups[i].v4, x->source, name, DNS_TYPE_A, v4_came);
        if ((x->families & DNS_EXCHANGE_V6) != 0)
            dns_query_start(&x->lookups[i].v6, x->source, name, DNS_TYPE_AAAA, v6_came);
    }
}

/* --- the MX ---------------------------------------------------------------------------------- */

/* The order of the answer between equals, since qsort() would not keep it. */
static int by_preference(const void *left, const void *right)
{
    const struct choice *a = left;
    const struct choice *b = right;

    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return a->record < b->record ? -1 : a->record > b->record;
}

static bool is_known(const struct dns_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->hosts_count; i++)
        if (strcmp(x->hosts[i].name, name) == 0)
            return true;
    return false;
}

/* Returns whether the answer is the null MX. */
static bool choose_hosts(struct dns_exchange *x, const struct dns_answer *answer)
{
    struct choice choices[DNS_RECORDS_MAX];
    size_t count = 0;
    size_t nulls = 0;
    char name[DNS_NAME_MAX];

    for (size_t i = 0; i < answer->records; i++) {
        uint16_t preference;

        if (!dns_answer_exchange(answer, i, &preference, name))
            continue;
        if (name[0] == '\0')
            nulls++;
        else
            choices[count++] = (struct choice){ preference, (uint16_t)i };
    }
    qsort(choices, count, sizeof(choices[0]), by_preference);
    for (size_t i = 0; i < count && x->hosts_count < DNS_EXCHANGE_HOSTS_MAX; i++)
        if (dns_answer_exchange(answer, choices[i].record, &choices[i].preference, name) &&
            !is_known(x, name))
            add_host(x, choices[i].preference, name);
    return nulls > 0 && nulls == answer->records;
}

static void exchanges_came(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_exchange *x = CONTAINER_OF(q, struct dns_exchange, query);

    shorten_ttl(x, answer);
    x->security = answer->security;
    if (answer->security == DNS_SECURE && dns_answer_canonical(answer, x->alias) &&
        strcmp(x->alias, x->domain) == 0)
        x->alias[0] = '\0';
    switch (answer->outcome) {
    case DNS_FAILED:
        (void)snprintf(x->reason, sizeof(x->reason), "MX: %s", answer->reason);
        finish(x, DNS_EXCHANGE_FAILED);
        return;
    case DNS_NO_NAME:
        explain(x, "the domain does not exist");
        finish(x, DNS_EXCHANGE_NO_DOMAIN);
        return;
    case DNS_NO_DATA:
        x->is_implicit = true;
        add_host(x, 0, x->domain);
        ask_for_addresses(x);
        return;
    case DNS_FOUND: break;
    }
    if (choose_hosts(x, answer)) {
        explain(x, "the domain takes no mail (null MX)");
        finish(x, DNS_EXCHANGE_NO_MAIL);
    } else if (x->hosts_count == 0) {
        explain(x, "the MX names no host");
        finish(x, DNS_EXCHANGE_NO_HOST);
    } else {
        ask_for_addresses(x);
    }
}

/* --- outside --------------------------------------------------------------------------------- */

void dns_exchange_init(struct dns_exchange *x)
{
    memset(x, 0, offsetof(struct dns_exchange, lookups)); /* add_host() fills what lies behind */
}

void dns_exchange_start(struct dns_exchange *x, struct dns_source *source, struct slice domain,
                        enum dns_exchange_kind kind, enum dns_exchange_families families,
                        void (*done)(struct dns_exchange *x))
{
    ASSERT(!dns_exchange_is_running(x) && source != NULL && done != NULL);
    ASSERT(families >= DNS_EXCHANGE_V4 && families <= DNS_EXCHANGE_V4_V6);
    x->source = source;
    x->done = done;
    x->kind = kind;
    x->families = families;
    x->security = DNS_INSECURE;
    x->is_implicit = false;
    x->ttl_s = DNS_EXCHANGE_TTL_S_MAX;
    x->hosts_count = 0;
    x->unsettled = 0;
    x->alias[0] = '\0';
    x->reason[0] = '\0';
    (void)dns_name_copy(domain, x->domain);
    if (kind == DNS_EXCHANGE_MX) {
        dns_query_start(&x->query, source, name_to_ask(x->domain), DNS_TYPE_MX, exchanges_came);
        return;
    }
    add_host(x, 0, x->domain);
    ask_for_addresses(x);
}

void dns_exchange_cancel(struct dns_exchange *x)
{
    if (x->source == NULL)
        return;
    dns_query_cancel(&x->query);
    for (size_t i = 0; i < x->hosts_count; i++) {
        dns_query_cancel(&x->lookups[i].v4);
        dns_query_cancel(&x->lookups[i].v6);
    }
    x->hosts_count = 0;
    x->unsettled = 0;
    x->source = NULL;
}

bool dns_exchange_is_running(const struct dns_exchange *x)
{
    return x->source != NULL;
}

enum dns_exchange_outcome dns_exchange_outcome(const struct dns_exchange *x)
{
    ASSERT(!dns_exchange_is_running(x));
    return x->outcome;
}

const char *dns_exchange_reason(const struct dns_exchange *x)
{
    return x->reason;
}

enum dns_security dns_exchange_security(const struct dns_exchange *x)
{
    return x->security;
}

const char *dns_exchange_alias(const struct dns_exchange *x)
{
    return x->alias;
}

const char *dns_exchange_domain(const struct dns_exchange *x)
{
    return x->domain;
}

bool dns_exchange_is_by_mx(const struct dns_exchange *x)
{
    return x->kind == DNS_EXCHANGE_MX && !x->is_implicit;
}

bool dns_exchange_is_implicit(const struct dns_exchange *x)
{
    return x->is_implicit;
}

uint32_t dns_exchange_ttl_s(const struct dns_exchange *x)
{
    return x->ttl_s;
}

size_t dns_exchange_hosts_count(const struct dns_exchange *x)
{
    ASSERT(!dns_exchange_is_running(x));
    return x->hosts_count;
}

const struct dns_exchange_host *dns_exchange_host(const struct dns_exchange *x, size_t index)
{
    ASSERT(!dns_exchange_is_running(x) && index < x->hosts_count);
    return &x->hosts[index];
}

bool dns_exchange_is_authentic(const struct dns_exchange *x, size_t index)
{
    return !dns_exchange_is_by_mx(x) || x->security == DNS_SECURE ||
           strcmp(dns_exchange_host(x, index)->name, x->domain) == 0;
}

bool dns_exchange_wants_tlsa(const struct dns_exchange *x, size_t index)
{
    const struct dns_exchange_host *h = dns_exchange_host(x, index);

    return (!dns_exchange_is_by_mx(x) || x->security == DNS_SECURE) &&
           (h->security == DNS_SECURE || h->is_alias);
}
