/* Servers that ask for a certificate, and the versions of TLS that a session may demand. */
#include "tests/tls/authority.h"
#include "tests/tls/link.h"
#include "tls/peer_names.h"

#define NOW_S 1000

static X509 *authority, *stranger;
static char authority_path[PATH_BYTES], stranger_path[PATH_BYTES], many_path[PATH_BYTES];
static char key_path[PATH_BYTES];

static const struct suite *const both[] = { &suites[0], &suites[3] };

/* What clients show. */
static const struct certificate good = { "client.example",
                                         "DNS:mx.client.example,email:Ann@client.example",
                                         "clientAuth", 0, 0 };
static const struct certificate bare = { "mx.client.example", NULL, NULL, 0, 0 };
static const struct certificate expired = { "client.example", NULL, NULL, -30 * DAY_S, -DAY_S };
static const struct certificate early = { "client.example", NULL, NULL, DAY_S, 30 * DAY_S };
static const struct certificate of_a_server = { "client.example", "DNS:mx.client.example",
                                                "serverAuth", 0, 0 };

static int make_authorities(void **unused)
{
    static const struct certificate ours = { "Authority", NULL, NULL, 0, 0 };
    static const struct certificate other = { "Stranger", NULL, NULL, 0, 0 };
    FILE *file;

    assert_int_equal(make_certificates(unused), 0);
    one_key = EVP_EC_gen("P-256");
    authority = certificate_make(&ours, NULL);
    stranger = certificate_make(&other, NULL);
    (void)snprintf(authority_path, PATH_BYTES, "%s/authority.pem", folder);
    (void)snprintf(stranger_path, PATH_BYTES, "%s/stranger.pem", folder);
    (void)snprintf(many_path, PATH_BYTES, "%s/many.pem", folder);
    certificates_write(authority_path, &authority, 1);
    certificates_write(stranger_path, &stranger, 1);
    (void)snprintf(key_path, PATH_BYTES, "%s/one.key", folder);
    file = fopen(key_path, "we");
    assert_non_null(file);
    assert_true(PEM_write_PrivateKey(file, one_key, NULL, NULL, 0, NULL, NULL));
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int remove_authorities(void **unused)
{
    X509_free(authority);
    X509_free(stranger);
    EVP_PKEY_free(one_key);
    (void)unlink(authority_path);
    (void)unlink(stranger_path);
    (void)unlink(many_path);
    (void)unlink(key_path);
    return remove_certificates(unused);
}

static struct tls_context *trusting(const char *ca_file, struct tls_tickets *tickets)
{
    struct tls_certificate_files files = { chain_paths[KIND_ECDSA], key_paths[KIND_ECDSA] };
    struct tls_server_options options = { .certificates = &files,
                                          .certificates_count = 1,
                                          .tickets = tickets,
                                          .client_ca_file = ca_file,
                                          .kernel = true };
    struct tls_context *context = NULL;
    struct tls_error error;

    assert_int_equal(tls_context_create_server(&options, &context, &error), STATUS_OK);
    assert_string_equal(error.text, "");
    return context;
}

/* How a client comes to a server; the near end is the server. */
struct visit {
    const char *ca_file; /* of the server */
    bool is_asked;
    const struct certificate *shown; /* NULL: none */
    X509 *issuer;                    /* NULL: signed by itself */
    const struct suite *suite;
    struct tls_tickets *tickets;
    SSL_SESSION *ticket;
};

static void visit_begin(struct link *l, const struct visit *v)
{
    SSL *client;

    l->server = trusting(v->ca_file, v->tickets);
    l->client = client_context();
    end_open(&l->near, l->server, TLS_ROLE_SERVER, BOUND);
    end_open(&l->far, l->client, TLS_ROLE_CLIENT, BOUND);
    client = l->far.session->ssl;
    choose(l->near.session, v->suite);
    choose(l->far.session, v->suite);
    if (v->is_asked)
        tls_session_ask_certificate(l->near.session, l->server);
    if (v->shown != NULL) {
        X509 *x = certificate_make(v->shown, v->issuer);

        assert_int_equal(SSL_use_certificate(client, x), 1);
        assert_int_equal(SSL_use_PrivateKey(client, one_key), 1);
        X509_free(x);
    }
    if (v->ticket != NULL)
        assert_int_equal(SSL_set_session(client, v->ticket), 1);
}

/* A visit that ends in an established session on both ends. */
static void visit(struct link *l, const struct visit *v)
{
    visit_begin(l, v);
    shake_hands(l);
    say(&l->near, SLICE("220\r\n"));
    hears(&l->far, &l->near, SLICE("220\r\n")); /* and the ticket of TLS 1.3 */
    say(&l->far, SLICE("QUIT\r\n"));
    hears(&l->near, &l->far, SLICE("QUIT\r\n"));
}

/* The ticket that a visitor takes home. */
static SSL_SESSION *visit_ticket(const struct visit *v)
{
    SSL_SESSION *ticket;
    struct link l;

    visit(&l, v);
    assert_false(tls_session_is_resumed(l.near.session));
    ticket = SSL_get1_session(l.far.session->ssl);
    assert_true(SSL_SESSION_is_resumable(ticket));
    finish(&l);
    return ticket;
}

static void expect_problem(const struct tls_session *s, const char *problem, size_t i)
{
    const char *said = tls_session_verify_problem(s);

    if ((problem == NULL) != (said == NULL) || (said != NULL && strstr(said, problem) == NULL))
        fail_msg("case %zu: %s", i, said != NULL ? said : "no problem");
}

static void whatever_a_client_shows_is_judged_and_lets_the_handshake_go_on(void **unused)
{
    const struct {
        const char *ca_file;
        bool is_asked;
        const struct certificate *shown;
        X509 *issuer;
        const char *problem;
    } cases[] = {
        { authority_path, true, &good, authority, NULL },
        { authority_path, true, &bare, authority, NULL },
        { authority_path, true, NULL, NULL, "no certificate from client" },
        { authority_path, false, &good, authority, "no certificate from client" },
        { authority_path, true, &expired, authority, "certificate has expired" },
        { authority_path, true, &early, authority, "certificate is not yet valid" },
        { authority_path, true, &good, stranger, "unable to get local issuer certificate" },
        { authority_path, true, &bare, NULL, "self" },
        { authority_path, true, &of_a_server, authority, "purpose" },
        { stranger_path, true, &good, authority, "unable to get local issuer certificate" },
        { NULL, true, &good, authority, "unable to get local issuer certificate" },
        { NULL, true, NULL, NULL, "no certificate from client" },
        { NULL, false, &good, authority, "no certificate from client" },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct visit v = { cases[k].ca_file,
                           cases[k].is_asked,
                           cases[k].shown,
                           cases[k].issuer,
                           both[i % 2],
                           NULL,
                           NULL };
        bool has = v.is_asked && v.shown != NULL;
        struct link l;

        visit(&l, &v);
        expect_problem(l.near.session, cases[k].problem, k);
        assert_int_equal(tls_session_has_peer_certificate(l.near.session), has);
        assert_int_equal(tls_session_peer_common_name(l.near.session) != NULL, has);
        assert_true(tls_session_has_peer_certificate(l.far.session));
        finish(&l);
    }
}

/* The verdict is that of the first handshake, good or bad, also in another worker's context. */
static void a_resumed_session_keeps_certificate_and_verdict(void **unused)
{
    const struct {
        const struct certificate *shown;
        X509 *issuer;
        const char *problem;
    } cases[] = {
        { &good, authority, NULL },
        { &expired, authority, "expired" },
        { &good, stranger, "local issuer" },
        { &of_a_server, authority, "purpose" },
        { NULL, NULL, "no certificate from client" },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct visit v = { authority_path, true, cases[k].shown, cases[k].issuer, both[i % 2],
                           NULL,           NULL };
        struct link l;

        assert_int_equal(tls_tickets_create(NOW_S, &v.tickets), STATUS_OK);
        v.ticket = visit_ticket(&v);
        v.shown = NULL; /* what it shows now is not asked about */
        for (int again = 0; again < 2; again++) {
            SSL_SESSION *copy = SSL_SESSION_dup(v.ticket); /* clients use theirs once */

            visit(&l, &v);
            assert_true(tls_session_is_resumed(l.near.session));
            expect_problem(l.near.session, cases[k].problem, k);
            assert_int_equal(tls_session_has_peer_certificate(l.near.session),
                             cases[k].shown != NULL);
            assert_int_equal(tls_session_peer_has_name(l.near.session, SLICE("mx.client.example")),
                             cases[k].problem == NULL);
            SSL_SESSION_free(v.ticket);
            v.ticket = copy;
            finish(&l);
        }
        SSL_SESSION_free(v.ticket);
        tls_tickets_destroy(v.tickets);
    }
}

static void a_ticket_is_good_only_where_as_much_was_asked(void **unused)
{
    const struct {
        const char *first_file, *then_file;
        bool first_asked, then_asked, resumes;
        const char *problem;
    } cases[] = {
        { authority_path, authority_path, true, true, true, NULL },
        { authority_path, authority_path, false, false, true, "no certificate" },
        { authority_path, authority_path, false, true, false, NULL },
        { authority_path, authority_path, true, false, false, "no certificate" },
        { authority_path, stranger_path, true, true, false, "local issuer" },
        { stranger_path, authority_path, true, true, false, NULL },
        { authority_path, NULL, true, true, false, "local issuer" },
        { NULL, authority_path, true, true, false, NULL },
        { NULL, NULL, true, true, true, "local issuer" },
        { authority_path, stranger_path, false, false, true, "no certificate" },
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct visit v = {
            cases[k].first_file, cases[k].first_asked, &good, authority, both[i % 2], NULL, NULL
        };
        struct link l;

        assert_int_equal(tls_tickets_create(NOW_S, &v.tickets), STATUS_OK);
        v.ticket = visit_ticket(&v);
        v.ca_file = cases[k].then_file;
        v.is_asked = cases[k].then_asked;
        visit(&l, &v);
        if (tls_session_is_resumed(l.near.session) != cases[k].resumes)
            fail_msg("case %zu is resumed: %d", k, tls_session_is_resumed(l.near.session));
        expect_problem(l.near.session, cases[k].problem, k);
        finish(&l);
        SSL_SESSION_free(v.ticket);
        tls_tickets_destroy(v.tickets);
    }
}

static void the_names_of_a_good_certificate_are_matched(void **unused)
{
    static const struct certificate many = {
        "many.example", "DNS:a.example,DNS:*.b.example,email:ann@b.example,IP:192.0.2.1", NULL, 0, 0
    };
    static const struct certificate mail = { "mx.mail.example", "email:ann@b.example", NULL, 0, 0 };
    static const struct {
        const struct certificate *shown;
        const char *wanted;
        bool has;
    } cases[] = {
        { &good, "mx.client.example", true },   { &good, "client.example", false },
        { &good, "*.client.example", true },    { &good, "ann@client.example", true },
        { &good, "bob@client.example", false }, { &bare, "mx.client.example", true },
        { &bare, "*.client.example", true },    { &many, "A.Example.", true },
        { &many, "x.b.example", true },         { &many, "x.y.b.example", false },
        { &many, "many.example", false },       { &many, "192.0.2.1", false },
        { &mail, "mx.mail.example", true },     { &mail, "ann@b.example", true },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct visit v = {
            authority_path, true, cases[i].shown, authority, both[i % 2], NULL, NULL
        };
        struct link l;

        visit(&l, &v);
        if (tls_session_peer_has_name(l.near.session, slice_from(cases[i].wanted)) != cases[i].has)
            fail_msg("%s", cases[i].wanted);
        finish(&l);

        v.issuer = stranger; /* nobody vouches for it */
        visit(&l, &v);
        assert_false(tls_session_peer_has_name(l.near.session, slice_from(cases[i].wanted)));
        finish(&l);
    }
}

/* A common name does not count behind a list that was not looked at to its end. */
static void only_so_many_names_are_looked_at(void **unused)
{
    for (int count = TLS_PEER_NAMES_MAX; count <= TLS_PEER_NAMES_MAX + 1; count++) {
        struct buffer list;
        struct certificate many = { "mx.client.example", NULL, NULL, 0, 0 };
        struct visit v = { authority_path, true, &many, authority, both[0], NULL, NULL };
        struct link l;

        (void)unused;
        buffer_init(&list, BOUND);
        for (int i = 1; i < count; i++)
            assert_int_equal(buffer_printf(&list, "email:%d@a.example,", i), STATUS_OK);
        assert_int_equal(buffer_append(&list, (struct slice){ "email:z@a.example", 18 }), 0);
        many.alternatives = buffer_contents(&list).data;
        visit(&l, &v);
        assert_true(tls_session_peer_has_name(l.near.session, SLICE("1@a.example")));
        assert_int_equal(tls_session_peer_has_name(l.near.session, SLICE("z@a.example")),
                         count == TLS_PEER_NAMES_MAX);
        assert_int_equal(tls_session_peer_has_name(l.near.session, SLICE("mx.client.example")),
                         count == TLS_PEER_NAMES_MAX);
        finish(&l);
        buffer_finish(&list);
    }
}

static void clients_are_told_the_authorities_if_they_are_few(void **unused)
{
    static X509 *many[TLS_CLIENT_CA_NAMES_MAX + 1];
    static const struct {
        size_t count;
        int digits; /* of a name, at least */
        int told;
    } cases[] = {
        { 1, 0, 1 },
        { TLS_CLIENT_CA_NAMES_MAX, 0, TLS_CLIENT_CA_NAMES_MAX },
        { TLS_CLIENT_CA_NAMES_MAX + 1, 0, 0 },
        { TLS_CLIENT_CA_NAMES_MAX / 2, 54, TLS_CLIENT_CA_NAMES_MAX / 2 },
        { TLS_CLIENT_CA_NAMES_MAX, 54, 0 }, /* too many bytes */
    };

    (void)unused;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t k = i / 2;
        struct visit v = {
            many_path, true, &good, many[cases[k].count - 1], both[i % 2], NULL, NULL
        };
        const STACK_OF(X509_NAME) * told;
        struct link l;

        for (size_t m = 0; m < cases[k].count; m++) {
            char name[65];
            struct certificate c = { name, NULL, NULL, 0, 0 };

            (void)snprintf(name, sizeof(name), "Authority %0*zu", cases[k].digits, m);
            many[m] = certificate_make(&c, NULL);
        }
        certificates_write(many_path, many, cases[k].count);
        v.issuer = many[cases[k].count - 1];
        visit(&l, &v);
        told = SSL_get0_peer_CA_list(l.far.session->ssl);
        assert_int_equal(told != NULL ? sk_X509_NAME_num(told) : 0, cases[k].told);
        expect_problem(l.near.session, NULL, k);
        finish(&l);
        for (size_t m = 0; m < cases[k].count; m++)
            X509_free(many[m]);
    }
}

