#include "cli/admin_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "cli/options.h"
#include "gateway/admin_request.h"

#define AGAIN_US   10000 /* when its backlog is full */
#define CHUNK      4096
#define ERROR_TEXT 256

struct question {
    const char *what;
    const char *path;
    uint64_t deadline_ms;
    int fd;
};

static bool is_late(const struct question *q)
{
    return clock_monotonic_ms() >= q->deadline_ms;
}

static bool fail_late(const struct question *q)
{
    (void)cli_error(q->what, "the gateway at %s does not answer", q->path);
    return false;
}

static bool fail(const struct question *q, int error)
{
    bool is_nobody = error == ENOENT || error == ECONNREFUSED;

    (void)cli_error(q->what, is_nobody ? "no gateway listens at %s: %s" : "%s: %s", q->path,
                    strerrordesc_np(error));
    return false;
}

static bool wait_for(const struct question *q, short events)
{
    struct pollfd one = { .fd = q->fd, .events = events };

    while (!is_late(q)) {
        int ready = poll(&one, 1, (int)(q->deadline_ms - clock_monotonic_ms()));

        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return fail(q, errno);
    }
    return fail_late(q);
}

static bool connect_to(struct question *q)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(q->path) >= sizeof(address.sun_path))
        return fail(q, ENAMETOOLONG);
    memcpy(address.sun_path, q->path, strlen(q->path) + 1);
    q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (q->fd < 0)
        return fail(q, errno);
    while (connect(q->fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno != EAGAIN && errno != EINTR)
            return fail(q, errno);
        if (is_late(q))
            return fail_late(q);
        (void)usleep(AGAIN_US);
    }
    return true;
}

static bool send_request(struct question *q, const char *request)
{
    char line[GATEWAY_ADMIN_REQUEST_MAX];
    size_t len = strlen(request), sent = 0;

    if (len >= sizeof(line))
        return fail(q, EMSGSIZE);
    memcpy(line, request, len);
    line[len++] = '\n';
    while (sent < len) {
        ssize_t n = send(q->fd, line + sent, len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN && !wait_for(q, POLLOUT))
            return false;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(q, errno);
        sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool receive_reply(struct question *q, struct buffer *reply)
{
    while (true) {
        char *room;
        ssize_t got;

        if (buffer_reserve(reply, CHUNK, &room) != STATUS_OK)
            return fail(q, EMSGSIZE);
        got = recv(q->fd, room, CHUNK, 0);
        if (got == 0)
            break;
        if (got < 0 && errno == EAGAIN && !wait_for(q, POLLIN))
            return false;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return fail(q, errno);
        buffer_commit(reply, got > 0 ? (size_t)got : 0);
    }
    return true;
}

/* Whether the reply is whole, and none that says {"error": why}. */
static bool check_reply(const struct question *q, struct slice reply)
{
    struct json_scan scan;
    struct slice value;
    enum json_token token;
    char why[ERROR_TEXT];

    json_scan_init(&scan, reply);
    do {
        token = json_scan_next(&scan, &value);
        if (token == JSON_NAME && scan.depth == 1 && slice_equal(value, SLICE("error"))) {
            (void)json_scan_next(&scan, &value);
            (void)cli_error(q->what, "the gateway says: %s",
                            json_unescape(value, why, sizeof(why)));
            return false;
        }
    } while (token != JSON_END && token != JSON_BAD);
    if (token == JSON_END)
        return true;
    (void)cli_error(q->what, "%s: the reply breaks off", q->path);
    return false;
}

/* Hands over the whole lines there are. False: no more is wanted, or (with *ok false) one is an
 * error. */
static bool hand_over(const struct question *q, struct buffer *got, struct cli_admin_lines *lines,
                      bool *ok)
{
    for (;;) {
        struct slice rest = buffer_contents(got);
        const char *end = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
        struct slice line = { rest.data, end != NULL ? (size_t)(end - rest.data) : 0 };

        if (end == NULL)
            return true;
        *ok = check_reply(q, line);
        if (!*ok || !lines->take(lines, line))
            return false;
        buffer_consume(got, line.len + 1);
    }
}

static bool receive_lines(struct question *q, struct buffer *got, struct cli_admin_lines *lines)
{
    bool ok = true;

    for (;;) {
        char *room;
        ssize_t n;

        if (buffer_reserve(got, CHUNK, &room) != STATUS_OK)
            return fail(q, EMSGSIZE);
        n = recv(q->fd, room, CHUNK, 0);
        if (n == 0 && buffer_len(got) > 0)
            (void)cli_error(q->what, "%s: the reply breaks off", q->path);
        if (n == 0)
            return buffer_len(got) == 0;
        if (n < 0 && errno == EAGAIN && !wait_for(q, POLLIN))
            return false;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(q, errno);
        if (n <= 0)
            continue;
        q->deadline_ms = clock_monotonic_ms() + CLI_ADMIN_SILENCE_MS;
        buffer_commit(got, (size_t)n);
        if (!hand_over(q, got, lines, &ok))
            return ok;
    }
}

bool cli_admin_stream(const char *what, const char *path, const char *request,
                      struct cli_admin_lines *lines)
{
    struct question q = { what, path, clock_monotonic_ms() + CLI_ADMIN_SILENCE_MS, -1 };
    struct buffer got;
    bool ok;

    buffer_init(&got, CLI_ADMIN_LINE_MAX + CHUNK);
    ok = connect_to(&q) && send_request(&q, request) && receive_lines(&q, &got, lines);
    if (q.fd >= 0)
        (void)close(q.fd);
    buffer_finish(&got);
    return ok;
}

bool cli_admin_ask(const char *what, const char *path, const char *request, struct buffer *reply)
{
    struct question q = { what, path, clock_monotonic_ms() + CLI_ADMIN_WAIT_MS, -1 };
    struct buffer got;
    struct slice text;
    bool ok;

    buffer_init(&got, GATEWAY_ADMIN_REPLY_MAX + CHUNK);
    ok = connect_to(&q) && send_request(&q, request) && receive_reply(&q, &got);
    text = buffer_contents(&got);
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    ok = ok && check_reply(&q, text);
    if (ok && buffer_append(reply, text) != STATUS_OK)
        ok = fail(&q, ENOMEM);
    if (q.fd >= 0)
        (void)close(q.fd);
    buffer_finish(&got);
    return ok;
}
