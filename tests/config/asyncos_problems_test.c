#include <stdlib.h>
#include <time.h>

#include "tests/config/asyncos_sample.h"
#include "tests/config/import.h"

#define ALL "\nALL\n  REJECT\n"

struct bad_case {
    const char *text;
    const char *report;
};

static void expect_report(import_function *function, const struct bad_case *cases, size_t count)
{
    static struct imported i;

    for (size_t k = 0; k < count; k++) {
        import_text(&i, function, slice_from(cases[k].text));
        if (i.status != STATUS_INVALID || strcmp(i.lines, cases[k].report) != 0)
            fail_msg("case %zu:\n%s\ngives\n%s\nexpected\n%s", k, cases[k].text, i.lines,
                     cases[k].report);
        imported_finish(&i);
    }
}

#define NOT_V4 "\": not an IPv4 address, network or range"
#define NOT_V6 "\": not an IPv6 address, network or range"
#define SENDER(entry, why)                                                                         \
    {                                                                                              \
        "\n" entry "\n  REJECT" ALL, "t.txt:2: \"" entry why                                       \
    }
#define NOT_SENDER                                                                                 \
    "\": not a sender: an address, network or range, a host name, \".domain\", SBRS[], "           \
    "dnslist[], geo[] or ALL"
#define NOT_SCORE "\": not a range of scores from -10.0 to 10.0, the lower one first"

static void what_is_no_sender_is_told_with_its_line(void **unused)
{
    static const struct bad_case cases[] = {
        SENDER("1.2.3.256", NOT_V4),
        SENDER("1.2.3.4.5", NOT_V4),
        SENDER("1.2.3.4.", NOT_V4),
        SENDER("010.2", NOT_V4),
        SENDER("1.2.3.9-5", NOT_V4),
        SENDER("1-2.3", NOT_V4),
        SENDER("1..2", NOT_V4),
        SENDER("/8", NOT_V4),
        SENDER("10/33", NOT_V4),
        SENDER("10./8", NOT_V4),
        SENDER("10.1-2/16", NOT_V4),
        SENDER("-", NOT_V4),
        SENDER("2001:db8::1::2", NOT_V6),
        SENDER("2001:db8::9-1", NOT_V6),
        SENDER("2001:db8::2-2001:db8::1", NOT_V6),
        SENDER("2001:db8::1-", NOT_V6),
        SENDER("2001:db8::1-2-3", NOT_V6),
        SENDER("2001:db8::/129", NOT_V6),
        SENDER("a..example", NOT_SENDER),
        SENDER("m\xc3\xbcnchen.example", NOT_SENDER),
        SENDER("*.example.com", "\": not a sender: the hosts below a domain are written "
                                "\".domain\""),
        SENDER("sbrs[3:-3]", NOT_SCORE),
        SENDER("sbrs[-11:0]", NOT_SCORE),
        SENDER("sbrs[0.25:1]", NOT_SCORE),
        SENDER("sbrs[1]", NOT_SCORE),
        SENDER("sbrs[]", NOT_SCORE),
        SENDER("sbrs[none]x", "\": nothing may stand behind \"]\""),
        SENDER("dnslist[a b]", "\": the name of a DNS list has to be a domain"),
        { "\na@b.example\n10.0.0.1\n  REJECT" ALL, "t.txt:2: \"a@b.example" NOT_SENDER },
    };

    (void)unused;
    expect_report(config_import_hat, cases, ARRAY_LEN(cases));
}

