#include "gateway/question.h"

#include <stdlib.h>

#include "dns/query.h"
#include "engine/timer.h"
#include "gateway/call_ahead.h"
#include "gateway/inbound_answer.h"
#include "gateway/names.h"
#include "gateway/receipt.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static const enum dns_type sender_types[] = { DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA };

struct gateway_question {
    struct gateway_inbound *in;
    struct gateway_names *names;
    struct smtp_command command; /* its texts lie below */
    char mailbox[SMTP_MAILBOX_BYTES_MAX];
    char envid[SMTP_ENVID_BYTES_MAX];
    char orcpt[SMTP_ORCPT_BYTES_MAX];

    struct slice domain; /* for a recipient, these three; */
    struct gateway_next_hops_waiter search;
    struct gateway_call_ahead_waiter waiter; /* the rest is for a sender */

    struct dns_query queries[ARRAY_LEN(sender_types)];
    size_t open_count;
    bool is_failed; /* one of them; nothing can be said of a name then */
};

static void keep(struct slice *text, char *room, size_t room_bytes)
{
    ASSERT(text->len <= room_bytes);
    if (text->len > 0)
        memcpy(room, text->data, text->len);
    text->data = room;
}

/* With a copy of its texts: the command's line lies in the buffer it was received into, which
 * others are received into while this one waits. NULL: no memory. */
static struct gateway_question *question_create(struct gateway_inbound *in,
                                                const struct smtp_command *command)
{
    struct gateway_question *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->in = in;
    q->command = *command;
    q->command.argument = (struct slice){ 0 };
    smtp_mailbox_keep(&q->command.mailbox, q->mailbox);
    keep(&q->command.envid, q->envid, sizeof(q->envid));
    keep(&q->command.orcpt, q->orcpt, sizeof(q->orcpt));
    return q;
}

/* --- the sender's domain --------------------------------------------------------------------- */

static void refuse(struct gateway_question *q, enum policy_flow_reply which, const char *why)
{
    struct gateway_inbound *in = q->in;
    struct smtp_answer answer = gateway_inbound_worded(in, which, q->command.mailbox.whole);

    observe_icid_sender_rejected(in->worker->log, gateway_worker_now_s(in->worker), in->icid,
                                 q->command.mailbox.whole, slice_from(why));
    in->question = NULL;
    gateway_question_destroy(q);
    gateway_inbound_answered(in, &answer);
}

static void on_answer(struct gateway_question *q, const struct dns_answer *answer)
{
    struct gateway_inbound *in = q->in;
    struct smtp_answer said;

    q->open_count--;
    if (answer->outcome == DNS_FOUND) {
        in->question = NULL;
        said = gateway_inbound_accept_mail(in, &q->command);
        gateway_question_destroy(q);
        gateway_inbound_answered(in, &said);
        return;
    }
    q->is_failed = q->is_failed || answer->outcome == DNS_FAILED;
    if (q->open_count > 0)
        return;
    if (q->is_failed)
        refuse(q, POLICY_FLOW_REPLY_SENDER_TEMPORARY,
               "envelope sender domain could not be resolved");
    else
        refuse(q, POLICY_FLOW_REPLY_SENDER_NONEXISTENT, "envelope sender domain does not exist");
}

static void on_mx(struct dns_query *query, const struct dns_answer *answer)
{
    on_answer(CONTAINER_OF(query, struct gateway_question, queries[0]), answer);
}

static void on_a(struct dns_query *query, const struct dns_answer *answer)
{
    on_answer(CONTAINER_OF(query, struct gateway_question, queries[1]), answer);
}

static void on_aaaa(struct dns_query *query, const struct dns_answer *answer)
{
    on_answer(CONTAINER_OF(query, struct gateway_question, queries[2]), answer);
}

bool gateway_question_ask_sender(struct gateway_inbound *in, const struct smtp_command *command)
{
    static void (*const handlers[])(struct dns_query * query,
                                    const struct dns_answer *answer) = { on_mx, on_a, on_aaaa };
    struct gateway_names *names = in->worker->names;
    struct gateway_question *q = names != NULL ? question_create(in, command) : NULL;

    if (q == NULL)
        return false;
    q->names = gateway_names_acquire(names);
    q->open_count = ARRAY_LEN(sender_types);
    for (size_t i = 0; i < ARRAY_LEN(sender_types); i++)
        dns_query_start(&q->queries[i], gateway_names_source(names), command->mailbox.domain,
                        sender_types[i], handlers[i]);
    in->question = q;
    return true;
}

/* --- the recipient at its host --------------------------------------------------------------- */

static struct smtp_answer no(struct gateway_inbound *in, const struct smtp_command *command,
                             uint16_t code, const char *enhanced, const char *text)
{
    struct gateway_worker *w = in->worker;

    observe_mid_rejected(w->log, gateway_worker_now_s(w), gateway_receipt_mid(in->receipt),
                         in->icid, command->mailbox.whole, "call-ahead");
    return (struct smtp_answer){ .code = code, .enhanced = enhanced, .text = slice_from(text) };
}

