/* delivery/scheduler.h - what is due, to whom, over which connection, when again, when to stop.
 *
 * One scheduler per worker. It holds the destinations that worker owns, and for each its queue
 * of items, its hosts (next-hop endpoints) and its connections. It does no I/O and reads no
 * clock: every call takes now_ms, which never goes back (clock_monotonic_ms()), and jitter comes
 * from seed arguments (any well-mixed 64 bits). The scheduler says what to do; the caller does
 * it and tells what came of it:
 *
 *     add -> next_action -> RESOLVE   find the hosts: delivery_destination_resolved() or
 *                                     _unresolved(), now or later
 *                        -> CONNECT   delivery_connection_start(), then _opened() or _failed()
 *                                     (or delivery_destination_postpone(): no room of our own)
 *                        -> TAKE      an idle connection has work again: delivery_connection_take()
 *                        -> EXPIRE    the item is given up and the caller's again: bounce it
 *                        -> WARN      the item is late: tell its sender; it stays in the queue
 *                        -> FORGET    a destination goes; release what was attached to it
 *     _opened -> take -> ITEM -> delivery_item_done() | _deferred() | _returned() -> take ...
 *                     -> IDLE         keep the connection a while; TAKE may come; or close it
 *                     -> CLOSE        enough messages, or too many connections: QUIT
 *     then delivery_connection_closed(), the last call for a connection that was opened.
 *
 * Call next_action until it returns false, then again at delivery_scheduler_next_due() and
 * after any other call. Work per call is bounded (DELIVERY_STEPS_MAX); one destination's backlog
 * never delays another's: destinations with something to do take turns.
 *
 * Order: items of a destination leave in the order in which they became ready: fresh ones in
 * order of arrival; those that come back from a connection untried go in front again, in order to
 * a tenth of a second; those whose time has come in the same millisecond, in any order. Each item
 * is given up when it is age_ms_max old, also while its hosts are down, or when retries_max tries
 * after the first have failed. A try that reached no host counts for all items that were ready
 * then; for those that wait behind others it is counted when they come to the front. An item with
 * a connection is not given up; the result decides.
 *
 * Its sender is warned of the delay, where the profile says so, when DELIVERY_WARNING_ATTEMPTS
 * tries have failed, and then after each interval at a further failed try, warnings_max times in
 * all. For one that waits for its hosts the moment may be late by as long as it has waited.
 *
 * A host that could not be used is down for a back-off time; the next one of the list is tried
 * at once. When none is left, the destination as a whole waits (not its items one by one). The
 * back-off starts anew when a message has had its result there, not when the host has greeted:
 * one that greets and then hangs or breaks off is asked ever more rarely. Before that, a backlog
 * gets a few connections only (one after a failure), and more at growing intervals while those that
 * are there hang.
 *
 * A fault of our own (no memory, no descriptor, no port left) says nothing of a host and nothing of
 * the mail: no host is down for it and no try counts. No connection is opened for a pause, and the
 * item that it hit, if there was one, waits as long behind the others: DELIVERY_LOCAL_MS, and twice
 * as long each time that nothing has gone well in between, 32 seconds at most.
 *
 * Recipients: at most recipients_max are handed over within any window of the interval; see
 * delivery/budget.h for how, and how much of it is used. An item with more recipients than are
 * left is handed over in parts. The count begins with the scheduler: a restart forgets it, and so
 * does a reload that had no limit before. Flush does not reset it.
 *
 * A domain may have two destinations: one for most of its mail, and one for mail that may go with
 * less TLS (tls_optional), so that the hosts of the one say nothing of those of the other. They
 * know nothing of each other; limits hold for each.
 *
 * Memory: the scheduler owns destinations (created by add, gone some minutes after they are
 * empty); items and connections are the caller's, embedded in its own objects, and must stay
 * in place from add/start to their end.
 */
#pragma once
#include <assert.h>

#include "base/hash.h"
#include "base/ip.h"
#include "base/list.h"
#include "base/slim_list.h"
#include "base/status.h"
#include "delivery/backoff.h"
#include "delivery/budget.h"
#include "delivery/heap.h"

