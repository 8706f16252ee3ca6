#include "base/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* One letter for each token. */
static const char letters[] = {
    [JSON_OBJECT] = '{', [JSON_ARRAY] = '[',  [JSON_CLOSE] = ')',
    [JSON_NAME] = 'n',   [JSON_STRING] = 's', [JSON_NUMBER] = '1',
    [JSON_WORD] = 'w',   [JSON_END] = '.',    [JSON_BAD] = '!',
};

static void scan(struct slice text, char tokens[static 64])
{
    struct json_scan s;
    struct slice value;
    enum json_token token;
    size_t len = 0;

    json_scan_init(&s, text);
    do {
        token = json_scan_next(&s, &value);
        assert_true(len < 63);
        tokens[len++] = letters[token];
    } while (token != JSON_END && token != JSON_BAD);
    tokens[len] = '\0';
    assert_int_equal(json_scan_next(&s, &value), token);
}

static void test_tokens_come_in_order_and_mistakes_are_noticed(void **state)
{
    static const struct {
        struct slice text;
        const char *tokens;
    } cases[] = {
        { SLICE("{}"), "{)." },
        { SLICE(" [ ] \n"), "[)." },
        { SLICE("7"), "1." },
        { SLICE("true"), "w." },
        { SLICE("\"a\\\"b\""), "s." },
        { SLICE("{\"a\": 1, \"b\" : [true, -2.5e3, \"x\", {}], \"c\":null}"), "{n1n[w1s{))nw)." },
        { SLICE(""), "!" },
        { SLICE("{"), "{!" },
        { SLICE("{]"), "{!" },
        { SLICE("[}"), "[!" },
        { SLICE("}"), "!" },
        { SLICE("{} {}"), "{)!" },
        { SLICE("{\"a\"}"), "{!" },
        { SLICE("{\"a\":}"), "{n!" },
        { SLICE("{\"a\":1,2}"), "{n1!" },
        { SLICE("{\"a"), "{!" },
        { SLICE("\"a\\"), "!" },
        { SLICE("[:5]"), "[!" },
        { SLICE("[\0]"), "[!" },
        { SLICE("[[[[[[[[[[[[[[[[[]"), "[[[[[[[[[[[[[[[[!" },
    };
    char tokens[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        scan(cases[i].text, tokens);
        assert_string_equal(tokens, cases[i].tokens);
    }
}

/* Whatever it is cut from, it ends, and never with more than was there. */
static void test_no_part_of_a_text_is_taken_for_the_whole(void **state)
{
    static const char whole[] = "{\"a\": [1, {\"b\": \"c\\\\\"}, true], \"d\": {}}";
    char tokens[64];

    (void)state;
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        scan((struct slice){ whole, len }, tokens);
        assert_int_equal(tokens[strlen(tokens) - 1], '!');
    }
}

static void test_a_string_is_read_as_it_was_written(void **state)
{
    static const struct slice texts[] = {
        SLICE("plain"),
        SLICE("quote\" back\\slash"),
        SLICE("\t\r\n\x01\x7f"),
        SLICE("\xc3\xa4\xe2\x82\xac"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json_writer w;
        struct json_scan s;
        struct slice value;
        struct buffer b;
        char text[64];

        buffer_init(&b, 256);
        json_init(&w, &b);
        json_text(&w, texts[i]);
        assert_int_equal(json_finish(&w), STATUS_OK);
        json_scan_init(&s, buffer_contents(&b));
        assert_int_equal(json_scan_next(&s, &value), JSON_STRING);
        assert_string_equal(json_unescape(value, text, sizeof(text)), texts[i].data);
        assert_int_equal(strlen(json_unescape(value, text, 4)), 3);
        buffer_finish(&b);
    }
}

static void test_escapes_that_cannot_be_shown_become_question_marks(void **state)
{
    static const struct {
        struct slice raw;
        const char *text;
    } cases[] = {
        { SLICE("\\u0041\\u00e4\\u00"), "A??" },
        { SLICE("\\b\\f\\n\\r\\t\\/"), "\b\f\n\r\t/" },
        { SLICE("a\\"), "a\\" },
        { SLICE("\\uzzzz"), "?" },
        { SLICE(""), "" },
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(json_unescape(cases[i].raw, text, sizeof(text)), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_come_in_order_and_mistakes_are_noticed),
        cmocka_unit_test(test_no_part_of_a_text_is_taken_for_the_whole),
        cmocka_unit_test(test_a_string_is_read_as_it_was_written),
        cmocka_unit_test(test_escapes_that_cannot_be_shown_become_question_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
