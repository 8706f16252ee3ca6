#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "observe/alert_text.h"

#define NOW_S ((time_t)1795370040)
#define TLS_SAY                                                                                    \
    "A required TLS connection to domain 'example.com' failed: the peer does not offer STARTTLS."

static const struct observe_alert_notice plain = {
    .step = OBSERVE_ALERT_SEND,
    .kind = OBSERVE_ALERT_REQUIRED_TLS,
    .severity = OBSERVE_SEVERITY_WARNING,
    .subject = "example.com",
    .text = TLS_SAY,
    .count = 1,
    .since_wall_s = NOW_S,
    .last_wall_s = NOW_S,
};

static struct observe_alert_notice with(enum observe_alert_step step, uint64_t count, bool is_over)
{
    struct observe_alert_notice n = plain;

    n.step = step;
    n.count = count;
    n.is_over = is_over;
    n.last_wall_s = NOW_S + 61;
    if (step == OBSERVE_ALERT_RECOVERED)
        n.severity = OBSERVE_SEVERITY_INFO;
    return n;
}

static void subject_lines_have_the_form_of_asyncos(void **unused)
{
    struct observe_alert_notice other = plain;
    char line[OBSERVE_ALERT_LINE_MAX];
    static char word[OBSERVE_ALERT_TEXT_MAX];

    (void)unused;
    assert_string_equal(observe_alert_subject_line(&plain, "mx1.example.com", line),
                        "Warning <System> mx1.example.com: A required TLS connection to domain "
                        "'example.com' failed: the peer does not...");
    other.text = "The disk is full";
    other.severity = OBSERVE_SEVERITY_CRITICAL;
    assert_string_equal(observe_alert_subject_line(&other, "mx", line),
                        "Critical <System> mx: The disk is full");
    other = with(OBSERVE_ALERT_RECOVERED, 3, true);
    assert_string_equal(observe_alert_subject_line(&other, "mx", line),
                        "Info <System> mx: Recovered: A required TLS connection to domain "
                        "'example.com' failed: the peer does not...");
    memset(word, 'x', sizeof(word) - 1);
    other.text = word;
    observe_alert_subject_line(&other, "mx", line);
    assert_int_equal(strlen(line), strlen("Info <System> mx: Recovered: ...") + 80);
}

static void a_sentence_says_how_often(void **unused)
{
    static const struct {
        enum observe_alert_step step;
        uint64_t count;
        bool is_over;
        const char *expected;
    } cases[] = {
        { OBSERVE_ALERT_SEND, 1, false, TLS_SAY },
        { OBSERVE_ALERT_SEND, 4, false,
          TLS_SAY " This is the case since Sun Nov 22 17:54:00 2026." },
        { OBSERVE_ALERT_SUMMARY, 1, false,
          TLS_SAY " This happened once since the last alert about it, last on Sun Nov 22 17:55:01 "
                  "2026; it began on Sun Nov 22 17:54:00 2026." },
        { OBSERVE_ALERT_SUMMARY, 12, true,
          TLS_SAY " This happened 12 times since the last alert about it, last on Sun Nov 22 "
                  "17:55:01 2026; it began on Sun Nov 22 17:54:00 2026. It is over." },
        { OBSERVE_ALERT_RECOVERED, 2, true,
          "Recovered: " TLS_SAY " This happened 2 times, first on Sun Nov 22 17:54:00 2026, last "
          "on Sun Nov 22 17:55:01 2026." },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct observe_alert_notice n = with(cases[i].step, cases[i].count, cases[i].is_over);
        struct buffer out;

        buffer_init(&out, OBSERVE_ALERT_BODY_BYTES_MAX);
        assert_int_equal(observe_alert_sentence(&n, &out), STATUS_OK);
        assert_int_equal(buffer_len(&out), strlen(cases[i].expected));
        assert_memory_equal(buffer_contents(&out).data, cases[i].expected, buffer_len(&out));
        buffer_finish(&out);
    }
}

