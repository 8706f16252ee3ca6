#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/exchange.h"
#include "tests/dns/zone.h"

#define ORDERS   12
#define TEXT_MAX 8192

static struct dns_exchange x;
static unsigned done_count;

static int setup(void **state)
{
    (void)state;
    done_count = 0;
    zone_asked_count = 0;
    zone_text = "";
    memset(&x, 0xa5, sizeof(x)); /* what init leaves is not looked at */
    dns_exchange_init(&x);
    return 0;
}

static void done(struct dns_exchange *e)
{
    assert_ptr_equal(e, &x);
    assert_false(dns_exchange_is_running(e));
    assert_int_equal(zone_asked_count, 0);
    done_count++;
}

static const char *security_name(enum dns_security security)
{
    return security == DNS_SECURE ? "secure" : security == DNS_BOGUS ? "BOGUS" : "insecure";
}

static const char *outcome_name(enum dns_exchange_outcome outcome)
{
    switch (outcome) {
    case DNS_EXCHANGE_FOUND: return "found";
    case DNS_EXCHANGE_NO_DOMAIN: return "no domain";
    case DNS_EXCHANGE_NO_MAIL: return "no mail";
    case DNS_EXCHANGE_NO_HOST: return "no host";
    case DNS_EXCHANGE_FAILED: return "failed";
    }
    return "?";
}

static const char *host_outcome_name(enum dns_outcome outcome)
{
    switch (outcome) {
    case DNS_FOUND: return "";
    case DNS_NO_NAME: return " no-name";
    case DNS_NO_DATA: return " no-data";
    case DNS_FAILED: return " failed";
    }
    return "?";
}

