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

#define GATEWAY_INBOUND_SPILLS_MAX      64u
#define GATEWAY_INBOUND_SPILL_STEPS_MAX 4096u

enum gateway_inbound_wait {
    GATEWAY_INBOUND_WAIT_NONE,
    GATEWAY_INBOUND_WAIT_OPEN,   /* the host is being looked up */
    GATEWAY_INBOUND_WAIT_ANSWER, /* a sender or a recipient is being looked up */
    GATEWAY_INBOUND_WAIT_COMMIT, /* the 250 waits for the disk */
    GATEWAY_INBOUND_WAIT_ROOM,   /* a large body waits for its file */
    GATEWAY_INBOUND_WAIT_DRAIN   /* the peer does not read its replies */
};

/* What each command and each piece of a body changes lies together, from `owner` of the channel's
 * socket to the counts of the machine: four cache lines (docs/ARCHITECTURE.md). */
struct gateway_inbound { /* Fields are private to gateway/inbound*.c. */
    struct list_node node;
    struct gateway_channel channel;
    struct gateway_worker *worker;
    struct gateway_view *view;
    struct gateway_receipt *receipt; /* the message under way, until its commit */
    uint64_t opened_ms;
    uint64_t body_bytes; /* of bodies, received on this connection */
    uint8_t wait;        /* enum gateway_inbound_wait */
    bool is_stopping;
    bool is_rejected;        /* by the HAT, or for want of room */
    bool is_dropped;         /* the answer that is being given is the last one */
    bool has_proxy;          /* `proxy` is there */
    uint8_t certificate;     /* enum gateway_client_certificate */
    uint16_t listener_index; /* in the configuration's */
    struct smtp_server smtp;

    /* What MAIL and RCPT ask. */
    const struct policy_mail_flow *flow;   /* as it is at the listener; NULL before the verdict */
    union {                                /* what is waited for; NULL: that has no object */
        struct gateway_question *question; /* of WAIT_ANSWER */
        struct gateway_message *message;   /* of WAIT_COMMIT */
        struct gateway_inquiry *inquiry;   /* of WAIT_OPEN */
    };
    struct gateway_session_options *options; /* its own, if any */
    char *name; /* of its PTR record, verified or not; NULL: none is known */
    uint64_t icid;
    struct smtp_proxy_header *proxy; /* of a load balancer, while it is awaited */
    struct gateway_peer_hold hold;
    uint32_t entry;            /* of the HAT, which matched */
    struct ip_endpoint client; /* who the HAT sees */
    uint16_t load_index;       /* in gateway_process.loads */
    uint8_t reverse;           /* enum policy_reverse */
    bool counts_tls : 1;       /* among the TLS connections */
    bool may_xclient : 1;
    bool is_waiting : 1; /* in a place for those that are looked up: gateway/inbound_room.h */
    bool is_crowded : 1; /* there was none */
    bool said_starttls : 1;
};

_Static_assert(sizeof(struct gateway_inbound) <= 384, "a size of jemalloc's, and a goal: 512 each");
_Static_assert(offsetof(struct gateway_inbound, channel.socket.owner) == 64, "hot lines begin");
_Static_assert(offsetof(struct gateway_inbound, smtp.helo) <= 64 + 256, "hot lines end");

extern const struct gateway_channel_handlers gateway_inbound_handlers;

/* That of its port, in the configuration that holds for the session. */
const struct config_listener *gateway_inbound_listener(const struct gateway_inbound *in);

struct gateway_listener_load *gateway_inbound_load(const struct gateway_inbound *in);

/* Takes fd. */
void gateway_inbound_accept(struct gateway_port *port, int fd, const struct ip_endpoint *remote);

/* The worker stops: 421 now, or when the transaction is over. */
void gateway_inbound_stop(struct gateway_inbound *in);
void gateway_inbound_reset(struct gateway_inbound *in);

/* Sends what is queued, then closes. */
void gateway_inbound_close(struct gateway_inbound *in);

/* While memory is short: moves some of the bodies that are coming into files. At most
 * GATEWAY_INBOUND_SPILLS_MAX of them, of GATEWAY_INBOUND_SPILL_STEPS_MAX sessions; the others have
 * their turn at the next call. */
void gateway_inbound_spill(struct gateway_worker *w);

/* For a question: the answer that MAIL or RCPT waits for. */
void gateway_inbound_answered(struct gateway_inbound *in, const struct smtp_answer *answer);

/* For the receipt and the message of the session. */
void gateway_inbound_commits(struct gateway_inbound *in, struct gateway_message *message);
void gateway_inbound_committed(struct gateway_inbound *in, enum status status, uint64_t mid);
void gateway_inbound_room(struct gateway_inbound *in);
