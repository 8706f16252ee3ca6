/* tests/sim/gateway.h - the gateway's process in the simulated world: its lives and its deaths.
 *
 * A life is what gateway/supervisor.c makes of a process, without the threads that carry no mail
 * (administration, alerts, reports about TLS, the names): the spool is opened and recovered, the
 * workers run on fibers, listeners open. It ends by a stop, as after SIGTERM, or by a crash, which
 * leaves all of its memory behind.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sim_gateway_options {
    const char *configuration;
    unsigned workers;
    uint64_t memory_bytes; /* of messages; 0: as configured */
};

enum sim_gateway_state {
    SIM_GATEWAY_DOWN,
    SIM_GATEWAY_STARTING,
    SIM_GATEWAY_READY,
    SIM_GATEWAY_STOPPING,
    SIM_GATEWAY_FAILED, /* it could not start, and has left */
    SIM_GATEWAY_STOPPED /* in order */
};

enum sim_death {
    SIM_DEATH_KILL,  /* the page cache stays, the system closes its connections */
    SIM_DEATH_POWER, /* what was not synced is lost, and no peer hears of it */
    SIM_DEATH_EXIT   /* it has left by itself */
};

/* configuration lives as long as the gateway. */
void sim_gateway_start(const struct sim_gateway_options *options);
enum sim_gateway_state sim_gateway_state(void);
void sim_gateway_stop(void);
void sim_gateway_reload(void);

/* The process is gone when this returns. Not from one of its fibers. */
void sim_gateway_die(enum sim_death how);

/* No message is at home in any worker, and nobody is connected to send one. */
bool sim_gateway_is_empty(void);

/* Then: nothing is counted as memory or as a file of a message any more. */
void sim_gateway_check_books(void);
