#include "gateway/hop_tls.h"

#include <stdio.h>

#include "gateway/worker.h"
#include "tls/post_quantum.h"
#include "tls/resumption.h"

void gateway_hop_tls_init(struct gateway_hop_tls *t, struct gateway_worker *worker,
                          const struct gateway_view *view,
                          const struct policy_destination *destination, struct slice domain,
                          const struct gateway_next_hops *hops,
                          const struct gateway_next_host *host)
{
    *t = (struct gateway_hop_tls){
        .worker = worker,
        .view = view,
        .destination = destination,
        .hops = hops,
        .host = host,
        .domain = domain,
    };
}

void gateway_hop_tls_finish(struct gateway_hop_tls *t)
{
    dns_host_cancel(&t->ptr);
    gateway_names_release(t->names);
    t->names = NULL;
}

/* --- the session ----------------------------------------------------------------------------- */

static enum status expect_dane(const struct gateway_hop_tls *t, struct tls_session *session)
{
    const struct gateway_next_tlsa *tlsa = t->host->tlsa;
    /* RFC 7672 3.2.2 and 3.2.3: what a certificate below a DANE-TA may be for. */
    const struct slice names[] = { slice_from(tlsa->base), t->domain, slice_from(t->host->name),
                                   slice_from(t->hops->alias) };
    size_t usable;

    static_assert(ARRAY_LEN(names) <= TLS_DANE_NAMES_MAX, "all of them count");
    return tls_session_expect_dane(session, names, ARRAY_LEN(names), tlsa->records,
                                   tlsa->records_count, &usable);
}

/* What another connection must have in common to trust what was found out in this one. */
static void resume(struct gateway_hop_tls *t, struct tls_session *session)
{
    const struct policy_tls_demand *demand = &t->host->demand;
    char key[IP_ENDPOINT_MAX + 32], remote[IP_ENDPOINT_MAX];

    (void)snprintf(key, sizeof(key), "%s %d %d", ip_endpoint_format(&t->remote, remote),
                   (int)demand->check, (int)demand->authority);
    tls_session_resume_from(session, t->worker->resumption, slice_from(key),
                            (int64_t)(gateway_worker_now_ms(t->worker) / 1000));
}

/* The host is known to stumble over a post-quantum key share. */
static bool is_classic(const struct gateway_hop_tls *t)
{
    return gateway_host_marks_has(&t->worker->classic, gateway_worker_now_ms(t->worker),
                                  &t->remote);
}

enum status gateway_hop_tls_session(struct gateway_hop_tls *t, struct tls_session **session_out)
{
    const struct gateway_next_host *host = t->host;
    const char *server_name = host->tlsa != NULL ? host->tlsa->base : host->name;
    struct tls_session *session;

    TRY(tls_session_create(gateway_view_client(t->view, t->destination), TLS_ROLE_CLIENT,
                           server_name[0] != '\0' ? server_name : NULL, &session));
    if (host->tlsa != NULL && expect_dane(t, session) != STATUS_OK) {
        tls_session_destroy(session);
        return STATUS_NO_MEMORY;
    }
    if (is_classic(t))
        (void)tls_session_without_post_quantum(session);
    resume(t, session);
    t->session = session;
    *session_out = session;
    return STATUS_OK;
}

bool gateway_hop_tls_may_be_cured(const struct gateway_hop_tls *t)
{
    return t->session != NULL && !is_classic(t) && tls_session_blames_post_quantum(t->session);
}

/* --- the judgement --------------------------------------------------------------------------- */

/* The two algorithms of AsyncOS, and that of RFC 8461 4.2, which knows no name but the host's. */
static void check_names(struct gateway_hop_tls *t, enum tls_check_algorithm algorithm,
                        struct slice domain)
{
    const struct slice host = slice_from(t->host->name);
    const struct slice ptr = dns_host_name(&t->ptr);
    const bool is_ptr_good = ptr.len > 0 && t->names != NULL && !dns_host_is_running(&t->ptr) &&
                             dns_host_outcome(&t->ptr) == DNS_HOST_VERIFIED;
    struct tls_peer_wanted wanted = { .domain = domain };
    struct tls_peer_check check;

    if (is_ptr_good)
        wanted.ptr = (struct tls_hosts){ &ptr, 1 };
    if (host.len > 0 && t->hops->is_route)
        wanted.route = (struct tls_hosts){ &host, 1 };
    else if (host.len > 0)
        wanted.mx = (struct tls_hosts){ &host, 1 };
    tls_session_check_peer(t->session, algorithm, &wanted, &check);
    t->is_verified = check.is_matched;
    (void)snprintf(t->text, sizeof(t->text), "%s", check.text);
}

static void check_dane(struct gateway_hop_tls *t)
{
    const struct tls_dane_result *result = tls_session_dane_result(t->session);

    t->is_verified = result->verdict == TLS_DANE_MATCHED;
    (void)snprintf(t->text, sizeof(t->text), "%s", result->text);
}

static void conclude(struct gateway_hop_tls *t)
{
    switch (t->host->demand.check) {
    case POLICY_TLS_CHECK_NONE:
        /* Whoever asks for REQUIRETLS wants to know it all the same (RFC 8689 4.2.1). */
        check_names(t, TLS_CHECK_HOSTED, t->domain);
        t->is_authenticated = t->is_verified;
        t->is_verified = true;
        t->text[0] = '\0';
        break;
    case POLICY_TLS_CHECK_VERIFY: check_names(t, TLS_CHECK_VERIFY, t->domain); break;
    case POLICY_TLS_CHECK_HOSTED: check_names(t, TLS_CHECK_HOSTED, t->domain); break;
    case POLICY_TLS_CHECK_MTA_STS: check_names(t, TLS_CHECK_MTA_STS, (struct slice){ 0 }); break;
    case POLICY_TLS_CHECK_DANE: check_dane(t); break;
    }
    if (t->host->demand.check != POLICY_TLS_CHECK_NONE)
        t->is_authenticated = t->is_verified;
    if (t->is_verified)
        tls_session_keep_tickets(t->session);
    t->is_shaken = false;
    t->judged(t);
}

static void on_ptr(struct dns_host *ptr)
{
    struct gateway_hop_tls *t = CONTAINER_OF(ptr, struct gateway_hop_tls, ptr);

    if (t->is_shaken)
        conclude(t);
}

void gateway_hop_tls_start(struct gateway_hop_tls *t, const struct ip_endpoint *remote)
{
    t->remote = *remote;
    if (t->host->demand.check != POLICY_TLS_CHECK_VERIFY || t->worker->names == NULL)
        return;
    t->names = gateway_names_acquire(t->worker->names);
    dns_host_start(&t->ptr, gateway_names_source(t->names), &remote->address, on_ptr);
}

void gateway_hop_tls_judge(struct gateway_hop_tls *t, void (*judged)(struct gateway_hop_tls *t))
{
    ASSERT(t->session != NULL);
    t->is_shaken = true;
    t->judged = judged;
    if (!dns_host_is_running(&t->ptr))
        conclude(t);
}

void gateway_hop_tls_judge_now(struct gateway_hop_tls *t)
{
    ASSERT(t->is_shaken);
    gateway_hop_tls_finish(t);
    conclude(t);
}
