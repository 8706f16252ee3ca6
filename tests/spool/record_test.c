#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "spool/record.h"

static const struct spool_record sample = {
    .type = SPOOL_RECORD_MESSAGE,
    .generation = 3,
    .salt = 0x1122334455667788,
    .batch = SPOOL_BATCH_ERA + 9,
    .sequence = 77,
    .mid = 1234567,
    .batch_start = 8192,
    .batch_bytes = 4096,
    .log_id = 5,
};

static void a_record_comes_back_as_it_was(void **unused)
{
    char bytes[256];
    static const char text[100] = "text";
    struct spool_record r;
    struct slice payload;

    (void)unused;
    for (size_t len = 0; len < sizeof text; len++) {
        size_t size;

        memset(bytes, 'x', sizeof bytes);
        size = spool_record_encode(&sample, (struct slice){ text, len }, bytes);
        assert_int_equal(size, spool_record_bytes(len));
        assert_int_equal(size % SPOOL_RECORD_ALIGN, 0);
        assert_int_equal(spool_record_decode((struct slice){ bytes, size }, &r), STATUS_OK);
        assert_int_equal(r.type, sample.type);
        assert_int_equal(r.payload_bytes, len);
        assert_int_equal(r.generation, sample.generation);
        assert_int_equal(r.salt, sample.salt);
        assert_int_equal(r.batch, sample.batch);
        assert_int_equal(r.sequence, sample.sequence);
        assert_int_equal(r.mid, sample.mid);
        assert_int_equal(r.batch_start, sample.batch_start);
        assert_int_equal(r.batch_bytes, sample.batch_bytes);
        assert_int_equal(r.log_id, sample.log_id);
        assert_true(spool_record_payload_is_whole(&r, (struct slice){ bytes, size }, &payload));
        assert_true(slice_equal(payload, (struct slice){ text, len }));
    }
}

