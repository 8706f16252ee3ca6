#include "tls/session.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/ip.h"
#include "tls/internal.h"

#define RECORD_PLAIN_MAX    16384 /* RFC 8446 5.1 */
#define RECORD_OVERHEAD_MAX 256   /* header, IV, MAC, padding; and an alert or key update before */
#define RECORD_PLAIN_MIN    4096  /* of a record that is cut because the output is nearly full */

static_assert(RECORD_PLAIN_MAX + RECORD_OVERHEAD_MAX <= TLS_OUTPUT_BYTES_MIN,
              "a full record fits into an empty output");

static int bio_read(BIO *bio, char *into, int room)
{
    struct tls_session *s = BIO_get_data(bio);
    size_t len;

    BIO_clear_retry_flags(bio);
    if (room <= 0)
        return 0;
    if (s->input == NULL || s->input->len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    len = s->input->len < (size_t)room ? s->input->len : (size_t)room;
    memcpy(into, s->input->data, len);
    tls_records_pass(&s->records[TLS_RECEIVE], slice_first(*s->input, len));
    *s->input = slice_after(*s->input, len);
    return (int)len;
}

static int bio_write(BIO *bio, const char *from, int len)
{
    struct tls_session *s = BIO_get_data(bio);
    size_t room = s->output != NULL ? buffer_room(s->output) : 0;

    BIO_clear_retry_flags(bio);
    if (len <= 0)
        return 0;
    if (tls_kernel_has(s, TLS_SEND))
        return len; /* sealed with a key of the past; tls/kernel.h says the same in its own way */
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    if (room > (size_t)len)
        room = (size_t)len;
    if (buffer_append(s->output, (struct slice){ from, room }) != STATUS_OK) {
        s->lacks_memory = true;
        return -1; /* without a retry flag OpenSSL gives up */
    }
    tls_records_pass(&s->records[TLS_SEND], (struct slice){ from, room });
    return (int)room;
}

/* Every question that is not known is answered 0. That refuses OpenSSL's own way to kernel TLS
 * (BIO_CTRL_SET_KTLS and its like); ours is tls/kernel.h. */
static long bio_ctrl(BIO *bio, int question, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    /* Answering the flush with 0 would end a TLS 1.3 handshake. */
    return question == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* Process-wide and never freed: a BIO does not keep its method alive, and sessions may outlive
 * the context they were made from. */
static BIO_METHOD *bio_method;
static pthread_once_t bio_method_once = PTHREAD_ONCE_INIT;

static void bio_method_make(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern");

    if (method == NULL)
        return;
    (void)BIO_meth_set_read(method, bio_read);
    (void)BIO_meth_set_write(method, bio_write);
    (void)BIO_meth_set_ctrl(method, bio_ctrl);
    (void)BIO_meth_set_create(method, bio_create);
    bio_method = method;
}

void tls_session_fail(struct tls_session *s, const char *text)
{
    if (s->error == NULL)
        s->error = strdup(text);
    s->failed = true;
}

static bool is_host_name(const char *name)
{
    struct ip_address address;
    size_t len = strlen(name);

    /* RFC 6066 3: no address literals. */
    return len > 0 && len < TLS_SERVER_NAME_MAX && !ip_parse(slice_from(name), &address);
}

enum status tls_session_create(struct tls_context *context, enum tls_role role,
                               const char *server_name, struct tls_session **session_out)
{
    struct tls_session *s = calloc(1, sizeof(*s));
    BIO *bio;

    if (s == NULL)
        return STATUS_NO_MEMORY;
    s->is_server = role == TLS_ROLE_SERVER;
    s->protocol = s->cipher = "";
    ASSERT(pthread_once(&bio_method_once, bio_method_make) == 0);
    if (bio_method == NULL)
        goto no_memory;
    s->ssl = SSL_new(tls_context_openssl(context));
    if (s->ssl == NULL)
        goto no_memory;
    bio = BIO_new(bio_method);
    if (bio == NULL)
        goto no_memory;
    BIO_set_data(bio, s);
    SSL_set_bio(s->ssl, bio, bio); /* takes the one reference, for both directions */
    SSL_set_app_data(s->ssl, s);
    if (role == TLS_ROLE_SERVER) {
        SSL_set_accept_state(s->ssl);
    } else {
        SSL_set_connect_state(s->ssl);
        if (server_name != NULL && is_host_name(server_name) &&
            SSL_set_tlsext_host_name(s->ssl, server_name) != 1)
            goto no_memory;
    }
    ASSERT(SSL_is_server(s->ssl) == (role == TLS_ROLE_SERVER));
    *session_out = s;
    return STATUS_OK;

no_memory:
    ERR_clear_error();
    tls_session_destroy(s);
    return STATUS_NO_MEMORY;
}

void tls_session_ask_certificate(struct tls_session *s, const struct tls_context *context)
{
    unsigned char id[TLS_ID_BYTES];

    ASSERT(SSL_get_SSL_CTX(s->ssl) == tls_context_openssl(context));
    ASSERT(s->is_server && SSL_in_before(s->ssl));
    /* No callback: the context's lets every chain pass and keeps what was wrong with it. */
    SSL_set_verify(s->ssl, SSL_VERIFY_PEER, NULL);
    tls_context_id(context, id);
    ASSERT(SSL_set_session_id_context(s->ssl, id, sizeof(id)) == 1);
}

void tls_session_set_min_version(struct tls_session *s, enum tls_version version)
{
    ASSERT(SSL_in_before(s->ssl));
    ASSERT(SSL_set_min_proto_version(s->ssl, tls_version_openssl(version)) == 1);
}

void tls_session_destroy(struct tls_session *s)
{
    if (s == NULL)
        return;
    tls_session_free_openssl(s);
    tls_kernel_finish(s);
    X509_free(s->peer);
    tls_resumption_leave(s);
    free(s->dane);
    free(s->common_name);
    free(s->error);
    free(s);
}

void tls_session_free_openssl(struct tls_session *s)
{
    ASSERT(s->input == NULL && s->output == NULL);
    if (s->ssl == NULL)
        return;
    /* A session that was not shut down counts as broken and is not resumed. */
    if (s->established && !s->failed)
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    s->ssl = NULL;
}

/* The most specific common name of the peer's certificate. */
static bool common_name(SSL *ssl, char text_out[static TLS_COMMON_NAME_MAX])
{
    const X509_NAME *subject = X509_get_subject_name(SSL_get0_peer_certificate(ssl));
    int last = -1;
    unsigned char *utf8 = NULL;
    int len;
    bool found;

    if (subject == NULL)
        return false;
    /* The most specific name stands last. */
    for (int i = X509_NAME_entry_count(subject) - 1; i >= 0 && last < 0; i--)
        if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(subject, i))) ==
            NID_commonName)
            last = i;
    if (last < 0)
        return false;
    len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    /* A NUL inside would make the name look shorter than what was signed. */
    found = len > 0 && len < TLS_COMMON_NAME_MAX && memchr(utf8, '\0', (size_t)len) == NULL;
    if (found) {
        memcpy(text_out, utf8, (size_t)len);
        text_out[len] = '\0';
    }
    if (len >= 0)
        OPENSSL_free(utf8);
    ERR_clear_error();
    return found;
}

