/* What the log records without haste: results, DONE, and what it puts behind the last messages. */
#include "spool/log_parts.h"
#include "tests/spool/log_bench.h"

static void a_stopped_log_keeps_results_and_tries_them_when_told(void **unused)
{
    struct bench b;
    struct spool_result result = { 0, SPOOL_RESULT_DELIVERED, 1 };
    unsigned opened;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    spool_log_append_results(&b.log, 1, &result, 1);
    spool_log_flush(&b.log);
    for (unsigned i = 0; i < 2; i++) {
        fake_settle(&b.storage);
        assert_true(fake_answer_write(&b.storage, STATUS_IO));
    }
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_STOPPED);
    spool_log_append_results(&b.log, 1, &result, 1);
    opened = (unsigned)spool_log_counters(&b.log)->segments_opened;
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_false(fake_answer_write(&b.storage, STATUS_OK)); /* nothing was asked for */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(spool_log_is_holding(&b.log));
        spool_log_rescue(&b.log);
        fake_settle(&b.storage);
        assert_int_equal(spool_log_counters(&b.log)->segments_opened, opened + 1 + i);
        assert_true(fake_answer_write(&b.storage, i < 2 ? STATUS_IO : STATUS_OK));
        assert_int_equal(spool_log_has_lazy(&b.log), i < 2);
    }
    assert_int_equal(spool_log_counters(&b.log)->results, 2 + 2 * 2 + 2);
    assert_int_equal(append(&b, 100), STATUS_IO);    /* and it takes no mail */
    spool_log_append_results(&b.log, 1, &result, 1); /* from here on as always */
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_true(spool_log_is_holding(&b.log));
    spool_log_resume(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_false(spool_log_has_lazy(&b.log));
    commit(&b, 100);
    teardown(&b);
}

static void results_of_a_failed_batch_are_written_again(void **unused)
{
    struct bench b;
    struct spool_result result = { 0, SPOOL_RESULT_DEFERRED, 1, 5 };
    struct spool_ticket done;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    spool_log_append_results(&b.log, 1, &result, 1);
    spool_log_append_done(&b.log, 1, &b.tickets[0].location, &done);
    assert_int_equal(spool_log_results_waiting(&b.log), 2);
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_int_equal(spool_log_results_waiting(&b.log), 2);
    assert_null(spool_log_take_committed(&b.log));
    assert_true(spool_log_has_lazy(&b.log));
    fake_settle(&b.storage);
    spool_log_append_results(&b.log, 2, &result, 1); /* while they are written */
    assert_int_equal(spool_log_results_waiting(&b.log), 3);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_int_equal(spool_log_results_waiting(&b.log), 1);
    assert_ptr_equal(spool_log_take_committed(&b.log), &done);
    assert_int_equal(done.status, STATUS_OK);
    assert_int_equal(done.kind, SPOOL_TICKET_DONE);
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_int_equal(spool_log_results_waiting(&b.log), 0);
    assert_false(spool_log_has_lazy(&b.log));
    teardown(&b);
}

static void a_message_whose_write_failed_can_be_struck_out(void **unused)
{
    struct bench b;
    struct spool_ticket done;

    (void)unused;
    ready(&b);
    assert_int_equal(append(&b, 100), STATUS_OK);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_ptr_equal(spool_log_take_committed(&b.log), &b.tickets[0]);
    assert_int_equal(b.tickets[0].status, STATUS_IO);
    spool_log_append_done(&b.log, 1, NULL, &done); /* it has no place to give up */
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_ptr_equal(spool_log_take_committed(&b.log), &done);
    assert_int_equal(done.status, STATUS_OK);
    teardown(&b);
}

static void results_wait_for_a_message_or_a_flush(void **unused)
{
    struct bench b;
    struct spool_result result = { 0, SPOOL_RESULT_DELIVERED, 1, 0 };
    struct spool_ticket done;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    commit(&b, 100);
    spool_log_append_results(&b.log, 1, &result, 1);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.writes, 2);
    assert_true(spool_log_has_lazy(&b.log));
    commit(&b, 100);
    assert_int_equal(spool_log_results_waiting(&b.log), 0);
    spool_log_append_done(&b.log, 1, &b.tickets[0].location, &done);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.writes, 3);
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_ptr_equal(spool_log_take_committed(&b.log), &done);
    /* A flush with nothing to write does not make the next result eager. */
    spool_log_flush(&b.log);
    spool_log_append_results(&b.log, 2, &result, 1);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.writes, 4);
    teardown(&b);
}

static void a_flush_puts_a_batch_behind_the_last_messages(void **unused)
{
    struct bench b;
    struct spool_record last, r;
    const char *segment;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    assert_true(spool_log_has_lazy(&b.log));
    fake_settle(&b.storage);
    assert_int_equal(b.storage.writes, 1); /* but not before it is told */
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    last = record_of(&b, 0);
    segment = b.disk.segments[spool_segment_file(b.tickets[0].location.segment)->number].bytes;
    assert_int_equal(
        spool_record_decode(
            (struct slice){ segment + last.batch_start + last.batch_bytes, SPOOL_BLOCK_BYTES }, &r),
        STATUS_OK);
    assert_int_equal(r.type, SPOOL_RECORD_PAD);
    assert_int_equal(r.batch, last.batch + 1);
    assert_int_equal(r.batch_bytes, SPOOL_BLOCK_BYTES);

    assert_false(spool_log_has_lazy(&b.log)); /* once is enough */
    spool_log_flush(&b.log);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.writes, 2);
    commit(&b, 100);
    assert_int_equal(record_of(&b, 1).batch, last.batch + 2);
    teardown(&b);
}

