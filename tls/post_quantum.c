#include "tls/post_quantum.h"

#include <openssl/err.h>
#include <pthread.h>

#include "base/check.h"
#include "tls/internal.h"

#define RECORD_AND_MESSAGE_HEADER_BYTES 9
#define VERSION_AND_RANDOM_BYTES        34
#define EXTENSION_GROUPS                10 /* RFC 8446 4.2.7 */

/* The code points of the IANA: ML-KEM alone, then the hybrids with P-256, X25519 and P-384. */
static const unsigned post_quantum_groups[] = { 0x0200, 0x0201, 0x0202, 0x11eb, 0x11ec, 0x11ed };

/* The first that this OpenSSL has. */
static const char *const classic_groups[] = {
    "X25519:P-256:X448:P-384:P-521:ffdhe2048:ffdhe3072",
    "X25519:P-256:P-384:P-521",
    "P-256:P-384:P-521",
};

/* Takes a number of `bytes` bytes off the front; 0 and an empty rest where there are too few. */
static size_t take_number(struct slice *rest, size_t bytes)
{
    size_t number = 0;

    if (rest->len < bytes) {
        *rest = (struct slice){ NULL, 0 };
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        number = number << 8 | (unsigned char)rest->data[i];
    *rest = slice_after(*rest, bytes);
    return number;
}

/* Takes what has its length in front of it, a number of `bytes` bytes. */
static struct slice take_vector(struct slice *rest, size_t bytes)
{
    size_t len = take_number(rest, bytes);
    struct slice taken = slice_first(*rest, len < rest->len ? len : rest->len);

    *rest = slice_after(*rest, taken.len);
    return taken;
}

static bool groups_have_one(struct slice groups)
{
    groups = take_vector(&groups, 2);
    while (groups.len > 0) {
        size_t group = take_number(&groups, 2);

        for (size_t i = 0; i < ARRAY_LEN(post_quantum_groups); i++)
            if (group == post_quantum_groups[i])
                return true;
    }
    return false;
}

/* RFC 8446 4.1.2, in one record. */
static bool hello_has_one(struct slice hello)
{
    struct slice extensions;

    if (hello.len < RECORD_AND_MESSAGE_HEADER_BYTES + VERSION_AND_RANDOM_BYTES)
        return false;
    hello = slice_after(hello, RECORD_AND_MESSAGE_HEADER_BYTES + VERSION_AND_RANDOM_BYTES);
    (void)take_vector(&hello, 1); /* session id */
    (void)take_vector(&hello, 2); /* ciphers */
    (void)take_vector(&hello, 1); /* compression */
    extensions = take_vector(&hello, 2);
    while (extensions.len > 0) {
        size_t type = take_number(&extensions, 2);
        struct slice value = take_vector(&extensions, 2);

        if (type == EXTENSION_GROUPS)
            return groups_have_one(value);
    }
    return false;
}

/* What clients offer unless they are told not to depends on the version of OpenSSL, and on its
 * configuration file: the way to know is to look at what one says. */
static bool is_offered;
static pthread_once_t is_offered_once = PTHREAD_ONCE_INIT;

static void probe(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    struct slice hello;
    char *bytes;

    if (ssl != NULL && in != NULL && out != NULL) {
        SSL_set_bio(ssl, in, out);
        (void)SSL_connect(ssl);
        hello.len = (size_t)BIO_get_mem_data(out, &bytes);
        hello.data = bytes;
        is_offered = hello_has_one(hello);
    } else {
        BIO_free(in);
        BIO_free(out);
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

bool tls_session_without_post_quantum(struct tls_session *s)
{
    ASSERT(!s->is_server && SSL_in_before(s->ssl));
    for (size_t i = 0; i < ARRAY_LEN(classic_groups) && !s->is_classic; i++)
        s->is_classic = SSL_set1_groups_list(s->ssl, classic_groups[i]) == 1;
    ERR_clear_error();
    return s->is_classic;
}

bool tls_session_offered_post_quantum(const struct tls_session *s)
{
    ASSERT(pthread_once(&is_offered_once, probe) == 0);
    return is_offered && !s->is_server && !s->is_classic;
}

/* By the random bytes of its ServerHello. The numbers of OpenSSL's states, which would say the
 * same, are not those of the version that this was compiled with. */
static bool has_answered(SSL *ssl)
{
    static const unsigned char nothing[SSL3_RANDOM_SIZE];
    unsigned char bytes[SSL3_RANDOM_SIZE];

    return SSL_get_server_random(ssl, bytes, sizeof(bytes)) != sizeof(bytes) ||
           memcmp(bytes, nothing, sizeof(bytes)) != 0;
}

bool tls_session_blames_post_quantum(const struct tls_session *s)
{
    return !s->established && s->ssl != NULL && !SSL_in_before(s->ssl) &&
           tls_session_offered_post_quantum(s) && !has_answered(s->ssl);
}
