/* tests/sim/client.h - SMTP clients that send numbered messages, and misbehave.
 *
 * One connection each, with a few messages: with pipelining or without, with RSET in between, cut
 * off in the middle, gone after the final dot, silent for ever. Each message that gets no 250 stays
 * unsent; a client never tries again under the same number.
 */
#pragma once
#include <stddef.h>

#include "base/ip.h"

struct sim_client_traits { /* chances out of 1000 */
    unsigned misbehaves;   /* for each message */
    size_t body_bytes_max;
    unsigned body_is_large; /* else a few KB */
    unsigned pauses;        /* after each part of a body */
    unsigned messages_max;  /* of a connection */
};

extern struct sim_client_traits sim_client_traits;

/* Connects now. */
void sim_client_start(const struct ip_endpoint *gateway);

/* The connections that are not over. */
unsigned sim_clients_count(void);
