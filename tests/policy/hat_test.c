#include <stdio.h>
#include <stdlib.h>

#include "tests/policy/hat_sample.h"

static const struct row example[] = {
    { "WHITE", POLICY_ACCESS_RELAY, { "192.0.2.10", "2001:db8:1::/48", "gate.example.com" } },
    { "SKIP", POLICY_ACCESS_CONTINUE, { "192.0.2.0/24", "10.0.0.0/8" } },
    { "CRES", POLICY_ACCESS_ACCEPT, { ".res.cisco.com", "208.90.57.0/26", "10.1.0.0/16" } },
    { "BLACK", POLICY_ACCESS_REJECT, { "192.0.2.0/25", "10.1.2.3", ".example.com" } },
    { "REFUSE", POLICY_ACCESS_REFUSE, { "0.0.0.0/1" } },
    { "ALL", POLICY_ACCESS_ACCEPT, { "ALL" } },
};

static void the_first_deciding_row_wins(void **unused)
{
    static const struct {
        const char *address, *name, *group, *entry;
        size_t row;
        bool needs_name;
    } cases[] = {
        { "192.0.2.10", "", "WHITE", "192.0.2.10", 0, false },
        { "192.0.2.11", "", "BLACK", "192.0.2.0/25", 3, true },
        { "192.0.2.127", "", "BLACK", "192.0.2.0/25", 3, true },
        { "192.0.2.128", "", "ALL", "ALL", 5, true },
        { "192.0.2.128", "gate.example.com", "WHITE", "gate.example.com", 0, true },
        { "192.0.2.128", "GATE.Example.COM.", "WHITE", "gate.example.com", 0, true },
        { "192.0.2.128", "a.gate.example.com", "BLACK", ".example.com", 3, true },
        { "192.0.2.128", "example.com", "ALL", "ALL", 5, true },
        { "192.0.2.128", "res.cisco.com", "ALL", "ALL", 5, true },
        { "192.0.2.128", "a.b.res.cisco.com", "CRES", ".res.cisco.com", 2, true },
        { "192.0.2.128", "xres.cisco.com", "ALL", "ALL", 5, true },
        { "192.0.2.1", "mx.res.cisco.com", "CRES", ".res.cisco.com", 2, true },
        { "10.1.2.3", "", "CRES", "10.1.0.0/16", 2, true },
        { "10.2.2.3", "", "REFUSE", "0.0.0.0/1", 4, true },
        { "127.255.255.255", "", "REFUSE", "0.0.0.0/1", 4, true },
        { "128.0.0.0", "", "ALL", "ALL", 5, true },
        { "255.255.255.255", "", "ALL", "ALL", 5, true },
        { "208.90.57.63", "", "CRES", "208.90.57.0/26", 2, true },
        { "208.90.57.64", "", "ALL", "ALL", 5, true },
        { "2001:db8:1::", "", "WHITE", "2001:db8:1::/48", 0, false },
        { "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "", "WHITE", "2001:db8:1::/48", 0, false },
        { "2001:db8:2::", "", "ALL", "ALL", 5, true },
        { "::", "", "ALL", "ALL", 5, true },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "ALL", "ALL", 5, true },
    };
    struct policy_snapshot *s;

    (void)unused;
    assert_int_equal(build(example, ARRAY_LEN(example), &s), STATUS_OK);
    assert_int_equal(policy_snapshot_generation(s), 7);
    assert_null(policy_snapshot_hat(s, SLICE("other")));
    const struct policy_hat *hat = policy_snapshot_hat(s, SLICE("h"));

    assert_non_null(hat);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_sender sender = sender_of(cases[i].address, cases[i].name);
        struct policy_sender_verdict v = policy_hat_find(hat, &sender);
        struct policy_hat_needs needs;

        assert_string_equal(v.group.data, cases[i].group);
        assert_string_equal(policy_hat_entry_text(hat, v.number).data, cases[i].entry);
        assert_int_equal(v.row, cases[i].row);
        assert_string_equal(v.flow->name.data, cases[i].group);
        sender.reverse = POLICY_REVERSE_UNKNOWN;
        sender.name.len = 0;
        policy_hat_needs(hat, &sender, &needs);
        assert_int_equal(needs.reverse, cases[i].needs_name);
        assert_int_equal(needs.any, cases[i].needs_name);
    }
    policy_snapshot_destroy(s);
}

static void a_table_that_leaves_somebody_open_is_refused(void **unused)
{
    static const struct row no_all[] = { { "A", POLICY_ACCESS_ACCEPT, { "::/0" } } };
    static const struct row all_continues[] = { { "A", POLICY_ACCESS_ACCEPT, { "ALL" } },
                                                { "B", POLICY_ACCESS_CONTINUE, { "ALL" } } };
    static const struct row empty_last[] = { { "A", POLICY_ACCESS_ACCEPT, { "ALL" } },
                                             { "B", POLICY_ACCESS_ACCEPT, { NULL } } };
    struct policy_snapshot *s;

    (void)unused;
    assert_int_equal(build(no_all, ARRAY_LEN(no_all), &s), STATUS_INVALID);
    assert_int_equal(build(all_continues, ARRAY_LEN(all_continues), &s), STATUS_INVALID);
    assert_int_equal(build(empty_last, ARRAY_LEN(empty_last), &s), STATUS_INVALID);
    assert_int_equal(build(NULL, 0, &s), STATUS_INVALID);
}

