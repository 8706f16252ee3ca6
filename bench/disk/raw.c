/* bench/disk/raw - what a disk does for somebody who is no mail server.
 *
 *     raw files DIR BYTES SESSIONS     each message is a file: created, written, fsync, closed
 *     raw stream DIR STREAMS SIZES     the writes that SIZES lists, with O_DIRECT and RWF_DSYNC
 *     raw ring DIR STREAMS SIZES       the same by io_uring instead of pwritev2
 *
 * Each line of standard input is a run of so many messages (files), or of the first so many lines
 * of SIZES, which is read anew (stream); the answer is an object of JSON on a line. A second number
 * on the line is a pause before each of them, in microseconds: a disk that has rested answers later
 * than one that is kept busy, and so does the processor that waits for it.
 *
 * files: so many threads at once, each with the next message. Folders are not synced and nothing is
 * renamed: what a server that keeps a file for each message does more than that is not counted. The
 * files lie in 16 folders, and are removed when the time has been taken.
 *
 * stream: SIZES is a file with the bytes of a write on each line, multiples of 4 KiB. Each stream
 * is one thread that overwrites a file of 64 MiB, which was written and synced before, from end to
 * end and again; one write at a time. Streams take the sizes in turn. Where the device has a
 * volatile cache and no FUA, pwritev2 flushes it itself, and a ring leaves that to a worker of the
 * kernel: when the processors are busy, these do not wait alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "cli/load_histogram.h"

#define BLOCK_BYTES     4096u
#define STREAM_BYTES    ((size_t)64 << 20) /* a segment of the spool */
#define WRITE_BYTES_MAX ((size_t)8 << 20)
#define THREADS_MAX     1024
#define PAUSE_US_MAX    999999 /* usleep(3) */
#define THREAD_STACK    ((size_t)64 * 1024)
#define COUNT_MAX       10000000u
#define FOLDERS         16u
#define NAME_ROOM       64
#define LINE_ROOM       32

struct thread {
    pthread_t id;
    struct task *task;
    unsigned index;
    int fd; /* of a stream */
    size_t offset;
    struct io_uring *ring; /* NULL: pwritev2 */
    struct load_histogram *latency_us;
};

/* What all threads share. */
struct task {
    void (*one)(struct thread *t, size_t number); /* the message, the write */
    size_t count;
    useconds_t pause_us; /* before each */
    size_t first;        /* number of the run's first file */
    bool by_ring;
    int folder_fd;
    size_t bytes;    /* of each file */
    uint32_t *sizes; /* of the writes */
    char *data;
    uint64_t bytes_all;
    pthread_barrier_t begin;
    _Atomic size_t next;
    struct thread threads[THREADS_MAX];
    unsigned threads_count;
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "postern: bench: raw: %s: %m\n", what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static const char *file_name(size_t number, char name[static NAME_ROOM])
{
    (void)snprintf(name, NAME_ROOM, "raw%zu/%zu", number % FOLDERS, number);
    return name;
}

static void one_file(struct thread *t, size_t number)
{
    struct task *k = t->task;
    char name[NAME_ROOM];
    int fd = openat(k->folder_fd, file_name(k->first + number, name),
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, k->data, k->bytes) != (ssize_t)k->bytes || fsync(fd) != 0 ||
        close(fd) != 0)
        die(name);
}

static void make_ring(struct thread *t)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };

    t->ring = calloc(1, sizeof(*t->ring));
    errno = t->ring != NULL ? -io_uring_queue_init_params(4, t->ring, &p) : ENOMEM;
    if (errno != 0)
        die("io_uring");
}

static ssize_t ring_write(struct thread *t, const struct iovec *part)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(t->ring);
    struct io_uring_cqe *cqe;
    ssize_t result;

    io_uring_prep_write(sqe, t->fd, part->iov_base, (unsigned)part->iov_len, t->offset);
    sqe->rw_flags = RWF_DSYNC;
    if (io_uring_submit_and_wait(t->ring, 1) < 0 || io_uring_wait_cqe(t->ring, &cqe) != 0)
        return -1;
    result = cqe->res;
    io_uring_cqe_seen(t->ring, cqe);
    return result;
}

static ssize_t write_one(struct thread *t, const struct iovec *part)
{
    return t->ring != NULL ? ring_write(t, part)
                           : pwritev2(t->fd, part, 1, (off_t)t->offset, RWF_DSYNC);
}

