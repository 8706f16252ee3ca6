#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/load.h"

#define PATH_BYTES 512
#define TEXT_MAX   16384

static char folder[PATH_BYTES];
static size_t errors_count; /* of the last load */

static const char *path_of(const char *name)
{
    static char paths[2][2 * PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 2];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, const char *bytes, size_t count)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static int make_folder(void **unused)
{
    const char *temporary = getenv("TMPDIR");

    (void)unused;
    (void)snprintf(folder, sizeof(folder), "%s/config_senders_XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    (void)unused;
    (void)unlink(path_of("t.conf"));
    (void)unlink(path_of("block"));
    return rmdir(folder);
}

/* Loads a configuration with these rows before the one for everybody, and writes the problems to
 * lines. The rows begin in line 7. */
static struct config_loaded *load(const char *rows, char lines[static TEXT_MAX])
{
    static char text[TEXT_MAX];
    const struct config_load_options options = { .skip_files = true };
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    enum status status;
    size_t used = 0;

    (void)snprintf(text, sizeof(text),
                   "hostname = \"mx.example.com\";\nspool = { path = \"spool\"; };\n"
                   "listeners = ( { name = \"In\"; type = \"private\"; address = \"127.0.0.1\"; "
                   "hat = \"in\"; } );\n"
                   "mail_flow_policies = { OK = { access = \"accept\"; };\n"
                   " NO = { access = \"reject\"; }; };\n"
                   "routes = ( { domain = \"ALL\"; to = [ \"192.0.2.1\" ]; } ); hat = { in = (\n"
                   "%s,\n{ senders = [ \"ALL\" ]; policy = \"OK\"; } ); };\n",
                   rows);
    write_bytes("t.conf", text, strlen(text));
    config_problems_init(&problems);
    status = config_load_file(path_of("t.conf"), &options, &loaded, &problems);
    assert_int_equal(status == STATUS_OK, loaded != NULL);
    errors_count = problems.errors_count;
    lines[0] = '\0';
    for (size_t i = 0; i < problems.count; i++) {
        char line[TEXT_MAX], *at;

        config_problem_format(&problems.items[i], line, sizeof(line));
        while ((at = strstr(line, folder)) != NULL)
            memmove(at, at + strlen(folder) + 1, strlen(at + strlen(folder) + 1) + 1);
        used += (size_t)snprintf(lines + used, TEXT_MAX - used, "%s\n", line);
        assert_true(used < TEXT_MAX);
    }
    config_problems_finish(&problems);
    return loaded;
}

#define ROW "{ group = \"B\"; senders_file = \"block\"; policy = \"NO\"; }"

static void a_file_gives_the_entries_behind_those_of_the_row(void **unused)
{
    static const char text[] = "\xef\xbb\xbf# a list\r\n"
                               "10.1.1.1\r\n"
                               "\n"
                               "  10.2.   # with a comment\n"
                               "mx.a.example (a friend, (really))\n"
                               "\t.b.example\t(x)\n"
                               "   \r\n"
                               "(only a comment)\n"
                               "2001:db8::/32";
    static const char *const expected[] = { "192.0.2.1",  "10.1.1.1",      "10.2.", "mx.a.example",
                                            ".b.example", "2001:db8::/32", "ALL" };
    static char lines[TEXT_MAX];
    struct config_loaded *loaded;

    (void)unused;
    write_bytes("block", text, strlen(text));
    loaded =
        load("{ senders = [ \"192.0.2.1\" ]; senders_file = \"block\"; policy = \"NO\"; }", lines);
    assert_string_equal(lines, "");
    assert_non_null(loaded);
    const struct policy_hat *hat = policy_snapshot_hat(loaded->policy, SLICE("in"));

    assert_int_equal(policy_hat_entries_count(hat), ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_string_equal(policy_hat_entry_text(hat, i).data, expected[i]);
        assert_int_equal(policy_hat_entry_row(hat, i), i + 1 == ARRAY_LEN(expected) ? 1 : 0);
    }
    config_loaded_destroy(loaded);
}

static void an_empty_file_is_a_row_that_matches_nobody(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded;

    (void)unused;
    write_bytes("block", "# nobody\n", 9);
    loaded = load(ROW, lines);
    assert_string_equal(lines, "");
    assert_int_equal(policy_hat_entries_count(policy_snapshot_hat(loaded->policy, SLICE("in"))), 1);
    config_loaded_destroy(loaded);
}

static void what_is_wrong_in_a_file_is_told_with_its_line(void **unused)
{
    static const char text[] = "10.1.1.300\n\nok.a.example\nall\na b\n10.0.0.1/8\n"
                               "1.2.3.4 (open\nx\0y\n5.6.7.8\n(\n";
    static char lines[TEXT_MAX], wide[CONFIG_PROBLEM_TEXT_MAX * 4];

    (void)unused;
    write_bytes("block", text, sizeof(text) - 1);
    assert_null(load(ROW, lines));
    assert_string_equal(
        lines,
        "block:1: \"10.1.1.300\" is not a sender: an octet is above 255\n"
        "block:4: \"all\" is not a sender: ALL stands only in the row itself\n"
        "block:5: \"a b\" is not a sender: an address, a CIDR block, a range, a host name, "
        "\".domain\", dnslist[...], SBRS[...], geo[...] or \"ALL\"\n"
        "block:6: \"10.0.0.1/8\" is not a sender: bits are set behind its prefix\n"
        "block:7: \"1.2.3.4\" is not a sender: the comment in parentheses does not end with the "
        "line\n"
        "block:8: the line has a NUL byte\n"
        "block:10: the comment in parentheses does not end with the line\n");
    memset(wide, 'a', sizeof(wide));
    write_bytes("block", wide, sizeof(wide));
    assert_null(load(ROW, lines));
    assert_string_equal(lines, "block:1: the line is too long\n");
    (void)unlink(path_of("block"));
    assert_null(load(ROW, lines));
    assert_string_equal(
        lines, "t.conf:7: cannot read the senders file block: No such file or directory\n");
}

static void every_error_is_counted_and_the_first_are_kept(void **unused)
{
    static char text[3000], lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < sizeof(text); i += 2)
        memcpy(text + i, "?\n", 2);
    write_bytes("block", text, sizeof(text));
    assert_null(load(ROW, lines));
    assert_int_equal(errors_count, sizeof(text) / 2);
}

