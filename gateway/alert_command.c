#include "gateway/alert_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/thread.h"

#define LOOK_MS       50   /* whether it has ended */
#define KILL_WAIT_MS  5000 /* a process that a dead disk holds does not die at once */
#define VARIABLES_MAX 8
#define VARIABLE_MAX  (OBSERVE_ALERT_LINE_MAX + 32)
#define STANDARD_FDS  3

struct call {
    struct list_node node;
    char *path;
    struct buffer body;
    unsigned variables_count;
    char variables[VARIABLES_MAX][VARIABLE_MAX];
};

struct gateway_alert_command {
    struct engine_thread thread;
    struct observe_log_writer *log;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list waiting; /* under lock, as is the count */
    unsigned waiting_count;
    _Atomic bool is_over;
};

/* A program that runs. */
struct child {
    pid_t pid;
    int output; /* what it writes; -1: it has closed it */
    int status; /* of waitpid() */
    size_t kept;
    char text[GATEWAY_ALERT_OUTPUT_MAX];
};

/* --- what is run ----------------------------------------------------------------------------- */

static void call_destroy(struct call *call)
{
    if (call == NULL)
        return;
    buffer_finish(&call->body);
    free(call->path);
    free(call);
}

static void add_variable(struct call *call, const char *name, const char *value)
{
    ASSERT(call->variables_count < VARIABLES_MAX);
    (void)snprintf(call->variables[call->variables_count++], VARIABLE_MAX, "%s=%s", name, value);
}

static struct call *call_create(const struct gateway_alert_call *from)
{
    const struct observe_alert_notice *notice = from->notice;
    struct call *call = calloc(1, sizeof(*call));
    char line[OBSERVE_ALERT_LINE_MAX];

    if (call == NULL)
        return NULL;
    buffer_init(&call->body, OBSERVE_ALERT_BODY_BYTES_MAX);
    call->path = strdup(from->path);
    if (call->path == NULL || buffer_append(&call->body, from->body) != STATUS_OK) {
        call_destroy(call);
        return NULL;
    }
    add_variable(call, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    add_variable(call, "POSTERN_HOSTNAME", from->hostname);
    add_variable(call, "POSTERN_ALERT_KIND", observe_alert_kind_name(notice->kind));
    add_variable(call, "POSTERN_ALERT_STEP", observe_alert_step_name(notice->step));
    add_variable(call, "POSTERN_ALERT_SEVERITY", observe_severity_name(notice->severity));
    add_variable(call, "POSTERN_ALERT_ABOUT", notice->subject);
    add_variable(call, "POSTERN_ALERT_SUBJECT",
                 observe_alert_subject_line(notice, from->hostname, line));
    return call;
}

/* --- running it ------------------------------------------------------------------------------ */

/* The descriptor, or one like it that dup2() to 0, 1 and 2 cannot hit; -1 closes it. */
static int above_standard(int fd)
{
    int higher;

    if (fd >= STANDARD_FDS || fd < 0)
        return fd;
    higher = fcntl(fd, F_DUPFD_CLOEXEC, STANDARD_FDS);
    (void)close(fd);
    return higher;
}

/* A file in memory, so that nobody waits for a program that does not read. */
static int open_input(struct slice body)
{
    int fd = above_standard(memfd_create("alert", MFD_CLOEXEC));

    if (fd < 0)
        return -1;
    if (write(fd, body.data, body.len) == (ssize_t)body.len && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static int spawn_prepared(const struct call *call, int input, int output, pid_t *pid_out,
                          posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes)
{
    char *environment[VARIABLES_MAX + 1] = { NULL };
    char *arguments[] = { call->path, NULL };
    sigset_t none, all;

    for (unsigned i = 0; i < call->variables_count; i++)
        environment[i] = (char *)call->variables[i];
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    if (posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO) != 0 ||
        posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO) != 0 ||
        posix_spawn_file_actions_addclosefrom_np(actions, STANDARD_FDS) != 0 ||
        posix_spawnattr_setsigmask(attributes, &none) != 0 ||
        posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
        posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETSID) != 0)
        return ENOMEM;
    return posix_spawn(pid_out, call->path, actions, attributes, arguments, environment);
}

