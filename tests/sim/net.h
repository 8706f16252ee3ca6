/* tests/sim/net.h - a network in memory, between the gateway and the peers that the world plays.
 *
 * A link is one TCP connection. Bytes arrive in order, in pieces and with delays that the dice
 * decide; a peer that does not read fills the window. A link can break behind any byte: by a reset,
 * or so that nothing arrives any more and nobody hears of it.
 *
 * The world's side is a struct sim_peer, embedded in a client or in a connection of a next hop; the
 * gateway's side are the requests of backend.h.
 */
#pragma once
#include "base/ip.h"
#include "tests/sim/backend.h"

#define SIM_WINDOW_BYTES (64 * 1024)
#define SIM_MARKS_MAX    16

struct sim_net_faults {   /* chances out of 1000 */
    unsigned link_breaks; /* with a piece of bytes that is sent */
    unsigned is_slow;     /* a piece takes up to slow_ms */
    unsigned slow_ms;
    unsigned window_is_tiny; /* of a new link */
    unsigned send_is_short;  /* the gateway's send takes a part of what it is given */
};

extern struct sim_net_faults sim_net_faults;

struct sim_link;
struct sim_peer;

struct sim_peer_ops {
    void (*opened)(struct sim_peer *peer);
    void (*received)(struct sim_peer *peer, struct slice bytes);
    void (*ended)(struct sim_peer *peer, int error);          /* 0: the gateway's FIN; once */
    void (*wired)(struct sim_peer *peer, struct slice bytes); /* the gateway has sent them: they
                                                                 may never arrive. May be NULL */
};

struct sim_peer {
    const struct sim_peer_ops *ops;
    struct sim_link *link;
};

enum sim_mood { SIM_MOOD_TAKES, SIM_MOOD_REFUSES, SIM_MOOD_SILENT };

/* Where next hops listen; asked for each connection. */
struct sim_server {
    struct ip_endpoint endpoint;
    enum sim_mood (*mood)(struct sim_server *server);
    struct sim_peer *(*accept)(struct sim_server *server);
    struct sim_server *next;
};

void sim_server_listen(struct sim_server *server);

/* A client comes to the gateway; ended() with ECONNREFUSED when nobody listens. */
void sim_net_connect(struct sim_peer *peer, const struct ip_endpoint *from,
                     const struct ip_endpoint *to);

void sim_link_send(struct sim_link *link, struct slice bytes);
void sim_link_finish(struct sim_link *link); /* FIN */
void sim_link_reset(struct sim_link *link);
void sim_link_stop_reading(struct sim_link *link);

/* *read_us is set when the gateway has taken the last byte sent so far, and still wants it. */
void sim_link_mark(struct sim_link *link, uint64_t *read_us);

/* --- for backend.c and the end of a process --- */

int sim_socket_open(const struct ip_endpoint *remote);
int sim_listener_open(const struct ip_endpoint *endpoint);
bool sim_socket_local(int fd, struct ip_endpoint *local_out);
void sim_socket_shut(int fd);
void sim_socket_reset_on_close(int fd);
void sim_net_request(struct sim_op *op);
bool sim_net_cancel(struct sim_op *op); /* false: it is no request that waits */
void sim_net_close(int fd);

/* The kernel closes what a killed process had; after a power cut nobody hears of it. */
void sim_net_abandon(bool is_power_cut, int kind, void *object);
