/* dns/event.h - libunbound's pluggable event base (unbound-event.h) over the operations of world.h.
 *
 * Internal to dns/. The base must stay at one address and outlive the context made with it; what
 * libunbound creates on it, it frees itself, at the latest in ub_ctx_delete().
 *
 * The meaning is libevent's, which libunbound was written for: level-triggered; an event without
 * UB_EV_PERSIST is over when it fires; a time limit given with an event starts again whenever a
 * persistent event fires.
 */
#pragma once
#include <sys/time.h>

#include <unbound-event.h>

#include "dns/world.h"

struct dns_events { /* Fields are private. */
    struct ub_event_base base;
    struct dns_world *world;
    unsigned events; /* that exist */
};

void dns_events_init(struct dns_events *e, struct dns_world *world);
