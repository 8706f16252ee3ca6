#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/builder.h"

struct entry {
    const char *text;
    enum policy_rat_action action;
    unsigned code; /* 0: the default reply */
    const char *reply;
};

static struct policy_snapshot *build(const struct entry *entries, size_t count)
{
    struct policy_builder *b;
    struct policy_rat_draft *rat;
    struct policy_snapshot *s;

    assert_int_equal(policy_builder_create(1, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_add_rat(b, SLICE("r"), &rat), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        struct policy_rat_rule rule = { .action = entries[i].action };

        if (entries[i].code != 0)
            rule.reply = (struct policy_reply){ entries[i].code, slice_from(entries[i].reply) };
        assert_int_equal(policy_builder_add_rat_entry(b, rat, slice_from(entries[i].text), &rule),
                         STATUS_OK);
    }
    assert_int_equal(policy_builder_finish(b, &s), STATUS_OK);
    policy_builder_destroy(b);
    return s;
}

static const struct entry example[] = {
    { "abuse@", POLICY_RAT_ACCEPT, 0, NULL },
    { "gone@example.com", POLICY_RAT_REJECT, 551, "5.1.6 Moved" },
    { "example.com", POLICY_RAT_ACCEPT, 0, NULL },
    { "late@example.com", POLICY_RAT_REJECT, 0, NULL },
    { "bad.sub.example.com", POLICY_RAT_REJECT, 450, "4.2.1 Later" },
    { ".example.com", POLICY_RAT_ACCEPT, 0, NULL },
    { "[192.0.2.1]", POLICY_RAT_ACCEPT, 0, NULL },
    { "who@[192.0.2.2]", POLICY_RAT_ACCEPT, 0, NULL },
};

static void the_first_entry_that_matches_decides(void **unused)
{
    static const struct {
        const char *local, *domain;
        enum policy_rat_action action;
        size_t index;
        unsigned code;
    } cases[] = {
        { "user", "example.com", POLICY_RAT_ACCEPT, 2, 550 },
        { "USER", "Example.COM", POLICY_RAT_ACCEPT, 2, 550 },
        { "user", "example.com.", POLICY_RAT_ACCEPT, 2, 550 },
        { "late", "example.com", POLICY_RAT_ACCEPT, 2, 550 },
        { "gone", "example.com", POLICY_RAT_REJECT, 1, 551 },
        { "Gone", "EXAMPLE.com", POLICY_RAT_REJECT, 1, 551 },
        { "\"gone\"", "example.com", POLICY_RAT_REJECT, 1, 551 },
        { "\"g\\one\"", "example.com", POLICY_RAT_REJECT, 1, 551 },
        { "gone", "sub.example.com", POLICY_RAT_ACCEPT, 5, 550 },
        { "user", "bad.sub.example.com", POLICY_RAT_REJECT, 4, 450 },
        { "user", "x.bad.sub.example.com", POLICY_RAT_ACCEPT, 5, 550 },
        { "user", "notexample.com", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "user", "com", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "abuse", "elsewhere.example", POLICY_RAT_ACCEPT, 0, 550 },
        { "abuse", "", POLICY_RAT_ACCEPT, 0, 550 },
        { "postmaster", "", POLICY_RAT_ACCEPT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "PostMaster", "", POLICY_RAT_ACCEPT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "postmaster", "elsewhere.example", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "user", "", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "", "", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "user", "[192.0.2.1]", POLICY_RAT_ACCEPT, 6, 550 },
        { "user", "[192.0.2.2]", POLICY_RAT_REJECT, POLICY_RAT_IMPLICIT_ENTRY, 550 },
        { "who", "[192.0.2.2]", POLICY_RAT_ACCEPT, 7, 550 },
    };
    struct policy_snapshot *s = build(example, ARRAY_LEN(example));
    const struct policy_rat *rat = policy_snapshot_rat(s, SLICE("r"));

    (void)unused;
    assert_null(policy_snapshot_rat(s, SLICE("R")));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_rat_verdict v =
            policy_rat_find(rat, slice_from(cases[i].local), slice_from(cases[i].domain));

        assert_int_equal(v.action, cases[i].action);
        assert_int_equal(v.index, cases[i].index);
        assert_int_equal(v.reply.code, cases[i].code);
        assert_true(v.reply.text.len > 0);
    }
    policy_snapshot_destroy(s);
}

static void overlong_recipients_match_no_name(void **unused)
{
    static char text[5000];
    struct policy_snapshot *s = build(example, ARRAY_LEN(example));
    const struct policy_rat *rat = policy_snapshot_rat(s, SLICE("r"));

    (void)unused;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(text) - 12; i += 2)
        text[i] = '.';
    memcpy(text + sizeof(text) - 12, ".example.com", 12);
    for (size_t len = 200; len <= sizeof(text); len += 50) {
        struct slice domain = { text + sizeof(text) - len, len };
        bool known = len <= POLICY_NAME_BYTES_MAX;

        assert_int_equal(policy_rat_find(rat, SLICE("u"), domain).action,
                         known ? POLICY_RAT_ACCEPT : POLICY_RAT_REJECT);
        assert_int_equal(policy_rat_find(rat, domain, SLICE("example.com")).index, 2);
    }
    policy_snapshot_destroy(s);
}

