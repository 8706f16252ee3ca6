/* How a host is asked for, and what is known of it without a check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/hop_identity.h"
#include "tests/tls/delivery.h"

static void a_host_is_asked_for_by_the_base_of_its_records_or_its_name(void **unused)
{
    static const struct {
        const char *host, *base, *server_name; /* NULL: none */
    } cases[] = {
        { "mx1.example.com", "", "mx1.example.com" },
        { "mx1.example.com", "mx1.hoster.example", "mx1.hoster.example" },
        { "", "", NULL },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct gateway_hop_identity identity = { .domain = SLICE("example.com"),
                                                       .host = slice_from(cases[i].host),
                                                       .base = slice_from(cases[i].base) };
        const char *name = gateway_hop_identity_server_name(&identity);

        if (cases[i].server_name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, cases[i].server_name);
    }
}

static void without_a_check_every_host_is_the_right_one(void **unused)
{
    const struct gateway_hop_identity identity = { .host = SLICE("mx1.example.com") };
    struct tls_peer_check check = { .text = "left over" };

    (void)unused;
    gateway_hop_identity_check(&identity, NULL, POLICY_TLS_CHECK_NONE, &check);
    assert_true(check.is_matched);
    assert_string_equal(check.text, "");
}

/* An attacker who has the address can have a PTR, a forward name and a certificate for it. */
static void the_name_of_its_address_alone_proves_nothing_of_a_host(void **unused)
{
    static const struct certificate ours = { "Authority", NULL, NULL, 0, 0, true };
    static const struct {
        struct certificate shown;
        bool is_right[POLICY_TLS_CHECK_HOSTED + 1]; /* by check: that it is, */
        bool is_proven;                             /* and whatever the check */
    } cases[] = {
        { { "ptr.example.net", "DNS:ptr.example.net", NULL, 0, 0, false },
          { true, true, false },
          false },
        { { "x", "DNS:mx1.example.com", NULL, 0, 0, false }, { true, false, true }, true },
        { { "x", "DNS:example.com", NULL, 0, 0, false }, { true, true, true }, true },
        { { "x", "DNS:example.org", NULL, 0, 0, false }, { true, false, false }, false },
    };
    const struct gateway_hop_identity identity = { .domain = SLICE("example.com"),
                                                   .host = SLICE("mx1.example.com"),
                                                   .ptr = SLICE("ptr.example.net") };
    X509 *authority = certificate_make(&ours, NULL);
    char path[PATH_BYTES];

    (void)unused;
    (void)snprintf(path, sizeof(path), "%s/authority.pem", folder);
    certificates_write(path, &authority, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        X509 *leaf = certificate_make(&cases[i].shown, authority);
        struct meeting m = { .chain = { leaf },
                             .suite = both[i % 2],
                             .trust = trust_make(path, NULL, NULL) };
        struct link l;

        meet(&l, &m);
        for (int c = POLICY_TLS_CHECK_NONE; c <= POLICY_TLS_CHECK_HOSTED; c++) {
            struct tls_peer_check check;
            bool is_proven;

            gateway_hop_identity_check(&identity, l.near.session, (enum policy_tls_check)c, &check);
            is_proven = gateway_hop_identity_is_proven(&identity, l.near.session,
                                                       (enum policy_tls_check)c, check.is_matched);
            if (check.is_matched != cases[i].is_right[c] || is_proven != cases[i].is_proven)
                fail_msg("case %zu, check %d: %d, %d", i, c, check.is_matched, is_proven);
        }
        finish(&l);
        tls_trust_release(m.trust);
        X509_free(leaf);
    }
    (void)unlink(path);
    X509_free(authority);
}

static int make_all(void **unused)
{
    one_key = EVP_EC_gen("P-256");
    return make_certificates(unused);
}

static int remove_all(void **unused)
{
    EVP_PKEY_free(one_key);
    return remove_certificates(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_asked_for_by_the_base_of_its_records_or_its_name),
        cmocka_unit_test(without_a_check_every_host_is_the_right_one),
        cmocka_unit_test(the_name_of_its_address_alone_proves_nothing_of_a_host),
    };

    return cmocka_run_group_tests(tests, make_all, remove_all);
}