#define DELIVERY_DOMAIN_MAX           255u              /* bytes of a destination's name */
#define DELIVERY_DESTINATIONS_MAX     (1u << 20)        /* per scheduler */
#define DELIVERY_ITEMS_MAX            ((size_t)1 << 26) /* per scheduler */
#define DELIVERY_RECIPIENTS_MAX       UINT16_MAX        /* of an item */
#define DELIVERY_ENDPOINTS_MAX        32u               /* per destination; more are ignored */
#define DELIVERY_HOSTS_MAX            64u               /* with those of former lists */
#define DELIVERY_ITEMS_PER_CONNECTION 10u /* backlog that is worth one more connection */
#define DELIVERY_UNTRIED_MAX          5u  /* connections before a message had its result */
#define DELIVERY_STALL_MS                                                                          \
    5000u /* no progress for so long: one more connection; then                                    \
             twice as long for each that changed nothing */
#define DELIVERY_CROWDED_MS          60000u
#define DELIVERY_HOSTS_MS_MIN        5000u   /* hosts are not asked for again sooner */
#define DELIVERY_LOCAL_MS            1000u   /* the pause after a fault of our own; then */
#define DELIVERY_LOCAL_DOUBLINGS     5u      /* twice as long each time, so often */
#define DELIVERY_IDLE_MS             300000u /* an empty destination is kept for so long */
#define DELIVERY_RETURNS_MAX         2u      /* free returns of one item in a row */
#define DELIVERY_DIVERTED_MAX        64u     /* items of a destination with another host */
#define DELIVERY_STALLS_MAX          7u      /* the wait of a stall is doubled so often */
#define DELIVERY_STEPS_MAX           64u     /* items or destinations looked at in one call */
#define DELIVERY_PROFILES_MAX        4096u
#define DELIVERY_PROFILE_DESTINATION 0u /* the item has none but its destination's */
#define DELIVERY_WARNINGS_MAX        UINT8_MAX
#define DELIVERY_WARNING_ATTEMPTS    2u /* failed ones before a delay is worth a word */
#define DELIVERY_WAIT_FOREVER        UINT64_MAX

struct delivery_scheduler;
struct delivery_destination;
struct destination_host; /* delivery/destination.h */

/* What connections_max and the rate of recipients hold for ("Apply limits: per destination"). */
enum delivery_limit_scope {
    DELIVERY_LIMIT_DOMAIN, /* for all hosts of the destination together */
    DELIVERY_LIMIT_ADDRESS /* for each address of its hosts by itself */
};

/* Of a destination control and its bounce profile; copied. A limit of 0 counts as 1. */
struct delivery_limits {
    unsigned connections_max;
    unsigned messages_per_connection_max;
    enum delivery_limit_scope scope;
    unsigned recipients_max;         /* in each interval; 0: no limit */
    uint64_t recipients_interval_ms; /* brought into DELIVERY_WINDOW_MS_MIN.._MAX */
    bool has_profile;                /* its own one goes before those of the items */
    struct delivery_profile profile; /* of the hosts, and of items that have none */
};

/* One message's recipients for one destination. Embed it; fields are private. A deep queue holds
 * millions of them. */
struct delivery_item {
    struct delivery_destination *destination;
    struct delivery_heap_node timer;
    struct slim_node node; /* ready or given up; the caller's while it is in no scheduler */
    int32_t queued_ds; /* when it was accepted, in tenths of a second, rounded up, of which 32 bits
                          hold 6 years; before the clock's start if negative */
    int32_t warned_s;  /* when the sender was last warned, by the same clock */
    union {
        uint32_t round; /* ready: the destination's count of failed rounds when it became so */
        uint32_t tried; /* else: the hosts that are passed over in this round, by their slots */
    };
    uint16_t recipients; /* that this try has not handed over yet */
    uint16_t attempts;
    uint16_t profile; /* its number in the scheduler's table */
    uint8_t warnings;
    uint8_t state : 3;
    uint8_t returns : 2;
    uint8_t postponed : 3; /* in a row */
};

static_assert(sizeof(struct delivery_item) <= 64, "ten million of them take 640 MB");

/* One host of a destination. Among those that are up, the lowest preference is taken; equal ones
 * take turns (RFC 5321 5.1), past those that are at a limit. A host of a higher preference is for
 * when the better ones cannot be reached; it is not used because they are at a limit of ours. The
 * same address and port twice is one host, at its better preference. */
struct delivery_endpoint {
    struct ip_endpoint address;
    uint16_t preference;
};

/* A connection from CONNECT to its end. Embed it; fields are private. */
struct delivery_connection {
    struct list_node node; /* idle connections of the host */
    struct delivery_destination *destination;
    struct destination_host *host;
    struct delivery_item *item; /* being delivered, or NULL */
    uint32_t recipients;        /* of them that were handed over */
    uint32_t recipients_max;
    unsigned messages_max;
    unsigned taken;
    unsigned finished; /* how many of them it has outlived */
    uint8_t state;
};

