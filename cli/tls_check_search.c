#include "cli/tls_check_search.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/mail_loop.h"

struct tlscheck_lookup {
    struct tlscheck_search *search;
    struct slice name; /* borrowed */
    uint16_t port, priority;
    struct dns_exchange exchange;
};

/* The question about one host. */
struct tlscheck_records {
    struct tlscheck_search *search;
    struct tlscheck_host *host;
    struct dns_tlsa tlsa;
};

/* --- hosts ----------------------------------------------------------------------------------- */

static void add_address(struct tlscheck_findings *f, size_t host, const struct ip_address *address)
{
    if (f->addresses_count == TLSCHECK_ADDRESSES_MAX) {
        f->addresses_left_out++;
        return;
    }
    f->addresses[f->addresses_count++] =
        (struct tlscheck_address){ .host = host, .endpoint = { *address, f->hosts[host].port } };
}

/* NULL: there are too many. */
static struct tlscheck_host *add_host(struct tlscheck_search *s, const char *name, uint16_t port,
                                      uint16_t priority)
{
    struct tlscheck_findings *f = s->findings;
    struct tlscheck_host *host;

    if (f->hosts_count == TLSCHECK_HOSTS_MAX)
        return NULL;
    host = &f->hosts[f->hosts_count++];
    host->port = port;
    host->priority = priority;
    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    return host;
}

static void add_literal(struct tlscheck_search *s, const struct ip_address *address, uint16_t port,
                        uint16_t priority)
{
    struct tlscheck_host *host = add_host(s, "", port, priority);

    if (host == NULL) {
        s->findings->addresses_left_out++;
        return;
    }
    host->no_tlsa = "an address has none";
    add_address(s->findings, s->findings->hosts_count - 1, address);
}

/* RFC 7672 2.2; the rule itself is dns_exchange_wants_tlsa(). */
static const char *why_no_tlsa(const struct tlscheck_search *s, const struct tlscheck_lookup *l)
{
    if (!s->findings->is_validating)
        return "no trust anchor: answers of the DNS are not validated";
    if (dns_exchange_is_by_mx(&l->exchange) && dns_exchange_security(&l->exchange) != DNS_SECURE)
        return "the MX records are not signed (DNSSEC)";
    return "the zone of the host is not signed (DNSSEC)";
}

/* --- the end --------------------------------------------------------------------------------- */

static void end_search(struct tlscheck_search *s)
{
    struct tlscheck_findings *f = s->findings;

    ASSERT(s->is_running && s->lookups_open == 0 && s->records_open == 0);
    if (s->is_out_of_memory) {
        f->outcome = DNS_EXCHANGE_FAILED;
        (void)snprintf(f->reason, sizeof(f->reason), "no memory");
    }
    /* One host of a route is enough to send to. */
    if (f->is_route && f->addresses_count > 0)
        f->outcome = DNS_EXCHANGE_FOUND;
    s->is_running = false;
    s->done(s);
}

/* Hosts and records are asked for side by side: of a route one host can have its records before
 * another has its addresses. */
static void end_when_complete(struct tlscheck_search *s)
{
    if (s->lookups_open == 0 && s->records_open == 0)
        end_search(s);
}

static void on_task(struct engine_task *task)
{
    end_search(CONTAINER_OF(task, struct tlscheck_search, task));
}

/* --- TLSA records ---------------------------------------------------------------------------- */

static void count_usable(const struct tlscheck_search *s, struct tlscheck_host *host)
{
    const struct dns_tlsa *t = host->tlsa;
    struct tls_dane_record records[DNS_TLSA_RECORDS_MAX];

    for (size_t i = 0; i < dns_tlsa_records_count(t); i++) {
        const struct dns_association a = dns_tlsa_record(t, i);

        records[i] = (struct tls_dane_record){ a.usage, a.selector, a.matching, a.data };
    }
    /* None is usable without memory: they are as if they could not be read. */
    if (tls_dane_count_usable(s->tls, records, dns_tlsa_records_count(t), &host->tlsa_usable) !=
        STATUS_OK)
        host->tlsa_usable = 0;
}

static void on_tlsa(struct dns_tlsa *t)
{
    struct tlscheck_records *r = CONTAINER_OF(t, struct tlscheck_records, tlsa);
    struct tlscheck_search *s = r->search;

    ASSERT(s->records_open > 0);
    r->host->tlsa = malloc(sizeof(*t));
    if (r->host->tlsa == NULL) {
        s->is_out_of_memory = true;
    } else {
        *r->host->tlsa = *t;
        if (dns_tlsa_outcome(t) == DNS_TLSA_FOUND)
            count_usable(s, r->host);
    }
    s->records_open--;
    end_when_complete(s);
}

