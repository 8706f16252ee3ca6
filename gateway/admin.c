#include "gateway/admin.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/thread.h"
#include "gateway/admin_request.h"
#include "gateway/queue_desk.h"

#define ACCEPTS_MAX     8   /* of one turn, so that those who are in get theirs */
#define ACCEPT_PAUSE_MS 100 /* after an accept that the system refused (no descriptors) */
#define POLL_BELL       0
#define POLL_LISTENER   1
#define POLL_DESK       2
#define POLL_CLIENTS    3

struct client { /* fd -1: a free place */
    int fd;
    bool is_answered; /* the request is here, the reply goes out */
    uint64_t since_ms;
    uint64_t deadline_ms;
    size_t request_len;
    struct buffer reply;
    struct gateway_queue_visit *visit; /* the reply comes piece by piece; NULL: it is whole */
    char request[GATEWAY_ADMIN_REQUEST_MAX];
};

struct gateway_admin {
    struct engine_thread thread;
    struct gateway_process *process;
    struct gateway_queue_desk *desk;
    struct gateway_admin_file file; /* the supervisor's */
    int bell;                       /* eventfd: look at the next two */
    _Atomic int next_listener;      /* to be taken by the thread; -1: none */
    _Atomic bool is_over;
    int listener; /* the thread's, as is all that follows; -1: none */
    uint64_t accept_again_ms;
    struct client clients[GATEWAY_ADMIN_CLIENTS_MAX];
};

/* --- clients --------------------------------------------------------------------------------- */

static void client_leave(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    gateway_queue_visit_close(c->visit);
    c->visit = NULL;
    buffer_finish(&c->reply);
}

static void client_enter(struct client *c, int fd, uint64_t now_ms)
{
    c->fd = fd;
    c->is_answered = false;
    c->since_ms = now_ms;
    c->deadline_ms = now_ms + GATEWAY_ADMIN_TIME_MS;
    c->request_len = 0;
    buffer_init(&c->reply, GATEWAY_ADMIN_REPLY_MAX);
}

/* There is more of the reply: true. A worker may have to be waited for, however long it takes. */
static bool client_go_on(struct client *c)
{
    if (c->visit == NULL || gateway_queue_visit_is_ended(c->visit) ||
        gateway_queue_visit_go_on(c->visit, &c->reply) != STATUS_OK)
        return false;
    c->deadline_ms =
        buffer_len(&c->reply) > 0 ? clock_monotonic_ms() + GATEWAY_ADMIN_TIME_MS : UINT64_MAX;
    return true;
}

/* False: the client has left. */
static bool client_send_some(struct client *c)
{
    struct slice rest = buffer_contents(&c->reply);

    while (rest.len > 0) {
        ssize_t sent = send(c->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN) {
            client_leave(c);
            return false;
        }
        if (sent < 0)
            break;
        buffer_consume(&c->reply, (size_t)sent);
        rest = buffer_contents(&c->reply);
    }
    return true;
}

static void client_send(struct client *c)
{
    while (client_send_some(c) && buffer_len(&c->reply) == 0) {
        if (!client_go_on(c)) {
            client_leave(c);
            return;
        }
        if (buffer_len(&c->reply) == 0)
            return;
    }
}

static enum status client_open_visit(struct gateway_admin *a, struct client *c, struct slice line)
{
    const char *why;

    if (!gateway_queue_desk_open(a->desk, line, &c->visit, &why))
        return gateway_admin_answer_error(why, &c->reply);
    return STATUS_OK;
}

