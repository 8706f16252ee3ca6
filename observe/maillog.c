#include "observe/maillog.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "observe/line.h"
#include "observe/merge.h"
#include "observe/ring.h"

#define SLEEP_MS_MAX     1000        /* a wake-up is never missed; this is for peace of mind */
#define OUT_BYTES        (64 * 1024) /* written at once */
#define FULL_POLL_MS     100
#define FULL_POLLS_MAX   50 /* a pipe that nobody reads for five seconds loses lines */
#define NO_FD            (-1)
#define RING_BYTES_HURRY (OBSERVE_RING_BYTES / 2)
#define EVERYTHING       UINT64_MAX /* later than any stamp */
#define NS_PER_S         1000000000

static_assert(OUT_BYTES >= OBSERVE_LINE_BYTES_MAX, "a line can be written");

/* What the thread of the log is doing; also the futex word. */
enum thread_state {
    AWAKE,
    NAPPING, /* gathers lines; is woken only when a ring fills up */
    SLEEPING /* there was nothing to write; is woken by the next line */
};

struct observe_log_writer {
    struct observe_ring ring;
    struct observe_log *log;
    uint64_t flushed; /* the ring's position at the last flush */
    struct observe_line line;
    alignas(64) _Atomic uint64_t lost; /* written by the owner only */
};

struct observe_log {
    struct observe_log_writer *writers;
    unsigned writers_count;
    char *path; /* NULL: standard error */
    pthread_t thread;
    _Atomic uint32_t state; /* enum thread_state */
    _Atomic int fd_next;    /* a file that was opened and is to be used from now on */
    atomic_bool stopping;
    _Atomic uint64_t lost_in_file; /* written by the log's thread only */
    _Atomic uint64_t before_ns;    /* the same; see drain() */
    int fd;                        /* from here on: the log's thread only */
    bool fd_stuck;                 /* was waited for in vain; in this drain it is not again */
    uint64_t lost_reported;
    struct observe_line line;
    struct observe_merge merge;
    size_t out_len;
    char out[OUT_BYTES];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    ASSERT(clock_gettime(CLOCK_MONOTONIC, &t) == 0); /* no system call: see vdso(7) */
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t while_equal, unsigned ms)
{
    struct timespec timeout = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_equal, &timeout, NULL, 0);
}

