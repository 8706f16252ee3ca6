#include "policy/mail_flow.h"

#include <assert.h>

#include "base/check.h"

static_assert(POLICY_FLOW_FIELDS_COUNT <= 64, "each field has a bit of `given`");

#define REPLY(code, text)                                                                          \
    {                                                                                              \
        code,                                                                                      \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }
#define FIELD(field)                                                                               \
    {                                                                                              \
        offsetof(struct policy_mail_flow, field), MEMBER_BYTES(field)                              \
    }
#define MEMBER_BYTES(field) sizeof(((struct policy_mail_flow *)0)->field)

struct policy_mail_flow policy_mail_flow_default(void)
{
    return (struct policy_mail_flow){
        .access = POLICY_ACCESS_ACCEPT,
        .tls = POLICY_FLOW_TLS_OFF,
        .max_connections_per_ip = POLICY_FLOW_CONNECTIONS_PER_IP_DEFAULT,
        .max_messages_per_connection = POLICY_FLOW_MESSAGES_PER_CONNECTION_DEFAULT,
        .max_recipients_per_message = POLICY_FLOW_RECIPIENTS_PER_MESSAGE_DEFAULT,
        .max_message_size = POLICY_FLOW_MESSAGE_SIZE_DEFAULT,
        .bits_v4 = POLICY_FLOW_BITS_V4_DEFAULT,
        .bits_v6 = POLICY_FLOW_BITS_V6_DEFAULT,
        .sender_interval_s = POLICY_FLOW_SENDER_INTERVAL_S_DEFAULT,
        .drop_invalid = true,
        .replies = {
            [POLICY_FLOW_REPLY_BANNER] = REPLY(220, "ESMTP"),
            [POLICY_FLOW_REPLY_REJECT] =
                REPLY(554, "Your access to this mail system has been rejected"),
            [POLICY_FLOW_REPLY_CONNECTIONS] =
                REPLY(421, "#4.4.5 Too many connections from your host"),
            [POLICY_FLOW_REPLY_MESSAGES] =
                REPLY(421, "4.7.0 Too many messages on this connection"),
            [POLICY_FLOW_REPLY_RECIPIENTS] = REPLY(452, "4.5.3 Too many recipients"),
            [POLICY_FLOW_REPLY_SIZE] = REPLY(552, "5.3.4 Message size exceeds limit"),
            [POLICY_FLOW_REPLY_RECIPIENTS_PER_HOUR] =
                REPLY(452, "4.7.1 Too many recipients received this hour"),
            [POLICY_FLOW_REPLY_RECIPIENTS_PER_SENDER] =
                REPLY(452, "4.7.1 Too many recipients received from the sender"),
            [POLICY_FLOW_REPLY_INVALID_RECIPIENTS] =
                REPLY(550, "5.7.1 Too many invalid recipients"),
            [POLICY_FLOW_REPLY_SENDER_MALFORMED] =
                REPLY(553, "5.5.4 Domain required for sender address"),
            [POLICY_FLOW_REPLY_SENDER_NONEXISTENT] =
                REPLY(553, "5.1.8 Domain of sender address <$EnvelopeSender> does not exist"),
            [POLICY_FLOW_REPLY_SENDER_TEMPORARY] =
                REPLY(451, "4.1.8 Domain of sender address <$EnvelopeSender> does not resolve"),
        },
    };
}

