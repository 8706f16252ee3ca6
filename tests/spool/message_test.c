#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/bytes.h"
#include "spool/draft.h"
#include "tests/spool/fake_storage.h"

static struct spool_draft begun(size_t hint)
{
    struct spool_draft d;
    const struct spool_envelope e = { .mid = 5, .sender = SLICE("a@b") };

    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, hint), STATUS_OK);
    return d;
}

static void a_message_reads_back_from_its_payload(void **unused)
{
    static const struct {
        unsigned recipients;
        size_t body;
    } cases[] = { { 1, 0 }, { 1, 1 }, { 4, 4000 }, { 5, 100 }, { 300, 70000 }, { 2, 1u << 20 } };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spool_message *m = fake_message(99, cases[i].recipients, cases[i].body), *back;

        fake_assert_message(m, 99, cases[i].recipients, cases[i].body);
        assert_int_equal(spool_message_decode(99, spool_message_payload(m), &back), STATUS_OK);
        fake_assert_message(back, 99, cases[i].recipients, cases[i].body);
        assert_true(slice_equal(spool_message_payload(m), spool_message_payload(back)));
        assert_int_equal(spool_message_size(m), cases[i].body + strlen("Received: here\r\n"));
        assert_int_equal(spool_message_decode(98, spool_message_payload(m), &back), STATUS_CORRUPT);
        spool_message_destroy(m);
        spool_message_destroy(back);
    }
}

/* One view for all, as recovery does it. */
static void a_view_shows_what_decode_would_make(void **unused)
{
    static const struct {
        unsigned recipients;
        size_t body;
    } cases[] = { { 1, 0 }, { 300, 70000 }, { 4, 4000 }, { 5, 100 }, { 1, 1 } };
    struct spool_message *view = spool_message_view_create();

    (void)unused;
    assert_non_null(view);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spool_message *m = fake_message(99, cases[i].recipients, cases[i].body);
        struct slice payload = spool_message_payload(m);

        assert_int_equal(spool_message_view(view, 99, payload), STATUS_OK);
        fake_assert_message(view, 99, cases[i].recipients, cases[i].body);
        assert_ptr_equal(spool_message_payload(view).data, payload.data);
        assert_int_equal(spool_message_view(view, 98, payload), STATUS_CORRUPT);
        assert_int_equal(spool_message_view(view, 99, slice_first(payload, payload.len - 1)),
                         STATUS_CORRUPT);
        spool_message_destroy(m);
    }
    spool_message_destroy(view);
}

static void how_the_body_is_cut_does_not_matter(void **unused)
{
    struct slice text = SLICE("Subject: x\r\n\r\nHello\r\n..dot\r\n");

    (void)unused;
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct spool_draft d = begun(0);
        struct spool_message *m;

        assert_int_equal(spool_draft_add_recipient(&d, SLICE("c@d")), STATUS_OK);
        assert_int_equal(spool_draft_body(&d, slice_first(text, cut)), STATUS_OK);
        assert_int_equal(spool_draft_body(&d, slice_after(text, cut)), STATUS_OK);
        assert_int_equal(spool_draft_body_bytes(&d), text.len);
        m = spool_draft_complete(&d);
        assert_true(slice_equal(spool_message_body(m), text));
        assert_int_equal(spool_message_trace(m).len, 0);
        spool_message_destroy(m);
    }
}

static void a_true_size_is_room_enough_for_what_is_ours_as_well(void **unused)
{
    static const size_t sizes[] = { 1, 100, 1024, 4096, 10000, SPOOL_DRAFT_HINT_MAX };
    static const char text[SPOOL_DRAFT_HINT_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct spool_draft d = begun(sizes[i]);
        size_t bytes = spool_draft_memory_bytes(&d), grown;
        struct spool_message *m;

        assert_true(bytes < sizes[i] + 1024 + SPOOL_DRAFT_HINT_MIN);
        assert_int_equal(spool_draft_add_recipient(&d, SLICE("someone@example.com")), STATUS_OK);
        grown = spool_draft_memory_bytes(&d) - bytes; /* the table of recipients */
        assert_int_equal(spool_draft_trace(&d, (struct slice){ text, 350 }), STATUS_OK);
        assert_int_equal(spool_draft_body(&d, (struct slice){ text, sizes[i] }), STATUS_OK);
        assert_int_equal(spool_draft_memory_bytes(&d), bytes + grown);
        m = spool_draft_complete(&d);
        assert_int_equal(spool_message_memory_bytes(m), bytes + grown);
        spool_message_destroy(m);
    }
}

