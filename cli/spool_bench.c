#include "cli/spool_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "spool/record.h"

#define NAME_ROOM 48

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* One write, all of it. */
static enum status write_all(const struct cli_bench *b, size_t bytes, uint64_t offset, int flags)
{
    struct iovec part = { .iov_base = b->buffer, .iov_len = bytes };
    ssize_t done;

    do {
        done = pwritev2(b->fd, &part, 1, (off_t)offset, flags);
    } while (done < 0 && errno == EINTR);
    if (done < 0)
        return status_from_errno(errno);
    if ((size_t)done != bytes) {
        errno = ENOSPC;
        return STATUS_NO_SPACE;
    }
    return STATUS_OK;
}

static enum status write_durable(const struct cli_bench *b, size_t bytes, uint64_t offset)
{
    if (b->is_direct)
        return write_all(b, bytes, offset, RWF_DSYNC);
    TRY(write_all(b, bytes, offset, 0));
    return fdatasync(b->fd) == 0 ? STATUS_OK : status_from_errno(errno);
}

static int open_nameless(int folder_fd, int flags)
{
    char name[NAME_ROOM];
    int fd;

    (void)snprintf(name, sizeof(name), "postern-selftest-%d.tmp", (int)getpid());
    fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | flags, 0600);
    /* Some file systems make the file before they refuse the flag. */
    if (fd >= 0 || errno != EEXIST) {
        int error = errno;

        (void)unlinkat(folder_fd, name, 0);
        errno = error;
    }
    return fd;
}

/* The same question as the gateway asks at its start. */
static bool can_write_direct(struct cli_bench *b, int folder_fd)
{
    b->fd = open_nameless(folder_fd, O_DIRECT);
    if (b->fd < 0)
        return false;
    if (write_all(b, SPOOL_BLOCK_BYTES, 0, RWF_DSYNC) == STATUS_OK)
        return true;
    (void)close(b->fd);
    b->fd = -1;
    return false;
}

enum status cli_bench_open(struct cli_bench *b, int folder_fd)
{
    enum status status;

    *b = (struct cli_bench){ .fd = -1 };
    b->buffer = aligned_alloc(SPOOL_BLOCK_BYTES, CLI_BENCH_WRITE_BYTES);
    if (b->buffer == NULL)
        return STATUS_NO_MEMORY;
    memset(b->buffer, 0, CLI_BENCH_WRITE_BYTES);
    b->is_direct = can_write_direct(b, folder_fd);
    if (!b->is_direct)
        b->fd = open_nameless(folder_fd, 0);
    if (b->fd >= 0)
        return STATUS_OK;
    status = status_from_errno(errno);
    cli_bench_close(b);
    return status;
}

void cli_bench_close(struct cli_bench *b)
{
    int error = errno;

    if (b->buffer != NULL && b->fd >= 0)
        (void)close(b->fd);
    free(b->buffer);
    *b = (struct cli_bench){ .fd = -1 };
    errno = error;
}

enum status cli_bench_prepare(struct cli_bench *b, uint64_t limit_us)
{
    uint64_t start = now_us();
    int error = posix_fallocate(b->fd, 0, CLI_BENCH_FILE_BYTES);

    if (error != 0 && error != EOPNOTSUPP && error != EINVAL) {
        errno = error;
        return status_from_errno(error);
    }
    while (b->file_bytes < CLI_BENCH_FILE_BYTES &&
           (b->file_bytes < CLI_BENCH_FILE_MIN || now_us() - start < limit_us)) {
        TRY(write_all(b, CLI_BENCH_WRITE_BYTES, b->file_bytes, 0));
        b->file_bytes += CLI_BENCH_WRITE_BYTES;
    }
    if (fsync(b->fd) != 0)
        return status_from_errno(errno);
    b->prepare_us = now_us() - start;
    return STATUS_OK;
}

/* Each write is another one, in each of its blocks: who stores equal blocks once has no gain. */
static void stamp(struct cli_bench *b, size_t bytes)
{
    b->stamp++;
    for (size_t at = 0; at < bytes; at += SPOOL_BLOCK_BYTES) {
        uint64_t mark = b->stamp << 20 | at / SPOOL_BLOCK_BYTES;

        memcpy(b->buffer + at, &mark, sizeof(mark));
    }
}

enum status cli_bench_run(struct cli_bench *b, size_t bytes, bool is_plain, uint64_t limit_us,
                          struct cli_bench_result *result)
{
    uint64_t start = now_us(), before, after;

    ASSERT(bytes > 0 && bytes <= CLI_BENCH_WRITE_BYTES && bytes % SPOOL_BLOCK_BYTES == 0);
    *result = (struct cli_bench_result){ .bytes = bytes };
    do {
        if (b->offset + bytes > b->file_bytes)
            b->offset = 0;
        stamp(b, bytes);
        before = now_us();
        if (is_plain)
            TRY(write_all(b, bytes, b->offset, 0));
        else
            TRY(write_durable(b, bytes, b->offset));
        after = now_us();
        load_histogram_record(&result->latency_us, after - before);
        b->last_offset = b->offset;
        b->last_bytes = bytes;
        b->offset += bytes;
    } while (after - start < limit_us);
    result->elapsed_us = after - start;
    return STATUS_OK;
}

bool cli_bench_reads_back(struct cli_bench *b)
{
    char *copy = aligned_alloc(SPOOL_BLOCK_BYTES, CLI_BENCH_WRITE_BYTES);
    bool is_same = false;

    if (copy != NULL)
        is_same =
            pread(b->fd, copy, b->last_bytes, (off_t)b->last_offset) == (ssize_t)b->last_bytes &&
            memcmp(copy, b->buffer, b->last_bytes) == 0;
    free(copy);
    return is_same;
}
