#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "tests/config/sample.h"

/* Where the facts about senders and recipients come from: scores, countries, the DNS, exceptions,
 * recipients. */
#define MX "hostname = \"mx.example.com\"; "

static char folder[256];

static int make_folder(void **unused)
{
    const char *temporary = getenv("TMPDIR");

    (void)unused;
    (void)snprintf(folder, sizeof(folder), "%s/config_sources_XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    return mkdtemp(folder) == NULL;
}

static const char *path_of(const char *name)
{
    static char paths[2][512];
    static unsigned next;
    char *path = paths[next++ % 2];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **unused)
{
    (void)unused;
    (void)unlink(path_of("t.conf"));
    (void)unlink(path_of("scores"));
    return rmdir(folder);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The good configuration as a file, with more in its first line. Problems come without the folder
 * and those of files that are not there for the sample either are left out. */
static struct config_loaded *load_file(const char *more, bool skip_files,
                                       char lines[static TEXT_MAX])
{
    const struct config_load_options options = { .machine = &machine, .skip_files = skip_files };
    char line[TEXT_MAX], first[TEXT_MAX], *at;
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    enum status status;
    struct buffer text;
    size_t used = 0;

    (void)snprintf(first, sizeof(first), MX "%s", more);
    write_file("t.conf", configuration(&text, 1, first).data);
    buffer_finish(&text);
    config_problems_init(&problems);
    status = config_load_file(path_of("t.conf"), &options, &loaded, &problems);
    assert_int_equal(status == STATUS_OK, loaded != NULL);
    lines[0] = '\0';
    for (size_t i = 0; i < problems.count; i++) {
        config_problem_format(&problems.items[i], line, sizeof(line));
        while ((at = strstr(line, folder)) != NULL)
            memmove(at, at + strlen(folder) + 1, strlen(at + strlen(folder) + 1) + 1);
        if (strstr(line, "spool") != NULL || strstr(line, "c.pem") != NULL ||
            strstr(line, "c.key") != NULL)
            continue;
        used += (size_t)snprintf(lines + used, TEXT_MAX - used, "%s%s", used > 0 ? "\n" : "", line);
        assert_true(used < TEXT_MAX);
    }
    config_problems_finish(&problems);
    return loaded;
}

static void a_file_of_scores_is_read_with_its_comments_and_ends_of_lines(void **unused)
{
    static const struct {
        const char *address;
        int tenths; /* 999: none */
    } cases[] = {
        { "10.1.2.3", -34 },   { "10.2.0.0", 999 },  { "192.0.2.7", 100 },  { "192.0.2.8", 999 },
        { "192.0.2.9", -100 }, { "192.0.2.10", 5 },  { "2001:db8::1", 25 }, { "2001:db9::1", 999 },
        { "192.0.2.11", 10 },  { "192.0.2.12", 20 },
    };
    static char lines[TEXT_MAX];
    struct config_loaded *loaded;

    (void)unused;
    write_file("scores", "# all of them\n"
                         "\n"
                         "10.1.0.0/16 -3.4\n"
                         "  192.0.2.7\t10  # the best\r\n"
                         "192.0.2.9   -10.0#the worst\n"
                         "\r\n"
                         "   \t \n"
                         "192.0.2.10 0.5\r\n"
                         "2001:db8::/32 +2.5 \t\r\n"
                         "#192.0.2.8 1\n"
                         "192.0.2.11 3\n"
                         "192.0.2.11 1\n"
                         "192.0.2.12 2");
    loaded = load_file("reputation = { file = \"scores\"; };", true, lines);
    assert_string_equal(lines, "");
    assert_true(loaded->settings.reputation.has_file);
    assert_string_equal(loaded->settings.reputation.zone, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_address address;
        struct policy_score score;

        assert_true(ip_parse(slice_from(cases[i].address), &address));
        score = policy_score_find(loaded->policy, &address);
        assert_int_equal(score.state,
                         cases[i].tenths == 999 ? POLICY_SCORE_NONE : POLICY_SCORE_KNOWN);
        if (cases[i].tenths != 999 && score.tenths != cases[i].tenths)
            fail_msg("%s: %d", cases[i].address, score.tenths);
    }
    config_loaded_destroy(loaded);
}

static void more_scores_than_the_first_room_are_all_kept(void **unused)
{
    enum { COUNT = 5000 };
    static char lines[TEXT_MAX], text[COUNT * 24];
    struct config_loaded *loaded;
    size_t used = 0;

    (void)unused;
    for (unsigned i = 0; i < COUNT; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "10.0.%u.%u %u\n", i / 256,
                                 i % 256, i % 11);
    write_file("scores", text);
    loaded = load_file("reputation = { file = \"scores\"; };", true, lines);
    assert_string_equal(lines, "");
    for (unsigned i = 0; i < COUNT; i++) {
        struct ip_address address = { .bytes = { [10] = 0xff, [11] = 0xff, [12] = 10 } };

        address.bytes[14] = (uint8_t)(i / 256);
        address.bytes[15] = (uint8_t)(i % 256);
        assert_int_equal(policy_score_find(loaded->policy, &address).tenths, i % 11 * 10);
    }
    config_loaded_destroy(loaded);
}

static void a_line_that_is_no_score_is_told_with_its_number(void **unused)
{
    static const char *const bad[] = {
        "10.0.0.1/24 1", "10.0.0.1",     "10.0.0.1 ",        "10.0.0.1 x",    "10.0.0.1 10.1",
        "10.0.0.1 -11",  "10.0.0.1 1 2", "10.0.0.0/33 1",    "example.com 1", "1",
        "10.0.0.1,1",    "10.0.0.256 1", "2001:db8::1/32 1", "10.0.0.1 1.55", "10.0.0.1 1;why",
        "10.0.0.1 1\rx", "10.0.0.1\v1",
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *ends[] = { "\n", "\r\n" };

        for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
            char text[TEXT_MAX];

            (void)snprintf(text, sizeof(text), "# %s\n10.0.0.2 1%s%s%s10.0.0.3 2\n%s", "first",
                           ends[k], bad[i], ends[k], bad[i]);
            write_file("scores", text);
            assert_null(load_file("reputation = { file = \"scores\"; };", true, lines));
            if (strcmp(lines,
                       "scores:3: not \"ADDRESS SCORE\" with an address or a CIDR block, and a "
                       "score from -10.0 to 10.0\n"
                       "scores:5: not \"ADDRESS SCORE\" with an address or a CIDR block, and a "
                       "score from -10.0 to 10.0") != 0)
                fail_msg("\"%s\" gives %s", bad[i], lines);
        }
    }
}

static void files_that_cannot_be_read_are_told(void **unused)
{
    static const struct {
        const char *more;
        bool skip_files;
        const char *problems;
    } cases[] = {
        { "dns = { trust_anchor = \"none\"; };", false,
          "t.conf:1: cannot read none: No such file or directory" },
        { "dns = { trust_anchor = \"none\"; };", true, "" },
        { "dns = { trust_anchor = \"t.conf\"; };", false, "" },
        { "reputation = { file = \"none\"; };", true,
          "t.conf:1: cannot read none: No such file or directory" },
        { "country = { database = \"none\"; };", true,
          "t.conf:1: cannot use the database none: not found" },
        { "country = { database = \"t.conf\"; };", true,
          "t.conf:1: cannot use the database t.conf: The MaxMind DB file contains invalid "
          "metadata" },
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_loaded *loaded = load_file(cases[i].more, cases[i].skip_files, lines);

        assert_string_equal(lines, cases[i].problems);
        config_loaded_destroy(loaded);
    }
}

static void sources_are_judged(void **unused)
{
    static const struct problem_case cases[] = {
        { 1, MX "dns = { servers = [ \"192.0.2.53\", \"[2001:db8::53]:5353\" ]; };", "" },
        { 1, MX "dns = { servers = [ \"ns.example\" ]; };",
          "t.conf:1: servers: \"ns.example\" is not an address, or an address and a port" },
        { 1, MX "dns = { stub_zones = ( { zone = \".\"; servers = [ \"192.0.2.53\" ]; } ); };",
          "" },
        { 1, MX "dns = { stub_zones = ( { zone = \"a b\"; servers = [ \"192.0.2.53\" ]; } ); };",
          "t.conf:1: zone = \"a b\" is not a domain" },
        { 1, MX "dns = { stub_zones = ( { zone = \"a.example\"; } ); };",
          "t.conf:1: a stub zone: \"servers\" is missing" },
        { 1, MX "dns = { sender_timeout = \"301s\"; };",
          "t.conf:1: sender_timeout has to be from 1s to 5m" },
        { 1, MX "reputation = { zone = \"a b\"; };", "t.conf:1: zone = \"a b\" is not a domain" },
        { 1, MX "reputation = { zone = \"a.example\"; answer = \"aaaa\"; };",
          "t.conf:1: answer = \"aaaa\" is none of \"txt\", \"a\"" },
        { 1, MX "reputation = { file = \"scores\"; };", "t.conf:1: a file is not possible here" },
        { 1, MX "country = { database = \"c.mmdb\"; };", "t.conf:1: a file is not possible here" },
        { 1, MX "call_ahead = { timeout = \"301s\"; };",
          "t.conf:1: timeout has to be from 1s to 5m" },
        { 1, MX "call_ahead = { unreachable = \"wait\"; };",
          "t.conf:1: unreachable = \"wait\" is none of \"accept\", \"defer\", \"reject\"" },
        { 5,
          "proxy_from = [ \"10.0.0.1/24\" ]; certificate = \"mail\"; hat = \"in\"; rat = \"in\";\n"
          "xclient_from = [ \"a.example\" ]; } );",
          "t.conf:5: proxy_from: \"10.0.0.1/24\" is neither an address nor a CIDR block\n"
          "t.conf:6: xclient_from: \"a.example\" is neither an address nor a CIDR block" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void sources_have_their_values_and_defaults(void **unused)
{
    static const char more[] =
        MX "dns = { servers = [ \"192.0.2.53\", \"[2001:db8::53]:5353\" ];\n"
           "  stub_zones = ( { zone = \"a.example\"; servers = [ \"192.0.2.1\", \"192.0.2.2:54\" "
           "]; },\n"
           "    { zone = \"b.example\"; servers = [ \"192.0.2.3\" ]; } );\n"
           "  trust_anchor = \"root.key\"; sender_timeout = \"7s\"; };\n"
           "reputation = { zone = \"score.example\"; answer = \"a\"; };\n"
           "call_ahead = { timeout = \"1s\"; valid_for = \"2s\"; invalid_for = \"3s\";\n"
           "  unreachable_for = \"4s\"; unreachable = \"reject\"; };";
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t round = 0; round < 2; round++) {
        struct config_loaded *loaded = NULL;
        const struct config_settings *s;
        struct buffer text;

        assert_int_equal(load(configuration(&text, round, more).data, &loaded, lines), STATUS_OK);
        assert_string_equal(lines, "");
        buffer_finish(&text);
        s = &loaded->settings;
        assert_int_equal(s->dns.servers_count, round == 0 ? 0 : 2);
        assert_int_equal(s->dns.stubs_count, round == 0 ? 0 : 2);
        assert_string_equal(s->dns.trust_anchor_path, round == 0 ? "" : "/etc/p/root.key");
        assert_int_equal(s->dns.sender_timeout_s, round == 0 ? 20 : 7);
        assert_string_equal(s->reputation.zone, round == 0 ? "" : "score.example");
        assert_int_equal(s->reputation.answer,
                         round == 0 ? CONFIG_REPUTATION_TXT : CONFIG_REPUTATION_A);
        assert_false(s->reputation.has_file);
        assert_int_equal(s->call_ahead.timeout_s, round == 0 ? 30 : 1);
        assert_int_equal(s->call_ahead.positive_s, round == 0 ? 3600 : 2);
        assert_int_equal(s->call_ahead.negative_s, round == 0 ? 300 : 3);
        assert_int_equal(s->call_ahead.unreachable_s, round == 0 ? 60 : 4);
        assert_int_equal(s->call_ahead.unreachable,
                         round == 0 ? CONFIG_UNREACHABLE_DEFER : CONFIG_UNREACHABLE_REJECT);
        if (round == 1) {
            assert_int_equal(s->dns.servers[0].port, 53);
            assert_int_equal(s->dns.servers[1].port, 5353);
            assert_string_equal(s->dns.stubs[0].zone, "a.example");
            assert_int_equal(s->dns.stubs[0].servers_count, 2);
            assert_int_equal(s->dns.stubs[0].servers[1].port, 54);
            assert_string_equal(s->dns.stubs[1].zone, "b.example");
        }
        config_loaded_destroy(loaded);
    }
}

static void exceptions_and_lists_are_judged(void **unused)
{
#define TABLE(rows) MX "exception_table = ( " rows " );"
#define ALLOW_REPLY "t.conf:1: a reply can only be given with action = \"reject\""
    static const struct problem_case cases[] = {
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"allow\"; }"), "" },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"allow\"; reply_code = 550; }"),
          ALLOW_REPLY },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"allow\"; reply_text = \"No\"; }"),
          ALLOW_REPLY },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"reject\"; reply_code = 399; }"),
          "t.conf:1: reply_code has to be from 400 to 599" },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"reject\"; reply_code = 600; }"),
          "t.conf:1: reply_code has to be from 400 to 599" },
        { 1,
          TABLE(
              "{ senders = [ \"@a.example\" ]; action = \"reject\"; reply_text = \"\xc3\xa4\"; }"),
          "t.conf:1: reply_text has to be ASCII" },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; action = \"accept\"; }"),
          "t.conf:1: action = \"accept\" is none of \"allow\", \"reject\"" },
        { 1, TABLE("{ senders = [ \"@a.example\" ]; }"),
          "t.conf:1: the exception table: \"action\" is missing" },
        { 1, TABLE("{ action = \"allow\"; }"),
          "t.conf:1: the exception table: \"senders\" is missing" },
        { 1, TABLE("{ senders = [ \"@a.example\", \"@\" ]; action = \"allow\"; }"),
          "t.conf:1: \"@\" is not an address: \"user@example.com\", \"user@\", \"@example.com\", "
          "\"@.example.com\", \"user@[192.0.2.1]\" or \"ALL\"" },
        { 1, MX "address_lists = { a = [ \"a b\" ]; };",
          "t.conf:1: \"a b\" is not an address: \"user@example.com\", \"user@\", "
          "\"@example.com\", \"@.example.com\", \"user@[192.0.2.1]\" or \"ALL\"" },
        { 1, MX "address_lists = { a = \"b\"; };",
          "t.conf:1: address list \"a\" has to be a list of strings" },
        { 1, MX "address_lists = { a = [ 1 ]; };",
          "t.conf:1: address list \"a\" has to be a list of strings" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

static void every_sender_of_an_exception_row_gets_its_rule(void **unused)
{
    static const char table[] =
        MX "exception_table = (\n"
           "{ senders = [ \"@a.example\", \"a@\", \"a@x.example\" ]; action = \"allow\"; },\n"
           "{ senders = [ \"@b.example\", \"b@\", \"@.b.example\" ]; action = \"reject\"; },\n"
           "{ senders = [ \"@c.example\", \"c@\" ]; action = \"reject\"; reply_code = 450;\n"
           "  reply_text = \"4.7.1 c\"; },\n"
           "{ senders = [ \"@d.example\", \"d@\" ]; action = \"reject\"; reply_code = 400; },\n"
           "{ senders = [ \"@e.example\", \"e@\" ]; action = \"reject\"; reply_text = \"e\"; } );";
    static const struct {
        const char *local, *domain;
        enum policy_exception action;
        unsigned code;
        const char *text;
    } cases[] = {
        { "x", "a.example", POLICY_EXCEPTION_ALLOW, 553, "5.7.1 Sender address rejected" },
        { "a", "example", POLICY_EXCEPTION_ALLOW, 553, "5.7.1 Sender address rejected" },
        { "a", "b.example", POLICY_EXCEPTION_ALLOW, 553, "5.7.1 Sender address rejected" },
        { "x", "b.example", POLICY_EXCEPTION_REJECT, 553, "5.7.1 Sender address rejected" },
        { "b", "example", POLICY_EXCEPTION_REJECT, 553, "5.7.1 Sender address rejected" },
        { "x", "x.b.example", POLICY_EXCEPTION_REJECT, 553, "5.7.1 Sender address rejected" },
        { "x", "c.example", POLICY_EXCEPTION_REJECT, 450, "4.7.1 c" },
        { "c", "example", POLICY_EXCEPTION_REJECT, 450, "4.7.1 c" },
        { "x", "d.example", POLICY_EXCEPTION_REJECT, 400, "5.7.1 Sender address rejected" },
        { "d", "example", POLICY_EXCEPTION_REJECT, 400, "5.7.1 Sender address rejected" },
        { "x", "e.example", POLICY_EXCEPTION_REJECT, 553, "e" },
        { "e", "example", POLICY_EXCEPTION_REJECT, 553, "e" },
        { "x", "example", POLICY_EXCEPTION_NONE, 0, "" },
    };
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    struct buffer text;

    (void)unused;
    (void)load(configuration(&text, 1, table).data, &loaded, lines);
    assert_string_equal(lines, "");
    buffer_finish(&text);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy_exception_rule rule = policy_exception_find(
            loaded->policy, slice_from(cases[i].local), slice_from(cases[i].domain));

        if (rule.action != cases[i].action || rule.reply.code != cases[i].code ||
            !slice_equal(rule.reply.text, slice_from(cases[i].text)))
            fail_msg("%s@%s: %d, %u %.*s", cases[i].local, cases[i].domain, (int)rule.action,
                     rule.reply.code, SLICE_ARGS(rule.reply.text));
    }
    config_loaded_destroy(loaded);
}