/* Returns 0 or an errno. */
static int spawn(const struct call *call, int input, int output, pid_t *pid_out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    error = spawn_prepared(call, input, output, pid_out, &actions, &attributes);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Returns 0 or an errno. */
static int child_start(struct child *child, const struct call *call)
{
    int input = open_input(buffer_contents(&call->body)), ends[2], output, error;

    if (input < 0)
        return errno;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        error = errno;
        (void)close(input);
        return error;
    }
    output = above_standard(ends[1]);
    *child = (struct child){ .output = ends[0] };
    error = output < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0
                ? errno
                : spawn(call, input, output, &child->pid);
    (void)close(input);
    if (output >= 0)
        (void)close(output);
    if (error != 0)
        (void)close(child->output);
    return error;
}

/* One piece of what it wrote; false when there is none (any more). */
static bool child_read(struct child *child)
{
    char piece[4096];
    ssize_t got = child->output >= 0 ? read(child->output, piece, sizeof(piece)) : -1;
    size_t room = sizeof(child->text) - child->kept;

    if (got <= 0) {
        if (child->output >= 0 && (got == 0 || (errno != EAGAIN && errno != EINTR))) {
            (void)close(child->output);
            child->output = -1;
        }
        return false;
    }
    if (room > (size_t)got)
        room = (size_t)got;
    memcpy(child->text + child->kept, piece, room);
    child->kept += room;
    return true;
}

static bool child_has_ended(struct child *child)
{
    return waitpid(child->pid, &child->status, WNOHANG) == child->pid;
}

/* Until it has ended, or until the time is up: then false. */
static bool child_wait(struct gateway_alert_command *c, struct child *child, uint64_t wait_ms)
{
    uint64_t deadline_ms = clock_monotonic_ms() + wait_ms;

    while (!child_has_ended(child)) {
        struct pollfd poller = { .fd = child->output, .events = POLLIN };
        uint64_t now_ms = clock_monotonic_ms();

        if (atomic_load(&c->is_over) && deadline_ms > now_ms + GATEWAY_ALERT_COMMAND_GRACE_MS)
            deadline_ms = now_ms + GATEWAY_ALERT_COMMAND_GRACE_MS;
        if (now_ms >= deadline_ms)
            return false;
        if (poll(&poller, 1, LOOK_MS) > 0)
            (void)child_read(child);
    }
    /* Nothing is lost of what it wrote, but a child of its own that goes on writing is left alone.
     */
    while (child->kept < sizeof(child->text) && child_read(child))
        ;
    return true;
}

static void say_end(struct gateway_alert_command *c, const struct call *call,
                    const struct child *child, bool is_killed)
{
    bool is_well = !is_killed && WIFEXITED(child->status) && WEXITSTATUS(child->status) == 0;
    char what[64] = "";

    if (is_killed)
        (void)snprintf(what, sizeof(what), " was killed, it took too long");
    else if (WIFSIGNALED(child->status))
        (void)snprintf(what, sizeof(what), " died of signal %d", WTERMSIG(child->status));
    else if (!is_well)
        (void)snprintf(what, sizeof(what), " ended with exit status %d",
                       WEXITSTATUS(child->status));
    if (!is_well || child->kept > 0)
        observe_log_line(c->log, is_well ? OBSERVE_INFO : OBSERVE_WARNING, clock_wall_s(),
                         "Alert command %s%s%s%.*s", call->path, what, child->kept > 0 ? ": " : "",
                         (int)child->kept, child->text);
}

