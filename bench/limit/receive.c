/* bench/limit/receive - the least that a receiver of mail can do.
 *
 *     receive PORT THREADS
 *
 * Takes what postern load and smtp-source send, and throws it away. One ring for each thread,
 * pinned as the gateway's workers are; one send and one recv in flight for each connection; replies
 * are gathered as the commands came. A body ends where what was received ends with its final dot:
 * nobody looks at it. Runs until it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/limit/limit.h"
#include "engine/thread.h"

#define IN_BYTES    ((size_t)64 * 1024)
#define REPLY_BYTES 512u
#define DOT_BYTES   5u

static const char usage[] = "usage: receive PORT THREADS\n";
static const char extensions[] = "250-limit.invalid\r\n250-PIPELINING\r\n250-SIZE 1073741824\r\n"
                                 "250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_CLOSE };

struct session {
    int fd;
    bool is_sending;
    bool is_body;
    bool is_closing;
    bool has_input; /* came while a reply was on its way */
    size_t held;    /* in `in` */
    size_t reply_bytes;
    char dot[DOT_BYTES]; /* the last bytes of the body */
    char reply[REPLY_BYTES];
    char in[IN_BYTES];
};

struct worker {
    struct engine_thread thread;
    struct io_uring ring;
    uint16_t port;
};

static void end(struct worker *w, struct session *s)
{
    struct io_uring_sqe *sqe = limit_ring_sqe(&w->ring);

    io_uring_prep_close(sqe, s->fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    limit_ring_tag(sqe, NULL, OP_CLOSE);
    free(s);
}

static void reply(struct session *s, const char *text, size_t bytes)
{
    if (s->reply_bytes + bytes > REPLY_BYTES)
        limit_die("too many commands at once");
    memcpy(s->reply + s->reply_bytes, text, bytes);
    s->reply_bytes += bytes;
}

#define REPLY(s, text) reply(s, text, sizeof(text) - 1)

static void command(struct session *s, char first)
{
    switch (first) {
    case 'E': REPLY(s, extensions); return;
    case 'H': REPLY(s, "250 limit.invalid\r\n"); return;
    case 'M': REPLY(s, "250 2.1.0 Ok\r\n"); return;
    case 'R': REPLY(s, "250 2.1.5 Ok\r\n"); return;
    case 'D':
        REPLY(s, "354 Go on\r\n");
        s->is_body = true;
        memcpy(s->dot, "   \r\n", DOT_BYTES);
        return;
    case 'Q':
        REPLY(s, "221 2.0.0 Bye\r\n");
        s->is_closing = true;
        return;
    default: REPLY(s, "500 5.5.1 What?\r\n");
    }
}

static void body(struct session *s, const char *data, size_t bytes)
{
    if (bytes >= DOT_BYTES) {
        memcpy(s->dot, data + bytes - DOT_BYTES, DOT_BYTES);
    } else {
        memmove(s->dot, s->dot + bytes, DOT_BYTES - bytes);
        memcpy(s->dot + DOT_BYTES - bytes, data, bytes);
    }
    if (memcmp(s->dot, "\r\n.\r\n", DOT_BYTES) != 0)
        return;
    REPLY(s, "250 2.0.0 Ok\r\n");
    s->is_body = false;
}

static void take_input(struct session *s)
{
    size_t at = 0;

    while (at < s->held) {
        const char *line = s->in + at, *newline;

        if (s->is_body) {
            body(s, line, s->held - at);
            at = s->held;
            break;
        }
        newline = memchr(line, '\n', s->held - at);
        if (newline == NULL)
            break;
        command(s, *line);
        at += (size_t)(newline + 1 - line);
    }
    s->held -= at;
    if (s->held > 0)
        memmove(s->in, s->in + at, s->held);
}

static void proceed(struct worker *w, struct session *s)
{
    struct io_uring_sqe *sqe;

    take_input(s);
    if (s->reply_bytes > 0) {
        sqe = limit_ring_sqe(&w->ring);
        io_uring_prep_send(sqe, s->fd, s->reply, s->reply_bytes, MSG_NOSIGNAL | MSG_WAITALL);
        limit_ring_tag(sqe, s, OP_SEND);
        s->is_sending = true;
    }
    if (s->is_closing)
        return;
    sqe = limit_ring_sqe(&w->ring);
    io_uring_prep_recv(sqe, s->fd, s->in + s->held, IN_BYTES - s->held, 0);
    limit_ring_tag(sqe, s, OP_RECV);
}

static void on_accept(struct worker *w, int fd)
{
    struct session *s = malloc(sizeof(*s));

    if (fd < 0 || s == NULL)
        limit_die("accept");
    memset(s, 0, offsetof(struct session, dot));
    s->fd = fd;
    REPLY(s, "220 limit.invalid ESMTP\r\n");
    proceed(w, s);
}

static void on_recv(struct worker *w, struct session *s, int result)
{
    if (result <= 0) {
        s->is_closing = true;
        if (!s->is_sending)
            end(w, s);
        return;
    }
    s->held += (size_t)result;
    if (s->is_sending)
        s->has_input = true;
    else
        proceed(w, s);
}

static void on_sent(struct worker *w, struct session *s)
{
    s->is_sending = false;
    s->reply_bytes = 0;
    if (s->is_closing) {
        end(w, s);
    } else if (s->has_input) {
        s->has_input = false;
        proceed(w, s);
    }
}

static void complete(struct worker *w, const struct io_uring_cqe *cqe)
{
    struct session *s = limit_ring_object(cqe);

    switch ((enum op)limit_ring_op(cqe)) {
    case OP_ACCEPT: on_accept(w, cqe->res); return;
    case OP_RECV: on_recv(w, s, cqe->res); return;
    case OP_SEND: on_sent(w, s); return;
    case OP_CLOSE: limit_die("close");
    }
}

static void run(struct engine_thread *thread)
{
    struct worker *w = CONTAINER_OF(thread, struct worker, thread);
    struct io_uring_sqe *sqe;

    limit_ring_init(&w->ring);
    sqe = limit_ring_sqe(&w->ring);
    io_uring_prep_multishot_accept(sqe, limit_listen(w->port), NULL, NULL, SOCK_CLOEXEC);
    limit_ring_tag(sqe, NULL, OP_ACCEPT);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;

        (void)io_uring_submit_and_wait(&w->ring, 1);
        io_uring_for_each_cqe(&w->ring, head, cqe)
        {
            complete(w, cqe);
            count++;
        }
        io_uring_cq_advance(&w->ring, count);
    }
}

int main(int argc, char **argv)
{
    static struct worker workers[LIMIT_THREADS_MAX];
    uint64_t port = limit_number(argc == 3 ? argv[1] : "", UINT16_MAX, usage);
    uint64_t threads = limit_number(argv[2], LIMIT_THREADS_MAX, usage);

    for (unsigned i = 0; i < threads; i++) {
        workers[i].port = (uint16_t)port;
        if (engine_thread_start(&workers[i].thread, "limit", (int)i, run) != STATUS_OK)
            limit_die("threads");
    }
    for (unsigned i = 0; i < threads; i++)
        engine_thread_join(&workers[i].thread);
    return 0;
}
