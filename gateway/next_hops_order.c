#include <stdio.h>
#include <stdlib.h>

#include "gateway/mail_loop.h"
#include "gateway/next_hops_search.h"
#include "gateway/worker.h"

#define HOSTS_MAX      64 /* over all hosts of a route; what is beyond is not looked at */
#define CANDIDATES_MAX (HOSTS_MAX * DNS_EXCHANGE_ADDRESSES_MAX)

/* One address of one host, before all are put into their order. */
struct candidate {
    struct ip_endpoint endpoint;
    uint64_t rank; /* the lowest first */
    uint64_t lot;  /* decides between equals */
    uint8_t host;
};

struct order {
    const struct gateway_next_hops_search *search;
    struct gateway_next_hops *hops;
    struct candidate *candidates;
    size_t count;
    size_t candidates_max; /* CANDIDATES_MAX at most */
    size_t hosts_max;      /* HOSTS_MAX at most */
    size_t left_out_count;
    bool is_out_of_memory; /* what there is must not be used */
};

static_assert(HOSTS_MAX <= UINT8_MAX + 1, "a host's number fits");
static_assert(GATEWAY_NEXT_HOPS_STS_REASON_MAX == GATEWAY_MTA_STS_REASON_MAX, "a reason fits");

static bool is_later_family(enum policy_ip ip, const struct ip_address *address)
{
    bool wants_v4 = ip == POLICY_IP_PREFER_V4 || ip == POLICY_IP_REQUIRE_V4;

    return ip_is_v4(address) != wants_v4;
}

static void add_candidate(struct order *o, const struct ip_address *address, uint16_t port,
                          uint16_t priority, uint16_t preference)
{
    const struct gateway_next_hops_search *s = o->search;

    if (o->count == o->candidates_max)
        return;
    o->candidates[o->count++] = (struct candidate){
        .endpoint = { *address, port },
        .rank = (uint64_t)priority << 32 | (uint64_t)preference << 8 |
                is_later_family(s->destination->ip, address),
        .lot = gateway_worker_random(s->worker),
        .host = (uint8_t)(o->hops->hosts_count - 1),
    };
}

static const struct gateway_next_hops_tlsa *tlsa_of(const struct gateway_next_hops_search *s,
                                                    const struct dns_exchange_host *host)
{
    for (size_t i = 0; host != NULL && i < s->tlsas_count; i++)
        if (s->tlsas[i]->host == host)
            return s->tlsas[i];
    return NULL;
}

static size_t names_of(const struct gateway_next_hops_tlsa *found,
                       struct slice names[static DNS_DANE_NAMES_MAX])
{
    const struct dns_exchange *x = found->exchange;
    const struct dns_dane_way way = {
        .base = slice_from(dns_tlsa_base(&found->tlsa)),
        .host = slice_from(found->host->name),
        .domain = slice_from(dns_exchange_domain(x)),
        .alias = slice_from(dns_exchange_alias(x)),
        .is_by_mx = dns_exchange_is_by_mx(x),
        .is_mx_secure = dns_exchange_security(x) == DNS_SECURE,
    };

    return dns_dane_names(&way, names);
}

static struct slice keep(char **at, struct slice bytes)
{
    struct slice kept = { *at, bytes.len };

    memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
    return kept;
}

/* A copy of the records, and of the names that go with them; NULL: no memory. */
static struct gateway_next_tlsa *records_copy(const struct gateway_next_hops_tlsa *found)
{
    const struct dns_tlsa *t = &found->tlsa;
    struct slice names[DNS_DANE_NAMES_MAX];
    size_t names_count = names_of(found, names), bytes = 0;
    struct gateway_next_tlsa *copy;
    char *at;

    for (size_t i = 0; i < names_count; i++)
        bytes += names[i].len;
    for (size_t i = 0; i < dns_tlsa_records_count(t); i++)
        bytes += dns_tlsa_record(t, i).data.len;
    copy = calloc(1, sizeof(*copy) + bytes);
    if (copy == NULL)
        return NULL;
    (void)snprintf(copy->base, sizeof(copy->base), "%s", dns_tlsa_base(t));
    at = copy->bytes;
    for (; copy->names_count < names_count; copy->names_count++)
        copy->names[copy->names_count] = keep(&at, names[copy->names_count]);
    for (size_t i = 0; i < dns_tlsa_records_count(t); i++) {
        const struct dns_association a = dns_tlsa_record(t, i);

        copy->records[copy->records_count++] =
            (struct tls_dane_record){ a.usage, a.selector, a.matching, keep(&at, a.data) };
    }
    return copy;
}

