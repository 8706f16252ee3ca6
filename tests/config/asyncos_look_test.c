#include <stdlib.h>

#include "config/asyncos_destinations.h"
#include "config/asyncos_look.h"
#include "config/asyncos_routes.h"
#include "tests/config/asyncos_sample.h"
#include "tests/config/import.h"

static enum config_asyncos_table look(struct slice text)
{
    return config_asyncos_look(&(struct config_asyncos_import){ "t.txt", "in", text });
}

static void a_text_looks_like_the_table_that_it_was_exported_from(void **unused)
{
    static const struct {
        const char *text;
        enum config_asyncos_table table;
    } cases[] = {
        { guide_hat, CONFIG_ASYNCOS_HAT },
        { "\xef\xbb\xbf# exported\r\n$P\r\n    ACCEPT {\r\n a = \"}\"\r\n b = c\r\n }\r\n",
          CONFIG_ASYNCOS_HAT },
        { "WHITELIST: (ours)\n  firma.example\n  ACCEPT\nALL\n  REJECT\n", CONFIG_ASYNCOS_HAT },
        { "firma.example ACCEPT\n.firma.example ACCEPT\nALL REJECT\n", CONFIG_ASYNCOS_RAT },
        { "a.example,\n b@, [192.0.2.1]\n  ACCEPT { smtp_response_code = 250 }\nALL reject\n",
          CONFIG_ASYNCOS_RAT },
        { "a.example (we REJECT spam) ACCEPT\n", CONFIG_ASYNCOS_RAT },
        { "[192.0.2.1]\nuser@[IPv6:2001:db8::1] ACCEPT\n", CONFIG_ASYNCOS_RAT },
        { "[DEFAULT]\n# all\ntable_tls = on\n", CONFIG_ASYNCOS_DESTINATIONS },
        { "[a.example]\ncertificate:\n", CONFIG_ASYNCOS_DESTINATIONS },
        { "a.example: mx.example\nALL USEDNS\n", CONFIG_ASYNCOS_ROUTES },
        { ".a.example  [192.0.2.1]:25/pri=10, mx.example\n", CONFIG_ASYNCOS_ROUTES },
        { "ALL relay\n", CONFIG_ASYNCOS_ROUTES },
        /* These may be meant for more than one table, or for none. */
        { "", CONFIG_ASYNCOS_NONE },
        { "# nothing\n", CONFIG_ASYNCOS_NONE },
        { "ALL REJECT\n", CONFIG_ASYNCOS_NONE },
        { "192.0.2.1 REJECT\na.example REJECT\nALL ACCEPT\n", CONFIG_ASYNCOS_NONE },
        { "10. REJECT\na.example REJECT\n", CONFIG_ASYNCOS_NONE },
        { "sbrs[-10:-3] REJECT\na.example REJECT\n", CONFIG_ASYNCOS_NONE },
        { "a.example RELAY\nALL REJECT\n", CONFIG_ASYNCOS_NONE },
        { "a.example mx.example\nb.example ACCEPT\n", CONFIG_ASYNCOS_NONE },
        { "a.example, b.example\n", CONFIG_ASYNCOS_NONE },
        { "[DEFAULT]\n[a.example]\n", CONFIG_ASYNCOS_NONE },
        { "} { ( [\n]\n= \"\n", CONFIG_ASYNCOS_NONE },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (look(slice_from(cases[i].text)) != cases[i].table)
            fail_msg("case %zu:\n%s\nlooks like %d", i, cases[i].text,
                     (int)look(slice_from(cases[i].text)));
}

static void a_look_goes_no_further_than_the_text(void **unused)
{
    struct slice text = slice_from(guide_hat);

    (void)unused;
    for (size_t len = 0; len <= text.len; len++) {
        char *copy = malloc(len > 0 ? len : 1); /* for the address sanitizer */

        assert_non_null(copy);
        memcpy(copy, text.data, len);
        (void)look((struct slice){ copy, len });
        memcpy(copy, text.data + text.len - len, len);
        (void)look((struct slice){ copy, len });
        free(copy);
    }
}

static const struct {
    import_function *function;
    enum config_asyncos_table table;
    const char *sample, *name, *command;
} tables[] = {
    { config_import_hat, CONFIG_ASYNCOS_HAT, guide_hat, "a HAT (host access table)", "hat" },
    { config_import_rat, CONFIG_ASYNCOS_RAT, "a.example ACCEPT\nALL REJECT\n",
      "a RAT (recipient access table)", "rat" },
    { config_import_destinations, CONFIG_ASYNCOS_DESTINATIONS, "[DEFAULT]\ntable_tls = on\n",
      "destination controls", "destinations" },
    { config_import_routes, CONFIG_ASYNCOS_ROUTES, "a.example mx.example\n", "SMTP routes",
      "routes" },
};

static void another_table_is_refused_in_one_line(void **unused)
{
    static struct imported i;
    char expected[256];

    (void)unused;
    for (size_t k = 0; k < ARRAY_LEN(tables); k++) {
        for (size_t of = 0; of < ARRAY_LEN(tables); of++) {
            import_text(&i, tables[k].function, slice_from(tables[of].sample));
            (void)snprintf(expected, sizeof(expected),
                           "t.txt: this looks like %s, not like %s: \"postern import %s\" reads it",
                           tables[of].name, tables[k].name, tables[of].command);
            assert_int_equal(i.status, k == of ? STATUS_OK : STATUS_INVALID);
            if (k != of)
                assert_string_equal(i.lines, expected);
            imported_finish(&i);
        }
    }
}

static void a_table_without_a_row_is_refused(void **unused)
{
    static const char *const texts[] = { "", "# only this\n", "\r\n \t\n", "\xef\xbb\xbf" };
    static struct imported i;

    (void)unused;
    for (size_t k = 0; k < ARRAY_LEN(tables); k++) {
        for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
            import_text(&i, tables[k].function, slice_from(texts[n]));
            assert_int_equal(i.status, STATUS_INVALID);
            assert_string_equal(i.lines, "t.txt: no row in it: it is empty, or has been cut off");
            imported_finish(&i);
        }
    }
    import_text(&i, config_import_hat, SLICE("$P\n ACCEPT {\n tls = on }\n$Q\n REJECT\n"));
    assert_int_equal(i.status, STATUS_INVALID);
    assert_string_equal(i.lines, "t.txt: no row in it: it is empty, or has been cut off");
    imported_finish(&i);
}

static void no_host_of_a_route_is_named_like_a_rule(void **unused)
{
#define RULE(line, rule)                                                                           \
    "t.txt:" line ": " rule " is an access rule of a HAT or RAT, not a host; [" rule               \
    "] would be one"
    static struct imported i;

    (void)unused;
    import_text(&i, config_import_routes,
                SLICE("a.example mx.example\nb.example ACCEPT\nc.example relay, Reject\n"
                      "d.example [ACCEPT], [RELAY]:25\ne.example: RELAY\nf.example TCPREFUSE\n"
                      "g.example continue\n"));
    assert_int_equal(i.status, STATUS_INVALID);
    assert_string_equal(i.lines,
                        RULE("2", "ACCEPT") "\n" RULE("3", "Reject") "\n" RULE(
                            "5", "RELAY") "\n" RULE("6", "TCPREFUSE") "\n" RULE("7", "continue"));
    imported_finish(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_looks_like_the_table_that_it_was_exported_from),
        cmocka_unit_test(a_look_goes_no_further_than_the_text),
        cmocka_unit_test(another_table_is_refused_in_one_line),
        cmocka_unit_test(a_table_without_a_row_is_refused),
        cmocka_unit_test(no_host_of_a_route_is_named_like_a_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
