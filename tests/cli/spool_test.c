#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/spool_filter.h"
#include "cli/spool_findings.h"
#include "cli/spool_text.h"
#include "spool/draft.h"

static struct spool_message *message(const char *sender, int64_t arrival_wall_s,
                                     const char *const recipients[], size_t count)
{
    const struct spool_envelope e = {
        .mid = 7,
        .arrival_wall_s = arrival_wall_s,
        .sender = slice_from(sender),
    };
    struct spool_draft d;

    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(spool_draft_add_recipient(&d, slice_from(recipients[i])), STATUS_OK);
    return spool_draft_complete(&d);
}

static void a_filter_takes_what_it_names(void **unused)
{
    static const char *const recipients[] = { "one@example.com", "Two@Sub.example.com",
                                              "postmaster" };
    static const struct {
        struct cli_spool_filter filter;
        bool from_user, from_null;
    } cases[] = {
        { { .sender = NULL }, true, true },
        { { .sender = "user@lab.test" }, true, false },
        { { .sender = "<USER@lab.TEST>" }, true, false },
        { { .sender = "@lab.test" }, true, false },
        { { .sender = "@test" }, false, false },
        { { .sender = "lab.test" }, false, false },
        { { .sender = "<>" }, false, true },
        { { .sender = "" }, false, true },
        { { .sender = "@" }, false, false },
        { { .recipient = "two@sub.example.com" }, true, true },
        { { .recipient = "@sub.example.com" }, true, true },
        { { .recipient = "two@example.com" }, false, false },
        { { .recipient = "postmaster" }, true, true },
        { { .domain = "EXAMPLE.com" }, true, true },
        { { .domain = "com" }, false, false },
        { { .domain = "" }, true, true }, /* that of <postmaster> */
        /* Both have to be true of the same recipient. */
        { { .recipient = "one@example.com", .domain = "example.com" }, true, true },
        { { .recipient = "one@example.com", .domain = "sub.example.com" }, false, false },
        { { .sender = "<>", .domain = "example.com" }, false, true },
        { { .has_arrived_until = true, .arrived_until_wall_s = 1000 }, true, true },
        { { .has_arrived_until = true, .arrived_until_wall_s = 999 }, false, false },
    };
    struct spool_message *user = message("user@lab.test", 1000, recipients, 3);
    struct spool_message *null = message("", 1000, recipients, 3);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(cli_spool_filter_matches(&cases[i].filter, user), cases[i].from_user);
        assert_int_equal(cli_spool_filter_matches(&cases[i].filter, null), cases[i].from_null);
    }
    spool_message_destroy(user);
    spool_message_destroy(null);
}

static void recipients_are_counted_and_the_next_try_is_the_earliest(void **unused)
{
    static const struct spool_result results[] = {
        { .state = SPOOL_RESULT_DELIVERED, .next_attempt_wall_s = 1 },
        { .state = SPOOL_RESULT_DEFERRED, .next_attempt_wall_s = 300 },
        { .state = SPOOL_RESULT_DEFERRED, .next_attempt_wall_s = 200 },
        { .state = SPOOL_RESULT_DEFERRED, .next_attempt_wall_s = 400, .holds = 2 },
        { .state = SPOOL_RESULT_BOUNCED, .next_attempt_wall_s = 1 },
        { .state = SPOOL_RESULT_WAITING, .next_attempt_wall_s = 1, .holds = 1 },
        { .state = SPOOL_RESULT_DELETED, .holds = 3 },
    };
    struct cli_spool_tally t = { 0 };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(results); i++)
        cli_spool_tally_add(&t, &results[i]);
    assert_int_equal(t.waiting, 1);
    assert_int_equal(t.deferred, 3);
    assert_int_equal(t.bounced, 1);
    assert_int_equal(t.delivered, 1);
    assert_int_equal(t.deleted, 1);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.next_attempt_wall_s, 200);
}

static void an_age_has_one_unit(void **unused)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        { INT64_MIN, "now" }, { 0, "now" },      { 1, "1s" },         { 119, "119s" },
        { 120, "2m" },        { 7199, "119m" },  { 7200, "2h" },      { 172799, "47h" },
        { 172800, "2d" },     { 864000, "10d" }, { INT64_MAX, NULL },
    };
    char text[CLI_SPOOL_AGE_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)cli_spool_age(cases[i].seconds, text);
        if (cases[i].text != NULL)
            assert_string_equal(text, cases[i].text);
    }
}

