/* bench/limit/dial - sessions one after the other, each step waited for; and a ping-pong.
 *
 *     dial plain PORT THREADS       220, EHLO, QUIT
 *     dial handshake PORT THREADS   220, EHLO, STARTTLS, TLS 1.3 without resumption, EHLO, QUIT
 *     dial mail PORT THREADS        220, EHLO, a message of 4 KiB, QUIT; what can be pipelined, is
 *     dial ping                     64 bytes to a thread on the first processor, and back
 *
 * Each line of standard input is a run of so many sessions (or pings), on as many threads at once;
 * the answer is an object of JSON on a line. Nothing is verified. It waits in the kernel, so that a
 * latency is that of whom it asks, and of two wake-ups. One thread alone keeps to the last
 * processor and several go where the kernel likes: a real client would not share the worker's.
 */
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/limit/limit.h"
#include "cli/load_histogram.h"
#include "engine/thread.h"

#define IN_BYTES   2048u
#define PING_BYTES 64u
#define BODY_BYTES 4096u
#define LINE_BYTES 72u
#define COUNT_MAX  10000000u
#define INPUT_ROOM 32

static const char usage[] = "usage: dial plain|handshake|mail PORT THREADS <<< SESSIONS\n"
                            "       dial ping <<< PINGS\n";
static const char hello[] = "EHLO limit.invalid\r\n";
static const char envelope[] = "MAIL FROM:<sender@load.invalid>\r\n"
                               "RCPT TO:<someone@example.com>\r\nDATA\r\n";
static char message[BODY_BYTES + 5];

struct caller {
    struct engine_thread thread;
    struct task *task;
    SSL_CTX *ctx;
    int fd;
    SSL *ssl; /* NULL: in the clear */
    struct load_histogram *latency_us;
};

struct task {
    void (*one)(struct caller *c);
    uint16_t port;
    unsigned callers_count;
    uint64_t count;
    _Atomic uint64_t next;
    pthread_barrier_t begin, end;
    struct caller callers[LIMIT_THREADS_MAX];
};

static void dial(struct caller *c)
{
    c->fd = limit_dial(c->task->port);
}

static void say(struct caller *c, const char *text, size_t bytes)
{
    if (c->ssl != NULL ? SSL_write(c->ssl, text, (int)bytes) != (int)bytes
                       : write(c->fd, text, bytes) != (ssize_t)bytes)
        limit_die("write");
}

/* So many replies, each of 2yz or 3yz. */
static void hear(struct caller *c, unsigned replies)
{
    char in[IN_BYTES];
    size_t held = 0;

    while (replies > 0) {
        ssize_t bytes = c->ssl != NULL ? SSL_read(c->ssl, in + held, (int)(IN_BYTES - held))
                                       : read(c->fd, in + held, IN_BYTES - held);
        const char *line = in, *newline;

        if (bytes <= 0)
            limit_die("the server has closed a session");
        held += (size_t)bytes;
        while ((newline = memchr(line, '\n', held)) != NULL) {
            if (*line != '2' && *line != '3')
                limit_die("the server refuses");
            replies -= line[3] != '-';
            held -= (size_t)(newline + 1 - line);
            line = newline + 1;
        }
        memmove(in, line, held);
    }
}

static void ask(struct caller *c, const char *text, size_t bytes, unsigned replies)
{
    say(c, text, bytes);
    hear(c, replies);
}

#define ASK(c, text) ask(c, text, sizeof(text) - 1, 1)

static void hang_up(struct caller *c)
{
    ASK(c, "QUIT\r\n");
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    (void)close(c->fd);
}

static void one_plain(struct caller *c)
{
    dial(c);
    hear(c, 1);
    ASK(c, hello);
    hang_up(c);
}

static void one_handshake(struct caller *c)
{
    SSL *ssl;

    dial(c);
    hear(c, 1);
    ASK(c, hello);
    ASK(c, "STARTTLS\r\n");
    ssl = SSL_new(c->ctx);
    if (ssl == NULL || SSL_set_fd(ssl, c->fd) != 1 || SSL_connect(ssl) != 1)
        limit_die("handshake");
    c->ssl = ssl;
    ASK(c, hello);
    hang_up(c);
}

static void one_mail(struct caller *c)
{
    dial(c);
    hear(c, 1);
    ASK(c, hello);
    ask(c, envelope, sizeof(envelope) - 1, 3);
    ask(c, message, sizeof(message), 1);
    hang_up(c);
}

static void one_ping(struct caller *c)
{
    char in[PING_BYTES];

    say(c, message, PING_BYTES);
    if (read(c->fd, in, sizeof(in)) != PING_BYTES)
        limit_die("ping");
}