static void an_entry_that_never_counts_is_known_with_its_reason(void **unused)
{
    static const struct row rows[] = {
        { "A", POLICY_ACCESS_ACCEPT, { "10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", ".a.example" } },
        { "B", POLICY_ACCESS_CONTINUE, { "172.16.0.0/12", "10.9.9.9" } },
        { "C", POLICY_ACCESS_REJECT, { "172.16.1.1", "10.1.2.3", "x.a.example", "a.example" } },
        { "D", POLICY_ACCESS_REJECT, { "8.0.0.0/6", ".x.a.example", "172.16.1.0/24" } },
        { "E", POLICY_ACCESS_ACCEPT, { "ALL" } },
        { "F", POLICY_ACCESS_REJECT, { "2001:db8::1", "b.example", "ALL" } },
    };
    static const size_t none = POLICY_NO_SHADOW;
    const size_t expected[] = { none, none, 0,    none, /* A */
                                none, 0,                /* B */
                                none, 0,    3,    none, /* C */
                                none, 3,    none,       /* D */
                                none,                   /* E */
                                13,   13,   13 };       /* F */
    const uint32_t *shadows;
    struct policy_snapshot *s;
    struct arena scratch;

    (void)unused;
    assert_int_equal(build(rows, ARRAY_LEN(rows), &s), STATUS_OK);
    const struct policy_hat *hat = policy_snapshot_hat(s, SLICE("h"));

    assert_int_equal(policy_hat_entries_count(hat), ARRAY_LEN(expected));
    assert_int_equal(policy_hat_rows_count(hat), ARRAY_LEN(rows));
    arena_init(&scratch, SIZE_MAX);
    assert_int_equal(policy_hat_shadows(hat, &scratch, &shadows), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(shadows[i], expected[i]);
    arena_finish(&scratch);
    assert_int_equal(policy_hat_entry_row(hat, 6), 2);
    assert_string_equal(policy_hat_entry_text(hat, 6).data, "172.16.1.1");
    policy_snapshot_destroy(s);
}

struct transcript {
    struct policy_hat_visitor visitor;
    char text[4096];
    size_t len;
};

static void write_step(struct policy_hat_visitor *visitor, const struct policy_hat_step *step)
{
    struct transcript *t = CONTAINER_OF(visitor, struct transcript, visitor);
    int n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "%zu %.*s %s %.*s\n", step->row,
                     SLICE_ARGS(step->group),
                     step->is_behind ? "behind"
                     : step->matched ? "yes"
                                     : "no",
                     SLICE_ARGS(step->why));

    assert_true(n > 0);
    t->len += (size_t)n;
}

static void explain_says_of_each_row_why(void **unused)
{
    struct transcript t = { .visitor = { .step = write_step } };
    struct policy_snapshot *s;
    struct policy_sender sender;

    (void)unused;
    assert_int_equal(build(example, ARRAY_LEN(example), &s), STATUS_OK);
    sender = sender_of("192.0.2.11", "");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text,
                        "0 WHITE no 192.0.2.11 is not in 192.0.2.10, 2001:db8:1::/48; the "
                        "host name was not looked up, so it is not compared with gate.example.com\n"
                        "1 SKIP yes 192.0.2.11 is in 192.0.2.0/24\n"
                        "2 CRES no 192.0.2.11 is not in 208.90.57.0/26, 10.1.0.0/16; the "
                        "host name was not looked up, so it is not compared with .res.cisco.com\n"
                        "3 BLACK yes 192.0.2.11 is in 192.0.2.0/25\n");
    t.len = 0;
    sender = sender_of("192.0.2.10", "b.example.net");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text,
                        "0 WHITE yes the address is 192.0.2.10\n"
                        "3 BLACK behind 192.0.2.10 is in 192.0.2.0/25, but this is hidden: row 1 "
                        "(WHITE) matches 192.0.2.10 first\n");
    t.len = 0;
    sender = sender_of("11.0.0.1", "mx.res.cisco.com");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text, "0 WHITE no 11.0.0.1 is not in 192.0.2.10, 2001:db8:1::/48; the "
                                "verified name mx.res.cisco.com is not gate.example.com\n"
                                "1 SKIP no 11.0.0.1 is not in 192.0.2.0/24, 10.0.0.0/8\n"
                                "2 CRES yes the verified name mx.res.cisco.com is below "
                                ".res.cisco.com\n"
                                "4 REFUSE behind 11.0.0.1 is in 0.0.0.0/1, but this is hidden: "
                                "row 3 (CRES) matches .res.cisco.com first\n");
    policy_snapshot_destroy(s);
}

