#include "gateway/inbound_answer.h"

#include <stdio.h>

#include "base/clock.h"
#include "gateway/receipt.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"
#include "smtp/trace.h"

#define TRACE_BYTES_MAX 8192

static time_t now_s(const struct gateway_inbound *in)
{
    return gateway_worker_now_s(in->worker);
}

static struct smtp_answer no(uint16_t code, const char *enhanced, const char *text)
{
    return (struct smtp_answer){ .code = code, .enhanced = enhanced, .text = slice_from(text) };
}

/* The world's trouble while a message is received is never the sender's fault: 4xx. */
static struct smtp_answer trouble(enum status status)
{
    switch (status) {
    case STATUS_OK: return SMTP_ANSWER_ACCEPTED;
    case STATUS_NO_SPACE: return no(452, "4.3.1", "Mail system full, try again later");
    case STATUS_NO_MEMORY: return no(452, "4.3.1", "Insufficient memory, try again later");
    case STATUS_LIMIT: return no(452, "4.5.3", "Too much for one message");
    case STATUS_IO:
    case STATUS_CORRUPT:
    case STATUS_NOT_FOUND:
    case STATUS_DENIED:
    case STATUS_UNSUPPORTED:
    case STATUS_BUSY:
    case STATUS_INVALID: break;
    }
    return no(451, "4.3.0", "Message could not be stored, try again later");
}

struct smtp_answer gateway_inbound_commit_answer(enum status status)
{
    return trouble(status);
}

/* Those that are rejected have as many places of their own. */
static bool is_full(const struct gateway_inbound *in)
{
    unsigned rejected = atomic_load(&in->load->rejected);
    unsigned all = atomic_load(&in->load->connections);
    unsigned others = all > rejected ? all - rejected : 0; /* they change while we look */

    return (in->is_rejected ? rejected : others) > in->listener->max_connections;
}

struct gateway_opening gateway_inbound_open(struct gateway_inbound *in)
{
    struct gateway_worker *w = in->worker;
    struct gateway_peer peer = {
        .address = engine_socket_remote(&in->channel.socket)->address,
        .listener = (uint32_t)(in->load - w->process->loads),
    };

    if (in->icid == 0)
        return (struct gateway_opening){ 421, SLICE("4.3.0 Too busy, try again later") };
    /* Who is rejected may stay to hear it, but takes no place from others. */
    in->is_rejected = in->flow->access == POLICY_ACCESS_REJECT;
    if (in->is_rejected)
        atomic_fetch_add(&in->load->rejected, 1);
    if (is_full(in)) {
        observe_count(&w->counters, OBSERVE_CONNECTIONS_CAPPED, 1);
        observe_icid_receiving_failed(w->log, now_s(in), in->icid,
                                      SLICE("Connection limit exceeded"));
        return (struct gateway_opening){ 421, SLICE("#4.4.5 Too many connections") };
    }
    if (!gateway_peer_count_enter(w->process->peers, &peer, in->flow->max_connections_per_ip,
                                  &in->hold)) {
        observe_count(&w->counters, OBSERVE_CONNECTIONS_CAPPED, 1);
        observe_icid_receiving_failed(w->log, now_s(in), in->icid,
                                      SLICE("Connection limit exceeded"));
        return (struct gateway_opening){ 421, SLICE("#4.4.5 Too many connections from your host") };
    }
    if (in->is_rejected) {
        observe_count(&w->counters, OBSERVE_HAT_REJECTED, 1);
        return (struct gateway_opening){
            554, SLICE("Your access to this mail system has been rejected")
        };
    }
    return (struct gateway_opening){ 0 };
}

