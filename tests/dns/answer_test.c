#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/dns/packet.h"

#define SOA   6
#define RRSIG 46

static struct packet p;
static struct dns_answer a;

static void parse(enum dns_type type)
{
    /* Exactly as long as it is, so that a sanitizer sees what reads beyond. */
    uint8_t *copy = malloc(p.len + 1);

    assert_non_null(copy);
    memcpy(copy, p.bytes, p.len);
    dns_answer_parse((struct slice){ (char *)copy, p.len }, type, &a);
    for (size_t i = 0; i < a.records; i++) {
        struct ip_address address;
        char text[DNS_NAME_MAX];
        uint16_t preference;
        size_t len;

        (void)dns_answer_address(&a, i, &address);
        (void)dns_answer_name(&a, i, text);
        (void)dns_answer_exchange(&a, i, &preference, text);
        (void)dns_answer_text(&a, i, text, sizeof(text), &len);
        (void)dns_answer_association(&a, i, &(struct dns_association){ 0 });
        (void)dns_answer_data(&a, i);
    }
    (void)dns_answer_canonical(&a, (char[DNS_NAME_MAX]){ 0 });
    if (a.packet != NULL)
        a.packet = p.bytes;
    free(copy);
}

static void addresses_are_read_in_their_order(void **state)
{
    struct ip_address address;
    char text[IP_TEXT_MAX];

    (void)state;
    packet_begin(&p, 0, "WWW.example.com", DNS_TYPE_A);
    packet_record(&p, "www.EXAMPLE.com", DNS_TYPE_A, TTL_S, "\xc0\0\2\1", 4);
    packet_record(&p, "www.example.com", RRSIG, 10, "signature", 9);
    packet_record(&p, "www.example.com", DNS_TYPE_A, 60, "\xc0\0\2\2", 4);
    packet_record(&p, "other.example.com", DNS_TYPE_A, TTL_S, "\xc0\0\2\3", 4);
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_FOUND);
    assert_int_equal(a.records, 2);
    assert_int_equal(a.ttl_s, 60);
    assert_true(dns_answer_address(&a, 1, &address));
    assert_string_equal(ip_format(&address, text), "192.0.2.2");

    packet_begin(&p, 0, "v6", DNS_TYPE_AAAA);
    packet_record(&p, "v6", DNS_TYPE_AAAA, TTL_S, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    packet_record(&p, "v6", DNS_TYPE_AAAA, TTL_S, "\xc0\0\2\1", 4);
    parse(DNS_TYPE_AAAA);
    assert_int_equal(a.records, 2);
    assert_true(dns_answer_address(&a, 0, &address));
    assert_string_equal(ip_format(&address, text), "2001:db8::1");
    assert_false(dns_answer_address(&a, 1, &address));
}

static void a_chain_of_names_is_followed(void **state)
{
    (void)state;
    packet_begin(&p, 0, "www.example.com", DNS_TYPE_A);
    packet_name(&p, "www.example.com", DNS_TYPE_CNAME, "web.example.net");
    packet_name(&p, "web.example.net", DNS_TYPE_CNAME, "host.example.net");
    packet_record(&p, "host.example.net", DNS_TYPE_A, 20, "\xc0\0\2\1", 4);
    packet_record(&p, "www.example.com", DNS_TYPE_A, TTL_S, "\xc0\0\2\2", 4);
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_FOUND);
    assert_int_equal(a.records, 1);
    assert_int_equal(a.ttl_s, 20);

    packet_begin(&p, 0, "loop", DNS_TYPE_A);
    packet_name(&p, "loop", DNS_TYPE_CNAME, "loop");
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_NO_DATA);
}

/* What the answer is about, or NULL. */
static const char *canonical(void)
{
    static char text[DNS_NAME_MAX];

    return dns_answer_canonical(&a, text) ? text : NULL;
}