static void ask_records(struct tlscheck_search *s, const struct tlscheck_lookup *l, size_t index,
                        struct tlscheck_host *host)
{
    const struct dns_exchange_host *found = dns_exchange_host(&l->exchange, index);
    const struct dns_tlsa_wanted wanted = {
        .host = slice_from(found->name),
        .base = slice_from(found->base),
        .is_insecure = found->security != DNS_SECURE,
        .port = host->port,
    };
    struct tlscheck_records *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        s->is_out_of_memory = true;
        return;
    }
    r->search = s;
    r->host = host;
    s->records[s->records_count++] = r;
    s->records_open++;
    dns_tlsa_start(&r->tlsa, s->source, &wanted, on_tlsa);
}

/* --- the DNS --------------------------------------------------------------------------------- */

/* As in gateway/next_hops_order.c. */
static uint32_t preference_limit(const struct tlscheck_search *s, const struct dns_exchange *x)
{
    if (s->settings == NULL || s->findings->is_route || x->kind != DNS_EXCHANGE_MX)
        return GATEWAY_MAIL_LOOP_NONE;
    return gateway_mail_loop_limit(s->settings, x);
}

static void add_found(struct tlscheck_search *s, const struct tlscheck_lookup *l, size_t index,
                      uint32_t limit)
{
    const struct dns_exchange_host *found = dns_exchange_host(&l->exchange, index);
    struct tlscheck_host *host = add_host(s, found->name, l->port, l->priority);

    if (host == NULL) {
        s->findings->addresses_left_out += found->addresses_count;
        return;
    }
    host->preference = found->preference;
    host->is_alias = found->is_alias;
    if (dns_exchange_is_by_mx(&l->exchange)) {
        (void)snprintf(host->mx_of, sizeof(host->mx_of), "%s", dns_exchange_domain(&l->exchange));
        (void)snprintf(host->mx_alias, sizeof(host->mx_alias), "%s",
                       dns_exchange_alias(&l->exchange));
        host->is_mx_secure = dns_exchange_security(&l->exchange) == DNS_SECURE;
    }
    host->outcome = found->outcome;
    (void)snprintf(host->reason, sizeof(host->reason), "%s", found->reason);
    host->is_unused = found->preference >= limit;
    if (host->is_unused) {
        host->is_ourselves = gateway_mail_loop_is_us(s->settings, found->name);
        host->no_tlsa = "the host is not used";
        return;
    }
    for (size_t k = 0; k < found->addresses_count; k++)
        add_address(s->findings, s->findings->hosts_count - 1, &found->addresses[k]);
    if (found->addresses_count == 0)
        host->no_tlsa = "the host has no address";
    else if (!dns_exchange_wants_tlsa(&l->exchange, index))
        host->no_tlsa = why_no_tlsa(s, l);
    else
        ask_records(s, l, index, host);
}

/* A host of a route that the DNS says nothing of is one of its hosts all the same. */
static void add_failed(struct tlscheck_search *s, const struct tlscheck_lookup *l,
                       const char *reason)
{
    char name[DNS_NAME_MAX];
    struct tlscheck_host *host;

    (void)snprintf(name, sizeof(name), "%.*s", SLICE_ARGS(l->name));
    host = add_host(s, name, l->port, l->priority);
    if (host == NULL) {
        s->findings->addresses_left_out++;
        return;
    }
    host->outcome = DNS_FAILED;
    host->no_tlsa = "the host has no address";
    (void)snprintf(host->reason, sizeof(host->reason), "%.*s", DNS_EXCHANGE_WHY_MAX - 1, reason);
}

/* Where nothing is left but hosts that lead in a circle. */
static void look_for_loop(struct tlscheck_findings *f, const struct dns_exchange *x, uint32_t limit)
{
    const struct dns_exchange_host *awaited = gateway_mail_loop_awaited(x, limit);

    if (f->addresses_count + f->addresses_left_out > 0 ||
        dns_exchange_outcome(x) != DNS_EXCHANGE_FOUND)
        return;
    f->is_loop = awaited == NULL;
    if (awaited == NULL)
        return;
    f->outcome = DNS_EXCHANGE_FAILED;
    (void)snprintf(f->reason, sizeof(f->reason), "%s: %s", awaited->name, awaited->reason);
}