uint64_t gateway_inbound_time_left_ms(const struct gateway_inbound *in)
{
    const struct config_settings *settings = gateway_view_settings(in->view);
    uint64_t state_ms = smtp_server_timeout_ms(&in->smtp);
    uint64_t session_ms = (uint64_t)settings->session_max_s * 1000;
    uint64_t age_ms = gateway_worker_now_ms(in->worker) - in->opened_ms;

    if (state_ms == 0)
        return 0; /* our turn */
    session_ms += in->body_bytes * 1000 / GATEWAY_INBOUND_BODY_BYTES_S;
    if (age_ms >= session_ms)
        return 1;
    return session_ms - age_ms < state_ms ? session_ms - age_ms : state_ms;
}

static unsigned flags_of(const struct gateway_inbound *in, const struct smtp_command *command)
{
    return (command->body == SMTP_BODY_TYPE_8BITMIME ? SPOOL_MESSAGE_8BITMIME : 0u) |
           (command->smtputf8 ? SPOOL_MESSAGE_SMTPUTF8 : 0u) |
           (in->flow->access == POLICY_ACCESS_RELAY ? SPOOL_MESSAGE_RELAYED : 0u);
}

struct smtp_answer gateway_inbound_answer_mail(struct gateway_inbound *in,
                                               const struct smtp_command *command)
{
    struct gateway_worker *w = in->worker;
    const struct config_settings *settings = gateway_view_settings(in->view);
    char ip[IP_TEXT_MAX];
    struct spool_envelope envelope = {
        .icid = in->icid,
        .arrival_wall_s = now_s(in),
        .flags = flags_of(in, command),
        .sender = command->mailbox.whole,
        .info[SPOOL_INFO_LISTENER] = slice_from(in->listener->name),
        .info[SPOOL_INFO_GROUP] = in->group,
    };
    enum status status;

    if (atomic_load(&w->process->message_bytes) > settings->memory_message_bytes) {
        observe_icid_receiving_failed(w->log, now_s(in), in->icid, SLICE("Resources Low"));
        return no(452, "4.3.1", "Too much mail is waiting, try again later");
    }
    envelope.mid = spool_ids_take(&w->process->ids, SPOOL_ID_MID);
    if (envelope.mid == 0)
        return trouble(STATUS_NO_MEMORY);
    (void)ip_format(&engine_socket_remote(&in->channel.socket)->address, ip);
    envelope.info[SPOOL_INFO_CLIENT_IP] = slice_from(ip);
    envelope.info[SPOOL_INFO_HELO] = smtp_server_helo(&in->smtp);
    status = gateway_receipt_create(w, in, &envelope, command->size_bytes, &in->receipt);
    if (status != STATUS_OK) {
        observe_icid_receiving_failed(w->log, now_s(in), in->icid,
                                      SLICE("Queue has no space for another message"));
        return trouble(status);
    }
    observe_mid_start(w->log, now_s(in), envelope.mid, in->icid);
    observe_mid_from(w->log, now_s(in), envelope.mid, in->icid, envelope.sender);
    return SMTP_ANSWER_ACCEPTED;
}

/* The text carries its own enhanced code. */
static struct smtp_answer reply_of(const struct policy_reply *reply)
{
    return (struct smtp_answer){ .code = (uint16_t)reply->code, .text = reply->text };
}

struct smtp_answer gateway_inbound_answer_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command)
{
    struct gateway_worker *w = in->worker;
    const struct smtp_mailbox *to = &command->mailbox;
    uint64_t mid = gateway_receipt_mid(in->receipt);
    unsigned rid = gateway_receipt_recipients_count(in->receipt);
    struct slice domain;
    enum status status;

