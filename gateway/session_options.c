#include "gateway/session_options.h"

#include <stdlib.h>

struct gateway_view_options {
    struct gateway_view_options *next;
    const struct config_listener *listener;
    const struct policy_mail_flow *flow;
    struct smtp_server_options smtp;
};

/* The replies that the SMTP machine gives by itself. */
static const enum policy_flow_reply machine_replies[] = {
    POLICY_FLOW_REPLY_BANNER, POLICY_FLOW_REPLY_MESSAGES,         POLICY_FLOW_REPLY_RECIPIENTS,
    POLICY_FLOW_REPLY_SIZE,   POLICY_FLOW_REPLY_SENDER_MALFORMED,
};

struct gateway_session_options {
    struct smtp_server_options smtp;
    char texts[ARRAY_LEN(machine_replies)][POLICY_REPLY_EXPANDED_MAX];
};

/* The text has an enhanced status code of its own, if any. */
static struct smtp_answer answer_of(const struct policy_mail_flow *flow,
                                    enum policy_flow_reply which)
{
    return (struct smtp_answer){ .code = (uint16_t)flow->replies[which].code,
                                 .text = flow->replies[which].text };
}

static struct smtp_server_options smtp_options(const struct gateway_view *view,
                                               const struct config_listener *listener,
                                               const struct policy_mail_flow *flow)
{
    const struct config_settings *settings = gateway_view_settings(view);
    struct smtp_server_options options = {
        .hostname = slice_from(listener->hostname),
        .banner = flow->replies[POLICY_FLOW_REPLY_BANNER].text,
        .banner_name = flow->hostname,
        .has_banner_name = flow->has_hostname,
        .banner_code = (uint16_t)flow->replies[POLICY_FLOW_REPLY_BANNER].code,
        .message_bytes_max = flow->max_message_size,
        .recipients_max = flow->max_recipients_per_message,
        .messages_max = flow->max_messages_per_connection,
        .commands_max = settings->max_commands,
        .errors_max = settings->max_errors,
        .command_ms_max = settings->command_timeout_s * 1000,
        .body_ms_max = settings->data_timeout_s * 1000,
        .bare_newlines = listener->bare_newlines == CONFIG_BARE_NEWLINES_ACCEPT
                             ? SMTP_SERVER_BARE_NEWLINES_ACCEPT
                             : SMTP_SERVER_BARE_NEWLINES_REFUSE,
        .messages_reply = answer_of(flow, POLICY_FLOW_REPLY_MESSAGES),
        .recipients_reply = answer_of(flow, POLICY_FLOW_REPLY_RECIPIENTS),
        .size_reply = answer_of(flow, POLICY_FLOW_REPLY_SIZE),
        .offers_dsn = flow->dsn,
        .offers_require_tls = true,
    };

    if (flow->verify_sender)
        options.bad_sender_reply = answer_of(flow, POLICY_FLOW_REPLY_SENDER_MALFORMED);
    switch (flow->tls) {
    case POLICY_FLOW_TLS_OFF: options.tls = SMTP_SERVER_TLS_OFF; break;
    case POLICY_FLOW_TLS_PREFERRED: options.tls = SMTP_SERVER_TLS_PREFERRED; break;
    case POLICY_FLOW_TLS_REQUIRED: options.tls = SMTP_SERVER_TLS_REQUIRED; break;
    }
    return options;
}

const struct smtp_server_options *gateway_view_smtp_options(struct gateway_view *view,
                                                            const struct config_listener *listener,
                                                            const struct policy_mail_flow *flow,
                                                            bool xclient)
{
    struct gateway_view_options *o = view->options;

    while (o != NULL && (o->listener != listener || o->flow != flow || o->smtp.xclient != xclient))
        o = o->next;
    if (o != NULL)
        return &o->smtp;
    o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    *o = (struct gateway_view_options){
        .next = view->options,
        .listener = listener,
        .flow = flow,
        .smtp = smtp_options(view, listener, flow),
    };
    o->smtp.xclient = xclient;
    view->options = o;
    return &o->smtp;
}

void gateway_view_options_destroy(struct gateway_view_options *options)
{
    while (options != NULL) {
        struct gateway_view_options *next = options->next;

        free(options);
        options = next;
    }
}

bool gateway_session_options_are_own(const struct policy_mail_flow *flow)
{
    for (size_t i = 0; i < ARRAY_LEN(machine_replies); i++)
        if (policy_reply_has_variables(flow->replies[machine_replies[i]].text))
            return true;
    return false;
}

struct gateway_session_options *gateway_session_options_create(
    const struct smtp_server_options *shared, const struct policy_reply_facts *facts)
{
    struct gateway_session_options *o = malloc(sizeof(*o));
    struct slice *texts[ARRAY_LEN(machine_replies)];

    if (o == NULL)
        return NULL;
    o->smtp = *shared;
    texts[0] = &o->smtp.banner;
    texts[1] = &o->smtp.messages_reply.text;
    texts[2] = &o->smtp.recipients_reply.text;
    texts[3] = &o->smtp.size_reply.text;
    texts[4] = &o->smtp.bad_sender_reply.text;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] =
            (struct slice){ o->texts[i], policy_reply_expand(*texts[i], facts, o->texts[i]) };
    return o;
}

void gateway_session_options_destroy(struct gateway_session_options *options)
{
    free(options);
}

const struct smtp_server_options *gateway_session_options_smtp(
    const struct gateway_session_options *options)
{
    return &options->smtp;
}
