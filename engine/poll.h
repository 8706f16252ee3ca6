/* engine/poll.h - waits until a descriptor of somebody else's library is readable or writable.
 *
 * For libraries that own their sockets and bring an event interface (a resolver). One-shot: after
 * each event the owner starts it again. A stopped poll is finished only when its last event has
 * come, because the request may be in the kernel; only then may it be freed or the fd closed.
 */
#pragma once
#include <poll.h>

#include "engine/owner.h"

struct engine_poll { /* Fields are private. Zeroed at first. */
    struct engine_owner owner;
    struct engine_loop *loop;
    void (*handler)(struct engine_poll *p, int events);
    uint32_t slot;
    unsigned in_flight;
    int events;
    bool armed;
};

/* events: POLLIN, POLLOUT. The handler gets what came (with POLLERR, POLLHUP); 0 after a stop;
 * a negated errno when it failed. Nothing may be armed. */
MUST_USE enum status engine_poll_start(struct engine_loop *loop, struct engine_poll *p, int fd,
                                       int events,
                                       void (*handler)(struct engine_poll *p, int events));

/* The handler is still called once, with the events that came first or with 0. Does nothing to a
 * poll that is not armed. */
void engine_poll_stop(struct engine_poll *p);
bool engine_poll_is_armed(const struct engine_poll *p);
