#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"

#define PATH_MAX_BYTES 512
#define TEXT_MAX       4096

static char folder[PATH_MAX_BYTES];

static const char *path_of(const char *name)
{
    static char paths[4][2 * PATH_MAX_BYTES];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The contents of a shipped example. Tests run in the root, or in a build folder below it. */
static char *read_example(const char *name)
{
    static const char *const places[] = { "config", "../config", "../../config" };
    static char text[1 << 16];
    FILE *f = NULL;
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(places) && f == NULL; i++) {
        char path[PATH_MAX_BYTES];

        (void)snprintf(path, sizeof(path), "%s/%s", places[i], name);
        f = fopen(path, "r");
    }
    if (f == NULL)
        fail_msg("config/%s is not found from here", name);
    len = fread(text, 1, sizeof(text) - 1, f);
    assert_true(len > 0 && len < sizeof(text) - 1);
    text[len] = '\0';
    assert_int_equal(fclose(f), 0);
    return text;
}

static int make_folder(void **unused)
{
    const char *temporary = getenv("TMPDIR");

    (void)unused;
    (void)snprintf(folder, sizeof(folder), "%s/config_files_XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **unused)
{
    static const char *const names[] = { "t.conf",   "a.conf",   "sub/b.conf", "sub/c.conf",
                                         "demo.pem", "demo.key", "mail.pem",   "mail.key" };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(path_of(names[i]));
    (void)rmdir(path_of("sub"));
    (void)rmdir(path_of("spool"));
    return rmdir(folder);
}

/* Does not like one key and one CA file. */
static bool judge_certificate(struct config_tls_judge *judge,
                              const struct config_certificate *certificate, char *why,
                              size_t why_bytes)
{
    (void)judge;
    (void)snprintf(why, why_bytes, "%s does not fit", certificate->pairs[0].key_path);
    return false;
}

static bool judge_authorities(struct config_tls_judge *judge, const char *ca_path, char *why,
                              size_t why_bytes)
{
    (void)judge;
    (void)snprintf(why, why_bytes, "%s is old", ca_path);
    return true;
}

static bool judge_signing_key(struct config_tls_judge *judge, const char *key_path, char *why,
                              size_t why_bytes)
{
    (void)judge;
    (void)snprintf(why, why_bytes, "%s signs nothing", key_path);
    return false;
}

static struct config_tls_judge *judge;

/* All problems of a load, without the folder in front of each. */
static enum status load(const char *name, bool skip_files, char lines[static TEXT_MAX])
{
    const struct config_load_options options = { .skip_files = skip_files, .judge = judge };
    struct config_loaded *loaded = NULL;
    struct config_problems problems;
    enum status status;
    size_t used = 0;

    config_problems_init(&problems);
    status = config_load_file(path_of(name), &options, &loaded, &problems);
    lines[0] = '\0';
    for (size_t i = 0; i < problems.count; i++) {
        char line[TEXT_MAX], *at;

        config_problem_format(&problems.items[i], line, sizeof(line));
        while ((at = strstr(line, folder)) != NULL)
            memmove(at, at + strlen(folder) + 1, strlen(at + strlen(folder) + 1) + 1);
        used += (size_t)snprintf(lines + used, TEXT_MAX - used, "%s\n", line);
        assert_true(used < TEXT_MAX);
    }
    config_loaded_destroy(loaded);
    config_problems_finish(&problems);
    return status;
}

static void both_shipped_examples_load_when_their_files_are_there(void **unused)
{
    static char lines[TEXT_MAX];

    (void)unused;
    write_file("t.conf", read_example("demo.conf"));
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_string_equal(
        lines,
        "t.conf:16: cannot use the spool folder spool: No such file or directory\n"
        "t.conf:19: certificate \"demo\": cannot read the chain file demo.pem: No such file "
        "or directory\n"
        "t.conf:19: certificate \"demo\": cannot read the key file demo.key: No such file or "
        "directory\n");
    assert_int_equal(mkdir(path_of("spool"), 0700), 0);
    write_file("demo.pem", "");
    write_file("demo.key", "");
    assert_int_equal(load("t.conf", false, lines), STATUS_OK);
    assert_string_equal(lines, "");
    write_file("t.conf", read_example("postern.conf"));
    assert_int_equal(load("t.conf", true, lines), STATUS_OK);
    assert_string_equal(lines, "");
}

static void problems_of_an_included_file_carry_its_name_and_line(void **unused)
{
    static char lines[TEXT_MAX];

    (void)unused;
    (void)mkdir(path_of("sub"), 0700);
    write_file("t.conf", "hostname = \"a\";\n"
                         "  @include \"a.conf\"\n"
                         "wrong_1 = 1;\n"
                         "@include \"sub/c.conf\"\n"
                         "wrong_2 = 1;\n");
    write_file("a.conf", "\n\nwrong_3 = 1;\n@include \"sub/b.conf\"\nwrong_4 = 1;");
    write_file("sub/b.conf", "# only\nspool = { path = 3; };\n");
    write_file("sub/c.conf", "");
    assert_int_equal(load("t.conf", true, lines), STATUS_INVALID);
    assert_string_equal(lines, "a.conf:3: unknown key \"wrong_3\"\n"
                               "a.conf:5: unknown key \"wrong_4\"\n"
                               "t.conf: \"listeners\" is missing\n"
                               "t.conf: \"mail_flow_policies\" is missing\n"
                               "t.conf: \"hat\" is missing\n"
                               "t.conf:3: unknown key \"wrong_1\"\n"
                               "t.conf:5: unknown key \"wrong_2\"\n"
                               "sub/b.conf:2: path has to be a string\n");
    write_file("sub/b.conf", "# only\n\nspool == 1;\n");
    assert_int_equal(load("t.conf", true, lines), STATUS_INVALID);
    assert_string_equal(lines, "sub/b.conf:3: syntax error at \"=\": a value has to stand here\n");
    write_file("sub/b.conf", "# only\n\nwrong_3 = 1;\n");
    assert_int_equal(load("t.conf", true, lines), STATUS_INVALID);
    assert_string_equal(lines, "sub/b.conf:3: duplicate setting name \"wrong_3\": it stands "
                               "already in a.conf:3\n");
}

static void what_cannot_be_read_is_a_problem(void **unused)
{
    static char lines[TEXT_MAX];

    (void)unused;
    assert_int_equal(load("none.conf", true, lines), STATUS_NOT_FOUND);
    assert_string_equal(lines, "none.conf: cannot read: No such file or directory\n");
    assert_int_equal(load(".", true, lines), STATUS_IO);
    assert_string_equal(lines, ".: cannot read: Is a directory\n");
    write_file("t.conf", "\n@include \"none.conf\"\n");
    assert_int_equal(load("t.conf", true, lines), STATUS_NOT_FOUND);
    assert_string_equal(lines, "t.conf:2: cannot read none.conf: No such file or directory\n");
    write_file("t.conf", "\n@include \".\"\n");
    assert_int_equal(load("t.conf", true, lines), STATUS_IO);
    assert_string_equal(lines, "t.conf:2: cannot read .: Is a directory\n");
    write_file("t.conf", "@include \"t.conf\"\n");
    assert_int_equal(load("t.conf", true, lines), STATUS_INVALID);
    assert_string_equal(lines, "t.conf:1: @include is not possible here, or more than 10 deep\n");
}

static void relative_paths_of_an_included_file_are_beside_it(void **unused)
{
    static char lines[TEXT_MAX];
    char *example = read_example("demo.conf"), *spool = strstr(example, "path = \"spool\"");

    (void)unused;
    assert_non_null(spool);
    memcpy(spool, "path = \"xpool\"", strlen("path = \"xpool\""));
    (void)mkdir(path_of("sub"), 0700);
    write_file("sub/b.conf", example);
    write_file("t.conf", "@include \"sub/b.conf\"\n");
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_string_equal(
        lines,
        "sub/b.conf:16: cannot use the spool folder sub/xpool: No such file or directory\n"
        "sub/b.conf:19: certificate \"demo\": cannot read the chain file sub/demo.pem: No "
        "such file or directory\n"
        "sub/b.conf:19: certificate \"demo\": cannot read the key file sub/demo.key: No such "
        "file or directory\n");
}

/* The demo configuration with everything it names, and one text of it replaced. */
static void write_demo(const char *from, const char *to)
{
    static char text[1 << 16];
    const char *example = read_example("demo.conf"), *at = strstr(example, from);

    assert_non_null(at);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - example), example, to,
                   at + strlen(from));
    (void)mkdir(path_of("spool"), 0700);
    write_file("demo.pem", "");
    write_file("demo.key", "");
    write_file("t.conf", text);
}

