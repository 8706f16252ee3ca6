#include "dns/dane_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define MX "mx.example.net"

static void test_a_name_counts_where_nobody_can_have_forged_the_way_to_the_host(void **state)
{
    static const struct {
        const char *what;
        struct dns_dane_way way;
        const char *names[DNS_DANE_NAMES_MAX + 1];
    } cases[] = {
        { "secure MX records",
          { SLICE(MX), SLICE(MX), SLICE("example.com"), SLICE(""), true, true },
          { MX, "example.com" } },
        { "their owner is an alias",
          { SLICE(MX), SLICE(MX), SLICE("example.com"), SLICE("mail.example.org"), true, true },
          { MX, "example.com", "mail.example.org" } },
        { "and so is the host",
          { SLICE("a.example"), SLICE(MX), SLICE("example.com"), SLICE("b.example"), true, true },
          { "a.example", MX, "example.com", "b.example" } },
        { "the host is the domain",
          { SLICE("example.com"), SLICE("Example.com"), SLICE("EXAMPLE.com"), SLICE(""), true,
            true },
          { "example.com" } },
        { "MX records that are not secure: the MX hostname is the only one",
          { SLICE(MX), SLICE(MX), SLICE("example.com"), SLICE("b.example"), true, false },
          { MX } },
        { "a route's host: the domain of the recipients is nothing to it",
          { SLICE(MX), SLICE(MX), SLICE("example.com"), SLICE(""), false, false },
          { MX } },
        { "a route's host that is an alias",
          { SLICE("a.example"), SLICE(MX), SLICE("example.com"), SLICE("b.example"), false, true },
          { "a.example", MX } },
        { "an implicit MX is an alias",
          { SLICE("a.example"), SLICE("example.com"), SLICE("example.com"), SLICE("b.example"),
            false, true },
          { "a.example", "example.com" } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice names[DNS_DANE_NAMES_MAX];
        size_t count = dns_dane_names(&cases[i].way, names);

        for (size_t k = 0; k < count; k++)
            if (cases[i].names[k] == NULL ||
                !slice_equal_nocase(names[k], slice_from(cases[i].names[k])))
                fail_msg("%s: name %zu is %.*s", cases[i].what, k, SLICE_ARGS(names[k]));
        if (cases[i].names[count] != NULL)
            fail_msg("%s: without %s", cases[i].what, cases[i].names[count]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_counts_where_nobody_can_have_forged_the_way_to_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