/* What the caller keeps for a destination; embed it and use CONTAINER_OF. */
struct delivery_attachment {
    struct delivery_destination *destination; /* set by delivery_destination_attach() */
};

/* ---- the scheduler ---- */

MUST_USE enum status delivery_scheduler_create(const struct hash_seed *seed,
                                               struct delivery_scheduler **scheduler_out);

/* Needs an empty one: no items (see take_any) and no connections. Attachments are not touched.
 * Accepts NULL. */
void delivery_scheduler_destroy(struct delivery_scheduler *s);

/* The bounce profiles that items may have of their own (a listener's); copied. An item keeps its
 * number: a table after a reload must have the same profile in the same place, with new values
 * maybe, and new ones behind; a number beyond it stands for the destination's profile. Items that
 * wait are judged by the new values when they are looked at next, as in _set_limits().
 * STATUS_LIMIT (DELIVERY_PROFILES_MAX), STATUS_NO_MEMORY: the former table stays. */
MUST_USE enum status delivery_scheduler_set_profiles(struct delivery_scheduler *s,
                                                     const struct delivery_profile *profiles,
                                                     size_t count);

struct delivery_arrival {
    struct slice domain;                  /* any case; 1..DELIVERY_DOMAIN_MAX bytes; copied */
    const struct delivery_limits *limits; /* become the destination's */
    uint64_t age_ms;                      /* since the message was accepted; 0 for a new one */
    uint64_t wait_ms;                     /* until its next try; 0 for a new one */
    unsigned attempts;                    /* that failed already; 0 for a new one */
    unsigned recipients;                  /* without a final result, up to
                                             DELIVERY_RECIPIENTS_MAX; 0 counts as 1 */
    uint16_t profile;                     /* of the message's listener, by its number, from 1,
                                             in the table; or DELIVERY_PROFILE_DESTINATION */
    unsigned warnings;                    /* that its sender has had; 0 for a new one */
    uint64_t warned_ms;                   /* since the last of them */
    bool tls_optional;                    /* for a destination besides: see below */
};

/* Takes the item until EXPIRE, done, take_any or remove. For a destination that is there already
 * it can only fail by DELIVERY_ITEMS_MAX. STATUS_LIMIT, STATUS_NO_MEMORY, STATUS_INVALID (domain
 * empty or too long). */
MUST_USE enum status delivery_scheduler_add(struct delivery_scheduler *s, uint64_t now_ms,
                                            const struct delivery_arrival *arrival,
                                            struct delivery_item *item);

/* An item that is in no scheduler remembers how old it is, its attempts and warnings, and how long
 * it has to wait (not, when it was taken out: it is due then). _remember() tells one that comes
 * from elsewhere, before its first add; _recall() fills these members of an arrival. */
void delivery_item_remember(struct delivery_item *item, uint64_t now_ms,
                            const struct delivery_arrival *arrival);
void delivery_item_recall(const struct delivery_item *item, uint64_t now_ms,
                          struct delivery_arrival *arrival);

static inline bool delivery_item_is_queued(const struct delivery_item *item)
{
    return item->destination != NULL;
}

/* Where it waits; NULL while it is in no scheduler. */
struct delivery_destination *delivery_item_destination(const struct delivery_item *item);

/* Tries that failed so far, and warnings given, wherever it is. */
unsigned delivery_item_attempts(const struct delivery_item *item);
unsigned delivery_item_warnings(const struct delivery_item *item);

enum delivery_action_kind {
    DELIVERY_ACTION_RESOLVE, /* destination */
    DELIVERY_ACTION_CONNECT, /* destination, endpoint, address */
    DELIVERY_ACTION_TAKE,    /* destination, connection */
    DELIVERY_ACTION_EXPIRE,  /* destination, item, expiry */
    DELIVERY_ACTION_WARN,    /* destination, item: it stays in the queue */
    DELIVERY_ACTION_FORGET   /* destination (its name only), attachment */
};

enum delivery_expiry {
    DELIVERY_EXPIRY_AGE,     /* age_ms_max has passed */
    DELIVERY_EXPIRY_RETRIES, /* retries_max are used up */
    DELIVERY_EXPIRY_BAD_HOST /* the destination does not exist */
};

