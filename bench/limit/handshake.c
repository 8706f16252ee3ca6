/* bench/limit/handshake - the least that a server of STARTTLS can do.
 *
 *     handshake PORT THREADS CHAIN KEY
 *
 * Says 220, answers EHLO, STARTTLS and QUIT, makes the handshake, answers EHLO and QUIT again; each
 * to peers who wait for the reply to one before they send the next. One epoll and one SSL_CTX for
 * each thread, pinned as the gateway's workers are; OpenSSL reads and writes the socket itself.
 * What decides about the handshake is as the gateway has it: TLS 1.2 and later, one ticket, its own
 * order of ciphers, no cache of sessions, buffers given back. Runs until it is killed.
 */
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/limit/limit.h"
#include "engine/thread.h"

#define EVENTS_MAX 256
#define IN_BYTES   1024u

static const char usage[] = "usage: handshake PORT THREADS CHAIN KEY\n";
static const char extensions[] = "250-limit.invalid\r\n250-PIPELINING\r\n250-SIZE 20971520\r\n"
                                 "250-STARTTLS\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                                 "250-ENHANCEDSTATUSCODES\r\n250 HELP\r\n";

enum state { STATE_PLAIN, STATE_HANDSHAKE, STATE_SECURE };

struct session {
    int fd;
    enum state state;
    SSL *ssl;
};

struct worker {
    struct engine_thread thread;
    uint16_t port;
    const char *chain;
    const char *key;
    int epoll;
    int listener;
    SSL_CTX *ctx;
};

static void end(struct session *s)
{
    if (s->ssl != NULL) {
        (void)SSL_shutdown(s->ssl);
        SSL_free(s->ssl);
    }
    (void)close(s->fd);
    free(s);
}

static void reply(struct session *s, const char *text, size_t bytes)
{
    if (s->state == STATE_SECURE ? SSL_write(s->ssl, text, (int)bytes) != (int)bytes
                                 : write(s->fd, text, bytes) != (ssize_t)bytes)
        limit_die("a reply is not taken");
}

#define REPLY(s, text) reply(s, text, sizeof(text) - 1)

/* False: the session has ended. */
static bool command(struct worker *w, struct session *s, char first)
{
    switch (first) {
    case 'E': REPLY(s, extensions); return true;
    case 'S':
        REPLY(s, "220 2.0.0 Ready\r\n");
        s->ssl = SSL_new(w->ctx);
        if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1)
            limit_die("SSL_new");
        SSL_set_accept_state(s->ssl);
        s->state = STATE_HANDSHAKE;
        return true;
    case 'Q': REPLY(s, "221 2.0.0 Bye\r\n"); break;
    default: REPLY(s, "500 5.5.1 What?\r\n"); break;
    }
    end(s);
    return false;
}

static void on_readable(struct worker *w, struct session *s)
{
    char in[IN_BYTES];
    ssize_t bytes;

    if (s->state == STATE_HANDSHAKE) {
        int result = SSL_do_handshake(s->ssl);

        if (result != 1) {
            if (SSL_get_error(s->ssl, result) != SSL_ERROR_WANT_READ)
                limit_die("a handshake fails");
            return;
        }
        s->state = STATE_SECURE;
        if (!SSL_has_pending(s->ssl))
            return;
    }
    if (s->state == STATE_SECURE) {
        bytes = SSL_read(s->ssl, in, sizeof(in));
        if (bytes < 0 && SSL_get_error(s->ssl, (int)bytes) == SSL_ERROR_WANT_READ)
            return;
    } else {
        bytes = read(s->fd, in, sizeof(in));
    }
    if (bytes <= 0)
        end(s);
    else
        (void)command(w, s, in[0]);
}

static void on_connection(struct worker *w)
{
    struct epoll_event event = { .events = EPOLLIN };
    struct session *s = calloc(1, sizeof(*s));

    if (s == NULL)
        limit_die("memory");
    s->fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    event.data.ptr = s;
    if (s->fd < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->fd, &event) != 0)
        limit_die("accept");
    REPLY(s, "220 limit.invalid ESMTP\r\n");
}

static SSL_CTX *make_context(const struct worker *w)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(ctx, w->chain) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, w->key, SSL_FILETYPE_PEM) != 1)
        limit_die("certificate");
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

static void run(struct engine_thread *thread)
{
    struct worker *w = CONTAINER_OF(thread, struct worker, thread);
    struct epoll_event events[EVENTS_MAX], event = { .events = EPOLLIN };

    w->ctx = make_context(w);
    w->listener = limit_listen(w->port);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->listener, &event) != 0)
        limit_die("epoll");
    for (;;) {
        int count = epoll_wait(w->epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                on_connection(w);
            else
                on_readable(w, events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    static struct worker workers[LIMIT_THREADS_MAX];
    uint64_t port = limit_number(argc == 5 ? argv[1] : "", UINT16_MAX, usage);
    uint64_t threads = limit_number(argv[2], LIMIT_THREADS_MAX, usage);

    for (unsigned i = 0; i < threads; i++) {
        workers[i].port = (uint16_t)port;
        workers[i].chain = argv[3];
        workers[i].key = argv[4];
        if (engine_thread_start(&workers[i].thread, "limit", (int)i, run) != STATUS_OK)
            limit_die("threads");
    }
    for (unsigned i = 0; i < threads; i++)
        engine_thread_join(&workers[i].thread);
    return 0;
}
