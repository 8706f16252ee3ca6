/* tests/smtp/codes.h - a dialogue with a server session, judged by the codes of its replies alone.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/smtp/converse.h"

#define EHLO "EHLO a.example\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define HI   EHLO MAIL RCPT "DATA\r\n"

/* The codes of the replies in the log, one for each reply, and "!" where the session ended. */
static inline void codes_of(const struct converse *c, char codes[static 512])
{
    struct slice rest = buffer_contents(&c->log);
    size_t n = 0;

    while (rest.len > 0 && n + 8 < 512) {
        struct slice line = slice_cut(&rest, '\n');

        if (line.len > 0 && line.data[0] == '[' && line.data[1] != 'T')
            codes[n++] = '!';
        if (line.len > 9 && memcmp(line.data, "(dropped)[", 10) == 0)
            codes[n++] = '!';
        if (line.len > 9 && memcmp(line.data, "(dropped)", 9) == 0)
            line = slice_after(line, 9);
        if (line.len > 3 && ascii_is_digit(line.data[0]) && line.data[3] == ' ') {
            if (n > 0)
                codes[n++] = ' ';
            memcpy(codes + n, line.data, 3);
            n += 3;
        }
    }
    codes[n] = '\0';
}

static inline void expect_codes(const struct smtp_server_options *options, const char *sent,
                                const char *codes_expected)
{
    struct converse c;
    char codes[512];
    size_t len = strlen(sent);

    converse_cut(&c, options, slice_from(sent), len, len);
    codes_of(&c, codes);
    if (strcmp(codes, codes_expected) != 0)
        print_error("sent: %s\nlog: %.*s\n", sent, SLICE_ARGS(buffer_contents(&c.log)));
    assert_string_equal(codes, codes_expected);
    converse_finish(&c);
}