struct delivery_action {
    enum delivery_action_kind kind;
    struct delivery_destination *destination; /* valid until the next call of next_action, and as
                                                 long as it has items, connections, a pending
                                                 RESOLVE or an attachment */
    struct delivery_item *item;
    struct delivery_connection *connection;
    struct delivery_attachment *attachment;
    enum delivery_expiry expiry;
    unsigned endpoint; /* index into the list given to delivery_destination_resolved() */
    struct ip_endpoint address;
    struct destination_host *host; /* private, for delivery_connection_start() */
};

/* False: nothing to do now, or this call's steps are used up; ask next_due. */
bool delivery_scheduler_next_action(struct delivery_scheduler *s, uint64_t now_ms,
                                    struct delivery_action *action_out);

/* When to call next_action again: 0 for at once, DELIVERY_WAIT_FOREVER for not before another
 * call. */
uint64_t delivery_scheduler_next_due(const struct delivery_scheduler *s);

/* Takes any item that has no connection out of the queue; NULL when there is none. For a stop:
 * the mail stays in the spool. */
struct delivery_item *delivery_scheduler_take_any(struct delivery_scheduler *s, uint64_t now_ms);

/* All items, those with a connection included. */
size_t delivery_scheduler_items(const struct delivery_scheduler *s);

/* Recipients whose try has failed since the last call, and of whom nobody was told: no host could
 * be reached or found out, or each broke off before a result. Those of delivery_item_deferred() are
 * the caller's to count. Events, as delivery_counts.soft, which has them already. */
MUST_USE uint64_t delivery_scheduler_take_put_off(struct delivery_scheduler *s);

/* All connections, those being opened included. */
size_t delivery_scheduler_connections(const struct delivery_scheduler *s);

/* NULL when there is no such destination (now). A domain may have both. */
struct delivery_destination *delivery_scheduler_find(struct delivery_scheduler *s,
                                                     struct slice domain);
struct delivery_destination *delivery_scheduler_find_tls_optional(struct delivery_scheduler *s,
                                                                  struct slice domain);

/* Walks all destinations: start with NULL, ends with NULL. In between only calls that ask, and
 * _set_limits() and _flush(). */
struct delivery_destination *delivery_scheduler_walk(struct delivery_scheduler *s,
                                                     const struct delivery_destination *after);

/* ---- destinations ---- */

/* Answers to RESOLVE; exactly one per RESOLVE. The list replaces the former one, and is asked
 * for again when it is valid_ms old. What is known of a host stays known if it is in both. With
 * count 0 it is as _unresolved(TEMPORARY), and for a list that memory could not be had for as
 * _unresolved(LOCAL). */
void delivery_destination_resolved(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_destination *d,
                                   const struct delivery_endpoint *endpoints, size_t count,
                                   uint64_t valid_ms, uint64_t seed);

enum delivery_unresolved {
    DELIVERY_UNRESOLVED_TEMPORARY, /* no answer: the destination waits as if its hosts were down */
    DELIVERY_UNRESOLVED_LOCAL,     /* nobody could be asked: as DELIVERY_FAILURE_LOCAL has it */
    DELIVERY_UNRESOLVED_BAD_HOST   /* no such domain, or null MX: ready items, and any that become
                                      ready within valid_ms, come back by EXPIRE */
};

void delivery_destination_unresolved(struct delivery_scheduler *s, uint64_t now_ms,
                                     struct delivery_destination *d, enum delivery_unresolved why,
                                     uint64_t valid_ms, uint64_t seed);

/* In place of delivery_connection_start(): not now for a reason of our own (no memory, at the cap
 * of all connections). CONNECT comes again after wait_ms. */
void delivery_destination_postpone(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_destination *d, uint64_t wait_ms);

/* After a change of the configuration; add takes limits as well. The list of hosts, which may come
 * from the configuration, is asked for again, as is whether there are any. Items that already wait
 * keep their retry time; they are given up by the new profile when they are looked at next. */
void delivery_destination_set_limits(struct delivery_scheduler *s, uint64_t now_ms,
                                     struct delivery_destination *d,
                                     const struct delivery_limits *limits);

/* An operator says "deliver now": all hosts count as up, the list of hosts is asked for again,
 * every delayed item becomes ready (step by step, in next_action). */
void delivery_destination_flush(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_destination *d);

/* The same without the items: those that are delayed keep their time. */
void delivery_destination_revive(struct delivery_scheduler *s, uint64_t now_ms,
                                 struct delivery_destination *d);