/* One line is one request; what comes behind it is not read. */
static void client_answer(struct gateway_admin *a, struct client *c, uint64_t now_ms)
{
    const char *end = memchr(c->request, '\n', c->request_len);
    struct slice line = { c->request, end != NULL ? (size_t)(end - c->request) : 0 };
    enum status status;

    if (end == NULL && c->request_len < sizeof(c->request))
        return;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    if (end == NULL)
        status = gateway_admin_answer_error("the request is too long", &c->reply);
    else if (gateway_queue_desk_is_asked(line))
        status = client_open_visit(a, c, line);
    else
        status = gateway_admin_answer(a->process, line, &c->reply);
    if (status != STATUS_OK) {
        client_leave(c);
        return;
    }
    c->is_answered = true;
    c->deadline_ms = now_ms + GATEWAY_ADMIN_TIME_MS;
    client_send(c);
}

static void client_receive(struct gateway_admin *a, struct client *c, uint64_t now_ms)
{
    ssize_t got =
        recv(c->fd, c->request + c->request_len, sizeof(c->request) - c->request_len, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_leave(c);
        return;
    }
    c->request_len += (size_t)got;
    client_answer(a, c, now_ms);
}

/* A free place; else that of the one who has been here longest and did not say what he wants; else
 * of the one who has been here longest. */
static struct client *make_room(struct gateway_admin *a)
{
    struct client *oldest = &a->clients[0];

    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++) {
        struct client *c = &a->clients[i];

        if (c->fd < 0)
            return c;
        if (c->is_answered != oldest->is_answered ? !c->is_answered
                                                  : c->since_ms < oldest->since_ms)
            oldest = c;
    }
    client_leave(oldest);
    return oldest;
}

static void accept_clients(struct gateway_admin *a, uint64_t now_ms)
{
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(a->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct client *c;

        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            a->accept_again_ms = now_ms + ACCEPT_PAUSE_MS;
        if (fd < 0)
            return;
        c = make_room(a);
        client_enter(c, fd, now_ms);
        /* Who sent his request with his connection is answered before anybody can push him out. */
        client_receive(a, c, now_ms);
    }
}

/* --- the thread ------------------------------------------------------------------------------ */

static void take_listener(struct gateway_admin *a)
{
    int next = atomic_exchange(&a->next_listener, -1);

    if (next < 0)
        return;
    if (a->listener >= 0)
        (void)close(a->listener);
    a->listener = next;
}

/* Without anything to send there is still an error or a hang-up to be seen. */
static short wanted(const struct client *c)
{
    if (!c->is_answered)
        return POLLIN;
    return buffer_len(&c->reply) > 0 ? POLLOUT : 0;
}

/* Returns for how long to wait; -1: for ever. */
static int fill_polls(struct gateway_admin *a, struct pollfd *polls, uint64_t now_ms)
{
    bool is_pausing = a->accept_again_ms > now_ms;
    uint64_t until_ms = is_pausing ? a->accept_again_ms : UINT64_MAX;

    polls[POLL_BELL] = (struct pollfd){ .fd = a->bell, .events = POLLIN };
    polls[POLL_DESK] = (struct pollfd){ .fd = gateway_queue_desk_bell(a->desk), .events = POLLIN };
    polls[POLL_LISTENER] = (struct pollfd){ .fd = is_pausing ? -1 : a->listener, .events = POLLIN };
    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++) {
        const struct client *c = &a->clients[i];

        polls[POLL_CLIENTS + i] = (struct pollfd){ .fd = c->fd, .events = wanted(c) };
        if (c->fd >= 0 && c->deadline_ms < until_ms)
            until_ms = c->deadline_ms;
    }
    if (until_ms == UINT64_MAX)
        return -1;
    return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void serve_clients(struct gateway_admin *a, const struct pollfd *polls, uint64_t now_ms)
{
    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++) {
        struct client *c = &a->clients[i];

        if (c->fd < 0)
            continue;
        if (now_ms >= c->deadline_ms)
            client_leave(c);
        else if ((polls[POLL_CLIENTS + i].revents & (POLLERR | POLLHUP)) != 0 && c->is_answered)
            client_leave(c);
        else if (polls[POLL_CLIENTS + i].revents != 0 && c->is_answered)
            client_send(c);
        else if (polls[POLL_CLIENTS + i].revents != 0)
            client_receive(a, c, now_ms);
    }
}