static void the_name_at_the_end_of_a_chain_is_told(void **state)
{
    (void)state;
    for (unsigned links = 0; links <= 2; links++) {
        for (unsigned rcode = 0; rcode <= 3; rcode++) {
            static const char *const names[] = { "www.example.com", "web.example.net",
                                                 "host.example.net" };

            packet_begin(&p, rcode, "WWW.example.com", DNS_TYPE_A);
            for (unsigned i = 0; i < links; i++)
                packet_name(&p, names[i], DNS_TYPE_CNAME, names[i + 1]);
            if (rcode == 0)
                packet_record(&p, names[links], DNS_TYPE_A, 20, "\xc0\0\2\1", 4);
            parse(DNS_TYPE_A);
            if (a.outcome == DNS_FAILED)
                assert_null(canonical());
            else
                assert_string_equal(canonical(), names[links]);
        }
    }
    dns_answer_set(DNS_NO_NAME, DNS_TYPE_A, "", &a);
    assert_null(canonical());
}

static void a_chain_to_what_is_no_name_is_followed_and_not_told(void **state)
{
    static const char *const targets[] = { "", "a b", "x\r\ny" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        packet_begin(&p, 0, "www.example.com", DNS_TYPE_A);
        packet_name(&p, "www.example.com", DNS_TYPE_CNAME, targets[i]);
        packet_record(&p, targets[i], DNS_TYPE_A, 20, "\xc0\0\2\1", 4);
        parse(DNS_TYPE_A);
        assert_int_equal(a.records, 1);
        assert_null(canonical());
    }
}

static void who_asks_for_the_alias_gets_it_and_not_what_is_behind(void **state)
{
    (void)state;
    packet_begin(&p, 0, "www.example.com", DNS_TYPE_CNAME);
    packet_name(&p, "www.example.com", DNS_TYPE_CNAME, "web.example.net");
    packet_name(&p, "web.example.net", DNS_TYPE_CNAME, "host.example.net");
    parse(DNS_TYPE_CNAME);
    assert_int_equal(a.outcome, DNS_FOUND);
    assert_int_equal(a.records, 1);
    assert_string_equal(canonical(), "www.example.com");
}

static void what_is_not_there_is_remembered_as_the_zone_says(void **state)
{
    static const uint8_t soa[] = "\0\0"
                                 "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x1e";

    (void)state;
    for (unsigned rcode = 0; rcode <= 3; rcode += 3) {
        packet_begin(&p, rcode, "nx.example.com", DNS_TYPE_A);
        packet_record(&p, "example.com", SOA, 900, soa, sizeof(soa) - 1);
        p.bytes[7] = 0;
        p.bytes[9] = 1; /* it stands in the authority section */
        parse(DNS_TYPE_A);
        assert_int_equal(a.outcome, rcode == 3 ? DNS_NO_NAME : DNS_NO_DATA);
        assert_int_equal(a.ttl_s, 30);
    }
    packet_begin(&p, 3, "nx.example.com", DNS_TYPE_A);
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_NO_NAME);
    assert_int_equal(a.ttl_s, 0);
}

static void other_codes_are_failures_with_a_reason(void **state)
{
    (void)state;
    for (unsigned rcode = 1; rcode < 16; rcode++) {
        if (rcode == 3)
            continue;
        packet_begin(&p, rcode, "example.com", DNS_TYPE_A);
        parse(DNS_TYPE_A);
        assert_int_equal(a.outcome, DNS_FAILED);
        assert_true(a.reason[0] != '\0');
    }
}

/* The target of a PTR as text, or NULL. */
static const char *pointer(const void *data, size_t len)
{
    static char text[DNS_NAME_MAX];

    packet_begin(&p, 0, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR);
    packet_record(&p, "1.2.0.192.in-addr.arpa", DNS_TYPE_PTR, TTL_S, data, len);
    parse(DNS_TYPE_PTR);
    assert_int_equal(a.records, 1);
    return dns_answer_name(&a, 0, text) ? text : NULL;
}

