#include "engine/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "engine/compat_uring.h"

#define SYSCTL_PATH     "/proc/sys/kernel/io_uring_disabled"
#define STATUS_PATH     "/proc/self/status"
#define FILE_BYTES_MAX  8192
#define WAIT_S          2
#define SELF_TEST_GROUP 0
#define SELF_TEST_BYTES 4096

static void add(struct engine_probe_report *report, const char *name, bool required, bool yes,
                const char *detail, ...) PRINTF_LIKE(5, 6);

static void add(struct engine_probe_report *report, const char *name, bool required, bool yes,
                const char *detail, ...)
{
    struct engine_probe_finding *f = &report->findings[report->findings_count];
    va_list args;

    ASSERT(report->findings_count < ENGINE_PROBE_FINDINGS_MAX);
    report->findings_count++;
    *f = (struct engine_probe_finding){ .name = name, .yes = yes, .required = required };
    va_start(args, detail);
    (void)vsnprintf(f->detail, sizeof(f->detail), detail, args);
    va_end(args);
}

/* ---- why not ---- */

static bool kernel_version(unsigned *major_out, unsigned *minor_out, struct utsname *name_out)
{
    char *end;

    if (uname(name_out) < 0)
        return false;
    *major_out = (unsigned)strtoul(name_out->release, &end, 10);
    if (*end != '.')
        return false;
    *minor_out = (unsigned)strtoul(end + 1, &end, 10);
    return true;
}

static bool kernel_is_old(struct utsname *name_out)
{
    unsigned major = 0;
    unsigned minor = 0;

    if (!kernel_version(&major, &minor, name_out))
        return false; /* what the ring says then decides */
    return major < ENGINE_KERNEL_MAJOR_MIN ||
           (major == ENGINE_KERNEL_MAJOR_MIN && minor < ENGINE_KERNEL_MINOR_MIN);
}

