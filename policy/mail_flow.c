#include "policy/mail_flow.h"

#include "base/check.h"

struct policy_mail_flow policy_mail_flow_default(void)
{
    return (struct policy_mail_flow){
        .access = POLICY_ACCESS_ACCEPT,
        .tls = POLICY_FLOW_TLS_OFF,
        .max_connections_per_ip = POLICY_FLOW_CONNECTIONS_PER_IP_DEFAULT,
        .max_messages_per_connection = POLICY_FLOW_MESSAGES_PER_CONNECTION_DEFAULT,
        .max_recipients_per_message = POLICY_FLOW_RECIPIENTS_PER_MESSAGE_DEFAULT,
        .max_message_size = POLICY_FLOW_MESSAGE_SIZE_DEFAULT,
    };
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
