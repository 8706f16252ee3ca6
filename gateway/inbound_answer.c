#include "gateway/inbound_answer.h"

#include <stdio.h>

#include "base/clock.h"
#include "gateway/inbound_log.h"
#include "gateway/inbound_open.h"
#include "gateway/inbound_tls.h"
#include "gateway/question.h"
#include "gateway/rate_limits.h"
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

/* All of the session's time that there is; a body prolongs it. */
static uint64_t session_ms(const struct gateway_inbound *in)
{
    return (uint64_t)gateway_view_settings(in->view)->session_max_s * 1000 +
           in->body_bytes * 1000 / GATEWAY_INBOUND_BODY_BYTES_S;
}

static uint64_t age_ms(const struct gateway_inbound *in)
{
    return gateway_worker_now_ms(in->worker) - in->opened_ms;
}

bool gateway_inbound_is_over(const struct gateway_inbound *in)
{
    return age_ms(in) >= session_ms(in);
}

uint64_t gateway_inbound_time_left_ms(const struct gateway_inbound *in)
{
    uint64_t state_ms = smtp_server_timeout_ms(&in->smtp), left_ms;

    if (state_ms == 0)
        return 0; /* our turn */
    if (gateway_inbound_is_over(in))
        return 1;
    left_ms = session_ms(in) - age_ms(in);
    return left_ms < state_ms ? left_ms : state_ms;
}

static unsigned flags_of(const struct gateway_inbound *in, const struct smtp_command *command)
{
    return (command->body == SMTP_BODY_TYPE_8BITMIME ? SPOOL_MESSAGE_8BITMIME : 0u) |
           (command->smtputf8 ? SPOOL_MESSAGE_SMTPUTF8 : 0u) |
           (command->ret == SMTP_RET_FULL ? SPOOL_MESSAGE_RET_FULL : 0u) |
           (command->ret == SMTP_RET_HDRS ? SPOOL_MESSAGE_RET_HDRS : 0u) |
           (command->require_tls ? SPOOL_MESSAGE_REQUIRE_TLS : 0u) |
           (in->flow->access == POLICY_ACCESS_RELAY ? SPOOL_MESSAGE_RELAYED : 0u);
}

/* Of the transaction; empty: <>. */
static struct slice sender_of(const struct gateway_inbound *in)
{
    return in->receipt != NULL ? gateway_receipt_sender(in->receipt) : SLICE("");
}

/* The text carries its own enhanced code. */
static struct smtp_answer reply_of(const struct policy_reply *reply)
{
    return (struct smtp_answer){ .code = (uint16_t)reply->code, .text = reply->text };
}

struct smtp_answer gateway_inbound_worded(const struct gateway_inbound *in,
                                          enum policy_flow_reply which, struct slice sender)
{
    const struct policy_reply *reply = &in->flow->replies[which];
    char *text = in->worker->reply_text, ip[IP_TEXT_MAX];
    struct policy_reply_facts facts = gateway_inbound_facts(in, ip);

    facts.envelope_sender = sender;
    return (struct smtp_answer){
        .code = (uint16_t)reply->code,
        .text = { text, policy_reply_expand(reply->text, &facts, text) },
    };
}

static struct smtp_answer worded(const struct gateway_inbound *in, enum policy_flow_reply which)
{
    return gateway_inbound_worded(in, which, sender_of(in));
}

static struct gateway_client client_of(const struct gateway_inbound *in)
{
    return (struct gateway_client){
        .flow = in->flow,
        .address = in->client.address,
        .interval_s = gateway_view_settings(in->view)->rate_interval_s,
        .now_s = gateway_worker_now_ms(in->worker) / 1000,
    };
}

/* --- MAIL ------------------------------------------------------------------------------------ */

void gateway_inbound_note_bad_sender(struct gateway_inbound *in, const struct smtp_command *command)
{
    if (in->flow->verify_sender)
        observe_icid_sender_rejected(in->worker->log, now_s(in), in->icid, command->argument,
                                     SLICE("envelope sender domain missing"));
}

/* Whether a rejected host goes on for the log's sake. */
static bool is_delayed(const struct gateway_inbound *in)
{
    return in->flow->access == POLICY_ACCESS_REJECT;
}

/* What the exception table says of the sender. */
static enum policy_exception check_exceptions(struct gateway_inbound *in,
                                              const struct smtp_mailbox *sender,
                                              struct smtp_answer *answer_out)
{
    struct policy_exception_rule rule;

    if (!in->flow->use_exception_table)
        return POLICY_EXCEPTION_NONE;
    rule = policy_exception_find(gateway_view_policy(in->view), sender->local, sender->domain);
    if (rule.action == POLICY_EXCEPTION_ALLOW)
        observe_icid_sender_allowed(in->worker->log, now_s(in), in->icid, sender->whole);
    if (rule.action == POLICY_EXCEPTION_REJECT) {
        observe_icid_sender_rejected(in->worker->log, now_s(in), in->icid, sender->whole,
                                     SLICE("envelope sender matched domain exception"));
        *answer_out = reply_of(&rule.reply);
    }
    return rule.action;
}

