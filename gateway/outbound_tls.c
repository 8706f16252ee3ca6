#include "gateway/outbound_tls.h"

#include <stdio.h>

#include "gateway/alert_sources.h"
#include "gateway/kernel_tls.h"
#include "gateway/outbound_log.h"
#include "gateway/outbound_report.h"
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

    if (gateway_host_marks_has(&out->worker->shunned, gateway_worker_now_ms(out->worker),
                               &out->remote))
        use = TLS_KERNEL_OFF;
    TRY(gateway_hop_tls_session(&out->tls, session_out));
    tls_kernel_allow(*session_out, &out->view->generation->kernel, use);
    return STATUS_OK;
}

void gateway_outbound_tls_refused(struct gateway_hop *h, const struct smtp_reply *reply)
{
    gateway_outbound_log_reply(outbound_of(h), reply);
}

void gateway_outbound_tls_failed(struct gateway_hop *h, struct slice why)
{
    struct gateway_outbound *out = outbound_of(h);
    struct gateway_worker *w = out->worker;

    (void)snprintf(out->tls_trouble, sizeof(out->tls_trouble), "%.*s", SLICE_ARGS(why));
    observe_dcid_tls_failed(w->log, gateway_worker_now_s(w), out->dcid, why);
    observe_count(&w->counters, OBSERVE_TLS_OUT_FAILED, 1);
}

struct observe_tls gateway_outbound_tls_facts(const struct gateway_outbound *out)
{
    const struct tls_session *tls = gateway_channel_tls(&out->hop.channel);
    struct observe_tls facts = { .dcid = out->dcid };

    if (tls == NULL)
        return facts;
    facts.protocol = slice_from(tls_session_protocol(tls));
    facts.cipher = slice_from(tls_session_cipher(tls));
    facts.authority = slice_from(policy_tls_authority_text(out->host->demand.authority));
    if (out->tls.is_verified)
        facts.verified = slice_from(out->tls.text);
    return facts;
}

/* The check has been passed, has failed and the mail goes all the same, or it does not go. */
static void on_judged(struct gateway_hop_tls *t)
{
    struct gateway_outbound *out = CONTAINER_OF(t, struct gateway_outbound, tls);
    struct gateway_worker *w = out->worker;
    const struct policy_tls_demand *demand = &out->host->demand;
    const struct observe_tls facts = gateway_outbound_tls_facts(out);
    bool is_denied = !t->is_verified && demand->is_check_required;
    char why[TLS_CHECK_TEXT_MAX + 32];

    (void)snprintf(why, sizeof(why), "verify error: %s", t->text);
    if (!is_denied) {
        observe_dcid_tls_success(w->log, gateway_worker_now_s(w), &facts);
        observe_count(&w->counters, OBSERVE_TLS_OUT_SUCCESS, 1);
    }
    if (!t->is_verified && !is_denied)
        observe_dcid_tls_unverified(w->log, gateway_worker_now_s(w), out->dcid,
                                    slice_from(t->text));
    if (is_denied)
        gateway_outbound_report(out);
    gateway_hop_judged(&out->hop, t->is_verified, slice_from(why));
}

void gateway_outbound_tls_secured(struct gateway_hop *h)
{
    gateway_hop_tls_judge(&outbound_of(h)->tls, on_judged);
}

void gateway_outbound_tls_judge_now(struct gateway_hop *h)
{
    gateway_hop_tls_judge_now(&outbound_of(h)->tls);
}

const char *gateway_outbound_tls_trouble(const struct gateway_outbound *out)
{
    if (out->tls_trouble[0] != '\0')
        return out->tls_trouble;
    /* There was no TLS to fail. */
    return smtp_client_capabilities(&out->hop.smtp)->starttls_masked
               ? "STARTTLS is masked (XXXXXXXX) by a firewall on the way"
               : "STARTTLS is not offered";
}

void gateway_outbound_tls_denied(struct gateway_outbound *out)
{
    struct gateway_worker *w = out->worker;
    struct delivery_destination_state queue;
    char ip[IP_TEXT_MAX];

    if (!out->host->demand.is_required)
        return;
    observe_dcid_tls_required(w->log, gateway_worker_now_s(w), out->dcid,
                              slice_from(ip_format(&out->remote.address, ip)));
    delivery_destination_describe(out->delivery.destination, &queue);
    gateway_alert_tls_failed(w, delivery_destination_domain(out->delivery.destination),
                             slice_from(out->host->name), &out->remote,
                             slice_from(gateway_outbound_tls_trouble(out)),
                             queue.ready + queue.delayed + queue.active);
}