/* What the zone of the host says; false: for want of memory. The copy is the caller's. */
static bool judge_tlsa(const struct gateway_next_hops_search *s,
                       const struct gateway_next_hops_tlsa *t, enum policy_dane_found *dane_out,
                       struct gateway_next_tlsa **copy_out)
{
    size_t usable = 0;

    *copy_out = records_copy(t);
    if (*copy_out == NULL)
        return false;
    *dane_out = POLICY_DANE_UNUSABLE;
    if (tls_dane_count_usable(gateway_view_client(s->view, s->destination), (*copy_out)->records,
                              (*copy_out)->records_count, &usable) != STATUS_OK)
        return false;
    if (usable > 0)
        *dane_out = POLICY_DANE_USABLE;
    return true;
}

static void leave_out(struct gateway_next_hops *hops, const char *name, const char *why)
{
    (void)snprintf(hops->reason, sizeof(hops->reason), "%.*s: %s", DNS_NAME_MAX,
                   name[0] != '\0' ? name : "the route's host", why);
    hops->outcome = GATEWAY_NEXT_HOPS_NO_TLS;
}

/* For the reports; takes tlsa. Without memory it is not counted. */
static void note_left_out(struct order *o, const char *name, enum observe_tls_policy_type policy,
                          enum observe_tls_result_type result, struct gateway_next_tlsa *tlsa)
{
    struct gateway_next_hops *hops = o->hops;
    struct gateway_left_out_host *host =
        o->left_out_count < HOSTS_MAX ? calloc(1, sizeof(*host)) : NULL;

    if (host == NULL) {
        free(tlsa);
        return;
    }
    host->policy = policy;
    host->result = result;
    host->tlsa = tlsa;
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    (void)snprintf(host->reason, sizeof(host->reason), "%s", hops->reason);
    host->next = hops->left_out;
    hops->left_out = host;
    o->left_out_count++;
}

/* A host that DANE or MTA-STS forbids; takes tlsa. RFC 8460 4.3 has no type for a host that is not
 * of the MTA-STS policy: the policy is valid, the general one is meant for it. */
static void note_obstacle(struct order *o, const char *name, enum policy_tls_obstacle obstacle,
                          enum policy_dane_found dane, struct gateway_next_tlsa *tlsa)
{
    leave_out(o->hops, name, policy_tls_obstacle_text(obstacle));
    if (obstacle == POLICY_TLS_NOT_ALLOWED)
        note_left_out(o, name, OBSERVE_TLS_POLICY_STS, OBSERVE_TLS_VALIDATION_FAILURE, tlsa);
    else
        note_left_out(o, name, OBSERVE_TLS_POLICY_TLSA,
                      dane == POLICY_DANE_UNUSABLE ? OBSERVE_TLS_TLSA_INVALID
                                                   : OBSERVE_TLS_DANE_REQUIRED,
                      tlsa);
}

/* What is known of the host's TLS before anybody connects; false: it must not be used. */
static bool find_facts(struct order *o, const char *name, const struct dns_exchange_host *found,
                       struct policy_tls_facts *facts, struct gateway_next_tlsa **tlsa_out)
{
    const struct gateway_next_hops_search *s = o->search;
    const struct gateway_next_hops_tlsa *t = tlsa_of(s, found);

    facts->is_optional = s->is_tls_optional;
    if (s->policy != NULL) {
        facts->sts =
            s->policy->mode == POLICY_MTA_STS_ENFORCE ? POLICY_STS_ENFORCED : POLICY_STS_TESTING;
        facts->is_host_of_sts = policy_mta_sts_allows(s->policy, slice_from(name));
    }
    if (t != NULL && dns_tlsa_ttl_s(&t->tlsa) < o->hops->ttl_s)
        o->hops->ttl_s = dns_tlsa_ttl_s(&t->tlsa);
    if (t == NULL || dns_tlsa_outcome(&t->tlsa) == DNS_TLSA_NONE)
        return true;
    if (dns_tlsa_outcome(&t->tlsa) == DNS_TLSA_FOUND) {
        if (judge_tlsa(s, t, &facts->dane, tlsa_out))
            return true;
        o->is_out_of_memory = true;
        return false;
    }
    leave_out(o->hops, name, dns_tlsa_reason(&t->tlsa));
    /* No answer, or one that is bogus, which a cache may have made of it: "no valid records were
     * returned from the recursive resolver" (RFC 8460 4.3.2.1). */
    note_left_out(o, name, OBSERVE_TLS_POLICY_TLSA, OBSERVE_TLS_DNSSEC_INVALID, NULL);
    return false;
}