static void a_pointer_must_lead_to_the_name_of_a_host(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        const char *name;
    } cases[] = {
#define CASE(data, name) { data, sizeof(data) - 1, name }
        CASE("\4Mail\7example\3com\0", "mail.example.com"),
        CASE("\5mx-_1\0", "mx-_1"),
        CASE("\0", NULL),
        CASE("", NULL),
        CASE("\4a b \0", NULL),
        CASE("\3a.b\3com\0", NULL),
        CASE("\3a\n\r\0", NULL),
        CASE("\3a\0b\0", NULL),
        CASE("\4\xc3\xbc"
             "ab\0",
             NULL),
        CASE("\4mail", NULL),       /* no end */
        CASE("\4mail\0more", NULL), /* something behind the end */
        CASE("\x40xxxxxxx\0", NULL),
        CASE("\xc0\x0c", "1.2.0.192.in-addr.arpa"), /* to the question */
        CASE("\4mail\xc0\x0e", "mail.2.0.192.in-addr.arpa"),
        CASE("\xc0", NULL),
        CASE("\xff\xff", NULL),
        CASE("\xc0\x38", NULL), /* to itself or behind */
        CASE("\xc0\x40", NULL),
#undef CASE
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *name = pointer(cases[i].data, cases[i].len);

        if ((name == NULL) != (cases[i].name == NULL) ||
            (name != NULL && strcmp(name, cases[i].name) != 0))
            fail_msg("case %zu: %s", i, name != NULL ? name : "none");
    }
}

static void the_longest_name_is_taken_and_no_longer(void **state)
{
    char data[300];
    size_t len = 0;

    (void)state;
    for (int label = 0; label < 3; label++) {
        data[len++] = 63;
        memset(data + len, 'a', 63);
        len += 63;
    }
    for (unsigned last = 61; last <= 63; last++) {
        size_t end = len;

        data[end++] = (char)last;
        memset(data + end, 'b', last);
        end += last;
        data[end++] = '\0';
        const char *name = pointer(data, end);
        assert_int_equal(name != NULL, last == 61);
        if (name != NULL)
            assert_int_equal(strlen(name), 253);
    }
}

static void pointers_cannot_be_walked_for_ever(void **state)
{
    (void)state;
    /* Each record's owner points at the one before it. */
    packet_begin(&p, 0, "x", DNS_TYPE_A);
    size_t before = 12;
    for (unsigned i = 0; i < 200; i++) {
        size_t at = p.len;

        packet_count(&p, 6);
        put_u16(&p, (unsigned)(0xc000 | before));
        put_u16(&p, DNS_TYPE_A);
        put_u16(&p, 1);
        put_u32(&p, 1);
        put_u16(&p, 4);
        put_u32(&p, i);
        before = at;
    }
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_FAILED);
    assert_int_equal(a.records, 0);
}

static void a_pointer_leads_back_and_never_forth(void **state)
{
    char text[DNS_NAME_MAX];

    (void)state;
    packet_begin(&p, 0, "x", DNS_TYPE_PTR);
    size_t here = p.len + 3 + 10; /* the data of the record that follows */
    packet_record(&p, "x", DNS_TYPE_PTR, TTL_S, "\5there\0", 7);
    packet_record(&p, "x", DNS_TYPE_PTR, TTL_S, (uint8_t[]){ 0xc0, (uint8_t)here }, 2);
    parse(DNS_TYPE_PTR);
    assert_true(dns_answer_name(&a, 1, text));
    assert_string_equal(text, "there");

    packet_begin(&p, 0, "x", DNS_TYPE_PTR);
    here += 2 + 3 + 10;
    packet_record(&p, "x", DNS_TYPE_PTR, TTL_S, (uint8_t[]){ 0xc0, (uint8_t)here }, 2);
    packet_record(&p, "x", DNS_TYPE_PTR, TTL_S, "\5there\0", 7);
    parse(DNS_TYPE_PTR);
    assert_false(dns_answer_name(&a, 0, text));
    assert_true(dns_answer_name(&a, 1, text));
}

