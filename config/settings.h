/* config/settings.h - the checked settings of the gateway, as the file said or by default.
 *
 * Plain values, read-only, owned by the struct config_loaded they come with. Texts are
 * NUL-terminated, paths absolute or relative to the working directory of the loading process
 * (a relative path of the file has the file's folder in front). What the policies say is in the
 * snapshot (policy/snapshot.h); handles into it are here where a listener names them.
 */
#pragma once
#include "base/ip.h"
#include "policy/snapshot.h"

#define CONFIG_LISTENERS_MAX         64
#define CONFIG_CERTIFICATES_MAX      256
#define CONFIG_CERTIFICATE_PAIRS_MAX 2 /* ECDSA and RSA side by side */
#define CONFIG_WORKERS_MAX           256
#define CONFIG_TLS_CLIENTS_MAX       256
#define CONFIG_SOCKET_PATH_MAX       107 /* what a struct sockaddr_un holds besides its NUL */
#define CONFIG_DNS_SERVERS_MAX       16
#define CONFIG_DNS_STUBS_MAX         64
#define CONFIG_CRL_FILES_MAX         64
#define CONFIG_PEERS_MAX             1000 /* load balancers, or hosts that say XCLIENT */

#define CONFIG_ALERT_RECIPIENTS_MAX    16
#define CONFIG_ALERT_ADDRESS_BYTES_MAX 320 /* 64 before the @ and 255 behind it */

#define CONFIG_ORGANIZATION_BYTES_MAX     256
#define CONFIG_REPORTING_DOMAIN_BYTES_MAX 253
#define CONFIG_DKIM_SELECTOR_BYTES_MAX    200

/* One certificate chain (PEM, leaf first, then intermediates) and its private key (PEM). */
struct config_key_pair {
    const char *chain_path;
    const char *key_path;
};

/* Where a setting stands, for a problem that shows later. */
struct config_place {
    const char *file;
    unsigned line; /* from 1 */
};

struct config_certificate {
    const char *name;
    struct config_place at;
    const struct config_key_pair *pairs;
    size_t pairs_count; /* 1..CONFIG_CERTIFICATE_PAIRS_MAX */
};

enum config_listener_type {
    CONFIG_LISTENER_PUBLIC, /* HAT and RAT */
    CONFIG_LISTENER_PRIVATE /* HAT only */
};

enum config_bare_newlines {
    CONFIG_BARE_NEWLINES_REFUSE, /* a lone CR or LF in a message is answered with 5xx */
    CONFIG_BARE_NEWLINES_ACCEPT /* a lone LF is data; the end of a message is still CRLF "." CRLF */
};

struct config_listener {
    const char *name;
    enum config_listener_type type;
    struct ip_endpoint endpoint;
    const char *hostname;                         /* of the greeting; the global one by default */
    const struct config_certificate *certificate; /* NULL: none, and no policy offers TLS */
    const struct policy_hat *hat;                 /* never NULL */
    const struct policy_rat *rat;                 /* NULL exactly for a private listener */
    const struct policy_mail_flow *flows;         /* by index, with the listener's defaults */
    size_t flows_count;                           /* 0: it has none, policies are as they are */
    uint64_t defaults_given;                      /* policy_mail_flow.given of the defaults */
    const struct ip_prefix *proxies; /* these begin with a PROXY header, and nobody else may */
    size_t proxies_count;
    const struct ip_prefix *xclients; /* these may say XCLIENT */
    size_t xclients_count;
    uint32_t max_connections; /* over all workers */
    uint32_t max_tls_connections;
    uint32_t backlog;
    enum config_bare_newlines bare_newlines;
    enum policy_ktls ktls;
    /* Of mail that came in here, unless the destination names one; NULL: the default's. */
    const struct policy_bounce_profile *bounce_profile;
};

/* The policy of a HAT row as it is used at the listener. */
static inline const struct policy_mail_flow *config_listener_flow(
    const struct config_listener *listener, const struct policy_mail_flow *flow)
{
    return flow->index < listener->flows_count ? &listener->flows[flow->index] : flow;
}

/* A zone whose name servers are named here, not found by asking. */
struct config_dns_stub {
    const char *zone;
    const struct ip_endpoint *servers;
    size_t servers_count; /* at least 1 */
    bool is_validated;    /* else taken for unsigned, unless it is a trust anchor's own zone */
};

struct config_dns {
    const struct ip_endpoint *servers; /* resolvers; none: those of the system */
    size_t servers_count;
    const struct config_dns_stub *stubs;
    size_t stubs_count;
    const char *trust_anchor_path; /* "": answers are not validated */
    uint32_t sender_timeout_s;     /* for all that is asked about a connecting host */
};

enum config_reputation_answer {
    CONFIG_REPUTATION_TXT, /* the score as a text, "-3.4" */
    CONFIG_REPUTATION_A    /* 127.0.4.N, policy_score_from_address() */
};

/* Where the reputation of a host comes from; the file is asked first. */
struct config_reputation {
    const char *zone; /* "": none */
    enum config_reputation_answer answer;
    bool has_file; /* the scores are in the snapshot: policy/scores.h */
};

enum config_unreachable {
    CONFIG_UNREACHABLE_ACCEPT, /* as if the recipient were valid */
    CONFIG_UNREACHABLE_DEFER,  /* 4xx */
    CONFIG_UNREACHABLE_REJECT
};

