#include "gateway/channel_tls.h"

#include <errno.h>

#include "tls/kernel.h"

#define CIPHER_HIGH ((size_t)128 * 1024) /* no more is encrypted while this much waits */
#define CIPHER_BULK ((size_t)8 * 1024)   /* from here on it is worth asking for room at once */
#define CIPHER_MORE ((size_t)20 * 1024)  /* of the last record, and what is around all of them */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool gateway_channel_sends_plain(const struct gateway_channel *c)
{
    return c->tls == NULL || c->state == GATEWAY_CHANNEL_UPGRADING ||
           tls_kernel_has(c->tls, TLS_SEND);
}

bool gateway_channel_receives_plain(const struct gateway_channel *c)
{
    return c->tls == NULL || tls_kernel_has(c->tls, TLS_RECEIVE);
}

/* Room for a large body at once: it would be doubled from nothing for each send. */
static bool reserve_cipher(struct gateway_channel *c)
{
    struct buffer *cipher = &c->traffic->cipher;
    size_t plain = buffer_len(&c->traffic->output) + c->body_bytes;
    char *room;

    return plain < CIPHER_BULK || buffer_len(cipher) > 0 ||
           buffer_reserve(cipher, least(plain, CIPHER_HIGH) + CIPHER_MORE, &room) == STATUS_OK;
}

bool gateway_channel_encrypt(struct gateway_channel *c)
{
    struct gateway_channel_traffic *traffic = c->traffic;

    if (!reserve_cipher(c))
        return false;
    while (buffer_len(&traffic->cipher) < CIPHER_HIGH) {
        bool from_output = buffer_len(&traffic->output) > 0;
        struct slice body = { c->body, c->body_bytes };
        struct slice plain = from_output ? buffer_contents(&traffic->output) : body;
        enum tls_progress progress;
        size_t used = 0;

        if (plain.len == 0)
            return true;
        progress = tls_session_write(c->tls, plain, &traffic->cipher, &used);
        if (progress != TLS_DONE && progress != TLS_WANT_ROOM)
            return false;
        if (from_output) {
            buffer_consume(&traffic->output, used);
        } else {
            c->body += used;
            c->body_bytes -= (uint32_t)used;
        }
        if (progress == TLS_WANT_ROOM)
            return true;
    }
    return true;
}

/* Gives the kernel the key with which a direction goes on. 0 or an errno. */
static int give_key(struct gateway_channel *c, enum tls_direction direction)
{
    enum engine_tls_direction side = direction == TLS_SEND ? ENGINE_TLS_SEND : ENGINE_TLS_RECEIVE;
    struct tls_kernel_key key;
    int error = ENOMEM;

    if (tls_kernel_key(c->tls, direction, &key) == STATUS_OK) {
        error = engine_socket_tls_key(&c->socket, side, &key.info, key.len);
        tls_kernel_key_finish(&key);
    }
    return error;
}

static void offer(struct gateway_channel *c, enum tls_direction direction)
{
    if (give_key(c, direction) == 0)
        tls_kernel_taken(c->tls, direction);
    else
        tls_kernel_refused(c->tls, direction);
}

static void tell(struct gateway_channel *c)
{
    if (c->settled)
        return;
    c->settled = true;
    if (c->handlers->settled != NULL)
        c->handlers->settled(c);
}

/* The owner hears of it once, when both directions are decided. */
static void tell_if_settled(struct gateway_channel *c)
{
    if (tls_kernel_reason(c->tls, TLS_SEND) != TLS_KERNEL_PENDING &&
        tls_kernel_reason(c->tls, TLS_RECEIVE) != TLS_KERNEL_PENDING)
        tell(c);
}

void gateway_channel_settle(struct gateway_channel *c)
{
    if (c->tls != NULL && tls_session_is_established(c->tls))
        tell(c);
}

void gateway_channel_offer_send(struct gateway_channel *c)
{
    if (c->tls == NULL || c->state != GATEWAY_CHANNEL_OPEN)
        return;
    if (tls_kernel_wants(c->tls, TLS_SEND) &&
        (c->traffic == NULL || buffer_len(&c->traffic->cipher) == 0))
        offer(c, TLS_SEND);
    tell_if_settled(c);
}

size_t gateway_channel_offer_receive(struct gateway_channel *c)
{
    size_t rest;

    if (c->tls == NULL || c->state != GATEWAY_CHANNEL_OPEN)
        return 0;
    if (tls_kernel_wants(c->tls, TLS_RECEIVE)) {
        rest = tls_kernel_rest(c->tls, TLS_RECEIVE);
        if (rest > 0)
            return rest;
        offer(c, TLS_RECEIVE);
    }
    tell_if_settled(c);
    return 0;
}

bool gateway_channel_send_control(struct gateway_channel *c)
{
    struct tls_control_record record;
    struct slice bytes;

    if (c->tls == NULL || !tls_kernel_has(c->tls, TLS_SEND) || !tls_kernel_has_record(c->tls) ||
        tls_kernel_next_record(c->tls, &record) != STATUS_OK)
        return false;
    bytes = (struct slice){ (const char *)record.bytes, record.len };
    if (buffer_append(&c->traffic->sending, bytes) != STATUS_OK)
        return false;
    c->rekeys = record.changes_key;
    bytes = buffer_contents(&c->traffic->sending);
    engine_socket_send_record(
        &c->socket, record.type,
        (struct iovec){ .iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len });
    return true;
}

bool gateway_channel_control_sent(struct gateway_channel *c)
{
    int error;

    if (!c->rekeys)
        return true;
    c->rekeys = false;
    error = give_key(c, TLS_SEND);
    if (error != 0)
        tls_kernel_failed(c->tls, error);
    return error == 0;
}

enum tls_control gateway_channel_take_control(struct gateway_channel *c)
{
    char record[ENGINE_TLS_RECORD_BYTES];
    uint8_t type;
    int len = engine_socket_tls_record(&c->socket, &type, record, sizeof(record));
    enum tls_control control = TLS_CONTROL_FAILED;
    int error = len < 0 ? -len : 0;

    if (error == 0)
        control = tls_kernel_control(c->tls, type, (struct slice){ record, (size_t)len });
    if (error == 0 && control == TLS_CONTROL_KEY)
        error = give_key(c, TLS_RECEIVE);
    if (error == 0)
        return control;
    tls_kernel_failed(c->tls, error);
    return TLS_CONTROL_FAILED;
}
