/* tests/engine/fake_backend.h - a kernel that does what the test says, in virtual time.
 *
 * Requests wait in the order in which they were pushed until the test completes them. By itself
 * the fake only answers what a test rarely wants to script: a close succeeds, a cancel
 * completes its target with -ECANCELED (or -ENOENT when there is none), a bell rings. Waiting
 * takes no real time: when nothing is complete, the clock moves on by what was to be waited.
 *
 * fds: everything from FAKE_FD_FIRST on is invented.
 */
#pragma once
#include "engine/backend.h"
#include "engine/loop.h"

#define FAKE_PENDING_MAX 4096
#define FAKE_FD_FIRST    1000000

struct fake_backend {
    struct engine_backend base;
    struct engine_request pending[FAKE_PENDING_MAX];
    unsigned pending_count;
    struct engine_completion ready[FAKE_PENDING_MAX];
    unsigned ready_count;
    char *buffers[ENGINE_BUFFERS_COUNT];
    bool *buffer_is_out[ENGINE_BUFFERS_COUNT];
    unsigned buffers_count[ENGINE_BUFFERS_COUNT];
    unsigned buffers_out; /* given out and not recycled */
    uint64_t now_ms;
    int next_fd;
    int socket_open_error; /* of the next opens; 0: they succeed */
    bool holds_cancels;    /* the test completes them and their targets */
    unsigned fds_closed;   /* by fd_close() and by CLOSE requests */
    unsigned resets;
    unsigned fins_sent;
    int wake_error;      /* of the next WAKE requests; 0: they ring */
    int tls_start_error; /* of these two, and how often they were called */
    int tls_key_error;
    unsigned tls_starts;
    unsigned tls_keys[2];
    struct slice tls_record; /* that is found when one is asked for; empty: none */
    uint8_t tls_record_type;
    unsigned tls_records_taken;
    unsigned errors_taken;
    unsigned waits;
    struct engine_backend_counters counters;
};

extern const struct engine_backend_ops fake_backend_ops;

extern unsigned fake_bells_rung; /* by bell_ring(), on all fakes */

struct fake_backend *fake_backend_of(struct engine_loop *loop);

int fake_fd(struct fake_backend *f);

/* The oldest request that waits with this operation on this fd (-1: any); NULL: none. */
const struct engine_request *fake_pending(const struct fake_backend *f, enum engine_op op, int fd);

/* Completes that request; fails the test when there is none. */
void fake_complete(struct fake_backend *f, enum engine_op op, int fd, int result);

/* Completes the oldest receive on fd with bytes, in a buffer of its group. False, and completed
 * with -ENOBUFS, when the group is dry. */
bool fake_receive(struct fake_backend *f, int fd, struct slice bytes);

/* A completion out of nowhere; with_buffer takes one of the small group. */
void fake_inject(struct fake_backend *f, uint64_t token, int result, bool with_buffer);
