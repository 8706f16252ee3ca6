#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/mail_flow.h"

static const struct slice our_names[] = { SLICE("a"), SLICE("b") }, other_names[] = { SLICE("c") };

/* Two lists that are only told apart. */
static const struct policy_address_list *const list_a = (const void *)"a";
static const struct policy_address_list *const list_b = (const void *)"b";

/* A policy in which every value has the mark in it; given says nothing yet. */
static struct policy_mail_flow marked(unsigned mark)
{
    struct policy_mail_flow f = {
        .access = mark == 1 ? POLICY_ACCESS_ACCEPT : POLICY_ACCESS_RELAY,
        .tls = mark == 1 ? POLICY_FLOW_TLS_PREFERRED : POLICY_FLOW_TLS_REQUIRED,
        .tls_version_min = mark == 1 ? POLICY_FLOW_VERSION_1_2 : POLICY_FLOW_VERSION_1_3,
        .tls_senders = mark == 1 ? list_a : list_b,
        .verify_client = mark == 1 ? POLICY_FLOW_VERIFY_OPTIONAL : POLICY_FLOW_VERIFY_REQUIRED,
        .client_names = mark == 1 ? our_names : other_names,
        .client_names_count = mark == 1 ? 2 : 1,
        .hostname = mark == 1 ? SLICE("one") : SLICE("two"),
        .has_hostname = mark == 1,
        .max_connections_per_ip = mark * 100 + 1,
        .max_messages_per_connection = mark * 100 + 2,
        .max_recipients_per_message = mark * 100 + 3,
        .max_message_size = mark * 100 + 4,
        .max_recipients_per_hour = mark * 100 + 5,
        .bits_v4 = mark * 10 + 6,
        .bits_v6 = mark * 10 + 7,
        .max_recipients_per_sender = mark * 100 + 8,
        .sender_interval_s = mark * 100 + 9,
        .sender_exceptions = mark == 1 ? list_b : list_a,
        .max_invalid_recipients = mark * 100 + 10,
        .drop_invalid = mark == 1,
        .verify_sender = mark == 1,
        .use_exception_table = mark == 1,
        .dsn = mark == 1,
    };

    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++)
        f.replies[i] = (struct policy_reply){ 400 + mark * 50 + i,
                                              mark == 1 ? SLICE("text one") : SLICE("text two") };
    return f;
}

static bool are_replies_same(const struct policy_mail_flow *a, const struct policy_mail_flow *b)
{
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++)
        if (a->replies[i].code != b->replies[i].code ||
            !slice_equal(a->replies[i].text, b->replies[i].text))
            return false;
    return true;
}

static bool is_tls_same(const struct policy_mail_flow *a, const struct policy_mail_flow *b)
{
    return a->tls == b->tls && a->tls_version_min == b->tls_version_min &&
           a->tls_senders == b->tls_senders && a->verify_client == b->verify_client &&
           a->client_names == b->client_names && a->client_names_count == b->client_names_count;
}

static bool are_limits_same(const struct policy_mail_flow *a, const struct policy_mail_flow *b)
{
    return a->max_connections_per_ip == b->max_connections_per_ip &&
           a->max_messages_per_connection == b->max_messages_per_connection &&
           a->max_recipients_per_message == b->max_recipients_per_message &&
           a->max_message_size == b->max_message_size &&
           a->max_recipients_per_hour == b->max_recipients_per_hour && a->bits_v4 == b->bits_v4 &&
           a->bits_v6 == b->bits_v6 &&
           a->max_recipients_per_sender == b->max_recipients_per_sender &&
           a->sender_interval_s == b->sender_interval_s &&
           a->sender_exceptions == b->sender_exceptions &&
           a->max_invalid_recipients == b->max_invalid_recipients &&
           a->drop_invalid == b->drop_invalid;
}

static bool is_same(const struct policy_mail_flow *a, const struct policy_mail_flow *b)
{
    return a->access == b->access && slice_equal(a->hostname, b->hostname) &&
           a->has_hostname == b->has_hostname && a->verify_sender == b->verify_sender &&
           a->use_exception_table == b->use_exception_table && a->dsn == b->dsn &&
           is_tls_same(a, b) && are_limits_same(a, b) && are_replies_same(a, b);
}

static const uint64_t all = ((uint64_t)1 << POLICY_FLOW_FIELDS_COUNT) - 1;

static void all_is_inherited_or_nothing(void **unused)
{
    struct policy_mail_flow ours = marked(1), defaults = marked(2), got;

    (void)unused;
    defaults.given = all;
    got = policy_mail_flow_inherit(&ours, &defaults);
    assert_true(is_same(&got, &defaults));
    ours.given = all; /* the policy's own word comes first */
    got = policy_mail_flow_inherit(&ours, &defaults);
    assert_true(is_same(&got, &ours));
    ours.given = defaults.given = 0; /* neither says anything */
    got = policy_mail_flow_inherit(&ours, &defaults);
    assert_true(is_same(&got, &ours));
}

/* What one field brings along and the others do not: each of the three ways to give it. */
static void each_field_is_inherited_by_itself(void **unused)
{
    (void)unused;
    for (unsigned field = 0; field < POLICY_FLOW_FIELDS_COUNT; field++) {
        struct policy_mail_flow ours = marked(1), defaults = marked(2), one, rest, back;

        defaults.given = (uint64_t)1 << field;
        one = policy_mail_flow_inherit(&ours, &defaults);
        if (is_same(&one, &ours))
            fail_msg("field %u is not inherited", field);
        defaults.given = all & ~((uint64_t)1 << field);
        rest = policy_mail_flow_inherit(&ours, &defaults);
        if (is_same(&rest, &defaults))
            fail_msg("field %u is inherited without being given", field);
        /* The one field taken back, and the rest with it, gives all of the defaults. */
        one = rest;
        one.given = all & ~((uint64_t)1 << field);
        defaults.given = (uint64_t)1 << field;
        back = policy_mail_flow_inherit(&one, &defaults);
        defaults = marked(2);
        if (!is_same(&back, &defaults))
            fail_msg("field %u brings along too much, or too little", field);
    }
}

static void the_usual_values_are_complete(void **unused)
{
    struct policy_mail_flow usual = policy_mail_flow_default();

    (void)unused;
    for (unsigned i = 0; i < POLICY_FLOW_REPLIES_COUNT; i++) {
        assert_true(policy_reply_text_is_valid(usual.replies[i].text));
        assert_true(usual.replies[i].text.len > 0);
        assert_int_equal(usual.replies[i].code / 100, i == POLICY_FLOW_REPLY_BANNER ? 2
                                                      : usual.replies[i].code < 500 ? 4
                                                                                    : 5);
    }
    assert_int_equal(usual.tls, POLICY_FLOW_TLS_OFF);
    assert_int_equal(usual.bits_v4, 32);
    assert_int_equal(usual.bits_v6, 64);
    assert_int_equal(usual.given, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_inherited_or_nothing),
        cmocka_unit_test(each_field_is_inherited_by_itself),
        cmocka_unit_test(the_usual_values_are_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
