#include "gateway/kernel_tls.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/kernel_tls.h"
#include "gateway/worker.h"

#define WAIT_MS    1000 /* at the most, on the loopback */
#define WAIT_STEPS 1000

/* --- the self-test --------------------------------------------------------------------------- */

struct pair {
    int near, far; /* two ends of one connection; -1 where there is none */
};

static void pair_close(struct pair *p)
{
    if (p->near >= 0)
        (void)close(p->near);
    if (p->far >= 0)
        (void)close(p->far);
}

static bool pair_open(struct pair *p)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *p = (struct pair){ -1, -1 };
    if (listener < 0)
        return false;
    if (bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &len) == 0) {
        p->near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (p->near >= 0 && connect(p->near, (struct sockaddr *)&address, len) == 0)
            p->far = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    (void)close(listener);
    if (p->far >= 0)
        return true;
    pair_close(p);
    return false;
}

/* On a pair of its own, with a key like any other: nobody else is on the line. */
static bool try(bool (*works)(const struct pair *p, const struct tls_kernel_key *key), bool is_13,
                enum tls_kernel_cipher cipher)
{
    static const unsigned char bytes[32] = { 1, 2, 3 }, iv[12] = { 4, 5, 6 };
    struct tls_kernel_key key;
    struct pair p;
    bool result;

    if (!pair_open(&p))
        return false;
    tls_kernel_key_fill(&key, is_13 ? TLS_1_3_VERSION : TLS_1_2_VERSION, cipher, bytes, iv, 0);
    result = works(&p, &key);
    pair_close(&p);
    return result;
}

static bool is_readable(int fd, int wait_ms)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };

    return poll(&wait, 1, wait_ms) == 1;
}

/* What was sent is acknowledged, and so in the hands of the other end. */
static bool has_arrived(int fd)
{
    int left = 1;

    for (int i = 0; i < WAIT_STEPS && left > 0; i++) {
        if (ioctl(fd, SIOCOUTQ, &left) < 0)
            return false;
        if (left > 0)
            (void)usleep(WAIT_MS * 1000 / WAIT_STEPS);
    }
    return left == 0;
}

static bool is_there(const struct pair *p, const struct tls_kernel_key *key)
{
    (void)key;
    return p->far >= 0;
}

static bool has_module(const struct pair *p, const struct tls_kernel_key *key)
{
    (void)key;
    return engine_kernel_tls_start(p->near) == 0;
}

static bool takes_keys(const struct pair *p, const struct tls_kernel_key *key)
{
    return engine_kernel_tls_start(p->near) == 0 && engine_kernel_tls_start(p->far) == 0 &&
           engine_kernel_tls_key(p->near, ENGINE_TLS_SEND, &key->info, key->len) == 0 &&
           engine_kernel_tls_key(p->far, ENGINE_TLS_RECEIVE, &key->info, key->len) == 0;
}

static bool passes(const struct pair *p)
{
    static const char text[] = "postern";
    char got[sizeof(text)];

    return send(p->near, text, sizeof(text), MSG_NOSIGNAL) == (ssize_t)sizeof(text) &&
           is_readable(p->far, WAIT_MS) &&
           recv(p->far, got, sizeof(got), MSG_DONTWAIT) == (ssize_t)sizeof(got) &&
           memcmp(got, text, sizeof(text)) == 0;
}

static bool carries(const struct pair *p, const struct tls_kernel_key *key)
{
    return takes_keys(p, key) && passes(p);
}

/* The keys are set a second time, as a KeyUpdate demands. */
static bool rekeys(const struct pair *p, const struct tls_kernel_key *key)
{
    return takes_keys(p, key) && passes(p) &&
           engine_kernel_tls_key(p->near, ENGINE_TLS_SEND, &key->info, key->len) == 0 &&
           engine_kernel_tls_key(p->far, ENGINE_TLS_RECEIVE, &key->info, key->len) == 0 &&
           passes(p);
}