/* Clients are judged by a store of their own: OpenSSL would look for the rest of the server's chain
 * in the context's, at each handshake. */
static void the_authorities_of_clients_do_not_get_into_the_chain_of_the_server(void **unused)
{
    static const struct certificate mine = { "mx.example", NULL, NULL, 0, 0 };
    struct tls_certificate_files files = { many_path, key_path };
    struct tls_server_options options = { .certificates = &files,
                                          .certificates_count = 1,
                                          .client_ca_file = authority_path };
    struct tls_context *server, *client = client_context();
    X509 *leaf = certificate_make(&mine, authority);
    struct tls_error error;
    struct end c, s;

    (void)unused;
    certificates_write(many_path, &leaf, 1);
    assert_int_equal(tls_context_create_server(&options, &server, &error), STATUS_OK);
    end_open(&s, server, TLS_ROLE_SERVER, BOUND);
    end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
    assert_true(handshake(&c, &s, BOUND));
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(c.session->ssl)), 1);
    end_close(&c);
    end_close(&s);
    tls_context_destroy(server);
    tls_context_destroy(client);
    X509_free(leaf);
}

static void what_is_wrong_with_the_authorities_is_said(void **unused)
{
    const struct {
        const char *file;
        enum status status;
        const char *said;
    } cases[] = {
        { authority_path, STATUS_OK, "" },
        { "/nowhere/clients.pem", STATUS_NOT_FOUND, "/nowhere/clients.pem: No such file" },
        { key_paths[0], STATUS_INVALID, "no certificate" },
        { "/dev/null", STATUS_INVALID, "/dev/null: " },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_certificate_files files = { chain_paths[0], key_paths[0] };
        struct tls_server_options options = { .certificates = &files,
                                              .certificates_count = 1,
                                              .client_ca_file = cases[i].file };
        struct tls_context *context = NULL;
        struct tls_error error;

        assert_int_equal(tls_context_create_server(&options, &context, &error), cases[i].status);
        if (strstr(error.text, cases[i].said) == NULL)
            fail_msg("case %zu says: %s", i, error.text);
        tls_context_destroy(context);
    }
}

