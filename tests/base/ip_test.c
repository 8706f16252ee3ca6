#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ip.h"

static void an_endpoint_is_written_without_the_port_that_goes_without_saying(void **unused)
{
    static const struct {
        const char *address;
        uint16_t port;
        const char *whole, *brief;
    } cases[] = {
        { "192.0.2.1", 25, "192.0.2.1:25", "192.0.2.1" },
        { "192.0.2.1", 2525, "192.0.2.1:2525", "192.0.2.1:2525" },
        { "2001:db8::1", 25, "[2001:db8::1]:25", "2001:db8::1" },
        { "2001:db8::1", 26, "[2001:db8::1]:26", "[2001:db8::1]:26" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_endpoint endpoint = { .port = cases[i].port };
        char text[IP_ENDPOINT_MAX];

        assert_true(ip_parse(slice_from(cases[i].address), &endpoint.address));
        assert_string_equal(ip_endpoint_format(&endpoint, text), cases[i].whole);
        assert_string_equal(ip_endpoint_format_short(&endpoint, 25, text), cases[i].brief);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_is_written_without_the_port_that_goes_without_saying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
