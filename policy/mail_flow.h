/* policy/mail_flow.h - what a group of senders may do: the mail flow policy of a HAT row.
 *
 * A plain value inside a snapshot; it lives as long as the snapshot does. A policy says some things
 * itself and inherits the rest from the defaults of the listener at which it is used:
 * policy_mail_flow_inherit().
 */
#pragma once
#include "policy/reply.h"

struct policy_address_list;

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

/* Client certificates. A client that shows one which does not verify gets no mail in, whichever of
 * the two asks for it. */
enum policy_flow_verify {
    POLICY_FLOW_VERIFY_OFF,      /* not asked for */
    POLICY_FLOW_VERIFY_OPTIONAL, /* a client may have none */
    POLICY_FLOW_VERIFY_REQUIRED  /* after STARTTLS nothing goes without one */
};

enum policy_flow_version {
    POLICY_FLOW_VERSION_GLOBAL, /* tls.min_version */
    POLICY_FLOW_VERSION_1_2,
    POLICY_FLOW_VERSION_1_3
};

/* The replies that a policy may word, each with the variables of policy/reply.h. */
enum policy_flow_reply {
    POLICY_FLOW_REPLY_BANNER,                /* 220; its text follows the host name */
    POLICY_FLOW_REPLY_REJECT,                /* the greeting of "reject" */
    POLICY_FLOW_REPLY_CONNECTIONS,           /* in place of the greeting */
    POLICY_FLOW_REPLY_MESSAGES,              /* to MAIL; 421 also closes */
    POLICY_FLOW_REPLY_RECIPIENTS,            /* to RCPT */
    POLICY_FLOW_REPLY_SIZE,                  /* to MAIL, or to the end of the message */
    POLICY_FLOW_REPLY_RECIPIENTS_PER_HOUR,   /* to RCPT */
    POLICY_FLOW_REPLY_RECIPIENTS_PER_SENDER, /* to RCPT */
    POLICY_FLOW_REPLY_INVALID_RECIPIENTS,    /* to RCPT */
    POLICY_FLOW_REPLY_SENDER_MALFORMED,      /* to MAIL */
    POLICY_FLOW_REPLY_SENDER_NONEXISTENT,
    POLICY_FLOW_REPLY_SENDER_TEMPORARY,
    POLICY_FLOW_REPLIES_COUNT
};

#define POLICY_FLOW_CONNECTIONS_PER_IP_DEFAULT      1000u
#define POLICY_FLOW_MESSAGES_PER_CONNECTION_DEFAULT 1000u
#define POLICY_FLOW_RECIPIENTS_PER_MESSAGE_DEFAULT  1000u
#define POLICY_FLOW_MESSAGE_SIZE_DEFAULT            ((uint64_t)20 << 20)
#define POLICY_FLOW_COUNT_MAX                       1000000u /* upper bound of all counts */
#define POLICY_FLOW_MESSAGE_SIZE_MIN                ((uint64_t)1 << 10)
#define POLICY_FLOW_MESSAGE_SIZE_MAX                ((uint64_t)1 << 30)
#define POLICY_FLOW_BITS_V4_DEFAULT                 32u
#define POLICY_FLOW_BITS_V6_DEFAULT                 64u /* who has one address has its /64 */
#define POLICY_FLOW_SENDER_INTERVAL_S_DEFAULT       3600u
#define POLICY_FLOW_SENDER_INTERVAL_S_MAX           86400u
#define POLICY_FLOW_CLIENT_NAMES_MAX                100

/* What a policy may say or leave to the defaults; the bits of policy_mail_flow.given. A reply has
 * two of them: its code and its text. */