static void what_is_for_accepted_recipients_is_not_for_others(void **unused)
{
#define ROW(more) "rat = { in = ( { recipients = [ \"example.com\" ]; " more " } ); };"
#define ONLY(key) "t.conf:10: " key " can only be given with action = \"accept\""
    static const struct problem_case cases[] = {
        { 10, ROW("action = \"accept\"; bypass_limits = true; call_ahead = true;"), "" },
        { 10, ROW("action = \"reject\"; bypass_limits = false; call_ahead = false;"), "" },
        { 10, ROW("action = \"reject\"; bypass_limits = true;"), ONLY("bypass_limits") },
        { 10, ROW("action = \"reject\"; call_ahead = true;"), ONLY("call_ahead") },
        { 10, ROW("action = \"reject\"; call_ahead = true; bypass_limits = true;"),
          ONLY("bypass_limits") },
        { 10, ROW("action = \"accept\"; reply_text = \"No\";"),
          "t.conf:10: a reply can only be given with action = \"reject\"" },
        { 10, ROW("action = \"reject\"; reply_code = 399;"),
          "t.conf:10: reply_code has to be from 400 to 599" },
        { 10, ROW("action = \"reject\"; reply_code = 600;"),
          "t.conf:10: reply_code has to be from 400 to 599" },
        { 10, ROW("action = \"reject\"; reply_code = 599; reply_text = \"$Group\";"), "" },
    };

    (void)unused;
    expect_problems(cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_scores_is_read_with_its_comments_and_ends_of_lines),
        cmocka_unit_test(more_scores_than_the_first_room_are_all_kept),
        cmocka_unit_test(a_line_that_is_no_score_is_told_with_its_number),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
        cmocka_unit_test(sources_are_judged),
        cmocka_unit_test(sources_have_their_values_and_defaults),
        cmocka_unit_test(exceptions_and_lists_are_judged),
        cmocka_unit_test(every_sender_of_an_exception_row_gets_its_rule),
        cmocka_unit_test(what_is_for_accepted_recipients_is_not_for_others),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
