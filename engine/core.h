/* engine/core.h - the inside of a loop. For the modules of engine/ only.
 *
 * Owners: engine_owner_acquire() gives a slot and with it the right to push requests whose tokens
 * come from engine_owner_token(); engine_owner_release() gives it back when nothing is in flight.
 */
#pragma once
#include <stdatomic.h>

#include "engine/loop.h"
#include "engine/mailbox.h"
#include "engine/owner.h"
#include "engine/timer.h"

#define ENGINE_SLOT_NONE          UINT32_MAX
#define ENGINE_WAIT_MS_MAX        60000
#define ENGINE_COMPLETIONS_BUDGET 4096 /* of one turn */
#define ENGINE_MESSAGES_BUDGET    1024
#define ENGINE_TIMERS_BUDGET      4096

struct engine_slot {
    struct engine_owner *owner; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* Objects of one size, of which there are so many at most; from the thread's pool, so that no
 * operation on the hot path calls the allocator. */
struct engine_pool {
    unsigned objects_count;
    unsigned objects_max;
    size_t bytes;
};

struct engine_mailbox {
    _Atomic(struct engine_message *) posted; /* newest first */
    _Atomic bool asleep;                     /* the next sender rings the bell, once */
    struct engine_message *backlog;          /* taken off `posted`, oldest first */
    struct engine_owner owner;               /* of the read on the bell */
    uint64_t bell_value;
    int bell;
    uint32_t slot;
    bool armed;
};

struct engine_loop {
    struct engine_backend *backend;
    uint64_t now_ms;
    time_t wall_s;
    bool in_turn;
    bool is_closed;
    struct engine_wheel wheel;
    struct list tasks;
    struct list starved[ENGINE_BUFFERS_COUNT];
    unsigned buffers_count[ENGINE_BUFFERS_COUNT];
    struct engine_slot *slots;
    uint32_t slots_count;
    uint32_t slots_max;
    uint32_t slots_used;
    uint32_t slot_free; /* first of the chain */
    struct engine_pool sends;
    struct engine_pool lingers;
    struct engine_mailbox mailbox;
    struct engine_counters counters;
    struct engine_completion completions[ENGINE_COMPLETIONS_BUDGET];
};

MUST_USE enum status engine_owner_acquire(struct engine_loop *loop, struct engine_owner *owner,
                                          uint32_t *slot_out);
void engine_owner_release(struct engine_loop *loop, uint32_t slot);
uint64_t engine_owner_token(const struct engine_loop *loop, enum engine_op op, uint32_t slot);

void engine_loop_push(struct engine_loop *loop, const struct engine_request *r);

/* Closes an fd that has nothing in flight, without an event. */
void engine_loop_close_fd(struct engine_loop *loop, int fd);

void *engine_pool_take(struct engine_pool *pool); /* NULL: no memory, or at objects_max */
void engine_pool_give(struct engine_pool *pool, void *object);

MUST_USE enum status engine_mailbox_open(struct engine_loop *loop);
/* Waits for the read on the bell, whose descriptor stays. */
void engine_mailbox_close(struct engine_loop *loop);

/* Before the wait: false when there are messages, so that the loop must not sleep. */
bool engine_mailbox_fall_asleep(struct engine_loop *loop);
void engine_mailbox_awake(struct engine_loop *loop);
void engine_mailbox_deliver(struct engine_loop *loop);

/* The sizes of what loop->sends and loop->lingers hold (engine/socket.c). */
extern const size_t engine_socket_send_bytes;
extern const size_t engine_socket_linger_bytes;

/* Arms the receive of a socket that waited for a buffer (engine/socket.c). */
void engine_socket_unstarve(struct list_node *starved);
