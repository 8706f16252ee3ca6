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

#define COPY_MAX      ((size_t)10 * 1024)
#define HOSTILE_BYTES 3000u

static const struct delivery_dsn_recipient unknown_user = {
    .address = { "user@example.net", 16 },
    .original = { "rfc822;user@example.org", 23 },
    .status = { "5.1.1", 5 },
    .reason = { "5.1.1 - Bad destination email address", 37 },
    .remote_name = { "mx.example.net", 14 },
    .remote_address = { "192.0.2.1", 9 },
    .reply = { "550 5.1.1 <user@example.net>: no such user here, and this reply is long\r\n"
               "550 5.1.1 see https://example.net/",
               107 },
    .last_attempt = { "Sun, 22 Nov 2026 17:53:00 +0000", 31 },
};

static struct delivery_dsn example(struct slice original)
{
    return (struct delivery_dsn){
        .hostname = SLICE("mx1.example.com"),
        .to = SLICE("alice@example.com"),
        .message_id = SLICE("42.dsn@mx1.example.com"),
        .date = SLICE("Sun, 22 Nov 2026 17:54:00 +0000"),
        .arrival_date = SLICE("Sun, 22 Nov 2026 17:00:00 +0000"),
        .envelope_id = SLICE("QQ314159"),
        .mid = 42,
        .recipients = &unknown_user,
        .recipients_count = 1,
        .original = original,
        .original_is_stuffed = true,
        .original_bytes_max = COPY_MAX,
    };
}

static const char golden[] =
    "From: \"Mail Delivery System\" <MAILER-DAEMON@mx1.example.com>\r\n"
    "To: <alice@example.com>\r\n"
    "Subject: Delivery Status Notification (Failure)\r\n"
    "Date: Sun, 22 Nov 2026 17:54:00 +0000\r\n"
    "Message-ID: <42.dsn@mx1.example.com>\r\n"
    "Auto-Submitted: auto-replied\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
    "    boundary=\"=_42.0_=\"\r\n"
    "Content-Transfer-Encoding: 7bit\r\n"
    "\r\n"
    "\r\n--=_42.0_=\r\n"
    "Content-Type: text/plain; charset=us-ascii\r\n"
    "\r\n"
    "The following message to <user@example.net> was undeliverable.\r\n"
    "The reason for the problem:\r\n"
    "    5.1.1 - Bad destination email address\r\n"
    "The host mx.example.net [192.0.2.1] said:\r\n"
    "    550 5.1.1 <user@example.net>: no such user here, and this reply is long\r\n"
    "    550 5.1.1 see https://example.net/\r\n"
    "\r\n"
    "\r\n--=_42.0_=\r\n"
    "Content-Type: message/delivery-status\r\n"
    "\r\n"
    "Original-Envelope-Id: QQ314159\r\n"
    "Reporting-MTA: dns; mx1.example.com\r\n"
    "Arrival-Date: Sun, 22 Nov 2026 17:00:00 +0000\r\n"
    "\r\n"
    "Original-Recipient: rfc822;user@example.org\r\n"
    "Final-Recipient: rfc822; user@example.net\r\n"
    "Action: failed\r\n"
    "Status: 5.1.1\r\n"
    "Remote-MTA: dns; mx.example.net\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <user@example.net>: no such user here, and\r\n"
    "    this reply is long 550 5.1.1 see https://example.net/\r\n"
    "Last-Attempt-Date: Sun, 22 Nov 2026 17:53:00 +0000\r\n"
    "\r\n--=_42.0_=\r\n"
    "Content-Type: message/rfc822\r\n"
    "\r\n"
    "From: alice@example.com\r\n"
    "Subject: hello\r\n"
    "\r\n"
    "..a line that was stuffed\r\n"
    "\r\n--=_42.0_=--\r\n";

static void a_dsn_is_a_report_of_three_parts(void **unused)
{
    struct delivery_dsn dsn = example(SLICE("From: alice@example.com\r\nSubject: hello\r\n\r\n"
                                            "..a line that was stuffed\r\n"));
    struct delivery_dsn_traits traits;
    char *text = dsn_built(&dsn, &traits);

    (void)unused;
    assert_string_equal(text, golden);
    assert_false(traits.eight_bit || traits.smtputf8);
    free(text);
    /* The same from a body that was not stuffed. */
    dsn.original = SLICE("From: alice@example.com\r\nSubject: hello\r\n\r\n"
                         ".a line that was stuffed\r\n");
    dsn.original_is_stuffed = false;
    text = dsn_built(&dsn, &traits);
    assert_string_equal(text, golden);
    free(text);
}

