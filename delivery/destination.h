/* delivery/destination.h - the inside of the scheduler, shared by its files; not for callers.
 *
 * A destination is filed in exactly one place: in the list of turns when it has something to do
 * now, else in the heap of timers under the time when it will. Every function that changes one
 * ends with destination_file(), which computes that time anew; destination_serve() then finds
 * what destination_file() promised, so that no turn is idle.
 */
#pragma once
#include "base/table.h"
#include "delivery/budget.h"
#include "delivery/scheduler.h"

enum item_state {
    ITEM_NONE,         /* the caller's */
    ITEM_READY,        /* in ready, its timer in expiries */
    ITEM_DIVERTED,     /* of a host's diverted, its timer in expiries */
    ITEM_DELAYED,      /* its timer in delayed or flushed, under its retry time or expiry; in late
                          when a warning is due */
    ITEM_ACTIVE,       /* of a connection */
    ITEM_TOO_OLD,      /* in given_up */
    ITEM_TRIED_ENOUGH, /* in given_up */
};

static_assert(ITEM_TRIED_ENOUGH < 8 && DELIVERY_RETURNS_MAX < 4 && DELIVERY_LOCAL_DOUBLINGS < 8,
              "the fields of an item hold them");

enum connection_state {
    CONNECTION_NONE,
    CONNECTION_CONNECTING,
    CONNECTION_OPEN,
    CONNECTION_IDLE,
    CONNECTION_CLOSING /* told to close */
};

/* One that is not listed any more is kept while it has connections, a budget that is not whole or
 * a time that it is down: a list that changes with every answer of the DNS loosens no limit. */
struct destination_host {
    struct list_node node; /* of the destination's hosts */
    struct delivery_endpoint endpoint;
    unsigned index; /* in the list that it comes from */
    bool is_listed;
    unsigned failures;   /* since it last worked */
    unsigned open;       /* connections that work */
    unsigned connecting; /* those being opened */
    uint64_t down_until_ms;
    unsigned crowded_max; /* connections, until crowded_until_ms */
    uint64_t crowded_until_ms;
    uint64_t used;    /* the last turn it had */
    unsigned slot;    /* no other host of the destination has it; below DELIVERY_HOSTS_MAX */
    struct list idle; /* connections */
    /* Items that have tried a better host in this round; listed hosts only. */
    struct slim_list diverted;
    struct delivery_budget budget;
};

enum destination_place { PLACE_NONE, PLACE_TURN, PLACE_TIMER };

struct delivery_destination {
    struct table_node by_name;
    struct list_node walk; /* in queued or quiet */
    struct list_node turn;
    struct delivery_heap_node timer;
    enum destination_place place;
    struct delivery_scheduler *scheduler;
    bool is_tls_optional;
    bool is_queued; /* in the list of those that hold items without a connection */
    struct delivery_attachment *attachment;
    struct delivery_limits limits;

    struct slim_list ready;
    struct slim_list given_up;
    struct slim_list late;         /* delayed ones whose senders are to be warned */
    struct delivery_heap expiries; /* of the ready ones; and when to think of a warning */
    struct delivery_heap delayed;
    struct delivery_heap flushed; /* were delayed; on their way to ready */
    size_t ready_count;
    uint64_t ready_recipients; /* of the ready ones */
    size_t diverted_count;
    size_t delayed_count; /* flushed included */
    size_t given_up_count;
    size_t active_count;
    bool expired_last; /* EXPIRE and the rest take turns, too */

    unsigned idle_count; /* connections; the hosts list them */
    unsigned connections;
    unsigned connecting;
    unsigned closing;     /* were told so by take() */
    uint64_t progress_ms; /* the last result or opened connection */
    unsigned stalls;      /* connections that were added for want of progress, since an item was
                             done */
    bool was_empty;
    uint64_t empty_ms; /* since when it is */

