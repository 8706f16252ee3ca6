#include "tests/spool/log_bench.h"

static void what_comes_while_a_batch_is_written_is_the_next_batch(void **unused)
{
    struct bench b;

    (void)unused;
    ready(&b);
    assert_int_equal(append(&b, 100), STATUS_OK);
    spool_log_run(&b.log);
    assert_int_equal(b.storage.writes, 1);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(append(&b, 100), STATUS_OK);
        spool_log_run(&b.log);
    }
    assert_int_equal(b.storage.writes, 1);
    assert_null(spool_log_take_committed(&b.log));
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 0, 0, STATUS_OK);
    spool_log_run(&b.log);
    assert_int_equal(b.storage.writes, 2);
    assert_null(spool_log_take_committed(&b.log));
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 1, 9, STATUS_OK);
    spool_log_run(&b.log);
    assert_int_equal(b.storage.writes, 2);
    assert_int_equal(spool_log_counters(&b.log)->messages, 10);
    teardown(&b);
}

static void a_location_is_where_the_record_lies(void **unused)
{
    struct bench b;

    (void)unused;
    ready(&b);
    commit(&b, 3000);
    commit(&b, 200);
    for (unsigned i = 0; i < 2; i++)
        (void)record_of(&b, i);
    teardown(&b);
}

static void the_next_batch_is_laid_out_while_one_is_written(void **unused)
{
    struct bench b;

    (void)unused;
    ready(&b);
    assert_int_equal(append(&b, 100), STATUS_OK);
    spool_log_run(&b.log);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(append(&b, 100), STATUS_OK);
        spool_log_run(&b.log);
        assert_true(list_is_empty(&b.log.waiting)); /* nothing is left to be copied */
    }
    assert_int_equal(b.storage.writes, 1);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    spool_log_run(&b.log); /* before anybody has heard of the first */
    assert_int_equal(b.storage.writes, 2);
    assert_taken(&b, 0, 0, STATUS_OK);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 1, 9, STATUS_OK);
    for (unsigned i = 0; i < 10; i++) {
        struct spool_record r = record_of(&b, i);

        assert_int_equal(r.batch, i == 0 ? 1 : 2);
        assert_int_equal(r.sequence, i + 1);
    }
    teardown(&b);
}

static void a_batch_that_is_laid_out_when_a_write_fails_goes_elsewhere(void **unused)
{
    struct bench b;
    struct spool_result result = { 0, SPOOL_RESULT_DEFERRED, 1, 5 };
    struct spool_segment *before;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    before = b.tickets[0].location.segment;
    spool_log_append_results(&b.log, 1, &result, 1);
    assert_int_equal(append(&b, 5000), STATUS_OK);
    spool_log_run(&b.log);
    for (int i = 0; i < 3; i++)
        assert_int_equal(append(&b, 3000), STATUS_OK);
    spool_log_run(&b.log);
    assert_true(list_is_empty(&b.log.waiting));
    spool_log_append_results(&b.log, 2, &result, 1);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    fake_settle(&b.storage);
    assert_taken(&b, 1, 1, STATUS_IO);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 2, 4, STATUS_OK);
    for (unsigned i = 2; i < 5; i++) {
        struct spool_record r = record_of(&b, i);

        assert_ptr_not_equal(b.tickets[i].location.segment, before);
        assert_int_equal(r.batch_start, SPOOL_BLOCK_BYTES);
        assert_int_equal(r.batch, SPOOL_BATCH_ERA); /* the one in flight was 2 */
    }
    assert_int_equal(spool_log_results_waiting(&b.log), 0); /* those of the failed write too */
    teardown(&b);
}

static void two_failures_in_a_row_fail_what_is_laid_out_too(void **unused)
{
    struct bench b;

    (void)unused;
    ready(&b);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(append(&b, 100), STATUS_OK);
        fake_settle(&b.storage);
        assert_int_equal(append(&b, 100), STATUS_OK);
        fake_settle(&b.storage);
        assert_int_equal(append(&b, 100), STATUS_OK); /* not laid out yet */
        assert_true(fake_answer_write(&b.storage, STATUS_IO));
        fake_settle(&b.storage);
    }
    assert_taken(&b, 0, 5, STATUS_IO);
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_STOPPED);
    assert_false(fake_answer_write(&b.storage, STATUS_OK)); /* nothing was asked for */
    spool_log_resume(&b.log);
    fake_settle(&b.storage);
    commit(&b, 100);
    (void)record_of(&b, 6);
    teardown(&b);
}