/* Borrows a until FORGET or destroy; NULL takes the former one off. */
void delivery_destination_attach(struct delivery_destination *d, struct delivery_attachment *a);
struct delivery_attachment *delivery_destination_attachment(const struct delivery_destination *d);

/* As first given to add. Valid as long as the destination. */
struct slice delivery_destination_domain(const struct delivery_destination *d);

bool delivery_destination_is_tls_optional(const struct delivery_destination *d);

/* The item that connections are opened for next; NULL: none waits for one. */
const struct delivery_item *delivery_destination_first(const struct delivery_destination *d);

/* Why a host could not be used. All but the last two put it down, unless it has connections that
 * work: then it is crowded, and for DELIVERY_CROWDED_MS it gets no more of them than it has. Where
 * no message has had a result yet, open connections that break off count for nothing. */
enum delivery_failure {
    DELIVERY_FAILURE_NONE,
    DELIVERY_FAILURE_REFUSED,
    DELIVERY_FAILURE_UNREACHABLE,
    DELIVERY_FAILURE_TIMEOUT,
    DELIVERY_FAILURE_GREETING_4XX,
    DELIVERY_FAILURE_GREETING_5XX,
    DELIVERY_FAILURE_EHLO,
    DELIVERY_FAILURE_TLS,
    DELIVERY_FAILURE_LOST, /* closed or broken by the peer, or a 421 */
    DELIVERY_FAILURE_DNS,
    DELIVERY_FAILURE_LOCAL,    /* our own fault: a pause for us, and the host is not blamed */
    DELIVERY_FAILURE_OTHER_WAY /* of _failed() only: nobody's, and CONNECT comes again at once, as
                                  the caller has learned how to go about this host */
};

/* Recipients, since the destination was last forgotten. */
struct delivery_counts {
    uint64_t delivered;
    uint64_t soft; /* events: one recipient may be deferred many times */
    uint64_t hard;
};

struct delivery_destination_state {
    size_t ready;         /* due, wait for a connection */
    size_t delayed;       /* wait for their retry time */
    size_t active;        /* with a connection */
    unsigned connections; /* being opened ones included */
    unsigned connecting;
    unsigned endpoints;
    bool is_down;                  /* no host could be reached */
    uint64_t down_until_ms;        /* meaningful when is_down */
    enum delivery_failure failure; /* the last one since a connection succeeded */
    struct delivery_counts counts;
};

/* Adds what became of recipients that were handed over: the scheduler does not see them one by one.
 */
void delivery_destination_count(struct delivery_destination *d,
                                const struct delivery_counts *counts);

void delivery_destination_describe(const struct delivery_destination *d,
                                   struct delivery_destination_state *state_out);

/* ---- connections ---- */

/* Once for each CONNECT, before the next call of next_action, unless _postpone(). */
void delivery_connection_start(struct delivery_scheduler *s, uint64_t now_ms,
                               struct delivery_connection *c,
                               const struct delivery_action *connect);

/* Greeting, EHLO and the destination's TLS rule are done; take() may be called. */
void delivery_connection_opened(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c);

/* What the peer says of itself, once it has: LIMITS MAILMAX and RCPTMAX (RFC 9422 4), messages on
 * this connection and recipients of each. 0 counts as 1; the destination's limits hold as well. */
void delivery_connection_limit(struct delivery_connection *c, unsigned messages_max);
void delivery_connection_limit_recipients(struct delivery_connection *c, unsigned recipients_max);

/* It was started and could not be opened. The last call for it. */
void delivery_connection_failed(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c, enum delivery_failure why,
                                uint64_t seed);

/* It was opened and is over, and its item has its result. The last call for it. why is
 * DELIVERY_FAILURE_NONE after a QUIT of ours; any other (a 421, a reset) puts the host down if
 * it came during the first item, so that such a host is not asked for each item in turn. */
void delivery_connection_closed(struct delivery_scheduler *s, uint64_t now_ms,
                                struct delivery_connection *c, enum delivery_failure why,
                                uint64_t seed);

enum delivery_take { DELIVERY_TAKE_ITEM, DELIVERY_TAKE_IDLE, DELIVERY_TAKE_CLOSE };

/* Opened, and the former item has its result. item_out is written for ITEM only. While the
 * destination's recipients are used up the connection is IDLE, with a backlog or not. */