/* Adds to a text of TEXT_MAX. */
static void add(char *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(char *text, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    assert_true(vsnprintf(text + used, TEXT_MAX - used, format, args) < (int)(TEXT_MAX - used));
    va_end(args);
}

/* "found secure; mx.signed/10 secure tlsa(base) 192.0.2.1; ..." */
static const char *result(void)
{
    static char text[TEXT_MAX];
    char address[IP_TEXT_MAX];

    text[0] = '\0';
    add(text, "%s %s%s", outcome_name(dns_exchange_outcome(&x)),
        security_name(dns_exchange_security(&x)), dns_exchange_is_implicit(&x) ? " implicit" : "");
    if (dns_exchange_alias(&x)[0] != '\0')
        add(text, " alias %s", dns_exchange_alias(&x));
    for (size_t i = 0; i < dns_exchange_hosts_count(&x); i++) {
        const struct dns_exchange_host *h = dns_exchange_host(&x, i);

        add(text, "; %s/%u%s %s", h->name, h->preference, host_outcome_name(h->outcome),
            security_name(h->security));
        if (h->outcome == DNS_FOUND && dns_exchange_wants_tlsa(&x, i))
            add(text, " tlsa(%s)", h->security == DNS_SECURE ? h->base : "?");
        else if (h->base[0] != '\0')
            add(text, " base %s", h->base);
        for (size_t j = 0; j < h->addresses_count; j++)
            add(text, " %s", ip_format(&h->addresses[j], address));
        assert_true((h->outcome == DNS_FOUND) == (h->addresses_count > 0));
        assert_true(h->outcome != DNS_FAILED || h->reason[0] != '\0');
    }
    assert_true((dns_exchange_outcome(&x) == DNS_EXCHANGE_FOUND) ==
                (dns_exchange_reason(&x)[0] == '\0'));
    return text;
}

struct test_case {
    const char *zone;
    const char *result;
};

/* The result must not depend on which answer came first. */
static void check(const struct test_case *cases, size_t count, const char *domain,
                  enum dns_exchange_kind kind, enum dns_exchange_families families)
{
    char reason[DNS_EXCHANGE_REASON_MAX];

    for (size_t i = 0; i < count; i++) {
        for (unsigned order = 0; order < ORDERS; order++) {
            zone_text = cases[i].zone;
            done_count = 0;
            dns_exchange_start(&x, &zone_source, slice_from(domain), kind, families, done);
            assert_int_equal(done_count, 0);
            zone_answer_all(order);
            assert_int_equal(done_count, 1);
            if (strcmp(result(), cases[i].result) != 0)
                fail_msg("case %zu, order %u:\n%s\n%s", i, order, result(), cases[i].result);
            if (order == 0)
                (void)snprintf(reason, sizeof(reason), "%s", dns_exchange_reason(&x));
            assert_string_equal(dns_exchange_reason(&x), reason);
        }
    }
}

#define CHECK(cases, domain, kind, families)                                                       \
    check(cases, ARRAY_LEN(cases), domain, DNS_EXCHANGE_##kind, DNS_EXCHANGE_##families)

static void mail_goes_to_the_hosts_of_the_mx_by_preference(void **state)
{
    static const struct test_case cases[] = {
        { "d MX 10 mx.d\nmx.d A 192.0.2.1\nmx.d A 192.0.2.2\n",
          "found insecure; mx.d/10 insecure 192.0.2.1 192.0.2.2" },
        { "d MX 20 c\nd MX 10 b\nd MX 20 a\nd MX 5 e\na A 192.0.2.1\nb A 192.0.2.2\nc A 192.0.2.3\n"
          "e A 192.0.2.5\n",
          "found insecure; e/5 insecure 192.0.2.5; b/10 insecure 192.0.2.2; c/20 insecure "
          "192.0.2.3; a/20 insecure 192.0.2.1" },
        { "d MX 10 MX.d\nmx.d A 192.0.2.1\nmx.d AAAA 2001:db8::1\nmx.d AAAA 2001:db8::2\n",
          "found insecure; mx.d/10 insecure 2001:db8::1 2001:db8::2 192.0.2.1" },
        /* A name twice is one host, the nearer one. */
        { "d MX 30 a\nd MX 20 b\nd MX 10 A\na A 192.0.2.1\nb A 192.0.2.2\n",
          "found insecure; a/10 insecure 192.0.2.1; b/20 insecure 192.0.2.2" },
        { "d MX 0 a\nd MX 65535 b\na A 192.0.2.1\nb A 192.0.2.2\n",
          "found insecure; a/0 insecure 192.0.2.1; b/65535 insecure 192.0.2.2" },
        /* The domain's own address does not count. */
        { "d MX 10 mx.d\nd A 192.0.2.9\nmx.d TXT x\n",
          "no host insecure; mx.d/10 no-data insecure" },
    };

    (void)state;
    CHECK(cases, "D.", MX, V4_V6);
}

static void only_without_an_mx_the_domain_is_its_own_host(void **state)
{
    static const struct test_case cases[] = {
        { "d A 192.0.2.1\n", "found insecure implicit; d/0 insecure 192.0.2.1" },
        { "d AAAA 2001:db8::1\n", "found insecure implicit; d/0 insecure 2001:db8::1" },
        { "d TXT x\n", "no host insecure implicit; d/0 no-data insecure" },
        { "below.d A 192.0.2.1\n", "no host insecure implicit; d/0 no-data insecure" },
        { "e A 192.0.2.1\n", "no domain insecure" },
        { "d MX SERVFAIL\nd A 192.0.2.1\n", "failed insecure" },
        { "d MX BOGUS\nd A 192.0.2.1\n", "failed BOGUS" },
        { "d MX 10 mx.d\nd A 192.0.2.1\n", "no host insecure; mx.d/10 no-name insecure" },
        { "d A SERVFAIL\n", "failed insecure implicit; d/0 failed insecure" },
        { "d A 192.0.2.1\nd AAAA SERVFAIL\n", "found insecure implicit; d/0 insecure 192.0.2.1" },
    };

    (void)state;
    CHECK(cases, "d", MX, V4_V6);
}

static void the_null_mx_takes_no_mail_and_counts_only_alone(void **state)
{
    static const struct test_case cases[] = {
        { "d MX 0 .\nd A 192.0.2.1\n", "no mail insecure" },
        { "d MX 10 .\n", "no mail insecure" },
        { "d MX 0 .\nd MX 10 .\n", "no mail insecure" },
        { "d MX 0 .\nd MX 10 mx\nmx A 192.0.2.1\n", "found insecure; mx/10 insecure 192.0.2.1" },
        { "d MX 10 mx\nd MX 20 .\n", "no host insecure; mx/10 no-name insecure" },
        { "d MX 0 .\nd MX 10 a/b\n", "no host insecure" },
    };

    (void)state;
    CHECK(cases, "d", MX, V4_V6);
}

static void a_target_that_cannot_be_a_host_is_none(void **state)
{
    static const struct test_case cases[] = {
        { "d MX 10 192.0.2.1\n192.0.2.1 A 192.0.2.1\n",
          "no host insecure; 192.0.2.1/10 no-name insecure" },
        { "d MX 10 a/b\nd A 192.0.2.1\n", "no host insecure" },
        { "d MX 10 a/b\nd MX 20 mx\nmx A 192.0.2.1\n", "found insecure; mx/20 insecure 192.0.2.1" },
        { "d MX 10 mx\nmx A 0.0.0.0\nmx A 224.0.0.1\nmx A 255.255.255.255\nmx AAAA ::\n"
          "mx AAAA ff02::1\nmx AAAA 192.0.2.1\n",
          "no host insecure; mx/10 no-data insecure" },
        { "d MX 10 mx\nmx A 0.1.2.3\nmx A 192.0.2.1\nmx AAAA ::1\nmx AAAA 127.0.0.1\n",
          "found insecure; mx/10 insecure ::1 192.0.2.1" },
    };
    static const struct test_case no_domain = { "192.0.2.1 MX 10 mx\nmx A 192.0.2.1\n",
                                                "no domain insecure" };
    static const char *const texts[] = { "192.0.2.1", "a b", "", ".", "x..y" };

    (void)state;
    CHECK(cases, "d", MX, V4_V6);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        check(&no_domain, 1, texts[i], DNS_EXCHANGE_MX, DNS_EXCHANGE_V4_V6);
        dns_exchange_start(&x, &zone_source, slice_from(texts[i]), DNS_EXCHANGE_ADDRESSES,
                           DNS_EXCHANGE_V4, done);
        zone_answer_all(0);
        assert_int_equal(dns_exchange_outcome(&x), DNS_EXCHANGE_NO_DOMAIN);
    }
}

static void a_host_that_fails_leaves_the_others(void **state)
{
    static const struct test_case cases[] = {
        { "d MX 10 a\nd MX 20 b\na A SERVFAIL\na AAAA SERVFAIL\nb A 192.0.2.2\n",
          "found insecure; a/10 failed insecure; b/20 insecure 192.0.2.2" },
        { "d MX 10 a\nd MX 20 b\nb A 192.0.2.2\n",
          "found insecure; a/10 no-name insecure; b/20 insecure 192.0.2.2" },
        /* Nobody is left: that it does not exist must be known of each. */
        { "d MX 10 a\nd MX 20 b\nb A SERVFAIL\n",
          "failed insecure; a/10 no-name insecure; b/20 failed insecure" },
        { "d MX 10 a\na A NXDOMAIN\na AAAA SERVFAIL\n", "failed insecure; a/10 failed insecure" },
        { "d MX 10 a\na A NXDOMAIN\na TXT x\n", "no host insecure; a/10 no-data insecure" },
        { "d MX 10 a\na AAAA NXDOMAIN\na TXT x\n", "no host insecure; a/10 no-data insecure" },
        { "d MX 10 a\nd MX 20 b\nb TXT x\n",
          "no host insecure; a/10 no-name insecure; b/20 no-data insecure" },
    };

    (void)state;
    CHECK(cases, "d", MX, V4_V6);
    zone_text = cases[2].zone;
    dns_exchange_start(&x, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4, done);
    zone_answer_all(0);
    assert_string_equal(dns_exchange_reason(&x), "b: A: server failure");
}

static void one_family_is_enough_unless_the_other_is_bogus(void **state)
{
    static const struct {
        const char *a;
        const char *aaaa;
        const char *result;
    } cases[] = {
        { "192.0.2.1", "SERVFAIL", "found secure; mx.signed/10 secure tlsa() 192.0.2.1" },
        { "SERVFAIL", "2001:db8::1", "found secure; mx.signed/10 secure tlsa() 2001:db8::1" },
        { "192.0.2.1", "BOGUS", "failed secure; mx.signed/10 failed BOGUS" },
        { "BOGUS", "2001:db8::1", "failed secure; mx.signed/10 failed BOGUS" },
        { "SERVFAIL", "BOGUS", "failed secure; mx.signed/10 failed BOGUS" },
        { "SERVFAIL", "SERVFAIL", "failed secure; mx.signed/10 failed insecure" },
        { "SERVFAIL", NULL, "failed secure; mx.signed/10 failed secure" },
        { "BOGUS", NULL, "failed secure; mx.signed/10 failed BOGUS" },
        { NULL, "BOGUS", "failed secure; mx.signed/10 failed BOGUS" },
    };
    char zone[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)snprintf(zone, sizeof(zone), "d.signed MX 10 mx.signed\n%s%s\n%s%s\n",
                       cases[i].a != NULL ? "mx.signed A " : "mx.signed TXT x",
                       cases[i].a != NULL ? cases[i].a : "",
                       cases[i].aaaa != NULL ? "mx.signed AAAA " : "mx.signed TXT y",
                       cases[i].aaaa != NULL ? cases[i].aaaa : "");
        check(&(struct test_case){ zone, cases[i].result }, 1, "d.signed", DNS_EXCHANGE_MX,
              DNS_EXCHANGE_V4_V6);
    }
}

