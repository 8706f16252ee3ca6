#include "dns/host.h"

#include "base/check.h"

static void finish(struct dns_host *h, enum dns_host_outcome outcome, size_t name)
{
    for (size_t i = 0; i < h->names; i++)
        dns_query_cancel(&h->forward[i].query);
    h->outcome = outcome;
    h->name = name;
    h->source = NULL;
    h->done(h); /* h may be gone now */
}

/* A name is decided for only when no name before it can still lead back. */
static void decide(struct dns_host *h)
{
    for (size_t i = 0; i < h->names; i++) {
        if (h->forward[i].leads_back) {
            finish(h, DNS_HOST_VERIFIED, i);
            return;
        }
        if (dns_query_is_running(&h->forward[i].query))
            return;
    }
    finish(h, DNS_HOST_MISMATCHED, 0);
}

static void addresses_came(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_host_forward *f = CONTAINER_OF(q, struct dns_host_forward, query);
    struct ip_address address;

    for (size_t i = 0; i < answer->records && !f->leads_back; i++)
        f->leads_back =
            dns_answer_address(answer, i, &address) && ip_equal(&address, &f->host->address);
    decide(f->host);
}

static bool is_known(const struct dns_host *h, const char *name)
{
    for (size_t i = 0; i < h->names; i++)
        if (slice_equal_nocase(slice_from(h->forward[i].name), slice_from(name)))
            return true;
    return false;
}

static void names_came(struct dns_query *q, const struct dns_answer *answer)
{
    struct dns_host *h = CONTAINER_OF(q, struct dns_host, reverse);
    enum dns_type type = ip_is_v4(&h->address) ? DNS_TYPE_A : DNS_TYPE_AAAA;
    char name[DNS_NAME_MAX];

    if (answer->outcome == DNS_FAILED) {
        finish(h, DNS_HOST_FAILED, 0);
        return;
    }
    for (size_t i = 0; i < answer->records && h->names < DNS_HOST_NAMES_MAX; i++) {
        if (!dns_answer_name(answer, i, name) || is_known(h, name))
            continue;
        h->forward[h->names].host = h;
        memcpy(h->forward[h->names].name, name, strlen(name) + 1);
        h->names++;
    }
    if (h->names == 0) {
        finish(h, DNS_HOST_NONE, 0);
        return;
    }
    for (size_t i = 0; i < h->names; i++)
        dns_query_start(&h->forward[i].query, h->source, slice_from(h->forward[i].name), type,
                        addresses_came);
}

void dns_host_start(struct dns_host *h, struct dns_source *source, const struct ip_address *address,
                    void (*done)(struct dns_host *h))
{
    char name[DNS_NAME_MAX];

    ASSERT(!dns_host_is_running(h) && source != NULL && done != NULL);
    *h = (struct dns_host){ .source = source, .address = *address, .done = done };
    dns_query_start(&h->reverse, source, slice_from(dns_name_reverse(address, name)), DNS_TYPE_PTR,
                    names_came);
}

void dns_host_cancel(struct dns_host *h)
{
    dns_query_cancel(&h->reverse);
    for (size_t i = 0; i < h->names; i++)
        dns_query_cancel(&h->forward[i].query);
    h->source = NULL;
}

bool dns_host_is_running(const struct dns_host *h)
{
    return h->source != NULL;
}

enum dns_host_outcome dns_host_outcome(const struct dns_host *h)
{
    ASSERT(!dns_host_is_running(h));
    return h->outcome;
}

struct slice dns_host_name(const struct dns_host *h)
{
    return h->names > 0 ? slice_from(h->forward[h->name].name) : (struct slice){ NULL, 0 };
}
