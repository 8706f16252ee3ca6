/* tests/sim/backend.h - the engine's backend in the simulated world (engine/backend.h).
 *
 * Requests are taken up when the loop waits, in their order; each has its completion when the
 * network (net.h) or the disk (disk.h) have brought it about, or the dice say so. Completions are
 * collected in any order.
 */
#pragma once
#include "engine/backend.h"

#define SIM_BACKEND_LIFE_OPS_MAX 65536

struct sim_backend;

struct sim_op { /* one request on its way */
    struct sim_backend *backend;
    struct engine_request request;
    uint64_t number;
    bool is_over;
    struct sim_op *next;
};

extern const struct engine_backend_ops sim_backend_ops;

/* How full a worker's rings are, from the next one made on. 0: as the engine wants it. */
extern unsigned sim_backend_buffers_max;

/* op is gone afterwards. */
void sim_op_complete(struct sim_op *op, int result);

/* With bytes, as many as the buffer takes; false, and completed with -ENOBUFS: none is free. */
bool sim_op_complete_receive(struct sim_op *op, const char *bytes, size_t len);

/* How many bytes a receive may bring. */
size_t sim_op_room(const struct sim_op *op);

/* Writes in flight reach the disk in part; when a process ends. */
void sim_backend_abandon(void);
