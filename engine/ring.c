#include "engine/ring.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/compat_uring.h"
#include "engine/kernel_tls.h"
#include "engine/probe.h"

#define FLUSH_TRIES_MAX 1000
#define DRAIN_TRIES_MAX 256

/* A few of the kernel's blocking workers: they only see what cannot be done inline (opening,
 * syncing and allocating files). */
#define WORKERS_MAX 8

struct ring_buffers {
    struct io_uring_buf_ring *ring;
    char *data;
    unsigned count;
    size_t bytes_each;
};

struct ring {
    struct engine_backend base;
    struct io_uring uring;
    struct ring_buffers buffers[ENGINE_BUFFERS_COUNT];
    struct engine_backend_counters counters;
};

static const size_t buffer_bytes[ENGINE_BUFFERS_COUNT] = { ENGINE_SMALL_BYTES, ENGINE_LARGE_BYTES,
                                                           ENGINE_HUGE_BYTES };

static enum status ring_create(const struct engine_backend_options *options,
                               struct engine_backend **backend_out,
                               struct engine_reason *reason_out);

static struct ring *ring_of(struct engine_backend *b)
{
    ASSERT(b->ops->create == ring_create); /* a test may have changed another */
    return CONTAINER_OF(b, struct ring, base);
}

/* TASKRUN_FLAG lets us see without a system call that more completions wait to be run. */
static int ring_setup(struct ring *r, const struct engine_backend_options *o)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
    };
    int result = -EINVAL;

    ASSERT(o->completions_max >= 4 * o->requests_max);
    for (size_t i = 0; i < ARRAY_LEN(flags) && result == -EINVAL; i++) {
        struct io_uring_params p = { .flags = flags[i], .cq_entries = o->completions_max };

        result = io_uring_queue_init_params(o->requests_max, &r->uring, &p);
    }
    return result;
}

static int buffers_setup(struct ring *r, unsigned group, unsigned count)
{
    struct ring_buffers *b = &r->buffers[group];
    size_t bytes = buffer_bytes[group];
    int result;

    ASSERT(count > 0 && count <= 32768 && (count & (count - 1)) == 0);
    b->data = mmap(NULL, count * bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->data == MAP_FAILED) {
        b->data = NULL;
        return -errno;
    }
    /* They are used in turn, so all of them are soon there: better in few pages than in many. */
    (void)madvise(b->data, count * bytes, MADV_HUGEPAGE);
    b->count = count;
    b->bytes_each = bytes;
    result = compat_uring_setup_buffers(&r->uring, (uint16_t)group, count, &b->ring);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < count; i++)
        io_uring_buf_ring_add(b->ring, b->data + i * bytes, (unsigned)bytes, (uint16_t)i,
                              io_uring_buf_ring_mask(count), (int)i);
    io_uring_buf_ring_advance(b->ring, (int)count);
    return 0;
}

static void ring_destroy(struct engine_backend *backend)
{
    struct ring *r = ring_of(backend);

    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++)
        if (r->buffers[g].ring != NULL)
            compat_uring_free_buffers(&r->uring, (uint16_t)g, r->buffers[g].count,
                                      r->buffers[g].ring);
    io_uring_queue_exit(&r->uring);
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT; g++)
        if (r->buffers[g].data != NULL)
            (void)munmap(r->buffers[g].data, r->buffers[g].count * r->buffers[g].bytes_each);
    free(r);
}

static enum status ring_create(const struct engine_backend_options *options,
                               struct engine_backend **backend_out,
                               struct engine_reason *reason_out)
{
    struct ring *r = calloc(1, sizeof(*r));
    unsigned workers[2] = { WORKERS_MAX, WORKERS_MAX };
    int result;