/* Each suite in both directions, with what the client has sent for its certificate in the way. */
static void the_kernel_takes_sessions_that_were_asked(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 4 * ARRAY_LEN(suites); i++) {
        struct visit v = { authority_path, true, &good, authority, &suites[i / 4], NULL, NULL };
        bool is_resumed = i % 2 == 1;
        struct soft send, receive;
        struct link l;

        if (i % 4 >= 2)
            v.shown = NULL;
        if (is_resumed) {
            assert_int_equal(tls_tickets_create(NOW_S, &v.tickets), STATUS_OK);
            v.ticket = visit_ticket(&v);
        }
        visit_begin(&l, &v);
        tls_kernel_allow(l.near.session, &able, TLS_KERNEL_BOTH);
        shake_hands(&l);
        assert_int_equal(tls_session_is_resumed(l.near.session), is_resumed);
        hears(&l.far, &l.near, SLICE(""));
        hears(&l.near, &l.far, SLICE(""));
        take(&l.near, TLS_SEND, &send);
        take(&l.near, TLS_RECEIVE, &receive);
        assert_null(l.near.session->ssl);
        for (int k = 0; k < 3; k++) {
            soft_seal(&send, TYPE_DATA, SLICE("from the kernel"), &l.near.output);
            hears(&l.far, &l.near, SLICE("from the kernel"));
            say(&l.far, SLICE("to the kernel"));
            opens(&receive, &l.far, TYPE_DATA, SLICE("to the kernel"));
        }
        /* What is known about the client outlives OpenSSL's objects. */
        expect_problem(l.near.session, v.shown != NULL ? NULL : "no certificate from client", i);
        assert_int_equal(tls_session_peer_has_name(l.near.session, SLICE("mx.client.example")),
                         v.shown != NULL);
        finish(&l);
        SSL_SESSION_free(v.ticket);
        tls_tickets_destroy(v.tickets);
    }
}