    struct list hosts;     /* the listed ones first, in their order */
    unsigned hosts_count;  /* in the list */
    unsigned listed_count; /* of them */
    struct delivery_budget budget;
    bool is_resolving;
    bool is_proven;          /* a connection could be opened since it was last down */
    bool has_worked;         /* a message has had its result since then */
    uint64_t hosts_until_ms; /* the list is good for so long */
    uint64_t bad_until_ms;   /* the domain does not exist, for so long */
    uint64_t down_until_ms;  /* no host is up */
    uint64_t ourselves_until_ms;
    unsigned local_failures; /* since a message had its result; up to DELIVERY_LOCAL_DOUBLINGS */
    uint64_t turns;          /* numbers the use of hosts */
    unsigned failed_rounds;  /* in a row, for the back-off */
    uint32_t round;          /* failed rounds in all, for the items' count of tries */
    enum delivery_failure failure;
    struct delivery_counts counts;

    size_t domain_len;
    char domain[];
};

struct delivery_scheduler {
    struct hash_seed seed;
    struct table by_name;
    struct list queued;
    struct list quiet;
    struct list turns;
    struct delivery_heap timers;
    size_t destinations_count;
    size_t items_count;
    size_t connections_count;
    struct delivery_profile *profiles;
    size_t profiles_count;
    uint64_t put_off;                       /* recipients, since the caller asked last */
    uint64_t draws;                         /* numbers what is drawn from one seed */
    struct delivery_destination *forgotten; /* lives until the next action */
};

/* ---- destination.c ---- */

/* Finds or makes one; *d_out is filed nowhere when it is new. */
MUST_USE enum status destination_open(struct delivery_scheduler *s, struct slice domain,
                                      bool is_tls_optional, struct delivery_destination **d_out);

/* It holds nothing: off all lists. It is freed with s->forgotten. */
void destination_unlink(struct delivery_scheduler *s, struct delivery_destination *d);
void destination_free(struct delivery_destination *d); /* accepts NULL */

void destination_set_limits(struct delivery_destination *d, const struct delivery_limits *limits);

/* Files d where it belongs now. */
void destination_file(struct delivery_scheduler *s, struct delivery_destination *d,
                      uint64_t now_ms);

/* When d has something to do; 0 or up to now_ms: now. */
uint64_t destination_due(const struct delivery_destination *d, uint64_t now_ms);

/* When a connection more is wanted, provided that nothing happens before. */
uint64_t destination_connect_due(const struct delivery_destination *d, uint64_t now_ms);

/* What it may be handed in each interval. */
struct delivery_rate destination_rate(const struct delivery_destination *d);

/* When a connection is wanted for diverted items. */
uint64_t destination_divert_due(const struct delivery_destination *d, uint64_t now_ms);

/* Whether one more connection is for want of progress only. */
bool destination_has_enough(const struct delivery_destination *d);

/* When an idle connection can be given work; UINT64_MAX when there is none. */
uint64_t destination_idle_due(const struct delivery_destination *d, uint64_t now_ms);

/* Whether a limit is what a ready item waits for; *until_out is written then: when that ends by
 * itself, or DELIVERY_WAIT_FOREVER. */
bool destination_is_at_limit(const struct delivery_destination *d, uint64_t now_ms,
                             uint64_t *until_out);

/* When an empty one is forgotten: what its limits have to remember is over by then. */
uint64_t destination_forget_due(const struct delivery_destination *d);

bool destination_is_empty(const struct delivery_destination *d);

/* ---- hosts.c ---- */

static inline struct destination_host *host_of_node(struct list_node *n)
{
    return CONTAINER_OF(n, struct destination_host, node);
}

/* How an item notes that it has tried h. Two hosts may share a bit when more than 32 are known:
 * then one of them is passed over in that round. */
static inline uint32_t host_bit(const struct destination_host *h)
{
    return 1u << h->slot % 32;
}

/* The host to connect to now. NULL when all are down: then down_until_ms is set; or when none has
 * room. */
struct destination_host *hosts_choose(struct delivery_destination *d, uint64_t now_ms);

/* When hosts_choose() will find one: 0 when it has something to say now, UINT64_MAX when nothing
 * but an event changes that. */
uint64_t hosts_due(const struct delivery_destination *d, uint64_t now_ms);

