#include "gateway/question.h"

#include <stdlib.h>

#include "dns/query.h"
#include "engine/timer.h"
#include "gateway/inbound_answer.h"
#include "gateway/names.h"
#include "gateway/worker.h"
#include "observe/mail_events.h"

static const enum dns_type sender_types[] = { DNS_TYPE_MX, DNS_TYPE_A, DNS_TYPE_AAAA };

struct gateway_question {
    struct gateway_inbound *in;
    struct gateway_names *names;
    struct smtp_command command; /* its texts lie below */
    char mailbox[SMTP_MAILBOX_BYTES_MAX];
    struct dns_query queries[ARRAY_LEN(sender_types)];
    size_t open_count;
    bool is_failed; /* one of them; nothing can be said of a name then */
};

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
        said = gateway_inbound_accept_mail(in, &q->command);
        in->question = NULL;
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
    struct gateway_question *q = names != NULL ? calloc(1, sizeof(*q)) : NULL;

    if (q == NULL)
        return false;
    q->in = in;
    q->names = gateway_names_acquire(names);
    q->command = *command;
    smtp_mailbox_keep(&q->command.mailbox, q->mailbox);
    q->open_count = ARRAY_LEN(sender_types);
    for (size_t i = 0; i < ARRAY_LEN(sender_types); i++)
        dns_query_start(&q->queries[i], gateway_names_source(names), command->mailbox.domain,
                        sender_types[i], handlers[i]);
    in->question = q;
    return true;
}

void gateway_question_destroy(struct gateway_question *question)
{
    if (question == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(question->queries); i++)
        dns_query_cancel(&question->queries[i]);
    gateway_names_release(question->names);
    free(question);
}