/* The last part of the text: what follows its Content-Type line. */
static const char *last_part(const char *text, const char *type)
{
    const char *at = strstr(text, type);

    assert_non_null(at);
    return at + strlen(type);
}

static void only_a_small_and_proper_original_comes_back_whole(void **unused)
{
    static char big[COPY_MAX + 100], long_line[1200];
    static const char header[] = "Subject: hello\r\n\r\n";
    static const struct {
        struct slice original;
        bool is_cut;
        const char *part; /* from the last Content-Type to the end of the text */
    } cases[] = {
        { { header, sizeof header - 1 }, false, "message/rfc822\r\n\r\nSubject: hello\r\n\r\n" },
        { { header, sizeof header - 1 }, true, "text/rfc822-headers\r\n\r\nSubject: hello\r\n" },
        { { big, sizeof big }, false, "text/rfc822-headers\r\n\r\nSubject: hello\r\n" },
        { { big, COPY_MAX + 1 }, false, "text/rfc822-headers\r\n\r\nSubject: hello\r\n" },
        { { long_line, sizeof long_line }, false, "text/rfc822-headers\r\n\r\nSubject: hello\r\n" },
        { { "A: b\nC: d\n\nbody\n", 16 }, false, "text/rfc822-headers\r\n\r\nA: b\r\nC: d\r\n" },
        { { "A: b\r\nC: \rd\r\n\r\n", 15 }, false, "text/rfc822-headers\r\n\r\nA: b\r\nC:  d\r\n" },
        { { "A: b\r\nC: \0d\r\n\r\n", 15 }, false, "text/rfc822-headers\r\n\r\nA: b\r\nC:  d\r\n" },
        { { "A: \xc3\xa9\r\n\r\n", 9 },
          false,
          "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nA: \xc3\xa9\r\n\r\n" },
        { { "", 0 }, false, "text/rfc822-headers\r\n\r\n" },
    };

    (void)unused;
    memset(big, 'x', sizeof big);
    memcpy(big, header, sizeof header - 1);
    for (size_t at = 510; at < sizeof big; at += 512)
        memcpy(big + at, "\r\n", 2);
    memcpy(big + COPY_MAX - 1, "\r\n", 2);
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, header, sizeof header - 1);
    memcpy(long_line + sizeof long_line - 2, "\r\n", 2);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn dsn = example(cases[i].original);
        struct delivery_dsn_traits traits;
        const char *part;
        char *text;

        dsn.original_is_cut = cases[i].is_cut;
        text = dsn_built(&dsn, &traits);
        part = last_part(text, "--=_42.0_=\r\nContent-Type: message/delivery-status");
        part = last_part(part, "--=_42.0_=\r\nContent-Type: ");
        assert_memory_equal(part, cases[i].part, strlen(cases[i].part));
        assert_string_equal(part + strlen(cases[i].part), "\r\n--=_42.0_=--\r\n");
        assert_int_equal(traits.eight_bit, strstr(cases[i].part, "8bit") != NULL);
        free(text);
    }
}

static void a_header_is_cut_at_the_end_of_a_line(void **unused)
{
    static char header[2 * DELIVERY_DSN_HEADER_MAX];
    struct delivery_dsn dsn = example((struct slice){ header, sizeof header });
    struct delivery_dsn_traits traits;
    const char *part;
    char *text;

    (void)unused;
    for (size_t i = 0; i + 100 <= sizeof header; i += 100) {
        memset(header + i, 'h', 98);
        memcpy(header + i, "X: ", 3);
        memcpy(header + i + 98, "\r\n", 2);
    }
    text = dsn_built(&dsn, &traits);
    part = last_part(text, "text/rfc822-headers\r\n\r\n");
    assert_int_equal(strlen(part) - strlen("\r\n--=_42.0_=--\r\n"),
                     DELIVERY_DSN_HEADER_MAX / 100 * 100);
    free(text);
}