static void wake(struct observe_log *log)
{
    if (atomic_exchange(&log->state, AWAKE) != AWAKE)
        (void)syscall(SYS_futex, &log->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* The workers' side */

struct observe_log_writer *observe_log_writer(struct observe_log *log, unsigned index)
{
    ASSERT(index < log->writers_count);
    return &log->writers[index];
}

struct observe_line *observe_log_begin(struct observe_log_writer *w, enum observe_level level,
                                       time_t wall_s)
{
    observe_line_begin(&w->line, level, wall_s);
    return &w->line;
}

void observe_log_end(struct observe_log_writer *w)
{
    uint64_t lost = atomic_load_explicit(&w->lost, memory_order_relaxed);

    if (!observe_ring_put(&w->ring, now_ns(), observe_line_end(&w->line)))
        atomic_store_explicit(&w->lost, lost + 1, memory_order_relaxed);
}

void observe_log_text(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      struct slice text)
{
    observe_line_escaped(observe_log_begin(w, level, wall_s), text);
    observe_log_end(w);
}

void observe_log_line(struct observe_log_writer *w, enum observe_level level, time_t wall_s,
                      const char *format, ...)
{
    /* As long as a whole line, so that what vsnprintf() cuts off, perhaps within a character,
     * lies behind the place where the line is cut properly. */
    char text[OBSERVE_LINE_BYTES_MAX];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    if ((size_t)len >= sizeof(text))
        len = sizeof(text) - 1;
    observe_log_text(w, level, wall_s, (struct slice){ text, (size_t)len });
}

/* Either the thread sees the new head when it looks at the rings for the last time before it
 * sleeps, or this sees that it sleeps: both sides store, then load, in one total order. */
void observe_log_flush(struct observe_log_writer *w)
{
    uint64_t waiting;
    uint32_t state;

    if (w->flushed == w->ring.put)
        return;
    w->flushed = w->ring.put;
    waiting = observe_ring_publish(&w->ring);
    state = atomic_load(&w->log->state);
    if (state == SLEEPING || (state == NAPPING && waiting > RING_BYTES_HURRY))
        wake(w->log);
}

uint64_t observe_log_lost(const struct observe_log *log)
{
    uint64_t lost = atomic_load_explicit(&log->lost_in_file, memory_order_relaxed);

    for (unsigned i = 0; i < log->writers_count; i++)
        lost += atomic_load_explicit(&log->writers[i].lost, memory_order_relaxed);
    return lost;
}

/* The thread's side */

static bool wait_until_writable(struct observe_log *log)
{
    struct pollfd p = { .fd = log->fd, .events = POLLOUT };

    for (int polls = 0; !log->fd_stuck && polls < FULL_POLLS_MAX; polls++)
        if (poll(&p, 1, FULL_POLL_MS) == 1)
            return (p.revents & POLLOUT) != 0;
    log->fd_stuck = true;
    return false;
}

static uint64_t count_lines(struct slice text)
{
    uint64_t lines = 0;

    for (size_t at = 0; at < text.len; at++)
        lines += text.data[at] == '\n';
    return lines;
}

/* Writes all of it; what cannot be written is counted as lost. */
static void write_lines(struct observe_log *log, struct slice lines)
{
    while (lines.len > 0) {
        ssize_t written = write(log->fd, lines.data, lines.len);

        if (written > 0) {
            lines = slice_after(lines, (size_t)written);
            log->fd_stuck = false;
        } else if (written < 0 && errno == EAGAIN && wait_until_writable(log)) {
            continue;
        } else if (written == 0 || errno != EINTR) {
            break;
        }
    }
    if (lines.len > 0)
        atomic_store_explicit(&log->lost_in_file,
                              atomic_load_explicit(&log->lost_in_file, memory_order_relaxed) +
                                  count_lines(lines),
                              memory_order_relaxed);
}

static void write_own_line(struct observe_log *log, enum observe_level level, struct slice text)
{
    observe_line_begin(&log->line, level, clock_wall_s());
    observe_line_escaped(&log->line, text);
    write_lines(log, observe_line_end(&log->line));
}

/* Gives the room in the rings back first, so that the writers have it while the file is slow. */
static void out_write(struct observe_log *log)
{
    for (unsigned i = 0; i < log->writers_count; i++)
        observe_ring_release(&log->writers[i].ring);
    write_lines(log, (struct slice){ log->out, log->out_len });
    log->out_len = 0;
}

/* Writes the lines stamped before before_ns, which is the present or EVERYTHING, in the order of
 * their stamps; the others wait for the next drain. Returns whether there were any.
 *
 * When one line causes another one of another writer (by a message that was posted behind it),
 * its stamp is earlier and its ring has it before the other one's stamp is taken. The rings are
 * looked at one by one, so that one may show the effect while an earlier look at another has
 * missed the cause. But the present was read before the first look: an effect stamped before it
 * has its cause in the ring by then, and an effect stamped later waits. So no line is written
 * before what caused it. An equal stamp is later, as the clock is no finer than its tick. */
static bool drain(struct observe_log *log, uint64_t before_ns)
{
    size_t len;
    bool any = false;

    /* The processor may not look at a ring before it has read the clock. Storing what the clock
     * said keeps the two apart; a fence alone orders memory only, and the clock is none. */
    atomic_store(&log->before_ns, before_ns);
    log->fd_stuck = false;
    observe_merge_begin(&log->merge, before_ns);
    for (unsigned i = 0; i < log->writers_count; i++)
        observe_merge_add(&log->merge, &log->writers[i].ring);
    while ((len = observe_merge_take(&log->merge, log->out + log->out_len)) > 0) {
        any = true;
        log->out_len += len;
        if (sizeof(log->out) - log->out_len < OBSERVE_LINE_BYTES_MAX)
            out_write(log);
    }
    if (log->out_len > 0)
        out_write(log);
    return any;
}

static void report_lost(struct observe_log *log)
{
    uint64_t lost = observe_log_lost(log);
    uint64_t failed = atomic_load_explicit(&log->lost_in_file, memory_order_relaxed);
    char text[64];
    int len;

    if (lost == log->lost_reported)
        return;
    len = snprintf(text, sizeof(text), "%llu log lines lost",
                   (unsigned long long)(lost - log->lost_reported));
    write_own_line(log, OBSERVE_WARNING, (struct slice){ text, (size_t)len });
    if (atomic_load_explicit(&log->lost_in_file, memory_order_relaxed) == failed)
        log->lost_reported = lost;
    else /* The report itself did not get through, and is no line that anybody misses. */
        atomic_store_explicit(&log->lost_in_file, failed, memory_order_relaxed);
}

static void file_begin(struct observe_log *log, int fd)
{
    log->fd = fd;
    log->fd_stuck = false;
    if (fd == STDERR_FILENO)
        return;
    write_own_line(log, OBSERVE_INFO, SLICE("Begin Logfile"));
    write_own_line(log, OBSERVE_INFO, SLICE("Version: " POSTERN_VERSION));
}

static void file_end(struct observe_log *log)
{
    if (log->fd == STDERR_FILENO || log->fd == NO_FD)
        return;
    write_own_line(log, OBSERVE_INFO, SLICE("End Logfile"));
    (void)close(log->fd);
    log->fd = NO_FD;
}

static void file_change(struct observe_log *log)
{
    int fd = atomic_exchange(&log->fd_next, NO_FD);

    if (fd == NO_FD)
        return;
    file_end(log);
    file_begin(log, fd);
}

static bool is_work_waiting(const struct observe_log *log, uint64_t ring_bytes_least)
{
    if (atomic_load(&log->stopping) || atomic_load(&log->fd_next) != NO_FD)
        return true;
    for (unsigned i = 0; i < log->writers_count; i++)
        if (observe_ring_waiting(&log->writers[i].ring) >= ring_bytes_least)
            return true;
    return false;
}

/* After some writing it naps to gather lines, after a nap without lines it sleeps. */
static void rest(struct observe_log *log, bool wrote)
{
    uint32_t state = wrote ? NAPPING : SLEEPING;

    atomic_store(&log->state, state);
    if (!is_work_waiting(log, wrote ? RING_BYTES_HURRY : 1))
        futex_wait(&log->state, state, wrote ? OBSERVE_NAP_MS : SLEEP_MS_MAX);
    atomic_store(&log->state, AWAKE);
}

static void *run(void *argument)
{
    struct observe_log *log = argument;

    while (!atomic_load(&log->stopping)) {
        bool wrote;

        file_change(log);
        wrote = drain(log, now_ns());
        report_lost(log);
        rest(log, wrote);
    }
    file_change(log);
    (void)drain(log, EVERYTHING);
    report_lost(log);
    file_end(log);
    return NULL;
}

/* Starting and stopping */

static enum status file_open(const char *path, int *fd_out)
{
    int fd = STDERR_FILENO;

    if (path != NULL)
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return status_from_errno(errno);
    *fd_out = fd;
    return STATUS_OK;
}

/* Frees what create made; the thread does not run. */
static void log_free(struct observe_log *log)
{
    for (unsigned i = 0; i < log->writers_count; i++)
        observe_ring_finish(&log->writers[i].ring);
    observe_merge_finish(&log->merge);
    free(log->writers);
    free(log->path);
    free(log);
}

static enum status writers_create(struct observe_log *log, unsigned count)
{
    size_t bytes = count * sizeof(*log->writers);

    log->writers = aligned_alloc(alignof(struct observe_log_writer), bytes);
    if (log->writers == NULL)
        return STATUS_NO_MEMORY;
    memset(log->writers, 0, bytes);
    log->writers_count = count;
    for (unsigned i = 0; i < count; i++) {
        TRY(observe_ring_init(&log->writers[i].ring));
        log->writers[i].log = log;
        observe_line_init(&log->writers[i].line);
    }
    return STATUS_OK;
}

static enum status thread_start(struct observe_log *log)
{
    sigset_t all, before;
    int error;

    (void)sigfillset(&all);
    ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    error = pthread_create(&log->thread, NULL, run, log);
    ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (error != 0)
        return STATUS_NO_MEMORY;
    (void)pthread_setname_np(log->thread, "postern-log");
    return STATUS_OK;
}

enum status observe_log_create(const char *path, unsigned writers_count,
                               struct observe_log **log_out)
{
    struct observe_log *log;
    enum status status;
    int fd = NO_FD;

    if (writers_count == 0 || writers_count > OBSERVE_WRITERS_MAX)
        return STATUS_LIMIT;
    log = calloc(1, sizeof(*log));
    if (log == NULL)
        return STATUS_NO_MEMORY;
    observe_line_init(&log->line);
    log->fd = NO_FD;
    atomic_store(&log->fd_next, NO_FD);
    status = writers_create(log, writers_count);
    if (status == STATUS_OK)
        status = observe_merge_init(&log->merge, writers_count);
    if (status == STATUS_OK && strcmp(path, "-") != 0) {
        log->path = strdup(path);
        status = log->path != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK)
        status = file_open(log->path, &fd);
    if (status == STATUS_OK) {
        file_begin(log, fd); /* here, so that the file's first lines are there on return */
        status = thread_start(log);
    }
    if (status != STATUS_OK) {
        if (fd != NO_FD && fd != STDERR_FILENO)
            (void)close(fd);
        log_free(log);
        return status;
    }
    *log_out = log;
    return STATUS_OK;
}

void observe_log_destroy(struct observe_log *log)
{
    if (log == NULL)
        return;
    atomic_store(&log->stopping, true);
    wake(log);
    ASSERT(pthread_join(log->thread, NULL) == 0);
    log_free(log);
}

enum status observe_log_reopen(struct observe_log *log)
{
    int fd, superseded;

    if (log->path == NULL)
        return STATUS_OK;
    TRY(file_open(log->path, &fd));
    superseded = atomic_exchange(&log->fd_next, fd);
    if (superseded != NO_FD)
        (void)close(superseded);
    wake(log);
    return STATUS_OK;
}
