/* What the gateway says of its queue, as a person reads it. */
#include "cli/queue_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/printable.h"

#define NOW_S 1764115200 /* 2025-11-26 00:00:00 UTC */

static void harmless_characters_stay_and_others_are_written_out(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        { "", "" },
        { "451 4.7.1 later", "451 4.7.1 later" },
        { "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x93\xa7",
          "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x93\xa7" },
        { "\x1b[2J\x07\t\r\n\x7f", "\\x1B[2J\\x07\\x09\\x0D\\x0A\\x7F" },
        { "\xc2\x9b"
          "31m\xc2\xa0",
          "\\xC2\\x9B31m\xc2\xa0" },
        { "a\xe2\x80\xae"
          "b\xe2\x81\xa6\xe2\x80\xa6",
          "a\\xE2\\x80\\xAEb\\xE2\\x81\\xA6\xe2\x80\xa6" },
        { "\xc3", "\\xC3" },
        { "\xc0\xaf\xed\xa0\x80\xf5", "\\xC0\\xAF\\xED\\xA0\\x80\\xF5" },
    };
    char text[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(cli_printable(slice_from(cases[i].from), text, sizeof(text)),
                            cases[i].to);
}

static void a_text_is_cut_between_characters(void **state)
{
    char text[8];

    (void)state;
    for (size_t room = 1; room <= sizeof(text); room++) {
        size_t len = strlen(cli_printable(SLICE("a\xe2\x82\xac\x1b"), text, room));

        assert_true(len < room);
        assert_true(len == 0 || len == 1 || len == 4);
        assert_int_equal(len, room == 1 ? 0 : room < 5 ? 1 : 4);
    }
}

/* Whatever the bytes: nothing that a terminal obeys comes out. */
static void no_bytes_bring_a_control_character_out(void **state)
{
    uint64_t seed = 1;
    char from[24], text[128];

    (void)state;
    for (unsigned run = 0; run < 20000; run++) {
        for (size_t i = 0; i < sizeof(from); i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            from[i] = (char)(seed >> 56);
        }
        (void)cli_printable((struct slice){ from, sizeof(from) }, text, sizeof(text));
        for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
            assert_true(*c >= 0x20 && *c != 0x7f && !(c[0] == 0xc2 && c[1] < 0xa0));
    }
}

static void lines_are_read_by_their_members(void **state)
{
    static struct cli_queue_line line;

    (void)state;
    assert_true(cli_queue_read(
        SLICE("{\"kind\":\"entry\",\"mid\":18446744073709551615,\"domain\":\"a\\u001bb\","
              "\"why\":\"\\\"x\\\"\",\"new\":[{\"mid\":1}],\"until\":7}"),
        &line));
    assert_string_equal(line.kind, "entry");
    assert_true(line.mid == UINT64_MAX);
    assert_string_equal(line.domain, "a\\x1Bb");
    assert_string_equal(line.why, "\"x\"");
    assert_int_equal(line.until, 7);
    assert_true(
        cli_queue_read(SLICE("{\"kind\":\"end\",\"durable\":true,\"complete\":false}"), &line));
    assert_true(line.is_durable && !line.is_complete);
    assert_false(cli_queue_read(SLICE("{\"mid\":1}"), &line));
    assert_false(cli_queue_read(SLICE("{\"kind\":\"entry\""), &line));
    assert_false(cli_queue_read(SLICE("{\"kind\":\"entry\",\"mid\":-1}"), &line));
    assert_false(cli_queue_read(SLICE(""), &line));
}