/* The host to connect to for its diverted items, and when there is one. */
struct destination_host *hosts_choose_diverted(struct delivery_destination *d, uint64_t now_ms);
uint64_t hosts_divert_due(const struct delivery_destination *d, uint64_t now_ms);

/* The best host that is up and that an item which has tried those has not; NULL: none. */
struct destination_host *hosts_choose_untried(struct delivery_destination *d, uint64_t now_ms,
                                              uint32_t tried);

/* A host that waits for a connection for diverted items and has none. */
bool hosts_lack_connection(const struct delivery_destination *d);

/* The best one with an idle connection and room for recipients; NULL when there is none. */
struct destination_host *hosts_choose_idle(struct delivery_destination *d, uint64_t now_ms);

/* The budget that counts for connections to h. */
const struct delivery_budget *hosts_budget(const struct delivery_destination *d,
                                           const struct destination_host *h);

void hosts_opened(struct delivery_destination *d, struct destination_host *h);
void hosts_worked(struct delivery_destination *d, struct destination_host *h);
/* A pause of our own, the times-th in a row from 0. */
static inline uint64_t local_pause_ms(unsigned times)
{
    return (uint64_t)DELIVERY_LOCAL_MS
           << (times < DELIVERY_LOCAL_DOUBLINGS ? times : DELIVERY_LOCAL_DOUBLINGS);
}

void hosts_failed(struct delivery_destination *d, uint64_t now_ms, struct destination_host *h,
                  enum delivery_failure why, uint64_t seed);
/* It was opened, and its first message had no result. */
void hosts_broke_off(struct delivery_destination *d, uint64_t now_ms, struct destination_host *h,
                     enum delivery_failure why, uint64_t seed);
void hosts_free(struct delivery_destination *d);

/* ---- item.c ---- */

static inline struct delivery_item *item_of_timer(struct delivery_heap_node *n)
{
    return CONTAINER_OF(n, struct delivery_item, timer);
}

static inline struct delivery_item *item_of_node(struct slim_node *n)
{
    ASSERT(n != NULL);
    return CONTAINER_OF(n, struct delivery_item, node);
}

/* The next of many well-mixed numbers from one seed. */
static inline uint64_t scheduler_draw(struct delivery_scheduler *s, uint64_t seed)
{
    return hash_number(seed ^ s->draws++);
}

uint64_t item_expires_ms(const struct delivery_item *item);
unsigned item_attempts(const struct delivery_item *item); /* rounds it waited through included */
bool item_is_exhausted(const struct delivery_item *item);

/* A ready item: when it is to be looked at, to be given up or for a warning. */
uint64_t item_look_ms(const struct delivery_item *item, uint64_t now_ms);
bool item_is_late(const struct delivery_item *item, uint64_t now_ms); /* a warning is due */
void item_note_warning(struct delivery_item *item, uint64_t now_ms);

/* From ITEM_NONE or ITEM_ACTIVE (after item_detach()) into the queue. */
void item_make_ready(struct delivery_item *item, uint64_t now_ms);
void item_make_delayed(struct delivery_item *item, uint64_t retry_ms);
void item_give_up(struct delivery_item *item, enum item_state why);

/* From ITEM_NONE to the queue, or given up: a try has failed. */
void item_defer(struct delivery_item *item, uint64_t now_ms, uint64_t seed);

/* The same, of which the caller of the scheduler does not know. */
void item_put_off(struct delivery_item *item, uint64_t now_ms, uint64_t seed);

/* A try has failed for so many recipients, without a word to the caller of the scheduler. */
void destination_put_off(struct delivery_destination *d, uint64_t recipients);

/* From ITEM_NONE: to the queue of another host of this round, if there is one. */
MUST_USE bool item_divert(struct delivery_item *item, uint64_t now_ms);

/* From the queue to ITEM_NONE; the destination stays noted, the attempts are brought up to date. */
void item_detach(struct delivery_item *item);

/* Leaves the scheduler. */
void item_release(struct delivery_scheduler *s, struct delivery_item *item);
