#include "gateway/next_hops.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/next_hops_search.h"
#include "gateway/worker.h"

/* --- results --------------------------------------------------------------------------------- */

struct gateway_next_hops *gateway_next_hops_acquire(struct gateway_next_hops *hops)
{
    ASSERT(hops->users_count > 0);
    hops->users_count++;
    return hops;
}

void gateway_next_hops_release(struct gateway_next_hops *hops)
{
    if (hops == NULL)
        return;
    ASSERT(hops->users_count > 0);
    if (--hops->users_count > 0)
        return;
    for (size_t i = 0; i < hops->hosts_count; i++) {
        free(hops->hosts[i].tlsa);
        free(hops->hosts[i].unusable);
    }
    for (struct gateway_left_out_host *h = hops->left_out, *next; h != NULL; h = next) {
        next = h->next;
        free(h->tlsa);
        free(h);
    }
    free((char *)(uintptr_t)hops->sts_policy.data);
    free(hops->hosts);
    free(hops);
}

/* --- the search ------------------------------------------------------------------------------ */

static struct gateway_next_hops *hops_create(enum gateway_next_hops_outcome outcome)
{
    struct gateway_next_hops *hops = calloc(1, sizeof(*hops));

    if (hops != NULL) {
        hops->users_count = 1;
        hops->outcome = outcome;
        hops->ttl_s = GATEWAY_NEXT_HOPS_TTL_S;
    }
    return hops;
}

static void search_destroy(struct gateway_next_hops_search *s)
{
    gateway_mta_sts_forget(&s->sts);
    for (size_t i = 0; i < s->tlsas_count; i++) {
        dns_tlsa_cancel(&s->tlsas[i]->tlsa);
        free(s->tlsas[i]);
    }
    for (size_t i = 0; i < s->lookups_count; i++)
        dns_exchange_cancel(&s->lookups[i].exchange);
    gateway_names_release(s->names);
    gateway_view_release(s->view);
    free(s->tlsas);
    free(s->lookups);
    free(s);
}

void gateway_next_hops_forget(struct gateway_next_hops_waiter *waiter)
{
    struct gateway_next_hops_search *s = waiter->search;

    waiter->search = NULL;
    if (s != NULL)
        search_destroy(s);
}

static struct gateway_next_hops *search_end(struct gateway_next_hops_search *s)
{
    struct gateway_next_hops *hops = hops_create(GATEWAY_NEXT_HOPS_FOUND);

    if (hops == NULL)
        return NULL;
    if (!s->is_out_of_memory && gateway_next_hops_assemble(s, hops) == STATUS_OK)
        return hops;
    gateway_next_hops_release(hops);
    return NULL;
}

/* All that was asked has been answered? Then so is the waiter. */
static void look_whether_done(struct gateway_next_hops_search *s)
{
    struct gateway_next_hops_waiter *waiter = s->waiter;
    struct gateway_next_hops *hops;

    if (s->lookups_open > 0 || s->tlsas_open > 0 || s->waits_for_sts)
        return;
    hops = search_end(s);
    waiter->search = NULL;
    search_destroy(s);
    waiter->found(waiter, hops);
}

static void on_tlsa(struct dns_tlsa *t)
{
    struct gateway_next_hops_search *s =
        CONTAINER_OF(t, struct gateway_next_hops_tlsa, tlsa)->search;

    ASSERT(s->tlsas_open > 0);
    s->tlsas_open--;
    look_whether_done(s);
}

static void on_sts(struct gateway_mta_sts_query *query, const struct policy_mta_sts *policy,
                   const char *reason)
{
    struct gateway_next_hops_search *s = CONTAINER_OF(query, struct gateway_next_hops_search, sts);

    (void)reason; /* it stays in the query */
    s->policy = policy;
    s->waits_for_sts = false;
    look_whether_done(s);
}

uint16_t gateway_next_hops_port(const struct gateway_next_hops_search *s,
                                const struct policy_route_host *host)
{
    if (host != NULL && host->port != 0)
        return host->port;
    return (uint16_t)gateway_view_settings(s->view)->delivery_port;
}

static void ask_tlsa(struct gateway_next_hops_search *s, const struct gateway_next_hops_lookup *l,
                     const struct dns_exchange_host *host)
{
    struct gateway_next_hops_tlsa *t = calloc(1, sizeof(*t));
    const struct dns_tlsa_wanted wanted = {
        .host = slice_from(host->name),
        .base = slice_from(host->base),
        .is_insecure = host->security != DNS_SECURE,
        .port = gateway_next_hops_port(s, l->host),
    };

    if (t == NULL) {
        s->is_out_of_memory = true;
        return;
    }
    t->search = s;
    t->exchange = &l->exchange;
    t->host = host;
    s->tlsas[s->tlsas_count++] = t;
    s->tlsas_open++;
    dns_tlsa_start(&t->tlsa, gateway_names_source(s->names), &wanted, on_tlsa);
}

/* The hosts are known: what do their zones say of their certificates? */
static void ask_tlsas(struct gateway_next_hops_search *s)
{
    if (s->destination->dane == POLICY_DANE_OFF || s->is_tls_optional)
        return;
    s->tlsas = calloc(s->lookups_count * DNS_EXCHANGE_HOSTS_MAX, sizeof(*s->tlsas));
    if (s->tlsas == NULL) {
        s->is_out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < s->lookups_count; i++) {
        const struct gateway_next_hops_lookup *l = &s->lookups[i];

        for (size_t k = 0; k < dns_exchange_hosts_count(&l->exchange); k++) {
            const struct dns_exchange_host *host = dns_exchange_host(&l->exchange, k);

            if (host->addresses_count > 0 && dns_exchange_wants_tlsa(&l->exchange, k))
                ask_tlsa(s, l, host);
        }
    }
}

