#include "config/syntax_hint.h"

#include <libconfig.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"

const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the last string of a text with a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

struct hint_case {
    const char *text;
    const char *hint; /* with "in line N" */
};

/* What libconfig and the hint say: the line is libconfig's. */
static void say(const char *text, char said[static 512])
{
    struct config_syntax_hint hint;
    config_t config;
    unsigned line;

    config_init(&config);
    if (config_read_string(&config, text) == CONFIG_TRUE)
        fail_msg("no error in\n%s", text);
    line = (unsigned)config_error_line(&config);
    hint = strncmp(config_error_text(&config), "dup", 3) == 0
               ? config_syntax_hint_duplicate(slice_from(text), line)
               : config_syntax_hint(slice_from(text), line);
    if (hint.line > 0)
        (void)snprintf(said, 512, "%u%s in line %u", line, hint.text, hint.line);
    else
        (void)snprintf(said, 512, "%u%s", line, hint.text);
    config_destroy(&config);
}

#define TOO_MANY    "there is a comma too many behind the last entry in line "
#define COMMA       "a comma is missing behind the entry in line "
#define QUOTES      "text wants quotes: "
#define CURLY       "quotes have to be plain ones: \""
#define NOT_CLOSED  "has to be closed before: it stands in line "
#define QUOTE_BEGIN "a quote may be missing behind the string that begins in line "

static const struct hint_case cases[] = {
    { "a = (\n  { b = 1; }\n  { b = 2; }\n);\n", "3 at \"{\": " COMMA "2" },
    { "a = ( \"x\",\n  \"y\"\n  # so\n  { b = 2; } );\n", "4 at \"{\": " COMMA "2" },
    { "a = ( ( 1 )\n ( 2 ) );\n", "2 at \"(\": " COMMA "1" },
    { "a = ( { }\n \"x\" );\n", "2 at \"x\": " COMMA "1" },
    { "a = [ 1\n \"x\ny\" ];\n", "3 at \"x: " COMMA "1" }, /* the first line of it */
    { "a = [ 1 2 ];\n", "1 at \"2\": " COMMA "1" },
    { "a = (\n  { },\n);\n", "3 at \")\": " TOO_MANY "2" },
    { "a = [ \"x\", ];\n", "1 at \"]\": " TOO_MANY "1" },
    { "tls = required-verify;\n", "1 at \"required-verify\": " QUOTES "\"required-verify\"" },
    { "a = { b = ACCEPT }\n", "1 at \"ACCEPT\": " QUOTES "\"ACCEPT\"" },
    { "a = ( x.example, 2 )\n", "1 at \"x\": " QUOTES "\"x.example\"" },
    { "a = /etc/postern;\n", "1 at \"/etc/postern\": " QUOTES "\"/etc/postern\"" },
    { "a = 20M;\nb = 1;\n", "1 at \";\": " QUOTES "\"20M\"" },
    { "a = [ 192.0.2.1:25 ]\n", "1 at \".2\": " QUOTES "\"192.0.2.1:25\"" },
    { "a = 10.0.0.0/8\n", "1 at \".0\": " QUOTES "\"10.0.0.0/8\"" },
    { "a = 2001:db8::1\n", "1 at \":\": " QUOTES "\"2001:db8::1\"" },
    { "a = \xe2\x80\x9cx\xe2\x80\x9d;\n", "1 at \"\xe2\x80\x9cx\xe2\x80\x9d\": " CURLY },
    { "a = \xe2\x80\x9ex\";\n", "1 at \"\xe2\x80\x9ex\": " CURLY },
    { "a = [ \xc2\xabx\xc2\xbb ];\n", "1 at \"\xc2\xabx\xc2\xbb\": " CURLY },
    { "a = \"x;\nb = \"y\";\nc = z\";\n", "3 at \";: " QUOTE_BEGIN "1" },
    { "a = {\n  b = 1;\n", "3 at the end: \"{\" " NOT_CLOSED "1" },
    { "a = (\n { b = 1; \n);\n", "3 at \")\": \"{\" " NOT_CLOSED "2" },
    { "a = ( { }\n };\n", "2 at \"}\": \"(\" " NOT_CLOSED "1" },
    { "a = { };\n};\n", "2 at \"}\": nothing is open that it could close" },
    { "a = ( \"x\"; \"y\" );\n",
      "1 at \";\": entries are parted by \",\" between \"(\" and its end" },
    { "a = ( b = 1 );\n", "1 at \"b\": in ( ) a setting stands in a group: { b = ... }" },
    { "a = [ { } ];\n", "1 at \"{\": [ ] has plain values; groups and lists stand in ( )" },
    { "a == 1;\n", "1 at \"=\": a value has to stand here" },
    { "a = ;\n", "1 at \";\": a value has to stand here" },
    { "a \"x\";\n", "1 at \"x\": \"=\" is missing behind a" },
    { "a = 1;;\n", "1 at \";\": NAME = VALUE has to stand here" },
    { "/* { */ # (\n// [\na = 'x';\n", "3 at \"'x'\": " QUOTES "\"'x'\"" },
    { "a = { b = 1; c = 2;\n b = 3; };\n", "2 \"b\": it stands already in line 1" },
    { "a = 1;\nb = { a = 2; c = { a = 1; }; };\n\nc = 1; a = 3;\n",
      "4 \"a\": it stands already in line 1" },
    { "a = ( { b = 1; }, { b = 1;\nb = 2; } );\n", "2 \"b\": it stands already in line 1" },
};