static void answer_pings(struct engine_thread *thread)
{
    struct caller *c = CONTAINER_OF(thread, struct caller, thread);
    int fd = accept(c->fd, NULL, NULL);
    char in[PING_BYTES];

    while (read(fd, in, sizeof(in)) == PING_BYTES)
        if (write(fd, in, sizeof(in)) != PING_BYTES)
            limit_die("pong");
}

/* Pinned as a worker of the gateway is. */
static void start_pong(struct task *k)
{
    static struct caller pong;
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);

    pong.fd = limit_listen(0);
    if (getsockname(pong.fd, (struct sockaddr *)&address, &bytes) != 0 ||
        engine_thread_start(&pong.thread, "pong", 0, answer_pings) != STATUS_OK)
        limit_die("pong");
    k->port = ntohs(address.sin_port);
}

static void run(struct engine_thread *thread)
{
    struct caller *c = CONTAINER_OF(thread, struct caller, thread);
    struct task *k = c->task;

    c->ctx = SSL_CTX_new(TLS_client_method());
    if (c->ctx == NULL || SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION) != 1)
        limit_die("SSL_CTX_new");
    (void)SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(c->ctx, 1);
    if (k->one == one_ping)
        dial(c);
    for (;;) {
        (void)pthread_barrier_wait(&k->begin);
        while (atomic_fetch_add(&k->next, 1) < k->count) {
            uint64_t before_us = limit_now_us();

            k->one(c);
            load_histogram_record(c->latency_us, limit_now_us() - before_us);
        }
        (void)pthread_barrier_wait(&k->end);
    }
}

static void measure(struct task *k, uint64_t count)
{
    struct load_histogram *all = calloc(1, sizeof(*all));
    uint64_t began_us = limit_now_us(), ended_us;
    double cpu_s = limit_cpu_seconds();

    if (all == NULL)
        limit_die("memory");
    k->count = count;
    atomic_store(&k->next, 0);
    (void)pthread_barrier_wait(&k->begin);
    (void)pthread_barrier_wait(&k->end);
    ended_us = limit_now_us();
    for (unsigned i = 0; i < k->callers_count; i++) {
        load_histogram_merge(all, k->callers[i].latency_us);
        memset(k->callers[i].latency_us, 0, sizeof(*all));
    }
    printf("{\"count\": %llu, \"seconds\": %.6f, \"p50_us\": %llu, \"mean_us\": %llu, "
           "\"cpu_seconds\": %.6f}\n",
           (unsigned long long)count, (double)(ended_us - began_us) / 1e6,
           (unsigned long long)load_histogram_percentile(all, 500000),
           (unsigned long long)load_histogram_mean(all), limit_cpu_seconds() - cpu_s);
    (void)fflush(stdout);
    free(all);
}

static void start(struct task *k)
{
    int cpu = k->callers_count == 1 ? (int)engine_thread_cpus() - 1 : ENGINE_THREAD_ANY_CPU;

    (void)pthread_barrier_init(&k->begin, NULL, k->callers_count + 1);
    (void)pthread_barrier_init(&k->end, NULL, k->callers_count + 1);
    for (unsigned i = 0; i < k->callers_count; i++) {
        struct caller *c = &k->callers[i];

        c->task = k;
        c->latency_us = calloc(1, sizeof(*c->latency_us));
        if (c->latency_us == NULL || engine_thread_start(&c->thread, "dial", cpu, run) != STATUS_OK)
            limit_die("threads");
    }
}

static void make_message(void)
{
    for (size_t i = 0; i < BODY_BYTES; i++)
        message[i] = i % LINE_BYTES == LINE_BYTES - 2   ? '\r'
                     : i % LINE_BYTES == LINE_BYTES - 1 ? '\n'
                                                        : 'x';
    memcpy(message + BODY_BYTES, "\r\n.\r\n", sizeof(message) - BODY_BYTES);
}

int main(int argc, char **argv)
{
    static struct task k;
    const char *mode = argc > 1 ? argv[1] : "";
    char line[INPUT_ROOM];

    make_message();
    k.callers_count = 1;
    if (argc == 2 && strcmp(mode, "ping") == 0) {
        k.one = one_ping;
        start_pong(&k);
    } else {
        k.one = strcmp(mode, "plain") == 0       ? one_plain
                : strcmp(mode, "handshake") == 0 ? one_handshake
                                                 : one_mail;
        k.port = (uint16_t)limit_number(argc == 4 ? argv[2] : "", UINT16_MAX, usage);
        k.callers_count = (unsigned)limit_number(argv[3], LIMIT_THREADS_MAX, usage);
    }
    start(&k);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        measure(&k, limit_number(line, COUNT_MAX, usage));
    }
    return 0;
}