static void a_log_file_has_to_be_one_that_can_be_written(void **unused)
{
    static const struct {
        const char *file;
        const char *problems;
    } cases[] = {
        { "file = \"mail.log\"", "" },
        { "file = \"demo.key\"", "" },
        { "file = \"none/mail.log\"",
          "t.conf:17: cannot write to the log file none/mail.log: No such file or directory\n" },
        { "file = \"demo.key/mail.log\"",
          "t.conf:17: cannot write to the log file demo.key/mail.log: Not a directory\n" },
        { "file = \"spool\"", "t.conf:17: cannot write to the log file spool: Is a directory\n" },
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_demo("file = \"-\"", cases[i].file);
        assert_int_equal(load("t.conf", false, lines),
                         cases[i].problems[0] != '\0' ? STATUS_INVALID : STATUS_OK);
        assert_string_equal(lines, cases[i].problems);
        assert_int_equal(access(path_of("mail.log"), F_OK), -1);
    }
}

static void a_trust_anchor_of_the_system_has_to_be_there(void **unused)
{
    static char lines[TEXT_MAX];
    bool is_there = access("/usr/share/dns/root.key", R_OK) == 0 ||
                    access("/var/lib/unbound/root.key", R_OK) == 0;

    (void)unused;
    write_demo("log = {", "dns = { trust_anchor = \"system\"; }; log = {");
    assert_int_equal(load("t.conf", false, lines), is_there ? STATUS_OK : STATUS_INVALID);
    assert_string_equal(lines, is_there ? ""
                                        : "t.conf:17: the system has no trust anchor: neither "
                                          "/usr/share/dns/root.key (package dns-root-data) nor "
                                          "/var/lib/unbound/root.key can be read\n");
}