/* Asking a recipient's host whether it takes the recipient, where the RAT says so. */
struct config_call_ahead {
    uint32_t timeout_s;
    uint32_t positive_s; /* how long an answer is remembered */
    uint32_t negative_s;
    uint32_t unreachable_s;
    enum config_unreachable unreachable;
};

/* Who is told of trouble, and how often: gateway/alerts.h. */
struct config_alerts {
    const char *const *mail;                /* addresses */
    size_t mail_count;                      /* up to CONFIG_ALERT_RECIPIENTS_MAX */
    const char *from;                       /* "": alert@HOSTNAME */
    const char *command;                    /* path of a program; "": none */
    uint32_t initial_wait_s;                /* 0: each alert is sent */
    uint32_t max_wait_s;                    /* at least initial_wait_s */
    bool required_tls, spool, certificates; /* what is told */
};

/* Fetching the policies of MTA-STS. */
struct config_mta_sts {
    const char *ca_path; /* who may vouch for a policy host; "": tls.ca_file, or the system */
    uint32_t timeout_s;  /* of one fetch, and of a delivery that waits for a first policy */
    uint32_t port;       /* 443 but in tests */
};

/* Reports about TLS to the domains that mail goes to: gateway/tls_reports.h, RFC 8460. */
struct config_tls_reports {
    const char *organization;  /* printable; "": the domain */
    const char *contact;       /* an address; "": postmaster@HOSTNAME */
    const char *domain;        /* that reports; "": HOSTNAME */
    const char *dkim_domain;   /* that signs reports by mail; "": the one that reports */
    const char *dkim_selector; /* of its key; "": they are not signed, and the next is "", too */
    const char *dkim_key_path; /* a private key, PEM */
    bool send;                 /* false: nothing is gathered, kept or sent */
    bool to_private_addresses; /* also of hosts that an https: URI names */
};

/* What becomes of a bounce that cannot be delivered. */
enum config_double_bounces {
    CONFIG_DOUBLE_BOUNCES_DROP,
    CONFIG_DOUBLE_BOUNCES_POSTMASTER /* it is sent to config_settings.postmaster */
};

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

/* What a connection of ours shows and asks for; policy_destination.tls_client is the number of one.
 */
struct config_tls_client {
    const struct config_certificate *certificate; /* NULL: none */
    enum config_tls_version min_version;
};

enum config_log_format { CONFIG_LOG_ASYNCOS };

struct config_settings {
    const char *hostname;
    uint32_t workers; /* 0: one per CPU */

    const char *spool_path;
    uint64_t spool_max_bytes;  /* of segments and body files together */
    uint64_t spool_free_bytes; /* of the disk, to be left free; below it MAIL gets 452 */

    enum policy_ktls ktls; /* where a listener or a destination says nothing */
    enum config_tls_version tls_version_min;
    const char *tls_ca_path;          /* who may vouch for hosts; "" when none was named */
    const char *tls_custom_ca_path;   /* and who else; "" when none was named */
    const char *tls_client_ca_path;   /* who may vouch for clients; "" when none was named */
    const char *const *tls_crl_paths; /* what they have revoked */
    size_t tls_crl_paths_count;       /* 0..CONFIG_CRL_FILES_MAX; 0: it is not looked at */

    enum config_log_format log_format;
    const char *log_path; /* "-": standard error */
    const char *admin_socket_path;

    uint64_t memory_message_bytes; /* budget for messages in memory, over all workers */
    uint64_t memory_queue_bytes;   /* and for what stays there of those that are on disk only */
    uint32_t command_timeout_s;    /* a session waits so long for a command, RFC 5321 4.5.3.2.7 */
    uint32_t data_timeout_s;       /* and so long for the next bytes of a message */
    uint32_t session_max_s;        /* a session ends after this, between two commands */
    uint32_t max_errors;   /* commands wrong in syntax or order; then a session ends with 421 */
    uint32_t max_commands; /* of one session; then 421 */
    uint32_t grace_s;      /* from SIGTERM to the end of sessions still open */

    uint32_t max_connections;     /* over all listeners; 0: no limit but theirs */
    uint32_t max_tls_connections; /* beyond it STARTTLS gets 454 */
    uint32_t rate_interval_s;     /* of the rates per hour */
    bool
        delayed_rejection; /* a rejected host hears it at RCPT, so that the log has its envelopes */

    uint32_t delivery_port;                      /* of hosts that were found without one */
    uint32_t delivery_timeout_s;                 /* no reply of a host is waited for longer */
    const struct config_tls_client *tls_clients; /* number 0: of the default destination */
    size_t tls_clients_count;                    /* at least 1 */
    enum config_double_bounces double_bounces;
    const char *postmaster; /* an address, "postmaster@HOSTNAME" by default */

    struct config_dns dns;
    struct config_reputation reputation;
    const char *country_path; /* of a MaxMind database; "": none */
    struct config_call_ahead call_ahead;
    struct config_alerts alerts;
    struct config_mta_sts mta_sts;
    struct config_tls_reports tls_reports;

    const struct config_certificate *certificates;
    size_t certificates_count;
    const struct config_listener *listeners;
    size_t listeners_count; /* at least 1 */
};