    if (r == NULL)
        return STATUS_NO_MEMORY;
    r->base.ops = &engine_ring_ops;
    result = ring_setup(r, options);
    if (result < 0) {
        free(r);
        return engine_probe_explain(-result, reason_out);
    }
    for (unsigned g = 0; g < ENGINE_BUFFERS_COUNT && result >= 0; g++)
        result = buffers_setup(r, g, options->buffers_count[g]);
    if (result < 0) {
        ring_destroy(&r->base);
        return engine_probe_explain(-result, reason_out);
    }
    /* Both only save time, and older or stricter kernels may refuse them. */
    (void)io_uring_register_ring_fd(&r->uring);
    (void)io_uring_register_iowq_max_workers(&r->uring, workers);
    *backend_out = &r->base;
    return STATUS_OK;
}

/* What io_uring_enter() may return on a healthy ring. Anything else is a mistake of ours (wrong
 * thread, bad descriptor), or the kernel has lost completions for want of memory (EBADR): then
 * nobody can say any more what is in flight, and to stop is all that is left. */
static bool is_passing(int result)
{
    return result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
           result == -EBUSY;
}

static void hand_over(struct ring *r)
{
    r->counters.enters++;
    ASSERT(is_passing(io_uring_submit(&r->uring)));
}

static struct io_uring_sqe *next_sqe(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

    for (unsigned i = 0; sqe == NULL && i < FLUSH_TRIES_MAX; i++) {
        hand_over(r);
        sqe = io_uring_get_sqe(&r->uring);
    }
    ASSERT(sqe != NULL);
    return sqe;
}

/* One part needs no message header, which saves the kernel a copy of it. */
static void prepare_send(struct io_uring_sqe *sqe, int fd, const struct msghdr *m)
{
    ASSERT(m->msg_iovlen > 0);
    if (m->msg_iovlen == 1 && m->msg_control == NULL && m->msg_name == NULL)
        io_uring_prep_send(sqe, fd, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len, MSG_NOSIGNAL);
    else
        io_uring_prep_sendmsg(sqe, fd, m, MSG_NOSIGNAL);
}

/* To try at once costs no more than POLL_FIRST would save when nothing is there yet: measured. */
static void prepare_recv(struct io_uring_sqe *sqe, const struct engine_request *q)
{
    io_uring_prep_recv(sqe, q->fd, NULL, q->recv.bytes_max, 0); /* 0: as long as the buffer is */
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = (uint16_t)q->recv.group;
}

static void prepare_wake(struct io_uring_sqe *sqe, const struct engine_request *q)
{
    const struct ring *target = ring_of(q->wake.target);

    io_uring_prep_msg_ring(sqe, target->uring.ring_fd, 0, engine_token(ENGINE_OP_WOKEN, 0, 0), 0);
}

static void prepare_file(struct io_uring_sqe *sqe, const struct engine_request *q)
{
    switch (q->op) {
    case ENGINE_OP_READ:
        io_uring_prep_read(sqe, q->fd, q->read.data, q->read.len, q->read.offset);
        return;
    case ENGINE_OP_WRITE:
        io_uring_prep_write(sqe, q->fd, q->write.data, q->write.len, q->write.offset);
        sqe->rw_flags = q->write.durable ? RWF_DSYNC : 0;
        return;
    case ENGINE_OP_FSYNC:
        io_uring_prep_fsync(sqe, q->fd, q->fsync.data_only ? IORING_FSYNC_DATASYNC : 0);
        return;
    case ENGINE_OP_OPENAT:
        io_uring_prep_openat(sqe, q->fd, q->openat.path, q->openat.flags, q->openat.mode);
        return;
    case ENGINE_OP_FALLOCATE:
        io_uring_prep_fallocate(sqe, q->fd, q->fallocate.mode, (off_t)q->fallocate.offset,
                                (off_t)q->fallocate.len);
        return;
    case ENGINE_OP_UNLINKAT:
        io_uring_prep_unlinkat(sqe, q->fd, q->unlinkat.path, q->unlinkat.flags);
        return;
    default: UNREACHABLE();
    }
}