static void only_the_families_that_are_wanted_are_asked_for(void **state)
{
    static const char zone[] = "d MX 10 mx\nmx A 192.0.2.1\nmx AAAA 2001:db8::1\n";
    static const struct test_case v4[] = {
        { zone, "found insecure; mx/10 insecure 192.0.2.1" },
        { "d MX 10 mx\nmx AAAA 2001:db8::1\n", "no host insecure; mx/10 no-data insecure" },
        { "d MX 10 mx\nmx A 192.0.2.1\nmx AAAA BOGUS\n",
          "found insecure; mx/10 insecure 192.0.2.1" },
    };
    static const struct test_case v6[] = {
        { zone, "found insecure; mx/10 insecure 2001:db8::1" },
        { "d MX 10 mx\nmx A 192.0.2.1\n", "no host insecure; mx/10 no-data insecure" },
    };

    (void)state;
    CHECK(v4, "d", MX, V4);
    CHECK(v6, "d", MX, V6);
}

static void a_bare_host_is_asked_for_its_addresses_only(void **state)
{
    static const struct test_case cases[] = {
        { "h MX 10 mx\nh A 192.0.2.1\n", "found insecure; h/0 insecure 192.0.2.1" },
        { "h MX 0 .\nh A 192.0.2.1\nh AAAA 2001:db8::1\n",
          "found insecure; h/0 insecure 2001:db8::1 192.0.2.1" },
        { "h MX 10 mx\n", "no host insecure; h/0 no-data insecure" },
        { "mx A 192.0.2.1\n", "no domain insecure; h/0 no-name insecure" },
        { "h A SERVFAIL\n", "failed insecure; h/0 failed insecure" },
        { "h CNAME h.signed\nh.signed A 192.0.2.1\n",
          "found insecure; h/0 insecure tlsa(?) 192.0.2.1" },
    };
    static const struct test_case secure[] = {
        { "h.signed A 192.0.2.1\n", "found insecure; h.signed/0 secure tlsa() 192.0.2.1" },
        { "h.signed CNAME a.signed\na.signed A 192.0.2.1\n",
          "found insecure; h.signed/0 secure tlsa(a.signed) 192.0.2.1" },
        { "h.signed CNAME a\na A 192.0.2.1\n",
          "found insecure; h.signed/0 insecure tlsa(?) 192.0.2.1" },
    };

    (void)state;
    CHECK(cases, "H", ADDRESSES, V4_V6);
    CHECK(secure, "h.signed", ADDRESSES, V4_V6);
}