static void what_cannot_be_confirmed_is_not_waited_for(void **unused)
{
    struct spool_reservation reservation = { 0 };
    struct bench b;

    (void)unused;
    ready(&b);
    while (b.log.current == NULL || log_room(&b.log) > 0) {
        commit(&b, 100);
        assert_int_equal(spool_log_has_lazy(&b.log), log_room(&b.log) > 0);
    }
    commit(&b, 100); /* in the next one */
    assert_true(spool_log_has_lazy(&b.log));
    while (spool_log_reserve(&b.log, &reservation, reservation.bytes + SPOOL_BLOCK_BYTES))
        ;
    assert_true(spool_log_has_lazy(&b.log)); /* a spare is kept back */
    spool_log_unreserve(&b.log, &reservation);
    assert_int_equal(append(&b, 100), STATUS_OK);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO));
    assert_false(spool_log_has_lazy(&b.log)); /* the next batch is of another era */
    teardown(&b);
}

static void who_awaits_results_hears_when_they_are_durable(void **unused)
{
    struct bench b;
    struct spool_result result = { .state = SPOOL_RESULT_DEFERRED, .holds = 1 };
    struct spool_ticket first, second, third;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    spool_log_await_results(&b.log, 0, &first);
    assert_ptr_equal(spool_log_take_committed(&b.log), &first);
    assert_int_equal(first.status, STATUS_OK);

    spool_log_append_results(&b.log, 1, &result, 1);
    spool_log_await_results(&b.log, 0, &first);
    fake_settle(&b.storage);
    assert_null(spool_log_take_committed(&b.log));
    spool_log_await_results(&b.log, 0, &second); /* of the write in flight */
    spool_log_append_results(&b.log, 1, &result, 1);
    spool_log_await_results(&b.log, 0, &third);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));
    assert_ptr_equal(spool_log_take_committed(&b.log), &first);
    assert_ptr_equal(spool_log_take_committed(&b.log), &second);
    assert_null(spool_log_take_committed(&b.log));
    for (unsigned i = 0; i < SPOOL_WRITE_FAILURES; i++) {
        fake_settle(&b.storage);
        assert_true(fake_answer_write(&b.storage, STATUS_IO));
    }
    assert_ptr_equal(spool_log_take_committed(&b.log), &third);
    assert_int_equal(third.status, STATUS_IO);
    assert_int_equal(third.kind, SPOOL_TICKET_RESULTS);
    spool_log_await_results(&b.log, 0, &first);
    assert_ptr_equal(spool_log_take_committed(&b.log), &first);
    assert_int_equal(first.status, STATUS_IO);
    teardown(&b);
}

/* Only then may its body file be unlinked, and the message is remembered for that. */
static void a_done_waits_for_the_rescue_of_a_stopped_log(void **unused)
{
    struct spool_ticket before, behind;
    struct bench b;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    commit(&b, 100);
    spool_log_append_done(&b.log, 1, &b.tickets[0].location, &before);
    spool_log_flush(&b.log);
    for (unsigned i = 0; i < SPOOL_WRITE_FAILURES; i++) {
        fake_settle(&b.storage);
        assert_true(fake_answer_write(&b.storage, STATUS_IO));
    }
    assert_int_equal(spool_log_state(&b.log), SPOOL_LOG_STOPPED);
    spool_log_append_done(&b.log, 2, &b.tickets[1].location, &behind);
    assert_null(spool_log_take_committed(&b.log));
    for (unsigned i = 0; i < 2; i++) {
        spool_log_rescue(&b.log);
        fake_settle(&b.storage);
        assert_null(spool_log_take_committed(&b.log));
        assert_true(fake_answer_write(&b.storage, i == 0 ? STATUS_IO : STATUS_OK));
    }
    assert_ptr_equal(spool_log_take_committed(&b.log), &before);
    assert_ptr_equal(spool_log_take_committed(&b.log), &behind);
    assert_int_equal(before.status, STATUS_OK);
    assert_int_equal(behind.status, STATUS_OK);
    teardown(&b);
}

static void too_many_results_are_counted_not_kept(void **unused)
{
    static struct spool_result results[SPOOL_RECIPIENTS_MAX];
    struct bench b;
    struct spool_ticket done;

    (void)unused;
    ready(&b);
    commit(&b, 100);
    for (uint32_t rid = 0; rid < SPOOL_RECIPIENTS_MAX; rid++)
        results[rid] = (struct spool_result){ rid, SPOOL_RESULT_DEFERRED, 1, 5 };
    for (int i = 0; i < 20; i++)
        spool_log_append_results(&b.log, 1, results, SPOOL_RECIPIENTS_MAX);
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_RESULTS_LOST);
    assert_true(spool_log_counters(&b.log)->results_lost > 0);
    /* What remains of the room is a fraction of a record; fill it up. */
    for (int i = 0; i < 3000; i++)
        spool_log_append_results(&b.log, 1, results, 1);
    spool_log_append_done(&b.log, 1, &b.tickets[0].location, &done);
    assert_ptr_equal(spool_log_take_committed(&b.log), &done);
    assert_int_equal(done.status, STATUS_LIMIT);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_log_keeps_results_and_tries_them_when_told),
        cmocka_unit_test(results_of_a_failed_batch_are_written_again),
        cmocka_unit_test(a_message_whose_write_failed_can_be_struck_out),
        cmocka_unit_test(results_wait_for_a_message_or_a_flush),
        cmocka_unit_test(a_flush_puts_a_batch_behind_the_last_messages),
        cmocka_unit_test(what_cannot_be_confirmed_is_not_waited_for),
        cmocka_unit_test(who_awaits_results_hears_when_they_are_durable),
        cmocka_unit_test(a_done_waits_for_the_rescue_of_a_stopped_log),
        cmocka_unit_test(too_many_results_are_counted_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
