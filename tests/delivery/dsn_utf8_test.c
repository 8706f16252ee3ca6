/* What is not ASCII in a DSN, RFC 6533: whose report may speak UTF-8, which part then says so, and
 * what stands there otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/delivery/dsn_built.h"

#include "base/hash.h"
#include "delivery/dsn.h"
#include "delivery/dsn_text.h"

#define MAIL      "\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0@\xd0\xbf\xd1\x80.example"
#define JUERGEN   "j\xc3\xbcrgen@example.net"
#define EIGHT_BIT "Content-Transfer-Encoding: 8bit\r\n"

static const char ascii_human[] = "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n";
static const char utf8_human[] = "\r\nContent-Type: text/plain; charset=utf-8\r\n" EIGHT_BIT "\r\n";
static const char ascii_status[] = "\r\nContent-Type: message/delivery-status\r\n\r\n";
static const char utf8_status[] =
    "\r\nContent-Type: message/global-delivery-status\r\n" EIGHT_BIT "\r\n";

static struct delivery_dsn example(const char *original)
{
    return (struct delivery_dsn){
        .hostname = SLICE("mx1.example.com"),
        .to = SLICE("alice@example.com"),
        .message_id = SLICE("42.dsn@mx1.example.com"),
        .date = SLICE("Sun, 22 Nov 2026 17:54:00 +0000"),
        .arrival_date = SLICE("Sun, 22 Nov 2026 17:00:00 +0000"),
        .mid = 42,
        .recipients_count = 1,
        .original = slice_from(original),
        .original_is_stuffed = true,
        .original_bytes_max = DSN_BUILT_MAX,
    };
}

static void assert_holds(size_t i, const char *text, const char *part)
{
    if (part == NULL)
        return;
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("case %zu lacks:\n%s\nin:\n%s", i, part, text != NULL ? text : "");
}

static void a_report_speaks_utf8_to_who_declared_it_and_where_there_is_some(void **unused)
{
    static const struct {
        bool is_smtputf8;
        const char *address, *original, *reply;
        bool speaks_utf8;
        const char *human, *final, *original_field, *diagnostic;
    } cases[] = {
        { true, JUERGEN, "", "550 no", true, "message to <" JUERGEN "> was undeliverable.\r\n",
          "\r\nFinal-Recipient: utf-8; " JUERGEN "\r\nAction: failed\r\n", NULL,
          "smtp; 550 no\r\n" },
        { true, "j@example.net", "utf-8;" JUERGEN, "550 no", true, "<j@example.net> was",
          "\r\nFinal-Recipient: rfc822; j@example.net\r\n",
          "\r\nOriginal-Recipient: utf-8;" JUERGEN "\r\nFinal-", NULL },
        { true, MAIL, "utf-8;" MAIL, "550 5.1.1 " MAIL " \xe7\x84\xa1", true, "<" MAIL "> was",
          "utf-8; " MAIL "\r\n", "utf-8;" MAIL "\r\n",
          "smtp; 550 5.1.1 " MAIL " \xe7\x84\xa1\r\n" },
        /* All of its values are ASCII: nobody needs to be able to do more than before. */
        { true, "j@example.net", "utf-8;j\\x{FC}@x", "550 no", false, "<j@example.net> was",
          "rfc822; j@example.net\r\n", "Original-Recipient: utf-8;j\\x{FC}@x\r\n", "550 no\r\n" },
        /* What is no UTF-8, and what a terminal would obey, is not kept. */
        { true, JUERGEN, "", "550 \xff\xc3\xbc\xc2\x9b\x1b[31m\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80",
          true, "said:\r\n    550 ?\xc3\xbc [31m?????????\r\n", NULL, NULL,
          "smtp; 550 ?\xc3\xbc [31m?????????\r\n" },
        /* Nobody declared it. */
        { false, JUERGEN, "utf-8;" JUERGEN, "550 \xc3\xbc", false,
          "message to <j\\x{FC}rgen@example.net> was undeliverable.\r\n",
          "\r\nFinal-Recipient: utf-8; j\\x{FC}rgen@example.net\r\n",
          "\r\nOriginal-Recipient: utf-8;j\\x{FC}rgen@example.net\r\n", "smtp; 550 ??\r\n" },
        { false, "\xf0\x9f\x93\xa7+a=b\\c d@\xe4\xbe\x8b", "utf-8;\\x{2B}\xe4\xbe\x8b", "", false,
          "<\\x{1F4E7}\\x{2B}a\\x{3D}b\\x{5C}c\\x{20}d@\\x{4F8B}>",
          "utf-8; \\x{1F4E7}\\x{2B}a\\x{3D}b\\x{5C}c\\x{20}d@\\x{4F8B}\r\n",
          "utf-8;\\x{2B}\\x{4F8B}\r\n", NULL },
        { false, "\xff\xc3", "", "", false,
          "<"
          "??"
          "> was",
          "utf-8; ?"
          "?\r\n",
          NULL, NULL },
        { false, "\xc3\r\nX: y", "utf-8;\xc3\r\nX: y", "", false, NULL,
          "utf-8; ?\\x{20}\\x{20}X:\\x{20}y\r\n", "utf-8;?  X: y\r\n", NULL },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn_recipient r = { .address = slice_from(cases[i].address),
                                            .original = slice_from(cases[i].original),
                                            .reply = slice_from(cases[i].reply) };
        struct delivery_dsn dsn = example("A: b\r\n\r\n");
        struct delivery_dsn_traits traits;
        char *text;

        dsn.recipients = &r;
        dsn.original_is_smtputf8 = cases[i].is_smtputf8;
        text = dsn_built(&dsn, &traits);
        assert_holds(i, text, cases[i].speaks_utf8 ? utf8_human : ascii_human);
        assert_holds(i, text, cases[i].speaks_utf8 ? utf8_status : ascii_status);
        assert_holds(i, text, cases[i].human);
        assert_holds(i, text, cases[i].final);
        assert_holds(i, text, cases[i].original_field);
        assert_holds(i, text, cases[i].diagnostic);
        assert_holds(i, text, "\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n");
        assert_int_equal(traits.eight_bit, cases[i].speaks_utf8);
        assert_int_equal(delivery_dsn_has_eight_bit(slice_from(text)), cases[i].speaks_utf8);
        assert_true(delivery_dsn_is_utf8(slice_from(text)));
        assert_false(traits.smtputf8);
        free(text);
    }
}

