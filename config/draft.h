/* config/draft.h - a configuration while it is being loaded, for the files of config/ only.
 *
 * Each section is read by one function, in the order of their declarations here: a later one may
 * use what an earlier one left in the draft. None of them stops at a problem.
 */
#pragma once
#include "config/reader.h"
#include "policy/builder.h"

#define CONFIG_MAIL_FLOWS_MAX      10000
#define CONFIG_HATS_MAX            1000
#define CONFIG_RATS_MAX            1000
#define CONFIG_BOUNCE_PROFILES_MAX 1000

/* The words for enum policy_ktls. */
extern const char *const config_ktls_words[];
/* And for enum config_tls_version. */
extern const char *const config_tls_version_words[];

struct policy_domain_map;

struct config_flow_draft {
    const char *name;
    const config_setting_t *at;
    const struct policy_mail_flow *flow;
    bool is_broken; /* what it does with a host is not known */
    size_t judged;  /* the listener, from 1, at which it was judged last */
    bool is_judged; /* at a listener without defaults, where it is as it is everywhere */
};

struct config_address_list_draft {
    const char *name;
    const struct policy_address_list *list;
};

struct config_profile_draft {
    const char *name;
    const config_setting_t *at;
    bool is_used; /* by a destination or a listener */
    const struct policy_bounce_profile *profile;
};

/* A HAT or a RAT: where each entry of the compiled table was written. */
struct config_table_draft {
    const char *name;
    const config_setting_t *at;
    const config_setting_t **entries;
    const config_setting_t **rows;   /* of each entry */
    struct config_senders_run *runs; /* HAT, which may have a million entries: instead of these */
    size_t runs_count;
    size_t entries_count;
    bool is_used;      /* by a listener */
    bool accepts_mail; /* HAT: a policy of it lets mail for our own domains in */
};

struct config_certificate_draft {
    const config_setting_t *at;
    bool is_used;
    bool is_broken; /* a path is missing, or a file cannot be read */
};

/* The sections of the file; NULL where it has none. */
struct config_root {
    const char *hostname;
    uint32_t workers;
    const config_setting_t *spool, *certificates, *tls, *log, *admin, *session, *shutdown, *memory;
    const config_setting_t *listeners, *mail_flow_policies, *hat, *rat, *destinations, *routes;
    const config_setting_t *bounce_profiles, *address_lists, *exception_table, *limits, *dns;
    const config_setting_t *reputation, *country, *call_ahead, *delivery, *alerts, *mta_sts,
        *bounces, *tls_reports;
};

struct config_draft {
    struct config_reader reader;
    const config_setting_t *at; /* the whole file */
    struct config_root root;
    struct config_settings settings;
    struct arena scratch;
    struct policy_builder *builder;
    struct policy_snapshot *snapshot; /* once built */
    struct config_country *country;   /* NULL: none */
    struct config_certificate *certificates;
    struct config_certificate_draft *certificate_drafts;
    struct config_address_list_draft *address_lists;
    struct config_flow_draft *flows;
    struct config_profile_draft *profiles;
    struct config_tls_client *tls_clients;
    const config_setting_t *crl_files; /* of tls; NULL: none */
    struct config_table_draft *hats;
    struct config_table_draft *rats;
    /* What is not known because of a problem elsewhere is not worth a complaint. */
    bool has_broken_listener; /* so that who uses what is not known */
    bool has_broken_route;    /* so that which domains have one is not known */
    bool has_postmaster_problem;
    bool has_authorities; /* for hosts */
    bool has_certificates, has_mail_flows, has_hats, has_rats, has_bounce_profiles;
    size_t address_lists_count, flows_count, profiles_count, hats_count, rats_count;
};