struct smtp_answer gateway_inbound_accept_mail(struct gateway_inbound *in,
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
        .info[SPOOL_INFO_LISTENER] = slice_from(gateway_inbound_listener(in)->name),
        .info[SPOOL_INFO_GROUP] = gateway_inbound_group(in),
        .info[SPOOL_INFO_ENVELOPE_ID] = command->envid,
    };
    enum status status;

    if (atomic_load(&w->process->message_bytes) > settings->memory_message_bytes ||
        atomic_load(&w->process->queue_bytes) > settings->memory_queue_bytes) {
        observe_icid_receiving_failed(w->log, now_s(in), in->icid, SLICE("Resources Low"));
        return no(452, "4.3.1", "Too much mail is waiting, try again later");
    }
    envelope.mid = spool_ids_take(&w->process->ids, SPOOL_ID_MID);
    if (envelope.mid == 0)
        return trouble(STATUS_NO_MEMORY);
    (void)ip_format(&in->client.address, ip);
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

bool gateway_inbound_answer_mail(struct gateway_inbound *in, const struct smtp_command *command,
                                 struct smtp_answer *answer_out)
{
    const struct smtp_mailbox *sender = &command->mailbox;

    if (is_delayed(in)) {
        gateway_inbound_log_delayed_sender(in, sender->whole);
        *answer_out = SMTP_ANSWER_ACCEPTED;
        return true;
    }
    *answer_out = gateway_inbound_check_tls(in, sender);
    if (answer_out->code != 0)
        return true;
    switch (check_exceptions(in, sender, answer_out)) {
    case POLICY_EXCEPTION_REJECT: return true;
    case POLICY_EXCEPTION_NONE:
        /* Bounces come from nobody, and an address literal is asked of nobody. */
        if (in->flow->verify_sender && sender->domain_kind == SMTP_DOMAIN_NAME) {
            if (gateway_question_ask_sender(in, command))
                return false;
            observe_icid_sender_rejected(in->worker->log, now_s(in), in->icid, sender->whole,
                                         SLICE("envelope sender domain could not be resolved"));
            *answer_out =
                gateway_inbound_worded(in, POLICY_FLOW_REPLY_SENDER_TEMPORARY, sender->whole);
            return true;
        }
        break;
    case POLICY_EXCEPTION_ALLOW: break;
    }
    *answer_out = gateway_inbound_accept_mail(in, command);
    return true;
}

/* --- RCPT ------------------------------------------------------------------------------------ */

static struct policy_rat_verdict rat_verdict(const struct gateway_inbound *in,
                                             const struct smtp_mailbox *to)
{
    const struct policy_rat *rat = gateway_inbound_listener(in)->rat;

    if (in->flow->access == POLICY_ACCESS_RELAY || rat == NULL)
        return (struct policy_rat_verdict){ .action = POLICY_RAT_ACCEPT };
    return policy_rat_find(rat, to->local, to->domain);
}

struct smtp_answer gateway_inbound_refuse_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command,
                                               const struct policy_reply *reply, const char *by)
{
    struct gateway_worker *w = in->worker;
    struct gateway_client client = client_of(in);
    char ip[IP_TEXT_MAX];

    observe_mid_rejected(w->log, now_s(in), gateway_receipt_mid(in->receipt), in->icid,
                         command->mailbox.whole, by);
    observe_count(&w->counters, OBSERVE_RAT_REJECTED, 1);
    if (rat_verdict(in, &command->mailbox).bypasses_limits || /* called ahead */
        gateway_rates_count_invalid(w->process->rates, &client))
        return reply_of(reply);
    observe_count(&w->counters, OBSERVE_RECIPIENTS_LIMITED, 1);
    if (in->flow->drop_invalid) {
        observe_icid_harvest(w->log, now_s(in), in->icid,
                             slice_from(ip_format(&in->client.address, ip)),
                             gateway_inbound_group(in));
        in->is_dropped = true;
    }
    return worded(in, POLICY_FLOW_REPLY_INVALID_RECIPIENTS);
}

static struct smtp_answer limited(struct gateway_inbound *in, const struct smtp_command *command,
                                  enum policy_flow_reply which)
{
    struct gateway_worker *w = in->worker;

    observe_mid_rejected(w->log, now_s(in), gateway_receipt_mid(in->receipt), in->icid,
                         command->mailbox.whole, "Receiving Control");
    observe_count(&w->counters, OBSERVE_RECIPIENTS_LIMITED, 1);
    return worded(in, which);
}