/* Takes up a host with the TLS that is demanded of it; false: it must not be used. found: NULL for
 * an address. */
static bool add_host(struct order *o, const char *name, const struct dns_exchange_host *found)
{
    struct policy_tls_facts facts = { 0 };
    struct gateway_next_hops *hops = o->hops;
    struct gateway_next_tlsa *tlsa = NULL;
    struct policy_tls_demand demand;
    struct gateway_next_host *host;

    if (hops->hosts_count == o->hosts_max)
        return false;
    if (!find_facts(o, name, found, &facts, &tlsa)) {
        free(tlsa);
        return false;
    }
    demand = policy_tls_demand_of(o->search->destination, &facts);
    if (demand.obstacle != POLICY_TLS_NO_OBSTACLE) {
        note_obstacle(o, name, demand.obstacle, facts.dane, tlsa);
        return false;
    }
    host = &hops->hosts[hops->hosts_count++];
    host->demand = demand;
    host->is_name_authentic = true;
    if (demand.check == POLICY_TLS_CHECK_DANE)
        host->tlsa = tlsa;
    else
        host->unusable = tlsa;
    host->is_unlisted = facts.sts != POLICY_STS_NOT_FOUND && !facts.is_host_of_sts;
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    return true;
}

static void fail(struct gateway_next_hops *hops, enum gateway_next_hops_outcome outcome,
                 const char *reason)
{
    hops->outcome = outcome;
    (void)snprintf(hops->reason, sizeof(hops->reason), "%s", reason);
}

static void fail_by_loop(struct gateway_next_hops *hops, const struct dns_exchange *x,
                         uint32_t limit)
{
    const struct dns_exchange_host *awaited = gateway_mail_loop_awaited(x, limit);

    if (awaited != NULL)
        fail(hops, GATEWAY_NEXT_HOPS_FAILED, awaited->reason);
    else
        fail(hops, GATEWAY_NEXT_HOPS_LOOP, "its best host is this one");
}

static enum gateway_next_hops_outcome outcome_of(enum dns_exchange_outcome outcome)
{
    switch (outcome) {
    case DNS_EXCHANGE_FOUND: return GATEWAY_NEXT_HOPS_FOUND;
    case DNS_EXCHANGE_NO_DOMAIN: return GATEWAY_NEXT_HOPS_NO_DOMAIN;
    case DNS_EXCHANGE_NO_MAIL: return GATEWAY_NEXT_HOPS_NO_MAIL;
    case DNS_EXCHANGE_NO_HOST: return GATEWAY_NEXT_HOPS_NO_HOST;
    case DNS_EXCHANGE_FAILED: return GATEWAY_NEXT_HOPS_FAILED;
    }
    UNREACHABLE();
}

/* Of the host that was taken up last: an unsigned answer is all that names it. */
static void doubt_name(struct gateway_next_hops *hops)
{
    struct gateway_next_host *host = &hops->hosts[hops->hosts_count - 1];

    host->is_name_authentic = host->demand.authority == POLICY_TLS_BY_MTA_STS;
}

static void add_lookup(struct order *o, const struct gateway_next_hops_lookup *l)
{
    const struct gateway_next_hops_search *s = o->search;
    const struct dns_exchange *x = &l->exchange;
    uint32_t limit = GATEWAY_MAIL_LOOP_NONE;

    if (dns_exchange_ttl_s(x) < o->hops->ttl_s)
        o->hops->ttl_s = dns_exchange_ttl_s(x);
    if (dns_exchange_outcome(x) != DNS_EXCHANGE_FOUND) {
        /* That one host of a route does not exist is for now, too: it may be about to. */
        if (o->hops->outcome != GATEWAY_NEXT_HOPS_FAILED)
            fail(o->hops,
                 l->host != NULL ? GATEWAY_NEXT_HOPS_FAILED : outcome_of(dns_exchange_outcome(x)),
                 dns_exchange_reason(x));
        return;
    }
    if (l->host == NULL)
        limit = gateway_mail_loop_limit(gateway_view_settings(s->view), x);
    if (limit != GATEWAY_MAIL_LOOP_NONE)
        fail_by_loop(o->hops, x, limit);
    for (size_t i = 0; i < dns_exchange_hosts_count(x); i++) {
        const struct dns_exchange_host *host = dns_exchange_host(x, i);

        if (host->addresses_count == 0 || host->preference >= limit ||
            !add_host(o, host->name, host))
            continue;
        if (!dns_exchange_is_authentic(x, i))
            doubt_name(o->hops);
        for (size_t k = 0; k < host->addresses_count; k++)
            add_candidate(o, &host->addresses[k], gateway_next_hops_port(s, l->host),
                          l->host != NULL ? l->host->priority : 0, host->preference);
    }
}

