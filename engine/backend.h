/* engine/backend.h - the seam between the engine and what carries out its requests.
 *
 * Everything the engine wants from the kernel passes through one struct engine_backend_ops. The
 * real one is the io_uring of engine/ring.h; a test or a simulator brings its own with virtual
 * time, a faulty network and a faulty disk, and the code above cannot tell the difference.
 *
 * A backend belongs to one loop and is used by that loop's thread only. It embeds struct
 * engine_backend and finds itself again with CONTAINER_OF.
 *
 * Requests: push() takes a copy of the request; what its pointers name stays pinned until the
 * completion that carries the same token. Every request has exactly one completion, except one
 * with `quiet`, which has one only when it failed. Completions may come in any order and never
 * from inside push(). What was pushed is on its way after the next wait() at the latest; a durable
 * write is at once: peers wait for it, and the disk has nothing to do until then.
 */
#pragma once
#include <sys/types.h>

#include "base/ip.h"
#include "base/slice.h"
#include "base/status.h"

#define ENGINE_REASON_MAX 160

/* One line for the operator: why something cannot be had. */
struct engine_reason {
    char text[ENGINE_REASON_MAX];
};

/* The groups of receive buffers, given out by the backend when bytes arrive. */
enum engine_buffers {
    ENGINE_BUFFERS_SMALL, /* commands */
    ENGINE_BUFFERS_LARGE, /* message bodies */
    ENGINE_BUFFERS_HUGE,  /* those of which more comes than a large one holds */
    ENGINE_BUFFERS_COUNT
};

#define ENGINE_SMALL_BYTES 4096
#define ENGINE_LARGE_BYTES 32768
#define ENGINE_HUGE_BYTES  131072
#define ENGINE_BUFFER_NONE UINT32_MAX

enum engine_tls_direction { ENGINE_TLS_SEND, ENGINE_TLS_RECEIVE };

enum engine_op {
    ENGINE_OP_NONE,
    ENGINE_OP_ACCEPT,
    ENGINE_OP_CONNECT,
    ENGINE_OP_RECV,
    ENGINE_OP_SENDMSG,
    ENGINE_OP_CLOSE,
    ENGINE_OP_CANCEL,
    ENGINE_OP_READ,
    ENGINE_OP_WRITE,
    ENGINE_OP_FSYNC,
    ENGINE_OP_OPENAT,
    ENGINE_OP_FALLOCATE,
    ENGINE_OP_UNLINKAT,
    ENGINE_OP_POLL,
    ENGINE_OP_WAKE,       /* rings another loop's bell */
    ENGINE_OP_WOKEN,      /* never a request: what the other loop sees */
    ENGINE_OP_RECV_LARGE, /* in tokens only: a RECV from the large group */
    ENGINE_OP_RECV_HUGE,  /* and from the huge one */
    ENGINE_OP_COUNT
};

/* A token names one request: the operation, and the slot of its owner in the loop's table with
 * the generation that this slot had. */
#define ENGINE_TOKEN_GENERATION_MAX 0xffffffu

static inline uint64_t engine_token(enum engine_op op, uint32_t generation, uint32_t slot)
{
    return (uint64_t)op << 56 | (uint64_t)(generation & ENGINE_TOKEN_GENERATION_MAX) << 32 | slot;
}

static inline enum engine_op engine_token_op(uint64_t token)
{
    return (enum engine_op)(token >> 56);
}

static inline uint32_t engine_token_generation(uint64_t token)
{
    return (uint32_t)(token >> 32) & ENGINE_TOKEN_GENERATION_MAX;
}

static inline uint32_t engine_token_slot(uint64_t token)
{
    return (uint32_t)token;
}

struct engine_backend;

/* op says which member of the union counts; fd is used by all but CANCEL, OPENAT's and
 * UNLINKAT's fd is the directory. */
