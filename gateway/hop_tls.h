/* gateway/hop_tls.h - the TLS of a hop: its session by what is demanded, and whom it has led to.
 *
 *     init -> start (when the hop is connected) -> session -> judge -> judged()   -> finish
 *
 * For deliveries and call-ahead alike. Verify (esa: "TLS Required - Verify") wants the PTR name of
 * the host as well: that is asked for while the greeting and the handshake go on, and counts only
 * when it leads back to the address.
 *
 * Embedded in the owner of the hop; borrows what it is given until finish.
 */
#pragma once
#include "dns/host.h"
#include "gateway/names.h"
#include "gateway/next_hops.h"
#include "tls/peer_check.h"

struct gateway_hop_tls { /* Private, but for what judge leaves: the last five. */
    struct gateway_worker *worker;
    const struct gateway_view *view;
    const struct policy_destination *destination;
    const struct gateway_next_hops *hops;
    const struct gateway_next_host *host;
    struct slice domain;
    struct ip_endpoint remote;
    struct tls_session *session; /* the hop's, once it is made */
    bool is_shaken;              /* and to be judged, while the PTR is awaited */
    struct gateway_names *names; /* counted, while it is asked */
    struct dns_host ptr;
    void (*judged)(struct gateway_hop_tls *t);
    bool is_verified;                /* the demanded check is passed, or there is none */
    bool is_authenticated;           /* gateway_hop_identity_is_proven() */
    bool is_compliant;               /* what the domain publishes is met: DANE, or MTA-STS, which is
                                        judged in testing as if it were enforced; or it publishes
                                        nothing */
    char text[TLS_CHECK_TEXT_MAX];   /* what was checked and how it went; "": nothing was */
    char tested[TLS_CHECK_TEXT_MAX]; /* the same of MTA-STS in testing */
};

/* domain: of the recipients. */
void gateway_hop_tls_init(struct gateway_hop_tls *t, struct gateway_worker *worker,
                          const struct gateway_view *view,
                          const struct policy_destination *destination, struct slice domain,
                          const struct gateway_next_hops *hops,
                          const struct gateway_next_host *host);
/* Nothing is judged any more. Accepts a zeroed one, and one that is finished. */
void gateway_hop_tls_finish(struct gateway_hop_tls *t);

/* Begins to ask for what judge will want to know. */
void gateway_hop_tls_start(struct gateway_hop_tls *t, const struct ip_endpoint *remote);

/* A session that may be resumed from an earlier one, and without a post-quantum key share where the
 * host has stumbled over one. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_hop_tls_session(struct gateway_hop_tls *t,
                                             struct tls_session **session_out);

/* After the handshake, before the kernel has the session. judged() may run inside, and does unless
 * the PTR is still awaited. */
void gateway_hop_tls_judge(struct gateway_hop_tls *t, void (*judged)(struct gateway_hop_tls *t));

/* The PTR is awaited no longer: the other names have to do. judged() runs inside. */
void gateway_hop_tls_judge_now(struct gateway_hop_tls *t);

/* After a handshake that failed, before the hop is closed: whether another one, without what this
 * host may have stumbled over, is worth a try. */
bool gateway_hop_tls_may_be_cured(const struct gateway_hop_tls *t);