static void add_addresses(struct order *o)
{
    const struct policy_route *route = o->search->route;

    for (size_t i = 0; i < route->hosts_count; i++)
        if (route->hosts[i].lookup == POLICY_ROUTE_ADDRESS && add_host(o, "", NULL))
            add_candidate(o, &route->hosts[i].address,
                          gateway_next_hops_port(o->search, &route->hosts[i]),
                          route->hosts[i].priority, 0);
}

static int compare(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->lot < b->lot ? -1 : a->lot > b->lot;
}

/* Preferences are the numbers of the ranks: the scheduler knows no others. */
static void fill_endpoints(struct order *o)
{
    struct gateway_next_hops *hops = o->hops;
    uint16_t preference = 0;

    qsort(o->candidates, o->count, sizeof(*o->candidates), compare);
    for (size_t i = 0; i < o->count && hops->endpoints_count < DELIVERY_ENDPOINTS_MAX; i++) {
        if (i > 0 && o->candidates[i].rank != o->candidates[i - 1].rank)
            preference++;
        hops->host_of[hops->endpoints_count] = o->candidates[i].host;
        hops->endpoints[hops->endpoints_count++] =
            (struct delivery_endpoint){ o->candidates[i].endpoint, preference };
    }
}

/* Whether there is an MTA-STS policy could not be found out: to go on would be to do without. */
static bool is_policy_unknown(const struct gateway_next_hops_search *s)
{
    return s->route == NULL && s->destination->mta_sts && !s->is_tls_optional &&
           s->sts.outcome == GATEWAY_MTA_STS_UNKNOWN;
}

/* Room for all there may be, and no more: nearly every domain has a host or two, and blocks large
 * enough for the worst are mapped and cleared anew each time. */
static enum status make_room(struct order *o)
{
    const struct gateway_next_hops_search *s = o->search;
    size_t hosts = s->route != NULL ? s->route->hosts_count : 0, candidates = hosts;

    for (size_t i = 0; i < s->lookups_count; i++) {
        const struct dns_exchange *x = &s->lookups[i].exchange;

        hosts += dns_exchange_hosts_count(x);
        for (size_t k = 0; k < dns_exchange_hosts_count(x); k++)
            candidates += dns_exchange_host(x, k)->addresses_count;
    }
    o->hosts_max = hosts < HOSTS_MAX ? hosts : HOSTS_MAX;
    o->candidates_max = candidates < CANDIDATES_MAX ? candidates : CANDIDATES_MAX;
    o->hops->hosts = calloc(o->hosts_max + 1, sizeof(*o->hops->hosts)); /* none is not NULL */
    o->candidates = calloc(o->candidates_max + 1, sizeof(*o->candidates));
    return o->hops->hosts != NULL && o->candidates != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status gateway_next_hops_assemble(const struct gateway_next_hops_search *s,
                                       struct gateway_next_hops *hops)
{
    struct order order = { .search = s, .hops = hops };

    if (make_room(&order) != STATUS_OK) {
        free(order.candidates);
        return STATUS_NO_MEMORY;
    }
    hops->is_route = s->route != NULL;
    hops->is_tls_optional = s->is_tls_optional;
    if (s->policy != NULL) {
        char *text = malloc(s->policy->text.len + 1);

        if (text == NULL) {
            free(order.candidates);
            return STATUS_NO_MEMORY;
        }
        memcpy(text, s->policy->text.data, s->policy->text.len);
        hops->sts_policy = (struct slice){ text, s->policy->text.len };
    }
    if (s->route != NULL)
        add_addresses(&order);
    hops->sts_trouble = s->sts.trouble;
    (void)snprintf(hops->sts_reason, sizeof(hops->sts_reason), "%s", s->sts.reason);
    if (is_policy_unknown(s))
        fail(hops, GATEWAY_NEXT_HOPS_FAILED, s->sts.reason);
    for (size_t i = 0; i < s->lookups_count && !is_policy_unknown(s); i++)
        add_lookup(&order, &s->lookups[i]);
    fill_endpoints(&order);
    free(order.candidates);
    if (order.is_out_of_memory)
        return STATUS_NO_MEMORY;
    if (hops->endpoints_count > 0) {
        hops->outcome = GATEWAY_NEXT_HOPS_FOUND;
        hops->reason[0] = '\0';
    }
    ASSERT((hops->endpoints_count > 0) == (hops->outcome == GATEWAY_NEXT_HOPS_FOUND));
    return STATUS_OK;
}