static void only_an_address_in_its_header_asks_for_smtputf8(void **unused)
{
    const struct delivery_dsn_recipient r = { .address = SLICE("bob@example.net") };
    struct delivery_dsn dsn = example("A: b\r\n\r\n");
    struct delivery_dsn_traits traits;
    char *text;

    (void)unused;
    dsn.recipients = &r;
    dsn.original_is_smtputf8 = true;
    dsn.to = SLICE(JUERGEN);
    text = dsn_built(&dsn, &traits);
    assert_holds(0, text, "\r\nTo: <" JUERGEN ">\r\n");
    assert_holds(0, text, "charset=us-ascii");
    assert_true(traits.smtputf8 && traits.eight_bit);
    free(text);
}

static void the_original_comes_back_in_the_type_of_its_header(void **unused)
{
    static const struct {
        bool is_smtputf8, is_cut;
        const char *original;
        const char *part; /* its type, and the line behind that */
    } cases[] = {
        { true, false, "S: \xc3\xbc\r\n\r\nb\r\n",
          "message/global\r\n" EIGHT_BIT "\r\nS: \xc3\xbc" },
        { true, true, "S: \xc3\xbc\r\n\r\nb\r\n",
          "message/global-headers\r\n" EIGHT_BIT "\r\nS: \xc3\xbc\r\n\r\n--=" },
        { true, false, "S: u\r\n\r\n\xc3\xbc\r\n", "message/rfc822\r\n" EIGHT_BIT "\r\nS: u" },
        { true, true, "S: u\r\n\r\n\xc3\xbc\r\n", "text/rfc822-headers\r\n\r\nS: u" },
        { true, false, "S: u\r\n\r\nb\r\n", "message/rfc822\r\n\r\nS: u" },
        { true, false, "S: \xfc\r\n\r\nb\r\n", "message/rfc822\r\n" EIGHT_BIT "\r\nS: \xfc" },
        { true, true, "S: \xfc\r\n\r\nb\r\n", "text/rfc822-headers\r\n" EIGHT_BIT "\r\nS: \xfc" },
        { false, false, "S: \xc3\xbc\r\n\r\nb\r\n",
          "message/rfc822\r\n" EIGHT_BIT "\r\nS: \xc3\xbc" },
        { false, true, "S: \xc3\xbc\r\n\r\nb\r\n",
          "text/rfc822-headers\r\n" EIGHT_BIT "\r\nS: \xc3\xbc" },
    };
    const struct delivery_dsn_recipient r = { .address = SLICE("bob@example.net") };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn dsn = example(cases[i].original);
        struct delivery_dsn_traits traits;
        char part[200];
        char *text;

        dsn.recipients = &r;
        dsn.original_is_smtputf8 = cases[i].is_smtputf8;
        dsn.original_is_cut = cases[i].is_cut;
        text = dsn_built(&dsn, &traits);
        (void)snprintf(part, sizeof part, "\r\nContent-Type: %s", cases[i].part);
        assert_holds(i, text, part);
        assert_int_equal(traits.eight_bit, delivery_dsn_has_eight_bit(slice_from(text)));
        assert_false(traits.smtputf8);
        free(text);
    }
}

