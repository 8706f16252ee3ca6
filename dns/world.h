/* dns/world.h - what the resolver asks of the world: readiness, timers, the time, a later call.
 *
 * libunbound owns its sockets; it only wants to be told when they are ready. gateway/resolver.h
 * binds this to the engine. Watches and timers are embedded in objects of dns/, zeroed at first;
 * `bound` is the world's, for whatever it keeps behind one that runs.
 *
 * No handler is ever called from inside one of these operations. When it is called its watch or
 * timer does not run any more: `bound` is NULL.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

struct dns_watch {
    void (*handler)(struct dns_watch *w, int events); /* POLLIN, POLLOUT, POLLERR... of poll.h */
    void *bound;                                      /* NULL: it does not run */
};

struct dns_timer {
    void (*handler)(struct dns_timer *t);
    void *bound;
};

struct dns_world {
    const struct dns_ops *ops;
};

struct dns_ops {
    /* Calls w->handler once, when one of the events has come. w does not run. The descriptor may
     * be closed, and w freed, as soon as unwatch() has returned. */
    enum status (*watch)(struct dns_world *world, struct dns_watch *w, int fd, int events);
    void (*unwatch)(struct dns_world *world, struct dns_watch *w); /* one that runs */
    /* Calls t->handler once. t does not run. */
    enum status (*timer_start)(struct dns_world *world, struct dns_timer *t, uint64_t delay_ms);
    void (*timer_stop)(struct dns_world *world, struct dns_timer *t); /* one that runs */
    uint64_t (*now_ms)(struct dns_world *world);
    /* Has dns_resolver_deliver() called, once, soon. It may be asked for again meanwhile. */
    void (*defer)(struct dns_world *world);
};
