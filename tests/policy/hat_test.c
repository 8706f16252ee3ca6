#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "policy/builder.h"

#define ROWS_MAX    8
#define ENTRIES_MAX 6

struct row {
    const char *group;
    enum policy_access access;
    const char *entries[ENTRIES_MAX]; /* up to the first NULL */
};

/* Builds a HAT named "h" of these rows; the mail flow of a row is named as its group. */
static enum status build(const struct row *rows, size_t rows_count,
                         struct policy_snapshot **snapshot_out)
{
    struct policy_builder *b;
    struct policy_hat_draft *hat;
    enum status status;

    assert_int_equal(policy_builder_create(7, POLICY_BUILDER_BYTES_DEFAULT, &b), STATUS_OK);
    assert_int_equal(policy_builder_add_hat(b, SLICE("h"), &hat), STATUS_OK);
    for (size_t i = 0; i < rows_count; i++) {
        struct policy_mail_flow flow = policy_mail_flow_default();
        const struct policy_mail_flow *added;

        flow.name = slice_from(rows[i].group);
        flow.access = rows[i].access;
        assert_int_equal(policy_builder_add_mail_flow(b, &flow, &added), STATUS_OK);
        assert_int_equal(policy_builder_add_hat_row(b, hat, slice_from(rows[i].group), added),
                         STATUS_OK);
        for (size_t k = 0; k < ENTRIES_MAX && rows[i].entries[k] != NULL; k++)
            assert_int_equal(policy_builder_add_hat_entry(b, hat, slice_from(rows[i].entries[k])),
                             STATUS_OK);
    }
    status = policy_builder_finish(b, snapshot_out);
    policy_builder_destroy(b);
    return status;
}

static struct policy_sender sender_of(const char *address, const char *name)
{
    struct policy_sender s = { .reverse = POLICY_REVERSE_VERIFIED, .name = slice_from(name) };

    assert_true(ip_parse(slice_from(address), &s.address));
    return s;
}

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

        assert_string_equal(v.group.data, cases[i].group);
        assert_string_equal(v.entry.data, cases[i].entry);
        assert_int_equal(v.row, cases[i].row);
        assert_string_equal(v.flow->name.data, cases[i].group);
        assert_int_equal(policy_hat_needs_name(hat, &sender.address), cases[i].needs_name);
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

