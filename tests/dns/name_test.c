#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/name.h"

static void valid_names_are_told_from_others(void **state)
{
    static const struct {
        const char *name;
        bool is_valid;
    } cases[] = {
        { "example.com", true },
        { "example.com.", true },
        { "_25._tcp.mx.example.com", true },
        { "a", true },
        { "1.0.0.127.in-addr.arpa", true },
        { "", false },
        { ".", false },
        { "..", false },
        { "a..b", false },
        { ".a", false },
        { "a b", false },
        { "a\\.b", false },
        { "a/b", false },
        { "a\x01", false },
        { "b\xc3\xbc"
          "cher.example",
          false },
        { "(none)", false },
        { "012345678901234567890123456789012345678901234567890123456789012", true },
        { "0123456789012345678901234567890123456789012345678901234567890123", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (dns_name_is_valid(slice_from(cases[i].name)) != cases[i].is_valid)
            fail_msg("%s", cases[i].name);
    assert_false(dns_name_is_valid((struct slice){ "a\0b", 3 }));
    assert_false(dns_name_is_valid((struct slice){ NULL, 0 }));
}

static void a_copy_is_in_lower_case_without_the_final_dot(void **state)
{
    static const char *const cases[][2] = {
        { "Example.COM", "example.com" },
        { "MX.example.com.", "mx.example.com" },
        { "a.", "a" },
        { ".", "" },
        { "", "" },
        { "a b", "" },
    };
    char text[DNS_NAME_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(dns_name_copy(slice_from(cases[i][0]), text), cases[i][1][0] != '\0');
        assert_string_equal(text, cases[i][1]);
    }
}

static void a_name_has_at_most_253_bytes(void **state)
{
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 50 == 49 ? '.' : 'x';
    assert_true(dns_name_is_valid((struct slice){ text, 253 }));
    assert_false(dns_name_is_valid((struct slice){ text, 254 }));
    text[253] = '.';
    assert_true(dns_name_is_valid((struct slice){ text, 254 }));
}

static void addresses_are_reversed_as_the_rfcs_have_it(void **state)
{
    static const struct {
        const char *address;
        const char *reversed;
        const char *listed;
    } cases[] = {
        { "192.0.2.99", "99.2.0.192.in-addr.arpa", "99.2.0.192.dnsbl.example" },
        { "1.2.3.4", "4.3.2.1.in-addr.arpa", "4.3.2.1.dnsbl.example" },
        { "255.255.255.255", "255.255.255.255.in-addr.arpa", "255.255.255.255.dnsbl.example" },
        { "::ffff:127.0.0.2", "2.0.0.127.in-addr.arpa", "2.0.0.127.dnsbl.example" },
        { "4321:0:1:2:3:4:567:89ab", /* RFC 3596 2.5 */
          "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
          "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.dnsbl.example" },
        { "2001:db8:1:2:3:4:567:89ab", /* RFC 5782 2.4 */
          "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
          "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.dnsbl.example" },
    };
    char text[DNS_NAME_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_address a;

        assert_true(ip_parse(slice_from(cases[i].address), &a));
        assert_string_equal(dns_name_reverse(&a, text), cases[i].reversed);
        assert_true(dns_name_listed(&a, SLICE("dnsbl.example"), text));
        assert_string_equal(text, cases[i].listed);
        assert_true(dns_name_listed(&a, SLICE("dnsbl.example."), text));
        assert_string_equal(text, cases[i].listed);
    }
}

static void a_list_that_is_no_zone_or_too_long_is_refused(void **state)
{
    struct ip_address v4, v6;
    char zone[DNS_NAME_MAX];
    char text[DNS_NAME_MAX];

    (void)state;
    assert_true(ip_parse(SLICE("192.0.2.99"), &v4));
    assert_true(ip_parse(SLICE("2001:db8::1"), &v6));
    assert_false(dns_name_listed(&v4, SLICE(""), text));
    assert_false(dns_name_listed(&v4, SLICE("a b"), text));
    for (size_t i = 0; i < sizeof(zone); i++)
        zone[i] = i % 50 == 49 ? '.' : 'z';
    for (size_t len = 1; len < sizeof(zone); len++) {
        if (len % 50 == 0)
            continue; /* ends with a dot */
        assert_int_equal(dns_name_listed(&v4, (struct slice){ zone, len }, text),
                         len + 11 < DNS_NAME_MAX);
        assert_int_equal(dns_name_listed(&v6, (struct slice){ zone, len }, text),
                         len + 64 < DNS_NAME_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_names_are_told_from_others),
        cmocka_unit_test(a_copy_is_in_lower_case_without_the_final_dot),
        cmocka_unit_test(a_name_has_at_most_253_bytes),
        cmocka_unit_test(addresses_are_reversed_as_the_rfcs_have_it),
        cmocka_unit_test(a_list_that_is_no_zone_or_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
