/* tests/engine/peer.h - a socket that writes down its events, and loopback pairs to test it with.
 */
#pragma once
#include "engine/loop.h"
#include "engine/socket.h"

#define PEER_BYTES_MAX (1 << 20)

struct peer {
    struct engine_socket socket;
    bool echoes; /* sends back what comes, and receives again */
    bool keeps_receiving;
    bool closes_on_bytes; /* closes gracefully from inside `received` */
    enum engine_buffers group;
    unsigned received;
    unsigned ended;
    unsigned sent;
    unsigned connected;
    unsigned closed;
    int ended_error;
    int sent_error;
    int connected_error;
    size_t bytes_len;
    char bytes[PEER_BYTES_MAX];
};

extern const struct engine_socket_handlers peer_handlers;

struct engine_loop *peer_loop(const struct engine_loop_options *options);

/* On the heap, because of its size. */
struct peer *peer_create(struct engine_loop *loop);

/* Takes one end of a new loopback TCP connection; the other end is returned, blocking. */
int peer_adopt(struct peer *p);

/* One turn that does not wait. */
void peer_poll(struct engine_loop *loop);

/* Turns until *counter is at least count; fails the test after too many turns. */
void peer_turn_until(struct engine_loop *loop, const unsigned *counter, unsigned count);

/* Closes if need be, waits for `closed`, frees. */
void peer_finish(struct peer *p);
