/* gateway/dispatch.h - a worker's destinations: what the scheduler says, carried out.
 *
 * Binds delivery/scheduler.h to the loop: items arrive from the homes of their messages, actions
 * become connections (gateway/outbound.h), and what is given up goes home as bounced.
 */
#pragma once
#include "delivery/scheduler.h"
#include "engine/loop.h"
#include "engine/timer.h"
#include "gateway/bounce_profiles.h"
#include "gateway/holdings.h"

#define GATEWAY_DISPATCH_ACTIONS_MAX 256 /* in one go; then the loop gets its turn */
#define GATEWAY_DISPATCH_STRANDED_MS 10000
#define GATEWAY_DISPATCH_POSTPONE_MS 1000
#define GATEWAY_OUTBOUND_MAX         8192 /* connections of one worker */
#define GATEWAY_DISPATCH_TROUBLE_MAX 512  /* bytes of what is told of it, NUL included */

struct gateway_item;
struct gateway_next_hops;
struct gateway_worker;
struct policy_snapshot;

struct gateway_dispatch { /* Fields are private, except scheduler for gateway/outbound.c. */
    struct gateway_worker *worker;
    struct delivery_scheduler *scheduler;
    struct engine_task run;
    struct engine_timer due;
    struct list sites;                /* what is known of the hosts of each destination */
    struct slim_list stranded;        /* items the scheduler had no memory for */
    struct gateway_holdings holdings; /* all items, held and stranded ones included */
    struct engine_timer stranded_retry;
    struct gateway_bounce_profiles profiles; /* of listeners */
};

MUST_USE enum status gateway_dispatch_init(struct gateway_dispatch *d,
                                           struct gateway_worker *worker);

/* The worker stops: no more hosts are searched for. */
void gateway_dispatch_stop(struct gateway_dispatch *d);

/* When no connection is left; forgets the items. */
void gateway_dispatch_finish(struct gateway_dispatch *d);

/* It comes from its home; then as below. */
void gateway_dispatch_arrive(struct gateway_dispatch *d, struct gateway_item *item);

/* Into the scheduler, unless it is held. */
void gateway_dispatch_add(struct gateway_dispatch *d, struct gateway_item *item);

/* Out of the scheduler, or from among the stranded: it stays in the holdings, for add or let_go.
 * False, and nothing happens, while it has a connection. True for one that is held. */
MUST_USE bool gateway_dispatch_take_out(struct gateway_dispatch *d, struct gateway_item *item);

/* The scheduler has no memory for it now. */
bool gateway_dispatch_is_stranded(const struct gateway_item *item);

/* It ends; the scheduler does not have it any more. */
void gateway_dispatch_let_go(struct gateway_item *item);

/* After every other call of the scheduler: looks for what is to be done, at the end of the turn. */
void gateway_dispatch_run_soon(struct gateway_dispatch *d);

/* The hosts of a destination to which there is to be a connection: their order is that of
 * action.endpoint. Lives until it is asked for again; count it to keep it. */
struct gateway_next_hops *gateway_dispatch_hops(const struct delivery_destination *destination);

/* What the last search for hosts came to; NULL: there was none. */
const struct gateway_next_hops *gateway_dispatch_latest(
    const struct delivery_destination *destination);

/* Why a host of the destination could not be used, in words for people; cut where it is too long.
 * trouble: the last one, or "". It is history once delivery_destination_state.failure says none. */
void gateway_dispatch_note_trouble(const struct delivery_destination *destination,
                                   const char *trouble);
const char *gateway_dispatch_trouble(const struct delivery_destination *destination);

/* The worker has a new view: limits and routes follow it. Mail for a domain that had another route
 * in the old one does not wait any longer. */
void gateway_dispatch_reload(struct gateway_dispatch *d, const struct policy_snapshot *old);
