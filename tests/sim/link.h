/* tests/sim/link.h - the inside of a link, for net.c (the peer's end of it and the way) and
 * sockets.c (the gateway's end).
 */
#pragma once
#include "tests/sim/net.h"

struct socket;

/* Bytes in one direction: from `taken` to `arrived` they can be taken, from there to `sent` they
 * are on their way. */
struct flow {
    char *data; /* from `taken` on */
    size_t capacity;
    uint64_t sent;
    uint64_t arrived;
    uint64_t taken;
    uint64_t last_us;
    bool is_finished; /* a FIN follows the last byte */
    bool fin_arrived;
};

struct mark {
    uint64_t at;
    uint64_t *read_us;
};

struct sim_link {
    struct sim_peer *peer;
    struct socket *socket; /* NULL: the gateway has closed it, or has not accepted it yet */
    struct ip_endpoint client;
    struct ip_endpoint server;
    struct flow in;  /* to the gateway */
    struct flow out; /* to the peer */
    size_t window;
    struct mark marks[SIM_MARKS_MAX];
    unsigned marks_count;
    bool is_reset;
    bool is_broken; /* what is sent from now on does not arrive */
    bool is_cut;    /* nothing arrives any more, and nobody hears of it */
    bool has_ended; /* the peer has heard */
    bool stops_reading;
    bool is_gone; /* the gateway's side: a reset answers what comes */
};

struct sim_link *sim_link_create(void);
uint64_t sim_link_delay_us(void);

/* At once; on the way. */
void sim_link_end_peer(struct sim_link *link, int error);
void sim_link_reset_peer(struct sim_link *link);

/* The gateway sends, or ends sending; has taken bytes, and may not want them any more. */
void sim_link_send_out(struct sim_link *link, struct slice bytes);
void sim_link_finish_out(struct sim_link *link);
void sim_link_taken(struct sim_link *link, size_t bytes, bool is_wanted);

/* sockets.c: there may be something to be done. */
void sim_socket_try_receive(struct socket *s);
void sim_socket_try_send(struct socket *s);