/* general.c: hostname, workers, spool, tls, log, admin, session, shutdown, memory. */
void config_read_general(struct config_draft *d);
/* certificates.c */
void config_read_certificates(struct config_draft *d);
/* scores.c: the file of reputations. */
void config_read_scores(struct config_draft *d, const config_setting_t *at, const char *path);
/* sources.c: dns, reputation, country, call_ahead, mta_sts. */
void config_read_sources(struct config_draft *d);
/* alerts.c */
void config_read_alerts(struct config_draft *d);
/* user@domain in characters that stand in a header as they are (RFC 5322 3.2.3): no quotes, no
 * comments, nothing beyond ASCII. */
bool config_is_plain_address(const char *text);
/* tls_reports.c */
void config_read_tls_reports(struct config_draft *d);
/* addresses.c */
void config_read_address_lists(struct config_draft *d);
void config_read_exceptions(struct config_draft *d);
/* mail_flows.c */
void config_read_mail_flows(struct config_draft *d);
/* hats.c */
void config_read_hats(struct config_draft *d);
/* recipients.c */
void config_read_rats(struct config_draft *d);
/* bounces.c: bounces, bounce_profiles. */
void config_read_bounces(struct config_draft *d);
void config_read_bounce_profiles(struct config_draft *d);
/* destinations.c */
void config_read_destinations(struct config_draft *d);
/* routes.c */
void config_read_routes(struct config_draft *d);

/* From here on the snapshot is there. */
/* listeners.c */
void config_read_listeners(struct config_draft *d);
/* hat_lint.c, recipients.c, bounces.c, destination_lint.c, loops.c: what only the compiled tables
 * can tell. */
void config_check_hats(struct config_draft *d);
/* Whether what the HATs look at can be found out. */
void config_check_hat_sources(struct config_draft *d);
void config_check_rats(struct config_draft *d);
void config_check_bounce_profiles(struct config_draft *d);
void config_check_destinations(struct config_draft *d);
void config_check_routes(struct config_draft *d);
/* certificates.c: files; after the listeners. */
void config_check_certificates(struct config_draft *d);

/* The profile or the certificate that a key of the group names, marked as used. NULL when there is
 * none, which is then a problem of the group. */
const struct policy_bounce_profile *config_bounce_profile_find(struct config_draft *d,
                                                               const config_setting_t *group,
                                                               const char *name);
const struct config_certificate *config_certificate_find(struct config_draft *d,
                                                         const config_setting_t *group,
                                                         const char *name);

/* Marks a domain as seen; a second one is a problem, reported with the line of the first. */
bool config_domain_is_new(struct config_draft *d, struct policy_domain_map *seen,
                          const config_setting_t *list, int index, const char *domain);

/* The list that a key of the group names. NULL when there is none, which is then a problem. */
const struct policy_address_list *config_address_list_find(struct config_draft *d,
                                                           const config_setting_t *group,
                                                           const char *key, const char *name);

/* The defaults of a listener, a group with the keys of a mail flow policy but "access"; at may be
 * NULL. Texts and lists are borrowed from the draft. */
struct policy_mail_flow config_read_flow_defaults(struct config_draft *d,
                                                  const config_setting_t *at);

/* What makes no sense in a policy as it is used at a listener; at is the policy. */
void config_judge_flow(struct config_draft *d, const config_setting_t *at,
                       const struct config_listener *listener, const struct policy_mail_flow *used);

/* The policy that a HAT row names. NULL when there is none, which is then a problem of the row. */
const struct config_flow_draft *config_flow_find(struct config_draft *d,
                                                 const config_setting_t *row, const char *name);

/* The table of that name, or NULL. */
struct config_table_draft *config_table_find(struct config_table_draft *tables, size_t count,
                                             const char *name);

/* config_read_keys() for an entry of a long table: its texts live as long as the draft, not the
 * settings. */
bool config_read_entry(struct config_draft *d, const config_setting_t *at, const char *section,
                       const struct config_key *keys, size_t keys_count, void *values);

/* Zeroed memory for the time of loading; NULL sets is_out_of_memory. */
void *config_draft_take(struct config_draft *d, size_t count, size_t bytes);

/* The members of a section that maps names to groups or lists: at most `max`, else a problem. */
size_t config_members_count(struct config_draft *d, const config_setting_t *section, size_t max);