static void what_is_in_the_spool_has_to_be_usable(void **unused)
{
    static char lines[TEXT_MAX];

    (void)unused;
    write_demo("hostname", "hostname");
    write_file("spool/lock", "");
    write_file("spool/format", "");
    assert_int_equal(mkdir(path_of("spool/segments"), 0700), 0);
    assert_int_equal(load("t.conf", false, lines), STATUS_OK);
    assert_string_equal(lines, "");
    (void)unlink(path_of("spool/lock"));
    (void)rmdir(path_of("spool/segments"));
    assert_int_equal(mkdir(path_of("spool/lock"), 0700), 0);
    write_file("spool/segments", "");
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_string_equal(lines, "t.conf:16: cannot write to spool/lock: Is a directory\n"
                               "t.conf:16: cannot use the folder spool/segments: Not a "
                               "directory\n");
    (void)rmdir(path_of("spool/lock"));
    (void)unlink(path_of("spool/segments"));
    (void)unlink(path_of("spool/format"));
}

static void keys_and_authorities_are_judged_at_their_line(void **unused)
{
    static struct config_tls_judge strict = { .certificate = judge_certificate,
                                              .authorities = judge_authorities,
                                              .signing_key = judge_signing_key };
    static char lines[TEXT_MAX];

    (void)unused;
    judge = &strict;
    write_demo("workers = 0;", "workers = -1; tls = { ca_file = \"demo.pem\"; };");
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_string_equal(lines, "t.conf:14: workers has to be from 0 to 256\n"
                               "t.conf:14: warning: the CA file: demo.pem is old\n"
                               "t.conf:19: certificate \"demo\": demo.key does not fit\n");
    write_demo("workers = 0;",
               "tls_reports = { dkim = { selector = \"s\"; key = \"demo.pem\"; }; };");
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_non_null(strstr(lines, "t.conf:14: dkim: demo.pem signs nothing\n"));
    write_demo("workers = 0;", "workers = -1; tls = { ca_file = \"demo.pem\"; };");
    (void)unlink(path_of("demo.key"));
    assert_int_equal(load("t.conf", false, lines), STATUS_INVALID);
    assert_string_equal(lines, "t.conf:14: workers has to be from 0 to 256\n"
                               "t.conf:14: warning: the CA file: demo.pem is old\n"
                               "t.conf:19: certificate \"demo\": cannot read the key file "
                               "demo.key: No such file or directory\n");
    judge = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_shipped_examples_load_when_their_files_are_there,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(problems_of_an_included_file_carry_its_name_and_line,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_a_problem, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(relative_paths_of_an_included_file_are_beside_it,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_log_file_has_to_be_one_that_can_be_written, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_trust_anchor_of_the_system_has_to_be_there, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_is_in_the_spool_has_to_be_usable, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(keys_and_authorities_are_judged_at_their_line, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