static void ring_push(struct engine_backend *b, const struct engine_request *q)
{
    struct ring *r = ring_of(b);
    struct io_uring_sqe *sqe = next_sqe(r);

    switch (q->op) {
    case ENGINE_OP_ACCEPT:
        io_uring_prep_accept(sqe, q->fd, q->accept.address, q->accept.address_len,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
        break;
    case ENGINE_OP_CONNECT:
        io_uring_prep_connect(sqe, q->fd, q->connect.address, q->connect.address_len);
        break;
    case ENGINE_OP_RECV: prepare_recv(sqe, q); break;
    case ENGINE_OP_SENDMSG: prepare_send(sqe, q->fd, q->sendmsg.message); break;
    case ENGINE_OP_CLOSE: io_uring_prep_close(sqe, q->fd); break;
    case ENGINE_OP_CANCEL: io_uring_prep_cancel64(sqe, q->cancel.token, 0); break;
    case ENGINE_OP_POLL: io_uring_prep_poll_add(sqe, q->fd, q->poll.events); break;
    case ENGINE_OP_WAKE: prepare_wake(sqe, q); break;
    case ENGINE_OP_READ:
    case ENGINE_OP_WRITE:
    case ENGINE_OP_FSYNC:
    case ENGINE_OP_OPENAT:
    case ENGINE_OP_FALLOCATE:
    case ENGINE_OP_UNLINKAT: prepare_file(sqe, q); break;
    default: UNREACHABLE();
    }
    if (q->quiet)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, q->token); /* after prep, which clears it */
    if (q->op == ENGINE_OP_WRITE && q->write.durable)
        hand_over(r);
}

static unsigned collect(struct ring *r, struct engine_completion *out, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned n = 0;

    io_uring_for_each_cqe(&r->uring, head, cqe)
    {
        if (n == max)
            break;
        out[n++] = (struct engine_completion){
            .token = cqe->user_data,
            .result = cqe->res,
            .buffer = (cqe->flags & IORING_CQE_F_BUFFER) != 0
                          ? cqe->flags >> IORING_CQE_BUFFER_SHIFT
                          : ENGINE_BUFFER_NONE,
        };
    }
    io_uring_cq_advance(&r->uring, n);
    return n;
}

/* A kernel of 6.13 or later runs only some twenty of the waiting completions at a time. */
static bool has_more(struct ring *r)
{
    unsigned flags = __atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED);

    if ((flags & IORING_SQ_CQ_OVERFLOW) != 0)
        r->counters.cq_overflows++;
    return (flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
}

static unsigned ring_wait(struct engine_backend *b, uint64_t wait_ms,
                          struct engine_completion *completions, unsigned completions_max)
{
    struct ring *r = ring_of(b);
    struct __kernel_timespec timeout = { .tv_sec = (int64_t)(wait_ms / 1000),
                                         .tv_nsec = (int64_t)(wait_ms % 1000) * 1000000 };
    struct io_uring_cqe *first;
    unsigned count;
    int result;

    ASSERT(completions_max > 0);
    if (wait_ms == 0)
        result = io_uring_submit_and_get_events(&r->uring);
    else
        result = io_uring_submit_and_wait_timeout(&r->uring, &first, 1, &timeout, NULL);
    r->counters.enters++;
    ASSERT(is_passing(result));
    count = collect(r, completions, completions_max);
    for (unsigned i = 0; i < DRAIN_TRIES_MAX && count < completions_max && has_more(r); i++) {
        r->counters.enters++;
        ASSERT(is_passing(io_uring_get_events(&r->uring)));
        count += collect(r, completions + count, completions_max - count);
    }
    return count;
}

static const char *ring_buffer_data(struct engine_backend *b, enum engine_buffers g,
                                    uint32_t buffer)
{
    const struct ring_buffers *buffers = &ring_of(b)->buffers[g];

    ASSERT(buffer < buffers->count);
    return buffers->data + buffer * buffers->bytes_each;
}