/* What is asked for after the handshake, also when OpenSSL's objects are gone. The texts are
 * OpenSSL's own and live for ever. */
static void note_facts(struct tls_session *s)
{
    char name[TLS_COMMON_NAME_MAX];

    s->protocol = SSL_get_version(s->ssl);
    s->cipher = SSL_get_cipher_name(s->ssl);
    s->cipher_bits = (uint16_t)SSL_get_cipher_bits(s->ssl, NULL);
    s->is_resumed = SSL_session_reused(s->ssl) == 1;
    s->has_certificate = SSL_get0_peer_certificate(s->ssl) != NULL;
    s->verify_result = (int32_t)SSL_get_verify_result(s->ssl); /* X509_V_..., an int */
    /* A few KiB, which only those pay who want to know the client. */
    if (s->is_server)
        s->peer = SSL_get1_peer_certificate(s->ssl);
    if (s->has_certificate && common_name(s->ssl, name))
        s->common_name = strdup(name);
}

static void lend(struct tls_session *s, struct slice *input, struct buffer *output)
{
    ASSERT(s->input == NULL && s->output == NULL);
    s->input = input;
    s->output = output;
    ERR_clear_error(); /* the queue is the thread's: it may hold another session's errors */
}

static enum tls_progress fail(struct tls_session *s, const char *otherwise)
{
    char text[TLS_ERROR_TEXT_MAX];