enum policy_flow_field {
    POLICY_FLOW_ACCESS,
    POLICY_FLOW_TLS,
    POLICY_FLOW_TLS_VERSION,
    POLICY_FLOW_TLS_SENDERS,
    POLICY_FLOW_VERIFY_CLIENT,
    POLICY_FLOW_CLIENT_NAMES,
    POLICY_FLOW_HOSTNAME,
    POLICY_FLOW_CONNECTIONS_PER_IP,
    POLICY_FLOW_MESSAGES_PER_CONNECTION,
    POLICY_FLOW_RECIPIENTS_PER_MESSAGE,
    POLICY_FLOW_MESSAGE_SIZE,
    POLICY_FLOW_RECIPIENTS_PER_HOUR,
    POLICY_FLOW_BITS_V4,
    POLICY_FLOW_BITS_V6,
    POLICY_FLOW_RECIPIENTS_PER_SENDER,
    POLICY_FLOW_SENDER_INTERVAL,
    POLICY_FLOW_SENDER_EXCEPTIONS,
    POLICY_FLOW_INVALID_RECIPIENTS,
    POLICY_FLOW_DROP_INVALID,
    POLICY_FLOW_VERIFY_SENDER,
    POLICY_FLOW_EXCEPTION_TABLE,
    POLICY_FLOW_DSN,
    POLICY_FLOW_CODES, /* + enum policy_flow_reply */
    POLICY_FLOW_TEXTS = POLICY_FLOW_CODES + POLICY_FLOW_REPLIES_COUNT,
    POLICY_FLOW_FIELDS_COUNT = POLICY_FLOW_TEXTS + POLICY_FLOW_REPLIES_COUNT
};

struct policy_mail_flow {
    struct slice name; /* NUL-terminated behind its last byte, as all texts of a snapshot */
    uint32_t index;    /* among the policies of the snapshot, in the order they were added */
    uint64_t given;    /* bit for each policy_flow_field that the policy says itself */

    enum policy_access access;
    enum policy_flow_tls tls;
    enum policy_flow_version tls_version_min;
    const struct policy_address_list *tls_senders; /* these need TLS to be taken; NULL: nobody */
    enum policy_flow_verify verify_client;
    const struct slice *client_names; /* that a verified certificate may have; none: any */
    size_t client_names_count;

    struct slice hostname; /* in the greeting; empty: see has_hostname */
    bool has_hostname;     /* false: the listener's; true and empty: none is said */

    uint32_t max_connections_per_ip; /* at one listener, over all workers */
    uint32_t max_messages_per_connection;
    uint32_t max_recipients_per_message;
    uint64_t max_message_size; /* bytes, as in the SIZE extension, RFC 1870 */

    /* Rates: 0 is no limit. They count over all listeners and workers. */
    uint32_t max_recipients_per_hour;   /* accepted, from one client */
    uint32_t bits_v4;                   /* of the address that make one client, 1..32 */
    uint32_t bits_v6;                   /* 1..128 */
    uint32_t max_recipients_per_sender; /* accepted, for one MAIL FROM */
    uint32_t sender_interval_s;
    const struct policy_address_list *sender_exceptions; /* not limited; NULL: nobody */
    uint32_t max_invalid_recipients; /* per hour, from one client: rejected by RAT or call-ahead */
    bool drop_invalid;               /* beyond it the connection is closed, too */

    bool verify_sender;       /* ask the DNS whether the domain of MAIL FROM exists */
    bool use_exception_table; /* policy/address_list.h */
    bool dsn; /* senders may say what they want to be told, RFC 3461; by default who relays */

    struct policy_reply replies[POLICY_FLOW_REPLIES_COUNT]; /* code 0 in none of them */
};

/* Everything at its default, without a name: accept, TLS off. */
struct policy_mail_flow policy_mail_flow_default(void);

/* The policy as it is used at a listener: what it does not say itself is taken from the defaults,
 * where those say it. Texts and lists are borrowed from both. */
struct policy_mail_flow policy_mail_flow_inherit(const struct policy_mail_flow *flow,
                                                 const struct policy_mail_flow *defaults);

/* The codes that a reply may have: from *low_out to *high_out. */
void policy_flow_reply_codes(enum policy_flow_reply reply, unsigned *low_out, unsigned *high_out);

/* The words of the configuration: "accept", "required"... */
const char *policy_access_text(enum policy_access access);
const char *policy_flow_tls_text(enum policy_flow_tls tls);
const char *policy_flow_verify_text(enum policy_flow_verify verify);