/* The digit behind `key` in a small file of /proc; -1 when there is none. */
static int digit_in(const char *path, const char *key)
{
    char text[FILE_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *at;
    ssize_t bytes;

    if (fd < 0)
        return -1;
    bytes = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (bytes <= 0)
        return -1;
    text[bytes] = '\0';
    at = strstr(text, key);
    if (at == NULL)
        return -1;
    at += strlen(key);
    at += strspn(at, " \t");
    return ascii_is_digit(*at) ? *at - '0' : -1;
}

static enum status explain_denied(int error, struct engine_reason *reason)
{
    int disabled = digit_in(SYSCTL_PATH, "");

    if (disabled > 0)
        (void)snprintf(reason->text, sizeof(reason->text),
                       "io_uring is forbidden: sysctl kernel.io_uring_disabled=%d%s", disabled,
                       disabled == 1 ? " (allowed to CAP_SYS_ADMIN and kernel.io_uring_group)"
                                     : "");
    else if (digit_in(STATUS_PATH, "\nSeccomp:") == 2)
        (void)snprintf(reason->text, sizeof(reason->text),
                       "io_uring is forbidden: a seccomp filter (container or service sandbox) "
                       "refuses it");
    else
        (void)snprintf(reason->text, sizeof(reason->text), "io_uring is forbidden: %s",
                       strerrordesc_np(error));
    return STATUS_DENIED;
}

enum status engine_probe_explain(int error, struct engine_reason *reason_out)
{
    struct utsname name = { .release = "?" };

    ASSERT(error > 0);
    if (kernel_is_old(&name)) {
        (void)snprintf(reason_out->text, sizeof(reason_out->text),
                       "Linux %.40s is too old: %d.%d or later is needed", name.release,
                       ENGINE_KERNEL_MAJOR_MIN, ENGINE_KERNEL_MINOR_MIN);
        return STATUS_UNSUPPORTED;
    }
    /* A seccomp filter may answer ENOSYS as well as EPERM. */
    if (error == EPERM || error == EACCES ||
        (error == ENOSYS && digit_in(STATUS_PATH, "\nSeccomp:") == 2))
        return explain_denied(error, reason_out);
    (void)snprintf(reason_out->text, sizeof(reason_out->text), "io_uring does not start: %s%s",
                   strerrordesc_np(error),
                   error == ENOMEM   ? " (see RLIMIT_MEMLOCK)"
                   : error == ENOSYS ? " (this kernel is built without it)"
                                     : "");
    return error == ENOSYS || error == EINVAL ? STATUS_UNSUPPORTED : status_from_errno(error);
}

/* ---- what the ring says of itself ---- */

static const struct {
    const char *name;
    unsigned bit;
} features[] = {
    { "no lost completions (NODROP)", IORING_FEAT_NODROP },
    { "stable submissions (SUBMIT_STABLE)", IORING_FEAT_SUBMIT_STABLE },
    { "polling receive (FAST_POLL)", IORING_FEAT_FAST_POLL },
    { "timed wait (EXT_ARG)", IORING_FEAT_EXT_ARG },
    { "quiet requests (CQE_SKIP)", IORING_FEAT_CQE_SKIP },
};

static const struct {
    const char *name;
    int opcode;
} opcodes[] = {
    { "accept", IORING_OP_ACCEPT },
    { "connect", IORING_OP_CONNECT },
    { "recv", IORING_OP_RECV },
    { "send", IORING_OP_SEND },
    { "sendmsg", IORING_OP_SENDMSG },
    { "close", IORING_OP_CLOSE },
    { "cancel", IORING_OP_ASYNC_CANCEL },
    { "read", IORING_OP_READ },
    { "write", IORING_OP_WRITE },
    { "fsync", IORING_OP_FSYNC },
    { "openat", IORING_OP_OPENAT },
    { "fallocate", IORING_OP_FALLOCATE },
    { "unlinkat", IORING_OP_UNLINKAT },
    { "poll", IORING_OP_POLL_ADD },
    { "message between rings", IORING_OP_MSG_RING },
};

_Static_assert(ARRAY_LEN(features) + ARRAY_LEN(opcodes) + 8 <= ENGINE_PROBE_FINDINGS_MAX,
               "all findings fit");

static void report_ring(struct io_uring *ring, struct engine_probe_report *report)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);

    for (size_t i = 0; i < ARRAY_LEN(features); i++)
        add(report, features[i].name, true, (ring->features & features[i].bit) != 0,
            "features 0x%x", ring->features);
    for (size_t i = 0; i < ARRAY_LEN(opcodes); i++)
        add(report, opcodes[i].name, true,
            probe != NULL && io_uring_opcode_supported(probe, opcodes[i].opcode), "opcode %d",
            opcodes[i].opcode);
    if (probe != NULL)
        io_uring_free_probe(probe);
}

/* ---- self tests: what no feature bit tells ---- */

/* Submits, and waits for one completion: 0, or a negated errno when none came. */
static int run(struct io_uring *ring, int *result_out, unsigned *flags_out)
{
    struct __kernel_timespec timeout = { .tv_sec = WAIT_S };
    struct io_uring_cqe *cqe = NULL;
    int result = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);

    if (cqe == NULL)
        return result < 0 ? result : -ETIME;
    *result_out = cqe->res;
    *flags_out = cqe->flags;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