    if (tls_error_drain(otherwise, text))
        s->lacks_memory = true;
    tls_session_fail(s, text);
    return TLS_FAILED;
}

/* Ends the loan, and says what the call with this result came to. */
static enum tls_progress take_back(struct tls_session *s, int result)
{
    int error = SSL_get_error(s->ssl, result);

    s->input = NULL;
    s->output = NULL;
    switch (error) {
    case SSL_ERROR_NONE: return TLS_DONE;
    case SSL_ERROR_WANT_READ: return TLS_WANT_INPUT;
    case SSL_ERROR_WANT_WRITE: return TLS_WANT_ROOM;
    case SSL_ERROR_ZERO_RETURN: return TLS_CLOSED;
    default: return fail(s, "no memory for the output");
    }
}

enum tls_progress tls_session_handshake(struct tls_session *s, struct slice *input,
                                        struct buffer *output)
{
    enum tls_progress progress;

    ASSERT(!s->established);
    if (s->failed)
        return TLS_FAILED;
    lend(s, input, output);
    progress = take_back(s, SSL_do_handshake(s->ssl));
    if (progress == TLS_DONE) {
        s->established = true;
        note_facts(s);
        tls_dane_judge(s);
        tls_resumption_recall(s);
        tls_kernel_decide(s);
    }
    if (progress == TLS_CLOSED || (progress == TLS_WANT_INPUT && s->input_ended))
        return fail(s, "the peer closed the connection during the handshake");
    return progress;
}

enum tls_progress tls_session_read(struct tls_session *s, struct slice *input,
                                   struct buffer *output, char *into, size_t room, size_t *len_out)
{
    enum tls_progress progress;
    size_t len = 0;

    ASSERT(s->established && room > 0 && !tls_kernel_has(s, TLS_RECEIVE));
    if (s->failed)
        return TLS_FAILED;
    if (s->closed)
        return TLS_CLOSED;
    /* An alert that gets stuck half way would spoil the next write. */
    if (buffer_room(output) < RECORD_OVERHEAD_MAX)
        return TLS_WANT_ROOM;
    lend(s, input, output);
    progress = take_back(s, SSL_read_ex(s->ssl, into, room, &len));
    /* What has come is still read; there is no use in waiting for more. */
    if (progress == TLS_WANT_INPUT && s->ending != NULL)
        progress = TLS_CLOSED;
    if (progress == TLS_WANT_INPUT && s->input_ended) {
        s->truncated = true;
        progress = TLS_CLOSED;
    }
    if (progress == TLS_CLOSED)
        s->closed = true;
    if (progress == TLS_DONE) {
        ASSERT(len > 0 && len <= room);
        s->has_data = true;
        *len_out = len;
    }
    return progress;
}

bool tls_session_is_established(const struct tls_session *s)
{
    return s->established;
}

bool tls_session_has_pending(const struct tls_session *s)
{
    return s->established && !s->failed && !s->closed && s->ssl != NULL &&
           SSL_has_pending(s->ssl) == 1;
}

