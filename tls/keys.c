#include "tls/keys.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>

#include "base/slice.h"

#define IV_BYTES         12
#define IV_FIXED_BYTES   4 /* of AES-GCM in TLS 1.2, RFC 5288 3 */
#define NONCE_BYTES      8
#define KEY_BYTES_MAX    32
#define BLOCK_BYTES_MAX  (2 * KEY_BYTES_MAX + 2 * IV_BYTES)
#define MASTER_BYTES_MAX 48
#define KDF_PARAMS_MAX   8
#define SEQUENCE_BYTES   8
#define EXPANSION_LABEL  "key expansion"
#define TLS13_PREFIX     "tls13 "

struct cipher_form {
    int nid;
    uint16_t kernel_type;
    uint8_t key_bytes;
    uint8_t fixed_bytes; /* of the IV that TLS 1.2 takes from the key block */
};

static const struct cipher_form forms[TLS_KERNEL_CIPHERS_COUNT] = {
    [TLS_KERNEL_AES_128_GCM] = { NID_aes_128_gcm, TLS_CIPHER_AES_GCM_128, 16, IV_FIXED_BYTES },
    [TLS_KERNEL_AES_256_GCM] = { NID_aes_256_gcm, TLS_CIPHER_AES_GCM_256, 32, IV_FIXED_BYTES },
    [TLS_KERNEL_CHACHA20_POLY1305] = { NID_chacha20_poly1305, TLS_CIPHER_CHACHA20_POLY1305, 32,
                                       IV_BYTES },
};

/* Fetched once: a fetch takes a lock of the whole library. */
static EVP_KDF *kdf_tls13, *kdf_tls12;
static pthread_once_t kdf_once = PTHREAD_ONCE_INIT;

static void kdf_fetch(void)
{
    kdf_tls13 = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
    kdf_tls12 = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_PRF, NULL);
}

