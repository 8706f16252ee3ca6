/* Records that are not data, while the kernel has a direction: RFC 8446 4.6, 5.1 and 6, RFC 5246
 * 7.2 and 7.4.1. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdio.h>

#include "tls/internal.h"

#define MESSAGE_HEADER_BYTES 4
#define ALERT_BYTES          2
#define ALERT_REASON_OFFSET  1000 /* of OpenSSL's reasons for a peer's alerts */

static const char no_rekey[] = "a key update, which this kernel cannot follow";

void tls_kernel_say_alert(struct tls_session *s, uint8_t level, uint8_t description)
{
    struct tls_sayings *sayings = &s->kernel.sayings;

    ASSERT(tls_kernel_has(s, TLS_SEND));
    /* A fatal alert is the last word. */
    if (sayings->has_alert && sayings->alert[0] == TLS_ALERT_FATAL)
        return;
    sayings->has_alert = true;
    sayings->alert[0] = level;
    sayings->alert[1] = description;
}

/* The text is what OpenSSL would have said, so that a log does not depend on who read the record.
 */
static void fail_with(struct tls_session *s, int reason)
{
    char text[TLS_ERROR_TEXT_MAX];

    ERR_clear_error();
    ERR_raise(ERR_LIB_SSL, reason);
    tls_error_drain("", text);
    tls_session_fail(s, text);
}

static enum tls_control refuse(struct tls_session *s, uint8_t alert, int reason)
{
    if (tls_kernel_has(s, TLS_SEND))
        tls_kernel_say_alert(s, TLS_ALERT_FATAL, alert);
    fail_with(s, reason);
    return TLS_CONTROL_FAILED;
}

static enum tls_control alert_came(struct tls_session *s, struct slice record)
{
    uint8_t level, description;

    if (record.len != ALERT_BYTES)
        return refuse(s, SSL3_AD_UNEXPECTED_MESSAGE, SSL_R_INVALID_ALERT);
    level = (uint8_t)record.data[0];
    description = (uint8_t)record.data[1];
    if (description == SSL3_AD_CLOSE_NOTIFY) {
        s->closed = true;
        return TLS_CONTROL_CLOSED;
    }
    if (description == TLS1_AD_USER_CANCELLED || (!s->kernel.is_13 && level == TLS_ALERT_WARNING))
        return TLS_CONTROL_DONE;
    fail_with(s, ALERT_REASON_OFFSET + description);
    return TLS_CONTROL_FAILED;
}

