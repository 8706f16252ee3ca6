/* gateway/mta_sts_domain.h - inside MTA-STS: what is known of one domain, and how it is found out.
 *
 * For mta_sts.c, which has the domains and answers the queries, and mta_sts_domain.c, which moves
 * one domain on. Four things may be under way for a domain, each at most once: its file, the
 * question for its TXT record, the questions for the addresses of its policy host, the fetch.
 * Whenever one of them ends, everything that follows is decided in one place,
 * gateway_mta_sts_domain_advance(). A domain with something under way is not forgotten.
 */
#pragma once
#include "base/table.h"
#include "engine/timer.h"
#include "gateway/mta_sts.h"

struct gateway_mta_sts {
    struct gateway_worker *worker;
    const struct gateway_mta_sts_ops *ops;
    struct table domains;
    struct list ages;     /* the one asked for last stands first */
    struct list turns;    /* waiting for a fetch */
    struct list answered; /* queries */
    struct engine_task task;
    struct engine_task trim; /* when the policies are too many bytes */
    size_t domains_count;
    size_t bytes; /* of the policies of the domains */
    size_t fetches_count;
    bool is_stopping;
};

/* A policy, as long as a domain or a query has it. */
struct gateway_mta_sts_held {
    size_t users_count;
    struct policy_mta_sts policy;
    char text[];
};

void gateway_mta_sts_held_release(struct gateway_mta_sts_held *held); /* accepts NULL */

enum gateway_mta_sts_txt { /* what the TXT record said last */
                           GATEWAY_MTA_STS_TXT_UNKNOWN,
                           GATEWAY_MTA_STS_TXT_ID,
                           GATEWAY_MTA_STS_TXT_NONE,
                           GATEWAY_MTA_STS_TXT_FAILED
};

/* On the heap while they last. */
struct gateway_mta_sts_file_work {
    struct gateway_mta_sts_file file;
    struct gateway_mta_sts_domain *domain;
};

struct gateway_mta_sts_attempt {
    struct gateway_mta_sts_fetch fetch;
    struct gateway_mta_sts_domain *domain;
    struct gateway_names *names;
    struct dns_query queries[2]; /* A, AAAA */
    unsigned queries_count;      /* running */
    bool is_fetching;
    char id[POLICY_MTA_STS_ID_MAX + 1]; /* it is fetched for */
};

struct gateway_mta_sts_domain {
    struct table_node node;
    struct list_node age;
    struct list_node turn; /* in sts->turns */
    struct gateway_mta_sts *sts;
    struct list waiting;          /* queries */
    struct engine_timer deadline; /* of these */
    struct engine_timer refresh;
    struct gateway_mta_sts_file_work *file;  /* NULL: none is under way */
    struct gateway_mta_sts_attempt *attempt; /* the same */
    struct dns_query txt_query;
    struct gateway_names *txt_names;

    struct gateway_mta_sts_held *held; /* the last one fetched; NULL: none */
    char id[POLICY_MTA_STS_ID_MAX + 1];
    uint64_t fetched_s, expires_s, tried_s; /* wall time */

    enum gateway_mta_sts_txt txt;
    char txt_id[POLICY_MTA_STS_ID_MAX + 1];
    const char *txt_reason; /* why there is no id */
    uint64_t txt_until_ms;  /* then it is asked again */

    unsigned failures; /* of fetches, in a row */
    uint64_t retry_at_ms;
    char failed_id[POLICY_MTA_STS_ID_MAX + 1];
    char failed_reason[GATEWAY_MTA_STS_REASON_MAX];
    enum observe_tls_result_type failed_trouble;
    bool is_loaded;       /* the disk was asked */
    bool is_store_wanted; /* behind the file that is under way */
    char name[];
};

/* Does whatever is to be done next, and answers who can be answered. */
void gateway_mta_sts_domain_advance(struct gateway_mta_sts_domain *d);

/* Nothing may be under way. */
bool gateway_mta_sts_domain_is_idle(const struct gateway_mta_sts_domain *d);

/* Ends all that can be ended; a file or a fetch may still be under way. */
void gateway_mta_sts_domain_stop(struct gateway_mta_sts_domain *d);

/* With what is still under way: the threads have ended. Timers and questions are stopped. */
void gateway_mta_sts_domain_free_work(struct gateway_mta_sts_domain *d);

/* mta_sts.c: answers all who wait, by the task. held: NULL unless the outcome is FOUND. */
void gateway_mta_sts_domain_answer(struct gateway_mta_sts_domain *d,
                                   enum gateway_mta_sts_outcome outcome, const char *reason);

/* The same with ABSENT, and the trouble of the query. */
void gateway_mta_sts_domain_has_none(struct gateway_mta_sts_domain *d,
                                     enum observe_tls_result_type trouble, const char *reason);

/* mta_sts.c: it has another policy, perhaps a longer one. Others go later, if need be. */
void gateway_mta_sts_has_grown(struct gateway_mta_sts *sts);

/* mta_sts.c: a fetch has ended; the next domain has its turn. */
void gateway_mta_sts_next_turn(struct gateway_mta_sts *sts);
