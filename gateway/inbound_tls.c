#include "gateway/inbound_tls.h"

#include "gateway/inbound_answer.h"
#include "gateway/kernel_tls.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"
#include "policy/address_list.h"
#include "tls/peer_names.h"

static time_t now_s(const struct gateway_inbound *in)
{
    return gateway_worker_now_s(in->worker);
}

/* --- how many -------------------------------------------------------------------------------- */

static void count(struct gateway_inbound *in)
{
    in->counts_tls = true;
    atomic_fetch_add(&gateway_inbound_load(in)->tls_connections, 1);
    atomic_fetch_add(&in->worker->process->tls_connections, 1);
}

void gateway_inbound_uncount_tls(struct gateway_inbound *in)
{
    if (!in->counts_tls)
        return;
    in->counts_tls = false;
    atomic_fetch_sub(&gateway_inbound_load(in)->tls_connections, 1);
    atomic_fetch_sub(&in->worker->process->tls_connections, 1);
}

void gateway_inbound_limit_tls(struct gateway_inbound *in)
{
    uint32_t max = gateway_view_settings(in->view)->max_tls_connections;
    bool is_full = atomic_load(&gateway_inbound_load(in)->tls_connections) >=
                       gateway_inbound_listener(in)->max_tls_connections ||
                   (max > 0 && atomic_load(&in->worker->process->tls_connections) >= max);

    smtp_server_tls_set_unavailable(&in->smtp, is_full);
}

/* --- the client's certificate ---------------------------------------------------------------- */

/* What the policy wants of the session beyond what the listener's context does. */
static void prepare(struct gateway_inbound *in, const struct tls_context *context,
                    struct tls_session *session)
{
    const struct policy_mail_flow *flow = in->flow;

    if (flow->verify_client != POLICY_FLOW_VERIFY_OFF)
        tls_session_ask_certificate(session, context);
    if (flow->tls_version_min != POLICY_FLOW_VERSION_GLOBAL)
        tls_session_set_min_version(session, flow->tls_version_min == POLICY_FLOW_VERSION_1_3
                                                 ? TLS_VERSION_1_3
                                                 : TLS_VERSION_1_2);
}

static bool has_listed_name(const struct policy_mail_flow *flow, const struct tls_session *tls)
{
    for (size_t i = 0; i < flow->client_names_count; i++)
        if (tls_session_peer_has_name(tls, flow->client_names[i]))
            return true;
    return flow->client_names_count == 0;
}

static void judge_client(struct gateway_inbound *in, const struct tls_session *tls)
{
    const char *problem = tls_session_verify_problem(tls);
    const char *name = tls_session_peer_common_name(tls);
    const char *verdict = "verified";

    in->certificate = GATEWAY_CERTIFICATE_GOOD;
    if (!tls_session_has_peer_certificate(tls)) {
        in->certificate = GATEWAY_CERTIFICATE_MISSING;
        verdict = "none was shown";
    } else if (problem != NULL) {
        in->certificate = GATEWAY_CERTIFICATE_UNVERIFIED;
        verdict = problem;
    } else if (!has_listed_name(in->flow, tls)) {
        in->certificate = GATEWAY_CERTIFICATE_OTHER_NAME;
        verdict = "not one of the names allowed";
    }
    observe_icid_client_certificate(in->worker->log, now_s(in), in->icid,
                                    slice_from(name != NULL ? name : ""), slice_from(verdict));
}

void gateway_inbound_judge_tls(struct gateway_inbound *in)
{
    const struct tls_session *tls = gateway_channel_tls(&in->channel);

    in->certificate = GATEWAY_CERTIFICATE_UNASKED;
    if (smtp_server_is_tls(&in->smtp) && in->flow->verify_client != POLICY_FLOW_VERIFY_OFF)
        judge_client(in, tls);
}

/* A policy whose handshake this was not may want a newer version. */
static bool is_too_old(const struct gateway_inbound *in)
{
    return in->flow->tls_version_min == POLICY_FLOW_VERSION_1_3 &&
           strcmp(tls_session_protocol(gateway_channel_tls(&in->channel)), "TLSv1.3") != 0;
}

static struct smtp_answer no(uint16_t code, const char *enhanced, const char *text)
{
    return (struct smtp_answer){ .code = code, .enhanced = enhanced, .text = slice_from(text) };
}

