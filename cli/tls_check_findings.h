/* cli/tls_check_findings.h - what `postern tls-check` has found out about a domain and its hosts.
 *
 * Plain values: filled by tls_check_search.c (the DNS), tls_check_sts.c (MTA-STS) and
 * tls_check_probe.c (one connection), judged by tls_check_verdict.c, shown by tls_check_table.c,
 * tls_check_details.c and tls_check_json.c. Texts of others are printable ASCII throughout.
 */
#pragma once
#include "cli/tls_check_target.h"
#include "dns/dane_names.h"
#include "dns/exchange.h"
#include "dns/host.h"
#include "dns/tlsa.h"
#include "policy/mta_sts.h"
#include "policy/tls_demand.h"
#include "tls/chain.h"
#include "tls/dane.h"
#include "tls/peer_check.h"

#define TLSCHECK_HOSTS_MAX     64
#define TLSCHECK_ADDRESSES_MAX 64 /* over all hosts; more are counted, and not talked to */
#define TLSCHECK_TEXT_MAX      320
#define TLSCHECK_DAY_S         86400
#define TLSCHECK_DATE_MAX      16

/* In the order in which a connection goes through them. */
enum tlscheck_stage {
    TLSCHECK_CONNECT,
    TLSCHECK_GREETING,
    TLSCHECK_EHLO,
    TLSCHECK_STARTTLS, /* offered, and not refused */
    TLSCHECK_HANDSHAKE,
    TLSCHECK_CERTIFICATE, /* by whatever vouches for it; judged when all is known */
    TLSCHECK_EHLO_AGAIN,  /* under TLS */
    TLSCHECK_SENDER,      /* MAIL FROM:<> */
    TLSCHECK_STAGES_COUNT
};

enum tlscheck_result { TLSCHECK_NOT_TRIED, TLSCHECK_OK, TLSCHECK_FAILED };

struct tlscheck_step {
    enum tlscheck_result result;
    bool has_time;
    uint32_t ms; /* it took; of has_time */
};

/* What the server has shown of itself in TLS. */
struct tlscheck_tls {
    char protocol[16], cipher[64], group[64]; /* group: "" where there is none */
    int cipher_bits;
    size_t chain_count;                  /* certificates that were sent */
    struct tls_chain_certificate *chain; /* owned; the first TLS_CHAIN_MAX of them */
    size_t chain_shown;                  /* 0 also when there was no memory for them */
    bool is_trusted;                     /* valid, and below an authority that we trust */
    char problem[TLSCHECK_TEXT_MAX];     /* "": it is trusted */
    int problem_depth;                   /* of the certificate that it is about */
    /* By each check that there is; that by DANE by another connection, and with a text why there
     * was none. Without a check (the first) nothing is asked. */
    struct tls_peer_check checks[POLICY_TLS_CHECK_MTA_STS + 1];
    bool is_dane_judged;
};

struct tlscheck_address {
    size_t host; /* its index */
    struct ip_endpoint endpoint;
    struct tlscheck_step steps[TLSCHECK_STAGES_COUNT];
    bool is_cut_off;                 /* there was no time left for it */
    bool is_masked;                  /* STARTTLS was blotted out on the way */
    bool has_event;                  /* EHLO was answered: event counts */
    enum policy_tls_event event;     /* how TLS went, whoever it is that answered */
    bool is_without_post_quantum;    /* it stumbled over the larger key share */
    char trouble[TLSCHECK_TEXT_MAX]; /* of the first step that failed; "": none has */
    char sender[TLSCHECK_TEXT_MAX];  /* the reply to MAIL: "250 2.1.0 Ok"; "": there is none */
    enum dns_host_outcome ptr;
    char ptr_name[DNS_NAME_MAX]; /* "": there is none */
    struct tlscheck_tls tls;     /* of POLICY_TLS_ESTABLISHED */
};

struct tlscheck_host {
    char name[DNS_NAME_MAX]; /* "" of an address */
    uint16_t preference, priority, port;
    bool is_alias;
    bool is_ourselves;
    bool is_unused; /* no better than ourselves: mail would go in a circle, and nobody is asked */
    char mx_of[DNS_NAME_MAX];    /* the domain whose MX records name it; "": it is no MX host */
    char mx_alias[DNS_NAME_MAX]; /* what secure CNAMEs of that domain led to */
    bool is_mx_secure;
    enum dns_outcome outcome; /* of its addresses */
    char reason[DNS_EXCHANGE_WHY_MAX];
    const char *no_tlsa;   /* why they were not asked for; NULL: they were */
    struct dns_tlsa *tlsa; /* owned, answered; NULL: they were not asked for */
    size_t tlsa_usable;
    bool is_sts_host; /* one that the MTA-STS policy lists */
};

enum tlscheck_sts_outcome {
    TLSCHECK_STS_NOT_ASKED, /* there is no domain, or a route decides */
    TLSCHECK_STS_NONE,      /* no record */
    TLSCHECK_STS_FAILED,    /* the DNS fails, or there is a record and no policy behind it */
    TLSCHECK_STS_FOUND
};

struct tlscheck_sts_found {
    enum tlscheck_sts_outcome outcome;
    char id[POLICY_MTA_STS_ID_MAX + 1]; /* of the record; "": there is none */
    char reason[TLSCHECK_TEXT_MAX];     /* of all but FOUND */
    char *text;                         /* owned; the policy borrows from it */
    struct policy_mta_sts policy;       /* of FOUND */
    uint32_t ms;                        /* that it took to find and fetch it */
};

struct tlscheck_findings {
    struct tlscheck_target target;
    struct slice domain;      /* of the recipients, for names and policies; empty: there is none */
    bool is_route;            /* the hosts are those of the domain's route */
    bool is_discarded;        /* by a route to /dev/null */
    bool is_routed_elsewhere; /* these are the MX, and mail goes by a route */
    bool is_loop;             /* its best host is this gateway */
    enum dns_exchange_outcome outcome;
    char reason[DNS_EXCHANGE_REASON_MAX];
    enum dns_security mx_security;
    bool has_mx; /* else the domain is its own host, or hosts were named */
    struct tlscheck_host hosts[TLSCHECK_HOSTS_MAX];
    size_t hosts_count;
    struct tlscheck_address addresses[TLSCHECK_ADDRESSES_MAX]; /* those of a host in a row */
    size_t addresses_count, addresses_left_out;
    struct tlscheck_sts_found sts;
    bool has_authorities; /* somebody is trusted at all */
    bool is_validating;   /* answers of the DNS are */
    bool is_out_of_time;
    int64_t wall_s; /* of the beginning */
    uint32_t ms;    /* that all of it took */
};

/* NULL: no memory. The target is copied, the domain borrowed. */
struct tlscheck_findings *tlscheck_findings_create(const struct tlscheck_target *target,
                                                   struct slice domain);
void tlscheck_findings_destroy(struct tlscheck_findings *f); /* accepts NULL */

/* Printable ASCII; "?" takes the place of everything else. */
void tlscheck_text_clean(char *text);

/* "2026-11-25", in UTC; "unknown" of -1. */
const char *tlscheck_date_text(time_t wall_s, char text[static TLSCHECK_DATE_MAX]);

/* The first one stands. Cleaned. */
void tlscheck_note_trouble(struct tlscheck_address *a, const char *format, ...) PRINTF_LIKE(2, 3);