static int recv_provided(struct io_uring *ring, const int pair[2], char *memory)
{
    struct io_uring_buf_ring *buffers = NULL;
    struct io_uring_sqe *sqe;
    unsigned flags = 0;
    int bytes = 0;
    int result = compat_uring_setup_buffers(ring, SELF_TEST_GROUP, 1, &buffers);

    if (result < 0)
        return result;
    io_uring_buf_ring_add(buffers, memory, SELF_TEST_BYTES, 0, 0, 0);
    io_uring_buf_ring_advance(buffers, 1);
    sqe = io_uring_get_sqe(ring);
    ASSERT(sqe != NULL);
    io_uring_prep_recv(sqe, pair[0], NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = SELF_TEST_GROUP;
    if (send(pair[1], "x", 1, MSG_NOSIGNAL) != 1)
        result = -errno;
    else
        result = run(ring, &bytes, &flags);
    if (result == 0)
        result = bytes == 1 && (flags & IORING_CQE_F_BUFFER) != 0 && memory[0] == 'x' ? 0 : -EPROTO;
    compat_uring_free_buffers(ring, SELF_TEST_GROUP, 1, buffers);
    return result;
}

static void test_recv(struct io_uring *ring, struct engine_probe_report *report)
{
    char *memory = calloc(1, SELF_TEST_BYTES);
    int pair[2];
    int result = -ENOMEM;

    if (memory != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        result = recv_provided(ring, pair, memory);
        (void)close(pair[0]);
        (void)close(pair[1]);
    }
    add(report, "provided buffers", true, result == 0, "self test: %s",
        result == 0 ? "received into one" : strerrordesc_np(-result));
    free(memory);
}

static void test_message(struct io_uring *ring, struct engine_probe_report *report)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    unsigned flags = 0;
    int value = 0;
    int result;

    ASSERT(sqe != NULL);
    /* To itself: the message and the request each have a completion. */
    io_uring_prep_msg_ring(sqe, ring->ring_fd, 0, 1, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    result = run(ring, &value, &flags);
    if (result == 0 && value < 0)
        result = value;
    add(report, "doorbell between workers", true, result == 0, "self test: %s",
        result == 0 ? "rang" : strerrordesc_np(-result));
}

static int write_durable(struct io_uring *ring, int fd)
{
    static const char text[] = "postern";
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    unsigned flags = 0;
    int bytes = 0;
    int result;

    ASSERT(sqe != NULL);
    io_uring_prep_write(sqe, fd, text, sizeof(text), 0);
    sqe->rw_flags = RWF_DSYNC;
    result = run(ring, &bytes, &flags);
    if (result == 0 && bytes < 0)
        result = bytes;
    return result == 0 && bytes != (int)sizeof(text) ? -EIO : result;
}

/* Not required: the spool has a committer thread for file systems that refuse it. */
static void test_durable(struct io_uring *ring, const char *directory,
                         struct engine_probe_report *report)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int result;

    if (fd < 0) {
        add(report, "durable write (RWF_DSYNC)", false, false, "no temporary file there: %s",
            strerrordesc_np(errno));
        return;
    }
    result = write_durable(ring, fd);
    (void)close(fd);
    add(report, "durable write (RWF_DSYNC)", false, result == 0, "self test: %s",
        result == 0 ? "written" : strerrordesc_np(-result));
}

/* ---- the whole ---- */

static enum status judge(struct engine_probe_report *report)
{
    for (unsigned i = 0; i < report->findings_count; i++) {
        struct engine_probe_finding f = report->findings[i];

        if (f.yes || !f.required)
            continue;
        (void)snprintf(report->reason.text, sizeof(report->reason.text),
                       "io_uring lacks what is needed: %s (%s)", f.name, f.detail);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

enum status engine_probe(const char *directory_or_null, struct engine_probe_report *report_out)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                          IORING_SETUP_SUBMIT_ALL };
    struct io_uring ring;
    struct utsname name = { .release = "?" };
    bool old = kernel_is_old(&name);
    int result;

    *report_out = (struct engine_probe_report){ .findings_count = 0 };
    add(report_out, "kernel", true, !old, "Linux %.60s", name.release);
    result = io_uring_queue_init_params(8, &ring, &p);
    if (result < 0) {
        add(report_out, "io_uring", true, false, "%s", strerrordesc_np(-result));
        return engine_probe_explain(-result, &report_out->reason);
    }
    add(report_out, "io_uring", true, true, "SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL");
    report_ring(&ring, report_out);
    test_recv(&ring, report_out);
    test_message(&ring, report_out);
    if (directory_or_null != NULL)
        test_durable(&ring, directory_or_null, report_out);
    io_uring_queue_exit(&ring);
    if (old)
        return engine_probe_explain(EINVAL, &report_out->reason);
    return judge(report_out);
}
