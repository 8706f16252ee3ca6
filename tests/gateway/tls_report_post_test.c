/* Where TLS reports may be posted to: URIs and addresses that strangers chose. */
#include "gateway/tls_report_post.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
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

static struct sockaddr_in socket_of(const char *text)
{
    struct ip_endpoint endpoint = { .port = 0 };
    struct sockaddr_storage storage;
    struct sockaddr_in address;

    assert_true(ip_parse(slice_from(text), &endpoint.address));
    assert_int_equal(ip_endpoint_to_socket(&endpoint, &storage), sizeof(address));
    memcpy(&address, &storage, sizeof(address));
    return address;
}

/* Whether somebody connects to a socket that listens at the address, for a post to it. */
static bool is_reached(const char *text, bool to_private)
{
    struct sockaddr_in here = socket_of(text);
    socklen_t len = sizeof(here);
    int client = -1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct gateway_tls_poster *poster;
    struct ip_address address;
    struct gateway_tls_post post = { .body = SLICE("{}"),
                                     .addresses = &address,
                                     .addresses_count = 1,
                                     .ca_path = "",
                                     .to_private = to_private };
    char url[64];

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&here, len) == 0 && listen(fd, 1) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
    (void)snprintf(url, sizeof(url), "https://a.example:%u/", ntohs(here.sin_port));
    post.url = url;
    assert_true(ip_parse(slice_from(text), &address));
    assert_int_equal(gateway_tls_poster_create(&poster), STATUS_OK);
    gateway_tls_post_start(poster, &post);
    for (int i = 0; i < TURNS_MAX && post.state == GATEWAY_TLS_POST_RUNNING && client < 0; i++) {
        gateway_tls_poster_wait(poster, -1, 10);
        client = accept(fd, NULL, NULL);
    }
    if (client >= 0)
        (void)close(client);
    else
        assert_string_equal(post.reason, "https: its address is one of our own or of a private "
                                         "network");
    gateway_tls_post_finish(&post);
    gateway_tls_poster_destroy(poster);
    (void)close(fd);
    return client >= 0;
}

/* The last guard: here an address inside got past those who chose it. */
static void no_socket_is_opened_to_an_address_inside(void **unused)
{
    (void)unused;
    assert_false(is_reached("127.0.0.1", false));
    assert_true(is_reached("127.0.0.1", true));
}

/* In a network of our own, whose only interface gets an address of the Internet. */
static bool become(const char *text)
{
    struct sockaddr_in address = socket_of(text);
    struct ifreq request = { .ifr_name = "lo" };
    int fd;
    bool ok;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(&request.ifr_addr, &address, sizeof(address));
    ok = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0;
    request.ifr_flags = IFF_UP;
    ok = ok && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* A firewall lets us through to ourselves: services that it hides trust that. */
static void no_socket_is_opened_to_an_address_of_ours(void **unused)
{
    struct ip_address address;

    (void)unused;
    assert_true(ip_parse(SLICE("8.8.4.4"), &address));
    assert_false(gateway_tls_post_is_ours(&address));
    if (!become("8.8.4.4"))
        skip();
    assert_true(gateway_tls_post_is_ours(&address));
    assert_false(is_reached("8.8.4.4", false));
    assert_true(is_reached("8.8.4.4", true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_says_a_host_and_a_port_or_cannot_be_used),
        cmocka_unit_test(addresses_inside_are_not_public),
        cmocka_unit_test(no_socket_is_opened_to_an_address_inside),
        cmocka_unit_test(no_socket_is_opened_to_an_address_of_ours), /* the last: it stays there */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
