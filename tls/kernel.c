#include "tls/kernel.h"

#include <assert.h>
#include <openssl/crypto.h>

#include "tls/internal.h"

#define CLIENT_SECRET "CLIENT_TRAFFIC_SECRET_0 "
#define SERVER_SECRET "SERVER_TRAFFIC_SECRET_0 "

#define KEY_UPDATE_BYTES 5

static_assert(TLS_KERNEL_REASONS_COUNT <= UINT8_MAX, "fits into a byte");

static const char *const reason_texts[TLS_KERNEL_REASONS_COUNT] = {
    [TLS_KERNEL_PENDING] = "ended before",
    [TLS_KERNEL_TAKEN] = "kernel",
    [TLS_KERNEL_SWITCHED_OFF] = "switched off",
    [TLS_KERNEL_NO_MODULE] = "no module",
    [TLS_KERNEL_HALF_RECORDS] = "kernel waits for half records",
    [TLS_KERNEL_VERSION] = "version",
    [TLS_KERNEL_CIPHER] = "cipher",
    [TLS_KERNEL_FRAGMENT] = "fragment length",
    [TLS_KERNEL_UPDATED] = "key update",
    [TLS_KERNEL_UNSURE] = "record boundary unknown",
    [TLS_KERNEL_REFUSED] = "refused by the kernel",
};

const char *tls_kernel_reason_text(enum tls_kernel_reason reason)
{
    ASSERT((unsigned)reason < TLS_KERNEL_REASONS_COUNT);
    return reason_texts[reason];
}

/* --- before the hand-over -------------------------------------------------------------------- */

static bool hex_to_secret(const char *text, struct tls_secret *secret)
{
    size_t len = 0;

    if (OPENSSL_hexstr2buf_ex(secret->bytes, sizeof(secret->bytes), &len, text, '\0') != 1)
        return false;
    secret->len = (uint8_t)len;
    return true;
}

/* OpenSSL says this line at the moment when it begins to use the secret, everything before it being
 * written or read. The line is "LABEL CLIENT_RANDOM SECRET" in hexadecimal digits. */
static void on_secret(const SSL *ssl, const char *line)
{
    struct tls_session *s = SSL_get_app_data(ssl);
    bool of_client = strncmp(line, CLIENT_SECRET, sizeof(CLIENT_SECRET) - 1) == 0;
    bool of_server = strncmp(line, SERVER_SECRET, sizeof(SERVER_SECRET) - 1) == 0;
    enum tls_direction direction;
    const char *last = strrchr(line, ' ');

    if ((!of_client && !of_server) || s == NULL || s->kernel.support == NULL || last == NULL)
        return;
    direction = of_server == s->is_server ? TLS_SEND : TLS_RECEIVE;
    tls_records_restart(&s->records[direction]);
    if (!hex_to_secret(last + 1, &s->kernel.secrets[direction]))
        s->kernel.secrets[direction].len = 0;
}

void tls_kernel_attach(SSL_CTX *ctx)
{
    SSL_CTX_set_keylog_callback(ctx, on_secret);
}

/* The secrets are needed for keys that are still to be given, and for key updates. */
static void cleanse_if_done(struct tls_session *s)
{
    const struct tls_kernel *k = &s->kernel;
    bool is_pending =
        k->reasons[TLS_SEND] == TLS_KERNEL_PENDING || k->reasons[TLS_RECEIVE] == TLS_KERNEL_PENDING;
    bool is_taken = tls_kernel_has(s, TLS_SEND) || tls_kernel_has(s, TLS_RECEIVE);

    if (!is_pending && !(is_taken && k->support->rekeys))
        tls_kernel_finish(s);
}

void tls_kernel_settle(struct tls_session *s, enum tls_direction direction,
                       enum tls_kernel_reason reason)
{
    ASSERT(s->kernel.reasons[direction] == TLS_KERNEL_PENDING);
    s->kernel.reasons[direction] = (uint8_t)reason;
    cleanse_if_done(s);
}

/* OpenSSL read a KeyUpdate. Where it also sends, it changes both keys by itself; where the kernel
 * does, an answer that was asked for is ours to send. */
static void update_was_read(struct tls_session *s, const unsigned char *message, size_t len)
{
    bool asks = len == KEY_UPDATE_BYTES && message[len - 1] == SSL_KEY_UPDATE_REQUESTED;

    if (tls_kernel_reason(s, TLS_RECEIVE) == TLS_KERNEL_PENDING)
        tls_kernel_settle(s, TLS_RECEIVE, TLS_KERNEL_UPDATED);
    if (asks && tls_kernel_reason(s, TLS_SEND) == TLS_KERNEL_PENDING)
        tls_kernel_settle(s, TLS_SEND, TLS_KERNEL_UPDATED);
    if (asks && tls_kernel_has(s, TLS_SEND))
        tls_kernel_answer_update(s);
}

