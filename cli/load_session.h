/* cli/load_session.h - one of the concurrent sessions of the load generator.
 *
 * A session takes a ticket, connects, sends its message and those of further tickets as far as
 * the connection's share goes, quits, connects again, until there is no ticket left. With --idle
 * it stays when it is greeted. It lives in its worker's array from the start to the end.
 */
#pragma once
#include "base/list.h"
#include "gateway/channel.h"
#include "smtp/client.h"

#define LOAD_RETRY_MS     100 /* doubled with each failure in a row... */
#define LOAD_RETRY_MS_MAX 3200
#define LOAD_BODY_HIGH    ((size_t)64 * 1024) /* no more of a body is made while this much waits */

struct load_letter;
struct load_worker;

enum load_session_state {
    LOAD_SESSION_OFF,    /* not connected; waits for its time */
    LOAD_SESSION_QUEUED, /* waits for its turn to connect */
    LOAD_SESSION_CONNECTING,
    LOAD_SESSION_GREETING, /* until the reply to EHLO */
    LOAD_SESSION_SECURING,
    LOAD_SESSION_READY, /* waits until its message is due */
    LOAD_SESSION_SENDING,
    LOAD_SESSION_HOLDING, /* --idle */
    LOAD_SESSION_QUITTING,
    LOAD_SESSION_CLOSING,
    LOAD_SESSION_FINISHED
};

struct load_session { /* Fields are private, but for node. */
    struct gateway_channel channel;
    struct smtp_client smtp;
    struct list_node node; /* of the worker's queue */
    struct engine_timer timer;
    struct load_worker *worker;
    struct load_letter *letter; /* made with the first message */
    uint64_t ticket;
    uint64_t began_ns;   /* to connect, then the message */
    uint64_t dot_ns;     /* when its final dot was handed over */
    uint64_t sent_count; /* on this connection */
    uint32_t index;
    uint32_t failures; /* of opening, in a row */
    uint8_t state;     /* enum load_session_state */
    bool has_ticket;
    bool is_opening;      /* counts in the worker's `connecting` */
    bool is_greeted;      /* something came */
    bool is_counted;      /* in the tally of ready sessions */
    bool is_body_leaving; /* more of it follows when this much is sent */
};

void load_session_begin(struct load_session *s, struct load_worker *worker, uint32_t index);

/* Its turn to connect. */
void load_session_connect(struct load_session *s);

/* Finishes the message under way, if it has one; at once: drops it. */
void load_session_stop(struct load_session *s, bool at_once);

void load_session_finish(struct load_session *s); /* gives back what it has */