/* Whether the policy counts what this envelope sender sends. */
static bool is_sender_limited(const struct gateway_inbound *in)
{
    const struct policy_address_list *exceptions = in->flow->sender_exceptions;
    struct slice sender = sender_of(in), domain = sender, local;

    if (in->flow->max_recipients_per_sender == 0 || sender.len == 0)
        return false;
    if (exceptions == NULL)
        return true;
    /* The last "@": a quoted local part may hold others. */
    for (domain.len = 0; domain.len < sender.len; domain.len++)
        if (sender.data[sender.len - 1 - domain.len] == '@')
            break;
    local = slice_first(sender, sender.len - domain.len);
    domain.data = sender.data + local.len;
    if (local.len > 0)
        local.len--;
    return !policy_address_list_has(exceptions, local, domain);
}

/* Counts the recipient in the rates of the policy; code 0: there is room for it. */
static struct smtp_answer take_rates(struct gateway_inbound *in, const struct smtp_command *command)
{
    struct rates_table *rates = in->worker->process->rates;
    struct gateway_client client = client_of(in);

    if (!gateway_rates_take_recipient(rates, &client))
        return limited(in, command, POLICY_FLOW_REPLY_RECIPIENTS_PER_HOUR);
    if (is_sender_limited(in) && !gateway_rates_take_sender(rates, &client, sender_of(in))) {
        gateway_rates_give_recipient(rates, &client);
        return limited(in, command, POLICY_FLOW_REPLY_RECIPIENTS_PER_SENDER);
    }
    return SMTP_ANSWER_ACCEPTED;
}

static void give_rates(struct gateway_inbound *in)
{
    struct rates_table *rates = in->worker->process->rates;
    struct gateway_client client = client_of(in);

    gateway_rates_give_recipient(rates, &client);
    if (is_sender_limited(in))
        gateway_rates_give_sender(rates, &client, sender_of(in));
}

struct smtp_answer gateway_inbound_accept_rcpt(struct gateway_inbound *in,
                                               const struct smtp_command *command)
{
    struct gateway_worker *w = in->worker;
    const struct smtp_mailbox *to = &command->mailbox;
    const struct spool_dsn dsn = { .notify = command->notify, .orcpt = command->orcpt };
    bool is_counted = !rat_verdict(in, to).bypasses_limits;
    unsigned rid = gateway_receipt_recipients_count(in->receipt);
    struct smtp_answer answer = SMTP_ANSWER_ACCEPTED;
    enum status status;

    if (is_counted)
        answer = take_rates(in, command);
    if (answer.code != 0)
        return answer;
    status = gateway_receipt_add_recipient(in->receipt, to->whole, &dsn);
    if (status != STATUS_OK) {
        if (is_counted)
            give_rates(in);
        return trouble(status);
    }
    observe_mid_to(w->log, now_s(in), gateway_receipt_mid(in->receipt), in->icid, rid, to->whole);
    observe_count(&w->counters, OBSERVE_RECIPIENTS_ACCEPTED, 1);
    return SMTP_ANSWER_ACCEPTED;
}

bool gateway_inbound_answer_rcpt(struct gateway_inbound *in, const struct smtp_command *command,
                                 struct smtp_answer *answer_out)
{
    const struct smtp_mailbox *to = &command->mailbox;
    struct policy_rat_verdict verdict = rat_verdict(in, to);
    struct gateway_client client = client_of(in);
    struct slice domain;

    if (is_delayed(in)) {
        gateway_inbound_log_delayed_recipient(in, to->whole);
        *answer_out = no(550, "5.7.1",
                         "Your access to submit messages to this e-mail system has been rejected");
        return true;
    }
    if (!verdict.bypasses_limits &&
        gateway_rates_is_harvesting(in->worker->process->rates, &client)) {
        *answer_out = limited(in, command, POLICY_FLOW_REPLY_INVALID_RECIPIENTS);
        return true;
    }
    if (verdict.action == POLICY_RAT_REJECT) {
        *answer_out = gateway_inbound_refuse_rcpt(in, command, &verdict.reply, "RAT");
        return true;
    }
    /* <postmaster> without a domain is ours, RFC 5321 4.5.1. */
    domain =
        to->domain.len > 0 ? to->domain : slice_from(gateway_view_settings(in->view)->hostname);
    if (verdict.is_called_ahead)
        return gateway_question_ask_recipient(in, command, domain, answer_out);
    *answer_out = gateway_inbound_accept_rcpt(in, command);
    return true;
}

/* --- DATA ------------------------------------------------------------------------------------ */

struct smtp_answer gateway_inbound_answer_data(struct gateway_inbound *in)
{
    const struct tls_session *tls = gateway_channel_tls(&in->channel);
    char date[CLOCK_DATE_MAX], detail[128];
    struct smtp_trace trace = {
        .helo = smtp_server_helo(&in->smtp),
        .peer_name = in->reverse == POLICY_REVERSE_VERIFIED ? slice_from(in->name) : SLICE(""),
        .peer = in->client.address,
        .host = slice_from(gateway_inbound_listener(in)->hostname),
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