/* Sees what OpenSSL reads and means to write besides data. */
static void on_message(int is_written, int version, int type, const void *bytes, size_t len,
                       SSL *ssl, void *context)
{
    struct tls_session *s = context;
    const unsigned char *message = bytes;

    (void)version;
    (void)ssl;
    if (!s->established)
        return;
    if (type == SSL3_RT_ALERT && is_written && len == 2 && tls_kernel_has(s, TLS_SEND))
        tls_kernel_say_alert(s, message[0], message[1]);
    if (type == SSL3_RT_HANDSHAKE && !is_written && len > 0 && message[0] == SSL3_MT_KEY_UPDATE)
        update_was_read(s, message, len);
}

void tls_kernel_allow(struct tls_session *s, const struct tls_kernel_support *support,
                      enum tls_kernel_use use)
{
    ASSERT(!s->established && s->kernel.support == NULL);
    s->kernel.support = support;
    s->kernel.use = (uint8_t)use;
    if (use == TLS_KERNEL_OFF || !support->has_module)
        return;
    SSL_set_msg_callback(s->ssl, on_message);
    SSL_set_msg_callback_arg(s->ssl, s);
}

static enum tls_kernel_reason reason_for(const struct tls_session *s, enum tls_direction direction)
{
    const struct tls_kernel *k = &s->kernel;
    enum tls_kernel_cipher cipher;
    bool is_known = tls_keys_cipher(k->cipher, &cipher);
    bool wants = direction == TLS_SEND ? k->use != TLS_KERNEL_OFF
                                       : k->use == TLS_KERNEL_AUTO || k->use == TLS_KERNEL_BOTH;

    if (k->support == NULL || !wants)
        return TLS_KERNEL_SWITCHED_OFF;
    if (!k->support->has_module)
        return TLS_KERNEL_NO_MODULE;
    if (!is_known)
        return TLS_KERNEL_CIPHER;
    if (!k->support->takes[k->is_13][cipher])
        return TLS_KERNEL_VERSION;
    if (direction == TLS_RECEIVE && !k->support->waits_inline && k->use != TLS_KERNEL_BOTH)
        return TLS_KERNEL_HALF_RECORDS;
    if (SSL_SESSION_get_max_fragment_length(SSL_get_session(s->ssl)) !=
        TLSEXT_max_fragment_length_DISABLED)
        return TLS_KERNEL_FRAGMENT;
    if ((k->is_13 && k->secrets[direction].len == 0) ||
        !tls_records_is_sure(&s->records[direction]))
        return TLS_KERNEL_UNSURE;
    return TLS_KERNEL_PENDING;
}

void tls_kernel_decide(struct tls_session *s)
{
    struct tls_kernel *k = &s->kernel;

    k->cipher = SSL_get_current_cipher(s->ssl);
    k->is_13 = SSL_version(s->ssl) == TLS1_3_VERSION;
    for (int i = 0; i < 2; i++)
        k->reasons[i] = (uint8_t)reason_for(s, (enum tls_direction)i);
    cleanse_if_done(s);
}

void tls_kernel_finish(struct tls_session *s)
{
    OPENSSL_cleanse(s->kernel.secrets, sizeof(s->kernel.secrets));
}

enum tls_kernel_reason tls_kernel_reason(const struct tls_session *s, enum tls_direction direction)
{
    return (enum tls_kernel_reason)s->kernel.reasons[direction];
}

/* --- the hand-over --------------------------------------------------------------------------- */

bool tls_kernel_wants(const struct tls_session *s, enum tls_direction direction)
{
    bool is_early = direction == TLS_RECEIVE && !s->is_server && !s->has_data;

    return s->established && !s->failed && !s->close_sent && s->ending == NULL && !is_early &&
           s->kernel.reasons[direction] == TLS_KERNEL_PENDING;
}

size_t tls_kernel_rest(const struct tls_session *s, enum tls_direction direction)
{
    return tls_records_rest(&s->records[direction]);
}

enum status tls_kernel_key(struct tls_session *s, enum tls_direction direction,
                           struct tls_kernel_key *key_out)
{
    const struct tls_records *records = &s->records[direction];
    bool of_client = (direction == TLS_SEND) != s->is_server;
    bool is_rekey = tls_kernel_has(s, direction);

    ASSERT(s->established && tls_records_rest(records) == 0);
    if (s->kernel.is_13)
        return tls_keys_from_secret(s->kernel.cipher, &s->kernel.secrets[direction],
                                    is_rekey ? 0 : tls_records_next(records), key_out);
    ASSERT(!is_rekey);
    return tls_keys_from_master(s->ssl, of_client, tls_records_nonce(records),
                                tls_records_next(records), key_out);
}

void tls_kernel_key_finish(struct tls_kernel_key *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}

void tls_kernel_taken(struct tls_session *s, enum tls_direction direction)
{
    tls_kernel_settle(s, direction, TLS_KERNEL_TAKEN);
    if (tls_kernel_has(s, TLS_SEND) && tls_kernel_has(s, TLS_RECEIVE))
        tls_session_free_openssl(s);
}

void tls_kernel_refused(struct tls_session *s, enum tls_direction direction)
{
    tls_kernel_settle(s, direction, TLS_KERNEL_REFUSED);
}