static void aliases_of_the_domain_and_of_its_hosts_are_followed(void **state)
{
    static const struct test_case cases[] = {
        { "d CNAME e\ne MX 10 mx\nmx A 192.0.2.1\n", "found insecure; mx/10 insecure 192.0.2.1" },
        { "d CNAME e\ne CNAME f\nf A 192.0.2.1\n",
          "found insecure implicit; d/0 insecure tlsa(?) 192.0.2.1" },
        { "d CNAME e\n", "no domain insecure" },
        { "d CNAME e\ne TXT x\n", "no host insecure implicit; d/0 no-data insecure" },
        { "d CNAME e\ne MX 0 .\n", "no mail insecure" },
        { "d CNAME e\ne MX SERVFAIL\nd A 192.0.2.1\n", "failed insecure" },
        { "d MX 10 mx\nmx CNAME h\nh A 192.0.2.1\n", "found insecure; mx/10 insecure 192.0.2.1" },
        { "d MX 10 mx\nmx CNAME h\n", "no host insecure; mx/10 no-name insecure" },
        { "d MX 10 mx\nmx CNAME mx\n", "no host insecure; mx/10 no-data insecure" },
        { "d CNAME d\n", "no host insecure implicit; d/0 no-data insecure" },
    };

    (void)state;
    CHECK(cases, "d", MX, V4_V6);
}

