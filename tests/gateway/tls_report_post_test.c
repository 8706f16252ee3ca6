/* Where TLS reports may be posted to: URIs and addresses that strangers chose. */
#include "gateway/tls_report_post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 1000

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

/* The last guard: here an address inside got past those who chose it. A socket that listens is how
 * one sees that nobody connects. */
static void no_socket_is_opened_to_an_address_inside(void **unused)
{
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(here);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct gateway_tls_poster *poster;
    char url[64];

    (void)unused;
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&here, len) == 0 && listen(fd, 1) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    (void)snprintf(url, sizeof(url), "https://a.example:%u/", ntohs(here.sin_port));
    assert_int_equal(gateway_tls_poster_create(&poster), STATUS_OK);
    for (int to_private = 0; to_private < 2; to_private++) {
        struct ip_address address;
        struct gateway_tls_post post = { .url = url,
                                         .body = SLICE("{}"),
                                         .addresses = &address,
                                         .addresses_count = 1,
                                         .ca_path = "",
                                         .to_private = to_private == 1 };
        int client = -1;

        assert_true(ip_parse(SLICE("127.0.0.1"), &address));
        gateway_tls_post_start(poster, &post);
        for (int i = 0; i < TURNS_MAX && post.state == GATEWAY_TLS_POST_RUNNING && client < 0;
             i++) {
            gateway_tls_poster_wait(poster, -1, 10);
            client = accept(fd, NULL, NULL);
        }
        assert_int_equal(client >= 0, to_private);
        if (client >= 0)
            (void)close(client);
        else
            assert_int_equal(post.state, GATEWAY_TLS_POST_FAILED);
        gateway_tls_post_finish(&post);
    }
    gateway_tls_poster_destroy(poster);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_says_a_host_and_a_port_or_cannot_be_used),
        cmocka_unit_test(addresses_inside_are_not_public),
        cmocka_unit_test(no_socket_is_opened_to_an_address_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