    if (in->flow->access != POLICY_ACCESS_RELAY && in->listener->rat != NULL) {
        struct policy_rat_verdict verdict =
            policy_rat_find(in->listener->rat, to->local, to->domain);

        if (verdict.action == POLICY_RAT_REJECT) {
            observe_mid_rejected_by_rat(w->log, now_s(in), mid, in->icid, to->whole);
            observe_count(&w->counters, OBSERVE_RAT_REJECTED, 1);
            return reply_of(&verdict.reply);
        }
    }
    /* <postmaster> without a domain is ours, RFC 5321 4.5.1. */
    domain =
        to->domain.len > 0 ? to->domain : slice_from(gateway_view_settings(in->view)->hostname);
    if (policy_route_find(gateway_view_policy(in->view), domain) == NULL)
        return no(451, "4.4.4", "No route to this domain is configured");
    status = gateway_receipt_add_recipient(in->receipt, to->whole);
    if (status != STATUS_OK)
        return trouble(status);
    observe_mid_to(w->log, now_s(in), mid, in->icid, rid, to->whole);
    observe_count(&w->counters, OBSERVE_RECIPIENTS_ACCEPTED, 1);
    return SMTP_ANSWER_ACCEPTED;
}

struct smtp_answer gateway_inbound_answer_data(struct gateway_inbound *in)
{
    const struct tls_session *tls = gateway_channel_tls(&in->channel);
    char date[CLOCK_DATE_MAX], detail[128];
    struct smtp_trace trace = {
        .helo = smtp_server_helo(&in->smtp),
        .peer = engine_socket_remote(&in->channel.socket)->address,
        .host = slice_from(in->listener->hostname),
        .esmtp = smtp_server_is_esmtp(&in->smtp),
        .tls = smtp_server_is_tls(&in->smtp),
        .smtputf8 = smtp_server_is_smtputf8(&in->smtp),
        .mid = gateway_receipt_mid(in->receipt),
        .date = slice_from(clock_format_mail(now_s(in), date)),
    };
    struct buffer text;
    enum status status;

    if (trace.tls) {
        (void)snprintf(detail, sizeof(detail), "%s %s", tls_session_protocol(tls),
                       tls_session_cipher(tls));
        trace.tls_detail = slice_from(detail);
    }
    if (gateway_receipt_recipients_count(in->receipt) == 1)
        trace.recipient = gateway_receipt_first_recipient(in->receipt);
    buffer_init(&text, TRACE_BYTES_MAX);
    status = smtp_trace_write(&text, &trace);
    if (status == STATUS_OK)
        status = gateway_receipt_trace(in->receipt, buffer_contents(&text));
    buffer_finish(&text);
    return trouble(status);
}

void gateway_inbound_log_new(struct gateway_inbound *in, const struct ip_endpoint *remote)
{
    char ours[IP_TEXT_MAX] = "unknown", theirs[IP_TEXT_MAX];
    struct ip_endpoint local;

    if (engine_socket_local(&in->channel.socket, &local))
        (void)ip_format(&local.address, ours);
    observe_icid_new(in->worker->log, now_s(in),
                     &(struct observe_icid_new){
                         .icid = in->icid,
                         .interface_name = slice_from(in->listener->name),
                         .interface_ip = slice_from(ours),
                         .address = slice_from(ip_format(&remote->address, theirs)),
                     });
}

void gateway_inbound_log_generation(struct gateway_inbound *in)
{
    observe_log_line(in->worker->log, OBSERVE_INFO, now_s(in),
                     "ICID %llu configuration generation %llu", (unsigned long long)in->icid,
                     (unsigned long long)in->view->generation->config->generation);
}

static enum observe_access access_of(enum policy_access access)
{
    switch (access) {
    case POLICY_ACCESS_ACCEPT: return OBSERVE_ACCEPT;
    case POLICY_ACCESS_RELAY: return OBSERVE_RELAY;
    case POLICY_ACCESS_REJECT: return OBSERVE_REJECT;
    case POLICY_ACCESS_REFUSE: return OBSERVE_TCPREFUSE;
    case POLICY_ACCESS_CONTINUE: break;
    }
    UNREACHABLE();
}

void gateway_inbound_log_access(struct gateway_worker *w, uint64_t icid,
                                const struct policy_sender_verdict *verdict)
{
    observe_icid_access(w->log, gateway_worker_now_s(w),
                        &(struct observe_icid_access){
                            .icid = icid,
                            .access = access_of(verdict->flow->access),
                            .group = verdict->group,
                            .match = verdict->entry,
                        });
}
