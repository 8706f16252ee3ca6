#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "policy/reply.h"

static const struct policy_reply_facts facts = {
    .group = { "CRES", 4 },
    .hostname = { "mx.example.com", 14 },
    .remote_ip = { "192.0.2.1", 9 },
    .hat_entry = { ".example.com", 12 },
    .envelope_sender = { "a@b.example", 11 },
};
static const struct policy_reply_facts nothing = { .remote_ip = { "192.0.2.1", 9 } };
static const struct policy_reply_facts failed = { .is_lookup_failed = true };
/* What a peer chose must not end the line of a reply. */
static const struct policy_reply_facts hostile = { .hostname = { "a\r\n250 ok", 9 },
                                                   .envelope_sender = { "\x7f\x80\xff\0x", 5 } };

static void expect(const char *text, const struct policy_reply_facts *f, const char *expected)
{
    char out[POLICY_REPLY_EXPANDED_MAX];
    size_t len = policy_reply_expand(slice_from(text), f, out);

    if (!slice_equal((struct slice){ out, len }, slice_from(expected)))
        fail_msg("%s gives %.*s, not %s", text, (int)len, out, expected);
}

static void variables_stand_for_the_facts_of_the_session(void **unused)
{
    static const struct {
        const char *text;
        const struct policy_reply_facts *facts;
        const char *expected;
    } cases[] = {
        { "", &facts, "" },
        { "plain", &facts, "plain" },
        { "$Group", &facts, "CRES" },
        { "$group$GROUP", &facts, "CRESCRES" },
        { "a $Hostname b", &facts, "a mx.example.com b" },
        { "<$EnvelopeSender>", &facts, "<a@b.example>" },
        { "$RemoteIP: $HATEntry", &facts, "192.0.2.1: .example.com" },
        { "$Foo $ $$Group $Groups", &facts, "$Foo $ $CRES $Groups" },
        { "5$", &facts, "5$" },
        { "$Group $Hostname $HATEntry <$EnvelopeSender>", &nothing, "None None None <>" },
        { "$Hostname", &failed, "Unknown" },
        { "$Hostname <$EnvelopeSender>", &hostile, "a??250 ok <????x>" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(cases[i].text, cases[i].facts, cases[i].expected);
}

static void only_texts_with_variables_have_to_be_expanded(void **unused)
{
    (void)unused;
    assert_true(policy_reply_has_variables(SLICE("a $remoteip")));
    assert_false(policy_reply_has_variables(SLICE("a $ $Foo 5$")));
    assert_false(policy_reply_has_variables(SLICE("")));
}

static void what_does_not_fit_is_cut_off(void **unused)
{
    char text[POLICY_REPLY_EXPANDED_MAX + 20], out[POLICY_REPLY_EXPANDED_MAX];

    (void)unused;
    memset(text, 'x', sizeof(text));
    assert_int_equal(policy_reply_expand((struct slice){ text, sizeof(text) }, &facts, out),
                     POLICY_REPLY_EXPANDED_MAX);
    memcpy(text + POLICY_REPLY_EXPANDED_MAX - 2, "$Group ", 7);
    assert_int_equal(policy_reply_expand((struct slice){ text, sizeof(text) }, &facts, out),
                     POLICY_REPLY_EXPANDED_MAX);
    assert_memory_equal(out + POLICY_REPLY_EXPANDED_MAX - 2, "CR", 2);
}

static void texts_are_printable_ascii_of_a_bounded_length(void **unused)
{
    char text[POLICY_REPLY_TEXT_MAX + 1];

    (void)unused;
    memset(text, '~', sizeof(text));
    assert_true(policy_reply_text_is_valid((struct slice){ text, POLICY_REPLY_TEXT_MAX }));
    assert_false(policy_reply_text_is_valid((struct slice){ text, POLICY_REPLY_TEXT_MAX + 1 }));
    assert_true(policy_reply_text_is_valid(SLICE("")));
    assert_false(policy_reply_text_is_valid(SLICE("a\nb")));
    assert_false(policy_reply_text_is_valid(SLICE("a\x7f")));
    assert_false(policy_reply_text_is_valid(SLICE("\xc3\xa4")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_stand_for_the_facts_of_the_session),
        cmocka_unit_test(only_texts_with_variables_have_to_be_expanded),
        cmocka_unit_test(what_does_not_fit_is_cut_off),
        cmocka_unit_test(texts_are_printable_ascii_of_a_bounded_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
