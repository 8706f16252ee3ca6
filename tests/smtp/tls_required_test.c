#include "smtp/tls_required.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtp/body.h"

static const struct {
    const char *text;
    bool is_no;
} cases[] = {
    { "TLS-Required: No\r\n\r\nx\r\n", true },
    { "A: b\r\ntls-required:no\r\nC: d\r\n\r\n", true },
    { "TLS-REQUIRED:\t NO \t\r\n\r\n", true },
    { "TLS-Required:\r\n No\r\n\r\n", true }, /* FWS */
    { "TLS-Required:\r\n \r\n\tNo\r\n \r\n\r\n", true },
    { "TLS-Required: No", true }, /* the message ends there */
    { "A: b\r\n TLS-Required: No\r\n\r\n", false },
    { "A: b\r\n\r\nTLS-Required: No\r\n", false },
    { "\r\nTLS-Required: No\r\n\r\n", false },
    { "X-TLS-Required: No\r\n\r\n", false },
    { "TLS-Required : No\r\n\r\n", false },
    { "TLS-Require: No\r\n\r\n", false },
    { "TLS-Required: Yes\r\n\r\n", false },
    { "TLS-Required:\r\n\r\nNo\r\n", false },
    { "TLS-Required: N\r\n\r\n", false },
    { "TLS-Required: N o\r\n\r\n", false },
    { "TLS-Required: N\r\n o\r\n\r\n", false },
    { "TLS-Required: None\r\n\r\n", false },
    { "TLS-Required: No, not at all\r\n\r\n", false },
    { "TLS-Required: No\r\n way\r\n\r\n", false },
    { "TLS-Required: No\r\nTLS-Required: No\r\n\r\n", false },
    { "TLS-Required: Yes\r\nTLS-Required: No\r\n\r\n", false },
    { "TLS-Required: No\r\nTLS-Required: Yes\r\n\r\n", false },
    { "TLS-Required: No\r\nTLS-Required: No\r\nTLS-Required: No\r\n\r\n", false },
    { "", false },
};

/* As the end of a message says it, for each cut into two, and byte by byte. */
static bool says(struct slice text, size_t cut, bool is_bytewise)
{
    struct smtp_body b;

    smtp_body_init(&b);
    for (size_t at = 0; at < text.len;) {
        size_t len = is_bytewise ? 1 : at < cut ? cut - at : text.len - at, used;
        struct slice run;

        (void)smtp_body_next(&b, (struct slice){ text.data + at, len }, &used, &run);
        at += used;
    }
    return smtp_tls_required_is_no(&b.tls_required);
}

static void only_one_field_that_says_no_counts(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice text = slice_from(cases[i].text);

        for (size_t cut = 0; cut <= text.len; cut++)
            if (says(text, cut, false) != cases[i].is_no)
                fail_msg("%s, cut at %zu", cases[i].text, cut);
        if (says(text, 0, true) != cases[i].is_no)
            fail_msg("%s, byte by byte", cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_field_that_says_no_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