static void on_exchange(struct dns_exchange *x)
{
    struct tlscheck_lookup *l = CONTAINER_OF(x, struct tlscheck_lookup, exchange);
    struct tlscheck_search *s = l->search;
    struct tlscheck_findings *f = s->findings;

    uint32_t limit = preference_limit(s, x);

    ASSERT(s->lookups_open > 0);
    s->lookups_open--;
    f->mx_security = dns_exchange_security(x);
    f->has_mx = !f->is_route && dns_exchange_is_by_mx(x);
    if (dns_exchange_outcome(x) != DNS_EXCHANGE_FOUND) {
        /* Of a route: for now, as for a delivery. */
        f->outcome = f->is_route ? DNS_EXCHANGE_FAILED : dns_exchange_outcome(x);
        (void)snprintf(f->reason, sizeof(f->reason), "%s", dns_exchange_reason(x));
    }
    for (size_t i = 0; i < dns_exchange_hosts_count(x); i++)
        add_found(s, l, i, limit);
    if (limit != GATEWAY_MAIL_LOOP_NONE)
        look_for_loop(f, x, limit);
    if (f->is_route && dns_exchange_hosts_count(x) == 0)
        add_failed(s, l, dns_exchange_reason(x));
    end_when_complete(s);
}

static void look_up(struct tlscheck_search *s, struct slice name, enum dns_exchange_kind kind,
                    uint16_t port, uint16_t priority)
{
    struct tlscheck_lookup *l = &s->lookups[s->lookups_count++];

    l->search = s;
    l->name = name;
    l->port = port;
    l->priority = priority;
    s->lookups_open++;
    dns_exchange_start(&l->exchange, s->source, name, kind, DNS_EXCHANGE_V4_V6, on_exchange);
}

static void start_route(struct tlscheck_search *s, const struct policy_route *route)
{
    for (size_t i = 0; i < route->hosts_count; i++) {
        const struct policy_route_host *host = &route->hosts[i];
        uint16_t port = host->port != 0 ? host->port : s->port;

        if (host->lookup == POLICY_ROUTE_ADDRESS)
            add_literal(s, &host->address, port, host->priority);
        else
            look_up(s, host->host,
                    host->lookup == POLICY_ROUTE_MX ? DNS_EXCHANGE_MX : DNS_EXCHANGE_ADDRESSES,
                    port, host->priority);
    }
}

static void start_target(struct tlscheck_search *s)
{
    const struct tlscheck_target *t = &s->findings->target;
    uint16_t port = t->port != 0 ? t->port : s->port;

    if (t->is_address)
        add_literal(s, &t->address, port, 0);
    else
        look_up(s, slice_from(t->name), t->is_host ? DNS_EXCHANGE_ADDRESSES : DNS_EXCHANGE_MX, port,
                0);
}

void tlscheck_search_start(struct tlscheck_search *s, struct tlscheck_findings *findings,
                           const struct tlscheck_search_options *options,
                           void (*done)(struct tlscheck_search *s))
{
    const struct policy_route *route = options->route;
    bool is_route = route != NULL && route->action == POLICY_ROUTE_HOSTS;

    *s = (struct tlscheck_search){ .findings = findings,
                                   .loop = options->loop,
                                   .source = options->source,
                                   .tls = options->tls,
                                   .settings = options->settings,
                                   .port = options->port,
                                   .done = done,
                                   .is_running = true };
    findings->is_route = is_route;
    findings->is_discarded = route != NULL && route->action == POLICY_ROUTE_DISCARD;
    s->lookups = calloc(is_route ? route->hosts_count : 1, sizeof(*s->lookups));
    if (s->lookups == NULL)
        s->is_out_of_memory = true;
    else if (is_route)
        start_route(s, route);
    else if (!findings->is_discarded)
        start_target(s);
    if (s->lookups_open == 0)
        engine_loop_defer(s->loop, &s->task, on_task);
}

void tlscheck_search_cut(struct tlscheck_search *s)
{
    if (!s->is_running)
        return;
    for (size_t i = 0; i < s->lookups_count; i++) {
        if (s->findings->is_route && dns_exchange_is_running(&s->lookups[i].exchange))
            add_failed(s, &s->lookups[i], "no answer in time");
        dns_exchange_cancel(&s->lookups[i].exchange);
    }
    for (size_t i = 0; i < s->records_count; i++)
        dns_tlsa_cancel(&s->records[i]->tlsa);
    engine_loop_defer_cancel(s->loop, &s->task);
    if (s->lookups_open > 0 && s->findings->outcome == DNS_EXCHANGE_FOUND) {
        s->findings->outcome = DNS_EXCHANGE_FAILED;
        (void)snprintf(s->findings->reason, sizeof(s->findings->reason), "no answer in time");
    }
    s->lookups_open = s->records_open = 0;
    end_search(s);
}

void tlscheck_search_finish(struct tlscheck_search *s)
{
    ASSERT(!s->is_running && s->lookups_open == 0 && s->records_open == 0);
    for (size_t i = 0; i < s->records_count; i++)
        free(s->records[i]);
    free(s->lookups);
    *s = (struct tlscheck_search){ .loop = NULL };
}