static void ages_and_sizes_are_short(void **state)
{
    static const struct {
        long long age_s;
        const char *text;
    } ages[] = { { -5, "0s" },      { 0, "0s" },      { 99, "99s" },
                 { 100, "1m" },     { 5999, "99m" },  { 6000, "1h" },
                 { 172799, "47h" }, { 172800, "2d" }, { 86400LL * 400, "400d" } };
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = { { 0, "0" },       { 1023, "1023" },    { 1024, "1.0K" },    { 1536, "1.5K" },
                  { 10240, "10K" }, { 1048576, "1.0M" }, { 1047552, "1023K" } };
    char text[CLI_QUEUE_SHORT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ages); i++)
        assert_string_equal(cli_queue_age(NOW_S - (time_t)ages[i].age_s, NOW_S, text),
                            ages[i].text);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        assert_string_equal(cli_queue_size(sizes[i].bytes, text), sizes[i].text);
    (void)cli_queue_size(UINT64_MAX, text);
}

/* Midnight is that of the place: 01:00 and 23:00 there are another day in UTC. */
static void a_time_of_another_day_has_its_date(void **state)
{
    static const struct {
        const char *zone;
        time_t now_s;
        time_t at_s;
        const char *text;
    } cases[] = {
        { "UTC", NOW_S, 0, "-" },
        { "UTC", NOW_S, NOW_S, "00:00:00" },
        { "UTC", NOW_S, NOW_S - 1, "2025-11-25 23:59" },
        { "UTC", NOW_S, NOW_S + 86399, "23:59:59" },
        { "UTC", NOW_S, NOW_S + 86400, "2025-11-27 00:00" },
        { "UTC", NOW_S + 86399, NOW_S, "00:00:00" },
        { "UTC", NOW_S + 86399, NOW_S + 86400, "2025-11-27 00:00" },
        { "UTC", NOW_S, NOW_S + 365 * 86400, "2026-11-26 00:00" },
        { "EAST-2", NOW_S, NOW_S - 7200, "00:00:00" },
        { "EAST-2", NOW_S, NOW_S - 7201, "2025-11-25 23:59" },
        { "EAST-2", NOW_S, NOW_S + 79199, "23:59:59" },
        { "EAST-2", NOW_S, NOW_S + 79200, "2025-11-27 00:00" },
        { "WEST3", NOW_S, NOW_S + 10799, "23:59:59" },
        { "WEST3", NOW_S, NOW_S + 10800, "2025-11-26 00:00" },
    };
    char text[CLI_QUEUE_SHORT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(setenv("TZ", cases[i].zone, 1), 0);
        tzset();
        assert_string_equal(cli_queue_time(cases[i].at_s, cases[i].now_s, text), cases[i].text);
    }
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
}

static void a_sentence_says_why_and_until_when(void **state)
{
    static const struct {
        const char *reason;
        uint64_t until;
        const char *text;
    } cases[] = {
        { "retry", NOW_S + 61, "W, next try 00:01:01 (attempt 4 of 101)" },
        { "host", NOW_S + 61, "W, next try 00:01:01 (attempt 4 of 101)" },
        { "tls", NOW_S + 86400 * 2, "W, next try 2025-11-28 00:00 (attempt 4 of 101)" },
        { "dns", NOW_S + 61, "W, asked again at 00:01:01" },
        { "recipient limit", NOW_S + 61, "W, more at 00:01:01" },
        { "connection limit", 0, "W" },
        { "held", 0, "W" },
        { "something new", NOW_S + 61, "W, until 00:01:01" },
    };
    static struct cli_queue_line line = { .why = "W", .attempts = 3, .attempts_max = 101 };
    char text[CLI_QUEUE_SENTENCE_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(line.reason, 0, sizeof(line.reason));
        memcpy(line.reason, cases[i].reason, strlen(cases[i].reason));
        line.until = cases[i].until;
        assert_string_equal(cli_queue_sentence(&line, NOW_S, text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(harmless_characters_stay_and_others_are_written_out),
        cmocka_unit_test(a_text_is_cut_between_characters),
        cmocka_unit_test(no_bytes_bring_a_control_character_out),
        cmocka_unit_test(lines_are_read_by_their_members),
        cmocka_unit_test(ages_and_sizes_are_short),
        cmocka_unit_test(a_time_of_another_day_has_its_date),
        cmocka_unit_test(a_sentence_says_why_and_until_when),
    };

    if (setenv("TZ", "UTC", 1) != 0)
        return 1;
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