static void every_flipped_bit_of_header_or_payload_is_noticed(void **unused)
{
    char bytes[256];
    struct slice text = SLICE("a payload of some length"), payload;
    size_t size = spool_record_encode(&sample, text, bytes), used = SPOOL_RECORD_HEADER + text.len;

    (void)unused;
    for (size_t bit = 0; bit < 8 * used; bit++) {
        struct spool_record r;

        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (spool_record_decode((struct slice){ bytes, size }, &r) == STATUS_OK)
            assert_false(
                spool_record_payload_is_whole(&r, (struct slice){ bytes, size }, &payload));
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void a_record_cut_short_is_no_record(void **unused)
{
    char bytes[256];
    struct slice text = SLICE("a payload of some length"), payload;
    struct spool_record r;

    (void)unused;
    (void)spool_record_encode(&sample, text, bytes);
    for (size_t len = 0; len < SPOOL_RECORD_HEADER; len++)
        assert_int_equal(spool_record_decode((struct slice){ bytes, len }, &r), STATUS_CORRUPT);
    for (size_t len = SPOOL_RECORD_HEADER; len < SPOOL_RECORD_HEADER + text.len; len++) {
        assert_int_equal(spool_record_decode((struct slice){ bytes, len }, &r), STATUS_OK);
        assert_false(spool_record_payload_is_whole(&r, (struct slice){ bytes, len }, &payload));
    }
}

/* Whole by its checksum, but with a field that nobody writes. */
static void a_header_that_makes_no_sense_is_refused(void **unused)
{
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {
        { 4, 0 },                        /* type */
        { 4, 5 },                        /* type */
        { 4, 0x100 | 1 },                /* a reserved byte */
        { 8, SPOOL_RECORD_BYTES_MAX },   /* payload length */
        { 8, 4096 },                     /* more than the batch holds */
        { 56, 0 },                       /* batch start */
        { 56, 4097 },                    /* not a block */
        { 56, SPOOL_SEGMENT_BYTES_MAX }, /* behind every segment */
        { 60, 0 },                       /* batch bytes */
        { 60, 0xfffff000 },              /* beyond every segment */
        { 64, SPOOL_LOGS_MAX },          /* log */
        { 68, 1 },                       /* reserved */
        { 72, 1 },                       /* reserved */
    };
    char bytes[256];
    struct spool_record r;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t size = spool_record_encode(&sample, SLICE("text"), bytes);

        spool_put_u32(bytes + cases[i].at, cases[i].value);
        spool_put_u32(bytes + 76, spool_crc32c(0, bytes, 76));
        assert_int_equal(spool_record_decode((struct slice){ bytes, size }, &r), STATUS_CORRUPT);
    }
}

static void a_segment_header_comes_back_as_it_was(void **unused)
{
    const struct spool_segment_header h = { 9, 0x55aa, 3, SPOOL_SEGMENT_BYTES, true };
    struct spool_segment_header back;
    char block[SPOOL_BLOCK_BYTES];

    (void)unused;
    spool_segment_header_encode(&h, block);
    assert_int_equal(spool_segment_header_decode((struct slice){ block, sizeof block }, &back),
                     STATUS_OK);
    assert_int_equal(back.generation, h.generation);
    assert_int_equal(back.salt, h.salt);
    assert_int_equal(back.log_id, h.log_id);
    assert_int_equal(back.bytes, h.bytes);
    assert_true(back.is_free);
    for (size_t bit = 0; bit < 8 * 64; bit++) {
        block[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(spool_segment_header_decode((struct slice){ block, sizeof block }, &back),
                         STATUS_CORRUPT);
        block[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_int_equal(spool_segment_header_decode((struct slice){ block, 63 }, &back),
                     STATUS_CORRUPT);
}

static void another_format_version_is_told_apart_from_damage(void **unused)
{
    const struct spool_segment_header h = { 9, 0x55aa, 3, SPOOL_SEGMENT_BYTES, false };
    struct spool_segment_header back;
    char block[SPOOL_BLOCK_BYTES];

    (void)unused;
    spool_segment_header_encode(&h, block);
    spool_put_u32(block + 8, SPOOL_FORMAT_VERSION + 1);
    spool_put_u32(block + 60, spool_crc32c(0, block, 60));
    assert_int_equal(spool_segment_header_decode((struct slice){ block, sizeof block }, &back),
                     STATUS_UNSUPPORTED);
}

static void results_come_back_and_nonsense_is_refused(void **unused)
{
    const struct spool_result result = { 42, SPOOL_RESULT_DEFERRED, 7, 1800000000, 1700000000, 3,
                                         513 };
    struct spool_result back;
    char bytes[SPOOL_RESULT_BYTES], broken[SPOOL_RESULT_BYTES];
    static const struct {
        size_t at;
        char value;
    } cases[] = { { 2, 1 }, { 4, 0 }, { 4, 5 } };

    (void)unused;
    spool_result_encode(&result, bytes);
    assert_int_equal(spool_result_decode((struct slice){ bytes, sizeof bytes }, &back), STATUS_OK);
    assert_int_equal(back.rid, 42);
    assert_int_equal(back.state, SPOOL_RESULT_DEFERRED);
    assert_int_equal(back.attempts, 7);
    assert_int_equal(back.next_attempt_wall_s, 1800000000);
    assert_int_equal(back.warned_wall_s, 1700000000);
    assert_int_equal(back.warnings, 3);
    assert_int_equal(back.holds, 513);
    assert_int_equal(spool_result_decode((struct slice){ bytes, 23 }, &back), STATUS_CORRUPT);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(broken, bytes, sizeof broken);
        broken[cases[i].at] = cases[i].value;
        assert_int_equal(spool_result_decode((struct slice){ broken, sizeof broken }, &back),
                         STATUS_CORRUPT);
    }
}

static void the_order_of_results_does_not_matter(void **unused)
{
    static const struct spool_result all[] = {
        { 0, SPOOL_RESULT_WAITING, 0, 0 },   { 0, SPOOL_RESULT_DEFERRED, 1, 100 },
        { 0, SPOOL_RESULT_DEFERRED, 2, 50 }, { 0, SPOOL_RESULT_DEFERRED, 2, 60 },
        { 0, SPOOL_RESULT_BOUNCED, 3, 0 },   { 0, SPOOL_RESULT_DELIVERED, 1, 0 },
        { 0, SPOOL_RESULT_DELETED, 0, 0 },
    };

    (void)unused;
    for (size_t a = 0; a < ARRAY_LEN(all); a++)
        for (size_t b = 0; b < ARRAY_LEN(all); b++) {
            struct spool_result ab = all[a], ba = all[b];
            const struct spool_result *later = &all[a > b ? a : b];

            spool_result_merge(&ab, &all[b]);
            spool_result_merge(&ba, &all[a]);
            assert_memory_equal(&ab, later, sizeof ab);
            assert_memory_equal(&ba, later, sizeof ba);
        }
}

static void the_last_word_about_a_hold_counts_whatever_the_order(void **unused)
{
    static const struct spool_result all[] = {
        { .state = SPOOL_RESULT_DEFERRED, .attempts = 1, .holds = 1 },
        { .state = SPOOL_RESULT_DEFERRED, .attempts = 1, .holds = 2 },
        { .state = SPOOL_RESULT_DEFERRED, .attempts = 4 }, /* a try between the two holds */
        { .state = SPOOL_RESULT_DEFERRED, .attempts = 4, .holds = 3 },
    };

    (void)unused;
    for (unsigned order = 0; order < 24; order++) {
        struct spool_result known = { 0 };
        unsigned at[] = { 0, 1, 2, 3 };

        for (unsigned i = 4, rest = order; i > 0; rest /= i, i--) {
            unsigned pick = rest % i, taken = at[pick];

            spool_result_merge(&known, &all[taken]);
            at[pick] = at[i - 1];
        }
        assert_true(spool_result_is_held(&known));
        assert_int_equal(known.holds, 3);
        assert_int_equal(known.attempts, 4);
    }
}

static void warnings_are_kept_whatever_comes_later(void **unused)
{
    static const struct spool_result all[] = {
        { 0, SPOOL_RESULT_DEFERRED, 2, 100, 90, 1 },
        { 0, SPOOL_RESULT_DEFERRED, 5, 400, 300, 2 },
        { 0, SPOOL_RESULT_DEFERRED, 6, 500, 0, 0 },
        { 0, SPOOL_RESULT_BOUNCED, 6, 0, 0, 0 },
    };

    (void)unused;
    for (unsigned order = 0; order < 24; order++) {
        struct spool_result known = { 0 };
        unsigned at[] = { 0, 1, 2, 3 };

        /* Each permutation of the four, by its factorial digits. */
        for (unsigned i = 4, rest = order; i > 0; rest /= i, i--) {
            unsigned pick = rest % i, taken = at[pick];

            spool_result_merge(&known, &all[taken]);
            at[pick] = at[i - 1];
        }
        assert_int_equal(known.state, SPOOL_RESULT_BOUNCED);
        assert_int_equal(known.warnings, 2);
        assert_int_equal(known.warned_wall_s, 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(every_flipped_bit_of_header_or_payload_is_noticed),
        cmocka_unit_test(a_record_cut_short_is_no_record),
        cmocka_unit_test(a_header_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_segment_header_comes_back_as_it_was),
        cmocka_unit_test(another_format_version_is_told_apart_from_damage),
        cmocka_unit_test(results_come_back_and_nonsense_is_refused),
        cmocka_unit_test(the_order_of_results_does_not_matter),
        cmocka_unit_test(the_last_word_about_a_hold_counts_whatever_the_order),
        cmocka_unit_test(warnings_are_kept_whatever_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