static void what_is_no_hat_is_told_with_its_line(void **unused)
{
    static const struct bad_case cases[] = {
        { "G:\n  10.0.0.1\nH:\n  10.0.0.2\n  REJECT" ALL,
          "t.txt:1: sender group G has neither a policy nor an access rule" },
        { "10.0.0.1\n10.0.0.2\n", "t.txt:1: this row has neither a policy nor an access rule" },
        { "10.0.0.1\n$P\n  ACCEPT\n" ALL, "t.txt:1: this row has neither a policy nor an access "
                                          "rule" },
        { "10.0.0.1\n  $NOPE" ALL, "t.txt:1: policy $NOPE is not defined in this file" },
        { "$P" ALL, "t.txt:1: policy $P has no access rule behind it, and ends no row" },
        { "$P\n ACCEPT\n$P\n REJECT" ALL, "t.txt:3: policy $P is defined twice (see line 1)" },
        { "$\n ACCEPT\n" ALL, "t.txt:1: a name is missing behind \"$\"" },
        { "REJECT" ALL, "t.txt:1: this access rule belongs to no policy and no row" },
        { "ALL\n REJECT\nALL\n REJECT\n", "t.txt:3: a second row for ALL (see line 1)" },
        { "ALL\n CONTINUE\n", "t.txt:1: ALL cannot CONTINUE: no row is behind it" },
        { "ALL\n $P\n ACCEPT\n ACCEPT\n$P\n REJECT\n",
          "t.txt:4: this access rule belongs to no policy and no row" },
        { ", 10.0.0.1\n REJECT" ALL, "t.txt:1: a comma that parts no entries" },
        { "\n= " ALL, "t.txt:2: \"=\" does not belong here" },
        { "\n} " ALL, "t.txt:2: \"}\" does not belong here" },
        { "\n\"x\" " ALL, "t.txt:2: a string does not belong here" },
        { "10.0.0.1 (open\n REJECT" ALL,
          "t.txt:1: a comment in parentheses is not ended on its line" },
        { "10.0.0.1 )\n REJECT" ALL, "t.txt:1: \")\" without \"(\"" },
        { "10.0.0.1 \001\n REJECT" ALL, "t.txt:1: a control character" },
        { "$P\n ACCEPT {\n tls = \"on\n }" ALL, "t.txt:3: a string is not ended on its line" },
        { "$P\n ACCEPT {\n tls = \"on\"\n$Q\n REJECT" ALL,
          "t.txt:2: \"}\" is missing for this \"{\"" },
        { "$P\n ACCEPT {\n tls \"on\"\n }" ALL, "t.txt:3: \"=\" is missing behind tls\n"
                                                "t.txt:3: the name of a setting is missing" },
        { "$P\n ACCEPT {\n tls =\n }" ALL, "t.txt:3: tls has no value" },
        { "$P\n ACCEPT { { } }" ALL, "t.txt:2: a block inside of a block\n"
                                     "t.txt:2: \"}\" does not belong here" },
        { "$P\n ACCEPT {\n tls = \"maybe\" }" ALL,
          "t.txt:3: tls has to be \"off\", \"on\", \"required\", \"on_verify\" or "
          "\"require_verify\", not \"maybe\"" },
        { "$P\n ACCEPT {\n max_concurrency = many }" ALL,
          "t.txt:3: max_concurrency has to be a number, not \"many\"" },
        { "$P\n ACCEPT {\n max_message_size = 1T }" ALL,
          "t.txt:3: max_message_size has to be bytes, or a size as 20M, not \"1T\"" },
        { "$P\n ACCEPT {\n sender_vrfy = 7 }" ALL,
          "t.txt:3: sender_vrfy has to be \"on\" or \"off\", not \"7\"" },
        { "$P\n ACCEPT {\n tls = on\n tls = off }" ALL,
          "t.txt:4: tls is given twice (see line 3)" },
        { "$P\n ACCEPT {\n significant_bits = 8\n signficant_bits = 9 }" ALL,
          "t.txt:4: significant_bits is given twice (see line 3)" },
    };

    (void)unused;
    expect_report(config_import_hat, cases, ARRAY_LEN(cases));
}

static void what_is_no_rat_is_told_with_its_line(void **unused)
{
    static const struct bad_case cases[] = {
        { "\na..b ACCEPT\n",
          "t.txt:2: \"a..b\" is not a recipient: \"example.com\", \".example.com\", "
          "\"user@example.com\", \"user@\", \"[192.0.2.1]\" or ALL" },
        { "[192.0.2] ACCEPT\n",
          "t.txt:1: \"[192.0.2]\" is not a recipient: \"example.com\", \".example.com\", "
          "\"user@example.com\", \"user@\", \"[192.0.2.1]\" or ALL" },
        { "a.example\n", "t.txt:1: this recipient has no action" },
        { "\nREJECT\n", "t.txt:2: an action without a recipient in front of it" },
        { "a.example\n RELAY\n", "t.txt:2: RELAY is an access rule of a HAT; a RAT has ACCEPT and "
                                 "REJECT" },
        { "ALL, a.example REJECT\n", "t.txt:1: ALL has to stand alone" },
        { "ALL REJECT\nALL REJECT\n", "t.txt:2: a second entry for ALL (see line 1)" },
        { "a.example { }\n", "t.txt:1: \"{\" does not belong here\n"
                             "t.txt:1: \"}\" does not belong here\n"
                             "t.txt:1: this recipient has no action" },
        { "a.example REJECT { smtp_response_code = x }\n",
          "t.txt:1: smtp_response_code has to be a number, not \"x\"" },
    };

    (void)unused;
    expect_report(config_import_rat, cases, ARRAY_LEN(cases));
}