static enum status derive(EVP_KDF *const *kdf, const OSSL_PARAM *params, unsigned char *into,
                          size_t len)
{
    EVP_KDF_CTX *ctx;
    bool ok;

    ASSERT(pthread_once(&kdf_once, kdf_fetch) == 0);
    ctx = *kdf != NULL ? EVP_KDF_CTX_new(*kdf) : NULL;
    ok = ctx != NULL && EVP_KDF_derive(ctx, into, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    ERR_clear_error();
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

/* OpenSSL's parameters are not const, but these are only read. */
static OSSL_PARAM text_param(const char *key, const char *text)
{
    return OSSL_PARAM_construct_utf8_string(key, (char *)(uintptr_t)text, 0);
}

static OSSL_PARAM bytes_param(const char *key, const void *bytes, size_t len)
{
    return OSSL_PARAM_construct_octet_string(key, (void *)(uintptr_t)bytes, len);
}

/* HKDF-Expand-Label of RFC 8446 7.1 with an empty context. */
static enum status expand(const char *digest, const struct tls_secret *secret, struct slice label,
                          unsigned char *into, size_t len)
{
    OSSL_PARAM params[KDF_PARAMS_MAX], *p = params;
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;

    *p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    *p++ = text_param(OSSL_KDF_PARAM_DIGEST, digest);
    *p++ = bytes_param(OSSL_KDF_PARAM_KEY, secret->bytes, secret->len);
    *p++ = bytes_param(OSSL_KDF_PARAM_PREFIX, TLS13_PREFIX, sizeof(TLS13_PREFIX) - 1);
    *p++ = bytes_param(OSSL_KDF_PARAM_LABEL, label.data, label.len);
    *p++ = OSSL_PARAM_construct_end();
    return derive(&kdf_tls13, params, into, len);
}

static const char *digest_name(const SSL_CIPHER *cipher)
{
    const EVP_MD *digest = SSL_CIPHER_get_handshake_digest(cipher);

    ASSERT(digest != NULL);
    return EVP_MD_get0_name(digest);
}

bool tls_keys_cipher(const SSL_CIPHER *cipher, enum tls_kernel_cipher *cipher_out)
{
    int nid = cipher != NULL ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef;

    for (int i = 0; i < TLS_KERNEL_CIPHERS_COUNT; i++)
        if (forms[i].nid == nid) {
            *cipher_out = (enum tls_kernel_cipher)i;
            return true;
        }
    return false;
}

static const struct cipher_form *form_of(const SSL_CIPHER *cipher,
                                         enum tls_kernel_cipher *cipher_out)
{
    ASSERT(tls_keys_cipher(cipher, cipher_out));
    return &forms[*cipher_out];
}

static void put_number(unsigned char into[static SEQUENCE_BYTES], uint64_t number)
{
    for (int i = SEQUENCE_BYTES - 1; i >= 0; i--, number >>= 8)
        into[i] = (unsigned char)number;
}

#define FILL_GCM(part)                                                                             \
    do {                                                                                           \
        memcpy((part)->salt, iv, sizeof((part)->salt));                                            \
        memcpy((part)->iv, iv + sizeof((part)->salt), sizeof((part)->iv));                         \
        memcpy((part)->key, key, sizeof((part)->key));                                             \
        put_number((part)->rec_seq, number);                                                       \
        key_out->len = sizeof(*(part));                                                            \
    } while (0)

void tls_kernel_key_fill(struct tls_kernel_key *key_out, uint16_t version,
                         enum tls_kernel_cipher cipher, const unsigned char *key,
                         const unsigned char iv[static IV_BYTES], uint64_t number)
{
    *key_out = (struct tls_kernel_key){ .len = 0 };
    key_out->info.version = version;
    key_out->info.cipher_type = forms[cipher].kernel_type;
    switch (cipher) {
    case TLS_KERNEL_AES_128_GCM: FILL_GCM(&key_out->aes_gcm_128); break;
    case TLS_KERNEL_AES_256_GCM: FILL_GCM(&key_out->aes_gcm_256); break;
    case TLS_KERNEL_CHACHA20_POLY1305:
        memcpy(key_out->chacha20_poly1305.iv, iv, IV_BYTES);
        memcpy(key_out->chacha20_poly1305.key, key, KEY_BYTES_MAX);
        put_number(key_out->chacha20_poly1305.rec_seq, number);
        key_out->len = sizeof(key_out->chacha20_poly1305);
        break;
    case TLS_KERNEL_CIPHERS_COUNT: UNREACHABLE();
    }
}

enum status tls_keys_from_secret(const SSL_CIPHER *cipher, const struct tls_secret *secret,
                                 uint64_t number, struct tls_kernel_key *key_out)
{
    enum tls_kernel_cipher kind;
    const struct cipher_form *form = form_of(cipher, &kind);
    unsigned char key[KEY_BYTES_MAX], iv[IV_BYTES];
    enum status status;

    ASSERT(secret->len > 0);
    status = expand(digest_name(cipher), secret, SLICE("key"), key, form->key_bytes);
    if (status == STATUS_OK)
        status = expand(digest_name(cipher), secret, SLICE("iv"), iv, sizeof(iv));
    if (status == STATUS_OK)
        tls_kernel_key_fill(key_out, TLS_1_3_VERSION, kind, key, iv, number);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(iv, sizeof(iv));
    return status;
}

enum status tls_keys_next_secret(const SSL_CIPHER *cipher, struct tls_secret *secret)
{
    struct tls_secret next = { .len = secret->len };
    enum status status;

    ASSERT(secret->len > 0);
    status = expand(digest_name(cipher), secret, SLICE("traffic upd"), next.bytes, next.len);
    if (status == STATUS_OK)
        *secret = next;
    OPENSSL_cleanse(&next, sizeof(next));
    return status;
}

/* RFC 5246 6.3; AEAD ciphers have no MAC keys in it. */
static enum status key_block(SSL *ssl, unsigned char *block, size_t len)
{
    unsigned char master[MASTER_BYTES_MAX], client[SSL3_RANDOM_SIZE], server[SSL3_RANDOM_SIZE];
    OSSL_PARAM params[KDF_PARAMS_MAX], *p = params;
    size_t master_len = SSL_SESSION_get_master_key(SSL_get_session(ssl), master, sizeof(master));
    enum status status;

    ASSERT(SSL_get_client_random(ssl, client, sizeof(client)) == sizeof(client));
    ASSERT(SSL_get_server_random(ssl, server, sizeof(server)) == sizeof(server));
    *p++ = text_param(OSSL_KDF_PARAM_DIGEST, digest_name(SSL_get_current_cipher(ssl)));
    *p++ = bytes_param(OSSL_KDF_PARAM_SECRET, master, master_len);
    *p++ = bytes_param(OSSL_KDF_PARAM_SEED, EXPANSION_LABEL, sizeof(EXPANSION_LABEL) - 1);
    *p++ = bytes_param(OSSL_KDF_PARAM_SEED, server, sizeof(server));
    *p++ = bytes_param(OSSL_KDF_PARAM_SEED, client, sizeof(client));
    *p++ = OSSL_PARAM_construct_end();
    status = derive(&kdf_tls12, params, block, len);
    OPENSSL_cleanse(master, sizeof(master));
    return status;
}

/* The nonce behind this one. OpenSSL counts them up as well, and none may come twice under a key.
 */
static void count_up(unsigned char nonce[static NONCE_BYTES])
{
    for (int i = NONCE_BYTES - 1; i >= 0 && ++nonce[i] == 0; i--)
        continue;
}

enum status tls_keys_from_master(SSL *ssl, bool of_client, const unsigned char *nonce,
                                 uint64_t number, struct tls_kernel_key *key_out)
{
    enum tls_kernel_cipher kind;
    const struct cipher_form *form = form_of(SSL_get_current_cipher(ssl), &kind);
    size_t key_bytes = form->key_bytes, fixed_bytes = form->fixed_bytes;
    unsigned char block[BLOCK_BYTES_MAX], iv[IV_BYTES];
    const unsigned char *key = of_client ? block : block + key_bytes;
    const unsigned char *fixed = block + 2 * key_bytes + (of_client ? 0 : fixed_bytes);
    enum status status = key_block(ssl, block, 2 * key_bytes + 2 * fixed_bytes);

    if (status == STATUS_OK) {
        memcpy(iv, fixed, fixed_bytes);
        if (fixed_bytes < IV_BYTES) {
            memcpy(iv + fixed_bytes, nonce, NONCE_BYTES);
            count_up(iv + fixed_bytes);
        }
        tls_kernel_key_fill(key_out, TLS_1_2_VERSION, kind, key, iv, number);
    }
    OPENSSL_cleanse(block, sizeof(block));
    OPENSSL_cleanse(iv, sizeof(iv));
    return status;
}