/* Cut anywhere, a character stays whole: in a value that is too long, and in a line that is. */
static void no_character_is_cut(void **unused)
{
    static const char *const characters[] = { "\xc3\xbc", "\xe4\xbe\x8b", "\xf0\x9f\x93\xa7" };

    (void)unused;
    for (size_t c = 0; c < ARRAY_LEN(characters); c++)
        for (size_t before = 0; before < 5; before++) {
            struct delivery_dsn_recipient r = { .address = SLICE(JUERGEN) };
            struct delivery_dsn dsn = example("");
            struct delivery_dsn_traits traits;
            char line[3000];
            size_t len = before;
            char *text;

            memset(line, 'x', sizeof line);
            for (; len + 10 < sizeof line; len += strlen(characters[c]))
                memcpy(line + len, characters[c], strlen(characters[c]));
            r.reply = (struct slice){ line, len };
            dsn.original = (struct slice){ line, len };
            dsn.original_is_cut = true;
            dsn.original_is_smtputf8 = true;
            dsn.recipients = &r;
            text = dsn_built(&dsn, &traits);
            assert_true(delivery_dsn_is_utf8(slice_from(text)));
            assert_null(strchr(text, '?'));
            free(text);
        }
}

/* Any bytes: what is kept is what a decoder of UTF-8 takes. */
static void a_value_of_any_bytes_is_utf8_in_the_end(void **unused)
{
    uint64_t number = 1;

    (void)unused;
    for (unsigned round = 0; round < 2000; round++) {
        struct delivery_dsn_recipient r = { 0 };
        struct delivery_dsn dsn = example("A: b\r\n\r\n");
        struct delivery_dsn_traits traits;
        char bytes[64];
        char *text;

        for (size_t i = 0; i < sizeof bytes; i++) {
            static const char likely[] = "\xc2\xc3\xe0\xe4\xed\xf0\xf4\x80\x8b\x90\x9f\xa0\xbf\xc0";

            number = hash_number(number);
            bytes[i] =
                number % 3 == 0 ? (char)(number >> 8) : likely[(number >> 8) % (sizeof likely - 1)];
        }
        r.address = r.original = r.reply = r.remote_name = (struct slice){ bytes, sizeof bytes };
        dsn.recipients = &r;
        dsn.original_is_smtputf8 = round % 2 == 0;
        text = dsn_built(&dsn, &traits);
        assert_true(delivery_dsn_is_utf8(slice_from(text)));
        if (!dsn.original_is_smtputf8)
            assert_false(delivery_dsn_has_eight_bit(slice_from(text)));
        free(text);
    }
}

static void well_formed_utf8_is_what_rfc_3629_says(void **unused)
{
    static const struct {
        const char *text;
        bool is_utf8;
    } cases[] = {
        { "", true },
        { "a", true },
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xc1\xbf", false },
        { "\xc2", false },
        { "\x80", false },
        { "\xc2\xc0", false },
        { "\xe0\xa0\x80", true },
        { "\xe0\x9f\xbf", false },
        { "\xed\x9f\xbf", true },
        { "\xed\xa0\x80", false },
        { "\xee\x80\x80", true },
        { "\xef\xbf\xbf", true },
        { "\xe4\xbe", false },
        { "\xf0\x90\x80\x80", true },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x8f\xbf\xbf", true },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "a\xc3\xbc\xff", false },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (delivery_dsn_is_utf8(slice_from(cases[i].text)) != cases[i].is_utf8)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_speaks_utf8_to_who_declared_it_and_where_there_is_some),
        cmocka_unit_test(only_an_address_in_its_header_asks_for_smtputf8),
        cmocka_unit_test(the_original_comes_back_in_the_type_of_its_header),
        cmocka_unit_test(no_character_is_cut),
        cmocka_unit_test(a_value_of_any_bytes_is_utf8_in_the_end),
        cmocka_unit_test(well_formed_utf8_is_what_rfc_3629_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