struct engine_request {
    enum engine_op op;
    bool quiet; /* no completion when it succeeds */
    int fd;
    uint64_t token;
    union {
        struct {
            struct sockaddr *address;
            socklen_t *address_len;
        } accept; /* result: the new fd, non-blocking and close-on-exec */
        struct {
            const struct sockaddr *address;
            socklen_t address_len;
        } connect;
        struct {
            enum engine_buffers group;
            uint32_t bytes_max; /* 0: what the buffer holds */
        } recv;                 /* result: bytes; 0 is the peer's FIN; -ENOBUFS: the group is dry */
        struct {
            const struct msghdr *message; /* sent without SIGPIPE; may be short */
        } sendmsg;
        struct {
            uint64_t token; /* of the request to cancel; that one completes with -ECANCELED */
        } cancel;           /* result: 0, -ENOENT (too late), -EALREADY */
        struct {
            char *data;
            uint32_t len;
            uint64_t offset;
        } read;
        struct {
            const char *data;
            uint32_t len;
            uint64_t offset;
            bool durable; /* on stable storage before it completes (RWF_DSYNC) */
        } write;
        struct {
            bool data_only; /* fdatasync */
        } fsync;
        struct {
            const char *path;
            int flags;
            mode_t mode;
        } openat;
        struct {
            int mode;
            uint64_t offset;
            uint64_t len;
        } fallocate;
        struct {
            const char *path;
            int flags;
        } unlinkat;
        struct {
            uint32_t events; /* of poll(2) */
        } poll;              /* result: the events that came */
        struct {
            struct engine_backend *target; /* gets a completion with token ENGINE_OP_WOKEN */
        } wake;
    };
};

struct engine_completion {
    uint64_t token;
    int32_t result;  /* >= 0, or a negated errno */
    uint32_t buffer; /* ENGINE_BUFFER_NONE, or the buffer of the group that holds the bytes */
};

struct engine_backend_options {
    unsigned requests_max; /* queued between two waits before push() has to hand them over */
    unsigned completions_max;
    unsigned buffers_count[ENGINE_BUFFERS_COUNT];
};

struct engine_backend_counters {
    uint64_t enters;       /* system calls made to submit or wait */
    uint64_t cq_overflows; /* times the completion queue was too small */
};

struct engine_backend_ops {
    /* Called in the thread that will use it. On failure *reason_out says why, in one line. */
    enum status (*create)(const struct engine_backend_options *options,
                          struct engine_backend **backend_out, struct engine_reason *reason_out);
    void (*destroy)(struct engine_backend *b); /* nothing may be in flight */

    /* Never fails: what cannot be queued is handed over first. */
    void (*push)(struct engine_backend *b, const struct engine_request *r);

    /* Hands over all that is queued, waits until a completion is there or wait_ms have passed
     * (0: does not wait), and takes up to completions_max of them, until none is left. */
    unsigned (*wait)(struct engine_backend *b, uint64_t wait_ms,
                     struct engine_completion *completions, unsigned completions_max);

    /* The bytes of a buffer that a completion named, and its way back. */
    const char *(*buffer_data)(struct engine_backend *b, enum engine_buffers g, uint32_t buffer);
    void (*buffer_recycle)(struct engine_backend *b, enum engine_buffers g, uint32_t buffer);

    uint64_t (*now_ms)(struct engine_backend *b); /* monotonic */
    time_t (*wall_s)(struct engine_backend *b);

    /* The few calls that are made at once: none of them waits. */
    int (*socket_open)(struct engine_backend *b, const struct ip_endpoint *remote,
                       const struct ip_endpoint *local_or_null); /* an fd, or a negated errno */
    void (*socket_reset_on_close)(struct engine_backend *b, int fd);
    bool (*socket_local)(struct engine_backend *b, int fd, struct ip_endpoint *local_out);
    void (*socket_shut)(struct engine_backend *b, int fd); /* our FIN, behind what was sent */

    /* Kernel TLS (linux/tls.h): turns it on for the socket, which stays as it was until there are
     * keys; sets or changes the key of a direction; takes a record that is not data and that a
     * receive has run into (-EIO). 0 or the record's bytes, or a negated errno. */
    int (*socket_tls_start)(struct engine_backend *b, int fd);
    int (*socket_tls_key)(struct engine_backend *b, int fd, enum engine_tls_direction direction,
                          const void *key, unsigned key_bytes);
    int (*socket_tls_record)(struct engine_backend *b, int fd, uint8_t *type_out, char *into,
                             size_t room);

    /* Takes the error that a socket holds, so that the next send does not fail by it. */
    void (*socket_take_error)(struct engine_backend *b, int fd);

    int (*bell_open)(struct engine_backend *b); /* an eventfd, or a negated errno */
    void (*bell_ring)(int bell);                /* from any thread */
    void (*fd_close)(struct engine_backend *b, int fd);

    void (*counters)(const struct engine_backend *b, struct engine_backend_counters *out);
};

struct engine_backend {
    const struct engine_backend_ops *ops;
};