/* RFC 8689 4.1. */
static void tls_required_no_says_nothing_of_mail_with_requiretls(void **unused)
{
    static const struct {
        unsigned flags, then;
    } cases[] = {
        { 0, SPOOL_MESSAGE_TLS_OPTIONAL },
        { SPOOL_MESSAGE_8BITMIME, SPOOL_MESSAGE_8BITMIME | SPOOL_MESSAGE_TLS_OPTIONAL },
        { SPOOL_MESSAGE_REQUIRE_TLS, SPOOL_MESSAGE_REQUIRE_TLS },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct spool_envelope e = { .mid = 5,
                                          .sender = SLICE("a@b"),
                                          .flags = cases[i].flags };
        struct spool_message *m;
        struct spool_draft d;

        spool_draft_init(&d);
        assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_OK);
        assert_int_equal(spool_draft_add_recipient(&d, SLICE("c@d")), STATUS_OK);
        spool_draft_set_tls_optional(&d);
        m = spool_draft_complete(&d);
        assert_int_equal(spool_message_flags(m), cases[i].then);
        spool_message_destroy(m);
    }
}

static void every_limit_is_kept_and_a_refusal_changes_nothing(void **unused)
{
    static const char big[SPOOL_BODY_INLINE_MAX + 1];
    struct slice longest = { big, SPOOL_ADDRESS_MAX }, longer = { big, SPOOL_ADDRESS_MAX + 1 };
    struct spool_draft d;
    struct spool_envelope e = { .mid = 5, .sender = longer };
    struct spool_message *m;

    (void)unused;
    spool_draft_init(&d);
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_LIMIT);
    e.sender = longest;
    e.info[SPOOL_INFO_TEXT] = longer;
    assert_int_equal(spool_draft_begin(&d, &e, 0), STATUS_LIMIT);
    e.info[SPOOL_INFO_TEXT] = longest;
    assert_int_equal(spool_draft_begin(&d, &e, SIZE_MAX), STATUS_OK);
    assert_true(spool_draft_memory_bytes(&d) < SPOOL_DRAFT_HINT_MAX + 4096);
    assert_int_equal(spool_draft_add_recipient(&d, longer), STATUS_LIMIT);
    assert_int_equal(
        spool_draft_add_recipient_dsn(&d, SLICE("x@y"),
                                      &(struct spool_dsn){ .orcpt = { big, SPOOL_ORCPT_MAX + 1 } }),
        STATUS_LIMIT);
    for (unsigned i = 0; i < SPOOL_RECIPIENTS_MAX; i++)
        assert_int_equal(spool_draft_add_recipient(&d, SLICE("x@y")), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&d, SLICE("x@y")), STATUS_LIMIT);
    assert_int_equal(spool_draft_trace(&d, (struct slice){ big, SPOOL_TRACE_MAX }), STATUS_OK);
    assert_int_equal(spool_draft_trace(&d, SLICE("x")), STATUS_LIMIT);
    assert_int_equal(spool_draft_body(&d, (struct slice){ big, sizeof big }), STATUS_LIMIT);
    assert_int_equal(spool_draft_body(&d, (struct slice){ big, sizeof big - 1 }), STATUS_OK);
    assert_int_equal(spool_draft_body(&d, SLICE("x")), STATUS_LIMIT);
    m = spool_draft_complete(&d);
    assert_int_equal(spool_message_recipients_count(m), SPOOL_RECIPIENTS_MAX);
    assert_int_equal(spool_message_body_bytes(m), SPOOL_BODY_INLINE_MAX);
    assert_true(spool_message_record_bytes(m) <= SPOOL_RECORD_BYTES_MAX);
    spool_message_destroy(m);
}

static void recipients_together_are_bounded(void **unused)
{
    static const char address[SPOOL_ADDRESS_MAX];
    struct spool_draft d = begun(0);
    unsigned count = 0;

    (void)unused;
    while (spool_draft_add_recipient(&d, (struct slice){ address, sizeof address }) == STATUS_OK)
        count++;
    assert_int_equal(count, SPOOL_RECIPIENTS_BYTES / (SPOOL_ADDRESS_MAX + 4));
    assert_int_equal(spool_draft_recipients_count(&d), count);
    spool_draft_finish(&d);
}

