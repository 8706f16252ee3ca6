/* What a DSN says, by its action, by what is known of the host, and by how much may come back. Its
 * form as a whole is in dsn_test.c. */
#include "delivery/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/delivery/dsn_built.h"

static struct delivery_dsn example(struct slice original)
{
    return (struct delivery_dsn){
        .hostname = SLICE("mx1.example.com"),
        .to = SLICE("alice@example.com"),
        .message_id = SLICE("42.dsn@mx1.example.com"),
        .date = SLICE("Sun, 22 Nov 2026 17:54:00 +0000"),
        .arrival_date = SLICE("Sun, 22 Nov 2026 17:00:00 +0000"),
        .mid = 42,
        .recipients_count = 1,
        .original = original,
        .original_is_stuffed = true,
    };
}

/* The parts that differ by action, each from its first line to its last. */
static void each_action_has_its_words(void **unused)
{
    static const struct {
        enum delivery_dsn_action action;
        bool is_double;
        const char *lines[6];
    } cases[] = {
        { DELIVERY_DSN_FAILED,
          true,
          { "Subject: Delivery Status Notification (Failure of a bounce)\r\n",
            "\r\n\r\nWhat could not be delivered is a bounce, or other mail that nobody can be "
            "told of.\r\n\r\nThe following message to <user@example.net> was undeliverable.\r\n",
            "Action: failed\r\nStatus: 5.0.0\r\n" } },
        { DELIVERY_DSN_DELAYED,
          false,
          { "Subject: Delivery Status Notification (Delay)\r\n",
            "\r\nThe following message to <user@example.net> has not been delivered yet.\r\n"
            "The reason for the problem:\r\n    4.2.2 - Mailbox full\r\n"
            "The host mx.example.net [2001:db8::1] said:\r\n    452 4.2.2 full\r\n\r\n",
            "This is only a warning: there is nothing to be done. It will be tried again until\r\n"
            "    Wed, 25 Nov 2026 17:00:00 +0000\r\n",
            "Action: delayed\r\nStatus: 4.0.0\r\nRemote-MTA: dns; mx.example.net\r\n"
            "Diagnostic-Code: smtp; 452 4.2.2 full\r\n"
            "Last-Attempt-Date: Sun, 22 Nov 2026 17:53:00 +0000\r\n"
            "Will-Retry-Until: Wed, 25 Nov 2026 17:00:00 +0000\r\n\r\n--=" } },
        { DELIVERY_DSN_RELAYED,
          false,
          { "Subject: Delivery Status Notification (Relay)\r\n",
            "\r\nThe following message to <user@example.net> was handed on.\r\n"
            "The host that has it now does not tell of its delivery:\r\n"
            "    mx.example.net [2001:db8::1]\r\n\r\n",
            "Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.example.net\r\n"
            "Diagnostic-Code: smtp; 452 4.2.2 full\r\nLast-Attempt-Date: " } },
    };
    struct delivery_dsn_recipient r = {
        .address = SLICE("user@example.net"),
        .remote_name = SLICE("mx.example.net"),
        .last_attempt = SLICE("Sun, 22 Nov 2026 17:53:00 +0000"),
    };

    (void)unused;
    r.reason = SLICE("4.2.2 - Mailbox full");
    r.remote_address = SLICE("2001:db8::1");
    r.reply = SLICE("452 4.2.2 full");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn dsn = example(SLICE("A: b\r\n\r\n"));
        struct delivery_dsn_traits traits;
        char *text;

        dsn.recipients = &r;
        dsn.action = cases[i].action;
        dsn.is_double = cases[i].is_double;
        dsn.retry_until = SLICE("Wed, 25 Nov 2026 17:00:00 +0000");
        text = dsn_built(&dsn, &traits);
        for (size_t line = 0; cases[i].lines[line] != NULL; line++)
            if (strstr(text, cases[i].lines[line]) == NULL)
                fail_msg("case %zu lacks:\n%s\nin:\n%s", i, cases[i].lines[line], text);
        assert_int_equal(strstr(text, "Will-Retry-Until") != NULL,
                         cases[i].action == DELIVERY_DSN_DELAYED);
        free(text);
    }
}