static void a_boundary_in_the_original_is_not_used(void **unused)
{
    struct delivery_dsn dsn = example(SLICE("A: b\r\n\r\n--=_42.0_=\r\n--=_42.1_=--\r\n"));
    struct delivery_dsn_traits traits;
    char *text = dsn_built(&dsn, &traits);

    (void)unused;
    assert_non_null(strstr(text, "boundary=\"=_42.2_=\""));
    free(text);
}

static void an_original_with_every_boundary_stays_away(void **unused)
{
    static char original[2000];
    struct delivery_dsn_traits traits;
    struct delivery_dsn dsn;
    size_t len = 0;
    char *text;

    (void)unused;
    for (unsigned i = 0; i < 100; i++)
        len += (size_t)snprintf(original + len, sizeof original - len, "X: =_42.%u_=\r\n", i);
    dsn = example((struct slice){ original, len });
    text = dsn_built(&dsn, &traits);
    assert_string_equal(last_part(text, "Content-Type: text/rfc822-headers"),
                        "\r\n\r\n\r\n--=_42.15_=--\r\n");
    free(text);
}

/* Every line of ours that may stand at the start of a line, in the parts before the original. */
static bool is_expected_line(const char *line, size_t len)
{
    static const char *const starts[] = {
        "",
        "    ",
        "From: \"Mail Delivery System\" <MAILER-DAEMON@",
        "To: <",
        "Subject: Delivery",
        "Date: ",
        "Message-ID: <",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; ",
        "Content-Transfer-Encoding: ",
        "--=_7.",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Type: text/plain; charset=utf-8",
        "The following message to <",
        "The reason for the problem:",
        "The receiving host said:",
        "In detail:",
        "The host ",
        "The host that has it now does not tell of its delivery",
        "What could not be delivered is a bounce",
        "This is only a warning",
        "Will-Retry-Until: ",
        "Diagnostic-Code: X-Postern; ",
        "Content-Type: message/delivery-status",
        "Content-Type: message/global-delivery-status",
        "Original-Envelope-Id: ",
        "Reporting-MTA: dns; ",
        "Arrival-Date: ",
        "Original-Recipient: ",
        "Final-Recipient: ",
        "Action: ",
        "Status: ",
        "Remote-MTA: dns; ",
        "Diagnostic-Code: smtp; ",
        "Last-Attempt-Date: ",
        "Content-Type: text/rfc822-headers",
    };

    for (size_t i = 1; i < ARRAY_LEN(starts); i++)
        if (len >= strlen(starts[i]) && memcmp(line, starts[i], strlen(starts[i])) == 0)
            return true;
    return len == 0;
}

static void check_form(struct slice text, bool check_lines)
{
    unsigned boundaries = 0;

    while (text.len > 0) {
        const char *end = memmem(text.data, text.len, "\r\n", 2);
        size_t len;

        if (end == NULL)
            fail_msg("the last line does not end");
        len = end != NULL ? (size_t)(end - text.data) : 0;
        assert_true(len <= DELIVERY_DSN_LINE_MAX);
        assert_null(memchr(text.data, '\r', len));
        assert_null(memchr(text.data, '\n', len));
        assert_null(memchr(text.data, '\0', len));
        if (len > 0 && text.data[0] == '.')
            assert_true(len > 1 && text.data[1] == '.');
        boundaries += len >= 6 && memcmp(text.data, "--=_7.", 6) == 0;
        if (check_lines)
            assert_true(is_expected_line(text.data, len));
        text = slice_after(text, len + 2);
    }
    if (check_lines)
        assert_int_equal(boundaries, 4);
}

static uint64_t drawn;

static uint64_t draw(uint64_t below)
{
    drawn += 0x9e3779b97f4a7c15ull;
    return hash_number(drawn) % below;
}

/* Words that an enemy would try, and any bytes. */
static struct slice hostile(char *room)
{
    static const char *const words[] = {
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        "X: y",
        ".",
        "--=_7.0_=",
        "--",
        " ",
        "\t",
        "550 ",
        "\xff",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "\"",
        ">",
        "5.1.1",
        "\xc3\xbc",
    };
    size_t len = 0, end = draw(4) == 0 ? draw(HOSTILE_BYTES - 100) : draw(100);

    while (len < end) {
        const char *word = words[draw(ARRAY_LEN(words))];

        if (draw(8) == 0) {
            room[len++] = (char)draw(256);
        } else {
            memcpy(room + len, word, strlen(word));
            len += strlen(word);
        }
    }
    return (struct slice){ room, len };
}