static void what_is_no_text_or_too_long_is_refused(void **unused)
{
    static char text[3 * CONFIG_ASYNCOS_TEXT_MAX];
    static struct imported i;

    (void)unused;
    import_text(&i, config_import_hat, (struct slice){ "A\0L", 3 });
    assert_string_equal(i.lines, "t.txt: is not text: it has a NUL byte");
    imported_finish(&i);
    (void)snprintf(text, sizeof(text), "%0*d.example\n REJECT" ALL, 300, 1);
    import_text(&i, config_import_hat, slice_from(text));
    assert_non_null(strstr(i.lines, "t.txt:1: a word is longer than 255 bytes"));
    imported_finish(&i);
    (void)snprintf(text, sizeof(text), "10.0.0.1 (%0*d)\n REJECT" ALL, 1025, 1);
    import_text(&i, config_import_hat, slice_from(text));
    assert_string_equal(i.lines, "t.txt:1: a comment in parentheses is longer than 1024 bytes");
    imported_finish(&i);
    (void)snprintf(text, sizeof(text), "G%0*d:\n 10.0.0.1\n REJECT" ALL, 70, 1);
    import_text(&i, config_import_hat, slice_from(text));
    assert_string_equal(i.lines, "t.txt:1: the name of a sender group is longer than 64 bytes");
    imported_finish(&i);
    assert_false(config_asyncos_name_is_valid(SLICE("")));
    assert_false(config_asyncos_name_is_valid(SLICE("1a")));
    assert_false(config_asyncos_name_is_valid(SLICE("a b")));
    assert_false(config_asyncos_name_is_valid(SLICE("False")));
    assert_true(config_asyncos_name_is_valid(SLICE("in-bound_2")));
}

static void an_error_is_told_behind_any_number_of_warnings(void **unused)
{
    static struct imported i;
    struct buffer text;

    (void)unused;
    buffer_init(&text, CONFIG_ASYNCOS_BYTES_MAX);
    for (int k = 0; k < 3 * CONFIG_PROBLEMS_MAX; k++)
        assert_int_equal(buffer_append_text(&text, "SBO:1\n"), STATUS_OK);
    assert_int_equal(buffer_append_text(&text, "a..b\n REJECT" ALL), STATUS_OK);
    import_text(&i, config_import_hat, buffer_contents(&text));
    assert_int_equal(i.status, STATUS_INVALID);
    assert_non_null(strstr(i.lines, "t.txt:301: \"a..b\""));
    imported_finish(&i);
    buffer_finish(&text);
}

/* Whatever becomes of it, what is written can be read. */
static void expect_sane(struct slice text)
{
    static struct imported i;

    import_text(&i, config_import_hat, text);
    if (i.status == STATUS_OK)
        expect_syntax(&i);
    imported_finish(&i);
    import_text(&i, config_import_rat, text);
    if (i.status == STATUS_OK)
        expect_syntax(&i);
    imported_finish(&i);
}

static void a_file_may_be_cut_anywhere(void **unused)
{
    struct slice text = slice_from(guide_hat);

    (void)unused;
    for (size_t len = 0; len <= text.len; len++) {
        expect_sane(slice_first(text, len));
        expect_sane(slice_after(text, len));
    }
}

static void garbage_is_told_and_never_more(void **unused)
{
    static const char *const pieces[] = {
        "ALL",
        "$P",
        "$ACCEPTED",
        "ACCEPT",
        "REJECT",
        "CONTINUE",
        "{",
        "}",
        "(",
        ")",
        "=",
        ",",
        "\"",
        "\\",
        "#",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "\r",
        "G:",
        "tls",
        "on",
        "10.0.0.1",
        "10.",
        "::1",
        "sbrs[",
        "]",
        "@",
        ".b.c",
        "a@",
        "-1",
        "\x80",
        "\x7f",
        "geo[US]",
        "max_concurrency = 3",
        "smtp_banner_text = \"x\"",
        "TRUE",
    };
    unsigned seed = (unsigned)time(NULL);
    char text[512];

    (void)unused;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        size_t len = 0;

        for (int i = rand_r(&seed) % 30; i >= 0; i--)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
                                    pieces[(size_t)rand_r(&seed) % ARRAY_LEN(pieces)],
                                    rand_r(&seed) % 2 == 0 ? " " : "");
        expect_sane((struct slice){ text, len });
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_sender_is_told_with_its_line),
        cmocka_unit_test(what_is_no_hat_is_told_with_its_line),
        cmocka_unit_test(what_is_no_rat_is_told_with_its_line),
        cmocka_unit_test(what_is_no_text_or_too_long_is_refused),
        cmocka_unit_test(an_error_is_told_behind_any_number_of_warnings),
        cmocka_unit_test(a_file_may_be_cut_anywhere),
        cmocka_unit_test(garbage_is_told_and_never_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
