#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/tls/support.h"
#include "tls/internal.h"

#define NOW_S 1000

/* The client's side of resumption is plain OpenSSL here: the tickets are what is tested. */
static SSL_SESSION *latest;

static SSL_CTX *plain_client(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_true(SSL_CTX_set_min_proto_version(ctx, version));
    assert_true(SSL_CTX_set_max_proto_version(ctx, version));
    return ctx;
}

/* A whole connection of a plain client with one of our servers; keeps the client's newest
 * ticket in `latest`. Says whether both ends think that it was resumed. */
static bool connect_resumes(SSL_CTX *client, struct tls_context *server, SSL_SESSION *ticket)
{
    SSL *ssl = SSL_new(client);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    struct end s;
    bool resumed;
    char byte;

    SSL_set_bio(ssl, in, out);
    if (ticket != NULL)
        assert_true(SSL_set_session(ssl, ticket));
    end_open(&s, server, TLS_ROLE_SERVER, 65536);
    for (int steps = 0; steps < 10; steps++) {
        struct slice sent = buffer_contents(&s.output);
        char *bytes;
        struct slice input;

        assert_int_equal(sent.len > 0 ? BIO_write(in, sent.data, (int)sent.len) : 0, sent.len);
        buffer_clear(&s.output);
        (void)SSL_connect(ssl);
        input.len = (size_t)BIO_get_mem_data(out, &bytes);
        input.data = bytes;
        if (s.progress != TLS_DONE)
            s.progress = tls_session_handshake(s.session, &input, &s.output);
        (void)BIO_reset(out);
    }
    assert_int_equal(s.progress, TLS_DONE);
    assert_true(SSL_is_init_finished(ssl));
    assert_int_equal(SSL_read(ssl, &byte, 1), -1); /* takes in the ticket of TLS 1.3 */
    resumed = tls_session_is_resumed(s.session);
    assert_int_equal(SSL_session_reused(ssl), resumed);
    SSL_SESSION_free(latest);
    latest = SSL_get1_session(ssl);
    (void)SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    end_close(&s);
    return resumed;
}

static SSL_SESSION *take_latest(void)
{
    SSL_SESSION *taken = latest;

    assert_non_null(taken);
    latest = NULL;
    return taken;
}

static void a_ticket_works_on_every_context_until_the_second_rotation(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct tls_tickets *tickets;
        struct tls_context *a, *b;
        SSL_CTX *client = plain_client(versions[i]);
        SSL_SESSION *first, *renewed;

        assert_int_equal(tls_tickets_create(NOW_S, &tickets), STATUS_OK);
        a = make_server(1, TLS_VERSION_1_2, tickets);
        b = make_server(1, TLS_VERSION_1_2, tickets);

        assert_false(connect_resumes(client, a, NULL));
        first = take_latest();
        assert_true(connect_resumes(client, b, first));
        assert_int_equal(tls_tickets_rotate(tickets, NOW_S + 1), STATUS_OK);
        assert_true(connect_resumes(client, b, first));
        renewed = take_latest();
        assert_int_equal(tls_tickets_rotate(tickets, NOW_S + 2), STATUS_OK);
        assert_false(connect_resumes(client, a, first));
        assert_true(connect_resumes(client, a, renewed));
        assert_int_equal(tls_tickets_rotated_at(tickets), NOW_S + 2);

        SSL_SESSION_free(first);
        SSL_SESSION_free(renewed);
        SSL_SESSION_free(latest);
        latest = NULL;
        SSL_CTX_free(client);
        tls_context_destroy(a);
        tls_context_destroy(b);
        tls_tickets_destroy(tickets);
    }
}

static void a_resumed_session_gets_a_ticket_where_one_is_good_once(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        const unsigned char *old, *new;
        SSL_CTX *client = plain_client(versions[i]);
        size_t old_len = 0, new_len = 0;
        struct tls_tickets *tickets;
        struct tls_context *server;
        SSL_SESSION *first;

        assert_int_equal(tls_tickets_create(NOW_S, &tickets), STATUS_OK);
        server = make_server(1, TLS_VERSION_1_2, tickets);
        assert_false(connect_resumes(client, server, NULL));
        first = take_latest();
        assert_true(connect_resumes(client, server, first));
        SSL_SESSION_get0_ticket(first, &old, &old_len);
        SSL_SESSION_get0_ticket(latest, &new, &new_len);
        assert_true(old_len > 0 && new_len > 0);
        assert_int_equal(old_len == new_len && memcmp(old, new, old_len) == 0,
                         versions[i] == TLS1_2_VERSION);
        SSL_SESSION_free(first);
        SSL_SESSION_free(latest);
        latest = NULL;
        SSL_CTX_free(client);
        tls_context_destroy(server);
        tls_tickets_destroy(tickets);
    }
}

static void without_keys_no_ticket_is_given(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct tls_context *server = make_server(1, TLS_VERSION_1_2, NULL);
        SSL_CTX *client = plain_client(versions[i]);

        assert_false(connect_resumes(client, server, NULL));
        assert_non_null(latest);
        assert_false(SSL_SESSION_has_ticket(latest));
        SSL_SESSION_free(latest);
        latest = NULL;
        SSL_CTX_free(client);
        tls_context_destroy(server);
    }
}

static struct tls_tickets *rotated;
static atomic_bool rotate_no_more;

static void *rotate_all_the_time(void *unused)
{
    (void)unused;
    for (time_t now_s = 0; !atomic_load(&rotate_no_more); now_s++)
        if (tls_tickets_rotate(rotated, now_s) != STATUS_OK)
            abort();
    return NULL;
}

/* Many more rotations than handshakes: now and then a reader gives up, and the handshake has to
 * do without a ticket. */
static void handshakes_succeed_while_the_keys_rotate(void **unused)
{
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    struct tls_context *server;
    pthread_t thread;

    (void)unused;
    assert_int_equal(tls_tickets_create(NOW_S, &rotated), STATUS_OK);
    server = make_server(1, TLS_VERSION_1_2, rotated);
    assert_int_equal(pthread_create(&thread, NULL, rotate_all_the_time, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        SSL_CTX *client = plain_client(versions[i]);

        for (int connections = 0; connections < 100; connections++) {
            SSL_SESSION *ticket = latest;

            latest = NULL;
            (void)connect_resumes(client, server, ticket);
            SSL_SESSION_free(ticket);
        }
        SSL_SESSION_free(latest);
        latest = NULL;
        SSL_CTX_free(client);
    }
    atomic_store(&rotate_no_more, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    tls_context_destroy(server);
    tls_tickets_destroy(rotated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_works_on_every_context_until_the_second_rotation),
        cmocka_unit_test(handshakes_succeed_while_the_keys_rotate),
        cmocka_unit_test(a_resumed_session_gets_a_ticket_where_one_is_good_once),
        cmocka_unit_test(without_keys_no_ticket_is_given),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
