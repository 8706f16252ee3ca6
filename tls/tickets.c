#include "tls/tickets.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/slice.h"
#include "tls/internal.h"

#define NAME_BYTES 16 /* RFC 5077 4 */
#define IV_BYTES   16
#define READS_MAX  8 /* a rotation lasts a microsecond and happens every few hours */

enum { PREVIOUS, CURRENT, NEXT, KEYS_COUNT };

struct key {
    unsigned char name[NAME_BYTES];
    unsigned char aes[32];
    unsigned char hmac[32];
};

struct key_set {
    struct key keys[KEYS_COUNT];
};

#define SET_WORDS (sizeof(struct key_set) / sizeof(uint64_t))

static_assert(sizeof(struct key_set) % sizeof(uint64_t) == 0, "a set is copied by words");

/* The set is guarded by a version, odd while it is written: a reader copies the words and takes
 * the copy only when the version has not moved. Pointers to sets would need somebody who knows
 * when the last reader of an old one has left. */
struct tls_tickets {
    _Atomic uint64_t version;
    _Atomic uint64_t words[SET_WORDS];
    _Atomic int64_t rotated_at_s;
    EVP_CIPHER *cipher; /* fetched once: a fetch for each handshake takes a lock */
};

static void publish(struct tls_tickets *t, const struct key_set *set)
{
    uint64_t version = atomic_load_explicit(&t->version, memory_order_relaxed);
    uint64_t words[SET_WORDS];

    ASSERT(version % 2 == 0);
    memcpy(words, set, sizeof(words));
    atomic_store(&t->version, version + 1);
    for (size_t i = 0; i < SET_WORDS; i++)
        atomic_store(&t->words[i], words[i]);
    atomic_store(&t->version, version + 2);
    OPENSSL_cleanse(words, sizeof(words));
}

/* False when a rotation was going on all the time: the handshake then does without a ticket. */
static bool copy_set(const struct tls_tickets *t, struct key_set *set_out)
{
    uint64_t words[SET_WORDS];
    bool copied = false;

    for (int reads = 0; reads < READS_MAX && !copied; reads++) {
        uint64_t before = atomic_load(&t->version);

        for (size_t i = 0; i < SET_WORDS; i++)
            words[i] = atomic_load(&t->words[i]);
        copied = before % 2 == 0 && atomic_load(&t->version) == before;
    }
    if (copied)
        memcpy(set_out, words, sizeof(words));
    OPENSSL_cleanse(words, sizeof(words));
    return copied;
}

enum status tls_tickets_create(time_t now_s, struct tls_tickets **tickets_out)
{
    struct tls_tickets *t = calloc(1, sizeof(*t));
    struct key_set set;

    if (t == NULL)
        return STATUS_NO_MEMORY;
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (t->cipher == NULL) {
        tls_tickets_destroy(t);
        return STATUS_NO_MEMORY;
    }
    if (RAND_bytes((unsigned char *)&set, sizeof(set)) != 1) {
        tls_tickets_destroy(t);
        return STATUS_IO;
    }
    publish(t, &set);
    atomic_store(&t->rotated_at_s, now_s);
    OPENSSL_cleanse(&set, sizeof(set));
    *tickets_out = t;
    return STATUS_OK;
}

void tls_tickets_destroy(struct tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    EVP_CIPHER_free(tickets->cipher);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    free(tickets);
}

enum status tls_tickets_rotate(struct tls_tickets *tickets, time_t now_s)
{
    struct key_set set;
    struct key fresh;

    if (RAND_bytes((unsigned char *)&fresh, sizeof(fresh)) != 1)
        return STATUS_IO;
    /* Only this thread writes, so the copy cannot be disturbed. */
    ASSERT(copy_set(tickets, &set));
    set.keys[PREVIOUS] = set.keys[CURRENT];
    set.keys[CURRENT] = set.keys[NEXT];
    set.keys[NEXT] = fresh;
    publish(tickets, &set);
    atomic_store(&tickets->rotated_at_s, now_s);
    OPENSSL_cleanse(&set, sizeof(set));
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return STATUS_OK;
}

time_t tls_tickets_rotated_at(const struct tls_tickets *tickets)
{
    return (time_t)atomic_load(&tickets->rotated_at_s);
}

static bool set_mac(EVP_MAC_CTX *mac, const struct key *key)
{
    char digest[] = "SHA256";
    unsigned char secret[sizeof(key->hmac)];
    OSSL_PARAM params[3];
    bool done;

    memcpy(secret, key->hmac, sizeof(secret));
    params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret));
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[2] = OSSL_PARAM_construct_end();
    done = EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return done;
}

/* The results are OpenSSL's: -1 error, 0 no ticket, 1 done, 2 done and the ticket is due for
 * renewal. */
static int seal(const struct tls_tickets *t, const struct key_set *set, unsigned char *name_out,
                unsigned char *iv_out, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct key *key = &set->keys[CURRENT];

    if (RAND_bytes(iv_out, IV_BYTES) != 1)
        return -1;
    memcpy(name_out, key->name, NAME_BYTES);
    if (EVP_EncryptInit_ex2(cipher, t->cipher, key->aes, iv_out, NULL) != 1 || !set_mac(mac, key))
        return -1;
    return 1;
}

static int unseal(const struct tls_tickets *t, const struct key_set *set, const unsigned char *name,
                  const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (int i = 0; i < KEYS_COUNT; i++) {
        const struct key *key = &set->keys[i];

        if (memcmp(key->name, name, NAME_BYTES) != 0)
            continue;
        if (EVP_DecryptInit_ex2(cipher, t->cipher, key->aes, iv, NULL) != 1 || !set_mac(mac, key))
            return -1;
        return i == PREVIOUS ? 2 : 1;
    }
    return 0;
}

/* RFC 8446 C.4: a client should use a ticket once, and so needs a new one each time. Not where a
 * certificate is asked for: its verdict would come along for as long as the client comes back. */
static bool is_used_once(SSL *ssl)
{
    return SSL_version(ssl) == TLS1_3_VERSION && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0;
}

static int use_keys(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct key_set set;
    int result = 0;

    ASSERT(t != NULL);
    if (copy_set(t, &set))
        result =
            sealing ? seal(t, &set, name, iv, cipher, mac) : unseal(t, &set, name, iv, cipher, mac);
    OPENSSL_cleanse(&set, sizeof(set));
    if (result == 1 && !sealing && is_used_once(ssl))
        return 2;
    return result;
}

void tls_tickets_attach(struct tls_tickets *tickets, SSL_CTX *ctx)
{
    ASSERT(tickets != NULL);
    (void)SSL_CTX_set_app_data(ctx, tickets);
    ASSERT(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, use_keys) == 1);
}
