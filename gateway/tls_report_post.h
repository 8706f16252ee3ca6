/* gateway/tls_report_post.h - a TLS report by HTTPS: RFC 8460 5.4.
 *
 * Where it goes is what a stranger's DNS says. So: https only, no redirect, no credentials of the
 * URI, the addresses are those that were looked up for it, and unless the configuration allows it,
 * none of a private network or of this machine, whatever the name says: not even a public one that
 * an interface of ours has, as firewalls let us through to ourselves. Certificates have to be
 * valid, which RFC 8460 3 leaves to us: a name that a stranger chose cannot lead to a server inside
 * that believes in where a request comes from.
 *
 * Transfers run side by side in the thread that calls gateway_tls_poster_wait(); nothing blocks but
 * that. Every call is of that thread.
 */
#pragma once
#include "base/ip.h"
#include "base/status.h"
#include "dns/name.h"
#include "observe/tls_report_record.h"

#define GATEWAY_TLS_POST_ADDRESSES_MAX 16
#define GATEWAY_TLS_POST_REASON_MAX    160
#define GATEWAY_TLS_POST_TIME_MS       60000
#define GATEWAY_TLS_POST_ANSWER_MAX    65536 /* bytes of an answer, which nobody reads */

struct gateway_tls_poster; /* opaque */

enum gateway_tls_post_state {
    GATEWAY_TLS_POST_IDLE,
    GATEWAY_TLS_POST_RUNNING,
    GATEWAY_TLS_POST_TAKEN, /* an answer of 2xx */
    GATEWAY_TLS_POST_FAILED
};

struct gateway_tls_post {
    const char *url;                          /* borrowed, as the next three */
    struct slice body;                        /* observe_tls_report_json(), compressed */
    const struct ip_address *addresses;       /* of its host, which are all allowed */
    const char *ca_path;                      /* ""; the system's */
    size_t addresses_count;                   /* 1..GATEWAY_TLS_POST_ADDRESSES_MAX */
    bool to_private;                          /* addresses of private networks are allowed */
    enum gateway_tls_post_state state;        /* for others to read */
    char reason[GATEWAY_TLS_POST_REASON_MAX]; /* of FAILED: printable ASCII */

    struct gateway_tls_poster *poster; /* private from here on */
    void *curl;
    void *headers, *resolve;
    size_t answer_bytes;
    bool is_refused; /* an address, by us */
    char *error;
};

/* Whom an https URI asks to be posted to: a host and a port. False: it cannot be used. */
bool gateway_tls_post_target(const char *url, char host[static DNS_NAME_MAX], uint16_t *port_out);

/* Whether an address is one that the whole Internet can reach (RFC 6890). */
bool gateway_tls_post_is_public(const struct ip_address *address);

/* Whether one of our interfaces has it now. */
bool gateway_tls_post_is_ours(const struct ip_address *address);

/* curl_global_init() has been called. */
MUST_USE enum status gateway_tls_poster_create(struct gateway_tls_poster **poster_out);
void gateway_tls_poster_destroy(struct gateway_tls_poster *poster); /* accepts NULL; none runs */

/* Begins; an IDLE one becomes RUNNING, or FAILED at once. */
void gateway_tls_post_start(struct gateway_tls_poster *poster, struct gateway_tls_post *post);

/* Ends one in any state and gives back what it holds; accepts a zeroed one. */
void gateway_tls_post_finish(struct gateway_tls_post *post);

/* Goes on with what runs, until one has ended, the eventfd `bell` rings (which it takes back) or
 * the time is over. */
void gateway_tls_poster_wait(struct gateway_tls_poster *poster, int bell, int wait_ms);
