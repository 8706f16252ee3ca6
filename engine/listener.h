/* engine/listener.h - accepts connections on one listening socket of one loop.
 *
 * The supervisor binds (one fd per worker: SO_REUSEPORT lets the kernel spread the connections),
 * so that a bad address is reported at start; each worker then starts a listener on its fd.
 *
 *     engine_listener_probe, engine_listener_bind -> engine_listener_start -> `accepted` ...
 *         -> engine_listener_stop -> `stopped`
 *
 * One connection is accepted at a time, and the next only when this one's handler has returned.
 */
#pragma once
#include <netinet/in.h>

#include "base/ip.h"
#include "base/status.h"
#include "engine/owner.h"
#include "engine/timer.h"

#define ENGINE_ACCEPT_PAUSE_MS 100 /* when descriptors or memory run out */

/* Whether the endpoint is free: SO_REUSEPORT would silently share a port with another instance
 * of the same user. *error_out gets the errno of a failure (EADDRINUSE, EACCES...). */
MUST_USE enum status engine_listener_probe(const struct ip_endpoint *endpoint, int *error_out);

/* A listening socket: SO_REUSEPORT, SO_REUSEADDR, IPV6_V6ONLY, TCP_NODELAY (which accepted
 * sockets inherit), non-blocking. *error_out gets the errno of a failure. */
MUST_USE enum status engine_listener_bind(const struct ip_endpoint *endpoint, int backlog,
                                          int *fd_out, int *error_out);

/* The endpoint that a bound fd has, for a port of 0. */
bool engine_listener_endpoint(int fd, struct ip_endpoint *endpoint_out);

struct engine_listener;

struct engine_listener_handlers {
    /* Takes fd. remote is valid during the call. */
    void (*accepted)(struct engine_listener *l, int fd, const struct ip_endpoint *remote);

    /* The last event: the fd is closed, the listener may be freed. */
    void (*stopped)(struct engine_listener *l);
};

struct engine_listener { /* Fields are private. */
    struct engine_owner owner;
    struct engine_loop *loop;
    const struct engine_listener_handlers *handlers;
    struct engine_timer retry;
    struct sockaddr_storage address;
    socklen_t address_len;
    int fd;
    uint32_t slot;
    unsigned in_flight;
    bool armed;
    bool cancelling;
    bool paused;
    bool stopping;
    bool closing;
};

/* Takes fd and begins to accept. On failure the fd stays the caller's. */
MUST_USE enum status engine_listener_start(struct engine_listener *l, struct engine_loop *loop,
                                           int fd, const struct engine_listener_handlers *handlers);

/* The same, but paused: nothing is accepted before engine_listener_resume(), not even what waits
 * in the backlog already. */
MUST_USE enum status engine_listener_start_paused(struct engine_listener *l,
                                                  struct engine_loop *loop, int fd,
                                                  const struct engine_listener_handlers *handlers);

/* New connections wait in the kernel's backlog meanwhile. One that was being accepted may still
 * come after the call. */
void engine_listener_pause(struct engine_listener *l);
void engine_listener_resume(struct engine_listener *l);
bool engine_listener_is_paused(const struct engine_listener *l);

/* Idempotent. No `accepted` comes after it. */
void engine_listener_stop(struct engine_listener *l);
