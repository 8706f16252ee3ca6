/* bench/limit/send - the least that a sender of mail can do, over connections that stay.
 *
 *     send PORT THREADS CONNECTIONS BYTES
 *
 * Connects to 127.0.0.1:PORT and says EHLO. Each line of standard input is a run of so many
 * messages of so many bytes; the answer is an object of JSON on a line. A message is sent as the
 * gateway's outbound half does: MAIL, RCPT and DATA at once, then the body in one piece. One ring
 * for each thread, pinned as the gateway's workers are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/limit/limit.h"
#include "engine/thread.h"

#define IN_BYTES        1024u
#define ENVELOPE_BYTES  160u
#define CONNECTIONS_MAX 1000u
#define BYTES_MAX       (64u << 20)
#define COUNT_MAX       100000000u
#define LINE_BYTES      72u
#define INPUT_ROOM      32

static const char usage[] = "usage: send PORT THREADS CONNECTIONS BYTES <<< MESSAGES\n";

enum op { OP_RECV, OP_SEND };

/* What the next piece is when all replies have come. */
enum step { STEP_HELLO, STEP_READY, STEP_ENVELOPE, STEP_BODY };

struct connection {
    int fd;
    enum step step;
    unsigned replies; /* still to come */
    size_t held;
    char in[IN_BYTES];
};

struct worker {
    struct engine_thread thread;
    struct task *task;
    struct io_uring ring;
    struct connection *connections;
    unsigned connections_count;
    unsigned ready;
    uint64_t left;    /* to be begun */
    uint64_t pending; /* to be answered */
};

struct task {
    struct worker workers[LIMIT_THREADS_MAX];
    unsigned workers_count;
    uint16_t port;
    pthread_barrier_t begin, end;
    char envelope[ENVELOPE_BYTES];
    size_t envelope_bytes;
    char *message;
    size_t message_bytes;
};

static void send_piece(struct worker *w, struct connection *c, const char *data, size_t bytes)
{
    struct io_uring_sqe *sqe = limit_ring_sqe(&w->ring);

    io_uring_prep_send(sqe, c->fd, data, bytes, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    limit_ring_tag(sqe, c, OP_SEND);
}

static void await(struct worker *w, struct connection *c)
{
    struct io_uring_sqe *sqe = limit_ring_sqe(&w->ring);

    io_uring_prep_recv(sqe, c->fd, c->in + c->held, IN_BYTES - c->held, 0);
    limit_ring_tag(sqe, c, OP_RECV);
}

static void begin_message(struct worker *w, struct connection *c)
{
    w->left--;
    c->step = STEP_ENVELOPE;
    c->replies = 3;
    send_piece(w, c, w->task->envelope, w->task->envelope_bytes);
    await(w, c);
}

static void proceed(struct worker *w, struct connection *c)
{
    static const char hello[] = "EHLO limit.invalid\r\n";

    switch (c->step) {
    case STEP_HELLO:
        c->step = STEP_READY;
        c->replies = 1;
        send_piece(w, c, hello, sizeof(hello) - 1);
        await(w, c);
        return;
    case STEP_READY: w->ready++; return;
    case STEP_ENVELOPE:
        c->step = STEP_BODY;
        c->replies = 1;
        send_piece(w, c, w->task->message, w->task->message_bytes);
        await(w, c);
        return;
    case STEP_BODY:
        w->pending--;
        if (w->left > 0)
            begin_message(w, c);
        return;
    }
}

static void on_input(struct worker *w, struct connection *c, int result)
{
    const char *line = c->in, *newline;

    if (result <= 0)
        limit_die("the receiver closed a connection");
    c->held += (size_t)result;
    while ((newline = memchr(line, '\n', c->held)) != NULL) {
        if (*line != '2' && *line != '3')
            limit_die("the receiver refuses");
        c->replies -= line[3] != '-';
        c->held -= (size_t)(newline + 1 - line);
        line = newline + 1;
    }
    memmove(c->in, line, c->held);
    if (c->replies == 0)
        proceed(w, c);
    else
        await(w, c);
}

static void turn(struct worker *w)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    (void)io_uring_submit_and_wait(&w->ring, 1);
    io_uring_for_each_cqe(&w->ring, head, cqe)
    {
        if ((enum op)limit_ring_op(cqe) != OP_RECV)
            limit_die("send");
        on_input(w, limit_ring_object(cqe), cqe->res);
        count++;
    }
    io_uring_cq_advance(&w->ring, count);
}

