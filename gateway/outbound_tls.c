#include "gateway/outbound_tls.h"

#include "gateway/kernel_tls.h"
#include "gateway/outbound_log.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static struct gateway_outbound *outbound_of(struct gateway_hop *h)
{
    return CONTAINER_OF(h, struct gateway_outbound, hop);
}

enum status gateway_outbound_tls_session(struct gateway_hop *h, struct tls_session **session_out)
{
    struct gateway_outbound *out = outbound_of(h);
    enum tls_kernel_use use = gateway_kernel_tls_use(out->policy->ktls);

    if (gateway_kernel_tls_is_shunned(&out->worker->shunned, &out->remote))
        use = TLS_KERNEL_OFF;
    TRY(tls_session_create(out->view->client, TLS_ROLE_CLIENT, NULL, session_out));
    tls_kernel_allow(*session_out, &out->view->generation->kernel, use);
    return STATUS_OK;
}

void gateway_outbound_tls_refused(struct gateway_hop *h, const struct smtp_reply *reply)
{
    gateway_outbound_log_refused_tls(outbound_of(h), reply);
}

void gateway_outbound_tls_failed(struct gateway_hop *h, struct slice why)
{
    struct gateway_outbound *out = outbound_of(h);
    struct gateway_worker *w = out->worker;

    observe_dcid_tls_failed(w->log, gateway_worker_now_s(w), out->dcid, why);
    observe_count(&w->counters, OBSERVE_TLS_OUT_FAILED, 1);
}

void gateway_outbound_tls_secured(struct gateway_hop *h)
{
    struct gateway_outbound *out = outbound_of(h);
    struct gateway_worker *w = out->worker;
    const struct tls_session *tls = gateway_channel_tls(&h->channel);

    observe_dcid_tls_success(w->log, gateway_worker_now_s(w), out->dcid,
                             slice_from(tls_session_protocol(tls)),
                             slice_from(tls_session_cipher(tls)));
    observe_count(&w->counters, OBSERVE_TLS_OUT_SUCCESS, 1);
    gateway_hop_judged(h, true, (struct slice){ 0 });
}

void gateway_outbound_tls_denied(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;
    char ip[IP_TEXT_MAX];

    if (out->hop.options.demand.is_required)
        observe_dcid_tls_required(w->log, gateway_worker_now_s(w), out->dcid,
                                  slice_from(ip_format(&out->remote.address, ip)));
}
