#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "smtp/proxy_header.h"

/* With its NUL bytes, as a constant initializer. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19"
#define V6_1      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_2      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define V6        V6_1 V6_2 "\x00\x19\xff\xff"
#define SIX       "2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff"

static const char behind[] = "EHLO a.example\r\n";

/* What the result was, as text: "bad", "more", "local", "unknown" or both endpoints. */
static const char *result_text(const struct smtp_proxy_header *h, enum smtp_proxy_result result)
{
    static char text[2 * IP_ENDPOINT_MAX + 2];
    char source[IP_ENDPOINT_MAX], destination[IP_ENDPOINT_MAX];

    if (result != SMTP_PROXY_DONE)
        return result == SMTP_PROXY_BAD ? "bad" : "more";
    if (h->kind != SMTP_PROXY_CLIENT)
        return h->kind == SMTP_PROXY_LOCAL ? "local" : "unknown";
    (void)snprintf(text, sizeof(text), "%s %s", ip_endpoint_format(&h->source, source),
                   ip_endpoint_format(&h->destination, destination));
    return text;
}

/* Feeds pieces up to each cut, from memory of just their size; *used_out counts over all. */
static enum smtp_proxy_result feed_cut(struct smtp_proxy_header *h, struct slice text, size_t piece,
                                       size_t *used_out)
{
    enum smtp_proxy_result result = SMTP_PROXY_MORE;
    size_t total = 0;

    smtp_proxy_header_init(h);
    while (result == SMTP_PROXY_MORE && total < text.len) {
        size_t len = text.len - total < piece ? text.len - total : piece;
        char *copy = malloc(len);
        size_t used;

        assert_non_null(copy);
        memcpy(copy, text.data + total, len);
        result = smtp_proxy_header_feed(h, (struct slice){ copy, len }, &used);
        assert_true(used <= len && (result != SMTP_PROXY_MORE || used == len));
        total += used;
        free(copy);
    }
    *used_out = total;
    return result;
}

