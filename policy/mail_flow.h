/* policy/mail_flow.h - what a group of senders may do: the mail flow policy of a HAT row.
 *
 * A plain value inside a snapshot; it lives as long as the snapshot does.
 */
#pragma once
#include "base/slice.h"

enum policy_access {
    POLICY_ACCESS_ACCEPT,  /* mail is accepted; the RAT decides about recipients */
    POLICY_ACCESS_RELAY,   /* mail is accepted for any recipient; the RAT is not asked */
    POLICY_ACCESS_REJECT,  /* the connection gets a 554 greeting, RFC 5321 3.1 */
    POLICY_ACCESS_REFUSE,  /* the connection is reset, no SMTP at all */
    POLICY_ACCESS_CONTINUE /* the row decides nothing; evaluation goes on with the next one */
};

enum policy_flow_tls {
    POLICY_FLOW_TLS_OFF,       /* STARTTLS is not advertised and is refused */
    POLICY_FLOW_TLS_PREFERRED, /* advertised; clear text is accepted too */
    POLICY_FLOW_TLS_REQUIRED   /* only NOOP, EHLO, STARTTLS and QUIT before TLS, RFC 3207 4 */
};

#define POLICY_FLOW_CONNECTIONS_PER_IP_DEFAULT      1000u
#define POLICY_FLOW_MESSAGES_PER_CONNECTION_DEFAULT 1000u
#define POLICY_FLOW_RECIPIENTS_PER_MESSAGE_DEFAULT  1000u
#define POLICY_FLOW_MESSAGE_SIZE_DEFAULT            ((uint64_t)20 << 20)
#define POLICY_FLOW_COUNT_MAX                       1000000u /* upper bound of the counts above */
#define POLICY_FLOW_MESSAGE_SIZE_MIN                ((uint64_t)1 << 10)
#define POLICY_FLOW_MESSAGE_SIZE_MAX                ((uint64_t)1 << 30)

struct policy_mail_flow {
    struct slice name; /* NUL-terminated behind its last byte, as all texts of a snapshot */
    enum policy_access access;
    enum policy_flow_tls tls;
    uint32_t max_connections_per_ip; /* at one listener, over all workers */
    uint32_t max_messages_per_connection;
    uint32_t max_recipients_per_message;
    uint64_t max_message_size; /* bytes, as in the SIZE extension, RFC 1870 */
};

/* Everything at its default, without a name: accept, TLS off. */
struct policy_mail_flow policy_mail_flow_default(void);

/* The words of the configuration: "accept", "required"... */
const char *policy_access_text(enum policy_access access);
const char *policy_flow_tls_text(enum policy_flow_tls tls);