static void every_form_of_an_entry_is_told_apart(void **unused)
{
    static const struct {
        const char *text;
        enum policy_sender_form form;
    } cases[] = {
        { "192.0.2.1", POLICY_SENDER_ADDRESS },
        { "192.0.2.0/24", POLICY_SENDER_ADDRESS },
        { "192.0.2.1/24", POLICY_SENDER_LOOSE },
        { "::/0", POLICY_SENDER_ADDRESS },
        { "2001:db8::1", POLICY_SENDER_ADDRESS },
        { "2001:db8::1/32", POLICY_SENDER_LOOSE },
        { "192.0.2.0/33", POLICY_SENDER_INVALID },
        { "192.0.2", POLICY_SENDER_INVALID },
        { "208.90.57.0-63", POLICY_SENDER_INVALID },
        { "192.0.2.0/", POLICY_SENDER_INVALID },
        { "192.0.2.256", POLICY_SENDER_INVALID },
        { "mail.example.com", POLICY_SENDER_NAME },
        { "localhost", POLICY_SENDER_NAME },
        { ".example.com", POLICY_SENDER_PARTIAL },
        { ".com", POLICY_SENDER_PARTIAL },
        { "..com", POLICY_SENDER_INVALID },
        { ".", POLICY_SENDER_INVALID },
        { "", POLICY_SENDER_INVALID },
        { "a b", POLICY_SENDER_INVALID },
        { "*.example.com", POLICY_SENDER_INVALID },
        { "all", POLICY_SENDER_ALL },
        { "ALL", POLICY_SENDER_ALL },
        { "a..b", POLICY_SENDER_INVALID },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(policy_sender_form(slice_from(cases[i].text)), cases[i].form);
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
    static const size_t none = POLICY_NO_ENTRY;
    const size_t expected[] = { none, none, 0,    none, /* A */
                                none, 0,                /* B */
                                none, 0,    3,    none, /* C */
                                none, 3,    none,       /* D */
                                none,                   /* E */
                                13,   13,   13 };       /* F */
    struct policy_snapshot *s;

    (void)unused;
    assert_int_equal(build(rows, ARRAY_LEN(rows), &s), STATUS_OK);
    const struct policy_hat *hat = policy_snapshot_hat(s, SLICE("h"));

    assert_int_equal(policy_hat_entries_count(hat), ARRAY_LEN(expected));
    assert_int_equal(policy_hat_rows_count(hat), ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(policy_hat_entry_shadowed_by(hat, i), expected[i]);
    assert_int_equal(policy_hat_entry_row(hat, 6), 2);
    assert_string_equal(policy_hat_entry_text(hat, 6).data, "172.16.1.1");
    policy_snapshot_destroy(s);
}

struct transcript {
    struct policy_hat_visitor visitor;
    char text[2048];
    size_t len;
};

static void write_step(struct policy_hat_visitor *visitor, const struct policy_hat_step *step)
{
    struct transcript *t = CONTAINER_OF(visitor, struct transcript, visitor);
    int n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "%zu %.*s %s %.*s\n", step->row,
                     SLICE_ARGS(step->group), step->matched ? "yes" : "no", SLICE_ARGS(step->why));

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
    assert_string_equal(t.text, "0 WHITE no 192.0.2.11 is not in 192.0.2.10, 2001:db8:1::/48; the "
                                "host has no verified name to compare with gate.example.com\n"
                                "1 SKIP yes 192.0.2.11 is in 192.0.2.0/24\n"
                                "2 CRES no 192.0.2.11 is not in 208.90.57.0/26, 10.1.0.0/16; the "
                                "host has no verified name to compare with .res.cisco.com\n"
                                "3 BLACK yes 192.0.2.11 is in 192.0.2.0/25\n");
    t.len = 0;
    sender = sender_of("192.0.2.10", "b.example.net");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text, "0 WHITE yes the address is 192.0.2.10\n");
    t.len = 0;
    sender = sender_of("11.0.0.1", "mx.res.cisco.com");
    policy_hat_explain(policy_snapshot_hat(s, SLICE("h")), &sender, &t.visitor);
    assert_string_equal(t.text, "0 WHITE no 11.0.0.1 is not in 192.0.2.10, 2001:db8:1::/48; the "
                                "verified name mx.res.cisco.com is not gate.example.com\n"
                                "1 SKIP no 11.0.0.1 is not in 192.0.2.0/24, 10.0.0.0/8\n"
                                "2 CRES yes the verified name mx.res.cisco.com is below "
                                ".res.cisco.com\n");
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

static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % below;
}

/* Few values on purpose, so that prefixes nest and names meet. */
static const char *draw_entry(char text[static 64])
{
    static const char *const names[] = { ".a.example", "b.a.example", ".example",
                                         "example",    "a.example",   ".b.a.example" };

    switch (draw(6)) {
    case 0: (void)snprintf(text, 64, "%s", names[draw(ARRAY_LEN(names))]); break;
    case 1:
        (void)snprintf(text, 64, "%x%x:%x%x::/%u", draw(16), draw(16), draw(16), draw(16),
                       draw(34));
        break;
    case 2: (void)snprintf(text, 64, "10.%u.0.%u", draw(2), draw(4)); break;
    case 3: (void)snprintf(text, 64, "%s", draw(20) == 0 ? "ALL" : "255.255.255.255"); break;
    default:
        (void)snprintf(text, 64, "%u.%u.%u.%u/%u", draw(2) * 245 + 10, draw(3), draw(2) * 128,
                       draw(8), draw(33));
        break;
    }
    return text;
}

static struct policy_sender draw_sender(void)
{
    static const char *const names[] = { "", "a.example", "c.b.a.example", "b.a.example", "x.org" };
    char text[64];

    if (draw(3) == 0)
        (void)snprintf(text, 64, "%x%x:%x%x::%x", draw(16), draw(16), draw(16), draw(16), draw(4));
    else
        (void)snprintf(text, 64, "%u.%u.%u.%u", draw(3) == 0 ? draw(256) : draw(2) * 245 + 10,
                       draw(3), draw(2) * 128, draw(8));
    return sender_of(text, names[draw(ARRAY_LEN(names))]);
}