static void a_body_can_move_to_a_file(void **unused)
{
    struct spool_draft d = begun(0);
    struct spool_message *m, *back;

    (void)unused;
    assert_int_equal(spool_draft_add_recipient(&d, SLICE("c@d")), STATUS_OK);
    assert_int_equal(spool_draft_trace(&d, SLICE("T")), STATUS_OK);
    assert_int_equal(spool_draft_body(&d, SLICE("so far")), STATUS_OK);
    assert_true(slice_equal(spool_draft_body_so_far(&d), SLICE("so far")));
    spool_draft_drop_body(&d);
    assert_int_equal(spool_draft_body_so_far(&d).len, 0);
    spool_draft_set_body_file(&d, UINT64_C(5000000000), 0xabcdef01);
    m = spool_draft_complete(&d);
    assert_true(spool_message_body_in_file(m));
    assert_int_equal(spool_message_body(m).len, 0);
    assert_int_equal(spool_message_body_bytes(m), UINT64_C(5000000000));
    assert_int_equal(spool_message_decode(5, spool_message_payload(m), &back), STATUS_OK);
    assert_int_equal(spool_message_body_crc(back), 0xabcdef01);
    assert_true(slice_equal(spool_message_recipient(back, 0), SLICE("c@d")));
    assert_true(slice_equal(spool_message_trace(back), SLICE("T")));
    spool_message_destroy(m);
    spool_message_destroy(back);
}

static const char payload_of_version_1[] = "\5\0\0\0\0\0\0\0" /* MID */
                                           "\0\0\0\0\0\0\0\0" /* ICID */
                                           "\0\0\0\0\0\0\0\0" /* arrival */
                                           "\1\0\0\0\0\0\0\0" /* body */
                                           "\43\0\0\0"        /* 8BITMIME, SMTPUTF8, relayed */
                                           "\2\0\0\0"         /* recipients */
                                           "\16\0\0\0"        /* their bytes */
                                           "\0\0\0\0"         /* trace */
                                           "\0\0\0\0"         /* body file */
                                           "\3\0\20\0"        /* sender, info */
                                           "\0\0\0\0\0\0\0\0"
                                           "a@b"
                                           "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                           "\0\0\3\0c@d\0\0\3\0e@f"
                                           "x";

static void what_earlier_versions_wrote_says_nothing_new(void **unused)
{
    struct spool_message *m;

    (void)unused;
    assert_int_equal(
        spool_message_decode(
            5, (struct slice){ payload_of_version_1, sizeof payload_of_version_1 - 1 }, &m),
        STATUS_OK);
    assert_int_equal(spool_message_recipients_count(m), 2);
    for (unsigned rid = 0; rid < 2; rid++) {
        assert_true(
            slice_equal(spool_message_recipient(m, rid), rid == 0 ? SLICE("c@d") : SLICE("e@f")));
        assert_int_equal(spool_message_dsn(m, rid).notify, 0);
        assert_int_equal(spool_message_dsn(m, rid).orcpt.len, 0);
    }
    assert_int_equal(spool_message_flags(m),
                     SPOOL_MESSAGE_8BITMIME | SPOOL_MESSAGE_SMTPUTF8 | SPOOL_MESSAGE_RELAYED);
    assert_int_equal(spool_message_dots_count(m), 0);
    spool_message_destroy(m);
}

static void what_was_found_in_a_body_comes_back(void **unused)
{
    static const struct {
        struct spool_content content;
        unsigned flags;
    } cases[] = {
        { { false, false, 0 }, SPOOL_MESSAGE_CONTENT_KNOWN },
        { { true, false, 1 }, SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_HAS_8BIT },
        { { true, true, 2 },
          SPOOL_MESSAGE_CONTENT_KNOWN | SPOOL_MESSAGE_HAS_8BIT | SPOOL_MESSAGE_HAS_8BIT_HEADER },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spool_draft d = begun(0);
        struct spool_message *m, *back;

        assert_int_equal(spool_draft_add_recipient(&d, SLICE("c@d")), STATUS_OK);
        assert_int_equal(spool_draft_body(&d, SLICE("..a\r\n..b\r\n")), STATUS_OK);
        /* The last word counts. */
        spool_draft_set_content(&d, &(struct spool_content){ true, true, 5 });
        spool_draft_set_content(&d, &cases[i].content);
        m = spool_draft_complete(&d);
        assert_int_equal(spool_message_decode(5, spool_message_payload(m), &back), STATUS_OK);
        assert_int_equal(spool_message_flags(back), cases[i].flags);
        assert_int_equal(spool_message_dots_count(back), cases[i].content.dots_count);
        spool_message_destroy(m);
        spool_message_destroy(back);
    }
}

