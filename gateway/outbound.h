/* gateway/outbound.h - one outbound connection: the SMTP client session and what it delivers.
 *
 * Opened for a destination's host when the scheduler says CONNECT; when the hop is open
 * (gateway/hop.h), message after message until the scheduler has no more for it. The connection
 * keeps the view it was opened with: one generation decides its TLS.
 *
 *     OPENING -> IDLE <-> (FETCHING ->) SENDING -> QUITTING -> closed
 */
#pragma once
#include "delivery/scheduler.h"
#include "gateway/body_source.h"
#include "gateway/hop.h"
#include "gateway/hop_tls.h"
#include "gateway/message.h"
#include "gateway/next_hops.h"
#include "gateway/outbound_body.h"
#include "policy/destination.h"

#define GATEWAY_OUTBOUND_IDLE_MS  5000  /* a connection without work is kept so long */
#define GATEWAY_OUTBOUND_FETCH_MS 30000 /* and one whose message comes from the disk */

#define GATEWAY_OUTBOUND_TROUBLE_MAX 256 /* NUL included */

struct gateway_view;
struct gateway_worker;

enum gateway_outbound_state {
    GATEWAY_OUTBOUND_OPENING,
    GATEWAY_OUTBOUND_IDLE,     /* open, nothing to deliver */
    GATEWAY_OUTBOUND_FETCHING, /* the message to deliver is on its way from the disk */
    GATEWAY_OUTBOUND_SENDING,
    GATEWAY_OUTBOUND_QUITTING,
    GATEWAY_OUTBOUND_CLOSING /* the scheduler knows no more of it */
};

struct gateway_outbound { /* Fields are private to gateway/outbound*.c. */
    struct gateway_hop hop;
    struct gateway_hop_tls tls;
    struct delivery_connection delivery;
    struct list_node node;
    struct gateway_worker *worker;
    struct gateway_view *view;
    const struct policy_destination *policy;
    struct gateway_next_hops *hops;       /* counted */
    const struct gateway_next_host *host; /* of these */
    struct ip_endpoint remote;
    uint64_t dcid;
    char tls_trouble[GATEWAY_OUTBOUND_TROUBLE_MAX]; /* why TLS could not be had; "" before */
    enum gateway_outbound_state state;
    bool is_announced;    /* in the log */
    bool is_to_report;    /* how its TLS went, once it carries other mail than reports */
    bool sent_any;        /* a message has been dealt with on this connection */
    bool heard_of_item;   /* the peer has answered something about the item under way */
    bool is_body_leaving; /* the final dot waits for the body to leave */

    struct gateway_item *item;     /* being delivered, and held (gateway/shelf.h) */
    struct gateway_item *fetching; /* to be delivered, when it is in memory */
    struct gateway_item *borrowed; /* the kernel may be reading its message's body */
    struct gateway_report *report;
    struct gateway_outbound_body body;
    struct gateway_body_source *source; /* while its body comes from a file */
    struct smtp_client_envelope envelope;
    unsigned places;                          /* in each of these: */
    struct smtp_client_recipient *recipients; /* one for each waiting recipient of the item */
    struct gateway_failure **refusals;        /* behind them: NULL while it was not refused */
    uint16_t *accepted;                       /* the same: room for those not refused */
};

/* Takes part in the scheduler from here on. STATUS_NO_MEMORY, STATUS_LIMIT: nothing happened. */
MUST_USE enum status gateway_outbound_open(struct gateway_worker *worker,
                                           const struct delivery_action *connect);

/* The scheduler has work for an idle connection. */
void gateway_outbound_wake(struct delivery_connection *connection);

/* The worker stops: a message under way is finished. */
void gateway_outbound_stop(struct gateway_outbound *out);
void gateway_outbound_reset(struct gateway_outbound *out);

/* For gateway/shelf.c: the message that was on disk only is in memory, and held; or cannot be read.
 */
void gateway_outbound_fetched(struct gateway_outbound *out, struct gateway_item *item,
                              enum status status);

/* For gateway/body_source.c: the next piece of the body; empty: it is complete. */
void gateway_outbound_chunk(struct gateway_outbound *out, enum status status, struct slice chunk);