static void the_host_and_its_words_are_told_as_far_as_they_are_known(void **unused)
{
    static const struct {
        const char *name, *address, *reply;
        bool is_ours;
        const char *human, *field;
    } cases[] = {
        { "mx.example", "192.0.2.1", "550 no", false,
          "problem\r\nThe host mx.example [192.0.2.1] said:\r\n    550 no\r\n",
          "Status: 5.1.1\r\nRemote-MTA: dns; mx.example\r\nDiagnostic-Code: smtp; 550 no\r\n" },
        { "", "192.0.2.1", "550 no", false,
          "problem\r\nThe host [192.0.2.1] said:\r\n    550 no\r\n",
          "Status: 5.1.1\r\nRemote-MTA: dns; [192.0.2.1]\r\nDiagnostic-Code: smtp; 550 no\r\n" },
        { "", "2001:db8::1", "550 no", false,
          "problem\r\nThe host [2001:db8::1] said:\r\n    550 no\r\n",
          "Status: 5.1.1\r\nRemote-MTA: dns; [IPv6:2001:db8::1]\r\nDiagnostic-Code: smtp; " },
        { "mx.example", "", "", false, "problem\r\n\r\n",
          "Status: 5.1.1\r\nRemote-MTA: dns; mx.example\r\n\r\n--=_" },
        { "", "", "550 no", false, "problem\r\nThe receiving host said:\r\n    550 no\r\n",
          "Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 no\r\n\r\n--=_" },
        { "mx.example", "192.0.2.1", "550 5.7.30 no", true,
          "problem\r\nIn detail:\r\n    550 5.7.30 no\r\n",
          "Remote-MTA: dns; mx.example\r\nDiagnostic-Code: X-Postern; 550 5.7.30 no\r\n" },
        { "", "", "", false, "problem\r\n\r\n", "Status: 5.1.1\r\n\r\n--=_" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn_recipient r = {
            .address = SLICE("x@example.net"),
            .status = SLICE("5.1.1"),
            .reason = SLICE("5.1.1 - problem"),
            .remote_name = slice_from(cases[i].name),
            .remote_address = slice_from(cases[i].address),
            .reply = slice_from(cases[i].reply),
            .reply_is_ours = cases[i].is_ours,
        };
        struct delivery_dsn dsn = example(SLICE("A: b\r\n\r\n"));
        struct delivery_dsn_traits traits;
        char *text;

        dsn.recipients = &r;
        text = dsn_built(&dsn, &traits);
        if (strstr(text, cases[i].human) == NULL || strstr(text, cases[i].field) == NULL)
            fail_msg("case %zu:\n%s", i, text);
        free(text);
    }
}

static void the_caller_says_how_much_of_the_original_comes_back(void **unused)
{
    static char original[2 * DELIVERY_DSN_ORIGINAL_MAX];
    static const struct {
        size_t bytes;
        uint64_t bytes_max;
        bool is_whole;
    } cases[] = {
        { 1000, 0, false },
        { 1000, 999, false },
        { 1000, 1000, true },
        { DELIVERY_DSN_ORIGINAL_MAX, UINT64_MAX, true },
        { DELIVERY_DSN_ORIGINAL_MAX + 100, UINT64_MAX, false },
    };
    const struct delivery_dsn_recipient r = { .address = SLICE("user@example.net") };

    (void)unused;
    memset(original, 'x', sizeof original);
    for (size_t at = 98; at < sizeof original; at += 100)
        memcpy(original + at, "\r\n", 2);
    memcpy(original, "A: b\r\n\r\n", 8);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct delivery_dsn dsn = example((struct slice){ original, cases[i].bytes });
        struct delivery_dsn_traits traits;
        char *text;

        dsn.recipients = &r;
        dsn.original_bytes_max = cases[i].bytes_max;
        memcpy(original + cases[i].bytes - 2, "\r\n", 2);
        text = dsn_built(&dsn, &traits);
        assert_int_equal(strstr(text, "Content-Type: message/rfc822\r\n") != NULL,
                         cases[i].is_whole);
        assert_int_equal(strstr(text, "xxxx") != NULL, cases[i].is_whole);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_action_has_its_words),
        cmocka_unit_test(the_host_and_its_words_are_told_as_far_as_they_are_known),
        cmocka_unit_test(the_caller_says_how_much_of_the_original_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