struct smtp_answer gateway_inbound_check_tls(const struct gateway_inbound *in,
                                             const struct smtp_mailbox *sender)
{
    const struct policy_mail_flow *flow = in->flow;
    bool must = flow->verify_client == POLICY_FLOW_VERIFY_REQUIRED ||
                (flow->tls_senders != NULL &&
                 policy_address_list_has(flow->tls_senders, sender->local, sender->domain));

    if (!smtp_server_is_tls(&in->smtp))
        return must ? no(530, "5.7.0", "Must issue a STARTTLS command first")
                    : SMTP_ANSWER_ACCEPTED;
    if (is_too_old(in))
        return no(530, "5.7.0", "A newer version of TLS is required");
    switch ((enum gateway_client_certificate)in->certificate) {
    case GATEWAY_CERTIFICATE_UNASKED:
    case GATEWAY_CERTIFICATE_GOOD: break;
    case GATEWAY_CERTIFICATE_MISSING:
        if (flow->verify_client == POLICY_FLOW_VERIFY_REQUIRED)
            return no(550, "5.7.1", "A client certificate is required");
        break;
    case GATEWAY_CERTIFICATE_UNVERIFIED:
        return no(550, "5.7.1", "Your client certificate cannot be verified");
    case GATEWAY_CERTIFICATE_OTHER_NAME:
        return no(550, "5.7.1", "Your client certificate is not allowed here");
    }
    return SMTP_ANSWER_ACCEPTED;
}

/* --- the handshake --------------------------------------------------------------------------- */

void gateway_inbound_start_tls(struct gateway_inbound *in, struct slice behind)
{
    struct gateway_worker *w = in->worker;
    struct tls_context *context = in->view->servers[in->listener_index];
    struct tls_session *session;

    in->said_starttls = true;
    count(in);
    if (behind.len > 0) {
        /* RFC 3207 4.2: nothing that was said in the clear may count after the handshake. */
        observe_icid_tls_failed(w->log, now_s(in), in->icid,
                                SLICE("(0, 'plaintext behind STARTTLS')"));
        observe_count(&w->counters, OBSERVE_TLS_IN_FAILED, 1);
        gateway_inbound_reset(in);
        return;
    }
    if (tls_session_create(context, TLS_ROLE_SERVER, NULL, &session) != STATUS_OK) {
        observe_icid_tls_failed(w->log, now_s(in), in->icid, SLICE("(0, 'no memory')"));
        gateway_inbound_close(in);
        return;
    }
    prepare(in, context, session);
    tls_kernel_allow(session, &in->view->generation->kernel,
                     gateway_kernel_tls_use(gateway_inbound_listener(in)->ktls));
    gateway_channel_set_deadline(&in->channel, GATEWAY_INBOUND_HANDSHAKE_MS);
    gateway_channel_secure(&in->channel, session);
}

void gateway_inbound_secured(struct gateway_channel *c, bool success)
{
    struct gateway_inbound *in = CONTAINER_OF(c, struct gateway_inbound, channel);
    struct gateway_worker *w = in->worker;
    const struct tls_session *tls = gateway_channel_tls(c);

    if (!success) {
        observe_icid_tls_failed(w->log, now_s(in), in->icid, slice_from(tls_session_error(tls)));
        observe_count(&w->counters, OBSERVE_TLS_IN_FAILED, 1);
        gateway_inbound_close(in);
        return;
    }
    observe_icid_tls_success(w->log, now_s(in), in->icid, slice_from(tls_session_protocol(tls)),
                             slice_from(tls_session_cipher(tls)));
    observe_count(&w->counters, OBSERVE_TLS_IN_SUCCESS, 1);
    if (tls_session_is_resumed(tls))
        observe_count(&w->counters, OBSERVE_TLS_RESUMED, 1);
    if (in->flow->verify_client != POLICY_FLOW_VERIFY_OFF)
        judge_client(in, tls);
    smtp_server_tls_started(&in->smtp);
    gateway_channel_set_deadline(c, gateway_inbound_time_left_ms(in));
    gateway_channel_resume(c);
    if (in->is_stopping)
        gateway_inbound_stop(in);
}

void gateway_inbound_settled(struct gateway_channel *c)
{
    struct gateway_inbound *in = CONTAINER_OF(c, struct gateway_inbound, channel);

    gateway_kernel_tls_tell(in->worker, "ICID", in->icid, gateway_channel_tls(c));
}
