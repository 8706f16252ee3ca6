/* How a host is asked for, and what is known of it without a check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/hop_identity.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_asked_for_by_the_base_of_its_records_or_its_name),
        cmocka_unit_test(without_a_check_every_host_is_the_right_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
