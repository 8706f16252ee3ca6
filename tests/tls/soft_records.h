/* tests/tls/soft_records.h - the kernel's record layer in user space, as a test sees it: seals and
 * opens records with a key in the form that the kernel takes. Written from RFC 8446 5.2, RFC 5246
 * 6.2.3.3, RFC 5288 and RFC 7905, and so a check on who made the key. */
#pragma once
#include <linux/tls.h>
#include <openssl/evp.h>
#include <string.h>

#include "tests/tls/support.h"
#include "tls/kernel.h"

#define SOFT_HEADER 5
#define SOFT_TAG    16
#define SOFT_MAX    (SOFT_HEADER + 8 + 16384 + 256)

struct soft {
    struct tls_kernel_key key;
    uint64_t number;
    unsigned char explicit_nonce[8]; /* TLS 1.2 with AES-GCM */
};

struct soft_parts {
    const EVP_CIPHER *cipher;
    const unsigned char *key, *salt, *iv;
    const unsigned char *number;
    bool is_13, has_explicit;
};

static inline struct soft_parts soft_parts(const struct tls_kernel_key *k)
{
    struct soft_parts p = { .is_13 = k->info.version == TLS_1_3_VERSION };

    switch (k->info.cipher_type) {
    case TLS_CIPHER_AES_GCM_128:
        assert_int_equal(k->len, sizeof(k->aes_gcm_128));
        p.cipher = EVP_aes_128_gcm();
        p.key = k->aes_gcm_128.key;
        p.salt = k->aes_gcm_128.salt;
        p.iv = k->aes_gcm_128.iv;
        p.number = k->aes_gcm_128.rec_seq;
        p.has_explicit = !p.is_13;
        break;
    case TLS_CIPHER_AES_GCM_256:
        assert_int_equal(k->len, sizeof(k->aes_gcm_256));
        p.cipher = EVP_aes_256_gcm();
        p.key = k->aes_gcm_256.key;
        p.salt = k->aes_gcm_256.salt;
        p.iv = k->aes_gcm_256.iv;
        p.number = k->aes_gcm_256.rec_seq;
        p.has_explicit = !p.is_13;
        break;
    case TLS_CIPHER_CHACHA20_POLY1305:
        assert_int_equal(k->len, sizeof(k->chacha20_poly1305));
        p.cipher = EVP_chacha20_poly1305();
        p.key = k->chacha20_poly1305.key;
        p.iv = k->chacha20_poly1305.iv;
        p.number = k->chacha20_poly1305.rec_seq;
        break;
    default: fail_msg("cipher %u", k->info.cipher_type);
    }
    return p;
}

static inline void soft_init(struct soft *s, const struct tls_kernel_key *key)
{
    struct soft_parts p = soft_parts(key);

    *s = (struct soft){ .key = *key };
    for (int i = 0; i < 8; i++)
        s->number = s->number << 8 | p.number[i];
    if (p.has_explicit)
        memcpy(s->explicit_nonce, p.iv, 8);
}

static inline void soft_put16(unsigned char *at, size_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

/* explicit: what the record carries, or is to carry. */
static inline void soft_nonce(const struct soft *s, const struct soft_parts *p,
                              const unsigned char *explicit_nonce, unsigned char nonce[static 12])
{
    if (p->has_explicit) {
        memcpy(nonce, p->salt, 4);
        memcpy(nonce + 4, explicit_nonce, 8);
        return;
    }
    if (p->salt != NULL) {
        memcpy(nonce, p->salt, 4);
        memcpy(nonce + 4, p->iv, 8);
    } else {
        memcpy(nonce, p->iv, 12);
    }
    for (int i = 0; i < 8; i++)
        nonce[4 + i] ^= (unsigned char)(s->number >> (8 * (7 - i)));
}

static inline size_t soft_aad(const struct soft *s, const struct soft_parts *p,
                              const unsigned char *header, size_t plain_len,
                              unsigned char aad[static 13])
{
    if (p->is_13) {
        memcpy(aad, header, SOFT_HEADER);
        return SOFT_HEADER;
    }
    for (int i = 0; i < 8; i++)
        aad[i] = (unsigned char)(s->number >> (8 * (7 - i)));
    memcpy(aad + 8, header, 3);
    soft_put16(aad + 11, plain_len);
    return 13;
}

static inline void soft_crypt(const struct soft_parts *p, bool seal, const unsigned char *nonce,
                              const unsigned char *aad, size_t aad_len, const unsigned char *from,
                              size_t len, unsigned char *into, unsigned char *tag, bool *ok_out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;

    assert_non_null(ctx);
    assert_int_equal(EVP_CipherInit_ex(ctx, p->cipher, NULL, p->key, nonce, seal), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len), 1);
    if (len > 0)
        assert_int_equal(EVP_CipherUpdate(ctx, into, &n, from, (int)len), 1);
    if (!seal)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SOFT_TAG, tag), 1);
    *ok_out = EVP_CipherFinal_ex(ctx, into + len, &n) == 1;
    if (seal)
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SOFT_TAG, tag), 1);
    EVP_CIPHER_CTX_free(ctx);
}