/* Where the value of each field stands that is neither a code nor a text. */
static const struct {
    size_t offset;
    size_t bytes;
} fields[POLICY_FLOW_CODES] = {
    [POLICY_FLOW_ACCESS] = FIELD(access),
    [POLICY_FLOW_TLS] = FIELD(tls),
    [POLICY_FLOW_TLS_VERSION] = FIELD(tls_version_min),
    [POLICY_FLOW_TLS_SENDERS] = FIELD(tls_senders),
    [POLICY_FLOW_VERIFY_CLIENT] = FIELD(verify_client),
    [POLICY_FLOW_CLIENT_NAMES] = FIELD(client_names), /* and their count, below */
    [POLICY_FLOW_HOSTNAME] = FIELD(hostname),         /* and has_hostname, below */
    [POLICY_FLOW_CONNECTIONS_PER_IP] = FIELD(max_connections_per_ip),
    [POLICY_FLOW_MESSAGES_PER_CONNECTION] = FIELD(max_messages_per_connection),
    [POLICY_FLOW_RECIPIENTS_PER_MESSAGE] = FIELD(max_recipients_per_message),
    [POLICY_FLOW_MESSAGE_SIZE] = FIELD(max_message_size),
    [POLICY_FLOW_RECIPIENTS_PER_HOUR] = FIELD(max_recipients_per_hour),
    [POLICY_FLOW_BITS_V4] = FIELD(bits_v4),
    [POLICY_FLOW_BITS_V6] = FIELD(bits_v6),
    [POLICY_FLOW_RECIPIENTS_PER_SENDER] = FIELD(max_recipients_per_sender),
    [POLICY_FLOW_SENDER_INTERVAL] = FIELD(sender_interval_s),
    [POLICY_FLOW_SENDER_EXCEPTIONS] = FIELD(sender_exceptions),
    [POLICY_FLOW_INVALID_RECIPIENTS] = FIELD(max_invalid_recipients),
    [POLICY_FLOW_DROP_INVALID] = FIELD(drop_invalid),
    [POLICY_FLOW_VERIFY_SENDER] = FIELD(verify_sender),
    [POLICY_FLOW_EXCEPTION_TABLE] = FIELD(use_exception_table),
    [POLICY_FLOW_DSN] = FIELD(dsn),
};

static bool is_given(const struct policy_mail_flow *flow, unsigned field)
{
    return (flow->given >> field & 1) != 0;
}

struct policy_mail_flow policy_mail_flow_inherit(const struct policy_mail_flow *flow,
                                                 const struct policy_mail_flow *defaults)
{
    struct policy_mail_flow f = *flow;

    for (unsigned i = 0; i < POLICY_FLOW_CODES; i++)
        if (!is_given(flow, i) && is_given(defaults, i))
            memcpy((char *)&f + fields[i].offset, (const char *)defaults + fields[i].offset,
                   fields[i].bytes);
    if (!is_given(flow, POLICY_FLOW_CLIENT_NAMES) && is_given(defaults, POLICY_FLOW_CLIENT_NAMES))
        f.client_names_count = defaults->client_names_count;
    if (!is_given(flow, POLICY_FLOW_HOSTNAME) && is_given(defaults, POLICY_FLOW_HOSTNAME))
        f.has_hostname = defaults->has_hostname;
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        if (!is_given(flow, POLICY_FLOW_CODES + i) && is_given(defaults, POLICY_FLOW_CODES + i))
            f.replies[i].code = defaults->replies[i].code;
        if (!is_given(flow, POLICY_FLOW_TEXTS + i) && is_given(defaults, POLICY_FLOW_TEXTS + i))
            f.replies[i].text = defaults->replies[i].text;
    }
    return f;
}

void policy_flow_reply_codes(enum policy_flow_reply reply, unsigned *low_out, unsigned *high_out)
{
    bool is_banner = reply == POLICY_FLOW_REPLY_BANNER;

    *low_out = is_banner ? 220 : 400;
    *high_out = is_banner ? 299 : 599;
}

const char *policy_access_text(enum policy_access access)
{
    switch (access) {
    case POLICY_ACCESS_ACCEPT: return "accept";
    case POLICY_ACCESS_RELAY: return "relay";
    case POLICY_ACCESS_REJECT: return "reject";
    case POLICY_ACCESS_REFUSE: return "refuse";
    case POLICY_ACCESS_CONTINUE: return "continue";
    }
    UNREACHABLE();
}

const char *policy_flow_tls_text(enum policy_flow_tls tls)
{
    switch (tls) {
    case POLICY_FLOW_TLS_OFF: return "off";
    case POLICY_FLOW_TLS_PREFERRED: return "preferred";
    case POLICY_FLOW_TLS_REQUIRED: return "required";
    }
    UNREACHABLE();
}

const char *policy_flow_verify_text(enum policy_flow_verify verify)
{
    switch (verify) {
    case POLICY_FLOW_VERIFY_OFF: return "off";
    case POLICY_FLOW_VERIFY_OPTIONAL: return "optional";
    case POLICY_FLOW_VERIFY_REQUIRED: return "required";
    }
    UNREACHABLE();
}