/* Linux 6.1 calls a socket readable that holds half a record. A receive through the ring then waits
 * in a thread of the kernel, of which there are few: whoever sends half records would stop the
 * work on files. */
static bool waits_inline(const struct pair *p, const struct tls_kernel_key *key)
{
    static const char half[] = { 23, 3, 3 };

    return engine_kernel_tls_start(p->far) == 0 &&
           engine_kernel_tls_key(p->far, ENGINE_TLS_RECEIVE, &key->info, key->len) == 0 &&
           send(p->near, half, sizeof(half), MSG_NOSIGNAL) == (ssize_t)sizeof(half) &&
           has_arrived(p->near) && !is_readable(p->far, 0);
}

void gateway_kernel_tls_probe(struct tls_kernel_support *support_out)
{
    *support_out =
        (struct tls_kernel_support){ .was_tried = try(is_there, true, TLS_KERNEL_AES_128_GCM) };
    support_out->has_module = try(has_module, true, TLS_KERNEL_AES_128_GCM);
    if (!support_out->has_module)
        return;
    for (int is_13 = 0; is_13 < 2; is_13++)
        for (int c = 0; c < TLS_KERNEL_CIPHERS_COUNT; c++)
            support_out->takes[is_13][c] = try(carries, is_13 == 1, (enum tls_kernel_cipher)c);
    support_out->rekeys = try(rekeys, true, TLS_KERNEL_AES_128_GCM);
    support_out->waits_inline = try(waits_inline, true, TLS_KERNEL_AES_128_GCM);
}

/* --- words ----------------------------------------------------------------------------------- */