/* RFC 7672 2.1.3, 2.2.1, 2.2.2. */
static void tlsa_records_are_wanted_only_where_names_and_mx_are_signed(void **state)
{
    static const struct test_case cases[] = {
        { "d.signed MX 10 mx.signed\nmx.signed A 192.0.2.1\n",
          "found secure; mx.signed/10 secure tlsa() 192.0.2.1" },
        { "d.signed MX 10 mx\nmx A 192.0.2.1\n", "found secure; mx/10 insecure 192.0.2.1" },
        { "d.signed MX 10 mx.signed\nd.signed MX 10 mx\nmx A 192.0.2.2\nmx.signed A 192.0.2.1\n",
          "found secure; mx.signed/10 secure tlsa() 192.0.2.1; mx/10 insecure 192.0.2.2" },
        /* An alias, signed to its end: the end is tried first. */
        { "d.signed MX 10 mx.signed\nmx.signed CNAME a.signed\na.signed CNAME b.signed\n"
          "b.signed A 192.0.2.1\n",
          "found secure; mx.signed/10 secure tlsa(b.signed) 192.0.2.1" },
        { "d.signed MX 10 mx.signed\nmx.signed CNAME a.signed\na.signed AAAA 2001:db8::1\n",
          "found secure; mx.signed/10 secure tlsa(a.signed) 2001:db8::1" },
        /* Into an unsigned zone, or out of one: it has to be asked whether the alias is signed. */
        { "d.signed MX 10 mx.signed\nmx.signed CNAME a.signed\na.signed CNAME b\nb A 192.0.2.1\n",
          "found secure; mx.signed/10 insecure tlsa(?) 192.0.2.1" },
        { "d.signed MX 10 mx.signed\nmx.signed CNAME b\nb CNAME c.signed\nc.signed A 192.0.2.1\n",
          "found secure; mx.signed/10 insecure tlsa(?) 192.0.2.1" },
        { "d.signed MX 10 mx\nmx CNAME a.signed\na.signed A 192.0.2.1\n",
          "found secure; mx/10 insecure tlsa(?) 192.0.2.1" },
        { "d.signed MX 10 mx.signed\nmx.signed CNAME a.signed\na.signed A 192.0.2.1\n"
          "a.signed AAAA BOGUS\n",
          "failed secure; mx.signed/10 failed BOGUS" },
        /* Without an MX. */
        { "d.signed A 192.0.2.1\n", "found secure implicit; d.signed/0 secure tlsa() 192.0.2.1" },
        { "d.signed CNAME a.signed\na.signed A 192.0.2.1\n",
          "found secure implicit alias a.signed; d.signed/0 secure tlsa(a.signed) 192.0.2.1" },
        { "d.signed CNAME a\na A 192.0.2.1\n",
          "found insecure implicit; d.signed/0 insecure tlsa(?) 192.0.2.1" },
        /* An MX behind aliases. */
        { "d.signed CNAME a.signed\na.signed MX 10 mx.signed\nmx.signed A 192.0.2.1\n",
          "found secure alias a.signed; mx.signed/10 secure tlsa() 192.0.2.1" },
        { "d.signed CNAME a\na MX 10 mx.signed\nmx.signed A 192.0.2.1\n",
          "found insecure; mx.signed/10 secure 192.0.2.1" },
        { "d.signed CNAME a\na MX 10 mx.signed\nmx.signed CNAME b\nb A 192.0.2.1\n",
          "found insecure; mx.signed/10 insecure 192.0.2.1" },
        { "d.signed MX 0 .\n", "no mail secure" },
        { "signed TXT x\n", "no domain secure" },
    };
    static const struct test_case insecure[] = {
        { "d MX 10 mx.signed\nmx.signed A 192.0.2.1\n",
          "found insecure; mx.signed/10 secure 192.0.2.1" },
        { "d MX 10 mx.signed\nmx.signed CNAME b.signed\nb.signed A 192.0.2.1\n",
          "found insecure; mx.signed/10 secure base b.signed 192.0.2.1" },
        { "d MX 10 mx.signed\nmx.signed CNAME b\nb A 192.0.2.1\n",
          "found insecure; mx.signed/10 insecure 192.0.2.1" },
        { "d CNAME a.signed\na.signed A 192.0.2.1\n",
          "found insecure implicit; d/0 insecure tlsa(?) 192.0.2.1" },
        { "d A 192.0.2.1\n", "found insecure implicit; d/0 insecure 192.0.2.1" },
    };

    (void)state;
    CHECK(cases, "d.signed", MX, V4_V6);
    CHECK(insecure, "d", MX, V4_V6);
}