/* Jobs have come back. */
static void serve_visits(struct gateway_admin *a)
{
    gateway_queue_desk_take(a->desk);
    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++)
        if (a->clients[i].fd >= 0 && a->clients[i].visit != NULL)
            client_send(&a->clients[i]);
}

static void run(struct engine_thread *thread)
{
    struct gateway_admin *a = CONTAINER_OF(thread, struct gateway_admin, thread);
    struct pollfd polls[POLL_CLIENTS + GATEWAY_ADMIN_CLIENTS_MAX];
    uint64_t rung;

    while (!atomic_load(&a->is_over)) {
        int wait_ms = fill_polls(a, polls, clock_monotonic_ms());
        uint64_t now_ms;

        if (poll(polls, ARRAY_LEN(polls), wait_ms) < 0)
            continue; /* EINTR; revents are not to be believed */
        now_ms = clock_monotonic_ms();
        serve_clients(a, polls, now_ms);
        if (polls[POLL_LISTENER].revents != 0)
            accept_clients(a, now_ms);
        if (polls[POLL_DESK].revents != 0)
            serve_visits(a);
        if (polls[POLL_BELL].revents != 0 && read(a->bell, &rung, sizeof(rung)) > 0)
            take_listener(a);
    }
}

/* --- the supervisor's part ------------------------------------------------------------------- */

static void ring(struct gateway_admin *a)
{
    const uint64_t one = 1;

    /* It cannot fail but by a counter that is full, and then the bell rings already. */
    if (write(a->bell, &one, sizeof(one)) < 0)
        return;
}

enum status gateway_admin_create(struct gateway_process *process, struct gateway_admin **admin_out)
{
    struct gateway_admin *a = calloc(1, sizeof(*a));
    enum status status;

    if (a == NULL)
        return STATUS_NO_MEMORY;
    a->process = process;
    a->listener = -1;
    atomic_store(&a->next_listener, -1);
    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++)
        a->clients[i].fd = -1;
    a->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    status = a->bell >= 0 ? gateway_queue_desk_create(process, &a->desk) : status_from_errno(errno);
    if (status == STATUS_OK)
        status = engine_thread_start(&a->thread, "admin", ENGINE_THREAD_ANY_CPU, run);
    if (status != STATUS_OK) {
        gateway_queue_desk_destroy(a->desk);
        if (a->bell >= 0)
            (void)close(a->bell);
        free(a);
        return status;
    }
    *admin_out = a;
    return STATUS_OK;
}

void gateway_admin_stop(struct gateway_admin *admin)
{
    if (admin == NULL)
        return;
    atomic_store(&admin->is_over, true);
    ring(admin);
    engine_thread_join(&admin->thread);
    take_listener(admin);
    if (admin->listener >= 0)
        (void)close(admin->listener);
    for (size_t i = 0; i < GATEWAY_ADMIN_CLIENTS_MAX; i++)
        client_leave(&admin->clients[i]);
    gateway_admin_file_remove(&admin->file);
    (void)close(admin->bell);
}

void gateway_admin_destroy(struct gateway_admin *admin)
{
    if (admin == NULL)
        return;
    gateway_queue_desk_destroy(admin->desk);
    free(admin);
}

enum status gateway_admin_listen(struct gateway_admin *admin, const char *path,
                                 char why[static GATEWAY_ADMIN_WHY_MAX])
{
    struct gateway_admin_file file;
    int fd, unused;

    if (strcmp(admin->file.path, path) == 0 && gateway_admin_file_is_there(&admin->file))
        return STATUS_OK;
    TRY(gateway_admin_socket_open(path, &fd, &file, why));
    gateway_admin_file_remove(&admin->file);
    admin->file = file;
    unused = atomic_exchange(&admin->next_listener, fd);
    if (unused >= 0)
        (void)close(unused);
    ring(admin);
    return STATUS_OK;
}