/* Whoever sends by BDAT believes these numbers. */
static void a_record_whose_content_cannot_be_is_refused(void **unused)
{
    enum {
        KNOWN = SPOOL_MESSAGE_CONTENT_KNOWN,
        HAS = SPOOL_MESSAGE_HAS_8BIT,
        HEADER = SPOOL_MESSAGE_HAS_8BIT_HEADER,
        RAW = SPOOL_MESSAGE_NOT_STUFFED
    };
    static const struct {
        unsigned flags;
        unsigned dots;
        enum status status;
    } cases[] = {
        { 0, 0, STATUS_OK },
        { RAW, 0, STATUS_OK },
        { KNOWN, 0, STATUS_OK },
        { KNOWN | HAS, 5, STATUS_OK },
        { KNOWN | RAW, 0, STATUS_OK },
        { KNOWN | HAS | HEADER, 5, STATUS_OK },
        { KNOWN, 6, STATUS_CORRUPT }, /* of ten bytes */
        { 0, 1, STATUS_CORRUPT },
        { KNOWN | RAW, 1, STATUS_CORRUPT },
        { HAS, 0, STATUS_CORRUPT },
        { HAS | HEADER, 0, STATUS_CORRUPT },
        { KNOWN | HEADER, 0, STATUS_CORRUPT },
    };
    struct spool_message *m = fake_message(3, 1, 10), *back;
    struct slice payload = spool_message_payload(m);
    char bytes[512];

    (void)unused;
    assert_true(payload.len < sizeof bytes);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(bytes, payload.data, payload.len);
        spool_put_u32(bytes + 32, cases[i].flags);
        bytes[56] = (char)cases[i].dots;
        assert_int_equal(spool_message_decode(3, (struct slice){ bytes, payload.len }, &back),
                         cases[i].status);
        if (cases[i].status == STATUS_OK)
            spool_message_destroy(back);
    }
    spool_message_destroy(m);
}

static void what_was_asked_of_notifications_comes_back(void **unused)
{
    static const char orcpt[SPOOL_ORCPT_MAX] = "rfc822;x";
    static const struct spool_dsn cases[] = {
        { 0, { NULL, 0 } },
        { 1, { orcpt, 1 } },
        { 0, { orcpt, 8 } },
        { SPOOL_DSN_NOTIFY_ALL, { orcpt, SPOOL_ORCPT_MAX } },
        { 6, { orcpt, SPOOL_ORCPT_MAX } },
    };
    struct spool_draft d = begun(0);
    struct spool_message *m, *back;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(spool_draft_add_recipient_dsn(&d, SLICE("c@d"), &cases[i]), STATUS_OK);
    m = spool_draft_complete(&d);
    assert_int_equal(spool_message_decode(5, spool_message_payload(m), &back), STATUS_OK);
    for (unsigned rid = 0; rid < ARRAY_LEN(cases); rid++) {
        assert_true(slice_equal(spool_message_recipient(back, rid), SLICE("c@d")));
        assert_int_equal(spool_message_dsn(back, rid).notify, cases[rid].notify);
        assert_true(slice_equal(spool_message_dsn(back, rid).orcpt, cases[rid].orcpt));
    }
    spool_message_destroy(m);
    spool_message_destroy(back);
}

static void a_record_with_an_orcpt_above_its_maximum_is_refused(void **unused)
{
    static const char orcpt[SPOOL_ORCPT_MAX] = "rfc822;x";
    struct spool_draft d = begun(0);
    struct spool_message *m, *back;
    struct slice payload;
    char bytes[1024], *head;

    (void)unused;
    assert_int_equal(
        spool_draft_add_recipient_dsn(&d, SLICE("user@example.com"),
                                      &(struct spool_dsn){ .orcpt = { orcpt, sizeof orcpt } }),
        STATUS_OK);
    m = spool_draft_complete(&d);
    payload = spool_message_payload(m);
    assert_true(payload.len < sizeof bytes);
    memcpy(bytes, payload.data, payload.len);
    payload.data = bytes;
    /* The last byte of the address becomes the first of the ORCPT: all lengths still add up. */
    head = memmem(bytes, payload.len, "user@", 5);
    assert_non_null(head);
    head -= 4;
    assert_int_equal((unsigned char)head[1], SPOOL_ORCPT_MAX >> 4);
    assert_int_equal(spool_message_decode(5, payload, &back), STATUS_OK);
    spool_message_destroy(back);
    head[0] = 1 << 4;
    head[2]--;
    assert_int_equal(spool_message_decode(5, payload, &back), STATUS_CORRUPT);
    spool_message_destroy(m);
}