static void nothing_that_a_terminal_would_obey_is_printed(void **unused)
{
    static const struct {
        struct slice text;
        const char *clean;
    } cases[] = {
        { SLICE("user@example.com"), "user@example.com" },
        { SLICE(""), "" },
        { SLICE("\x1b[2Ja"), "?[2Ja" },
        { SLICE("a\0b\x7f\r\n"), "a?b???" },
        { SLICE("j\xc3\xb6rg@\xe2\x82\xac.test"), "j\xc3\xb6rg@\xe2\x82\xac.test" },
        { SLICE("\xf0\x9f\x93\xa7"), "\xf0\x9f\x93\xa7" },
        { SLICE("\xc2\x9b[2J"), "??[2J" }, /* CSI as one character */
        { SLICE("\xc2\xa0"), "\xc2\xa0" },
        { SLICE("\xc3"), "?" },
        { SLICE("\xff\xfe\x80"), "???" },
        { SLICE("\xed\xa0\x80"), "???" },
    };
    char text[64], address[CLI_SPOOL_ADDRESS_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(cli_spool_clean(cases[i].text, text, sizeof(text)), cases[i].clean);
    for (size_t room = 1; room < 8; room++)
        assert_true(strlen(cli_spool_clean(SLICE("\xe2\x82\xac\xe2\x82\xac"), text, room)) < room);
    assert_string_equal(cli_spool_address(SLICE(""), address), "<>");
    assert_string_equal(cli_spool_address(SLICE("a@b"), address), "<a@b>");
}

static void an_address_of_any_length_keeps_its_brackets(void **unused)
{
    static char longest[SPOOL_ADDRESS_MAX];
    char text[CLI_SPOOL_ADDRESS_MAX];

    (void)unused;
    memset(longest, 'a', sizeof(longest));
    (void)cli_spool_address((struct slice){ longest, sizeof(longest) }, text);
    assert_int_equal(strlen(text), SPOOL_ADDRESS_MAX + 2);
    assert_int_equal(text[strlen(text) - 1], '>');
}

static void who_holds_the_lock_is_read_from_the_kernels_list(void **unused)
{
    static const struct {
        const char *line;
        bool is_held, by_inode;
    } cases[] = {
        { "1: FLOCK  ADVISORY  WRITE 2683 fd:1f:1234 0 EOF\n", true, true },
        { "12: FLOCK  ADVISORY  WRITE 1 FD:1F:1234 0 EOF", true, true },
        { "1: FLOCK  ADVISORY  WRITE 2683 08:1f:1234 0 EOF\n", false, true },
        { "1: FLOCK  ADVISORY  READ 2683 fd:1f:1234 0 EOF\n", false, false },
        { "1: POSIX  ADVISORY  WRITE 2683 fd:1f:1234 0 EOF\n", false, false },
        { "1: -> FLOCK  ADVISORY  WRITE 2683 fd:1f:1234 0 EOF\n", false, false },
        { "1: FLOCK  ADVISORY  WRITE 2683 fd:1f:12345 0 EOF\n", false, false },
        { "1: FLOCK  ADVISORY  WRITE 2683 fd:1f\n", false, false },
        { "1: FLOCK  ADVISORY  WRITE 2683 xx:1f:1234 0 EOF\n", false, false },
        { "1: FLOCK", false, false },
        { "", false, false },
    };
    struct cli_spool_lock lock = { .inode = 1234, .major = 0xfd, .minor = 0x1f };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lock.has_device = true;
        assert_int_equal(cli_spool_lock_is_held(&lock, slice_from(cases[i].line)),
                         cases[i].is_held);
        lock.has_device = false;
        assert_int_equal(cli_spool_lock_is_held(&lock, slice_from(cases[i].line)),
                         cases[i].by_inode);
    }
}

/* What a second look at a spool in use does not see again was no damage. */
static void only_what_is_seen_twice_is_damage(void **unused)
{
    static const struct cli_spool_finding first[] = {
        { .damage = { SPOOL_DAMAGE_RECORD, 1, 4096, 100, 5 }, .generation = 3 },
        { .damage = { SPOOL_DAMAGE_BATCHES, 2, 0, 0, 0 }, .generation = 4 },
        { .damage = { SPOOL_DAMAGE_RECORD, 4, 4096, 100, 0 }, .generation = 6 },
    };
    static const struct cli_spool_finding second[] = {
        { .damage = { SPOOL_DAMAGE_RECORD, 1, 4096, 100, 5 }, .generation = 3 },
        { .damage = { SPOOL_DAMAGE_BATCHES, 3, 0, 0, 0 }, .generation = 5 },     /* elsewhere */
        { .damage = { SPOOL_DAMAGE_RECORD, 4, 4096, 100, 0 }, .generation = 9 }, /* used again */
        { .damage = { SPOOL_DAMAGE_TORN, 7, 8192, 4096, 0 }, .is_note = true },
    };
    struct cli_spool_findings earlier, f;

    (void)unused;
    assert_int_equal(cli_spool_findings_init(&earlier), STATUS_OK);
    assert_int_equal(cli_spool_findings_init(&f), STATUS_OK);
    memcpy(earlier.items, first, sizeof(first));
    earlier.count = earlier.damage_count = ARRAY_LEN(first);
    memcpy(f.items, second, sizeof(second));
    f.count = ARRAY_LEN(second);
    f.damage_count = 3;
    f.notes_count = 1;
    cli_spool_findings_confirm(&f, &earlier);
    assert_int_equal(f.count, 2);
    assert_int_equal(f.damage_count, 1);
    assert_int_equal(f.items[0].damage.segment, 1);
    assert_true(f.items[1].is_note);
    cli_spool_findings_finish(&earlier);
    cli_spool_findings_finish(&f);
    cli_spool_findings_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_takes_what_it_names),
        cmocka_unit_test(recipients_are_counted_and_the_next_try_is_the_earliest),
        cmocka_unit_test(an_age_has_one_unit),
        cmocka_unit_test(nothing_that_a_terminal_would_obey_is_printed),
        cmocka_unit_test(an_address_of_any_length_keeps_its_brackets),
        cmocka_unit_test(who_holds_the_lock_is_read_from_the_kernels_list),
        cmocka_unit_test(only_what_is_seen_twice_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