static void no_value_of_an_enemy_makes_a_line_of_its_own(void **unused)
{
    static char rooms[15][HOSTILE_BYTES];

    (void)unused;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct delivery_dsn_recipient r;
        struct delivery_dsn dsn;
        struct delivery_dsn_traits traits;
        struct buffer out;

        drawn = seed;
        r = (struct delivery_dsn_recipient){
            .address = hostile(rooms[0]),
            .original = hostile(rooms[1]),
            .status = hostile(rooms[2]),
            .reason = hostile(rooms[3]),
            .remote_name = hostile(rooms[4]),
            .reply = hostile(rooms[5]),
            .remote_address = hostile(rooms[6]),
            .last_attempt = hostile(rooms[7]),
            .reply_is_ours = draw(2) == 0,
        };
        dsn = (struct delivery_dsn){
            .hostname = hostile(rooms[8]),
            .to = hostile(rooms[9]),
            .message_id = hostile(rooms[10]),
            .date = hostile(rooms[11]),
            .arrival_date = hostile(rooms[12]),
            .envelope_id = hostile(rooms[13]),
            .retry_until = hostile(rooms[14]),
            .action = (enum delivery_dsn_action)draw(3),
            .is_double = draw(2) == 0,
            .original_is_smtputf8 = draw(2) == 0,
            .mid = 7,
            .recipients = &r,
            .recipients_count = 1,
            .original_bytes_max = COPY_MAX,
        };
        buffer_init(&out, DSN_BUILT_MAX);
        if (!delivery_dsn_wanted(dsn.to))
            dsn.to = SLICE("x");
        if (delivery_dsn_build(&dsn, &out, &traits) != STATUS_OK)
            fail_msg("seed %llu", (unsigned long long)seed);
        check_form(buffer_contents(&out), true);
        /* And as an original, whatever is said of it. */
        dsn.original = r.reply;
        for (int is_stuffed = 0; is_stuffed <= 1; is_stuffed++) {
            dsn.original_is_stuffed = is_stuffed != 0;
            buffer_clear(&out);
            assert_int_equal(delivery_dsn_build(&dsn, &out, &traits), STATUS_OK);
            check_form(buffer_contents(&out), false);
        }
        buffer_finish(&out);
    }
}

static void without_room_or_reason_nothing_is_written(void **unused)
{
    struct delivery_dsn dsn = example(SLICE("A: b\r\n\r\n"));
    struct delivery_dsn_traits traits;
    struct buffer out;

    (void)unused;
    for (size_t room = 3; room < sizeof golden; room += 50) {
        buffer_init(&out, room);
        assert_int_equal(buffer_append_text(&out, "abc"), STATUS_OK);
        if (delivery_dsn_build(&dsn, &out, &traits) == STATUS_LIMIT)
            assert_int_equal(buffer_len(&out), 3);
        else
            assert_true(room > 1000);
        buffer_finish(&out);
    }
    buffer_init(&out, DSN_BUILT_MAX);
    dsn.recipients_count = DELIVERY_DSN_RECIPIENTS_MAX + 1;
    assert_int_equal(delivery_dsn_build(&dsn, &out, &traits), STATUS_LIMIT);
    dsn.recipients_count = 0;
    assert_int_equal(delivery_dsn_build(&dsn, &out, &traits), STATUS_INVALID);
    dsn.recipients_count = 1;
    dsn.to = SLICE("");
    assert_false(delivery_dsn_wanted(dsn.to));
    assert_int_equal(delivery_dsn_build(&dsn, &out, &traits), STATUS_INVALID);
    assert_false(delivery_dsn_wanted(SLICE("<>")));
    assert_true(delivery_dsn_wanted(SLICE("a@b")));
    assert_int_equal(buffer_len(&out), 0);
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dsn_is_a_report_of_three_parts),
        cmocka_unit_test(only_a_small_and_proper_original_comes_back_whole),
        cmocka_unit_test(a_header_is_cut_at_the_end_of_a_line),
        cmocka_unit_test(a_boundary_in_the_original_is_not_used),
        cmocka_unit_test(an_original_with_every_boundary_stays_away),
        cmocka_unit_test(no_value_of_an_enemy_makes_a_line_of_its_own),
        cmocka_unit_test(without_room_or_reason_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
