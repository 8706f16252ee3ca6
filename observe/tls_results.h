/* observe/tls_results.h - how TLS went with the domains that mail goes to, for a day's reports.
 *
 * RFC 8460: for each policy that was applied to a domain, sessions that went well and sessions that
 * did not, these by what went wrong, between whom. A table holds what one worker saw since it was
 * last collected, or all of a day; the first kind is merged into the second. What is beyond a
 * maximum below is counted in `dropped`, or for details, only in the totals of their policy.
 *
 * All texts are copied, in printable ASCII (other bytes, and the tab, become "?"), and cut. Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/table.h"

#define OBSERVE_TLS_POLICIES_MAX        10000 /* of a table */
#define OBSERVE_TLS_DOMAIN_POLICIES_MAX 100   /* of a domain */
#define OBSERVE_TLS_DETAILS_MAX         100   /* of a policy */
#define OBSERVE_TLS_TEXTS_MAX           32    /* policy strings, or patterns, of a policy */
#define OBSERVE_TLS_TEXT_MAX            512   /* bytes of each */
#define OBSERVE_TLS_BYTES_MAX           ((size_t)32 * 1024 * 1024) /* of a table */

enum observe_tls_policy_type {                          /* RFC 8460 4.4 */
                               OBSERVE_TLS_POLICY_NONE, /* "no-policy-found" */
                               OBSERVE_TLS_POLICY_STS,
                               OBSERVE_TLS_POLICY_TLSA,
                               OBSERVE_TLS_POLICY_TYPES_COUNT
};

enum observe_tls_result_type {                      /* RFC 8460 4.3 */
                               OBSERVE_TLS_SUCCESS, /* no type of the RFC's: it went well */
                               OBSERVE_TLS_STARTTLS_NOT_SUPPORTED,
                               OBSERVE_TLS_CERTIFICATE_HOST_MISMATCH,
                               OBSERVE_TLS_CERTIFICATE_EXPIRED,
                               OBSERVE_TLS_CERTIFICATE_NOT_TRUSTED,
                               OBSERVE_TLS_VALIDATION_FAILURE, /* anything else; say in the reason
                                                                  what */
                               OBSERVE_TLS_TLSA_INVALID,
                               OBSERVE_TLS_DNSSEC_INVALID,
                               OBSERVE_TLS_DANE_REQUIRED,
                               OBSERVE_TLS_STS_POLICY_FETCH_ERROR,
                               OBSERVE_TLS_STS_POLICY_INVALID,
                               OBSERVE_TLS_STS_WEBPKI_INVALID,
                               OBSERVE_TLS_RESULT_TYPES_COUNT
};

/* One session, or one attempt to get a policy; texts may be empty. */
struct observe_tls_result {
    enum observe_tls_policy_type policy_type;
    enum observe_tls_result_type result_type;
    struct slice report_domain;         /* who is told: the recipient's domain, whose TLSRPT record
                                           is asked for (RFC 8460 1.1, 3) */
    struct slice policy_domain;         /* where the policy is, if elsewhere: for DANE the TLSA base
                                           domain (1.1, 4.4); empty: the one above */
    const struct slice *policy_strings; /* of a TLSA record each; or the lines of an STS policy */
    size_t policy_strings_count;
    const struct slice *mx_patterns; /* of an STS policy */
    size_t mx_patterns_count;
    struct slice mx_host; /* the rest: of a failure only */
    struct slice receiving_ip;
    struct slice sending_ip;
    struct slice reason; /* "failure-reason-code" */
};

struct observe_tls_detail {
    struct list_node node;
    enum observe_tls_result_type type;
    uint64_t count;
    const char *mx_host, *receiving_ip, *sending_ip, *reason; /* never NULL */
};

struct observe_tls_policy {
    struct list_node node;
    struct table_node by_domain;               /* of the first one of its domain */
    struct observe_tls_policy *next_of_domain; /* as they came */
    enum observe_tls_policy_type type;
    bool is_first; /* of its domain */
    uint64_t successes;
    uint64_t failures;
    const char *domain; /* who is told; in lower case, as the next one */
    const char *policy_domain;
    const char *const *strings;
    size_t strings_count;
    const char *const *patterns;
    size_t patterns_count;
    struct list details; /* struct observe_tls_detail */
    size_t details_count;
};

struct observe_tls_results {
    struct list policies; /* struct observe_tls_policy, as they came */
    size_t policies_count;
    uint64_t dropped;     /* sessions that found no room */
    struct table domains; /* private from here on */
    struct arena arena;
    struct hash_seed seed;
};

/* seed: domains are chosen by strangers. */
MUST_USE enum status observe_tls_results_init(struct observe_tls_results *r,
                                              const struct hash_seed *seed);
void observe_tls_results_finish(struct observe_tls_results *r); /* accepts a zeroed one */

/* `count` sessions of the same kind. Without a domain nothing is counted. */
void observe_tls_results_add(struct observe_tls_results *r, const struct observe_tls_result *result,
                             uint64_t count);

/* The same with failures of which nothing but the policy is known. */
void observe_tls_results_add_failures(struct observe_tls_results *r,
                                      const struct observe_tls_result *policy, uint64_t count);

/* Adds all of `from`, which stays as it is. */
void observe_tls_results_merge(struct observe_tls_results *into,
                               const struct observe_tls_results *from);

/* The policies that a domain is told of, one after another, NULL at the end. before: the one
 * before, or NULL.
 * Case does not matter. */
const struct observe_tls_policy *observe_tls_results_of(const struct observe_tls_results *r,
                                                        struct slice domain,
                                                        const struct observe_tls_policy *before);

/* The words of the RFC, "tlsa", "certificate-expired"; "" of SUCCESS. */
const char *observe_tls_policy_type_name(enum observe_tls_policy_type type);
const char *observe_tls_result_type_name(enum observe_tls_result_type type);

/* tls_results_lines.c: the table as lines of text, for a file; and from there. Reading adds to what
 * is there. STATUS_CORRUPT: a line is none; the policies before its own count. */
MUST_USE enum status observe_tls_results_write(const struct observe_tls_results *r,
                                               struct buffer *out);
MUST_USE enum status observe_tls_results_read(struct observe_tls_results *r, struct slice text);
