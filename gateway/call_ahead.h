/* gateway/call_ahead.h - asking a recipient's host, before RCPT is answered, whether it takes him.
 *
 * One for each worker. What hosts said is kept (gateway/call_ahead_cache.h); what is not known is
 * asked on connections of its own (gateway/verifier.h) to the hosts of the domain
 * (gateway/next_hops.h):
 *
 *   - The same recipient is asked about once, however many sessions wait for the answer.
 *   - The hosts are tried in their order. Whatever is no reply to RCPT (no connection, 421, EHLO or
 *     MAIL refused, TLS that the destination's rule demands and that is not to be had) leads to the
 *     next one; behind the last the recipient is UNREACHABLE. Until it is open, a connection has
 * its equal share of the time that is left, so that a silent first host leaves some to the second.
 *   - A question ends at call_ahead.timeout, UNREACHABLE.
 *   - A connection is asked again, and stays open GATEWAY_VERIFIER_IDLE_MS for it, so that the
 *     recipients of one message need one connection. A question that finds it closed is put once
 *     more, on a new one; so is one whose host stumbled over a post-quantum key share, without it.
 *
 * VALID counts for call_ahead.valid_for, INVALID for invalid_for, TEMPORARY and UNREACHABLE for
 * unreachable_for: a host in trouble is not to be asked at the rate of the mail. Where no host of a
 * route could even be opened, that counts for all its recipients. Answers are kept for a route
 * (its endpoints, and the destination's TLS rule), so they outlive a reload that does not change
 * it.
 *
 * All is bounded by the names below; who comes beyond is UNREACHABLE at once.
 */
#pragma once
#include "base/list.h"
#include "gateway/call_ahead_cache.h"
#include "gateway/next_hops.h"

#define GATEWAY_CALL_AHEAD_QUESTIONS_MAX   4096
#define GATEWAY_CALL_AHEAD_WAITERS_MAX     16384 /* a session has one at most */
#define GATEWAY_CALL_AHEAD_CONNECTIONS_MAX 256   /* without those that are closing */
#define GATEWAY_CALL_AHEAD_PER_ROUTE_MAX   16    /* of these; more questions wait for their turn */

/* Then a connection is given up for a new one. Mail servers end a session after so many commands
 * that bring no message (Postfix: 100 RSET), and slow down one that hears too many 5xx (from 10).
 */
#define GATEWAY_CALL_AHEAD_ANSWERS_MAX  50
#define GATEWAY_CALL_AHEAD_REFUSALS_MAX 8

struct gateway_worker;
struct gateway_call_ahead; /* private */

struct gateway_call_ahead_request {
    struct gateway_view *view;      /* of the session */
    struct gateway_next_hops *hops; /* of the recipient's domain: found; borrowed for the call */
    struct slice domain;            /* the recipient's; copied */
    struct slice recipient;         /* without brackets; copied */
    bool smtputf8;                  /* it is not ASCII */
    uint64_t mid, icid;             /* for the log */
};

/* Embedded in who waits, zeroed at first. */
struct gateway_call_ahead_waiter {
    struct list_node node; /* private, as the next one */
    struct gateway_call_ahead_question *question;
    void (*answered)(struct gateway_call_ahead_waiter *waiter,
                     enum gateway_call_ahead_verdict verdict);
};

MUST_USE enum status gateway_call_ahead_create(struct gateway_worker *worker,
                                               struct gateway_call_ahead **ahead_out);

/* The loop has ended, nobody waits. Accepts NULL. */
void gateway_call_ahead_destroy(struct gateway_call_ahead *ahead);

/* True: *verdict_out is known now. False: waiter->answered() follows once, never from inside,
 * unless it is forgotten before; then nothing of the question concerns the waiter any more. */
bool gateway_call_ahead_ask(struct gateway_call_ahead *ahead,
                            const struct gateway_call_ahead_request *request,
                            struct gateway_call_ahead_waiter *waiter,
                            enum gateway_call_ahead_verdict *verdict_out);
void gateway_call_ahead_forget(struct gateway_call_ahead_waiter *waiter); /* at any time */

/* The worker stops: whoever waits is answered STOPPING from inside, and nothing new is asked. */
void gateway_call_ahead_stop(struct gateway_call_ahead *ahead);

/* After stop: resets the connections that are still closing. */
void gateway_call_ahead_reset(struct gateway_call_ahead *ahead);
