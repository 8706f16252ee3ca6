/* A handshake that runs out of memory: it was us, and not the peer. Only OpenSSL's own allocations
 * fail here; a sanitizer does not mind. */
#include "tests/tls/support.h"

static long failing = -1; /* so many succeed, all behind them fail; below 0: none fails */

static bool fails(void)
{
    if (failing > 0)
        failing--;
    return failing == 0;
}

static void *take(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : malloc(bytes);
}

static void *take_anew(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return fails() ? NULL : realloc(old, bytes);
}

static void give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* The client's memory ends behind `left` more allocations; true: it did. */
static bool shake(struct end *client, struct end *server, long left)
{
    for (unsigned i = 0; i < 20 && !handshake_is_over(client->progress); i++) {
        failing = left;
        handshake_step(client, server, SIZE_MAX);
        left = failing;
        failing = -1;
        if (!handshake_is_over(server->progress))
            handshake_step(server, client, SIZE_MAX);
    }
    return left == 0;
}

static void test_a_handshake_that_fails_for_want_of_memory_says_so(void **state)
{
    struct tls_context *server_context = make_server(1u << KIND_ECDSA, TLS_VERSION_1_2, NULL);
    struct tls_context *client_context = make_client(TLS_VERSION_1_2);
    unsigned failed = 0, found = 0;
    bool was_short = true;

    (void)state;
    for (long left = 1; was_short; left += 5) {
        struct end client, server;

        end_open(&client, client_context, TLS_ROLE_CLIENT, 65536);
        end_open(&server, server_context, TLS_ROLE_SERVER, 65536);
        was_short = shake(&client, &server, left);
        failed += client.progress == TLS_FAILED;
        found += tls_session_lacks_memory(client.session);
        end_close(&client);
        end_close(&server);
    }
    assert_true(failed > 100);
    assert_in_range(found, failed * 9 / 10, failed); /* OpenSSL does not say it everywhere */
    tls_context_destroy(client_context);
    tls_context_destroy(server_context);
}

static void test_a_handshake_that_the_peer_spoils_does_not(void **state)
{
    static const char *const answers[] = {
        "\x15\x03\x03\x00\x02\x02\x28", /* handshake_failure */
        "\x15\x03\x03\x00\x02\x02\x50", /* internal_error */
        "554 no TLS here\r\n",
    };
    struct tls_context *context = make_client(TLS_VERSION_1_2);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct slice input = { answers[i], answers[i][0] == '\x15' ? 7 : strlen(answers[i]) };
        struct end client;

        end_open(&client, context, TLS_ROLE_CLIENT, 65536);
        assert_false(tls_session_lacks_memory(client.session));
        assert_int_equal(tls_session_handshake(client.session, &input, &client.output), TLS_FAILED);
        assert_false(tls_session_lacks_memory(client.session));
        end_close(&client);
    }
    tls_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handshake_that_fails_for_want_of_memory_says_so),
        cmocka_unit_test(test_a_handshake_that_the_peer_spoils_does_not),
    };

    if (CRYPTO_set_mem_functions(take, take_anew, give) != 1)
        return 1;
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