static void thousands_of_records_are_cut(void **state)
{
    struct ip_address address;

    (void)state;
    packet_begin(&p, 0, "x", DNS_TYPE_A);
    for (unsigned i = 0; i < 3000; i++)
        packet_record(&p, "x", DNS_TYPE_A, TTL_S, "\xc0\0\2\1", 4);
    parse(DNS_TYPE_A);
    assert_int_equal(a.outcome, DNS_FOUND);
    assert_int_equal(a.records, DNS_RECORDS_MAX);
    assert_true(dns_answer_address(&a, DNS_RECORDS_MAX - 1, &address));
}

static void strings_of_a_text_are_joined_and_cut(void **state)
{
    static char many[20000];
    char text[100];
    size_t len;

    (void)state;
    packet_begin(&p, 0, "t", DNS_TYPE_TXT);
    packet_record(&p, "t", DNS_TYPE_TXT, TTL_S, "\5v=x; \0\3-\0\xff", 11);
    packet_record(&p, "t", DNS_TYPE_TXT, TTL_S, "\5v=x", 4); /* says more than there is */
    packet_record(&p, "t", DNS_TYPE_TXT, TTL_S, "", 0);
    for (size_t i = 0; i < sizeof(many); i += 2) {
        many[i] = 1;
        many[i + 1] = 'm';
    }
    packet_record(&p, "t", DNS_TYPE_TXT, TTL_S, many, sizeof(many));
    parse(DNS_TYPE_TXT);
    assert_int_equal(a.records, 4);
    assert_true(dns_answer_text(&a, 0, text, sizeof(text), &len));
    assert_int_equal(len, 8);
    assert_memory_equal(text, "v=x; -\0\xff", 8);
    assert_true(dns_answer_text(&a, 0, text, 3, &len));
    assert_int_equal(len, 3);
    assert_false(dns_answer_text(&a, 1, text, sizeof(text), &len));
    assert_false(dns_answer_text(&a, 2, text, sizeof(text), &len));
    assert_true(dns_answer_text(&a, 3, text, sizeof(text), &len));
    assert_int_equal(len, sizeof(text));
}

static void exchanges_have_a_preference_and_may_be_null(void **state)
{
    char text[DNS_NAME_MAX];
    uint16_t preference;

    (void)state;
    packet_begin(&p, 0, "example.com", DNS_TYPE_MX);
    packet_record(&p, "example.com", DNS_TYPE_MX, TTL_S, "\1\2\2mx\xc0\x0c", 7);
    packet_record(&p, "example.com", DNS_TYPE_MX, TTL_S, "\0\0\0", 3);
    packet_record(&p, "example.com", DNS_TYPE_MX, TTL_S, "\0\0\1 \0", 5);
    packet_record(&p, "example.com", DNS_TYPE_MX, TTL_S, "\0\0", 2);
    parse(DNS_TYPE_MX);
    assert_true(dns_answer_exchange(&a, 0, &preference, text));
    assert_string_equal(text, "mx.example.com");
    assert_int_equal(preference, 258);
    assert_true(dns_answer_exchange(&a, 1, &preference, text));
    assert_string_equal(text, "");
    assert_false(dns_answer_exchange(&a, 2, &preference, text));
    assert_false(dns_answer_exchange(&a, 3, &preference, text));
}

