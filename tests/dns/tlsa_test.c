#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/tlsa.h"
#include "tests/dns/zone.h"

#define TEXT_MAX 8192

static struct dns_tlsa t;
static unsigned done_count;

static int setup(void **state)
{
    (void)state;
    done_count = 0;
    zone_asked_count = 0;
    zone_text = "";
    return 0;
}

static void done(struct dns_tlsa *found)
{
    assert_ptr_equal(found, &t);
    assert_false(dns_tlsa_is_running(found));
    done_count++;
}

static const char *security_name(enum dns_security security)
{
    return security == DNS_SECURE ? "secure" : security == DNS_BOGUS ? "bogus" : "insecure";
}

/* "found secure mx.signed; 3 1 1 data; ... dropped 1" */
static const char *result(void)
{
    static const char *const outcomes[] = { "found", "none", "failed" };
    static char text[TEXT_MAX];
    size_t used = (size_t)snprintf(text, sizeof(text), "%s %s", outcomes[dns_tlsa_outcome(&t)],
                                   security_name(dns_tlsa_security(&t)));

    if (dns_tlsa_base(&t)[0] != '\0')
        used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", dns_tlsa_base(&t));
    for (size_t i = 0; i < dns_tlsa_records_count(&t); i++) {
        struct dns_association a = dns_tlsa_record(&t, i);

        used += (size_t)snprintf(text + used, sizeof(text) - used, "; %u %u %u %.*s", a.usage,
                                 a.selector, a.matching, SLICE_ARGS(a.data));
    }
    if (dns_tlsa_dropped_count(&t) > 0)
        (void)snprintf(text + used, sizeof(text) - used, " dropped %zu",
                       dns_tlsa_dropped_count(&t));
    assert_true((dns_tlsa_outcome(&t) == DNS_TLSA_FAILED) == (dns_tlsa_reason(&t)[0] != '\0'));
    return text;
}

struct test_case {
    const char *zone;
    const char *result;
};

static void check(const struct test_case *cases, size_t count, const struct dns_tlsa_wanted *wanted)
{
    for (size_t i = 0; i < count; i++) {
        zone_text = cases[i].zone;
        done_count = 0;
        dns_tlsa_start(&t, &zone_source, wanted, done);
        assert_int_equal(done_count, 0);
        zone_answer_all(0);
        assert_int_equal(done_count, 1);
        if (strcmp(result(), cases[i].result) != 0)
            fail_msg("case %zu:\n%s\n%s", i, result(), cases[i].result);
    }
}

static void secure_records_are_found_and_no_others(void **state)
{
    static const struct test_case cases[] = {
        { "_25._tcp.mx.signed TLSA 3 1 1 digest\n", "found secure mx.signed; 3 1 1 digest" },
        { "_25._tcp.mx.signed TLSA 3 1 1 a\n_25._tcp.mx.signed TLSA 2 0 2 b\n"
          "_25._tcp.mx.signed TLSA 255 7 9 c\n",
          "found secure mx.signed; 3 1 1 a; 2 0 2 b; 255 7 9 c" },
        { "_25._tcp.mx.signed CNAME tlsa.signed\ntlsa.signed TLSA 3 1 1 digest\n",
          "found secure mx.signed; 3 1 1 digest" },
        /* Signed by nobody: as if it were not there. */
        { "_25._tcp.mx.signed CNAME tlsa\ntlsa TLSA 3 1 1 digest\n", "none insecure" },
        { "_26._tcp.mx.signed TLSA 3 1 1 digest\nmx.signed A 192.0.2.1\n", "none secure" },
        { "_25._tcp.mx.signed TXT x\n", "none secure" },
        { "", "none secure" },
        { "_25._tcp.mx.signed TLSA SERVFAIL\n", "failed insecure" },
        { "_25._tcp.mx.signed TLSA BOGUS\n", "failed bogus" },
        /* Of no use, but there: TLS is a must. */
        { "_25._tcp.mx.signed TLSA 3 1\n", "found secure mx.signed dropped 1" },
        { "_25._tcp.mx.signed TLSA 3 1 1\n", "found secure mx.signed; 3 1 1 " },
        { "_25._tcp.mx.signed TLSA \n_25._tcp.mx.signed TLSA 3 1 1 d\n",
          "found secure mx.signed; 3 1 1 d dropped 1" },
    };
    static const struct test_case insecure[] = {
        { "_25._tcp.mx TLSA 3 1 1 digest\n", "none insecure" },
        { "_25._tcp.mx TLSA SERVFAIL\n", "failed insecure" },
    };

    (void)state;
    check(cases, ARRAY_LEN(cases),
          &(struct dns_tlsa_wanted){ .host = SLICE("MX.signed."), .port = 25 });
    check(cases, ARRAY_LEN(cases),
          &(struct dns_tlsa_wanted){
              .host = SLICE("mx.signed"), .base = SLICE("mx.signed"), .port = 25 });
    check(insecure, ARRAY_LEN(insecure),
          &(struct dns_tlsa_wanted){ .host = SLICE("mx"), .port = 25 });
}

