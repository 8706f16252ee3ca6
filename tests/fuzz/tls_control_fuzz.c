/* Any records that are not data, in any order, at a session that the kernel has both ways: none is
 * an assertion, a failure has a reason and is for good, and what is said is well formed.
 *
 * Input: a byte of flags, then records: type, length, that many bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "tls/internal.h"

#define IS_SERVER 1
#define IS_13     2
#define REKEYS    4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the hand-over leaves it, without the handshake that would take most of the time. */
static struct tls_session *session(uint8_t flags, struct tls_kernel_support *support)
{
    static SSL *ssl;
    struct tls_session *s = calloc(1, sizeof(*s));

    if (ssl == NULL)
        ssl = SSL_new(SSL_CTX_new(TLS_method()));
    ASSERT(s != NULL && ssl != NULL);
    *support = (struct tls_kernel_support){ .has_module = true, .rekeys = flags & REKEYS };
    s->is_server = flags & IS_SERVER;
    s->established = true;
    s->kernel = (struct tls_kernel){
        .support = support,
        .cipher = SSL_CIPHER_find(ssl, (const unsigned char *)"\x13\x02"),
        .reasons = { TLS_KERNEL_TAKEN, TLS_KERNEL_TAKEN },
    };
    ASSERT(s->kernel.cipher != NULL);
    s->kernel.is_13 = flags & IS_13;
    if (s->kernel.is_13)
        s->kernel.secrets[TLS_SEND].len = s->kernel.secrets[TLS_RECEIVE].len = 48;
    return s;
}

static void say_all(struct tls_session *s)
{
    while (tls_kernel_has_record(s)) {
        struct tls_control_record record;
        struct tls_kernel_key key;

        ASSERT(tls_kernel_next_record(s, &record) == STATUS_OK);
        ASSERT(record.type == SSL3_RT_ALERT ? record.len == 2
                                            : record.type == SSL3_RT_HANDSHAKE && record.len == 5);
        if (!record.changes_key)
            continue;
        ASSERT(tls_kernel_key(s, TLS_SEND, &key) == STATUS_OK);
        tls_kernel_key_finish(&key);
    }
}

static void record_came(struct tls_session *s, uint8_t type, struct slice record)
{
    bool had_failed = tls_session_error(s)[0] != '\0';
    struct tls_kernel_key key;

    switch (tls_kernel_control(s, type, record)) {
    case TLS_CONTROL_DONE: ASSERT(!had_failed); break;
    case TLS_CONTROL_KEY:
        ASSERT(!had_failed && tls_kernel_key(s, TLS_RECEIVE, &key) == STATUS_OK);
        tls_kernel_key_finish(&key);
        break;
    case TLS_CONTROL_CLOSED: ASSERT(!had_failed); break;
    case TLS_CONTROL_FAILED: ASSERT(tls_session_error(s)[0] != '\0'); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_kernel_support support;
    struct tls_session *s;

    if (size < 1)
        return 0;
    s = session(data[0], &support);
    for (size_t at = 1; at + 2 <= size;) {
        uint8_t type = data[at];
        size_t len = data[at + 1], left = size - at - 2;

        len = len < left ? len : left;
        record_came(s, type, (struct slice){ (const char *)data + at + 2, len });
        say_all(s);
        at += 2 + len;
    }
    tls_session_destroy(s);
    return 0;
}