static void one_write(struct thread *t, size_t number)
{
    struct task *k = t->task;
    struct iovec part = { .iov_base = k->data, .iov_len = k->sizes[number] };

    if (t->offset + part.iov_len > STREAM_BYTES)
        t->offset = 0;
    if (write_one(t, &part) != (ssize_t)part.iov_len)
        die("write");
    t->offset += part.iov_len;
}

static void *work(void *thread)
{
    struct thread *t = thread;
    struct task *k = t->task;
    size_t number;

    (void)prctl(PR_SET_TIMERSLACK, 1); /* ns: a pause is no longer than it is to be */
    if (k->by_ring)
        make_ring(t);
    (void)pthread_barrier_wait(&k->begin);
    while ((number = atomic_fetch_add(&k->next, 1)) < k->count) {
        uint64_t before;

        if (k->pause_us > 0)
            (void)usleep(k->pause_us);
        before = now_us();
        k->one(t, number);
        load_histogram_record(t->latency_us, now_us() - before);
    }
    if (t->ring != NULL)
        io_uring_queue_exit(t->ring);
    free(t->ring);
    t->ring = NULL;
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void run(struct task *k)
{
    struct load_histogram *all = calloc(1, sizeof(*all));
    pthread_attr_t small;
    uint64_t began_us;
    double cpu_s;

    if (all == NULL)
        die("memory");
    atomic_store(&k->next, 0);
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, THREAD_STACK);
    (void)pthread_barrier_init(&k->begin, NULL, k->threads_count + 1);
    for (unsigned i = 0; i < k->threads_count; i++) {
        struct thread *t = &k->threads[i];

        t->task = k;
        t->index = i;
        t->latency_us = calloc(1, sizeof(*t->latency_us));
        errno = t->latency_us != NULL ? pthread_create(&t->id, &small, work, t) : ENOMEM;
        if (errno != 0)
            die("threads");
    }
    cpu_s = cpu_seconds();
    (void)pthread_barrier_wait(&k->begin);
    began_us = now_us();
    for (unsigned i = 0; i < k->threads_count; i++) {
        (void)pthread_join(k->threads[i].id, NULL);
        load_histogram_merge(all, k->threads[i].latency_us);
        free(k->threads[i].latency_us);
    }
    printf("{\"count\": %zu, \"bytes\": %llu, \"seconds\": %.6f, \"p50_us\": %llu, "
           "\"p99_us\": %llu, \"mean_us\": %llu, \"cpu_seconds\": %.3f}\n",
           k->count, (unsigned long long)k->bytes_all, (double)(now_us() - began_us) / 1e6,
           (unsigned long long)load_histogram_percentile(all, 500000),
           (unsigned long long)load_histogram_percentile(all, 990000),
           (unsigned long long)load_histogram_mean(all), cpu_seconds() - cpu_s);
    (void)fflush(stdout);
    (void)pthread_barrier_destroy(&k->begin);
    (void)pthread_attr_destroy(&small);
    free(all);
}

