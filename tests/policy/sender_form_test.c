#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "policy/sender_form.h"

/* Address forms: the first and last address, or NULL with what the complaint begins with. */
static const struct {
    const char *text, *first, *last;
} address_cases[] = {
    /* full */
    { "192.0.2.1", "192.0.2.1", "192.0.2.1" },
    { "0.0.0.0", "0.0.0.0", "0.0.0.0" },
    { "255.255.255.255", "255.255.255.255", "255.255.255.255" },
    { "1.2.3.0", "1.2.3.0", "1.2.3.0" },
    /* partial */
    { "10", "10.0.0.0", "10.255.255.255" },
    { "10.", "10.0.0.0", "10.255.255.255" },
    { "0", "0.0.0.0", "0.255.255.255" },
    { "255", "255.0.0.0", "255.255.255.255" },
    { "10.1", "10.1.0.0", "10.1.255.255" },
    { "10.1.", "10.1.0.0", "10.1.255.255" },
    { "10.1.2", "10.1.2.0", "10.1.2.255" },
    { "10.1.2.", "10.1.2.0", "10.1.2.255" },
    { "192.168", "192.168.0.0", "192.168.255.255" },
    { "255.255.255", "255.255.255.0", "255.255.255.255" },
    /* ranges in the last given octet */
    { "10.1.1.10-20", "10.1.1.10", "10.1.1.20" },
    { "10.1.1.10-10", "10.1.1.10", "10.1.1.10" },
    { "10.1.1.0-255", "10.1.1.0", "10.1.1.255" },
    { "208.90.57.0-63", "208.90.57.0", "208.90.57.63" },
    { "10.1.1-3", "10.1.1.0", "10.1.3.255" },
    { "10.1.1-3.", "10.1.1.0", "10.1.3.255" },
    { "10.1.0-255", "10.1.0.0", "10.1.255.255" },
    { "10.1-3", "10.1.0.0", "10.3.255.255" },
    { "10.1-3.", "10.1.0.0", "10.3.255.255" },
    { "10-12", "10.0.0.0", "12.255.255.255" },
    { "10-12.", "10.0.0.0", "12.255.255.255" },
    { "0-255", "0.0.0.0", "255.255.255.255" },
    { "0-0", "0.0.0.0", "0.255.255.255" },
    /* CIDR */
    { "10.1.2.3/32", "10.1.2.3", "10.1.2.3" },
    { "10.1.2.2/31", "10.1.2.2", "10.1.2.3" },
    { "10.1.2.0/24", "10.1.2.0", "10.1.2.255" },
    { "10.1.2/24", "10.1.2.0", "10.1.2.255" },
    { "10.1/16", "10.1.0.0", "10.1.255.255" },
    { "10/8", "10.0.0.0", "10.255.255.255" },
    { "10/7", "10.0.0.0", "11.255.255.255" },
    { "10/24", "10.0.0.0", "10.0.0.255" },
    { "10/32", "10.0.0.0", "10.0.0.0" },
    { "10.1/32", "10.1.0.0", "10.1.0.0" },
    { "0/0", "0.0.0.0", "255.255.255.255" },
    { "0.0.0.0/0", "0.0.0.0", "255.255.255.255" },
    { "0.0.0.0/1", "0.0.0.0", "127.255.255.255" },
    { "128/1", "128.0.0.0", "255.255.255.255" },
    { "208.90.57.0/26", "208.90.57.0", "208.90.57.63" },
    { "204.15.81.64/26", "204.15.81.64", "204.15.81.127" },
    /* IPv6 */
    { "2001:db8::1", "2001:db8::1", "2001:db8::1" },
    { "2001:DB8::A", "2001:db8::a", "2001:db8::a" },
    { "2001:0db8:0:0:0:0:0:0001", "2001:db8::1", "2001:db8::1" },
    { "::", "::", "::" },
    { "::1", "::1", "::1" },
    { "::/81", "::", "::7fff:ffff:ffff" },
    { "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    { "2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
    { "2001:db8:0:0:0:0:0:0/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff" },
    { "2001:db8::/127", "2001:db8::", "2001:db8::1" },
    { "2001:db8::1/128", "2001:db8::1", "2001:db8::1" },
    { "fe80::/10", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    { "2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff" },
    { "2001:db8::1-2001:db8::1", "2001:db8::1", "2001:db8::1" },
    { "2001:db8::-2001:db9::", "2001:db8::", "2001:db9::" },
    { "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
      "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    { "1:2:3:4:5:6:7:8-1:2:3:4:5:6:7:9", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9" },
    { "1:2:3-5:4:5:6:7:8", "1:2:3:4:5:6:7:8", "1:2:5:4:5:6:7:8" },
    { "1:2:3:4:5:6:7:8-9", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:9" },
    { "1-2:0:0:0:0:0:0:0", "1::", "2::" },
    { "2001:db8:1-5::", "2001:db8:1::", "2001:db8:5::" },
    { "2001:db8::1-5", "2001:db8::1", "2001:db8::5" },
    /* IPv4-mapped is IPv4 */
    { "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1" },
    { "::ffff:c000:201", "192.0.2.1", "192.0.2.1" },
    { "::ffff:192.0.2.0/120", "192.0.2.0", "192.0.2.255" },
    { "::ffff:0:0/96", "0.0.0.0", "255.255.255.255" },
    { "::ffff:10.0.0.1-::ffff:10.0.0.9", "10.0.0.1", "10.0.0.9" },
    /* not of any form */
    { "192.0.2.256", NULL, "an octet is above 255" },
    { "256", NULL, "an octet is above 255" },
    { "300.1.1.1", NULL, "an octet is above 255" },
    { "1.2.3.4.5", NULL, "it has more than four octets" },
    { "1.2.3.4.", NULL, "it has more than four octets" },
    { "1.2.3.4.5-6", NULL, "it has more than four octets" },
    { "1.2.3.4-5.", NULL, "a range stands in the last given octet" },
    { "1..2", NULL, "an IPv4 address" },
    { "1.2..", NULL, "an IPv4 address" },
    { "010.1.1.1", NULL, "a number begins with zero" },
    { "10.01", NULL, "a number begins with zero" },
    { "10.1.1.00", NULL, "a number begins with zero" },
    { "10.1.1.1/024", NULL, "a number begins with zero" },
    { "10.1.1.0000", NULL, "a number begins with zero" },
    { "10.1.1.1234", NULL, "an octet is above 255" },
    { "10.1.1.12345", NULL, "an octet is above 255" },
    { "10.1.1.20-10", NULL, "the range goes backwards" },
    { "10.3-1", NULL, "the range goes backwards" },
    { "12-10", NULL, "the range goes backwards" },
    { "10.1.1.10-256", NULL, "an octet is above 255" },
    { "10.1.1.10-", NULL, "an IPv4 address" },
    { "10.1.1-3.4", NULL, "a range stands in the last given octet" },
    { "10-12.1", NULL, "a range stands in the last given octet" },
    { "10.1.1.1-10.1.1.9", NULL, "a range stands in the last given octet" },
    { "10.1.1.1-2-3", NULL, "a range stands in the last given octet" },
    { "10.1.1.0-7/24", NULL, "a range stands in the last given octet" },
    { "10.1.1.1/33", NULL, "an IPv4 prefix has at most 32 bits" },
    { "192.0.2.0/", NULL, "an IPv4 address" },
    { "192.0.2.0/24/24", NULL, "an IPv4 address" },
    { "192.0.2.0/24-25", NULL, "an IPv4 address" },
    { "10./8", NULL, "an IPv4 address" },
    { "10.1./16", NULL, "an IPv4 address" },
    { "2001:db8::1/129", NULL, "an IPv6 prefix has at most 128 bits" },
    { "2001:db8::/", NULL, "an IPv6 prefix has at most 128 bits" },
    { "2001:db8::/32/32", NULL, "an IPv6 prefix has at most 128 bits" },
    { "2001:db8::/x", NULL, "an IPv6 prefix has at most 128 bits" },
    { "2001:db8", NULL, "an IPv6 address" },
    { "2001:db8:::1", NULL, "an IPv6 address" },
    { "1:2:3:4:5:6:7:8:9", NULL, "an IPv6 address" },
    { "12345::", NULL, "an IPv6 address" },
    { "fe80::1%eth0", NULL, "an IPv6 address" },
    { "[2001:db8::1]", NULL, "an IPv6 address" },
    { "2001:db8::ff-2001:db8::1", NULL, "the range goes backwards" },
    { "2001:db8::1-", NULL, "an IPv6 address" },
    { "-2001:db8::1", NULL, "an IPv6 address" },
    { "2001:db8:-5::", NULL, "an IPv6 address" },
    { "2001:db8::1-2-3", NULL, "an IPv6 address" },
    { "1:2:5-3:4:5:6:7:8", NULL, "the range goes backwards" },
    { "::ffff:10.0.0.1-::1:0:0:0", NULL, "one end of the range is IPv4" },
    { "10.0.0.1-::1", NULL, "one end of the range is IPv4" },
    { "192.0.2.1:25", NULL, "an IPv6 address" },
    { ":", NULL, "an IPv6 address" },
};

static void every_form_of_an_address_is_understood(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(address_cases); i++) {
        struct policy_sender_entry e = { .form = POLICY_SENDER_INVALID };
        const char *why = policy_sender_parse(slice_from(address_cases[i].text), &e);
        char first[IP_TEXT_MAX], last[IP_TEXT_MAX];

        if (address_cases[i].first == NULL) {
            if (why == NULL ||
                strncmp(why, address_cases[i].last, strlen(address_cases[i].last)) != 0)
                fail_msg("%s gives %s", address_cases[i].text, why != NULL ? why : "no complaint");
            assert_int_equal(e.form, POLICY_SENDER_INVALID);
            continue;
        }
        if (why != NULL)
            fail_msg("%s: %s", address_cases[i].text, why);
        assert_int_equal(e.form, POLICY_SENDER_ADDRESS);
        ip_format(&e.range.first, first);
        ip_format(&e.range.last, last);
        if (strcmp(first, address_cases[i].first) != 0 || strcmp(last, address_cases[i].last) != 0)
            fail_msg("%s gives %s to %s", address_cases[i].text, first, last);
        assert_true(policy_address_range_holds(&e.range, &e.range.first));
        assert_true(policy_address_range_holds(&e.range, &e.range.last));
    }
}

static void bits_behind_a_prefix_are_seen_and_cleared(void **unused)
{
    static const struct {
        const char *text, *first, *last;
    } cases[] = {
        { "192.0.2.1/24", "192.0.2.0", "192.0.2.255" },
        { "10.1/8", "10.0.0.0", "10.255.255.255" },
        { "10.1.2/16", "10.1.0.0", "10.1.255.255" },
        { "11/7", "10.0.0.0", "11.255.255.255" },
        { "1/0", "0.0.0.0", "255.255.255.255" },
        { "10.1.2.3/31", "10.1.2.2", "10.1.2.3" },
        { "2001:db8::1/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff" },
        { "2001:db8::1/127", "2001:db8::", "2001:db8::1" },
        { "::1/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { "::ffff:192.0.2.1/120", "192.0.2.0", "192.0.2.255" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_sender_entry e;
        char text[IP_TEXT_MAX];

        assert_null(policy_sender_parse(slice_from(cases[i].text), &e));
        assert_int_equal(e.form, POLICY_SENDER_LOOSE);
        assert_string_equal(ip_format(&e.range.first, text), cases[i].first);
        assert_string_equal(ip_format(&e.range.last, text), cases[i].last);
    }
}

static const struct {
    const char *text;
    enum policy_sender_form form;
    const char *name; /* or the complaint */
} other_cases[] = {
    { "mail.example.com", POLICY_SENDER_NAME, "mail.example.com" },
    { "Mail.Example.COM.", POLICY_SENDER_NAME, "Mail.Example.COM" },
    { "localhost", POLICY_SENDER_NAME, "localhost" },
    { "3com.example", POLICY_SENDER_NAME, "3com.example" },
    { "1.2.3.4.example", POLICY_SENDER_NAME, "1.2.3.4.example" },
    { "10.example", POLICY_SENDER_NAME, "10.example" },
    { "my_host-1.example.com", POLICY_SENDER_NAME, "my_host-1.example.com" },
    { "xn--bcher-kva.example", POLICY_SENDER_NAME, "xn--bcher-kva.example" },
    { "dnslist", POLICY_SENDER_NAME, "dnslist" },
    { "geo", POLICY_SENDER_NAME, "geo" },
    { "none", POLICY_SENDER_NAME, "none" },
    { "all.example", POLICY_SENDER_NAME, "all.example" },
    { "nx.domain.example", POLICY_SENDER_NAME, "nx.domain.example" },
    { ".example.com", POLICY_SENDER_PARTIAL, ".example.com" },
    { ".example.com.", POLICY_SENDER_PARTIAL, ".example.com" },
    { ".com", POLICY_SENDER_PARTIAL, ".com" },
    { ".nx.domain", POLICY_SENDER_PARTIAL, ".nx.domain" },
    { "all", POLICY_SENDER_ALL, NULL },
    { "ALL", POLICY_SENDER_ALL, NULL },
    { "All", POLICY_SENDER_ALL, NULL },
    { "sbrs[NONE]", POLICY_SENDER_NO_SCORE, NULL },
    { "SBRS[none]", POLICY_SENDER_NO_SCORE, NULL },
    { "SBRS[ none ]", POLICY_SENDER_NO_SCORE, NULL },
    { "", POLICY_SENDER_INVALID, "it is empty" },
    { ".", POLICY_SENDER_INVALID, "an address" },
    { "..com", POLICY_SENDER_INVALID, "an address" },
    { "a..b", POLICY_SENDER_INVALID, "an address" },
    { "a b", POLICY_SENDER_INVALID, "an address" },
    { " a", POLICY_SENDER_INVALID, "an address" },
    { "*.example.com", POLICY_SENDER_INVALID, "the hosts below a domain" },
    { "*", POLICY_SENDER_INVALID, "an address" },
    { "user@example.com", POLICY_SENDER_INVALID, "an address" },
    { "b\xc3\xbc"
      "cher.example",
      POLICY_SENDER_INVALID, "an address" },
    { "SBO:15", POLICY_SENDER_INVALID, "network owners (SBO) are not supported" },
    { "sbo:x", POLICY_SENDER_INVALID, "network owners (SBO) are not supported" },
    { "SBRS", POLICY_SENDER_NAME, "SBRS" },
    { "SBRS[]", POLICY_SENDER_INVALID, "a reputation is written" },
    { "SBRS[", POLICY_SENDER_INVALID, "an address" },
    { "geo[]", POLICY_SENDER_INVALID, "a country is written" },
    { "geo[D]", POLICY_SENDER_INVALID, "a country is written" },
    { "geo[DEU]", POLICY_SENDER_INVALID, "a country is written" },
    { "geo[D1]", POLICY_SENDER_INVALID, "a country is written" },
    { "geo[Germany]", POLICY_SENDER_INVALID, "a country is written" },
    { "dnslist[]", POLICY_SENDER_INVALID, "a DNS list is written" },
    { "dnslist[a b]", POLICY_SENDER_INVALID, "a DNS list is written" },
    { "dnslist[=127.0.0.2]", POLICY_SENDER_INVALID, "a DNS list is written" },
    { "dnslist[.zen.example]", POLICY_SENDER_INVALID, "a DNS list is written" },
    { "dnslist[10.1]", POLICY_SENDER_INVALID, "a DNS list is written" },
    { "dnslist[zen.example=]", POLICY_SENDER_INVALID, "the answer of a DNS list is" },
    { "dnslist[zen.example=yes]", POLICY_SENDER_INVALID, "the answer of a DNS list is" },
    { "dnslist[zen.example=::1]", POLICY_SENDER_INVALID, "the answer of a DNS list is" },
    { "dnslist[zen.example=127.0.0.256]", POLICY_SENDER_INVALID, "an octet is above 255" },
    { "dnslist[zen.example=127.0.0.1/8]", POLICY_SENDER_INVALID, "the answer has bits set" },
    { "dnslist[zen.example=127.0.0.2=3]", POLICY_SENDER_INVALID, "the answer of a DNS" },
    { "dnslist[zen.example", POLICY_SENDER_INVALID, "an address" },
};

static void every_other_form_is_told_apart(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(other_cases); i++) {
        struct policy_sender_entry e = { 0 };
        const char *why = policy_sender_parse(slice_from(other_cases[i].text), &e);

        assert_int_equal(policy_sender_form(slice_from(other_cases[i].text)), other_cases[i].form);
        if (other_cases[i].form == POLICY_SENDER_INVALID) {
            if (why == NULL || strncmp(why, other_cases[i].name, strlen(other_cases[i].name)) != 0)
                fail_msg("\"%s\" gives %s", other_cases[i].text,
                         why != NULL ? why : "no complaint");
            continue;
        }
        if (why != NULL)
            fail_msg("\"%s\": %s", other_cases[i].text, why);
        assert_int_equal(e.form, other_cases[i].form);
        if (other_cases[i].name != NULL)
            assert_true(slice_equal(e.name, slice_from(other_cases[i].name)));
    }
}

static void lists_conditions_and_countries_are_read(void **unused)
{
    static const struct {
        const char *text, *zone, *first, *last;
    } lists[] = {
        { "dnslist[zen.example.org]", "zen.example.org", NULL, NULL },
        { "DNSList[Zen.Example.org.]", "Zen.Example.org", NULL, NULL },
        { "dnslist[ zen.example.org ]", "zen.example.org", NULL, NULL },
        { "dnslist[zen.example.org=127.0.0.2]", "zen.example.org", "127.0.0.2", "127.0.0.2" },
        { "dnslist[zen.example.org = 127.0.0.2]", "zen.example.org", "127.0.0.2", "127.0.0.2" },
        { "dnslist[z.example=127.0.0.2-8]", "z.example", "127.0.0.2", "127.0.0.8" },
        { "dnslist[z.example=127.0.0/24]", "z.example", "127.0.0.0", "127.0.0.255" },
        { "dnslist[z.example=127]", "z.example", "127.0.0.0", "127.255.255.255" },
        { "dnslist[z.example=127.0.1-3.]", "z.example", "127.0.1.0", "127.0.3.255" },
    };
    static const struct {
        const char *text;
        enum policy_reverse reverse;
    } reverses[] = {
        { "nx.domain", POLICY_REVERSE_NONE },
        { "NX.Domain", POLICY_REVERSE_NONE },
        { "serv.fail", POLICY_REVERSE_FAILED },
        { "not.double.verified", POLICY_REVERSE_MISMATCHED },
    };
    static const char *const countries[] = { "geo[DE]", "GEO[de]", "Geo[ dE ]" };
    struct policy_sender_entry e;
    char text[IP_TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        assert_null(policy_sender_parse(slice_from(lists[i].text), &e));
        assert_int_equal(e.form, POLICY_SENDER_LIST);
        assert_true(slice_equal(e.name, slice_from(lists[i].zone)));
        assert_int_equal(e.has_answer, lists[i].first != NULL);
        if (!e.has_answer)
            continue;
        assert_string_equal(ip_format(&e.range.first, text), lists[i].first);
        assert_string_equal(ip_format(&e.range.last, text), lists[i].last);
    }
    for (size_t i = 0; i < ARRAY_LEN(reverses); i++) {
        assert_null(policy_sender_parse(slice_from(reverses[i].text), &e));
        assert_int_equal(e.form, POLICY_SENDER_REVERSE);
        assert_int_equal(e.reverse, reverses[i].reverse);
    }
    for (size_t i = 0; i < ARRAY_LEN(countries); i++) {
        assert_null(policy_sender_parse(slice_from(countries[i]), &e));
        assert_int_equal(e.form, POLICY_SENDER_COUNTRY);
        assert_memory_equal(e.country, "DE", 2);
    }
}

static void scores_have_one_decimal_and_a_range(void **unused)
{
    static const struct {
        const char *text;
        int min, max; /* min > max: refused */
    } cases[] = {
        { "SBRS[-10.0:10.0]", -100, 100 },
        { "sbrs[-10.0:-3.0]", -100, -30 },
        { "SBRS[-3.0:-1.0]", -30, -10 },
        { "SBRS[2.1:10.0]", 21, 100 },
        { "SBRS[-1.4:2.0]", -14, 20 },
        { "SBRS[0:0]", 0, 0 },
        { "SBRS[-0:0]", 0, 0 },
        { "SBRS[-0.1:+0.1]", -1, 1 },
        { "SBRS[-10:10]", -100, 100 },
        { "SBRS[-10.0 : 10.0]", -100, 100 },
        { "SBRS[5:5]", 50, 50 },
        { "SBRS[-10.1:0]", 1, 0 },
        { "SBRS[0:10.1]", 1, 0 },
        { "SBRS[0:11]", 1, 0 },
        { "SBRS[1:0]", 1, 0 },
        { "SBRS[1.0:-1.0]", 1, 0 },
        { "SBRS[1.25:2]", 1, 0 },
        { "SBRS[1.:2]", 1, 0 },
        { "SBRS[.5:2]", 1, 0 },
        { "SBRS[1]", 1, 0 },
        { "SBRS[1:]", 1, 0 },
        { "SBRS[:1]", 1, 0 },
        { "SBRS[:]", 1, 0 },
        { "SBRS[--1:1]", 1, 0 },
        { "SBRS[+-1:1]", 1, 0 },
        { "SBRS[a:b]", 1, 0 },
        { "SBRS[1:2:3]", 1, 0 },
        { "SBRS[none:1]", 1, 0 },
        { "SBRS[001:2]", 1, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_sender_entry e;
        const char *why = policy_sender_parse(slice_from(cases[i].text), &e);

        if ((why == NULL) != (cases[i].min <= cases[i].max))
            fail_msg("%s gives %s", cases[i].text, why != NULL ? why : "no complaint");
        if (why != NULL)
            continue;
        assert_int_equal(e.form, POLICY_SENDER_SCORE);
        assert_int_equal(e.tenths_min, cases[i].min);
        assert_int_equal(e.tenths_max, cases[i].max);
    }
}

static void what_is_too_long_or_not_text_is_refused(void **unused)
{
    struct policy_sender_entry e;
    char text[POLICY_SENDER_BYTES_MAX + 1];

    (void)unused;
    memset(text, 'a', sizeof(text));
    assert_string_equal(policy_sender_parse((struct slice){ text, sizeof(text) }, &e),
                        "it is too long");
    assert_non_null(policy_sender_parse((struct slice){ text, sizeof(text) - 1 }, &e));
    assert_non_null(policy_sender_parse((struct slice){ "a\0b", 3 }, &e));
    assert_non_null(policy_sender_parse((struct slice){ "1.2.3.4\0", 8 }, &e));
    assert_non_null(policy_sender_parse((struct slice){ "::1\0", 4 }, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_address_is_understood),
        cmocka_unit_test(bits_behind_a_prefix_are_seen_and_cleared),
        cmocka_unit_test(every_other_form_is_told_apart),
        cmocka_unit_test(lists_conditions_and_countries_are_read),
        cmocka_unit_test(scores_have_one_decimal_and_a_range),
        cmocka_unit_test(what_is_too_long_or_not_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