static void make_letter(const struct observe_alert_notice *n, struct buffer *body,
                        struct buffer *letter)
{
    static const char *const to[] = { "ops@example.com", "night@example.net" };
    const struct observe_alert_frame frame = { "mx1.example.com", "0.1.0", NOW_S };
    char line[OBSERVE_ALERT_LINE_MAX];
    struct observe_alert_letter l = {
        .from = "alert@mx1.example.com",
        .to = to,
        .to_count = ARRAY_LEN(to),
        .subject_line = observe_alert_subject_line(n, frame.hostname, line),
        .hostname = frame.hostname,
        .mid = 42,
        .now_s = NOW_S,
    };

    buffer_init(body, OBSERVE_ALERT_BODY_BYTES_MAX);
    buffer_init(letter, OBSERVE_ALERT_MAIL_BYTES_MAX);
    assert_int_equal(observe_alert_body(n, &frame, body), STATUS_OK);
    l.body = buffer_contents(body);
    assert_int_equal(observe_alert_letter(&l, letter), STATUS_OK);
}

static void a_letter_is_a_message(void **unused)
{
    static const char expected[] =
        "Date: Sun, 22 Nov 2026 17:54:00 +0000\r\n"
        "From: alert@mx1.example.com\r\n"
        "To: ops@example.com,\r\n"
        " night@example.net\r\n"
        "Subject: Warning <System> mx1.example.com: A required TLS connection to domain "
        "'example.com' failed: the peer does not...\r\n"
        "Message-ID: <42.alert@mx1.example.com>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "The Warning message is:\r\n"
        "\r\n"
        "A required TLS connection to domain 'example.com' failed: the peer does not\r\n"
        "offer STARTTLS.\r\n"
        "\r\n"
        "Kind: required-tls\r\n"
        "About: example.com\r\n"
        "Host: mx1.example.com\r\n"
        "Version: Postern 0.1.0\r\n"
        "Timestamp: Sun, 22 Nov 2026 17:54:00 +0000\r\n";
    struct buffer body, letter;

    (void)unused;
    make_letter(&plain, &body, &letter);
    assert_int_equal(buffer_len(&letter), strlen(expected));
    assert_memory_equal(buffer_contents(&letter).data, expected, strlen(expected));
    buffer_finish(&body);
    buffer_finish(&letter);
}

/* Whatever the text, lines are short, end with CRLF, and none begins with a single dot. */
static void no_text_breaks_a_letter(void **unused)
{
    static const char alphabet[] = "a. .\\:'";
    static char text[OBSERVE_ALERT_TEXT_MAX];
    unsigned random = 5;

    (void)unused;
    print_message("seed %u\n", random);
    for (int round = 0; round < 2000; round++) {
        struct observe_alert_notice n = with(OBSERVE_ALERT_SUMMARY, 9, false);
        size_t len = (size_t)rand_r(&random) % sizeof(text);
        struct buffer body, letter;
        struct slice rest;

        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[(unsigned)rand_r(&random) % (sizeof(alphabet) - 1)];
        text[len] = '\0';
        n.text = text;
        make_letter(&n, &body, &letter);
        rest = buffer_contents(&letter);
        while (rest.len > 0) {
            struct slice line = slice_cut(&rest, '\n');

            assert_true(line.len > 0 && line.len < 500 && line.data[line.len - 1] == '\r');
            assert_null(memchr(line.data, '\r', line.len - 1));
            assert_true(line.data[0] != '.' || line.data[1] == '.');
        }
        buffer_finish(&body);
        buffer_finish(&letter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subject_lines_have_the_form_of_asyncos),
        cmocka_unit_test(a_sentence_says_how_often),
        cmocka_unit_test(a_letter_is_a_message),
        cmocka_unit_test(no_text_breaks_a_letter),
    };
    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