static void a_session_may_demand_a_version_of_its_own(void **unused)
{
    static const struct {
        enum tls_version context, session;
        bool is_12_only, is_refused;
        const char *protocol;
    } cases[] = {
        { TLS_VERSION_1_2, TLS_VERSION_1_3, true, true, NULL },
        { TLS_VERSION_1_2, TLS_VERSION_1_3, false, false, "TLSv1.3" },
        { TLS_VERSION_1_2, TLS_VERSION_1_2, true, false, "TLSv1.2" },
        { TLS_VERSION_1_3, TLS_VERSION_1_2, true, false, "TLSv1.2" },
        { TLS_VERSION_1_3, TLS_VERSION_1_2, false, false, "TLSv1.3" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_context *server = make_server(1, cases[i].context, NULL);
        struct tls_context *client = make_client(TLS_VERSION_1_2);
        struct end c, s;

        end_open(&s, server, TLS_ROLE_SERVER, BOUND);
        end_open(&c, client, TLS_ROLE_CLIENT, BOUND);
        tls_session_set_min_version(s.session, cases[i].session);
        if (cases[i].is_12_only)
            assert_int_equal(SSL_set_max_proto_version(c.session->ssl, TLS1_2_VERSION), 1);
        assert_int_equal(handshake(&c, &s, BOUND), !cases[i].is_refused);
        if (cases[i].is_refused) {
            assert_non_null(strstr(tls_session_error(s.session), "unsupported protocol"));
            handshake_step(&c, &s, BOUND);
            assert_non_null(strstr(tls_session_error(c.session), "alert protocol version"));
        } else {
            assert_string_equal(tls_session_protocol(s.session), cases[i].protocol);
        }
        end_close(&c);
        end_close(&s);
        tls_context_destroy(server);
        tls_context_destroy(client);
    }
}

/* A ticket of TLS 1.2 does not get a client into a session that demands more. */
static void a_ticket_does_not_lower_the_version(void **unused)
{
    struct visit v = { NULL, false, NULL, NULL, both[1], NULL, NULL };
    struct link l;

    (void)unused;
    assert_int_equal(tls_tickets_create(NOW_S, &v.tickets), STATUS_OK);
    v.ticket = visit_ticket(&v);
    visit_begin(&l, &v);
    assert_int_equal(SSL_set_max_proto_version(l.near.session->ssl, 0), 1);
    tls_session_set_min_version(l.near.session, TLS_VERSION_1_3);
    assert_false(handshake(&l.far, &l.near, BOUND));
    assert_int_equal(l.near.progress, TLS_FAILED);
    finish(&l);
    SSL_SESSION_free(v.ticket);
    tls_tickets_destroy(v.tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_client_shows_is_judged_and_lets_the_handshake_go_on),
        cmocka_unit_test(a_resumed_session_keeps_certificate_and_verdict),
        cmocka_unit_test(a_ticket_is_good_only_where_as_much_was_asked),
        cmocka_unit_test(the_names_of_a_good_certificate_are_matched),
        cmocka_unit_test(only_so_many_names_are_looked_at),
        cmocka_unit_test(clients_are_told_the_authorities_if_they_are_few),
        cmocka_unit_test(the_authorities_of_clients_do_not_get_into_the_chain_of_the_server),
        cmocka_unit_test(what_is_wrong_with_the_authorities_is_said),
        cmocka_unit_test(the_kernel_takes_sessions_that_were_asked),
        cmocka_unit_test(a_session_may_demand_a_version_of_its_own),
        cmocka_unit_test(a_ticket_does_not_lower_the_version),
    };
    return cmocka_run_group_tests(tests, make_authorities, remove_authorities);
}
