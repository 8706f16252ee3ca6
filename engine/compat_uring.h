/* engine/compat_uring.h - what liburing 2.3 (Debian 12) lacks.
 *
 * Only names and set-up: whether the running kernel can do a thing is found out at start by
 * engine/probe.h, never from the header that we were built with.
 */
#pragma once
#include <errno.h>
#include <liburing.h>
#include <sys/mman.h>

/* liburing 2.4 has io_uring_setup_buf_ring(), which also maps the memory. Returns 0 or a negated
 * errno; count is a power of two. */
static inline int compat_uring_setup_buffers(struct io_uring *ring, uint16_t group, unsigned count,
                                             struct io_uring_buf_ring **buffers_out)
{
    size_t bytes = count * sizeof(struct io_uring_buf);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct io_uring_buf_reg reg = { .ring_entries = count, .bgid = group };
    int result;

    if (memory == MAP_FAILED)
        return -errno;
    reg.ring_addr = (uint64_t)(uintptr_t)memory;
    result = io_uring_register_buf_ring(ring, &reg, 0);
    if (result < 0) {
        (void)munmap(memory, bytes);
        return result;
    }
    *buffers_out = memory;
    io_uring_buf_ring_init(*buffers_out);
    return 0;
}

static inline void compat_uring_free_buffers(struct io_uring *ring, uint16_t group, unsigned count,
                                             struct io_uring_buf_ring *buffers)
{
    (void)io_uring_unregister_buf_ring(ring, group);
    (void)munmap(buffers, count * sizeof(struct io_uring_buf));
}