static void on_exchange(struct dns_exchange *x)
{
    struct gateway_next_hops_search *s =
        CONTAINER_OF(x, struct gateway_next_hops_lookup, exchange)->search;

    ASSERT(s->lookups_open > 0);
    if (--s->lookups_open > 0)
        return;
    ask_tlsas(s);
    look_whether_done(s);
}

static enum dns_exchange_families families_of(enum policy_ip ip)
{
    switch (ip) {
    case POLICY_IP_REQUIRE_V6: return DNS_EXCHANGE_V6;
    case POLICY_IP_REQUIRE_V4: return DNS_EXCHANGE_V4;
    case POLICY_IP_PREFER_V6:
    case POLICY_IP_PREFER_V4: break;
    }
    return DNS_EXCHANGE_V4_V6;
}

static void look_up(struct gateway_next_hops_search *s, struct gateway_next_hops_lookup *l,
                    struct slice name, enum dns_exchange_kind kind)
{
    l->search = s;
    s->lookups_open++;
    dns_exchange_start(&l->exchange, gateway_names_source(s->names), name, kind,
                       families_of(s->destination->ip), on_exchange);
}

static size_t names_count(const struct policy_route *route)
{
    size_t count = 0;

    for (size_t i = 0; i < route->hosts_count; i++)
        count += route->hosts[i].lookup != POLICY_ROUTE_ADDRESS;
    return count;
}

/* Each is large, and hardly any of it is used: only what must be is cleared. */
static struct gateway_next_hops_lookup *lookups_create(size_t count)
{
    struct gateway_next_hops_lookup *lookups = malloc(count * sizeof(*lookups));

    for (size_t i = 0; lookups != NULL && i < count; i++) {
        lookups[i].host = NULL;
        dns_exchange_init(&lookups[i].exchange);
    }
    return lookups;
}

/* Starts what has to be asked: STATUS_NOT_FOUND when nobody can be. */
static enum status ask(struct gateway_next_hops_search *s, struct slice domain)
{
    size_t next = 0;

    s->lookups_count = s->route != NULL ? names_count(s->route) : 1;
    if (s->lookups_count == 0)
        return STATUS_OK;
    if (s->names == NULL)
        return STATUS_NOT_FOUND;
    s->lookups = lookups_create(s->lookups_count);
    if (s->lookups == NULL) {
        s->lookups_count = 0;
        return STATUS_NO_MEMORY;
    }
    if (s->route == NULL) {
        look_up(s, &s->lookups[0], domain, DNS_EXCHANGE_MX);
        if (s->destination->mta_sts && !s->is_tls_optional) {
            s->waits_for_sts = true;
            gateway_mta_sts_ask(s->worker->mta_sts, &s->sts, domain, on_sts);
        }
        return STATUS_OK;
    }
    for (size_t i = 0; i < s->route->hosts_count; i++) {
        const struct policy_route_host *host = &s->route->hosts[i];

        if (host->lookup == POLICY_ROUTE_ADDRESS)
            continue;
        s->lookups[next].host = host;
        look_up(s, &s->lookups[next++], host->host,
                host->lookup == POLICY_ROUTE_MX ? DNS_EXCHANGE_MX : DNS_EXCHANGE_ADDRESSES);
    }
    return STATUS_OK;
}

bool gateway_next_hops_find(struct gateway_worker *worker, struct gateway_view *view,
                            struct slice domain, bool is_tls_optional,
                            struct gateway_next_hops_waiter *waiter,
                            struct gateway_next_hops **hops_out)
{
    const struct policy_snapshot *policy = gateway_view_policy(view);
    const struct policy_route *route = policy_route_find(policy, domain);
    struct gateway_next_hops_search *s;
    enum status status;

    ASSERT(waiter->search == NULL && waiter->found != NULL);
    if (route != NULL && route->action == POLICY_ROUTE_DISCARD) {
        *hops_out = hops_create(GATEWAY_NEXT_HOPS_DISCARD);
        return true;
    }
    *hops_out = NULL;
    s = calloc(1, sizeof(*s));
    if (s == NULL)
        return true;
    s->worker = worker;
    s->view = gateway_view_acquire(view);
    s->names = worker->names != NULL ? gateway_names_acquire(worker->names) : NULL;
    s->destination = policy_destination_find(policy, domain);
    s->is_tls_optional = is_tls_optional && policy_tls_is_ignorable(s->destination);
    s->route = route != NULL && route->action == POLICY_ROUTE_HOSTS ? route : NULL;
    s->waiter = waiter;
    status = ask(s, domain);
    if (status == STATUS_OK && s->lookups_open > 0) {
        waiter->search = s;
        return false;
    }
    if (status == STATUS_OK) {
        *hops_out = search_end(s);
    } else if (status == STATUS_NOT_FOUND) {
        *hops_out = hops_create(GATEWAY_NEXT_HOPS_FAILED);
        if (*hops_out != NULL)
            (void)snprintf((*hops_out)->reason, sizeof((*hops_out)->reason),
                           "there is no resolver");
    }
    search_destroy(s);
    return true;
}