enum delivery_take delivery_connection_take(struct delivery_scheduler *s, uint64_t now_ms,
                                            struct delivery_connection *c,
                                            struct delivery_item **item_out);

/* After ITEM: how many recipients of the item may be sent now, 1 at least. They count as handed
 * over from that moment, whatever becomes of them. When it is fewer than the item has, the others
 * follow by delivery_item_continued(). */
unsigned delivery_connection_recipients(const struct delivery_connection *c);

/* ---- items ---- */

/* Results, for the item that take() gave to c; exactly one for each. */

/* Every recipient of the item is delivered or failed: it is the caller's again. */
void delivery_item_done(struct delivery_scheduler *s, uint64_t now_ms,
                        struct delivery_connection *c);

/* The try is over, and so many recipients, 1 at least, are to be tried again: after the back-off,
 * or EXPIRE follows. They may be some of those handed over now, some of those that an earlier part
 * of the same try left, and some that were not handed over. */
void delivery_item_deferred(struct delivery_scheduler *s, uint64_t now_ms,
                            struct delivery_connection *c, unsigned recipients, uint64_t seed);

/* Those handed over have been dealt with, and the item has others that take() did not allow: it
 * goes back to the front of the queue with those, in the same try. Who is deferred meanwhile is
 * kept by the caller, for _deferred() at the end of the try. */
void delivery_item_continued(struct delivery_scheduler *s, uint64_t now_ms,
                             struct delivery_connection *c);

/* The host refuses the message for now, for reasons of its own (DELIVERY_OUTCOME about_host): the
 * item goes to the best host that is up and that it has not tried in this round, ahead of others,
 * and the try does not count. At most once for each host and round, and only for the first
 * message of a connection: a host that has taken one is well, and will have meant this message.
 * False, and nothing happened, when there is no such host, or DELIVERY_DIVERTED_MAX items are on
 * their way like this; _deferred() then. When the other host cannot be reached, or is not there any
 * more when the item is _continued() or _returned(), it goes to the next, or counts as deferred. */
MUST_USE bool delivery_item_try_next(struct delivery_scheduler *s, uint64_t now_ms,
                                     struct delivery_connection *c);

/* Not tried: a reused connection turned out to be closed before the first reply, or we stop. It
 * goes back to the front of the queue; the third time in a row it counts as deferred. */
void delivery_item_returned(struct delivery_scheduler *s, uint64_t now_ms,
                            struct delivery_connection *c, uint64_t seed);

/* Not tried, by a fault of our own: it waits for the pause of DELIVERY_FAILURE_LOCAL, behind those
 * that are ready, and the try does not count. Its connection ends with that failure. */
void delivery_item_postponed(struct delivery_scheduler *s, uint64_t now_ms,
                             struct delivery_connection *c);

/* An operator deletes or bounces it. False, and nothing happens, while it has a connection. */
MUST_USE bool delivery_item_remove(struct delivery_scheduler *s, uint64_t now_ms,
                                   struct delivery_item *item);

enum delivery_wait_reason {
    DELIVERY_WAIT_NOTHING,    /* not in a queue */
    DELIVERY_WAIT_DELIVERING, /* it has a connection */
    DELIVERY_WAIT_RETRY,      /* the last try failed; until its retry time */
    DELIVERY_WAIT_HOST_DOWN,  /* no host can be reached; until they are tried again */
    DELIVERY_WAIT_RESOLVING,  /* for the DNS */
    DELIVERY_WAIT_CONNECTING, /* for a connection that is being opened */
    DELIVERY_WAIT_LIMIT,      /* connections or recipients (until they come back) are used up */
    DELIVERY_WAIT_OURSELVES,  /* our own limits; until a time */
    DELIVERY_WAIT_TURN,       /* for those before it */
    DELIVERY_WAIT_EXPIRED     /* given up; EXPIRE is on its way */
};

struct delivery_wait {
    enum delivery_wait_reason reason;
    uint64_t until_ms;   /* DELIVERY_WAIT_FOREVER: nothing but an event ends the wait */
    uint64_t expires_ms; /* when it is given up at the latest */
    unsigned attempts;   /* that failed so far */
};

/* "Why am I waiting and until when", O(1). */
void delivery_item_explain(const struct delivery_item *item, uint64_t now_ms,
                           struct delivery_wait *wait_out);

/* A word for logs and the admin socket: "retry", "host down"... never NULL. */
const char *delivery_wait_text(enum delivery_wait_reason reason);
const char *delivery_failure_text(enum delivery_failure failure);
