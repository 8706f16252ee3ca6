#include "tests/config/sample.h"

#define LINE(group) "hostname = \"mx.example.com\"; alerts = { " group " };"

static void alerts_have_defaults_and_values(void **unused)
{
    static char lines[TEXT_MAX];
    struct config_loaded *loaded = NULL;
    const struct config_alerts *a;
    struct buffer text;

    (void)unused;
    assert_int_equal(load(configuration(&text, 0, NULL).data, &loaded, lines), STATUS_OK);
    a = &loaded->settings.alerts;
    assert_int_equal(a->mail_count, 0);
    assert_string_equal(a->from, "");
    assert_string_equal(a->command, "");
    assert_int_equal(a->initial_wait_s, 300);
    assert_int_equal(a->max_wait_s, 3600);
    assert_true(a->required_tls && a->spool && a->certificates);
    config_loaded_destroy(loaded);
    buffer_finish(&text);

    configuration(&text, 1,
                  LINE("mail = [ \"ops@example.com\", \"o'night+1@example.net\" ]; from = "
                       "\"gate@example.com\"; command = \"/usr/bin/page\"; initial_wait = \"0s\"; "
                       "max_wait = \"1d\"; required_tls = false; spool = false; certificates = "
                       "false;"));
    assert_int_equal(load(buffer_contents(&text).data, &loaded, lines), STATUS_OK);
    a = &loaded->settings.alerts;
    assert_int_equal(a->mail_count, 2);
    assert_string_equal(a->mail[0], "ops@example.com");
    assert_string_equal(a->mail[1], "o'night+1@example.net");
    assert_string_equal(a->from, "gate@example.com");
    assert_string_equal(a->command, "/usr/bin/page");
    assert_int_equal(a->initial_wait_s, 0);
    assert_int_equal(a->max_wait_s, 86400);
    assert_false(a->required_tls || a->spool || a->certificates);
    config_loaded_destroy(loaded);
    buffer_finish(&text);
}

static void alerts_are_judged(void **unused)
{
#define NO_ADDRESS(text)                                                                           \
    "t.conf:1: mail: \"" text "\" is not an address of the form user@example.com"
#define SEVENTEEN                                                                                  \
    "\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\","   \
    "\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\",\"a@b.c\""
    static const struct {
        const char *line;
        const char *problems;
    } cases[] = {
        { LINE("mail = \"ops@example.com\";"),
          "t.conf:1: mail has to be a list of strings: [ \"...\", \"...\" ]" },
        { LINE("mail = [ \"ops\" ];"), NO_ADDRESS("ops") },
        { LINE("mail = [ \"ops@\" ];"), NO_ADDRESS("ops@") },
        { LINE("mail = [ \"example.com\" ];"), NO_ADDRESS("example.com") },
        { LINE("mail = [ \"o ps@example.com\" ];"), NO_ADDRESS("o ps@example.com") },
        { LINE("mail = [ \"<ops@example.com>\" ];"), NO_ADDRESS("<ops@example.com>") },
        { LINE("mail = [ \"a,b@example.com\" ];"), NO_ADDRESS("a,b@example.com") },
        { LINE("mail = [ \"\xc3\xa4@example.com\" ];"), NO_ADDRESS("\xc3\xa4@example.com") },
        { LINE("mail = [ " SEVENTEEN " ];"), "t.conf:1: mail has more than 16 addresses" },
        { LINE("from = \"Postern\";"),
          "t.conf:1: from = \"Postern\" is not an address of the form user@example.com" },
        { LINE("max_wait = \"1m\";"),
          "t.conf:1: max_wait has to be at least initial_wait, 300 seconds" },
        { LINE("initial_wait = \"2h\";"),
          "t.conf:1: max_wait has to be at least initial_wait, 7200 seconds" },
        { LINE("comand = \"x\";"),
          "t.conf:1: unknown key \"comand\" in alerts; did you mean \"command\"?" },
    };
    static char lines[TEXT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_loaded *loaded = NULL;
        struct buffer text;

        assert_int_equal(load(configuration(&text, 1, cases[i].line).data, &loaded, lines),
                         STATUS_INVALID);
        assert_string_equal(lines, cases[i].problems);
        buffer_finish(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_have_defaults_and_values),
        cmocka_unit_test(alerts_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
