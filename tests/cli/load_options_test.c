#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/load_options.h"
#include "cli/load_stats.h"

#define WORDS_MAX 12

/* Parses "load WORD..." of one line; the words stay where they are until the next call. */
static int parse(const char *line, struct load_options *out)
{
    static char text[1024];
    char *words[WORDS_MAX + 1] = { text };
    int count = 1;

    (void)snprintf(text, sizeof(text), "load %s", line);
    for (char *at = text; *at != '\0'; at++) {
        if (*at != ' ')
            continue;
        *at = '\0';
        assert_true(count < WORDS_MAX);
        words[count++] = at + 1;
    }
    return load_options_parse(count, words, out);
}

static void what_makes_no_sense_is_a_misuse(void **unused)
{
    static const char *const lines[] = {
        "--json",
        "--to nowhere",
        "--to 127.0.0.1 --sessions 0",
        "--to 127.0.0.1 --sessions -1",
        "--to 127.0.0.1 --messages x",
        "--to 127.0.0.1 --messages 18446744073709551616",
        "--to 127.0.0.1 --duration 5y",
        "--to 127.0.0.1 --duration 0",
        "--to 127.0.0.1 --size 2K-1K",
        "--to 127.0.0.1 --size 17G",
        "--to 127.0.0.1 --size -5",
        "--to 127.0.0.1 --rate 0",
        "--to 127.0.0.1 --recipients 1001",
        "--to 127.0.0.1 --recipient nobody",
        "--to 127.0.0.1 --recipient a%n%n@",
        "--to 127.0.0.1 --from a@b@c",
        "--to 127.0.0.1 --starttls=maybe",
        "--to 127.0.0.1 --hostname a..b",
        "--to 127.0.0.1 --workers 65",
        "--to 127.0.0.1 --idle --messages 5",
        "--to 127.0.0.1 --no-such-option",
        "--to 127.0.0.1 surplus",
    };
    struct load_options o;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (parse(lines[i], &o) != CLI_EXIT_MISUSE)
            fail_msg("taken: %s", lines[i]);
}

static void what_is_left_out_has_a_default(void **unused)
{
    struct load_options o;

    (void)unused;
    assert_int_equal(parse("--to 127.0.0.1", &o), CLI_GO_ON);
    assert_int_equal(o.targets[0].port, 25);
    assert_int_equal(o.sessions, 1);
    assert_int_equal(o.messages_max, 1);
    assert_int_equal(o.per_connection, 1);
    assert_int_equal(o.size_min, 4096);
    assert_int_equal(o.size_max, 4096);
    assert_int_equal(o.starttls, LOAD_STARTTLS_NEVER);
    assert_int_equal(o.rate, 0);
    assert_int_equal(parse("--to [::1]:2525 --to 127.0.0.1:26 -s 10 -w 64", &o), CLI_GO_ON);
    assert_int_equal(o.targets_count, 2);
    assert_int_equal(o.targets[1].port, 26);
    assert_int_equal(o.messages_max, 10);
    assert_int_equal(o.workers, 10);
}

static void each_option_does_what_its_name_says(void **unused)
{
    struct load_options o;

    (void)unused;
    assert_int_equal(parse("--to 127.0.0.1 --duration 2m --per-connection 0 --size 1K-2M", &o),
                     CLI_GO_ON);
    assert_int_equal(o.duration_ms, 120000);
    assert_true(o.messages_max == UINT64_MAX && o.per_connection == UINT64_MAX);
    assert_int_equal(o.size_min, 1024);
    assert_int_equal(o.size_max, 2 * 1024 * 1024);
    assert_int_equal(parse("--to 127.0.0.1 --starttls --from <> --duration 5 --messages 7", &o),
                     CLI_GO_ON);
    assert_int_equal(o.starttls, LOAD_STARTTLS_OFFERED);
    assert_int_equal(o.sender.before.len, 0);
    assert_int_equal(o.duration_ms, 5000);
    assert_int_equal(o.messages_max, 7);
    assert_int_equal(parse("--to 127.0.0.1 --starttls=required --seed 5 --idle", &o), CLI_GO_ON);
    assert_int_equal(o.starttls, LOAD_STARTTLS_REQUIRED);
    assert_int_equal(o.seed, 5);
    assert_true(o.idle);
}

static void a_pattern_gets_its_number(void **unused)
{
    static const struct row {
        const char *recipient;
        const char *expected;
    } rows[] = {
        { "user%n@example.com", "user42@example.com" },
        { "user@h%n.example.com", "user@h42.example.com" },
        { "user@example.com", "user@example.com" },
    };
    char line[100], text[LOAD_ADDRESS_MAX];
    struct load_options o;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(line, sizeof(line), "--to 127.0.0.1 --recipient %s", rows[i].recipient);
        assert_int_equal(parse(line, &o), CLI_GO_ON);
        assert_int_equal(load_pattern_fill(&o.recipient, 42, text), strlen(rows[i].expected));
        assert_string_equal(text, rows[i].expected);
    }
}

static void sizes_fill_their_range_and_repeat_with_the_seed(void **unused)
{
    struct load_options o, same;
    bool has_least = false, has_most = false;

    (void)unused;
    assert_int_equal(parse("--to 127.0.0.1 --seed 3 --size 10-20", &o), CLI_GO_ON);
    assert_int_equal(parse("--to 127.0.0.1 --seed 3 --size 10-20", &same), CLI_GO_ON);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t size = load_options_size(&o, i);

        assert_in_range(size, 10, 20);
        assert_int_equal(size, load_options_size(&same, i));
        has_least = has_least || size == 10;
        has_most = has_most || size == 20;
    }
    assert_true(has_least && has_most);
}

static uint64_t errors_sum(const struct load_stats *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->errors.count; i++)
        sum += s->errors.items[i].count;
    return sum;
}

static void errors_are_counted_by_code_and_none_is_forgotten(void **unused)
{
    struct load_stats *s = calloc(2, sizeof(*s));

    (void)unused;
    assert_non_null(s);
    load_stats_error(&s[0], 451, SLICE("one\r\ntwo"));
    load_stats_error(&s[0], 451, SLICE("later"));
    assert_int_equal(s[0].errors.count, 1);
    assert_int_equal(s[0].errors.items[0].count, 2);
    assert_string_equal(s[0].errors.items[0].text, "one??two");
    for (unsigned code = 400; code < 600; code++)
        load_stats_error(&s[1], code, SLICE("x"));
    assert_int_equal(s[1].errors.count, LOAD_ERRORS_MAX);
    assert_int_equal(errors_sum(&s[1]), 200);
    load_stats_merge(&s[0], &s[1]);
    assert_int_equal(s[0].errors.count, LOAD_ERRORS_MAX);
    assert_int_equal(s[0].errors.items[0].count, 2);
    assert_int_equal(s[0].errors.items[LOAD_ERRORS_MAX - 1].code, LOAD_ERROR_OTHER);
    assert_int_equal(errors_sum(&s[0]), 202);
    assert_int_equal(s[0].tallies.errors, 202);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_makes_no_sense_is_a_misuse),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(each_option_does_what_its_name_says),
        cmocka_unit_test(a_pattern_gets_its_number),
        cmocka_unit_test(sizes_fill_their_range_and_repeat_with_the_seed),
        cmocka_unit_test(errors_are_counted_by_code_and_none_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
