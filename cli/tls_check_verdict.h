/* cli/tls_check_verdict.h - what the findings of `postern tls-check` mean for mail. Pure.
 *
 * Two questions. What Postern would do under a given destination entry is answered by its own
 * rules (policy/tls_demand.h), for each address and for all of them: mail goes to the hosts that
 * may be used, so the weakest of them is what is told. And how well mail can be protected at all:
 * the verdict, which has the strongest proof that all of these hosts share.
 */
#pragma once
#include "cli/tls_check_findings.h"

#define TLSCHECK_VERDICT_MAX 4096 /* names and replies of their longest all over it */

enum tlscheck_fate { /* from TLSCHECK_CLEAR on mail is sent, and the later the better */
                     TLSCHECK_UNREACHED, /* it never came to TLS */
                     TLSCHECK_NOT_SENT,
                     TLSCHECK_CLEAR,
                     TLSCHECK_ENCRYPTED,
                     TLSCHECK_VERIFIED
};

struct tlscheck_plan {
    enum tlscheck_fate fate;
    enum policy_tls_authority authority;
    size_t address;              /* that decides; of a plan for all, when there is one */
    size_t refused_count;        /* of a plan for all that is sent: addresses that get nothing */
    char why[TLSCHECK_TEXT_MAX]; /* it is not sent, not reached, or not verified though that was
                                    wanted; else "" */
};

/* Of one address, and of all of them. */
void tlscheck_plan_address(const struct tlscheck_findings *f, size_t address,
                           const struct policy_destination *destination,
                           struct tlscheck_plan *plan_out);
void tlscheck_plan_all(const struct tlscheck_findings *f,
                       const struct policy_destination *destination,
                       struct tlscheck_plan *plan_out);

/* Why nothing is known of the TLS of one that has not shown it. */
const char *tlscheck_unreached_text(const struct tlscheck_address *a);

/* An entry that has nothing but a setting: neither DANE nor MTA-STS has a say. */
struct policy_destination tlscheck_setting(enum policy_tls tls);

/* "encrypted, verified by DANE", "in clear text", "not sent". */
const char *tlscheck_plan_text(const struct tlscheck_plan *plan);

/* "not-sent", "clear"...: for programs. */
const char *tlscheck_fate_word(enum tlscheck_fate fate);

/* What proves whose host it is; the first is the strongest. */
enum tlscheck_proof {
    TLSCHECK_PROOF_DANE,
    TLSCHECK_PROOF_STS,
    TLSCHECK_PROOF_DOMAIN, /* the certificate is for the domain, or for a host of the route */
    TLSCHECK_PROOF_MX,     /* for the name that an unsigned MX record has: Verify Hosted */
    TLSCHECK_PROOF_PTR,    /* for the name that its address is said to have: Verify */
    TLSCHECK_PROOFS_COUNT
};

/* A set of bits, 1 << enum tlscheck_proof. */
unsigned tlscheck_proofs_of(const struct tlscheck_findings *f, size_t address);

enum tlscheck_class {
    TLSCHECK_CLASS_NO_DOMAIN,
    TLSCHECK_CLASS_NO_MAIL, /* null MX */
    TLSCHECK_CLASS_NO_HOST,
    TLSCHECK_CLASS_DNS_FAILED,
    TLSCHECK_CLASS_LOOP,      /* the best host is this gateway */
    TLSCHECK_CLASS_DISCARDED, /* by a route */
    TLSCHECK_CLASS_UNREACHED,
    TLSCHECK_CLASS_NOT_SENT,
    TLSCHECK_CLASS_STRIPPED, /* in the clear, because somebody on the path wants it so */
    TLSCHECK_CLASS_CLEAR,
    TLSCHECK_CLASS_ENCRYPTED,
    TLSCHECK_CLASS_VERIFIED
};

struct tlscheck_verdict {
    enum tlscheck_class class;
    unsigned proofs;     /* of VERIFIED: those of all hosts; 0: each has one, and no two the same */
    unsigned confidence; /* 0..100, the mean of the addresses: 100 verified, 50 encrypted */
    bool is_complete;    /* all were looked at: none was one too many, or cut off by the time */
    bool has_plan;       /* an entry was given: */
    struct tlscheck_plan plan;
    bool is_safe; /* it is complete; mail goes, encrypted and verified, or could; and by the entry
                     at least encrypted. Hosts that are down have no say. */
    char text[TLSCHECK_VERDICT_MAX]; /* a few sentences for a person */
};

/* "verified", "encrypted"...: for programs. */
const char *tlscheck_class_word(enum tlscheck_class class);
const char *tlscheck_proof_word(enum tlscheck_proof proof);

/* Also settles the stage TLSCHECK_CERTIFICATE of each address. destination: the entry of a
 * configuration; NULL: there is none. */
void tlscheck_judge(struct tlscheck_findings *f, const struct policy_destination *destination,
                    struct tlscheck_verdict *verdict_out);