static void all_takes_everybody_but_the_bare_postmaster(void **unused)
{
    static const struct entry entries[] = {
        { "ALL", POLICY_RAT_REJECT, 554, "5.7.1 Nobody" },
    };
    static const struct entry named[] = {
        { "postmaster@", POLICY_RAT_REJECT, 0, NULL },
    };
    struct policy_snapshot *s = build(entries, ARRAY_LEN(entries));
    const struct policy_rat *rat = policy_snapshot_rat(s, SLICE("r"));

    (void)unused;
    assert_int_equal(policy_rat_find(rat, SLICE("a"), SLICE("b.example")).reply.code, 554);
    assert_int_equal(policy_rat_find(rat, SLICE("postmaster"), SLICE("")).action,
                     POLICY_RAT_ACCEPT);
    policy_snapshot_destroy(s);
    s = build(named, ARRAY_LEN(named));
    rat = policy_snapshot_rat(s, SLICE("r"));
    assert_int_equal(policy_rat_find(rat, SLICE("postmaster"), SLICE("")).action,
                     POLICY_RAT_REJECT);
    policy_snapshot_destroy(s);
}

static void every_form_of_a_recipient_is_told_apart(void **unused)
{
    static const struct {
        const char *text;
        enum policy_address_form form;
    } cases[] = {
        { "example.com", POLICY_ADDRESS_DOMAIN },
        { ".example.com", POLICY_ADDRESS_PARTIAL },
        { "user@example.com", POLICY_ADDRESS_WHOLE },
        { "user@", POLICY_ADDRESS_USER },
        { "all", POLICY_ADDRESS_ALL },
        { "[192.0.2.1]", POLICY_ADDRESS_DOMAIN },
        { "[IPv6:2001:db8::1]", POLICY_ADDRESS_DOMAIN },
        { "u@[192.0.2.1]", POLICY_ADDRESS_WHOLE },
        { "[2001:db8::1]", POLICY_ADDRESS_INVALID },
        { "[IPv6:192.0.2.1]", POLICY_ADDRESS_INVALID },
        { "192.0.2.1", POLICY_ADDRESS_INVALID },
        { "@example.com", POLICY_ADDRESS_INVALID },
        { "*@example.com", POLICY_ADDRESS_INVALID },
        { "a@b@example.com", POLICY_ADDRESS_INVALID },
        { "a@.example.com", POLICY_ADDRESS_INVALID },
        { "a b@example.com", POLICY_ADDRESS_INVALID },
        { "\"a\"@example.com", POLICY_ADDRESS_INVALID },
        { "", POLICY_ADDRESS_INVALID },
        { "exam ple.com", POLICY_ADDRESS_INVALID },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(policy_address_form(slice_from(cases[i].text)), cases[i].form);
}

static void an_entry_that_never_counts_is_known(void **unused)
{
    static const size_t none = POLICY_RAT_IMPLICIT_ENTRY;
    static const struct entry entries[] = {
        { "a.example", POLICY_RAT_ACCEPT, 0, NULL },
        { "u@a.example", POLICY_RAT_REJECT, 0, NULL },
        { "v@", POLICY_RAT_ACCEPT, 0, NULL },
        { "v@b.example", POLICY_RAT_REJECT, 0, NULL },
        { "u@b.example", POLICY_RAT_REJECT, 0, NULL },
        { ".c.example", POLICY_RAT_ACCEPT, 0, NULL },
        { "c.example", POLICY_RAT_ACCEPT, 0, NULL },
        { "x.c.example", POLICY_RAT_ACCEPT, 0, NULL },
        { ".x.c.example", POLICY_RAT_ACCEPT, 0, NULL },
        { "A.EXAMPLE", POLICY_RAT_ACCEPT, 0, NULL },
        { "ALL", POLICY_RAT_REJECT, 0, NULL },
        { "z.example", POLICY_RAT_ACCEPT, 0, NULL },
        { "all", POLICY_RAT_ACCEPT, 0, NULL },
    };
    const size_t expected[] = { none, 0, none, 2, none, none, none, 5, 5, 0, none, 10, 10 };
    struct policy_snapshot *s = build(entries, ARRAY_LEN(entries));
    const struct policy_rat *rat = policy_snapshot_rat(s, SLICE("r"));

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        assert_int_equal(policy_rat_entry_shadowed_by(rat, i), expected[i]);
    assert_string_equal(policy_rat_entry_text(rat, 9).data, "A.EXAMPLE");
    policy_snapshot_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_entry_that_matches_decides),
        cmocka_unit_test(overlong_recipients_match_no_name),
        cmocka_unit_test(all_takes_everybody_but_the_bare_postmaster),
        cmocka_unit_test(every_form_of_a_recipient_is_told_apart),
        cmocka_unit_test(an_entry_that_never_counts_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