static void a_batch_that_finds_no_room_is_laid_out_for_the_next_segment(void **unused)
{
    struct bench b;
    struct spool_segment *first;

    (void)unused;
    ready(&b);
    for (unsigned i = 0; i < 4; i++) /* four blocks each: 60 KiB less 64 leave no 15 */
        commit(&b, 12000);
    first = b.tickets[0].location.segment;
    assert_int_equal(append(&b, 8000), STATUS_OK);
    fake_settle(&b.storage);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(append(&b, 12000), STATUS_OK);
        fake_settle(&b.storage);
        assert_true(list_is_empty(&b.log.waiting));
    }
    assert_ptr_equal(b.log.current, b.tickets[3].location.segment);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    fake_settle(&b.storage);
    assert_taken(&b, 4, 4, STATUS_OK);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 5, 6, STATUS_OK);
    for (unsigned i = 0; i < 7; i++)
        (void)record_of(&b, i);
    assert_ptr_not_equal(b.tickets[5].location.segment, first);
    assert_int_equal(record_of(&b, 5).batch_start, SPOOL_BLOCK_BYTES);
    assert_int_equal(record_of(&b, 6).batch, record_of(&b, 5).batch);
    teardown(&b);
}

static void nothing_is_accepted_before_there_is_space_for_results_too(void **unused)
{
    struct bench b;
    struct spool_reservation r = { 0 };

    (void)unused;
    setup(&b);
    spool_log_run(&b.log);
    assert_false(spool_log_reserve(&b.log, &r, 100));
    assert_int_equal(append(&b, 100), STATUS_NO_SPACE);
    assert_true(fake_answer_prepare(&b.storage));
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_STARTING);
    assert_false(spool_log_reserve(&b.log, &r, 100));
    fake_settle(&b.storage);
    assert_true(spool_log_reserve(&b.log, &r, 100));
    assert_int_equal(r.bytes, SPOOL_BLOCK_BYTES);
    assert_true(spool_log_reserve(&b.log, &r, 50));
    assert_int_equal(r.bytes, SPOOL_BLOCK_BYTES);
    assert_false(spool_log_reserve(&b.log, &r, FAKE_SEGMENT_BYTES));
    spool_log_unreserve(&b.log, &r);
    spool_log_unreserve(&b.log, &r);
    assert_int_equal(r.bytes, 0);
    teardown(&b);
}

static void reserved_space_is_there_when_the_disk_is_full(void **unused)
{
    struct bench b;
    struct spool_reservation r[MANY] = { 0 };
    unsigned promised = 0;

    (void)unused;
    ready(&b);
    b.disk.files_max = 4;
    for (unsigned i = 0; i < MANY; i++) {
        fake_settle(&b.storage);
        if (spool_log_reserve(&b.log, &r[i], 9000))
            promised++;
    }
    assert_true(promised > 4 && promised < MANY);
    while (spool_log_take_event(&b.log) != SPOOL_LOG_EVENT_NONE)
        ;
    /* Each is written on its own and takes what was promised; results try to get in between. */
    for (unsigned i = 0; i < MANY; i++) {
        struct spool_result result = { 0, SPOOL_RESULT_DEFERRED, 1, 5 };

        if (r[i].bytes == 0)
            continue;
        b.messages[b.count] = fake_message(b.count + 1, 1, 8600);
        assert_int_equal(
            spool_log_append_message(&b.log, b.messages[b.count], &r[i], &b.tickets[b.count]),
            STATUS_OK);
        spool_log_append_results(&b.log, 1, &result, 1);
        b.count++;
        fake_settle(&b.storage);
        assert_true(fake_answer_write(&b.storage, STATUS_OK));
        assert_taken(&b, b.count - 1, b.count - 1, STATUS_OK);
    }
    assert_int_equal(b.count, promised);
    teardown(&b);
}

static void a_full_disk_is_an_event_and_recovers(void **unused)
{
    struct bench b;
    struct spool_reservation r = { 0 };

    (void)unused;
    setup(&b);
    b.disk.files_max = 1;
    fake_settle(&b.storage);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_PREPARE_FAILED);
    assert_false(spool_log_reserve(&b.log, &r, 100));
    fake_settle(&b.storage);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_NONE);
    b.disk.files_max = 2;
    spool_log_retry(&b.log);
    fake_settle(&b.storage);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_READY);
    assert_true(spool_log_reserve(&b.log, &r, 100));
    teardown(&b);
}

