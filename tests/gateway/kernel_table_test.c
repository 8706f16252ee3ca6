/* Who makes the records with ktls = "auto", for this kernel and this OpenSSL: the rows of the table
 * in docs/KERNEL_TLS.md. Each row is what a session of that version and cipher came to, data having
 * gone both ways. In a guest a row that the document does not have, or has otherwise, fails the
 * test; another machine may have a kernel and an OpenSSL that stand in no row. */
#include "tests/gateway/kernel_rig.h"

#include <openssl/crypto.h>
#include <sys/utsname.h>

#define DOCUMENT "docs/KERNEL_TLS.md"
#define ROW_MAX  256

static const struct suite cbc = { "ECDHE-ECDSA-AES128-SHA256", false };

/* Kernels that do the same stand under one name. */
static const char *kernel_name(void)
{
    struct utsname name;
    uint64_t major = 0, minor = 0;
    struct slice rest;

    assert_int_equal(uname(&name), 0);
    rest = slice_from(name.release);
    assert_true(slice_to_number(slice_cut(&rest, '.'), 1000, &major));
    assert_true(slice_to_number(slice_cut(&rest, '.'), 1000, &minor));
    if (major == 6 && minor < 12)
        return "6.1";
    return major == 6 && minor < 14 ? "6.12" : "newer";
}

static void openssl_name(char name[static 16])
{
    (void)snprintf(name, 16, "%u.%u", OPENSSL_version_major(), OPENSSL_version_minor());
}

static const char *maker(const struct tls_session *s, enum tls_direction direction,
                         char text[static 64])
{
    enum tls_kernel_reason reason = tls_kernel_reason(s, direction);

    if (reason == TLS_KERNEL_TAKEN)
        return "kernel";
    (void)snprintf(text, 64, "OpenSSL (%s)", tls_kernel_reason_text(reason));
    return text;
}

/* A word each way, the far end all in OpenSSL. */
static void talk(struct rig *r)
{
    char room[4096], plain[64];
    size_t used, len = 0;

    assert_int_equal(tls_session_write(r->far, SLICE("hello"), &r->far_out, &used), TLS_DONE);
    rig_flush(r);
    RIG_UNTIL(r, buffer_len(&r->got) == 5);
    assert_int_equal(buffer_append_text(gateway_channel_output(&r->channel), "hi"), STATUS_OK);
    gateway_channel_flush(&r->channel);
    for (unsigned t = 0; t < TURNS_MAX && len == 0; t++) {
        ssize_t n = recv(r->peer, room, sizeof(room), 0);
        struct slice input = { room, n > 0 ? (size_t)n : 0 };

        (void)!tls_session_read(r->far, &input, &r->far_out, plain, sizeof(plain), &len);
        rig_turn(r);
    }
    assert_int_equal(len, 2);
    assert_memory_equal(plain, "hi", 2);
    RIG_UNTIL(r, r->settled == 1);
}

static void row(const struct suite *suite, char text[static ROW_MAX])
{
    char send_text[64], receive_text[64], openssl[16];
    struct rig r = { .is_server = true };
    const struct tls_session *tls;

    rig_open(&r, TLS_KERNEL_AUTO, suite, (struct slice){ 0 });
    talk(&r);
    tls = gateway_channel_tls(&r.channel);
    openssl_name(openssl);
    (void)snprintf(text, ROW_MAX, "| %s | %s | %s | %s | %s | %s |", kernel_name(), openssl,
                   tls_session_protocol(tls), suite->name, maker(tls, TLS_SEND, send_text),
                   maker(tls, TLS_RECEIVE, receive_text));
    rig_down(&r);
}

static bool document_has(const char *text)
{
    static char document[65536];
    FILE *file = fopen(DOCUMENT, "re");
    size_t len;

    if (file == NULL)
        fail_msg("%s is not there: run this test in the project's folder", DOCUMENT);
    len = fread(document, 1, sizeof(document) - 1, file);
    (void)fclose(file);
    document[len] = '\0';
    return strstr(document, text) != NULL;
}

static void the_document_says_who_makes_the_records(void **unused)
{
    unsigned missing = 0;

    (void)unused;
    for (size_t i = 0; i <= ARRAY_LEN(suites); i++) {
        const struct suite *suite = i < ARRAY_LEN(suites) ? &suites[i] : &cbc;
        char text[ROW_MAX];

        row(suite, text);
        print_message("%s\n", text);
        if (rig_support.has_module)
            missing += !document_has(text) && getenv("POSTERN_GUEST") != NULL;
        else
            assert_non_null(strstr(text, "| OpenSSL (no module) | OpenSSL (no module) |"));
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_says_who_makes_the_records),
    };

    return cmocka_run_group_tests(tests, rig_begin, remove_certificates);
}
