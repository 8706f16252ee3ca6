#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/builder.h"

static void split(const char *address, struct slice *local, struct slice *domain)
{
    *domain = slice_from(address);
    *local = slice_cut(domain, '@');
}

static void a_list_has_users_domains_and_literals(void **unused)
{
    static const struct slice patterns[] = {
        SLICE("user@example.com"), SLICE("root@"),         SLICE("@all.example"),
        SLICE("@.sub.example"),    SLICE("plain.example"), SLICE("x@[192.0.2.1]"),
    };
    static const struct {
        const char *address;
        bool has;
    } cases[] = {
        { "user@example.com", true },       { "USER@Example.COM", true },
        { "other@example.com", false },     { "root@anywhere.test", true },
        { "a@all.example", true },          { "a@b.all.example", false },
        { "a@b.sub.example", true },        { "a@sub.example", false },
        { "a@plain.example", true },        { "x@[192.0.2.1]", true },
        { "y@[192.0.2.1]", false },         { "", false },
        { "\"us\\er\"@example.com", true },
    };
    const struct policy_address_list *list;
    struct policy_builder *b;

    (void)unused;
    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(
        policy_builder_add_address_list(b, SLICE("l"), patterns, ARRAY_LEN(patterns), &list),
        STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice local, domain;

        split(cases[i].address, &local, &domain);
        if (policy_address_list_has(list, local, domain) != cases[i].has)
            fail_msg("%s", cases[i].address);
    }
    assert_true(slice_equal(policy_address_list_name(list), SLICE("l")));
    policy_builder_destroy(b);
}

static void what_may_stand_in_a_list(void **unused)
{
    static const struct {
        const char *text;
        bool may;
    } cases[] = { { "a@b.example", true },    { "a@", true },          { "@b.example", true },
                  { "@.b.example", true },    { "ALL", true },         { "@ALL", false },
                  { "@a@b", false },          { "@", false },          { "", false },
                  { "a b@c.example", false }, { "@[192.0.2.1]", true } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (policy_address_list_takes(slice_from(cases[i].text)) != cases[i].may)
            fail_msg("%s", cases[i].text);
}

static void the_first_exception_that_matches_brings_its_own_rule(void **unused)
{
    static const struct slice patterns[] = { SLICE("good@bad.example"), SLICE("@bad.example"),
                                             SLICE("spam@"), SLICE("@bad.example") };
    static const struct policy_exception_rule rules[] = {
        { .action = POLICY_EXCEPTION_ALLOW },
        { .action = POLICY_EXCEPTION_REJECT, .reply = { 451, { "4.7.1 Later", 11 } } },
        { .action = POLICY_EXCEPTION_REJECT },
        { .action = POLICY_EXCEPTION_ALLOW },
    };
    static const struct {
        const char *address;
        enum policy_exception action;
        unsigned code;
    } cases[] = {
        { "good@bad.example", POLICY_EXCEPTION_ALLOW, 0 },
        { "other@bad.example", POLICY_EXCEPTION_REJECT, 451 },
        { "spam@elsewhere.example", POLICY_EXCEPTION_REJECT, POLICY_EXCEPTION_REJECT_CODE },
        { "a@elsewhere.example", POLICY_EXCEPTION_NONE, 0 },
        { "", POLICY_EXCEPTION_NONE, 0 },
    };
    struct policy_snapshot *s;
    struct policy_builder *b;

    (void)unused;
    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_set_exceptions(b, patterns, rules, ARRAY_LEN(rules)),
                     STATUS_OK);
    assert_int_equal(policy_builder_finish(b, &s), STATUS_OK);
    policy_builder_destroy(b);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_exception_rule rule;
        struct slice local, domain;

        split(cases[i].address, &local, &domain);
        rule = policy_exception_find(s, local, domain);
        assert_int_equal(rule.action, cases[i].action);
        if (rule.action == POLICY_EXCEPTION_REJECT)
            assert_int_equal(rule.reply.code, cases[i].code);
    }
    policy_snapshot_destroy(s);
}

static void who_is_refused_by_an_exception_hears_a_code_of_failure(void **unused)
{
    static const struct {
        unsigned code;
        enum status status;
    } cases[] = {
        { 0, STATUS_OK },        { 400, STATUS_OK },      { 599, STATUS_OK },
        { 1, STATUS_INVALID },   { 250, STATUS_INVALID }, { 399, STATUS_INVALID },
        { 600, STATUS_INVALID },
    };
    const struct slice pattern = SLICE("@a.example");

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_exception_rule rule = { POLICY_EXCEPTION_REJECT,
                                                    { cases[i].code, SLICE("No") } };
        struct policy_builder *b;

        assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
        assert_int_equal(policy_builder_set_exceptions(b, &pattern, &rule, 1), cases[i].status);
        policy_builder_destroy(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_users_domains_and_literals),
        cmocka_unit_test(what_may_stand_in_a_list),
        cmocka_unit_test(the_first_exception_that_matches_brings_its_own_rule),
        cmocka_unit_test(who_is_refused_by_an_exception_hears_a_code_of_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