static void open_connection(struct worker *w, struct connection *c)
{
    c->fd = limit_dial(w->task->port);
    c->replies = 1;
    await(w, c);
}

static void run(struct engine_thread *thread)
{
    struct worker *w = CONTAINER_OF(thread, struct worker, thread);

    limit_ring_init(&w->ring);
    w->connections = calloc(w->connections_count, sizeof(*w->connections));
    if (w->connections == NULL)
        limit_die("memory");
    for (unsigned i = 0; i < w->connections_count; i++)
        open_connection(w, &w->connections[i]);
    while (w->ready < w->connections_count)
        turn(w);
    for (;;) {
        (void)pthread_barrier_wait(&w->task->begin);
        w->pending = w->left;
        for (unsigned i = 0; i < w->connections_count && w->left > 0; i++)
            begin_message(w, &w->connections[i]);
        while (w->pending > 0)
            turn(w);
        (void)pthread_barrier_wait(&w->task->end);
    }
}

/* Lines of text, and the final dot. */
static void make_message(struct task *k, size_t bytes)
{
    k->message = bytes >= 2 ? malloc(bytes + 3) : NULL;
    if (k->message == NULL)
        limit_die("memory");
    for (size_t i = 0; i < bytes; i++)
        k->message[i] = i % LINE_BYTES == LINE_BYTES - 2   ? '\r'
                        : i % LINE_BYTES == LINE_BYTES - 1 ? '\n'
                                                           : 'x';
    memcpy(k->message + bytes - 2, "\r\n.\r\n", 5);
    k->message_bytes = bytes + 3;
    k->envelope_bytes = (size_t)snprintf(k->envelope, sizeof(k->envelope),
                                         "MAIL FROM:<sender@load.invalid> SIZE=%zu\r\n"
                                         "RCPT TO:<user1234@example.com>\r\nDATA\r\n",
                                         bytes);
}

static void measure(struct task *k, uint64_t count)
{
    uint64_t began_us = limit_now_us();
    double cpu_s = limit_cpu_seconds();

    for (unsigned i = 0; i < k->workers_count; i++)
        k->workers[i].left = count / k->workers_count + (i < count % k->workers_count);
    (void)pthread_barrier_wait(&k->begin);
    (void)pthread_barrier_wait(&k->end);
    printf("{\"count\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
           (unsigned long long)count, (double)(limit_now_us() - began_us) / 1e6,
           limit_cpu_seconds() - cpu_s);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct task k;
    unsigned connections;
    char line[INPUT_ROOM];

    k.port = (uint16_t)limit_number(argc == 5 ? argv[1] : "", UINT16_MAX, usage);
    k.workers_count = (unsigned)limit_number(argv[2], LIMIT_THREADS_MAX, usage);
    connections = (unsigned)limit_number(argv[3], CONNECTIONS_MAX, usage);
    make_message(&k, (size_t)limit_number(argv[4], BYTES_MAX, usage));
    (void)pthread_barrier_init(&k.begin, NULL, k.workers_count + 1);
    (void)pthread_barrier_init(&k.end, NULL, k.workers_count + 1);
    for (unsigned i = 0; i < k.workers_count; i++) {
        struct worker *w = &k.workers[i];

        w->task = &k;
        w->connections_count = connections / k.workers_count + (i < connections % k.workers_count);
        if (engine_thread_start(&w->thread, "limit", (int)i, run) != STATUS_OK)
            limit_die("threads");
    }
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        measure(&k, limit_number(line, COUNT_MAX, usage));
    }
    return 0;
}