void tls_kernel_answer_update(struct tls_session *s)
{
    if (tls_kernel_has(s, TLS_SEND)) {
        if (s->kernel.support->rekeys)
            s->kernel.sayings.key_update = true;
        else
            s->ending = no_rekey;
        return;
    }
    /* OpenSSL says it before the next data, and then has another key than the one we know. */
    if (tls_kernel_reason(s, TLS_SEND) == TLS_KERNEL_PENDING)
        tls_kernel_settle(s, TLS_SEND, TLS_KERNEL_UPDATED);
    (void)SSL_key_update(s->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static enum tls_control update_came(struct tls_session *s, struct slice body, bool is_last)
{
    struct tls_kernel *k = &s->kernel;
    uint8_t asks;

    if (body.len != 1 || !is_last)
        return refuse(s, is_last ? SSL_AD_DECODE_ERROR : SSL3_AD_UNEXPECTED_MESSAGE,
                      is_last ? SSL_R_BAD_KEY_UPDATE : SSL_R_NOT_ON_RECORD_BOUNDARY);
    asks = (uint8_t)body.data[0];
    if (asks != SSL_KEY_UPDATE_NOT_REQUESTED && asks != SSL_KEY_UPDATE_REQUESTED)
        return refuse(s, SSL3_AD_ILLEGAL_PARAMETER, SSL_R_BAD_KEY_UPDATE);
    if (!k->support->rekeys) {
        s->ending = no_rekey;
        return TLS_CONTROL_CLOSED;
    }
    if (tls_keys_next_secret(k->cipher, &k->secrets[TLS_RECEIVE]) != STATUS_OK)
        return refuse(s, SSL_AD_INTERNAL_ERROR, ERR_R_MALLOC_FAILURE);
    if (asks == SSL_KEY_UPDATE_REQUESTED)
        tls_kernel_answer_update(s);
    return TLS_CONTROL_KEY;
}

/* Takes what the record has of messages that may be passed over. */
static size_t skip(struct tls_kernel *k, size_t len)
{
    size_t skipped = k->skip_bytes < len ? k->skip_bytes : len;

    k->skip_bytes -= (uint32_t)skipped;
    return skipped;
}

static enum tls_control handshake_came(struct tls_session *s, struct slice record)
{
    struct tls_kernel *k = &s->kernel;
    struct slice rest = slice_after(record, skip(k, record.len));

    while (rest.len > 0) {
        const unsigned char *head = (const unsigned char *)rest.data;
        uint32_t len;

        /* A header that goes on in the next record is something that nobody sends. */
        if (rest.len < MESSAGE_HEADER_BYTES)
            return refuse(s, SSL_AD_DECODE_ERROR, SSL_R_BAD_LENGTH);
        len = (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        rest = slice_after(rest, MESSAGE_HEADER_BYTES);
        if (head[0] == SSL3_MT_KEY_UPDATE && len <= rest.len)
            return update_came(s, slice_first(rest, len), len == rest.len);
        /* A server's ticket is the only other message behind the handshake. */
        if (s->is_server || head[0] != SSL3_MT_NEWSESSION_TICKET)
            return refuse(s, SSL3_AD_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_MESSAGE);
        k->skip_bytes = len;
        rest = slice_after(rest, skip(k, rest.len));
    }
    return TLS_CONTROL_DONE;
}

/* TLS 1.2: the peer wants another handshake, which it does not get (RFC 5246 7.2.2). */
static enum tls_control renegotiation_came(struct tls_session *s)
{
    if (!tls_kernel_has(s, TLS_SEND)) {
        fail_with(s, SSL_R_NO_RENEGOTIATION);
        return TLS_CONTROL_FAILED;
    }
    tls_kernel_say_alert(s, TLS_ALERT_WARNING, TLS1_AD_NO_RENEGOTIATION);
    return TLS_CONTROL_DONE;
}

enum tls_control tls_kernel_control(struct tls_session *s, uint8_t type, struct slice record)
{
    ASSERT(tls_kernel_has(s, TLS_RECEIVE));
    if (s->failed)
        return TLS_CONTROL_FAILED;
    if (s->closed || s->ending != NULL)
        return TLS_CONTROL_CLOSED;
    if (++s->kernel.controls > TLS_CONTROL_RECORDS_MAX)
        return refuse(s, SSL3_AD_UNEXPECTED_MESSAGE,
                      type == SSL3_RT_ALERT ? SSL_R_TOO_MANY_WARN_ALERTS
                                            : SSL_R_TOO_MANY_KEY_UPDATES);
    if (s->kernel.skip_bytes > 0 && type != SSL3_RT_HANDSHAKE)
        return refuse(s, SSL3_AD_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_RECORD);
    if (type == SSL3_RT_ALERT)
        return alert_came(s, record);
    if (type == SSL3_RT_HANDSHAKE && record.len > 0)
        return s->kernel.is_13 ? handshake_came(s, record) : renegotiation_came(s);
    return refuse(s, SSL3_AD_UNEXPECTED_MESSAGE, SSL_R_UNEXPECTED_RECORD);
}

void tls_kernel_data(struct tls_session *s)
{
    s->kernel.controls = 0;
    s->has_data = true;
}

void tls_kernel_failed(struct tls_session *s, int error)
{
    char text[TLS_ERROR_TEXT_MAX];

    (void)snprintf(text, sizeof(text), "(%d, 'kernel: %s')", error, strerrordesc_np(error));
    tls_session_fail(s, text);
}

void tls_kernel_receive_failed(struct tls_session *s, int error)
{
    if (s->failed)
        return; /* sends and receives may both have met it */
    if (error == EBADMSG)
        (void)refuse(s, SSL3_AD_BAD_RECORD_MAC, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
    else if (error == EMSGSIZE)
        (void)refuse(s, TLS1_AD_RECORD_OVERFLOW, SSL_R_ENCRYPTED_LENGTH_TOO_LONG);
    else if (error == EINVAL)
        (void)refuse(s, TLS1_AD_PROTOCOL_VERSION, SSL_R_WRONG_VERSION_NUMBER);
    else
        tls_kernel_failed(s, error);
}

bool tls_kernel_has_record(const struct tls_session *s)
{
    return s->kernel.sayings.has_alert || s->kernel.sayings.key_update;
}

/* Whoever is told of a key update must find the next record under the new key. */
static enum status say_key_update(struct tls_session *s, struct tls_control_record *record_out)
{
    static const uint8_t message[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_NOT_REQUESTED };
    struct tls_kernel *k = &s->kernel;

    k->sayings.key_update = false;
    TRY(tls_keys_next_secret(k->cipher, &k->secrets[TLS_SEND]));
    *record_out = (struct tls_control_record){ .type = SSL3_RT_HANDSHAKE,
                                               .len = sizeof(message),
                                               .changes_key = true };
    memcpy(record_out->bytes, message, sizeof(message));
    return STATUS_OK;
}

enum status tls_kernel_next_record(struct tls_session *s, struct tls_control_record *record_out)
{
    struct tls_sayings *sayings = &s->kernel.sayings;

    ASSERT(tls_kernel_has(s, TLS_SEND) && tls_kernel_has_record(s));
    if (sayings->key_update)
        return say_key_update(s, record_out);
    *record_out = (struct tls_control_record){ .type = SSL3_RT_ALERT, .len = ALERT_BYTES };
    memcpy(record_out->bytes, sayings->alert, ALERT_BYTES);
    sayings->has_alert = false;
    return STATUS_OK;
}