/* What no host could be asked about: as the configuration says. */
static struct smtp_answer answer_unreachable(struct gateway_inbound *in,
                                             const struct smtp_command *command)
{
    switch (gateway_view_settings(in->view)->call_ahead.unreachable) {
    case CONFIG_UNREACHABLE_ACCEPT: return gateway_inbound_accept_rcpt(in, command);
    case CONFIG_UNREACHABLE_DEFER: break;
    case CONFIG_UNREACHABLE_REJECT:
        return no(in, command, 550, "5.4.1", "Recipient cannot be verified");
    }
    return no(in, command, 451, "4.4.1", "Recipient cannot be verified, try again later");
}

/* The host's own words stay in the log: they are for its postmaster, not for strangers. */
static struct smtp_answer answer_of(struct gateway_inbound *in, const struct smtp_command *command,
                                    enum gateway_call_ahead_verdict verdict)
{
    static const struct policy_reply unknown = { 550, { "5.1.1 User unknown", 18 } };

    switch (verdict) {
    case GATEWAY_CALL_AHEAD_VALID: return gateway_inbound_accept_rcpt(in, command);
    case GATEWAY_CALL_AHEAD_INVALID:
        return gateway_inbound_refuse_rcpt(in, command, &unknown, "call-ahead");
    case GATEWAY_CALL_AHEAD_TEMPORARY:
        return no(in, command, 450, "4.2.0", "Recipient not available now, try again later");
    case GATEWAY_CALL_AHEAD_UNREACHABLE: return answer_unreachable(in, command);
    case GATEWAY_CALL_AHEAD_STOPPING: break;
    }
    return no(in, command, 451, "4.3.2", "System is shutting down, try again later");
}

static void on_verdict(struct gateway_call_ahead_waiter *waiter,
                       enum gateway_call_ahead_verdict verdict)
{
    struct gateway_question *q = CONTAINER_OF(waiter, struct gateway_question, waiter);
    struct gateway_inbound *in = q->in;
    struct smtp_answer answer;

    in->question = NULL;
    answer = answer_of(in, &q->command, verdict);
    gateway_question_destroy(q);
    gateway_inbound_answered(in, &answer);
}

/* The recipient's, in the copy of the mailbox; for <postmaster> our own, which the view keeps. */
static struct slice keep_domain(const struct gateway_question *q, struct slice domain)
{
    return q->command.mailbox.domain.len > 0 ? q->command.mailbox.domain : domain;
}

/* With the hosts of its domain, or NULL. True: *verdict_out is the answer. */
static bool ask_hosts(struct gateway_question *q, struct gateway_next_hops *hops,
                      enum gateway_call_ahead_verdict *verdict_out)
{
    struct gateway_inbound *in = q->in;
    const struct gateway_call_ahead_request request = {
        .view = in->view,
        .hops = hops,
        .domain = q->domain,
        .recipient = q->command.mailbox.whole,
        .smtputf8 = q->command.mailbox.has_non_ascii,
        .mid = gateway_receipt_mid(in->receipt),
        .icid = in->icid,
    };

    *verdict_out = GATEWAY_CALL_AHEAD_UNREACHABLE;
    if (hops == NULL)
        return true;
    if (hops->outcome == GATEWAY_NEXT_HOPS_DISCARD)
        *verdict_out = GATEWAY_CALL_AHEAD_VALID;
    if (hops->outcome != GATEWAY_NEXT_HOPS_FOUND)
        return true;
    return gateway_call_ahead_ask(in->worker->call_ahead, &request, &q->waiter, verdict_out);
}

static void on_hops(struct gateway_next_hops_waiter *waiter, struct gateway_next_hops *hops)
{
    struct gateway_question *q = CONTAINER_OF(waiter, struct gateway_question, search);
    enum gateway_call_ahead_verdict verdict;

    if (ask_hosts(q, hops, &verdict))
        on_verdict(&q->waiter, verdict);
    gateway_next_hops_release(hops);
}

bool gateway_question_ask_recipient(struct gateway_inbound *in, const struct smtp_command *command,
                                    struct slice domain, struct smtp_answer *answer_out)
{
    struct gateway_question *q = question_create(in, command);
    enum gateway_call_ahead_verdict verdict = GATEWAY_CALL_AHEAD_UNREACHABLE;
    struct gateway_next_hops *hops = NULL;
    bool is_answered = true;

    if (q != NULL) {
        q->waiter.answered = on_verdict;
        q->search.found = on_hops;
        q->domain = keep_domain(q, domain);
        is_answered =
            gateway_next_hops_find(in->worker, in->view, domain, false, &q->search, &hops) &&
            ask_hosts(q, hops, &verdict);
        gateway_next_hops_release(hops);
    }
    if (!is_answered) {
        in->question = q;
        return false;
    }
    gateway_question_destroy(q);
    *answer_out = answer_of(in, command, verdict);
    return true;
}

void gateway_question_destroy(struct gateway_question *question)
{
    if (question == NULL)
        return;
    gateway_next_hops_forget(&question->search);
    gateway_call_ahead_forget(&question->waiter);
    for (size_t i = 0; i < ARRAY_LEN(question->queries); i++)
        dns_query_cancel(&question->queries[i]);
    gateway_names_release(question->names);
    free(question);
}