static void a_name_is_authentic_where_no_unsigned_answer_is_all_that_says_it(void **state)
{
    static const struct {
        const char *zone, *domain;
        enum dns_exchange_kind kind;
        const char *hosts; /* as they come: + authentic, - not */
    } cases[] = {
        { "d.signed MX 10 mx\nmx A 192.0.2.1\n", "d.signed", DNS_EXCHANGE_MX, "+" },
        { "d MX 10 mx.signed\nmx.signed A 192.0.2.1\n", "d", DNS_EXCHANGE_MX, "-" },
        { "d MX 10 mx\nmx A 192.0.2.1\nd MX 20 d\nd A 192.0.2.2\n", "D", DNS_EXCHANGE_MX, "-+" },
        { "d A 192.0.2.1\n", "D.", DNS_EXCHANGE_MX, "+" },
        { "d CNAME e\ne A 192.0.2.1\n", "d", DNS_EXCHANGE_MX, "+" },
        { "d CNAME e\ne MX 10 mx\nmx A 192.0.2.1\n", "d", DNS_EXCHANGE_MX, "-" },
        { "mx A 192.0.2.1\n", "mx", DNS_EXCHANGE_ADDRESSES, "+" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        zone_text = cases[i].zone;
        dns_exchange_start(&x, &zone_source, slice_from(cases[i].domain), cases[i].kind,
                           DNS_EXCHANGE_V4, done);
        zone_answer_all(0);
        assert_int_equal(dns_exchange_hosts_count(&x), strlen(cases[i].hosts));
        for (size_t k = 0; k < dns_exchange_hosts_count(&x); k++)
            if (dns_exchange_is_authentic(&x, k) != (cases[i].hosts[k] == '+'))
                fail_msg("case %zu: %s", i, dns_exchange_host(&x, k)->name);
    }
}

static void no_more_is_asked_or_kept_than_the_maximum(void **state)
{
    static char zone[128 * 1024];
    size_t used = 0;

    (void)state;
    /* The nearest come last. */
    for (int i = 100; i-- > 0;) {
        used += (size_t)snprintf(zone + used, sizeof(zone) - used, "d MX %d mx%d\n", i, i);
        for (int j = 0; j < 20; j++)
            used += (size_t)snprintf(zone + used, sizeof(zone) - used,
                                     "mx%d A 192.0.2.%d\nmx%d AAAA 2001:db8::%d\n", i, j, i, j);
    }
    zone_text = zone;
    for (enum dns_exchange_families f = DNS_EXCHANGE_V4; f <= DNS_EXCHANGE_V4_V6; f++) {
        dns_exchange_start(&x, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, f, done);
        zone_answer(0);
        assert_int_equal(zone_asked_count,
                         DNS_EXCHANGE_HOSTS_MAX * (f == DNS_EXCHANGE_V4_V6 ? 2 : 1));
        zone_answer_all(f);
        assert_int_equal(dns_exchange_hosts_count(&x), DNS_EXCHANGE_HOSTS_MAX);
        for (size_t i = 0; i < DNS_EXCHANGE_HOSTS_MAX; i++) {
            const struct dns_exchange_host *h = dns_exchange_host(&x, i);

            assert_int_equal(h->preference, i);
            assert_int_equal(h->addresses_count, DNS_EXCHANGE_ADDRESSES_MAX);
            size_t half = f == DNS_EXCHANGE_V4_V6 ? DNS_EXCHANGE_ADDRESSES_MAX / 2
                          : f == DNS_EXCHANGE_V6  ? DNS_EXCHANGE_ADDRESSES_MAX
                                                  : 0;
            for (size_t j = 0; j < h->addresses_count; j++)
                assert_int_equal(ip_is_v4(&h->addresses[j]), j >= half);
        }
    }
}

static void it_holds_as_long_as_the_shortest_of_its_answers(void **state)
{
    static const struct {
        uint32_t mx_s, a_s, aaaa_s;
        uint32_t ttl_s;
    } cases[] = {
        { 300, 400, 500, 300 },
        { 400, 300, 500, 300 },
        { 400, 500, 300, 300 },
        { 0, 500, 500, DNS_EXCHANGE_TTL_S_MIN },
        { 500, 1, 500, DNS_EXCHANGE_TTL_S_MIN },
        { 86400, 86400, 0x7fffffff, DNS_EXCHANGE_TTL_S_MAX },
    };
    static struct packet p;
    struct dns_answer a;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dns_query *q;

        dns_exchange_start(&x, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4_V6, done);
        for (unsigned n = 0; n < 3; n++) {
            q = zone_asked[0].query;
            zone_forget(0);
            packet_begin(&p, 0, n == 0 ? "d" : "mx", q->type);
            if (n == 0)
                packet_record(&p, "d", q->type, cases[i].mx_s, "\0\1\2mx", 6);
            else
                packet_record(
                    &p, "mx", q->type, q->type == DNS_TYPE_A ? cases[i].a_s : cases[i].aaaa_s,
                    "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", q->type == DNS_TYPE_A ? 4 : 16);
            dns_answer_parse(packet_slice(&p), q->type, &a);
            dns_query_answer(q, &a);
        }
        assert_int_equal(dns_exchange_outcome(&x), DNS_EXCHANGE_FOUND);
        assert_int_equal(dns_exchange_ttl_s(&x), cases[i].ttl_s);
    }
    zone_text = "d MX SERVFAIL\n";
    dns_exchange_start(&x, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4, done);
    zone_answer_all(0);
    assert_int_equal(dns_exchange_ttl_s(&x), DNS_EXCHANGE_TTL_S_MIN);
}

