#include "tls/dkim.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/slice.h"
#include "tls/internal.h"

#define SIGNATURE_BYTES_MAX (TLS_DKIM_RSA_BITS_MAX / 8)
#define BASE64_BYTES(bytes) (((bytes) + 2) / 3 * 4 + 1) /* NUL included */
#define FOLD_COLUMNS        72

struct tls_dkim_key {
    EVP_PKEY *pkey;
    bool is_rsa;
};

/* --- the key --------------------------------------------------------------------------------- */

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *room, int size, int for_writing, void *unused)
{
    (void)room, (void)size, (void)for_writing, (void)unused;
    return -1;
}

static enum status judge(const char *path, struct tls_dkim_key *key, struct tls_error *error)
{
    int kind = EVP_PKEY_get_base_id(key->pkey), bits = EVP_PKEY_get_bits(key->pkey);

    key->is_rsa = kind == EVP_PKEY_RSA;
    if (!key->is_rsa && kind != EVP_PKEY_ED25519)
        tls_error_say(error, "%s: the key is neither RSA nor Ed25519", path);
    else if (key->is_rsa && (bits < TLS_DKIM_RSA_BITS_MIN || bits > TLS_DKIM_RSA_BITS_MAX))
        tls_error_say(error, "%s: the key has %d bits, not %d to %d", path, bits,
                      TLS_DKIM_RSA_BITS_MIN, TLS_DKIM_RSA_BITS_MAX);
    else
        return STATUS_OK;
    return STATUS_INVALID;
}

static enum status load(const char *path, struct tls_dkim_key *key, struct tls_error *error)
{
    BIO *file;

    ERR_clear_error();
    file = BIO_new_file(path, "r");
    if (file != NULL)
        key->pkey = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
    (void)BIO_free(file);
    return key->pkey != NULL ? judge(path, key, error) : tls_error_file(path, "private key", error);
}

enum status tls_dkim_key_load(const char *path, struct tls_dkim_key **key_out,
                              struct tls_error *error)
{
    struct tls_dkim_key *key = calloc(1, sizeof(*key));
    enum status status;

    if (key == NULL)
        return STATUS_NO_MEMORY;
    status = load(path, key, error);
    if (status != STATUS_OK) {
        tls_dkim_key_destroy(key);
        return status;
    }
    *key_out = key;
    return STATUS_OK;
}

void tls_dkim_key_destroy(struct tls_dkim_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* --- relaxed --------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice without_spaces_behind(struct slice text)
{
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Each run of white space as one space; in a field the line ends belong to it. */
static enum status append_squeezed(struct slice text, struct buffer *out)
{
    while (text.len > 0) {
        bool is_gap = is_space(text.data[0]);
        size_t len = 1;

        while (len < text.len && is_space(text.data[len]) == is_gap)
            len++;
        TRY(buffer_append(out, is_gap ? SLICE(" ") : slice_first(text, len)));
        text = slice_after(text, len);
    }
    return STATUS_OK;
}

enum status tls_dkim_relax_body(struct slice body, struct buffer *out)
{
    size_t empty_lines = 0; /* that count only if something follows */

    while (body.len > 0) {
        struct slice line = without_spaces_behind(slice_cut(&body, '\n'));

        if (line.len == 0) {
            empty_lines++;
            continue;
        }
        for (; empty_lines > 0; empty_lines--)
            TRY(buffer_append_text(out, "\r\n"));
        TRY(append_squeezed(line, out));
        TRY(buffer_append_text(out, "\r\n"));
    }
    return STATUS_OK;
}

enum status tls_dkim_relax_field(struct slice field, struct buffer *out)
{
    struct slice name = without_spaces_behind(slice_cut(&field, ':'));

    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.data[i]);

        TRY(buffer_append(out, (struct slice){ &c, 1 }));
    }
    TRY(buffer_append_text(out, ":"));
    while (field.len > 0 && is_space(field.data[0]))
        field = slice_after(field, 1);
    TRY(append_squeezed(without_spaces_behind(field), out));
    return buffer_append_text(out, "\r\n");
}

/* --- the message ----------------------------------------------------------------------------- */

/* Takes a field off, with the lines that go on with it. */
static struct slice take_field(struct slice *header)
{
    struct slice rest = *header, field;

    do
        (void)slice_cut(&rest, '\n');
    while (rest.len > 0 && (rest.data[0] == ' ' || rest.data[0] == '\t'));
    field = slice_first(*header, header->len - rest.len);
    *header = rest;
    return field;
}

/* RFC 6376 5.4.2: the last of its name; empty: there is none. */
static struct slice find_field(struct slice header, const char *name)
{
    struct slice found = { 0 };

    while (header.len > 0) {
        struct slice field = take_field(&header), value = field;

        if (slice_equal_nocase(without_spaces_behind(slice_cut(&value, ':')), slice_from(name)))
            found = field;
    }
    return found;
}

static bool split(struct slice message, struct slice *header_out, struct slice *body_out)
{
    const char *end = message.len > 0 ? memmem(message.data, message.len, "\r\n\r\n", 4) : NULL;

    if (end == NULL)
        return false;
    *header_out = slice_first(message, (size_t)(end - message.data) + 2);
    *body_out = slice_after(message, header_out->len + 2);
    return true;
}

/* --- signing --------------------------------------------------------------------------------- */