static void a_message_returns_all_or_the_header_not_both(void **unused)
{
    struct spool_message *m = fake_message(3, 1, 10), *back;
    struct slice payload = spool_message_payload(m);
    char bytes[512];

    (void)unused;
    assert_true(payload.len < sizeof bytes);
    memcpy(bytes, payload.data, payload.len);
    bytes[32] = (char)SPOOL_MESSAGE_RET_FULL;
    assert_int_equal(spool_message_decode(3, (struct slice){ bytes, payload.len }, &back),
                     STATUS_OK);
    spool_message_destroy(back);
    bytes[32] = (char)(SPOOL_MESSAGE_RET_FULL | SPOOL_MESSAGE_RET_HDRS);
    assert_int_equal(spool_message_decode(3, (struct slice){ bytes, payload.len }, &back),
                     STATUS_CORRUPT);
    spool_message_destroy(m);
}

static void a_dropped_draft_begins_again(void **unused)
{
    struct spool_draft d = begun(0);

    (void)unused;
    spool_draft_finish(&d);
    spool_draft_finish(&d);
    assert_int_equal(spool_draft_memory_bytes(&d), 0);
    d = begun(100);
    assert_int_equal(spool_draft_mid(&d), 5);
    assert_int_equal(spool_draft_recipients_count(&d), 0);
    spool_draft_finish(&d);
}

/* Whatever is in a payload, decoding stays inside and gives a message that can be read. */
static void a_payload_with_any_byte_changed_is_refused_or_readable(void **unused)
{
    struct spool_message *m = fake_message(3, 3, 10), *back;
    struct slice payload = spool_message_payload(m);
    char bytes[512];

    (void)unused;
    assert_true(payload.len < sizeof bytes);
    for (size_t at = 0; at < payload.len; at++)
        for (unsigned value = 0; value < 256; value += 5) {
            memcpy(bytes, payload.data, payload.len);
            bytes[at] = (char)value;
            if (spool_message_decode(3, (struct slice){ bytes, payload.len }, &back) != STATUS_OK)
                continue;
            for (unsigned rid = 0; rid < spool_message_recipients_count(back); rid++)
                assert_true(spool_message_recipient(back, rid).len +
                                spool_message_dsn(back, rid).orcpt.len <=
                            payload.len);
            for (unsigned i = 0; i < SPOOL_INFO_COUNT; i++)
                assert_true(spool_message_info(back, (enum spool_info)i).len <= payload.len);
            assert_true(spool_message_body(back).len <= payload.len);
            spool_message_destroy(back);
        }
    for (size_t len = 0; len < payload.len; len++)
        assert_int_equal(spool_message_decode(3, slice_first(payload, len), &back), STATUS_CORRUPT);
    spool_message_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reads_back_from_its_payload),
        cmocka_unit_test(a_view_shows_what_decode_would_make),
        cmocka_unit_test(how_the_body_is_cut_does_not_matter),
        cmocka_unit_test(a_true_size_is_room_enough_for_what_is_ours_as_well),
        cmocka_unit_test(tls_required_no_says_nothing_of_mail_with_requiretls),
        cmocka_unit_test(every_limit_is_kept_and_a_refusal_changes_nothing),
        cmocka_unit_test(recipients_together_are_bounded),
        cmocka_unit_test(a_body_can_move_to_a_file),
        cmocka_unit_test(what_earlier_versions_wrote_says_nothing_new),
        cmocka_unit_test(what_was_found_in_a_body_comes_back),
        cmocka_unit_test(a_record_whose_content_cannot_be_is_refused),
        cmocka_unit_test(what_was_asked_of_notifications_comes_back),
        cmocka_unit_test(a_record_with_an_orcpt_above_its_maximum_is_refused),
        cmocka_unit_test(a_message_returns_all_or_the_header_not_both),
        cmocka_unit_test(a_dropped_draft_begins_again),
        cmocka_unit_test(a_payload_with_any_byte_changed_is_refused_or_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
