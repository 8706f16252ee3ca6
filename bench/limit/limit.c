#include "bench/limit/limit.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RING_ENTRIES 1024u
#define OP_MASK      7u
#define BACKLOG      1024

void limit_die(const char *what)
{
    fprintf(stderr, "postern: bench: limit: %s: %m\n", what);
    exit(1);
}

uint64_t limit_number(const char *text, uint64_t max, const char *usage)
{
    uint64_t value;

    if (!slice_to_number(slice_from(text), max, &value) || value == 0) {
        fputs(usage, stderr);
        exit(2);
    }
    return value;
}

void limit_ring_init(struct io_uring *ring)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                          IORING_SETUP_CQSIZE,
                                 .cq_entries = 4 * RING_ENTRIES };

    errno = -io_uring_queue_init_params(RING_ENTRIES, ring, &p);
    if (errno != 0)
        limit_die("io_uring");
    (void)io_uring_register_ring_fd(ring);
}

struct io_uring_sqe *limit_ring_sqe(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

    if (sqe == NULL) {
        (void)io_uring_submit(ring);
        sqe = io_uring_get_sqe(ring);
    }
    if (sqe == NULL)
        limit_die("the ring is full");
    return sqe;
}

void limit_ring_tag(struct io_uring_sqe *sqe, void *object, unsigned op)
{
    io_uring_sqe_set_data64(sqe, (uintptr_t)object | op);
}

unsigned limit_ring_op(const struct io_uring_cqe *cqe)
{
    return (unsigned)(cqe->user_data & OP_MASK);
}

void *limit_ring_object(const struct io_uring_cqe *cqe)
{
    return (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
}

/* Accepted connections inherit TCP_NODELAY. */
int limit_listen(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, BACKLOG) != 0)
        limit_die("listen");
    return fd;
}

int limit_dial(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        limit_die("connect");
    return fd;
}

double limit_cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t limit_now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