static void the_end_of_the_aliases_goes_before_the_host(void **state)
{
    static const struct test_case cases[] = {
        { "_25._tcp.end.signed TLSA 3 1 1 e\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "found secure end.signed; 3 1 1 e" },
        { "_25._tcp.mx.signed TLSA 3 1 1 m\n", "found secure mx.signed; 3 1 1 m" },
        { "_25._tcp.end.signed CNAME x\nx TLSA 3 1 1 x\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "found secure mx.signed; 3 1 1 m" },
        { "_25._tcp.end.signed TLSA 3 1\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "found secure end.signed dropped 1" },
        /* No second try for what failed. */
        { "_25._tcp.end.signed TLSA SERVFAIL\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "failed insecure" },
        { "_25._tcp.end.signed TLSA BOGUS\n_25._tcp.mx.signed TLSA 3 1 1 m\n", "failed bogus" },
        { "_25._tcp.mx.signed TLSA SERVFAIL\n", "failed insecure" },
        { "_25._tcp.mx.signed TLSA BOGUS\n", "failed bogus" },
        { "", "none secure" },
        { "_25._tcp.end.signed CNAME x\nx TLSA 3 1 1 x\n", "none insecure" },
    };

    (void)state;
    check(cases, ARRAY_LEN(cases),
          &(struct dns_tlsa_wanted){
              .host = SLICE("mx.signed"), .base = SLICE("end.signed"), .port = 25 });
    assert_string_equal(dns_tlsa_base(&t), "");
    zone_text = cases[4].zone;
    check(&cases[4], 1,
          &(struct dns_tlsa_wanted){
              .host = SLICE("mx.signed"), .base = SLICE("end.signed"), .port = 25 });
    assert_string_equal(dns_tlsa_reason(&t), "TLSA of end.signed: server failure");
}

/* RFC 7672 2.1.3 and 2.2.2. */
static void an_alias_to_an_unsigned_zone_must_be_signed_itself(void **state)
{
    static const struct test_case cases[] = {
        { "mx.signed CNAME end\nend A 192.0.2.1\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "found secure mx.signed; 3 1 1 m" },
        { "mx.signed CNAME end\nend A 192.0.2.1\n_25._tcp.end TLSA 3 1 1 e\n", "none secure" },
        /* The alias has gone meanwhile; the zone still is signed. */
        { "mx.signed A 192.0.2.1\n_25._tcp.mx.signed TLSA 3 1 1 m\n",
          "found secure mx.signed; 3 1 1 m" },
        { "mx.signed CNAME SERVFAIL\n_25._tcp.mx.signed TLSA 3 1 1 m\n", "failed insecure" },
        { "mx.signed CNAME BOGUS\n_25._tcp.mx.signed TLSA 3 1 1 m\n", "failed bogus" },
        { "mx.signed CNAME end\n_25._tcp.mx.signed TLSA SERVFAIL\n", "failed insecure" },
    };
    static const struct test_case insecure[] = {
        { "mx CNAME end.signed\n_25._tcp.mx TLSA SERVFAIL\n_25._tcp.end.signed TLSA 3 1 1 e\n",
          "none insecure" },
        { "mx CNAME SERVFAIL\n", "failed insecure" },
    };

    (void)state;
    check(cases, ARRAY_LEN(cases),
          &(struct dns_tlsa_wanted){ .host = SLICE("mx.signed"),
                                     .base = SLICE("other.signed"),
                                     .is_insecure = true,
                                     .port = 25 });
    check(insecure, ARRAY_LEN(insecure),
          &(struct dns_tlsa_wanted){ .host = SLICE("mx"), .is_insecure = true, .port = 25 });
}

static void the_port_and_the_name_make_the_question(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *asked;
    } cases[] = {
        { "mx.signed", 25, "_25._tcp.mx.signed" },
        { "MX.Signed.", 65535, "_65535._tcp.mx.signed" },
        { "mx.signed", 0, "_0._tcp.mx.signed" },
        { "a b", 25, "" },
        { "", 25, "" },
    };
    char host[DNS_NAME_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dns_tlsa_start(
            &t, &zone_source,
            &(struct dns_tlsa_wanted){ .host = slice_from(cases[i].host), .port = cases[i].port },
            done);
        assert_int_equal(zone_asked_count, 1);
        assert_string_equal(zone_asked[0].name, cases[i].asked);
        zone_answer_all(0);
        assert_int_equal(dns_tlsa_outcome(&t), DNS_TLSA_NONE);
    }
    /* A name that comes twice is asked for once. */
    dns_tlsa_start(
        &t, &zone_source,
        &(struct dns_tlsa_wanted){ .host = SLICE("MX"), .base = SLICE("mx."), .port = 25 }, done);
    zone_answer(0);
    assert_int_equal(zone_asked_count, 0);
    /* The longest host has no room for the prefix. */
    memset(host, 'x', sizeof(host));
    for (size_t i = 60; i < sizeof(host); i += 60)
        host[i] = '.';
    host[sizeof(host) - 1] = '\0';
    assert_true(dns_name_is_valid(slice_from(host)));
    dns_tlsa_start(&t, &zone_source,
                   &(struct dns_tlsa_wanted){ .host = slice_from(host), .port = 65535 }, done);
    assert_string_equal(zone_asked[0].name, "");
    zone_answer_all(0);
    assert_string_equal(result(), "none insecure");
}

static void records_beyond_the_maximum_are_dropped_and_counted(void **state)
{
    static const struct {
        unsigned count;
        size_t bytes;
        size_t records;
    } cases[] = {
        { 32, 64, 32 },
        { 33, 64, 32 },
        { 1000, 1, 32 },
        { 1, DNS_TLSA_BYTES_MAX, 1 },
        { 1, DNS_TLSA_BYTES_MAX + 1, 0 },
        { 5, 8192, 4 },
        { 3, 20000, 1 },
    };
    static struct packet p;
    static uint8_t data[DNS_TLSA_BYTES_MAX + 4] = { 3, 0, 0 };
    struct dns_answer a;

    (void)state;
    for (size_t i = 3; i < sizeof(data); i++)
        data[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dns_tlsa_start(&t, &zone_source,
                       &(struct dns_tlsa_wanted){ .host = SLICE("mx.signed"), .port = 25 }, done);
        struct dns_query *q = zone_asked[0].query;
        zone_forget(0);
        packet_begin(&p, 0, "x", DNS_TYPE_TLSA);
        for (unsigned n = 0; n < cases[i].count; n++)
            packet_record(&p, "x", DNS_TYPE_TLSA, TTL_S, data, 3 + cases[i].bytes);
        dns_answer_parse(packet_slice(&p), q->type, &a);
        a.security = DNS_SECURE;
        dns_query_answer(q, &a);
        struct dns_tlsa copy = t;
        assert_int_equal(dns_tlsa_outcome(&copy), DNS_TLSA_FOUND);
        assert_int_equal(dns_tlsa_records_count(&copy), cases[i].records);
        assert_int_equal(dns_tlsa_dropped_count(&copy), cases[i].count - cases[i].records);
        for (size_t n = 0; n < cases[i].records; n++) {
            struct dns_association association = dns_tlsa_record(&copy, n);
            assert_int_equal(association.data.len, cases[i].bytes);
            assert_memory_equal(association.data.data, data + 3, cases[i].bytes);
        }
    }
}

static void it_holds_as_long_as_the_shortest_of_its_answers(void **state)
{
    static const struct {
        uint32_t first_s, second_s;
        uint32_t ttl_s;
    } cases[] = {
        { 300, 400, 300 },
        { 400, 300, 300 },
        { 0, 300, DNS_TLSA_TTL_S_MIN },
        { 300, 0, DNS_TLSA_TTL_S_MIN },
        { 86400, 86400, DNS_TLSA_TTL_S_MAX },
    };
    static struct packet p;
    struct dns_answer a;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        dns_tlsa_start(&t, &zone_source,
                       &(struct dns_tlsa_wanted){
                           .host = SLICE("mx.signed"), .base = SLICE("end.signed"), .port = 25 },
                       done);
        for (unsigned n = 0; n < 2; n++) {
            struct dns_query *q = zone_asked[0].query;

            zone_forget(0);
            packet_begin(&p, 0, "x", DNS_TYPE_TLSA);
            packet_record(&p, "x", DNS_TYPE_TLSA, n == 0 ? cases[i].first_s : cases[i].second_s,
                          "\3\1\1d", 4);
            dns_answer_parse(packet_slice(&p), q->type, &a);
            a.security = n == 0 ? DNS_INSECURE : DNS_SECURE;
            dns_query_answer(q, &a);
        }
        assert_int_equal(dns_tlsa_outcome(&t), DNS_TLSA_FOUND);
        assert_int_equal(dns_tlsa_ttl_s(&t), cases[i].ttl_s);
    }
    check(&(struct test_case){ "_25._tcp.x TLSA SERVFAIL\n", "failed insecure" }, 1,
          &(struct dns_tlsa_wanted){ .host = SLICE("x"), .port = 25 });
    assert_int_equal(dns_tlsa_ttl_s(&t), DNS_TLSA_TTL_S_MIN);
}

static void restart(struct dns_tlsa *found)
{
    if (++done_count < 3)
        dns_tlsa_start(found, &zone_source,
                       &(struct dns_tlsa_wanted){ .host = SLICE("mx.signed"), .port = 25 },
                       restart);
}

static void one_that_is_cancelled_is_not_heard_of_again_and_one_that_is_done_may_start(void **state)
{
    (void)state;
    dns_tlsa_cancel(&t);
    for (size_t answers = 0; answers < 2; answers++) {
        dns_tlsa_start(&t, &zone_source,
                       &(struct dns_tlsa_wanted){
                           .host = SLICE("mx.signed"), .is_insecure = true, .port = 25 },
                       done);
        for (size_t i = 0; i < answers; i++)
            zone_answer(0);
        assert_true(dns_tlsa_is_running(&t));
        dns_tlsa_cancel(&t);
        assert_false(dns_tlsa_is_running(&t));
        assert_int_equal(zone_asked_count, 0);
    }
    assert_int_equal(done_count, 0);
    zone_text = "_25._tcp.mx.signed TLSA 3 1 1 d\n";
    restart(&t);
    zone_answer_all(0);
    assert_int_equal(done_count, 3);
    assert_string_equal(result(), "found secure mx.signed; 3 1 1 d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(secure_records_are_found_and_no_others, setup),
        cmocka_unit_test_setup(the_end_of_the_aliases_goes_before_the_host, setup),
        cmocka_unit_test_setup(an_alias_to_an_unsigned_zone_must_be_signed_itself, setup),
        cmocka_unit_test_setup(the_port_and_the_name_make_the_question, setup),
        cmocka_unit_test_setup(records_beyond_the_maximum_are_dropped_and_counted, setup),
        cmocka_unit_test_setup(it_holds_as_long_as_the_shortest_of_its_answers, setup),
        cmocka_unit_test_setup(
            one_that_is_cancelled_is_not_heard_of_again_and_one_that_is_done_may_start, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
