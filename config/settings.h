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
#define CONFIG_SOCKET_PATH_MAX       107 /* what a struct sockaddr_un holds besides its NUL */

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
    uint32_t max_connections;                     /* over all workers */
    uint32_t backlog;
    enum config_bare_newlines bare_newlines;
    enum policy_ktls ktls;
};

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };

enum config_log_format { CONFIG_LOG_ASYNCOS };

struct config_settings {
    const char *hostname;
    uint32_t workers; /* 0: one per CPU */

    const char *spool_path;
    uint64_t spool_max_bytes;  /* of segments and body files together */
    uint64_t spool_free_bytes; /* of the disk, to be left free; below it MAIL gets 452 */

    enum policy_ktls ktls; /* where a listener or a destination says nothing */
    enum config_tls_version tls_version_min;
    const char *tls_ca_path; /* "" when none was named */

    enum config_log_format log_format;
    const char *log_path; /* "-": standard error */
    const char *admin_socket_path;

    uint64_t memory_message_bytes; /* budget for messages in memory, over all workers */
    uint32_t command_timeout_s;    /* a session waits so long for a command, RFC 5321 4.5.3.2.7 */
    uint32_t data_timeout_s;       /* and so long for the next bytes of a message */
    uint32_t session_max_s;        /* a session ends after this, between two commands */
    uint32_t max_errors;   /* commands wrong in syntax or order; then a session ends with 421 */
    uint32_t max_commands; /* of one session; then 421 */
    uint32_t grace_s;      /* from SIGTERM to the end of sessions still open */

    const struct config_certificate *certificates;
    size_t certificates_count;
    const struct config_listener *listeners;
    size_t listeners_count; /* at least 1 */
};
