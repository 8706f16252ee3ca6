#include "tests/tls/support.h"

static void what_is_wrong_with_a_file_is_said_in_one_line(void **unused)
{
    const struct {
        const char *chain, *key;
        enum status status;
        const char *said;
    } cases[] = {
        { chain_paths[0], key_paths[0], STATUS_OK, "" },
        { "/nowhere/mail.pem", key_paths[0], STATUS_NOT_FOUND, "/nowhere/mail.pem: No such file" },
        { chain_paths[0], "/nowhere/mail.key", STATUS_NOT_FOUND, "/nowhere/mail.key: No such" },
        { key_paths[0], key_paths[0], STATUS_INVALID, "holds no certificate" },
        { chain_paths[0], chain_paths[0], STATUS_INVALID, "private key" },
        { chain_paths[0], key_paths[1], STATUS_INVALID, "belongs to another certificate" },
        { expired_path, key_paths[0], STATUS_OK, "expired.pem: the certificate has expired" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_certificate_files files = { cases[i].chain, cases[i].key };
        struct tls_server_options options = { .certificates = &files, .certificates_count = 1 };
        struct tls_context *context = NULL;
        struct tls_error error;

        assert_int_equal(tls_context_create_server(&options, &context, &error), cases[i].status);
        if (strstr(error.text, cases[i].said) == NULL)
            fail_msg("case %zu says: %s", i, error.text);
        assert_null(strchr(error.text, '\n'));
        assert_int_equal(context != NULL, cases[i].status == STATUS_OK);
        tls_context_destroy(context);
    }
}

static void two_pairs_of_one_kind_are_a_warning(void **unused)
{
    struct tls_certificate_files files[] = { { chain_paths[0], key_paths[0] },
                                             { chain_paths[1], key_paths[1] },
                                             { chain_paths[0], key_paths[0] } };
    struct tls_context *context;
    struct tls_error error;

    (void)unused;
    for (size_t count = 1; count <= ARRAY_LEN(files); count++) {
        struct tls_server_options options = { .certificates = files, .certificates_count = count };

        assert_int_equal(tls_context_create_server(&options, &context, &error), STATUS_OK);
        assert_int_equal(strstr(error.text, "same kind") != NULL, count == 3);
        tls_context_destroy(context);
    }
}

static void a_server_without_or_with_too_many_certificates_is_refused(void **unused)
{
    static const struct tls_certificate_files none[TLS_CERTIFICATES_MAX + 1];
    const struct {
        size_t count;
        enum status status;
    } cases[] = { { 0, STATUS_INVALID }, { TLS_CERTIFICATES_MAX + 1, STATUS_LIMIT } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server_options options = { .certificates = none,
                                              .certificates_count = cases[i].count };
        struct tls_context *context = NULL;
        struct tls_error error;

        assert_int_equal(tls_context_create_server(&options, &context, &error), cases[i].status);
        assert_string_not_equal(error.text, "");
        assert_null(context);
    }
}

/* The end of a context with these pairs, in days from now, rounded; which warns as it is said. */
static int64_t days_left(const struct tls_certificate_files *files, size_t count, const char *said)
{
    struct tls_server_options options = { .certificates = files, .certificates_count = count };
    struct tls_context *context = NULL;
    struct tls_error error;
    int64_t left_s;

    assert_int_equal(tls_context_create_server(&options, &context, &error), STATUS_OK);
    if (strstr(error.text, said) == NULL || (said[0] == '\0' && error.text[0] != '\0'))
        fail_msg("not \"%s\": \"%s\"", said, error.text);
    left_s = tls_context_expires_wall_s(context) - time(NULL);
    tls_context_destroy(context);
    return (left_s + (left_s < 0 ? -DAY_S / 2 : DAY_S / 2)) / DAY_S;
}

static void a_context_ends_with_the_first_of_its_certificates(void **unused)
{
    const struct tls_certificate_files good[] = { { chain_paths[0], key_paths[0] },
                                                  { chain_paths[1], key_paths[1] } };
    const struct tls_certificate_files mixed[] = { { expired_path, key_paths[0] },
                                                   { chain_paths[1], key_paths[1] } };
    char path[PATH_BYTES], text[16384];
    const struct tls_certificate_files chained = { path, key_paths[0] };
    struct tls_context *client = make_client(TLS_VERSION_1_2);
    const char *const parts[] = { chain_paths[0], expired_path }; /* leaf, intermediate */
    FILE *out;

    (void)unused;
    assert_int_equal(days_left(good, 1, ""), 30);
    assert_int_equal(days_left(good, 2, ""), 30);
    assert_int_equal(days_left(mixed, 2, "expired.pem: the certificate has expired, on "), -1);
    assert_int_equal(tls_context_expires_wall_s(client), 0);
    tls_context_destroy(client);
    (void)snprintf(path, sizeof(path), "%s/chain.pem", folder);
    out = fopen(path, "we");
    assert_non_null(out);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        FILE *in = fopen(parts[i], "re");
        size_t len;

        assert_non_null(in);
        len = fread(text, 1, sizeof(text), in);
        assert_int_equal(fwrite(text, 1, len, out), len);
        assert_int_equal(fclose(in), 0);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(days_left(&chained, 1, "chain.pem: an intermediate has expired, on "), -1);
    (void)unlink(path);
}

static void a_client_says_what_is_wrong_with_its_own_certificate(void **unused)
{
    const struct {
        const char *chain, *key;
        enum status status;
        const char *said;
    } cases[] = {
        { chain_paths[0], key_paths[0], STATUS_OK, "" },
        { "/nowhere/mail.pem", key_paths[0], STATUS_NOT_FOUND, "/nowhere/mail.pem: No such file" },
        { chain_paths[0], key_paths[1], STATUS_INVALID, "belongs to another certificate" },
        { expired_path, key_paths[0], STATUS_OK, "expired.pem: the certificate has expired" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_certificate_files files = { cases[i].chain, cases[i].key };
        struct tls_client_options options = { .certificates = &files, .certificates_count = 1 };
        struct tls_context *context = NULL;
        struct tls_error error;

        assert_int_equal(tls_context_create_client(&options, &context, &error), cases[i].status);
        if (strstr(error.text, cases[i].said) == NULL)
            fail_msg("case %zu says: %s", i, error.text);
        assert_int_equal(context != NULL, cases[i].status == STATUS_OK);
        tls_context_destroy(context);
    }
}

static void a_context_may_go_before_its_sessions(void **unused)
{
    struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);
    struct tls_context *client = make_client(TLS_VERSION_1_2);
    struct end c, s;

    (void)unused;
    end_open(&s, server, TLS_ROLE_SERVER, 65536);
    end_open(&c, client, TLS_ROLE_CLIENT, 65536);
    tls_context_destroy(server);
    tls_context_destroy(client);
    assert_true(handshake(&c, &s, 65536));
    end_close(&c);
    end_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_with_a_file_is_said_in_one_line),
        cmocka_unit_test(two_pairs_of_one_kind_are_a_warning),
        cmocka_unit_test(a_server_without_or_with_too_many_certificates_is_refused),
        cmocka_unit_test(a_context_ends_with_the_first_of_its_certificates),
        cmocka_unit_test(a_client_says_what_is_wrong_with_its_own_certificate),
        cmocka_unit_test(a_context_may_go_before_its_sessions),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
