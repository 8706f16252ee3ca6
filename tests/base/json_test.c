#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_contents(struct buffer *b, const char *text)
{
    struct slice contents = buffer_contents(b);

    assert_int_equal(contents.len, strlen(text));
    assert_memory_equal(contents.data, text, contents.len);
}

static void test_values_are_written_with_their_commas(void **state)
{
    struct json_writer w;
    struct buffer b;

    (void)state;
    buffer_init(&b, 4096);
    json_init(&w, &b);
    json_open_object(&w);
    json_member_text(&w, "a", SLICE("x"));
    json_name(&w, "b");
    json_open_array(&w);
    json_number(&w, 0);
    json_number(&w, UINT64_MAX);
    json_open_object(&w);
    json_close(&w);
    json_open_array(&w);
    json_close(&w);
    json_bool(&w, true);
    json_close(&w);
    json_member_number(&w, "c", 7);
    json_name(&w, "d");
    json_bool(&w, false);
    json_close(&w);
    assert_int_equal(json_finish(&w), STATUS_OK);
    expect_contents(&b, "{\"a\": \"x\", \"b\": [0, 18446744073709551615, {}, [], true], "
                        "\"c\": 7, \"d\": false}");
    buffer_finish(&b);
}

static void test_text_is_escaped(void **state)
{
    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        { SLICE(""), "\"\"" },
        { SLICE("a\"b\\c"), "\"a\\\"b\\\\c\"" },
        { SLICE("\r\n\t\0\x7f"), "\"\\u000d\\u000a\\u0009\\u0000\\u007f\"" },
        { SLICE("\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7"),
          "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7\"" },
        { SLICE("a\xffz"), "\"a\\ufffdz\"" },
        { SLICE("\xc3"), "\"\\ufffd\"" },                       /* cut off */
        { SLICE("\xc0\xaf"), "\"\\ufffd\\ufffd\"" },            /* too long a form */
        { SLICE("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"" }, /* a surrogate */
        { SLICE("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_writer w;
        struct buffer b;

        buffer_init(&b, 4096);
        json_init(&w, &b);
        json_text(&w, cases[i].text);
        assert_int_equal(json_finish(&w), STATUS_OK);
        expect_contents(&b, cases[i].json);
        buffer_finish(&b);
    }
}

static void test_the_maximum_of_the_buffer_is_told_at_the_end(void **state)
{
    (void)state;
    for (size_t room = 0; room < 20; room++) {
        struct json_writer w;
        struct buffer b;

        buffer_init(&b, room);
        json_init(&w, &b);
        json_open_object(&w);
        json_member_text(&w, "name", SLICE("a long text"));
        json_close(&w);
        assert_int_equal(json_finish(&w), STATUS_LIMIT);
        assert_true(buffer_len(&b) <= room);
        buffer_finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_written_with_their_commas),
        cmocka_unit_test(test_text_is_escaped),
        cmocka_unit_test(test_the_maximum_of_the_buffer_is_told_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
