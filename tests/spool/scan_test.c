#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "spool/scan.h"
#include "tests/spool/fake_storage.h"

#define MESSAGES 5

static size_t body_of(uint64_t mid)
{
    return (size_t)mid * 700;
}

/* A segment with MESSAGES messages in batches of 1, 2, 2. */
struct written {
    struct fake_disk disk;
    struct spool_segment_header header;
    struct slice bytes;
};

static void write_segment(struct written *w)
{
    struct fake_storage storage;
    struct spool_log log;
    struct spool_log_options options = { .segment_bytes = FAKE_SEGMENT_BYTES,
                                         .batch_first = 1,
                                         .sequence_first = 1 };
    struct spool_ticket tickets[MESSAGES];
    struct spool_message *messages[MESSAGES];

    fake_disk_init(&w->disk);
    fake_storage_init(&storage, &w->disk, &log);
    assert_int_equal(spool_log_init(&log, &storage.storage, &options), STATUS_OK);
    fake_settle(&storage);
    for (unsigned i = 0; i < MESSAGES; i++) {
        messages[i] = fake_message(i + 1, 2, body_of(i + 1));
        assert_int_equal(spool_log_append_message(&log, messages[i], NULL, &tickets[i]), STATUS_OK);
        if (i == 0 || i == 2 || i == 4) {
            spool_log_run(&log);
            assert_true(fake_answer_write(&storage, STATUS_OK));
        }
    }
    while (spool_log_take_committed(&log) != NULL)
        ;
    fake_settle(&storage);
    for (unsigned i = 0; i < MESSAGES; i++)
        spool_message_destroy(messages[i]);
    w->header = w->disk.segments[1].header;
    w->bytes = (struct slice){ w->disk.segments[1].bytes, FAKE_SEGMENT_BYTES };
    spool_log_finish(&log);
}

/* Scans and checks that only whole messages come out; returns how many. */
static unsigned scan_all(const struct written *w, struct slice bytes, unsigned *holes_out,
                         uint64_t *batch_out)
{
    struct spool_scan s;
    unsigned found = 0, holes = 0;
    uint64_t before = 0;

    spool_scan_init(&s, bytes, w->header.generation, w->header.salt);
    for (;;) {
        enum spool_scan_item item = spool_scan_next(&s);
        struct spool_message *m;

        if (item == SPOOL_SCAN_END)
            break;
        if (item == SPOOL_SCAN_HOLE) {
            holes++;
            continue;
        }
        assert_true(s.record.mid > before && s.record.mid <= MESSAGES);
        before = s.record.mid;
        assert_int_equal(spool_message_decode(s.record.mid, s.payload, &m), STATUS_OK);
        fake_assert_message(m, s.record.mid, 2, body_of(s.record.mid));
        spool_message_destroy(m);
        found++;
    }
    *holes_out = holes;
    *batch_out = s.batch;
    return found;
}

static void a_whole_segment_has_no_holes(void **unused)
{
    struct written w;
    unsigned holes;
    uint64_t batch;

    (void)unused;
    write_segment(&w);
    assert_int_equal(scan_all(&w, w.bytes, &holes, &batch), MESSAGES);
    assert_int_equal(holes, 0);
    assert_int_equal(batch, 3);
    fake_disk_finish(&w.disk);
}

static void any_damaged_byte_costs_one_message_at_most_and_changes_none(void **unused)
{
    struct written w;
    unsigned holes, lost = 0;
    uint64_t batch;
    char *bytes;
    size_t end = 24576;

    (void)unused;
    write_segment(&w);
    bytes = w.disk.segments[1].bytes;
    for (size_t at = SPOOL_BLOCK_BYTES; at < end; at++) {
        char was = bytes[at];
        unsigned found;

        bytes[at] ^= 0x41;
        found = scan_all(&w, w.bytes, &holes, &batch);
        assert_true(found >= MESSAGES - 1);
        assert_true(found == MESSAGES || holes > 0);
        lost += MESSAGES - found;
        bytes[at] = was;
    }
    /* Every byte of the five records counts, and the padding between them does not. */
    assert_true(lost >= 700 * (1 + 2 + 3 + 4 + 5) + MESSAGES * SPOOL_RECORD_HEADER);
    fake_disk_finish(&w.disk);
}

static void a_segment_cut_anywhere_gives_the_messages_before_the_cut(void **unused)
{
    struct written w;
    unsigned holes, before = 0;
    uint64_t batch;

    (void)unused;
    write_segment(&w);
    for (size_t len = 0; len <= 24576; len += 1) {
        char *copy = malloc(len > 0 ? len : 1); /* so that the sanitizer sees a step outside */
        unsigned found;

        memcpy(copy, w.bytes.data, len);
        found = scan_all(&w, (struct slice){ copy, len }, &holes, &batch);
        assert_true(found >= before);
        before = found;
        free(copy);
    }
    assert_int_equal(before, MESSAGES);
    fake_disk_finish(&w.disk);
}

static void records_of_another_generation_are_not_seen(void **unused)
{
    struct written w;
    unsigned holes;
    uint64_t batch;

    (void)unused;
    write_segment(&w);
    w.header.generation++;
    assert_int_equal(scan_all(&w, w.bytes, &holes, &batch), 0);
    assert_int_equal(holes, 0);
    w.header.generation--;
    w.header.salt++;
    assert_int_equal(scan_all(&w, w.bytes, &holes, &batch), 0);
    fake_disk_finish(&w.disk);
}

static void holes_name_their_batch_and_what_is_left_of_the_message(void **unused)
{
    struct written w;
    struct spool_scan s;
    char *bytes;

    (void)unused;
    write_segment(&w);
    bytes = w.disk.segments[1].bytes;
    bytes[SPOOL_BLOCK_BYTES + SPOOL_RECORD_HEADER + 200] ^= 1; /* payload of message 1 */
    spool_scan_init(&s, w.bytes, w.header.generation, w.header.salt);
    assert_int_equal(spool_scan_next(&s), SPOOL_SCAN_HOLE);
    assert_int_equal(s.offset, SPOOL_BLOCK_BYTES);
    assert_int_equal(s.hole_mid, 1);
    assert_int_equal(s.hole_batch, 1);
    assert_int_equal(spool_scan_next(&s), SPOOL_SCAN_RECORD);
    assert_int_equal(s.record.mid, 2);

    memset(bytes + s.offset, 0, 2 * SPOOL_BLOCK_BYTES); /* batch 2 is gone, or most of it */
    spool_scan_init(&s, w.bytes, w.header.generation, w.header.salt);
    assert_int_equal(spool_scan_next(&s), SPOOL_SCAN_HOLE);
    assert_int_equal(spool_scan_next(&s), SPOOL_SCAN_HOLE);
    assert_true(s.hole_batch == 2);
    while (spool_scan_next(&s) != SPOOL_SCAN_END)
        ;
    assert_int_equal(s.batch, 3);
    fake_disk_finish(&w.disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_segment_has_no_holes),
        cmocka_unit_test(any_damaged_byte_costs_one_message_at_most_and_changes_none),
        cmocka_unit_test(a_segment_cut_anywhere_gives_the_messages_before_the_cut),
        cmocka_unit_test(records_of_another_generation_are_not_seen),
        cmocka_unit_test(holes_name_their_batch_and_what_is_left_of_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
