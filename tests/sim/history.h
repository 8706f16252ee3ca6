/* tests/sim/history.h - one history: a seed decides what kind of world it is, and all that happens.
 *
 * First clients come, hosts and disk and network misbehave, and the gateway is killed, loses power,
 * is stopped, reloaded and started again, with another number of workers. Then the world is well
 * again, and the gateway runs on until its queue is empty. It is stopped, the ledger is judged, and
 * the spool must hold nothing any more.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/ledger.h"

struct sim_history {
    uint64_t seed;
    bool is_calm; /* no fault at all: for the beginning of a search */
    bool is_traced;
};

/* In a process of its own. Does not return when it finds a fault. */
void sim_history_run(const struct sim_history *history);
