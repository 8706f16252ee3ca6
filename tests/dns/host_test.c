#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dns/host.h"
#include "tests/dns/packet.h"

/* A source that answers when the test says so. */
static struct list asked;
static struct {
    struct dns_query *query;
    char name[DNS_NAME_MAX];
} names[64];
static size_t names_count;
static unsigned done_count;

static void start(struct dns_source *s, struct dns_query *q, const char *name)
{
    (void)s;
    list_append(&asked, &q->node);
    assert_true(names_count < ARRAY_LEN(names));
    names[names_count].query = q;
    memcpy(names[names_count++].name, name, strlen(name) + 1);
}

static void cancel(struct dns_source *s, struct dns_query *q)
{
    (void)s;
    list_remove(&q->node);
}

static const struct dns_source_ops ops = { .start = start, .cancel = cancel };
static struct dns_source source = { &ops };
static struct packet p;

static int setup(void **state)
{
    (void)state;
    list_init(&asked);
    names_count = 0;
    done_count = 0;
    return 0;
}

static void done(struct dns_host *h)
{
    assert_false(dns_host_is_running(h));
    done_count++;
}

/* The query for a name that was asked, and still is. */
static struct dns_query *question(const char *name)
{
    for (size_t i = names_count; i-- > 0;)
        if (strcmp(names[i].name, name) == 0 && list_is_linked(&names[i].query->node))
            return names[i].query;
    fail_msg("%s was not asked", name);
    return NULL;
}

static void answer_packet(struct dns_query *q)
{
    struct dns_answer a;

    dns_answer_parse(packet_slice(&p), q->type, &a);
    list_remove(&q->node);
    dns_query_answer(q, &a);
}

static void answer_without(const char *name, enum dns_outcome outcome)
{
    struct dns_query *q = question(name);
    struct dns_answer a;

    dns_answer_set(outcome, q->type, "a reason", &a);
    list_remove(&q->node);
    dns_query_answer(q, &a);
}

static void answer_names(const char *name, const char *const *targets, size_t count)
{
    packet_begin(&p, 0, name, DNS_TYPE_PTR);
    for (size_t i = 0; i < count; i++)
        packet_name(&p, name, DNS_TYPE_PTR, targets[i]);
    answer_packet(question(name));
}

/* count addresses, of which the last is the one given. */
static void answer_address(const char *name, const char *address, unsigned count)
{
    struct dns_query *q = question(name);
    struct ip_address a;

    assert_true(ip_parse(slice_from(address), &a));
    packet_begin(&p, 0, name, q->type);
    for (unsigned i = 0; i + 1 < count; i++)
        packet_record(&p, name, q->type, TTL_S, "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1",
                      q->type == DNS_TYPE_A ? 4 : 16);
    if (q->type == DNS_TYPE_A)
        packet_record(&p, name, q->type, TTL_S, a.bytes + 12, 4);
    else
        packet_record(&p, name, q->type, TTL_S, a.bytes, 16);
    answer_packet(q);
}

static void look_up(struct dns_host *h, const char *address)
{
    struct ip_address a;

    assert_true(ip_parse(slice_from(address), &a));
    dns_host_start(h, &source, &a, done);
}

static void assert_found(struct dns_host *h, enum dns_host_outcome outcome, const char *name)
{
    assert_int_equal(done_count, 1);
    assert_int_equal(dns_host_outcome(h), outcome);
    assert_true(slice_equal(dns_host_name(h), slice_from(name)));
    assert_true(list_is_empty(&asked));
}

#define V4 "1.2.0.192.in-addr.arpa"
#define V6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static void a_name_that_leads_back_is_verified(void **state)
{
    struct dns_host h = { 0 };

    (void)state;
    look_up(&h, "192.0.2.1");
    answer_names(V4, (const char *[]){ "Mail.example.com" }, 1);
    assert_int_equal(question("mail.example.com")->type, DNS_TYPE_A);
    answer_address("mail.example.com", "192.0.2.1", 1000);
    assert_found(&h, DNS_HOST_VERIFIED, "mail.example.com");

    done_count = 0;
    look_up(&h, "2001:db8::1");
    answer_names(V6, (const char *[]){ "mail.example.com" }, 1);
    assert_int_equal(question("mail.example.com")->type, DNS_TYPE_AAAA);
    answer_address("mail.example.com", "2001:db8::1", 2);
    assert_found(&h, DNS_HOST_VERIFIED, "mail.example.com");
}

static void without_a_usable_name_there_is_none(void **state)
{
    static const char *const useless[] = { "", "a b", "http://x", "a\r\nb" };
    struct dns_host h = { 0 };

    (void)state;
    for (int way = 0; way < 3; way++) {
        done_count = 0;
        look_up(&h, "192.0.2.1");
        if (way == 2)
            answer_names(V4, useless, ARRAY_LEN(useless));
        else
            answer_without(V4, way == 0 ? DNS_NO_NAME : DNS_NO_DATA);
        assert_found(&h, DNS_HOST_NONE, "");
    }
}