static void a_failed_write_fails_its_batch_and_seals_its_segment(void **unused)
{
    struct bench b;
    struct spool_segment *before;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    before = b.tickets[0].location.segment;
    assert_int_equal(append(&b, 100), STATUS_OK);
    spool_log_run(&b.log);
    assert_int_equal(append(&b, 100), STATUS_OK);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_taken(&b, 1, 1, STATUS_IO);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_WRITE_FAILED);
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_READY);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_taken(&b, 2, 2, STATUS_OK);
    assert_ptr_not_equal(b.tickets[2].location.segment, before);
    assert_int_equal(spool_log_counters(&b.log)->write_failures, 1);
    /* A success in between: two failures in all, not in a row. */
    assert_int_equal(append(&b, 100), STATUS_OK);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_READY);
    teardown(&b);
}

static void two_failures_in_a_row_stop_the_log_until_resumed(void **unused)
{
    struct bench b;
    struct spool_reservation r = { 0 };

    (void)unused;
    ready(&b);
    for (unsigned i = 0; i < 2; i++) {
        fake_settle(&b.storage);
        assert_int_equal(append(&b, 100), STATUS_OK);
        fake_settle(&b.storage);
        if (i == 1)
            assert_int_equal(append(&b, 100), STATUS_OK);
        assert_true(fake_answer_write(&b.storage, STATUS_IO));
    }
    assert_taken(&b, 0, 2, STATUS_IO);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_WRITE_FAILED);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_STOPPED);
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_STOPPED);
    assert_false(spool_log_reserve(&b.log, &r, 100));
    assert_int_equal(append(&b, 100), STATUS_IO);
    spool_log_resume(&b.log);
    fake_settle(&b.storage);
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_READY);
    commit(&b, 100);
    teardown(&b);
}

static void a_record_above_the_limit_is_refused(void **unused)
{
    struct bench b;

    (void)unused;
    ready(&b);
    assert_int_equal(append(&b, FAKE_SEGMENT_BYTES / 4), STATUS_LIMIT);
    assert_int_equal(append(&b, FAKE_SEGMENT_BYTES / 4 - 500), STATUS_OK);
    teardown(&b);
}

static void options_that_do_not_fit_together_are_refused(void **unused)
{
    static const struct spool_log_options cases[] = {
        { .log_id = SPOOL_LOGS_MAX, .batch_first = 1, .sequence_first = 1 },
        { .segment_bytes = 4096, .batch_first = 1, .sequence_first = 1 },
        { .segment_bytes = (64u << 10) + 1, .batch_first = 1, .sequence_first = 1 },
        { .segment_bytes = 64u << 10,
          .record_bytes_max = 64u << 10,
          .batch_first = 1,
          .sequence_first = 1 },
        { .batch_first = 0, .sequence_first = 1 },
        { .batch_first = 1, .sequence_first = 0 },
    };
    struct fake_storage storage = { .is_writing = false };
    struct spool_log log = { 0 };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(spool_log_init(&log, &storage.storage, &cases[i]), STATUS_INVALID);
    spool_log_finish(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_a_batch_is_written_is_the_next_batch),
        cmocka_unit_test(a_location_is_where_the_record_lies),
        cmocka_unit_test(the_next_batch_is_laid_out_while_one_is_written),
        cmocka_unit_test(a_batch_that_is_laid_out_when_a_write_fails_goes_elsewhere),
        cmocka_unit_test(two_failures_in_a_row_fail_what_is_laid_out_too),
        cmocka_unit_test(a_batch_that_finds_no_room_is_laid_out_for_the_next_segment),
        cmocka_unit_test(nothing_is_accepted_before_there_is_space_for_results_too),
        cmocka_unit_test(reserved_space_is_there_when_the_disk_is_full),
        cmocka_unit_test(a_full_disk_is_an_event_and_recovers),
        cmocka_unit_test(a_failed_write_fails_its_batch_and_seals_its_segment),
        cmocka_unit_test(two_failures_in_a_row_stop_the_log_until_resumed),
        cmocka_unit_test(a_record_above_the_limit_is_refused),
        cmocka_unit_test(options_that_do_not_fit_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