/* Text, as mail is, and in no two blocks the same: who stores equal blocks once has no gain. */
static void make_data(struct task *k, size_t bytes)
{
    k->data = aligned_alloc(BLOCK_BYTES, (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES);
    if (k->data == NULL)
        die("memory");
    for (size_t at = 0; at < bytes; at++)
        k->data[at] = (char)('0' + (at + at / BLOCK_BYTES) % 64);
}

static void make_folders(struct task *k)
{
    char name[NAME_ROOM];

    k->one = one_file;
    make_data(k, k->bytes);
    for (unsigned i = 0; i < FOLDERS; i++) {
        (void)snprintf(name, sizeof(name), "raw%u", i);
        if (mkdirat(k->folder_fd, name, 0700) != 0)
            die(name);
    }
}

static void run_files(struct task *k)
{
    char name[NAME_ROOM];

    k->bytes_all = k->bytes * k->count;
    run(k);
    for (size_t i = 0; i < k->count; i++)
        (void)unlinkat(k->folder_fd, file_name(k->first + i, name), 0);
    k->first += k->count;
}

static void remove_folders(const struct task *k)
{
    char name[NAME_ROOM];

    for (unsigned i = 0; i < FOLDERS; i++) {
        (void)snprintf(name, sizeof(name), "raw%u", i);
        (void)unlinkat(k->folder_fd, name, AT_REMOVEDIR);
    }
}

/* At most as many as are wanted. */
static void read_sizes(struct task *k, const char *path)
{
    FILE *file = fopen(path, "re");
    size_t count = 0;
    char line[LINE_ROOM];
    uint64_t bytes;

    free(k->sizes);
    k->sizes = calloc(k->count, sizeof(*k->sizes));
    k->bytes_all = 0;
    if (file == NULL || k->sizes == NULL)
        die(path);
    while (count < k->count && fgets(line, sizeof(line), file) != NULL) {
        errno = EINVAL;
        if (!slice_to_number((struct slice){ line, strcspn(line, "\n") }, WRITE_BYTES_MAX,
                             &bytes) ||
            bytes == 0 || bytes % BLOCK_BYTES != 0)
            die(path);
        k->sizes[count++] = (uint32_t)bytes;
        k->bytes_all += bytes;
    }
    (void)fclose(file);
    k->count = count;
}

/* A file without a name, so that nothing stays. */
static int make_stream(const struct task *k, unsigned index)
{
    char name[NAME_ROOM];
    int fd;

    (void)snprintf(name, sizeof(name), "raw-stream-%d-%u", (int)getpid(), index);
    fd = openat(k->folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    if (fd < 0 || unlinkat(k->folder_fd, name, 0) != 0)
        die(name);
    errno = posix_fallocate(fd, 0, (off_t)STREAM_BYTES);
    if (errno != 0)
        die("space");
    for (size_t at = 0; at < STREAM_BYTES; at += WRITE_BYTES_MAX)
        if (pwrite(fd, k->data, WRITE_BYTES_MAX, (off_t)at) != (ssize_t)WRITE_BYTES_MAX)
            die("preparation");
    if (fsync(fd) != 0)
        die("fsync");
    return fd;
}

static void make_streams(struct task *k)
{
    k->one = one_write;
    make_data(k, WRITE_BYTES_MAX);
    for (unsigned i = 0; i < k->threads_count; i++)
        k->threads[i].fd = make_stream(k, i);
}

static bool number(const char *text, uint64_t max, uint64_t *value_out)
{
    return slice_to_number(slice_from(text), max, value_out) && *value_out > 0;
}

/* COUNT [PAUSE_US] */
static void read_run(struct task *k, char *line)
{
    uint64_t count, pause_us = 0;
    char *pause;

    line[strcspn(line, "\n")] = '\0';
    pause = strchr(line, ' ');
    if (pause != NULL)
        *pause++ = '\0';
    errno = EINVAL;
    if (!number(line, COUNT_MAX, &count) ||
        (pause != NULL && !slice_to_number(slice_from(pause), PAUSE_US_MAX, &pause_us)))
        die("standard input");
    k->count = (size_t)count;
    k->pause_us = (useconds_t)pause_us;
}

/* A run for each line. */
static void serve(struct task *k, const char *sizes_path)
{
    char line[LINE_ROOM];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        read_run(k, line);
        if (sizes_path == NULL) {
            run_files(k);
        } else {
            read_sizes(k, sizes_path);
            run(k);
        }
    }
}

int main(int argc, char **argv)
{
    static struct task k;
    uint64_t bytes = 0, threads = 0;
    bool is_stream = argc == 5 &&
                     (strcmp(argv[1], "stream") == 0 || strcmp(argv[1], "ring") == 0) &&
                     number(argv[3], THREADS_MAX, &threads);
    bool is_files = argc == 5 && strcmp(argv[1], "files") == 0 &&
                    number(argv[3], WRITE_BYTES_MAX, &bytes) &&
                    number(argv[4], THREADS_MAX, &threads);

    if (!is_files && !is_stream) {
        fputs("usage: raw files DIR BYTES SESSIONS <<< 'MESSAGES [PAUSE_US]'\n"
              "       raw stream|ring DIR STREAMS SIZES <<< 'WRITES [PAUSE_US]'\n",
              stderr);
        return 2;
    }
    k.folder_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k.folder_fd < 0)
        die(argv[2]);
    k.bytes = (size_t)bytes;
    k.threads_count = (unsigned)threads;
    k.by_ring = strcmp(argv[1], "ring") == 0;
    if (is_files) {
        make_folders(&k);
        serve(&k, NULL);
        remove_folders(&k);
    } else {
        make_streams(&k);
        serve(&k, argv[4]);
    }
    return 0;
}
