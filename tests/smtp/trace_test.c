#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp/trace.h"

static struct smtp_trace trace(void)
{
    struct smtp_trace t = { .helo = SLICE("client.example"),
                            .host = SLICE("mx.example"),
                            .esmtp = true,
                            .mid = 42,
                            .date = SLICE("Sun, 22 Nov 2026 17:54:00 +0000") };

    assert_true(ip_parse(SLICE("192.0.2.1"), &t.peer));
    return t;
}

static void expect(const struct smtp_trace *t, const char *text)
{
    struct buffer out;

    buffer_init(&out, 8192);
    assert_int_equal(smtp_trace_write(&out, t), STATUS_OK);
    assert_int_equal(buffer_append(&out, (struct slice){ "", 1 }), STATUS_OK);
    assert_string_equal(out.data, text);
    buffer_finish(&out);
}

static void the_line_says_who_how_and_when(void **unused)
{
    struct smtp_trace t = trace();

    (void)unused;
    expect(&t, "Received: from client.example ([192.0.2.1]) by mx.example with ESMTP id 42;\r\n"
               " Sun, 22 Nov 2026 17:54:00 +0000\r\n");
    t.tls = true;
    t.tls_detail = SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384");
    t.peer_name = SLICE("client.example");
    t.recipient = SLICE("rcpt@example.com");
    assert_true(ip_parse(SLICE("2001:db8::1"), &t.peer));
    expect(&t, "Received: from client.example (client.example [IPv6:2001:db8::1]) by\r\n"
               " mx.example with ESMTPS id 42 (TLSv1.3 TLS_AES_256_GCM_SHA384) for\r\n"
               " <rcpt@example.com>; Sun, 22 Nov 2026 17:54:00 +0000\r\n");
}

static void the_protocol_has_its_name(void **unused)
{
    static const struct {
        bool esmtp, tls, smtputf8;
        const char *name;
    } cases[] = {
        { false, false, false, " with SMTP id" },   { true, false, false, " with ESMTP id" },
        { true, true, false, " with ESMTPS id" },   { true, false, true, " with UTF8SMTP id" },
        { true, true, true, " with UTF8SMTPS id" },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct smtp_trace t = trace();
        struct buffer out;

        t.esmtp = cases[i].esmtp;
        t.tls = cases[i].tls;
        t.smtputf8 = cases[i].smtputf8;
        buffer_init(&out, 8192);
        assert_int_equal(smtp_trace_write(&out, &t), STATUS_OK);
        assert_non_null(memmem(out.data, buffer_len(&out), cases[i].name, strlen(cases[i].name)));
        buffer_finish(&out);
    }
}

/* Whatever the peer calls itself, the header stays one header, and lines that have a place to be
 * folded are folded. */
static void a_hostile_name_stays_inside(void **unused)
{
    static char name[400];

    (void)unused;
    for (int c = 0; c < 256; c++) {
        struct smtp_trace t = trace();
        struct buffer out;
        struct slice rest;

        memset(name, c, sizeof(name));
        t.helo = (struct slice){ name, c % 2 == 0 ? 5 : sizeof(name) };
        t.peer_name = t.helo;
        t.tls_detail = t.helo;
        t.recipient = t.helo;
        buffer_init(&out, 8192);
        assert_int_equal(smtp_trace_write(&out, &t), STATUS_OK);
        rest = slice_after(buffer_contents(&out), 9);
        for (size_t lines = 0; rest.len > 0; lines++) {
            struct slice line = slice_cut(&rest, '\n');

            assert_true(line.len > 1 && line.data[0] == ' ');
            assert_int_equal(line.data[line.len - 1], '\r');
            assert_null(memchr(line.data, '\r', line.len - 1));
            assert_null(memchr(line.data, 0, line.len));
            assert_true(line.len <= 998);
            if (memchr(line.data + 1, ' ', line.len - 1) != NULL)
                assert_true(line.len - 1 <= SMTP_TRACE_COLUMNS_MAX + 420);
        }
        buffer_finish(&out);
    }
}

static void a_full_buffer_is_left_as_it_was(void **unused)
{
    struct smtp_trace t = trace();

    (void)unused;
    for (size_t bytes_max = 0; bytes_max < 100; bytes_max++) {
        struct buffer out;

        buffer_init(&out, bytes_max);
        assert_int_equal(smtp_trace_write(&out, &t), STATUS_LIMIT);
        assert_int_equal(buffer_len(&out), 0);
        buffer_finish(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_says_who_how_and_when),
        cmocka_unit_test(the_protocol_has_its_name),
        cmocka_unit_test(a_hostile_name_stays_inside),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
