/* Messages of ours that are signed. That others verify them is tests/system/test_tls_reports.py. */
#include "tls/dkim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_BYTES 64
#define KINDS      2

static char folder[] = "/tmp/postern-dkim-XXXXXX";
static EVP_PKEY *pkeys[KINDS]; /* RSA, Ed25519 */
static struct tls_dkim_key *keys[KINDS];

static const char message[] = "From: a@b.example\r\n"
                              "Subject: one\r\n two\r\n"
                              "X-Other: x\r\n"
                              "To: c@d.example\r\n"
                              "\r\n"
                              "text\r\n\r\nmore \r\n";

/* --- keys ------------------------------------------------------------------------------------ */

static const char *write_key(EVP_PKEY *pkey, const char *passphrase, char path[static PATH_BYTES])
{
    FILE *file;

    (void)snprintf(path, PATH_BYTES, "%s/key.pem", folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, pkey, passphrase != NULL ? EVP_aes_128_cbc() : NULL,
                                          (const unsigned char *)passphrase,
                                          passphrase != NULL ? (int)strlen(passphrase) : 0, NULL,
                                          NULL),
                     1);
    assert_int_equal(fclose(file), 0);
    return path;
}

static int set_up(void **unused)
{
    struct tls_error error;
    char path[PATH_BYTES];

    (void)unused;
    assert_non_null(mkdtemp(folder));
    pkeys[0] = EVP_RSA_gen(2048);
    pkeys[1] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    for (size_t i = 0; i < KINDS; i++) {
        assert_non_null(pkeys[i]);
        assert_int_equal(tls_dkim_key_load(write_key(pkeys[i], NULL, path), &keys[i], &error),
                         STATUS_OK);
    }
    return 0;
}

static int tear_down(void **unused)
{
    char path[PATH_BYTES];

    (void)unused;
    for (size_t i = 0; i < KINDS; i++) {
        EVP_PKEY_free(pkeys[i]);
        tls_dkim_key_destroy(keys[i]);
    }
    (void)snprintf(path, sizeof(path), "%s/key.pem", folder);
    (void)unlink(path);
    return rmdir(folder);
}

static void keys_that_cannot_sign_are_refused(void **unused)
{
    static const struct {
        const char *text; /* of what is said */
        const char *passphrase;
        enum { SMALL, LARGE, ECDSA, GOOD } kind;
    } cases[] = {
        { "has 512 bits, not 1024 to 4096", NULL, SMALL },
        { "has 4104 bits, not 1024 to 4096", NULL, LARGE },
        { "neither RSA nor Ed25519", NULL, ECDSA },
        { "key.pem", "secret", GOOD },
    };
    struct tls_dkim_key *key = NULL;
    struct tls_error error = { 0 };
    char path[PATH_BYTES];

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        EVP_PKEY *pkey = cases[i].kind == SMALL   ? EVP_RSA_gen(512)
                         : cases[i].kind == LARGE ? EVP_RSA_gen(4104)
                         : cases[i].kind == ECDSA ? EVP_EC_gen("P-256")
                                                  : EVP_RSA_gen(2048);

        assert_int_equal(
            tls_dkim_key_load(write_key(pkey, cases[i].passphrase, path), &key, &error),
            STATUS_INVALID);
        if (strstr(error.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s", i, error.text);
        EVP_PKEY_free(pkey);
    }
    assert_int_not_equal(tls_dkim_key_load("/nowhere/key.pem", &key, &error), STATUS_OK);
    assert_null(key);
}

/* --- relaxed --------------------------------------------------------------------------------- */

static void what_is_signed_is_relaxed(void **unused)
{
    static const struct {
        const char *text, *relaxed;
        bool is_field;
    } cases[] = {
        /* RFC 6376 3.4.5 */
        { "A: X\r\n", "a:X\r\n", true },
        { "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", true },
        { " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", false },
        { "Empty:\r\n", "empty:\r\n", true },
        { "a: b: c\r\n", "a:b: c\r\n", true },
        { "no end", "no end\r\n", false },
        { "\r\n\r\na\r\n \r\n", "\r\n\r\na\r\n", false },
        { "\r\n", "", false },
        { "", "", false },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice text = slice_from(cases[i].text);
        struct buffer out;

        buffer_init(&out, 100);
        assert_int_equal(cases[i].is_field ? tls_dkim_relax_field(text, &out)
                                           : tls_dkim_relax_body(text, &out),
                         STATUS_OK);
        if (!slice_equal(buffer_contents(&out), slice_from(cases[i].relaxed)))
            fail_msg("case %zu: %.*s", i, SLICE_ARGS(buffer_contents(&out)));
        buffer_finish(&out);
    }
}

/* --- signatures ------------------------------------------------------------------------------ */

static enum status sign(size_t kind, const char *text, struct buffer *out)
{
    static const char *const fields[] = { "From", "To", "Subject", "Missing" };
    const struct tls_dkim_signing signing = { .key = keys[kind],
                                              .domain = SLICE("b.example"),
                                              .selector = SLICE("2016._x-1"),
                                              .now_s = 1459468800,
                                              .fields = fields,
                                              .fields_count = 4 };

    buffer_init(out, 1 << 16);
    return tls_dkim_sign(&signing, slice_from(text), out);
}

/* What is behind "b=", without the folds. */
static size_t signature_of(struct slice field, unsigned char into[static 1024])
{
    const char *at = memmem(field.data, field.len, "\r\n b=", 5);
    struct slice rest;
    char text[1400];
    size_t len = 0;
    int bytes;

    assert_non_null(at);
    rest = slice_after(field, (size_t)(at - field.data) + 5);
    for (size_t i = 0; i < rest.len; i++)
        if (strchr(" \r\n", rest.data[i]) == NULL)
            text[len++] = rest.data[i];
    bytes = EVP_DecodeBlock(into, (unsigned char *)text, (int)len);
    return (size_t)bytes - (text[len - 1] == '=') - (text[len - 2] == '=');
}

static bool is_good(size_t kind, const char *bytes, struct slice field)
{
    unsigned char signature[1024], digest[SHA256_DIGEST_LENGTH];
    const unsigned char *data = (const unsigned char *)bytes;
    size_t len = strlen(bytes), signature_len = signature_of(field, signature);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok;

    if (kind == 1) {
        assert_int_equal(EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL), 1);
        data = digest;
        len = sizeof(digest);
    }
    ok = EVP_DigestVerifyInit(context, NULL, kind == 0 ? EVP_sha256() : NULL, NULL, pkeys[kind]) ==
             1 &&
         EVP_DigestVerify(context, signature, signature_len, data, len) == 1;
    EVP_MD_CTX_free(context);
    return ok;
}