static void the_commonest_mistakes_get_a_hint(void **unused)
{
    char said[512];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        say(cases[i].text, said);
        if (strcmp(said, cases[i].hint) != 0)
            fail_msg("case %zu:\n%s\ngives\n%s\nexpected\n%s\n", i, cases[i].text, said,
                     cases[i].hint);
    }
}

static void what_is_not_an_error_gets_no_hint(void **unused)
{
    static const char text[] = "a = { b = 1, c = [ \"x\" \"y\" ]; d = ( ); e: 0x1FL };\n"
                               "f = ( 1, -.5, { }, [ ], \"a\n\\\"b\" )\n";

    (void)unused;
    for (unsigned line = 0; line < 5; line++) {
        assert_string_equal(config_syntax_hint(slice_from(text), line).text, "");
        assert_string_equal(config_syntax_hint_duplicate(slice_from(text), line).text, "");
    }
}

/* Whatever line is asked for. The copy ends with its bytes, for the address sanitizer. */
static void ask_cut(struct slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);

    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    for (unsigned line = 0; line < 5; line++) {
        struct config_syntax_hint hint = config_syntax_hint((struct slice){ copy, text.len }, line);

        assert_true(hint.line <= line);
        hint = config_syntax_hint_duplicate((struct slice){ copy, text.len }, line);
        assert_true(hint.line <= line);
    }
    free(copy);
}

static void a_text_may_be_cut_anywhere(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_from(cases[i].text);

        for (size_t len = 0; len <= text.len; len++) {
            ask_cut(slice_first(text, len));
            ask_cut(slice_after(text, len));
        }
    }
}

static void a_text_may_be_nested_and_long(void **unused)
{
    static char text[20000];

    (void)unused;
    memset(text, '(', sizeof(text));
    text[0] = 'a';
    text[1] = '=';
    assert_string_equal(config_syntax_hint((struct slice){ text, sizeof(text) }, 1).text, "");
    memset(text + 2, 'x', sizeof(text) - 2);
    assert_string_equal(config_syntax_hint((struct slice){ text, sizeof(text) }, 1).text,
                        " at \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\": text wants quotes: "
                        "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_commonest_mistakes_get_a_hint),
        cmocka_unit_test(what_is_not_an_error_gets_no_hint),
        cmocka_unit_test(a_text_may_be_cut_anywhere),
        cmocka_unit_test(a_text_may_be_nested_and_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