static void run_call(struct gateway_alert_command *c, const struct call *call)
{
    char text[128];
    struct child child;
    bool is_killed = false;
    int error = child_start(&child, call);

    if (error != 0) {
        observe_log_line(c->log, OBSERVE_WARNING, clock_wall_s(),
                         "Alert command %s cannot be run: %s", call->path,
                         strerror_r(error, text, sizeof(text)));
        return;
    }
    if (!child_wait(c, &child, GATEWAY_ALERT_COMMAND_MS)) {
        is_killed = true;
        (void)kill(-child.pid, SIGKILL);
        (void)child_wait(c, &child, KILL_WAIT_MS);
    }
    if (child.output >= 0)
        (void)close(child.output);
    say_end(c, call, &child, is_killed);
}

/* --- the thread ------------------------------------------------------------------------------ */

/* NULL at the end. */
static struct call *next_call(struct gateway_alert_command *c)
{
    struct list_node *n = NULL;

    ASSERT(pthread_mutex_lock(&c->lock) == 0);
    while (!atomic_load(&c->is_over) && list_is_empty(&c->waiting))
        ASSERT(pthread_cond_wait(&c->wake, &c->lock) == 0);
    if (!atomic_load(&c->is_over)) {
        n = list_take_first(&c->waiting);
        c->waiting_count--;
    }
    ASSERT(pthread_mutex_unlock(&c->lock) == 0);
    return n != NULL ? CONTAINER_OF(n, struct call, node) : NULL;
}

static void run(struct engine_thread *thread)
{
    struct gateway_alert_command *c = CONTAINER_OF(thread, struct gateway_alert_command, thread);
    struct call *call;

    while ((call = next_call(c)) != NULL) {
        run_call(c, call);
        call_destroy(call);
        observe_log_flush(c->log);
    }
}

enum status gateway_alert_command_create(struct observe_log_writer *log,
                                         struct gateway_alert_command **command_out)
{
    struct gateway_alert_command *c = calloc(1, sizeof(*c));
    enum status status;

    if (c == NULL)
        return STATUS_NO_MEMORY;
    c->log = log;
    list_init(&c->waiting);
    ASSERT(pthread_mutex_init(&c->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&c->wake, NULL) == 0);
    status = engine_thread_start(&c->thread, "alert command", ENGINE_THREAD_ANY_CPU, run);
    if (status != STATUS_OK) {
        gateway_alert_command_destroy(c);
        return status;
    }
    *command_out = c;
    return STATUS_OK;
}

void gateway_alert_command_destroy(struct gateway_alert_command *command)
{
    struct list_node *n;

    if (command == NULL)
        return;
    ASSERT(pthread_mutex_lock(&command->lock) == 0);
    atomic_store(&command->is_over, true);
    ASSERT(pthread_cond_signal(&command->wake) == 0);
    ASSERT(pthread_mutex_unlock(&command->lock) == 0);
    engine_thread_join(&command->thread);
    while ((n = list_take_first(&command->waiting)) != NULL)
        call_destroy(CONTAINER_OF(n, struct call, node));
    ASSERT(pthread_cond_destroy(&command->wake) == 0);
    ASSERT(pthread_mutex_destroy(&command->lock) == 0);
    free(command);
}

enum status gateway_alert_command_put(struct gateway_alert_command *command,
                                      const struct gateway_alert_call *from)
{
    struct call *call = call_create(from);
    bool is_full;

    if (call == NULL)
        return STATUS_NO_MEMORY;
    ASSERT(pthread_mutex_lock(&command->lock) == 0);
    is_full = command->waiting_count >= GATEWAY_ALERT_COMMANDS_MAX;
    if (!is_full) {
        list_append(&command->waiting, &call->node);
        command->waiting_count++;
        ASSERT(pthread_cond_signal(&command->wake) == 0);
    }
    ASSERT(pthread_mutex_unlock(&command->lock) == 0);
    if (!is_full)
        return STATUS_OK;
    call_destroy(call);
    return STATUS_LIMIT;
}