static const struct {
    struct slice header;
    const char *result;
} cases[] = {
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n"), "192.0.2.1:12345 198.51.100.2:25" },
    { BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
      "255.255.255.255:65535 255.255.255.255:65535" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n"), "192.0.2.1:0 198.51.100.2:0" },
    { BYTES("PROXY TCP6 2001:db8::1 2001:DB8::2 1 25\r\n"), "[2001:db8::1]:1 [2001:db8::2]:25" },
    { BYTES("PROXY TCP6 " SIX " " SIX " 65535 65535\r\n"),
      "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535 "
      "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535" },
    { BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n"), "192.0.2.1:1 [::1]:25" },
    { BYTES("PROXY UNKNOWN\r\n"), "unknown" },
    { BYTES("PROXY UNKNOWN \r\n"), "unknown" },
    { BYTES("PROXY UNKNOWN " SIX " " SIX " 65535 65535\r\n"), "unknown" }, /* 107 bytes */
    { BYTES("PROXY UNKNOWN what\x01 ever  it is\r\n"), "unknown" },
    /* One byte more than 107. */
    { BYTES("PROXY UNKNOWN " SIX " " SIX "  65535 65535\r\n"), "bad" },
    { BYTES("PROXY UNKNOWN\n"), "bad" },
    { BYTES("PROXY UNKNOWN\r\r\n"), "bad" },
    { BYTES("PROXY UNKNOWN\rx\r\n"), "bad" },
    { BYTES("PROXY UNKNOWNS\r\n"), "bad" },
    { BYTES("PROXY unknown\r\n"), "bad" },
    { BYTES("PROXY \r\n"), "bad" },
    { BYTES("PROXY\r\n"), "bad" },
    { BYTES("PROXY  UNKNOWN\r\n"), "bad" },
    { BYTES("PROXY\tUNKNOWN\r\n"), "bad" },
    { BYTES("proxy UNKNOWN\r\n"), "bad" },
    { BYTES(" PROXY UNKNOWN\r\n"), "bad" },
    { BYTES("PROXY TCP4\r\n"), "bad" },
    { BYTES("PROXY TCP4 \r\n"), "bad" },
    { BYTES("PROXY tcp4 192.0.2.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP 192.0.2.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY UDP4 192.0.2.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25 \r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25 1\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 \r\n"), "bad" },
    { BYTES("PROXY TCP4  192.0.2.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1  198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2  12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345  25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 65536\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 4294967321\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 012345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 00\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 +1 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 -1 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 0x19 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1\0 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.02.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.256 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 a.example 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 2001:db8::1 2001:db8::2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 ::ffff:192.0.2.1 ::ffff:192.0.2.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP6 192.0.2.1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP6 2001:db8::1 198.51.100.2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP6 [2001:db8::1] 2001:db8::2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP6 fe80::1%eth0 2001:db8::2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP6 1::2::3 2001:db8::2 12345 25\r\n"), "bad" },
    { BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r"), "more" },
    { BYTES("PROXY"), "more" },
    { BYTES(""), "more" },

    { BYTES(SIGNATURE "\x21\x11\x00\x0c" V4), "192.0.2.1:12345 198.51.100.2:25" },
    { BYTES(SIGNATURE "\x21\x11\x00\x13" V4 "\x04\x00\x04\0\0\0\0"),
      "192.0.2.1:12345 198.51.100.2:25" }, /* with a TLV */
    { BYTES(SIGNATURE "\x21\x11\x00\x0f" V4 "EHL"), "192.0.2.1:12345 198.51.100.2:25" },
    { BYTES(SIGNATURE "\x21\x21\x00\x24" V6), "[2001:db8::1]:25 [2001:db8::2]:65535" },
    { BYTES(SIGNATURE "\x21\x21\x00\x27" V6 "\x04\x00\x00"),
      "[2001:db8::1]:25 [2001:db8::2]:65535" },
    { BYTES(SIGNATURE "\x20\x00\x00\x00"), "local" },
    { BYTES(SIGNATURE "\x20\x11\x00\x0c" V4), "local" },
    { BYTES(SIGNATURE "\x20\xff\x00\x01x"), "local" },
    { BYTES(SIGNATURE "\x21\x00\x00\x00"), "unknown" },
    { BYTES(SIGNATURE "\x21\x00\x00\x03\x04\x00\x00"), "unknown" },
    { BYTES(SIGNATURE "\x21\x31\x00\xd7"), "bad" }, /* 215 */
    { BYTES(SIGNATURE "\x21\x31\x00\xd8"), "more" },
    { BYTES(SIGNATURE "\x21\x11\x00\x0b" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x11\x00\x00"), "bad" },
    { BYTES(SIGNATURE "\x21\x21\x00\x23" V6), "bad" },
    { BYTES(SIGNATURE "\x21\x21\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x12\x00\x0c" V4), "bad" }, /* UDP */
    { BYTES(SIGNATURE "\x21\x22\x00\x24" V6), "bad" },
    { BYTES(SIGNATURE "\x21\x10\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x01\x00\x00"), "bad" },
    { BYTES(SIGNATURE "\x21\x13\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x41\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x22\x11\x00\x0c" V4), "bad" }, /* no such command */
    { BYTES(SIGNATURE "\x2f\x11\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x11\x11\x00\x0c" V4), "bad" }, /* no such version */
    { BYTES(SIGNATURE "\x31\x11\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x01\x11\x00\x0c" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x11\x10\x00" V4), "more" }, /* 4096 */
    { BYTES(SIGNATURE "\x21\x11\x10\x01" V4), "bad" },
    { BYTES(SIGNATURE "\x20\x00\xff\xff" V4), "bad" },
    { BYTES(SIGNATURE "\x21\x11\x00\x0d" V4), "more" },
    { BYTES("\r\n\r\n\0\r\nQUIT\r"), "bad" },
    { BYTES("\r\nQUIT\r\n"), "bad" },
    { BYTES("\r\n\r\n"), "more" },
    { BYTES("EHLO a.example\r\n"), "bad" },
    { BYTES("\x16\x03\x01\x02\x00"), "bad" },
    { BYTES("PRO\0"), "bad" },
};

static void each_header_is_read_or_refused_however_it_is_cut(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = cases[i].header.len;

        for (size_t piece = 1; piece <= len + 1; piece++) {
            struct smtp_proxy_header h;
            size_t used;
            enum smtp_proxy_result result = feed_cut(&h, cases[i].header, piece, &used);

            if (strcmp(result_text(&h, result), cases[i].result) != 0)
                fail_msg("case %zu (%.*s) by %zu: %s", i, SLICE_ARGS(cases[i].header), piece,
                         result_text(&h, result));
            if (result == SMTP_PROXY_DONE)
                assert_int_equal(used, len);
        }
    }
}

static void what_stands_behind_the_header_is_left_alone(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice header = cases[i].header;
        struct smtp_proxy_header h;
        char text[512];
        size_t used;

        if (strcmp(cases[i].result, "bad") == 0 || strcmp(cases[i].result, "more") == 0)
            continue;
        memcpy(text, header.data, header.len);
        memcpy(text + header.len, behind, sizeof(behind));
        smtp_proxy_header_init(&h);
        assert_int_equal(
            smtp_proxy_header_feed(&h, (struct slice){ text, header.len + sizeof(behind) }, &used),
            SMTP_PROXY_DONE);
        assert_int_equal(used, header.len);
    }
}

static void only_as_many_tlvs_as_are_allowed_are_skipped(void **unused)
{
    static char text[16 + SMTP_PROXY_V2_REST_BYTES_MAX + 1];
    static const size_t pieces[] = { 1, 7, 512, sizeof(text) };

    (void)unused;
    memcpy(text, SIGNATURE "\x21\x11\x10\x00" V4, 28);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct slice all = { text, sizeof(text) };
        struct smtp_proxy_header h;
        size_t used;

        assert_int_equal(feed_cut(&h, all, pieces[i], &used), SMTP_PROXY_DONE);
        assert_int_equal(used, sizeof(text) - 1);
        assert_int_equal(h.source.port, 12345);
        all.len -= 2;
        assert_int_equal(feed_cut(&h, all, pieces[i], &used), SMTP_PROXY_MORE);
    }
}

/* A version 2 header with one thing or more wrong, and lines of words that headers are made of. */
static void hostile_input_never_takes_more_than_a_header(void **unused)
{
    static const char *const words[] = { "PROXY ",  "TCP4",  "TCP6",   " ",    "1.2.3.4", "::1",
                                         "UNKNOWN", "65535", "\r\n",   "\r",   "\n",      "0",
                                         "ffff:",   "EHLO",  "99999 ", "\xff", "." };
    unsigned seed = 20261127;

    (void)unused;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 200000; round++) {
        struct smtp_proxy_header h;
        char text[512] = SIGNATURE;
        struct slice all = { text, 0 };
        size_t used, used_again;
        enum smtp_proxy_result result;
        char first[128];

        if (round % 2 == 0) {
            all.len = 12 + (size_t)rand_r(&seed) % 100;
            for (size_t i = 12; i < all.len; i++)
                text[i] = (char)(rand_r(&seed) % 4 == 0 ? rand_r(&seed) : "\x21\x11\0\x0c"[i % 4]);
        } else {
            all.len = (size_t)snprintf(text, sizeof(text), "PROXY ");
            for (int i = rand_r(&seed) % 20; i > 0; i--)
                all.len += (size_t)snprintf(text + all.len, sizeof(text) - all.len, "%s",
                                            words[(size_t)rand_r(&seed) % ARRAY_LEN(words)]);
        }
        result = feed_cut(&h, all, all.len, &used);
        assert_true(used <= all.len && used <= 16 + SMTP_PROXY_V2_REST_BYTES_MAX);
        assert_true(text[0] == '\r' || used <= SMTP_PROXY_V1_BYTES_MAX);
        (void)snprintf(first, sizeof(first), "%s", result_text(&h, result));
        result = feed_cut(&h, all, 1 + (size_t)rand_r(&seed) % all.len, &used_again);
        assert_string_equal(first, result_text(&h, result));
        assert_int_equal(used, used_again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_header_is_read_or_refused_however_it_is_cut),
        cmocka_unit_test(what_stands_behind_the_header_is_left_alone),
        cmocka_unit_test(only_as_many_tlvs_as_are_allowed_are_skipped),
        cmocka_unit_test(hostile_input_never_takes_more_than_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