static void explain_names_only_the_first_of_many_entries(void **unused)
{
    static const struct row rows[] = {
        { "A",
          POLICY_ACCESS_ACCEPT,
          { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5" } },
        { "", POLICY_ACCESS_ACCEPT, { NULL } },
        { "Z", POLICY_ACCESS_ACCEPT, { "ALL" } },
    };
    struct transcript t = { .visitor = { .step = write_step } };
    struct policy_sender sender = sender_of("192.0.2.1", "");
    struct policy_snapshot *s;

    (void)unused;
    assert_int_equal(build(rows, ARRAY_LEN(rows), &s), STATUS_OK);
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text,
                        "0 A no 192.0.2.1 is not in 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more\n"
                        "1  no the row has no senders\n"
                        "2 Z yes ALL matches every host\n");
    policy_snapshot_destroy(s);
}

static void explain_says_which_fact_was_missing_or_different(void **unused)
{
    static const struct row rows[] = {
        { "A", POLICY_ACCESS_REJECT, { "example.com", ".b.example" } },
        { "L", POLICY_ACCESS_REJECT, { "dnslist[a.list]", "dnslist[b.list=127.0.0.2]" } },
        { "S", POLICY_ACCESS_REJECT, { "SBRS[-10:-3]", "SBRS[none]" } },
        { "R", POLICY_ACCESS_REJECT, { "nx.domain", "serv.fail" } },
        { "G", POLICY_ACCESS_REJECT, { "geo[US]" } },
        { "W", POLICY_ACCESS_ACCEPT, { "192.0.2.0/24" } },
        { "X", POLICY_ACCESS_REJECT, { "192.0.2.9", "geo[DE]" } },
        { "Y", POLICY_ACCESS_REJECT, { "mx.c.example", "SBRS[5:6]" } },
        { "Z", POLICY_ACCESS_ACCEPT, { "ALL" } },
    };
    struct policy_listing listings[2] = {
        { .state = POLICY_LISTING_FAILED }, { .state = POLICY_LISTING_LISTED, .addresses_count = 1 }
    };
    struct transcript t = { .visitor = { .step = write_step } };
    struct policy_sender sender = sender_of("192.0.2.9", "");
    struct policy_snapshot *s;

    (void)unused;
    assert_true(ip_parse(SLICE("127.0.0.4"), &listings[1].addresses[0]));
    assert_int_equal(build(rows, ARRAY_LEN(rows), &s), STATUS_OK);
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(
        t.text,
        "0 A no the host name was not looked up, so it is not compared with example.com, "
        ".b.example\n"
        "1 L no the list a.list was not asked; the list b.list was not asked\n"
        "2 S no the score was not asked for: SBRS[-10:-3], SBRS[none]\n"
        "3 R no the host name was not looked up, not nx.domain, serv.fail\n"
        "4 G no the country was not looked up: geo[US]\n"
        "5 W yes 192.0.2.9 is in 192.0.2.0/24\n"
        "6 X behind the address is 192.0.2.9, but this is hidden: row 6 (W) matches 192.0.2.0/24 "
        "first\n"
        "7 Y behind it looks at the host name, the score: row 6 (W) matches 192.0.2.0/24 first\n");
    t = (struct transcript){ .visitor = { .step = write_step } };
    sender.listings = listings;
    sender.listings_count = 2;
    sender.score = (struct policy_score){ POLICY_SCORE_KNOWN, -11 };
    sender.reverse = POLICY_REVERSE_MISMATCHED;
    sender.name = SLICE("mx.b.example");
    sender.is_country_known = true;
    sender.country = SLICE("FR");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(
        t.text,
        "0 A no the host name mx.b.example is not verified (not.double.verified), so it is not "
        "compared with example.com, .b.example, of which .b.example would match\n"
        "1 L no the list a.list failed; the list b.list has it with other answers than the row "
        "wants: 127.0.0.4\n"
        "2 S no the score -1.1 is outside SBRS[-10:-3], SBRS[none]\n"
        "3 R no the host name mx.b.example is not verified (not.double.verified), not nx.domain, "
        "serv.fail\n"
        "4 G no the country FR is not geo[US]\n"
        "5 W yes 192.0.2.9 is in 192.0.2.0/24\n"
        "6 X behind the address is 192.0.2.9, but this is hidden: row 6 (W) matches 192.0.2.0/24 "
        "first\n");
    t = (struct transcript){ .visitor = { .step = write_step } };
    sender.reverse = POLICY_REVERSE_VERIFIED;
    sender.name = SLICE("mx.example.com");
    listings[0].state = POLICY_LISTING_LISTED;
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_true(strncmp(t.text,
                        "0 A no the verified name mx.example.com is not example.com, .b.example "
                        "(example.com names one host; .example.com would match the hosts below "
                        "it)\n1 L yes the list a.list has it: dnslist[a.list]\n",
                        strlen(t.text) < 190 ? strlen(t.text) : 190) == 0);
    policy_snapshot_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_deciding_row_wins),
        cmocka_unit_test(a_table_that_leaves_somebody_open_is_refused),
        cmocka_unit_test(an_entry_that_never_counts_is_known_with_its_reason),
        cmocka_unit_test(explain_says_of_each_row_why),
        cmocka_unit_test(explain_names_only_the_first_of_many_entries),
        cmocka_unit_test(explain_says_which_fact_was_missing_or_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