static void ring_buffer_recycle(struct engine_backend *b, enum engine_buffers g, uint32_t buffer)
{
    struct ring_buffers *buffers = &ring_of(b)->buffers[g];

    ASSERT(buffer < buffers->count);
    io_uring_buf_ring_add(buffers->ring, buffers->data + buffer * buffers->bytes_each,
                          (unsigned)buffers->bytes_each, (uint16_t)buffer,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

static uint64_t ring_now_ms(struct engine_backend *b)
{
    (void)b;
    return clock_monotonic_ms();
}

static time_t ring_wall_s(struct engine_backend *b)
{
    (void)b;
    return clock_wall_s();
}

static int bind_local(int fd, const struct ip_endpoint *local)
{
    struct sockaddr_storage address;
    socklen_t len = ip_endpoint_to_socket(local, &address);
    int one = 1;

    /* The port is chosen at connect(), so that one local address serves more than 28,000
     * connections to different peers. */
    if (local->port == 0)
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(fd, (const struct sockaddr *)&address, len) == 0 ? 0 : -errno;
}

static int ring_socket_open(struct engine_backend *b, const struct ip_endpoint *remote,
                            const struct ip_endpoint *local_or_null)
{
    int family = ip_is_v4(&remote->address) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    int result = 0;

    (void)b;
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (local_or_null != NULL)
        result = bind_local(fd, local_or_null);
    if (result < 0) {
        (void)close(fd);
        return result;
    }
    return fd;
}

static void ring_socket_reset_on_close(struct engine_backend *b, int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };

    (void)b;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static bool ring_socket_local(struct engine_backend *b, int fd, struct ip_endpoint *local_out)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    (void)b;
    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           ip_endpoint_from_socket(&address, local_out);
}

/* No request: a ring hands every IORING_OP_SHUTDOWN to a thread of the kernel (REQ_F_FORCE_ASYNC),
 * though that of a TCP socket never waits. */
static void ring_socket_shut(struct engine_backend *b, int fd)
{
    (void)b;
    (void)shutdown(fd, SHUT_WR); /* fails when the peer has reset it, which its receive tells */
}

static int ring_socket_tls_start(struct engine_backend *b, int fd)
{
    (void)b;
    return engine_kernel_tls_start(fd);
}

static int ring_socket_tls_key(struct engine_backend *b, int fd,
                               enum engine_tls_direction direction, const void *key,
                               unsigned key_bytes)
{
    (void)b;
    return engine_kernel_tls_key(fd, direction, key, key_bytes);
}

static int ring_socket_tls_record(struct engine_backend *b, int fd, uint8_t *type_out, char *into,
                                  size_t room)
{
    (void)b;
    return engine_kernel_tls_record(fd, type_out, into, room);
}

static void ring_socket_take_error(struct engine_backend *b, int fd)
{
    int error;
    socklen_t len = sizeof(error);

    (void)b;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
}

static int ring_bell_open(struct engine_backend *b)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)b;
    return fd >= 0 ? fd : -errno;
}

static void ring_bell_ring(int bell)
{
    uint64_t one = 1;

    /* It could only fail or wait with 2^64 - 1 rings unanswered. */
    if (write(bell, &one, sizeof(one)) < 0)
        return;
}

static void ring_fd_close(struct engine_backend *b, int fd)
{
    (void)b;
    (void)close(fd);
}

static void ring_counters(const struct engine_backend *b, struct engine_backend_counters *out)
{
    ASSERT(b->ops->create == ring_create);
    *out = CONTAINER_OF(b, struct ring, base)->counters;
}

const struct engine_backend_ops engine_ring_ops = {
    .create = ring_create,
    .destroy = ring_destroy,
    .push = ring_push,
    .wait = ring_wait,
    .buffer_data = ring_buffer_data,
    .buffer_recycle = ring_buffer_recycle,
    .now_ms = ring_now_ms,
    .wall_s = ring_wall_s,
    .socket_open = ring_socket_open,
    .socket_reset_on_close = ring_socket_reset_on_close,
    .socket_local = ring_socket_local,
    .socket_tls_start = ring_socket_tls_start,
    .socket_tls_key = ring_socket_tls_key,
    .socket_tls_record = ring_socket_tls_record,
    .socket_shut = ring_socket_shut,
    .socket_take_error = ring_socket_take_error,
    .bell_open = ring_bell_open,
    .bell_ring = ring_bell_ring,
    .fd_close = ring_fd_close,
    .counters = ring_counters,
};