struct last_step {
    struct policy_hat_visitor visitor;
    size_t row;
    struct slice entry;
};

static void keep_step(struct policy_hat_visitor *visitor, const struct policy_hat_step *step)
{
    struct last_step *l = CONTAINER_OF(visitor, struct last_step, visitor);

    l->row = step->row;
    l->entry = step->entry;
}

/* policy_hat_explain() scans rows and entries one by one, and so is the plain path. */
static void find_agrees_with_a_scan_from_the_first_row(void **unused)
{
    static char texts[ROWS_MAX][ENTRIES_MAX][64];

    (void)unused;
    for (unsigned seed = 1; seed <= 400; seed++) {
        struct row rows[ROWS_MAX] = { 0 };
        size_t rows_count = 1 + (random_state = seed, draw(ROWS_MAX));
        struct policy_snapshot *s;

        for (size_t i = 0; i < rows_count; i++) {
            rows[i].group = "g";
            rows[i].access = draw(5) == 0 ? POLICY_ACCESS_CONTINUE : POLICY_ACCESS_ACCEPT;
            for (size_t k = draw(ENTRIES_MAX + 1); k-- > 0;)
                rows[i].entries[k] = draw_entry(texts[i][k]);
        }
        rows[rows_count - 1].access = POLICY_ACCESS_REJECT;
        rows[rows_count - 1].entries[0] = "ALL";
        assert_int_equal(build(rows, rows_count, &s), STATUS_OK);
        const struct policy_hat *hat = policy_snapshot_hat(s, SLICE("h"));

        for (unsigned i = 0; i < 200; i++) {
            struct policy_sender sender = draw_sender();
            struct policy_sender_verdict v = policy_hat_find(hat, &sender);
            struct last_step last = { .visitor = { .step = keep_step } };

            policy_hat_explain(hat, &sender, &last.visitor);
            if (v.row != last.row || !slice_equal(v.entry, last.entry))
                fail_msg("seed %u sender %u: row %zu (%.*s), the scan says %zu (%.*s)", seed, i,
                         v.row, SLICE_ARGS(v.entry), last.row, SLICE_ARGS(last.entry));
            sender.name.len = 0;
            if (!policy_hat_needs_name(hat, &sender.address) &&
                policy_hat_find(hat, &sender).row != v.row)
                fail_msg("seed %u sender %u: the name mattered", seed, i);
        }
        policy_snapshot_destroy(s);
    }
}

static void a_shadowed_entry_is_never_the_verdict(void **unused)
{
    static char texts[ROWS_MAX][ENTRIES_MAX][64];

    (void)unused;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct row rows[ROWS_MAX] = { 0 };
        struct policy_snapshot *s;

        random_state = seed * 77;
        for (size_t i = 0; i < ROWS_MAX; i++) {
            rows[i].group = "g";
            for (size_t k = 0; k < ENTRIES_MAX; k++)
                rows[i].entries[k] = draw_entry(texts[i][k]);
        }
        rows[ROWS_MAX - 1].entries[0] = "ALL";
        assert_int_equal(build(rows, ROWS_MAX, &s), STATUS_OK);
        const struct policy_hat *hat = policy_snapshot_hat(s, SLICE("h"));

        for (unsigned i = 0; i < 200; i++) {
            struct policy_sender sender = draw_sender();
            struct policy_sender_verdict v = policy_hat_find(hat, &sender);

            for (size_t k = 0; k < policy_hat_entries_count(hat); k++)
                if (policy_hat_entry_text(hat, k).data == v.entry.data)
                    assert_int_equal(policy_hat_entry_shadowed_by(hat, k), POLICY_NO_ENTRY);
        }
        policy_snapshot_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_deciding_row_wins),
        cmocka_unit_test(a_table_that_leaves_somebody_open_is_refused),
        cmocka_unit_test(every_form_of_an_entry_is_told_apart),
        cmocka_unit_test(an_entry_that_never_counts_is_known_with_its_reason),
        cmocka_unit_test(explain_says_of_each_row_why),
        cmocka_unit_test(explain_names_only_the_first_of_many_entries),
        cmocka_unit_test(find_agrees_with_a_scan_from_the_first_row),
        cmocka_unit_test(a_shadowed_entry_is_never_the_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