static void associations_are_read_with_their_numbers(void **state)
{
    struct dns_association t;

    (void)state;
    packet_begin(&p, 0, "_25._tcp.mx", DNS_TYPE_TLSA);
    packet_record(&p, "_25._tcp.mx", DNS_TYPE_TLSA, TTL_S, "\3\1\377digest", 9);
    packet_record(&p, "_25._tcp.mx", DNS_TYPE_TLSA, TTL_S, "\3\1\1", 3);
    packet_record(&p, "_25._tcp.mx", DNS_TYPE_TLSA, TTL_S, "\3\1", 2);
    parse(DNS_TYPE_TLSA);
    assert_int_equal(a.records, 3);
    assert_true(dns_answer_association(&a, 0, &t));
    assert_int_equal(t.usage, 3);
    assert_int_equal(t.selector, 1);
    assert_int_equal(t.matching, 255);
    assert_true(slice_equal(t.data, SLICE("digest")));
    assert_true(dns_answer_association(&a, 1, &t));
    assert_int_equal(t.data.len, 0);
    assert_false(dns_answer_association(&a, 2, &t));
    a.type = DNS_TYPE_TXT;
    assert_false(dns_answer_association(&a, 0, &t));
}

/* A sound answer, for damaging. */
static void compose(void)
{
    packet_begin(&p, 0, "www.example.com", DNS_TYPE_PTR);
    packet_name(&p, "www.example.com", DNS_TYPE_CNAME, "web.example.net");
    packet_record(&p, "web.example.net", DNS_TYPE_PTR, TTL_S, "\2mx\xc0\x0c", 5);
    packet_name(&p, "web.example.net", DNS_TYPE_PTR, "mail.example.com");
    packet_record(&p, "web.example.net", DNS_TYPE_TXT, TTL_S, "\4text", 5);
}

static void a_packet_cut_anywhere_does_no_harm(void **state)
{
    (void)state;
    compose();
    parse(DNS_TYPE_PTR);
    assert_int_equal(a.records, 2);
    for (size_t len = p.len; len-- > 0;) {
        p.len = len;
        parse(DNS_TYPE_PTR);
        assert_int_equal(a.outcome, DNS_FAILED);
        assert_int_equal(a.records, 0);
    }
}

static void damaged_packets_do_no_harm(void **state)
{
    static const enum dns_type types[] = { DNS_TYPE_A, DNS_TYPE_PTR, DNS_TYPE_MX, DNS_TYPE_TXT,
                                           DNS_TYPE_AAAA };
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    printf("seed %u\n", seed);
    for (int i = 0; i < 200000; i++) {
        compose();
        for (int damage = (int)(rand_r(&seed) % 4); damage >= 0; damage--)
            p.bytes[(unsigned)rand_r(&seed) % p.len] = (uint8_t)rand_r(&seed);
        p.len -= (unsigned)rand_r(&seed) % 8;
        parse(types[(unsigned)rand_r(&seed) % ARRAY_LEN(types)]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_in_their_order),
        cmocka_unit_test(a_chain_of_names_is_followed),
        cmocka_unit_test(the_name_at_the_end_of_a_chain_is_told),
        cmocka_unit_test(a_chain_to_what_is_no_name_is_followed_and_not_told),
        cmocka_unit_test(who_asks_for_the_alias_gets_it_and_not_what_is_behind),
        cmocka_unit_test(associations_are_read_with_their_numbers),
        cmocka_unit_test(what_is_not_there_is_remembered_as_the_zone_says),
        cmocka_unit_test(other_codes_are_failures_with_a_reason),
        cmocka_unit_test(a_pointer_must_lead_to_the_name_of_a_host),
        cmocka_unit_test(the_longest_name_is_taken_and_no_longer),
        cmocka_unit_test(pointers_cannot_be_walked_for_ever),
        cmocka_unit_test(a_pointer_leads_back_and_never_forth),
        cmocka_unit_test(thousands_of_records_are_cut),
        cmocka_unit_test(strings_of_a_text_are_joined_and_cut),
        cmocka_unit_test(exchanges_have_a_preference_and_may_be_null),
        cmocka_unit_test(a_packet_cut_anywhere_does_no_harm),
        cmocka_unit_test(damaged_packets_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
