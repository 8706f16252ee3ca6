#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"
#include "config/suggest.h"
#include "config/units.h"

#define REFUSED UINT64_MAX

static void sizes_and_durations_are_read_exactly(void **unused)
{
    static const struct {
        const char *text;
        uint64_t bytes, seconds;
    } cases[] = {
        { "0", 0, REFUSED },
        { "17", 17, REFUSED },
        { "20M", 20 << 20, REFUSED },
        { "20m", 20 << 20, 1200 },
        { "1K", 1024, REFUSED },
        { "3g", (uint64_t)3 << 30, REFUSED },
        { "90s", REFUSED, 90 },
        { "72h", REFUSED, 259200 },
        { "3D", REFUSED, REFUSED },
        { "0s", REFUSED, 0 },
        { "", REFUSED, REFUSED },
        { "M", REFUSED, REFUSED },
        { "-1M", REFUSED, REFUSED },
        { "1.5M", REFUSED, REFUSED },
        { "1 M", REFUSED, REFUSED },
        { "1MB", REFUSED, REFUSED },
        { "17179869183G", (uint64_t)17179869183u << 30, REFUSED },
        { "17179869184G", REFUSED, REFUSED },
        { "18446744073709551616", REFUSED, REFUSED },
        { "213503982334602d", REFUSED, REFUSED },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = REFUSED, seconds = REFUSED;

        assert_int_equal(config_size_parse(slice_from(cases[i].text), &bytes),
                         cases[i].bytes != REFUSED);
        assert_int_equal(bytes, cases[i].bytes);
        assert_int_equal(config_duration_parse(slice_from(cases[i].text), &seconds),
                         cases[i].seconds != REFUSED);
        assert_int_equal(seconds, cases[i].seconds);
    }
}

static void what_is_written_is_read_back(void **unused)
{
    static const uint64_t values[] = { 0, 1, 59, 60, 61, 3600, 86400, 90000, 1024, 1536, 1 << 30 };
    static const struct {
        uint64_t value;
        const char *size, *duration;
    } texts[] = { { 1 << 20, "1M", "1048576s" }, { 7200, "7200", "2h" }, { 0, "0", "0s" } };
    char text[CONFIG_UNIT_TEXT_MAX];
    uint64_t back;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_true(config_size_parse(slice_from(config_size_format(values[i], text)), &back));
        assert_int_equal(back, values[i]);
        assert_true(
            config_duration_parse(slice_from(config_duration_format(values[i], text)), &back));
        assert_int_equal(back, values[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_string_equal(config_size_format(texts[i].value, text), texts[i].size);
        assert_string_equal(config_duration_format(texts[i].value, text), texts[i].duration);
    }
}

static void the_nearest_name_is_suggested_or_none(void **unused)
{
    static const char *const names[] = {
        "address", "port", "certificate", "backlog", "hat", "rat"
    };
    static const struct {
        const char *wrong, *hint;
    } cases[] = {
        { "adress", "; did you mean \"address\"?" },
        { "Address", "; did you mean \"address\"?" },
        { "prot", "; did you mean \"port\"?" },
        { "certficate", "; did you mean \"certificate\"?" },
        { "bcaklog", "; did you mean \"backlog\"?" },
        { "mat", "; did you mean \"hat\"?" },
        { "colour", "" },
        { "", "" },
        { "x", "" },
        { "certificate_certificate_certificate_certificate_certificate_certificate_", "" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_suggestion s = config_suggestion_begin(cases[i].wrong);
        char text[CONFIG_SUGGESTION_TEXT_MAX];

        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            config_suggestion_offer(&s, names[k]);
        assert_string_equal(config_suggestion_text(&s, text), cases[i].hint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_durations_are_read_exactly),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_nearest_name_is_suggested_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
