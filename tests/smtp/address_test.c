#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "smtp/address.h"

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Parses a copy of exact size and gives back "whole|local|domain|rest", or "-". */
static const char *parse(struct slice text, enum smtp_path_kind kind)
{
    static char result[2048];
    struct smtp_mailbox m;
    struct slice rest = text;

    if (!smtp_path_parse(&rest, kind, &m)) {
        assert_ptr_equal(rest.data, text.data);
        return "-";
    }
    (void)snprintf(result, sizeof(result), "%.*s|%.*s|%.*s|%.*s", SLICE_ARGS(m.whole),
                   SLICE_ARGS(m.local), SLICE_ARGS(m.domain), SLICE_ARGS(rest));
    return result;
}

static const struct {
    const char *text, *reverse, *forward;
} paths[] = {
    { "<>", "|||", "-" },
    { "<> SIZE=1", "||| SIZE=1", "-" },
    { "<a@b>", "a@b|a|b|", "a@b|a|b|" },
    { "<a.b+c=d@e-f.g1>x", "a.b+c=d@e-f.g1|a.b+c=d|e-f.g1|x", "a.b+c=d@e-f.g1|a.b+c=d|e-f.g1|x" },
    { "<postmaster>", "-", "postmaster|postmaster||" },
    { "<PostMaster>", "-", "PostMaster|PostMaster||" },
    { "<root>", "-", "-" },
    { "<\"a b\"@c>", "\"a b\"@c|\"a b\"|c|", "\"a b\"@c|\"a b\"|c|" },
    { "<\"a>b\"@c>", "\"a>b\"@c|\"a>b\"|c|", "\"a>b\"@c|\"a>b\"|c|" },
    { "<\"a\\\"b\"@c>", "\"a\\\"b\"@c|\"a\\\"b\"|c|", "\"a\\\"b\"@c|\"a\\\"b\"|c|" },
    { "<\"\"@c>", "\"\"@c|\"\"|c|", "\"\"@c|\"\"|c|" },
    { "<@x,@y.z:a@b>", "a@b|a|b|", "a@b|a|b|" },
    { "<@x:>", "-", "-" },
    { "<@x,y:a@b>", "-", "-" },
    { "<@x:@y:a@b>", "-", "-" },
    { "<@x>", "-", "-" },
    { "<a@[192.0.2.1]>", "a@[192.0.2.1]|a|[192.0.2.1]|", "a@[192.0.2.1]|a|[192.0.2.1]|" },
    { "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]|a|[IPv6:2001:db8::1]|",
      "a@[IPv6:2001:db8::1]|a|[IPv6:2001:db8::1]|" },
    { "<a@[2001:db8::1]>", "-", "-" },
    { "<a@[IPv6:192.0.2.1]>", "-", "-" },
    { "<a@[192.0.2.256]>", "-", "-" },
    { "<a@[]>", "-", "-" },
    { "<a@[x:y]>", "-", "-" },
    { "<a@b_c.d>", "a@b_c.d|a|b_c.d|", "a@b_c.d|a|b_c.d|" },
    { "<\xc3\xa4@\xc3\xb6.de>", "\xc3\xa4@\xc3\xb6.de|\xc3\xa4|\xc3\xb6.de|",
      "\xc3\xa4@\xc3\xb6.de|\xc3\xa4|\xc3\xb6.de|" },
    { "<\xe4@b>", "-", "-" },
    { "<\xc0\xaf@b>", "-", "-" },
    { "<\xed\xa0\x80@b>", "-", "-" },
    { "<\xf4\x90\x80\x80@b>", "-", "-" },
    { "<a@b\xc3>", "-", "-" },
    { "a@b", "-", "-" },
    { "<a@b", "-", "-" },
    { "a@b>", "-", "-" },
    { "<<a@b>>", "-", "-" },
    { "< a@b>", "-", "-" },
    { "<a@b >", "-", "-" },
    { "<a @b>", "-", "-" },
    { "<a@ b>", "-", "-" },
    { "<a\t@b>", "-", "-" },
    { "<a@b\r>", "-", "-" },
    { "<a@b@c>", "-", "-" },
    { "<@b>", "-", "-" },
    { "<a@>", "-", "-" },
    { "<a@.b>", "-", "-" },
    { "<a@b.>", "-", "-" },
    { "<a@b..c>", "-", "-" },
    { "<a@-b>", "-", "-" },
    { "<a@b->", "-", "-" },
    { "<.a@b>", "-", "-" },
    { "<a.@b>", "-", "-" },
    { "<a..b@c>", "-", "-" },
    { "<a(c)@b>", "-", "-" },
    { "<a,b@c>", "-", "-" },
    { "<\"a@b>", "-", "-" },
    { "<\"a\"b@c>", "-", "-" },
    { "<\"a\\\"@b>", "-", "-" },
    { "<\"a\x01\"@b>", "-", "-" },
    { "<\"a\n\"@b>", "-", "-" },
    { "", "-", "-" },
    { "<", "-", "-" },
};

static void paths_are_taken_apart(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_string_equal(parse(slice_from(paths[i].text), SMTP_PATH_REVERSE), paths[i].reverse);
        assert_string_equal(parse(slice_from(paths[i].text), SMTP_PATH_FORWARD), paths[i].forward);
    }
    assert_string_equal(parse((struct slice){ "<a\0b@c>", 7 }, SMTP_PATH_REVERSE), "-");
    assert_string_equal(parse((struct slice){ "<a@b\0>", 6 }, SMTP_PATH_REVERSE), "-");
}

static void lengths_have_their_limits(void **unused)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "<" L63 "aa@b>", true },
        { "<" L63 L63 L63 L63 "@b>", true },
        { "<" L63 L63 L63 L63 "a@b>", false },
        { "<a@" L63 ">", true },
        { "<a@" L63 "a>", false },
        { "<a@" L63 "." L63 "." L63 "."
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>",
          true },
        { "<a@" L63 "." L63 "." L63 "."
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>",
          false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *result = parse(slice_from(cases[i].text), SMTP_PATH_REVERSE);

        assert_int_equal(strcmp(result, "-") != 0, cases[i].good);
    }
}

static void mailboxes_stand_alone(void **unused)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = { { "a@b", true },           { "", false },         { "a", false },
                  { "postmaster", false },   { "a@b>", false },     { "<a@b>", false },
                  { "a@[192.0.2.1]", true }, { "\"x y\"@b", true }, { "a@b ", false } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_mailbox m;

        assert_int_equal(smtp_mailbox_parse(slice_from(cases[i].text), &m), cases[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(lengths_have_their_limits),
        cmocka_unit_test(mailboxes_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