static const char *const cipher_texts[TLS_KERNEL_CIPHERS_COUNT] = {
    [TLS_KERNEL_AES_128_GCM] = "AES-128-GCM",
    [TLS_KERNEL_AES_256_GCM] = "AES-256-GCM",
    [TLS_KERNEL_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

const char *gateway_kernel_tls_text(const struct tls_kernel_support *support,
                                    char text[static GATEWAY_KERNEL_TLS_TEXT_MAX])
{
    size_t len = 0;

    if (!support->was_tried) {
        (void)snprintf(text, GATEWAY_KERNEL_TLS_TEXT_MAX,
                       "kernel TLS: could not be tried, for want of a connection on the loopback; "
                       "OpenSSL makes all records");
        return text;
    }
    if (!support->has_module) {
        (void)snprintf(
            text, GATEWAY_KERNEL_TLS_TEXT_MAX,
            "kernel TLS: no module, OpenSSL makes all records; \"modprobe tls\" loads it "
            "where the kernel has it, a line \"tls\" in /etc/modules-load.d/tls.conf at "
            "every boot, and a reload lets new sessions use it");
        return text;
    }
    len = (size_t)snprintf(text, GATEWAY_KERNEL_TLS_TEXT_MAX, "kernel TLS:");
    for (int is_13 = 0; is_13 < 2; is_13++) {
        len += (size_t)snprintf(text + len, GATEWAY_KERNEL_TLS_TEXT_MAX - len, "%s TLS 1.%d",
                                is_13 ? ";" : "", 2 + is_13);
        for (int c = 0; c < TLS_KERNEL_CIPHERS_COUNT; c++)
            if (support->takes[is_13][c])
                len += (size_t)snprintf(text + len, GATEWAY_KERNEL_TLS_TEXT_MAX - len, " %s",
                                        cipher_texts[c]);
    }
    (void)snprintf(text + len, GATEWAY_KERNEL_TLS_TEXT_MAX - len, "; %s; %s",
                   support->rekeys ? "follows key updates" : "ends a session at a key update",
                   support->waits_inline
                       ? "both directions"
                       : "sending only, because a receive waits for half records in a thread");
    return text;
}

enum tls_kernel_use gateway_kernel_tls_use(enum policy_ktls ktls)
{
    switch (ktls) {
    case POLICY_KTLS_AUTO: return TLS_KERNEL_AUTO;
    case POLICY_KTLS_OFF: return TLS_KERNEL_OFF;
    case POLICY_KTLS_TX: return TLS_KERNEL_TX;
    case POLICY_KTLS_BOTH: return TLS_KERNEL_BOTH;
    }
    UNREACHABLE();
}

static const enum observe_counter reason_counters[TLS_KERNEL_REASONS_COUNT] = {
    [TLS_KERNEL_PENDING] = OBSERVE_KTLS_UNDECIDED,
    [TLS_KERNEL_SWITCHED_OFF] = OBSERVE_KTLS_SWITCHED_OFF,
    [TLS_KERNEL_NO_MODULE] = OBSERVE_KTLS_NO_MODULE,
    [TLS_KERNEL_HALF_RECORDS] = OBSERVE_KTLS_HALF_RECORDS,
    [TLS_KERNEL_VERSION] = OBSERVE_KTLS_VERSION,
    [TLS_KERNEL_CIPHER] = OBSERVE_KTLS_CIPHER,
    [TLS_KERNEL_FRAGMENT] = OBSERVE_KTLS_FRAGMENT,
    [TLS_KERNEL_UPDATED] = OBSERVE_KTLS_UPDATED,
    [TLS_KERNEL_UNSURE] = OBSERVE_KTLS_UNSURE,
    [TLS_KERNEL_REFUSED] = OBSERVE_KTLS_REFUSED,
};

static const char *tell_direction(struct gateway_worker *w, const struct tls_session *tls,
                                  enum tls_direction direction, char *text, size_t text_bytes)
{
    enum tls_kernel_reason reason = tls_kernel_reason(tls, direction);

    if (reason == TLS_KERNEL_TAKEN) {
        observe_count(&w->counters,
                      direction == TLS_SEND ? OBSERVE_KTLS_SEND : OBSERVE_KTLS_RECEIVE, 1);
        return "kernel";
    }
    observe_count(&w->counters, reason_counters[reason], 1);
    (void)snprintf(text, text_bytes, "OpenSSL (%s)", tls_kernel_reason_text(reason));
    return text;
}

void gateway_kernel_tls_tell(struct gateway_worker *w, const char *kind, uint64_t id,
                             const struct tls_session *tls)
{
    char send_text[64], receive_text[64];
    const char *sends = tell_direction(w, tls, TLS_SEND, send_text, sizeof(send_text));
    const char *receives = tell_direction(w, tls, TLS_RECEIVE, receive_text, sizeof(receive_text));

    observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w),
                     "%s %llu TLS records: send %s, receive %s", kind, (unsigned long long)id,
                     sends, receives);
}

void gateway_kernel_tls_tell_end(struct gateway_worker *w, const char *kind, uint64_t id,
                                 const struct tls_session *tls)
{
    const char *error = tls != NULL ? tls_session_error(tls) : "";
    const char *ending = tls != NULL ? tls_session_ending(tls) : NULL;

    if (error[0] != '\0')
        observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w), "%s %llu TLS failed: %s",
                         kind, (unsigned long long)id, error);
    else if (ending != NULL)
        observe_log_line(w->log, OBSERVE_INFO, gateway_worker_now_s(w), "%s %llu TLS ended: %s",
                         kind, (unsigned long long)id, ending);
}

static bool is_demanding(enum policy_ktls ktls)
{
    return ktls == POLICY_KTLS_TX || ktls == POLICY_KTLS_BOTH;
}

bool gateway_kernel_tls_is_demanded(const struct config_settings *settings)
{
    bool is_demanded = is_demanding(settings->ktls);

    for (size_t i = 0; i < settings->listeners_count; i++)
        is_demanded = is_demanded || is_demanding(settings->listeners[i].ktls);
    return is_demanded;
}