static void a_failed_pointer_is_a_failure(void **state)
{
    struct dns_host h = { 0 };

    (void)state;
    look_up(&h, "192.0.2.1");
    answer_without(V4, DNS_FAILED);
    assert_found(&h, DNS_HOST_FAILED, "");
}

static void a_name_that_does_not_lead_back_is_a_mismatch(void **state)
{
    struct dns_host h = { 0 };

    (void)state;
    for (int way = 0; way < 4; way++) {
        done_count = 0;
        look_up(&h, "192.0.2.1");
        answer_names(V4, (const char *[]){ "liar.example.com" }, 1);
        if (way == 3)
            answer_address("liar.example.com", "192.0.2.2", 3);
        else
            answer_without("liar.example.com", way == 0   ? DNS_FAILED
                                               : way == 1 ? DNS_NO_NAME
                                                          : DNS_NO_DATA);
        assert_found(&h, DNS_HOST_MISMATCHED, "liar.example.com");
    }
}

static void of_several_names_the_first_that_leads_back_wins(void **state)
{
    static const char *const targets[] = { "a", "b", "not valid", "A", "c" };
    static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
    struct dns_host h = { 0 };

    (void)state;
    /* `a` lies, `b` and `c` lead back. */
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        done_count = 0;
        look_up(&h, "192.0.2.1");
        answer_names(V4, targets, ARRAY_LEN(targets));
        for (const char *next = orders[i]; *next != '\0' && done_count == 0; next++)
            answer_address((char[]){ *next, '\0' }, *next == 'a' ? "192.0.2.9" : "192.0.2.1", 1);
        assert_found(&h, DNS_HOST_VERIFIED, "b");
    }
}

static void no_more_names_are_asked_than_the_maximum(void **state)
{
    static const char *const targets[] = { "n1", "n2", "n3", "n4", "n5", "n6" };
    struct dns_host h = { 0 };

    (void)state;
    look_up(&h, "192.0.2.1");
    answer_names(V4, targets, ARRAY_LEN(targets));
    assert_int_equal(names_count, 1 + DNS_HOST_NAMES_MAX);
    for (size_t i = 0; i < DNS_HOST_NAMES_MAX; i++)
        answer_without(targets[i], DNS_NO_NAME);
    assert_found(&h, DNS_HOST_MISMATCHED, "n1");
}

static void a_cancelled_lookup_is_not_heard_of_again(void **state)
{
    struct dns_host h = { 0 };

    (void)state;
    dns_host_cancel(&h);
    look_up(&h, "192.0.2.1");
    dns_host_cancel(&h);
    assert_true(list_is_empty(&asked));
    look_up(&h, "192.0.2.1");
    answer_names(V4, (const char *[]){ "a", "b" }, 2);
    answer_without("a", DNS_NO_NAME);
    dns_host_cancel(&h);
    assert_true(list_is_empty(&asked));
    assert_false(dns_host_is_running(&h));
    assert_int_equal(done_count, 0);
}

static void who_waits_no_longer_learns_the_name_so_far(void **state)
{
    static const char *const targets[] = { "one.test.", "two.test." };
    struct dns_host h = { 0 };

    (void)state;
    look_up(&h, "192.0.2.1");
    assert_true(dns_host_is_running(&h));
    assert_int_equal(dns_host_name(&h).len, 0);
    answer_names(V4, targets, ARRAY_LEN(targets));
    assert_true(dns_host_is_running(&h));
    assert_true(slice_equal(dns_host_name(&h), SLICE("one.test")));
    dns_host_cancel(&h);
    assert_true(slice_equal(dns_host_name(&h), SLICE("one.test")));
    assert_int_equal(done_count, 0);
}

static void a_text_that_is_no_name_is_asked_as_such(void **state)
{
    static const char *const bad[] = { "", "a b", "x..y", "caf\xc3\xa9.example" };
    struct dns_query q = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        dns_query_start(&q, &source, slice_from(bad[i]), DNS_TYPE_A, (void *)done);
        assert_string_equal(names[names_count - 1].name, "");
        dns_query_cancel(&q);
    }
    dns_query_start(&q, &source, SLICE("WWW.Example.COM."), DNS_TYPE_A, (void *)done);
    assert_string_equal(names[names_count - 1].name, "www.example.com");
    dns_query_cancel(&q);
    dns_query_cancel(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_name_that_leads_back_is_verified, setup),
        cmocka_unit_test_setup(without_a_usable_name_there_is_none, setup),
        cmocka_unit_test_setup(a_failed_pointer_is_a_failure, setup),
        cmocka_unit_test_setup(a_name_that_does_not_lead_back_is_a_mismatch, setup),
        cmocka_unit_test_setup(of_several_names_the_first_that_leads_back_wins, setup),
        cmocka_unit_test_setup(no_more_names_are_asked_than_the_maximum, setup),
        cmocka_unit_test_setup(a_cancelled_lookup_is_not_heard_of_again, setup),
        cmocka_unit_test_setup(who_waits_no_longer_learns_the_name_so_far, setup),
        cmocka_unit_test_setup(a_text_that_is_no_name_is_asked_as_such, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
