/* gateway/hop.h - a connection to a next hop: greeting, EHLO and the TLS that is demanded of it.
 *
 *     open -> connected -> (refused | unsecured | secured -> judged())... -> opened
 *          -> the owner's commands by the SMTP machine, their events by `event` -> quit() -> failed
 *     then closed, after failed or reset()
 *
 * For whoever talks to another host: deliveries (gateway/outbound.h), questions about recipients
 * (gateway/verifier.h), and who looks at its TLS (cli/tls_check_probe.h). Embedded in its owner,
 * which gets events through a table of handlers:
 *
 *     connected  the other side has accepted; its greeting is awaited. May be NULL, as the next 3
 *     greeted    the greeting has come, and EHLO is said
 *     answered   EHLO was answered, in the clear and again under TLS: smtp knows what is offered
 *     refused    STARTTLS was answered with something else than 220
 *     session    makes the client's session for the handshake that follows
 *     unsecured  TLS could not be had, in one line; opened or failed follows
 *     secured    the handshake is done; the owner checks whom it leads to and says so by
 *                gateway_hop_judged(), at once or later
 *     judge_now  the time for that is over: by what is known, and before this returns
 *     settled    who makes the TLS records is decided: gateway/channel.h. May be NULL
 *     opened     commands may be given
 *     event      of the SMTP machine, for a command of the owner: RECIPIENT, BODY_WANTED or DONE
 *     drained    as gateway/channel.h has it, after `opened`
 *     idle       after `opened`, the owner's time is over and the peer owes nothing
 *     failed     it can be used no more, and is being closed: once, unless it was reset. Where it
 *                is our memory that was short, with TLS or without, it is END_SMTP by NO_MEMORY
 *     closed     the last event; nothing is in flight, the owner may free it
 *
 * Until it is open the hop keeps the time itself; afterwards the owner sets it with
 * gateway_hop_set_time(). `failed` may run inside gateway_hop_quit() and _judged(), no other
 * handler inside a call of this module but `opened` inside _judged().
 */
#pragma once
#include "gateway/channel.h"
#include "policy/tls_demand.h"
#include "smtp/client.h"
#include "tls/session.h"

#define GATEWAY_HOP_CONNECT_MS   30000
#define GATEWAY_HOP_HANDSHAKE_MS 60000
#define GATEWAY_HOP_JUDGE_MS     10000 /* for the owner to find out whom it leads to */
#define GATEWAY_HOP_QUIT_MS      2000  /* for its reply: all is said and done */

enum gateway_hop_state {
    GATEWAY_HOP_CONNECTING,
    GATEWAY_HOP_GREETING, /* until READY, with or without TLS */
    GATEWAY_HOP_SECURING, /* STARTTLS and the handshake */
    GATEWAY_HOP_JUDGING,
    GATEWAY_HOP_OPEN,
    GATEWAY_HOP_QUITTING,
    GATEWAY_HOP_LEAVING /* the owner knows that it is over, or has said so */
};

enum gateway_hop_end_kind {
    GATEWAY_HOP_END_QUIT,    /* in order: QUIT was answered, or the peer left an idle connection */
    GATEWAY_HOP_END_CONNECT, /* error */
    GATEWAY_HOP_END_TLS,     /* the demand is not met: action */
    GATEWAY_HOP_END_SMTP     /* event, which is FAILED */
};

struct gateway_hop_end {
    enum gateway_hop_end_kind kind;
    int error;                      /* errno value */
    enum policy_tls_action action;  /* TRY_NEXT or TRY_CLEAR */
    enum policy_tls_event how;      /* of END_TLS */
    struct smtp_client_event event; /* valid for the call */
    bool was_securing;              /* STARTTLS was said, and the peer did not answer */
};

struct gateway_hop;

struct gateway_hop_handlers {
    void (*connected)(struct gateway_hop *h);
    void (*greeted)(struct gateway_hop *h);
    void (*answered)(struct gateway_hop *h);
    void (*refused)(struct gateway_hop *h, const struct smtp_reply *reply);
    enum status (*session)(struct gateway_hop *h, struct tls_session **session_out);
    void (*unsecured)(struct gateway_hop *h, struct slice why);
    void (*secured)(struct gateway_hop *h);
    void (*judge_now)(struct gateway_hop *h);
    void (*settled)(struct gateway_hop *h);
    void (*opened)(struct gateway_hop *h);
    void (*event)(struct gateway_hop *h, const struct smtp_client_event *event);
    void (*drained)(struct gateway_hop *h);
    void (*idle)(struct gateway_hop *h);
    void (*failed)(struct gateway_hop *h, const struct gateway_hop_end *end);
    void (*closed)(struct gateway_hop *h);
};

/* How it is to be opened. Copied; what it points to is borrowed until `closed`. */
struct gateway_hop_options {
    struct ip_endpoint remote;
    struct slice hostname;           /* ours, for EHLO */
    struct policy_tls_demand demand; /* has no obstacle */
    uint32_t reply_ms_max; /* no reply is waited for longer; 0: as RFC 5321 4.5.3.2 has it */
    uint64_t opening_ms;   /* until `opened` at the latest; 0: by step */
};

struct gateway_hop { /* Fields are private, except channel, and smtp once EHLO is answered. */
    struct gateway_channel channel;
    struct smtp_client smtp;
    struct smtp_client_options smtp_options;
    struct gateway_hop_options options;
    const struct gateway_hop_handlers *handlers;
    enum gateway_hop_state state;
    bool has_ended;   /* the peer has, in order or by a bad record of TLS */
    bool was_greeted; /* and the owner knows */
};

void gateway_hop_open(struct gateway_hop *h, struct engine_loop *loop,
                      const struct gateway_hop_handlers *handlers,
                      const struct gateway_hop_options *options);

/* After `secured`: whether the peer is who it should be. why: in one line, when it is not. */
void gateway_hop_judged(struct gateway_hop *h, bool is_verified, struct slice why);

/* Sends what the owner's command has put out, and acts on what the command itself came to: a
 * message that this host cannot take is DONE at once. `event` and `failed` may run inside. */
void gateway_hop_go(struct gateway_hop *h, const struct smtp_client_event *event);

/* While it is open: more_ms on top of what the peer has for its next reply; with nothing awaited of
 * it, more_ms until `idle`. 0 and nothing awaited: for ever. */
void gateway_hop_set_time(struct gateway_hop *h, uint64_t more_ms);

/* While it is open and no message is under way: QUIT. `failed` tells the end of it, END_QUIT. */
void gateway_hop_quit(struct gateway_hop *h);

/* At any time: resets the connection. Only `closed` follows. */
void gateway_hop_reset(struct gateway_hop *h);