static void one_that_is_cancelled_is_not_heard_of_again(void **state)
{
    static const char zone[] = "d.signed MX 10 a.signed\nd.signed MX 20 b.signed\n"
                               "a.signed CNAME c\nb.signed CNAME c\nc A 192.0.2.1\n";

    (void)state;
    dns_exchange_cancel(&x);
    for (size_t answers = 0; answers < 5; answers++) {
        zone_text = zone;
        dns_exchange_start(&x, &zone_source, SLICE("d.signed"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4_V6,
                           done);
        for (size_t i = 0; i < answers; i++)
            zone_answer(0);
        assert_true(dns_exchange_is_running(&x));
        dns_exchange_cancel(&x);
        assert_false(dns_exchange_is_running(&x));
        assert_int_equal(zone_asked_count, 0);
        dns_exchange_cancel(&x);
    }
    assert_int_equal(done_count, 0);
}

static void restart(struct dns_exchange *e)
{
    if (++done_count < 3)
        dns_exchange_start(e, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4, restart);
}

static void a_done_may_start_it_again(void **state)
{
    static const char *const zones[] = { "d MX 10 mx\nmx A 192.0.2.1\n", "d MX SERVFAIL\n",
                                         "d MX 0 .\n", "d A 192.0.2.1\n" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        done_count = 0;
        zone_text = zones[i];
        dns_exchange_start(&x, &zone_source, SLICE("d"), DNS_EXCHANGE_MX, DNS_EXCHANGE_V4, restart);
        zone_answer_all(0);
        assert_int_equal(done_count, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(mail_goes_to_the_hosts_of_the_mx_by_preference, setup),
        cmocka_unit_test_setup(only_without_an_mx_the_domain_is_its_own_host, setup),
        cmocka_unit_test_setup(the_null_mx_takes_no_mail_and_counts_only_alone, setup),
        cmocka_unit_test_setup(a_target_that_cannot_be_a_host_is_none, setup),
        cmocka_unit_test_setup(a_host_that_fails_leaves_the_others, setup),
        cmocka_unit_test_setup(one_family_is_enough_unless_the_other_is_bogus, setup),
        cmocka_unit_test_setup(only_the_families_that_are_wanted_are_asked_for, setup),
        cmocka_unit_test_setup(a_bare_host_is_asked_for_its_addresses_only, setup),
        cmocka_unit_test_setup(aliases_of_the_domain_and_of_its_hosts_are_followed, setup),
        cmocka_unit_test_setup(tlsa_records_are_wanted_only_where_names_and_mx_are_signed, setup),
        cmocka_unit_test_setup(a_name_is_authentic_where_no_unsigned_answer_is_all_that_says_it,
                               setup),
        cmocka_unit_test_setup(no_more_is_asked_or_kept_than_the_maximum, setup),
        cmocka_unit_test_setup(it_holds_as_long_as_the_shortest_of_its_answers, setup),
        cmocka_unit_test_setup(one_that_is_cancelled_is_not_heard_of_again, setup),
        cmocka_unit_test_setup(a_done_may_start_it_again, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