/* How much of what is left to write goes into the next record; 0: there is no room for one. */
static size_t record_len(size_t left, size_t room)
{
    size_t want = left < RECORD_PLAIN_MAX ? left : RECORD_PLAIN_MAX;
    size_t least = want < RECORD_PLAIN_MIN ? want : RECORD_PLAIN_MIN;

    if (room < RECORD_OVERHEAD_MAX + least)
        return 0;
    room -= RECORD_OVERHEAD_MAX;
    return want < room ? want : room;
}

enum tls_progress tls_session_write(struct tls_session *s, struct slice plain,
                                    struct buffer *output, size_t *used_out)
{
    struct slice no_input = { .len = 0 };
    size_t used = 0;

    ASSERT(s->established && !s->close_sent && !tls_kernel_has(s, TLS_SEND));
    *used_out = 0;
    if (s->failed)
        return TLS_FAILED;
    while (used < plain.len) {
        size_t len = record_len(plain.len - used, buffer_room(output));
        size_t written = 0;

        if (len == 0)
            return TLS_WANT_ROOM;
        lend(s, &no_input, output);
        if (take_back(s, SSL_write_ex(s->ssl, plain.data + used, len, &written)) != TLS_DONE)
            return fail(s, "the output got stuck within a record");
        ASSERT(written == len);
        used += written;
        *used_out = used;
    }
    return TLS_DONE;
}

void tls_session_close(struct tls_session *s, struct buffer *output)
{
    struct slice no_input = { .len = 0 };

    if (!s->established || s->failed || s->close_sent)
        return;
    if (tls_kernel_has(s, TLS_SEND)) {
        s->close_sent = true;
        tls_kernel_say_alert(s, TLS_ALERT_WARNING, SSL3_AD_CLOSE_NOTIFY);
        return;
    }
    if (buffer_room(output) < RECORD_OVERHEAD_MAX)
        return;
    lend(s, &no_input, output);
    (void)SSL_shutdown(s->ssl); /* 0: sent, and the peer's has not come yet, which is fine */
    ERR_clear_error();
    s->input = NULL;
    s->output = NULL;
    s->close_sent = true;
}

void tls_session_input_ended(struct tls_session *s)
{
    s->input_ended = true;
}

bool tls_session_was_truncated(const struct tls_session *s)
{
    return s->truncated;
}

const char *tls_session_protocol(const struct tls_session *s)
{
    return s->protocol;
}

const char *tls_session_cipher(const struct tls_session *s)
{
    return s->cipher;
}

int tls_session_cipher_bits(const struct tls_session *s)
{
    return s->cipher_bits;
}

const char *tls_session_group(const struct tls_session *s)
{
    const char *name = NULL;

    if (s->ssl != NULL && SSL_is_init_finished(s->ssl))
        name = SSL_group_to_name(s->ssl, (int)SSL_get_negotiated_group(s->ssl));
    return name != NULL ? name : "";
}

bool tls_session_is_resumed(const struct tls_session *s)
{
    return s->is_resumed;
}

const char *tls_session_peer_common_name(const struct tls_session *s)
{
    return s->common_name;
}

bool tls_session_has_peer_certificate(const struct tls_session *s)
{
    return s->has_certificate;
}

const char *tls_session_verify_problem(const struct tls_session *s)
{
    /* Without a certificate OpenSSL's result is "ok". */
    if (!s->has_certificate)
        return s->is_server ? "no certificate from client" : "no certificate from server";
    return s->verify_result == X509_V_OK ? NULL : X509_verify_cert_error_string(s->verify_result);
}

int tls_session_verify_depth(const struct tls_session *s)
{
    return s->verify_depth;
}

const char *tls_session_error(const struct tls_session *s)
{
    if (!s->failed)
        return "";
    return s->error != NULL ? s->error : "(0, 'no memory')";
}

bool tls_session_lacks_memory(const struct tls_session *s)
{
    return s->failed && s->lacks_memory;
}

const char *tls_session_ending(const struct tls_session *s)
{
    return s->ending;
}