/* Ed25519 signs the digest as a message of its own: RFC 8463 3. */
static bool make_signature(const struct tls_dkim_key *key, struct slice bytes,
                           unsigned char signature[static SIGNATURE_BYTES_MAX], size_t *len_out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const unsigned char *data = (const unsigned char *)bytes.data;
    bool ok = context != NULL;

    *len_out = SIGNATURE_BYTES_MAX;
    if (key->is_rsa) {
        ok = ok && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
             EVP_DigestSign(context, signature, len_out, data, bytes.len) == 1;
    } else {
        ok = ok && EVP_Digest(data, bytes.len, digest, NULL, EVP_sha256(), NULL) == 1 &&
             EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
             EVP_DigestSign(context, signature, len_out, digest, sizeof(digest)) == 1;
    }
    EVP_MD_CTX_free(context);
    if (!ok)
        ERR_clear_error();
    return ok;
}

static enum status append_body_hash(struct slice body, struct buffer *out)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[BASE64_BYTES(SHA256_DIGEST_LENGTH)];
    struct buffer relaxed;
    enum status status;

    buffer_init(&relaxed, body.len + 2); /* a last line without its end gets one */
    status = tls_dkim_relax_body(body, &relaxed);
    if (status == STATUS_OK && EVP_Digest(buffer_contents(&relaxed).data, buffer_len(&relaxed),
                                          digest, NULL, EVP_sha256(), NULL) != 1)
        status = STATUS_NO_MEMORY;
    buffer_finish(&relaxed);
    TRY(status);
    (void)EVP_EncodeBlock((unsigned char *)text, digest, sizeof(digest));
    return buffer_append_text(out, text);
}

/* The field, up to and with "b=". */
static enum status write_head(const struct tls_dkim_signing *s, struct slice header,
                              struct slice body, struct buffer *out)
{
    bool has_from = false;

    TRY(buffer_printf(out,
                      "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n d=%.*s; s=%.*s;\r\n"
                      " t=%lld; h=",
                      s->key->is_rsa ? "rsa-sha256" : "ed25519-sha256", SLICE_ARGS(s->domain),
                      SLICE_ARGS(s->selector), (long long)s->now_s));
    for (size_t i = 0, written = 0; i < s->fields_count; i++) {
        if (find_field(header, s->fields[i]).len == 0)
            continue;
        has_from = has_from || slice_equal_nocase(slice_from(s->fields[i]), SLICE("From"));
        TRY(buffer_printf(out, "%s%s", written++ > 0 ? ":\r\n " : "", s->fields[i]));
    }
    if (!has_from)
        return STATUS_INVALID;
    TRY(buffer_append_text(out, ";\r\n bh="));
    TRY(append_body_hash(body, out));
    return buffer_append_text(out, ";\r\n b=");
}

/* What is signed: RFC 6376 3.7. head: of our field, whose line end does not count. */
static enum status write_signed(const struct tls_dkim_signing *s, struct slice header,
                                struct slice head, struct buffer *out)
{
    for (size_t i = 0; i < s->fields_count; i++) {
        struct slice field = find_field(header, s->fields[i]);

        if (field.len > 0)
            TRY(tls_dkim_relax_field(field, out));
    }
    return tls_dkim_relax_field(head, out);
}

static enum status append_folded(struct slice text, struct buffer *out)
{
    while (text.len > 0) {
        size_t len = text.len < FOLD_COLUMNS ? text.len : FOLD_COLUMNS;

        TRY(buffer_printf(out, "%.*s\r\n%s", (int)len, text.data, text.len > len ? " " : ""));
        text = slice_after(text, len);
    }
    return STATUS_OK;
}

static enum status append_signature(const struct tls_dkim_signing *s, struct slice header,
                                    struct slice head, struct buffer *out)
{
    unsigned char signature[SIGNATURE_BYTES_MAX];
    char text[BASE64_BYTES(SIGNATURE_BYTES_MAX)];
    struct buffer bytes;
    enum status status;
    size_t len = 0;

    buffer_init(&bytes, TLS_DKIM_HEADER_BYTES);
    status = write_signed(s, header, head, &bytes);
    if (status == STATUS_OK &&
        !make_signature(s->key, slice_first(buffer_contents(&bytes), buffer_len(&bytes) - 2),
                        signature, &len))
        status = STATUS_NO_MEMORY;
    buffer_finish(&bytes);
    TRY(status);
    (void)EVP_EncodeBlock((unsigned char *)text, signature, (int)len);
    return append_folded(slice_from(text), out);
}

enum status tls_dkim_sign(const struct tls_dkim_signing *signing, struct slice message,
                          struct buffer *out)
{
    struct slice header, body, head;
    size_t before = buffer_len(out);
    struct buffer copy;
    enum status status;

    ASSERT(signing->key != NULL && signing->domain.len > 0 && signing->selector.len > 0);
    if (!split(message, &header, &body))
        return STATUS_INVALID;
    TRY(write_head(signing, header, body, out));
    head = slice_after(buffer_contents(out), before);
    /* out moves when it grows. */
    buffer_init(&copy, head.len);
    status = buffer_append(&copy, head);
    if (status == STATUS_OK)
        status = append_signature(signing, header, buffer_contents(&copy), out);
    buffer_finish(&copy);
    return status;
}