static void a_message_is_signed_with_either_key(void **unused)
{
    static const char *const names[] = { "rsa-sha256", "ed25519-sha256" };
    char head[512], bytes[1024];

    (void)unused;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct buffer out;
        struct slice rest;

        (void)snprintf(head, sizeof(head),
                       "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n d=b.example; "
                       "s=2016._x-1;\r\n t=1459468800; h=From:\r\n To:\r\n Subject;\r\n "
                       "bh=ci1dfqt2u1B5IPw1CPSWQSoxUF85o0oHvrP9CnzxF/M=;\r\n b=",
                       names[kind]);
        (void)snprintf(bytes, sizeof(bytes),
                       "from:a@b.example\r\nto:c@d.example\r\nsubject:one two\r\n"
                       "dkim-signature:v=1; a=%s; c=relaxed/relaxed; d=b.example; s=2016._x-1; "
                       "t=1459468800; h=From: To: Subject; "
                       "bh=ci1dfqt2u1B5IPw1CPSWQSoxUF85o0oHvrP9CnzxF/M=; b=",
                       names[kind]);
        assert_int_equal(sign(kind, message, &out), STATUS_OK);
        rest = buffer_contents(&out);
        assert_memory_equal(rest.data, head, strlen(head));
        assert_true(is_good(kind, bytes, rest));
        bytes[20]++;
        assert_false(is_good(kind, bytes, rest));
        while (rest.len > 0) {
            struct slice line = slice_cut(&rest, '\n');

            assert_true(line.len > 1 && line.len < 80 && line.data[line.len - 1] == '\r');
        }
        buffer_finish(&out);
    }
}

static void what_has_no_from_is_not_signed(void **unused)
{
    static const char *const texts[] = { "", "From: a@b\r\n", "To: c@d\r\n\r\ntext\r\n",
                                         "\r\n\r\n" };

    (void)unused;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buffer out;

        assert_int_equal(sign(0, texts[i], &out), STATUS_INVALID);
        buffer_finish(&out);
    }
}

/* Of two fields the last one, as a verifier takes them from below; and nothing else. */
static void only_what_is_named_is_signed(void **unused)
{
    static const struct {
        const char *text;
        bool is_same;
    } cases[] = {
        { message, true },
        { "From: a@b.example\r\nSubject:   one two\t\r\nTo: c@d.example\r\n\r\n"
          "text\r\n\r\nmore\r\n\r\n\r\n",
          true },
        { "Subject: zero\r\nTo: c@d.example\r\nFrom: a@b.example\r\nSubject: one two\r\n\r\n"
          "text\r\n\r\nmore\r\n",
          true },
        { "From: a@b.example\r\nSubject: one two\r\nTo: c@d.example\r\n\r\ntext\r\nmore\r\n",
          false },
        { "From: a@b.example\r\nSubject: onetwo\r\nTo: c@d.example\r\n\r\ntext\r\n\r\nmore\r\n",
          false },
        { "From: a@b.example\r\nSubject: one two\r\n\r\ntext\r\n\r\nmore\r\n", false },
    };
    struct buffer first, out;

    (void)unused;
    assert_int_equal(sign(1, message, &first), STATUS_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sign(1, cases[i].text, &out), STATUS_OK);
        if (slice_equal(buffer_contents(&out), buffer_contents(&first)) != cases[i].is_same)
            fail_msg("case %zu", i);
        buffer_finish(&out);
    }
    buffer_finish(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_cannot_sign_are_refused),
        cmocka_unit_test(what_is_signed_is_relaxed),
        cmocka_unit_test(a_message_is_signed_with_either_key),
        cmocka_unit_test(what_has_no_from_is_not_signed),
        cmocka_unit_test(only_what_is_named_is_signed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