/* Appends one record of that type, with `padding` zeros in it (TLS 1.3 only). */
static inline void soft_seal_padded(struct soft *s, uint8_t type, struct slice plain,
                                    size_t padding, struct buffer *out)
{
    static unsigned char record[SOFT_MAX], inner[SOFT_MAX];
    struct soft_parts p = soft_parts(&s->key);
    size_t inner_len = plain.len, head = SOFT_HEADER + (p.has_explicit ? 8u : 0u);
    unsigned char nonce[12], aad[13];
    size_t aad_len;
    bool ok;

    if (plain.len > 0)
        memcpy(inner, plain.data, plain.len);
    if (p.is_13) {
        inner[inner_len++] = type;
        memset(inner + inner_len, 0, padding);
        inner_len += padding;
    }
    record[0] = p.is_13 ? 23 : type;
    record[1] = record[2] = 3;
    soft_put16(record + 3, head - SOFT_HEADER + inner_len + SOFT_TAG);
    if (p.has_explicit)
        memcpy(record + SOFT_HEADER, s->explicit_nonce, 8);
    soft_nonce(s, &p, s->explicit_nonce, nonce);
    aad_len = soft_aad(s, &p, record, inner_len, aad);
    soft_crypt(&p, true, nonce, aad, aad_len, inner, inner_len, record + head,
               record + head + inner_len, &ok);
    assert_true(ok);
    assert_int_equal(
        buffer_append(out, (struct slice){ (const char *)record, head + inner_len + SOFT_TAG }),
        STATUS_OK);
    s->number++;
    for (int i = 7; i >= 0 && ++s->explicit_nonce[i] == 0; i--)
        continue;
}

static inline void soft_seal(struct soft *s, uint8_t type, struct slice plain, struct buffer *out)
{
    soft_seal_padded(s, type, plain, 0, out);
}

/* Opens the first record of *bytes and moves behind it. False: no whole record is there. A record
 * that does not open fails the test. */
static inline bool soft_open(struct soft *s, struct slice *bytes, uint8_t *type_out,
                             char into[static SOFT_MAX], size_t *len_out)
{
    struct soft_parts p = soft_parts(&s->key);
    const unsigned char *record = (const unsigned char *)bytes->data;
    size_t head = SOFT_HEADER + (p.has_explicit ? 8u : 0u), body, len;
    unsigned char nonce[12], aad[13], tag[SOFT_TAG];
    size_t aad_len;
    bool ok;

    if (bytes->len < SOFT_HEADER)
        return false;
    body = (size_t)record[3] << 8 | record[4];
    if (bytes->len < SOFT_HEADER + body)
        return false;
    len = SOFT_HEADER + body - head - SOFT_TAG;
    memcpy(tag, record + head + len, SOFT_TAG);
    soft_nonce(s, &p, record + SOFT_HEADER, nonce);
    aad_len = soft_aad(s, &p, record, len, aad);
    soft_crypt(&p, false, nonce, aad, aad_len, record + head, len, (unsigned char *)into, tag, &ok);
    assert_true(ok);
    *type_out = record[0];
    if (p.is_13) {
        while (len > 0 && into[len - 1] == 0)
            len--;
        assert_true(len > 0);
        *type_out = (uint8_t)into[--len];
    }
    *len_out = len;
    *bytes = slice_after(*bytes, SOFT_HEADER + body);
    s->number++;
    return true;
}
