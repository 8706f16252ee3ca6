#include "gateway/hop_tls.h"

#include <stdio.h>

#include "gateway/hop_identity.h"
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

static struct gateway_hop_identity identity_of(const struct gateway_hop_tls *t)
{
    const struct gateway_next_tlsa *tlsa = t->host->tlsa;
    struct gateway_hop_identity i = {
        .domain = t->domain,
        .host = slice_from(t->host->name),
        .base = slice_from(tlsa != NULL ? tlsa->base : ""),
        .is_route = t->hops->is_route,
    };

    for (; tlsa != NULL && i.dane_names_count < tlsa->names_count; i.dane_names_count++)
        i.dane_names[i.dane_names_count] = tlsa->names[i.dane_names_count];
    if (t->names != NULL && !dns_host_is_running(&t->ptr) &&
        dns_host_outcome(&t->ptr) == DNS_HOST_VERIFIED)
        i.ptr = dns_host_name(&t->ptr);
    return i;
}

/* What another connection must have in common to trust what was found out in this one. */
static void resume(struct gateway_hop_tls *t, const struct tls_context *context,
                   struct tls_session *session)
{
    const struct policy_tls_demand *demand = &t->host->demand;
    char key[IP_ENDPOINT_MAX + 32], remote[IP_ENDPOINT_MAX];

    (void)snprintf(key, sizeof(key), "%s %d %d", ip_endpoint_format(&t->remote, remote),
                   (int)demand->check, (int)demand->authority);
    tls_session_resume_from(session, context, t->worker->resumption, slice_from(key),
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
    const struct gateway_next_tlsa *tlsa = t->host->tlsa;
    const struct gateway_hop_identity identity = identity_of(t);
    struct tls_context *context = gateway_view_client(t->view, t->destination);
    struct tls_session *session;

    TRY(tls_session_create(context, TLS_ROLE_CLIENT, gateway_hop_identity_server_name(&identity),
                           &session));
    if (tlsa != NULL && gateway_hop_identity_expect_dane(&identity, session, tlsa->records,
                                                         tlsa->records_count) != STATUS_OK) {
        tls_session_destroy(session);
        return STATUS_NO_MEMORY;
    }
    if (is_classic(t))
        (void)tls_session_without_post_quantum(session);
    resume(t, context, session);
    t->session = session;
    *session_out = session;
    return STATUS_OK;
}

bool gateway_hop_tls_may_be_cured(const struct gateway_hop_tls *t)
{
    return t->session != NULL && !is_classic(t) && tls_session_blames_post_quantum(t->session);
}

/* --- the judgement --------------------------------------------------------------------------- */

/* By the rule that would be in charge if the policy were enforced (RFC 8461 5, RFC 8460 4.3): what
 * the table demands may be less, and more. */
static void judge_tested(struct gateway_hop_tls *t, const struct gateway_hop_identity *identity)
{
    struct tls_peer_check check;

    gateway_hop_identity_check(identity, t->session, POLICY_TLS_CHECK_MTA_STS, &check);
    t->is_compliant = check.is_matched;
    (void)snprintf(t->tested, sizeof(t->tested), "%s", check.text);
}

static void judge_compliance(struct gateway_hop_tls *t, const struct gateway_hop_identity *identity)
{
    bool has_dane = t->host->tlsa != NULL, has_sts = t->hops->sts_policy.len > 0;

    if (has_sts && !has_dane && t->host->demand.authority != POLICY_TLS_BY_MTA_STS)
        judge_tested(t, identity);
    else
        t->is_compliant = t->is_verified || !(has_dane || has_sts);
}

static void conclude(struct gateway_hop_tls *t)
{
    const enum policy_tls_check demanded = t->host->demand.check;
    const struct gateway_hop_identity identity = identity_of(t);
    struct tls_peer_check check;

    gateway_hop_identity_check(&identity, t->session, demanded, &check);
    t->is_verified = check.is_matched;
    (void)snprintf(t->text, sizeof(t->text), "%s", check.text);
    t->is_authenticated =
        gateway_hop_identity_is_proven(&identity, t->session, demanded, check.is_matched);
    judge_compliance(t, &identity);
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
