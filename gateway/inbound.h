/* gateway/inbound.h - one inbound connection: the SMTP server session and what it asks for.
 *
 * Joins the channel (bytes), the SMTP server machine (protocol), the policies of the view it
 * began with (verdicts) and the receipt of the message under way. The session keeps its view, so
 * all of its decisions come from one generation of the configuration.
 */
#pragma once
#include "gateway/channel.h"
#include "gateway/peer_count.h"
#include "policy/mail_flow.h"
#include "smtp/server.h"

#define GATEWAY_INBOUND_OUTPUT_HIGH ((size_t)32 * 1024) /* unsent replies; then input waits */

struct config_listener;
struct gateway_listener_load;
struct gateway_message;
struct gateway_inquiry;
struct gateway_port;
struct gateway_question;
struct gateway_receipt;
struct gateway_session_options;
struct gateway_view;
struct gateway_worker;
struct smtp_proxy_header;

enum gateway_inbound_wait {
    GATEWAY_INBOUND_WAIT_NONE,
    GATEWAY_INBOUND_WAIT_OPEN,   /* the host is being looked up */
    GATEWAY_INBOUND_WAIT_ANSWER, /* a sender or a recipient is being looked up */
    GATEWAY_INBOUND_WAIT_COMMIT, /* the 250 waits for the disk */
    GATEWAY_INBOUND_WAIT_ROOM,   /* a large body waits for its file */
    GATEWAY_INBOUND_WAIT_DRAIN   /* the peer does not read its replies */
};

struct gateway_inbound { /* Fields are private to gateway/inbound*.c. */
    struct gateway_channel channel;
    struct smtp_server smtp;
    struct list_node node;
    struct gateway_worker *worker;
    struct gateway_view *view;
    const struct config_listener *listener;
    const struct policy_mail_flow *flow;     /* as it is at the listener; NULL before the verdict */
    struct gateway_inquiry *inquiry;         /* of WAIT_OPEN */
    struct gateway_question *question;       /* of WAIT_ANSWER */
    struct gateway_session_options *options; /* its own, if any */
    struct smtp_proxy_header *proxy;         /* of a load balancer, while it is awaited */
    struct gateway_receipt *receipt;         /* the message under way, until its commit */
    struct gateway_message *message;         /* the message whose commit is awaited */

    struct gateway_listener_load *load;
    struct ip_endpoint client; /* who the HAT sees */
    char *name;                /* of its PTR record, verified or not; NULL: none is known */
    struct slice group;        /* the HAT row, and its entry that matched; of the view */
    struct slice entry;
    uint64_t icid;
    uint64_t opened_ms;
    uint64_t body_bytes; /* of bodies, received on this connection */
    struct gateway_peer_hold hold;
    uint16_t listener_index;
    uint8_t wait;        /* enum gateway_inbound_wait */
    uint8_t reverse;     /* enum policy_reverse */
    uint8_t certificate; /* enum gateway_client_certificate */
    bool counts_tls;     /* among the TLS connections */
    bool may_xclient;
    bool is_waiting; /* in a place for those that are looked up: gateway/inbound_room.h */
    bool is_crowded; /* there was none */
    bool is_dropped; /* the answer that is being given is the last one */
    bool said_starttls;
    bool is_rejected; /* by the HAT, or for want of room */
    bool is_stopping;
};

extern const struct gateway_channel_handlers gateway_inbound_handlers;

/* Takes fd. */
void gateway_inbound_accept(struct gateway_port *port, int fd, const struct ip_endpoint *remote);

/* The worker stops: 421 now, or when the transaction is over. */
void gateway_inbound_stop(struct gateway_inbound *in);
void gateway_inbound_reset(struct gateway_inbound *in);

/* Sends what is queued, then closes. */
void gateway_inbound_close(struct gateway_inbound *in);

/* For a question: the answer that MAIL or RCPT waits for. */
void gateway_inbound_answered(struct gateway_inbound *in, const struct smtp_answer *answer);

/* For the receipt and the message of the session. */
void gateway_inbound_commits(struct gateway_inbound *in, struct gateway_message *message);
void gateway_inbound_committed(struct gateway_inbound *in, enum status status, uint64_t mid);
void gateway_inbound_room(struct gateway_inbound *in);
