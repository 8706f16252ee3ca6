/* Where TLS reports may be posted to: URIs and addresses that strangers chose. */
#include "gateway/tls_report_post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void a_uri_says_a_host_and_a_port_or_cannot_be_used(void **unused)
{
    static const struct {
        const char *url, *host; /* NULL: it cannot be used */
        uint16_t port;
    } cases[] = {
        { "https://reports.example.com/v1/tlsrpt", "reports.example.com", 443 },
        { "https://Reports.Example.com:8443", "Reports.Example.com", 8443 },
        { "https://[2001:db8::1]:444/x", "2001:db8::1", 444 },
        { "https://192.0.2.1/x?y=z", "192.0.2.1", 443 },
        { "https://0x7f.1/", "127.0.0.1", 443 },
        { "https://2130706433/", "127.0.0.1", 443 },
        { "https://a.example./", NULL, 0 },
        { "https://user@a.example/", NULL, 0 },
        { "https://user:secret@a.example/", NULL, 0 },
        { "https://:@a.example/", NULL, 0 },
        { "https://a.example:0/", NULL, 0 },
        { "https://a.example:65536/", NULL, 0 },
        { "https://a.example:x/", NULL, 0 },
        { "https://[fe80::1%25eth0]/", NULL, 0 },
        { "https://[::1/", NULL, 0 },
        { "https://a_b.example/", "a_b.example", 443 },
        { "https://a%2eb.example/", "a.b.example", 443 },
        { "https://a%00b/", NULL, 0 },
        { "https://a,b/", NULL, 0 },
        { "https://-/", "-", 443 },
        { "http://a.example/", NULL, 0 },
        { "file:///etc/passwd", NULL, 0 },
        { "", NULL, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char host[DNS_NAME_MAX] = "?";
        uint16_t port = 1;
        bool ok = gateway_tls_post_target(cases[i].url, host, &port);

        if (ok != (cases[i].host != NULL))
            fail_msg("%s: %s", cases[i].url, host);
        if (!ok)
            continue;
        assert_string_equal(host, cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
}

static void addresses_inside_are_not_public(void **unused)
{
    static const struct {
        const char *address;
        bool is_public;
    } cases[] = {
        { "8.8.8.8", true },
        { "1.1.1.1", true },
        { "223.255.255.255", true },
        { "0.0.0.0", false },
        { "10.1.2.3", false },
        { "100.64.0.1", false },
        { "100.128.0.1", true },
        { "127.0.0.1", false },
        { "127.255.0.1", false },
        { "169.254.169.254", false },
        { "172.15.0.1", true },
        { "172.16.0.1", false },
        { "172.31.255.255", false },
        { "172.32.0.1", true },
        { "192.168.0.1", false },
        { "198.19.0.1", false },
        { "203.0.113.9", false },
        { "224.0.0.1", false },
        { "240.0.0.1", false },
        { "255.255.255.255", false },
        { "::", false },
        { "::1", false },
        { "::ffff:127.0.0.1", false },
        { "::ffff:8.8.8.8", true },
        { "64:ff9b::7f00:1", false },
        { "2001:4860::1", true },
        { "2001:0:1::1", false },
        { "2001:db8::1", false },
        { "2002:7f00:1::1", false },
        { "2606:4700::1", true },
        { "fc00::1", false },
        { "fd12::1", false },
        { "fe80::1", false },
        { "fec0::1", false },
        { "ff02::1", false },
        { "4000::1", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_address address;

        assert_true(ip_parse(slice_from(cases[i].address), &address));
        if (gateway_tls_post_is_public(&address) != cases[i].is_public)
            fail_msg("%s", cases[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_says_a_host_and_a_port_or_cannot_be_used),
        cmocka_unit_test(addresses_inside_are_not_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