static void hidden_entries_of_files_are_warnings_and_few(void **unused)
{
    static char lines[TEXT_MAX];
    char text[256] = "192.0.2.9\n10.0.0.1\n";

    (void)unused;
    for (size_t i = 0; i < 6; i++)
        memcpy(text + strlen(text), "10.0.0.1\n", 10);
    write_bytes("block", text, strlen(text));
    config_loaded_destroy(
        load("{ senders = [ \"192.0.2.0/24\" ]; policy = \"OK\"; },\n" ROW, lines));
    assert_string_equal(
        lines, "block: warning: 2 more senders are never reached, or stand twice\n"
               "block:1: warning: \"192.0.2.9\" in row 2 (B) of hat \"in\" is never reached: "
               "\"192.0.2.0/24\" of row 1 comes first\n"
               "block:3: warning: \"10.0.0.1\" stands twice in row 2 (B) of hat \"in\"\n"
               "block:4: warning: \"10.0.0.1\" stands twice in row 2 (B) of hat \"in\"\n"
               "block:5: warning: \"10.0.0.1\" stands twice in row 2 (B) of hat \"in\"\n"
               "block:6: warning: \"10.0.0.1\" stands twice in row 2 (B) of hat \"in\"\n");
    assert_int_equal(errors_count, 0);
    /* What a file hides is no error either: it changes without the configuration. */
    write_bytes("block", "10\n", 3);
    config_loaded_destroy(load(ROW ",\n{ senders = [ \"10.1.1.1\" ]; policy = \"OK\"; }", lines));
    assert_string_equal(lines, "t.conf:8: warning: row 2 of hat \"in\" is never reached: \"10\" of "
                               "row 1 (B) comes first\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_gives_the_entries_behind_those_of_the_row,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_is_a_row_that_matches_nobody, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_is_wrong_in_a_file_is_told_with_its_line, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(every_error_is_counted_and_the_first_are_kept, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(hidden_entries_of_files_are_warnings_and_few, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
