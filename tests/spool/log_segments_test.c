/* The chain of a log: what is recycled, and what a start puts in front. */
#include "tests/spool/log_bench.h"

/* Fills until the chain has so many segments. */
static void fill_segments(struct bench *b, unsigned segments)
{
    while (spool_log_segments_count(&b->log) < segments)
        commit(b, 12000);
}

/* What is lazy. */
static void make_durable(struct bench *b)
{
    spool_log_flush(&b->log);
    fake_settle(&b->storage);
    assert_true(fake_answer_write(&b->storage, STATUS_OK));
    fake_settle(&b->storage);
    assert_false(spool_log_has_lazy(&b->log));
}

static void a_segment_is_recycled_only_as_head_of_the_chain(void **unused)
{
    struct bench b;
    unsigned first_of[8] = { 0 }, segments = 0;
    uint64_t generation = 0;

    (void)unused;
    ready(&b);
    fill_segments(&b, 4);
    for (unsigned i = 0; i < b.count; i++)
        if (spool_segment_generation(b.tickets[i].location.segment) != generation) {
            generation = spool_segment_generation(b.tickets[i].location.segment);
            first_of[segments++] = i;
        }
    assert_int_equal(segments, 4);

    /* Segments 2 and 3 die first: nothing may go while segment 1 lives. */
    for (unsigned i = first_of[1]; i < first_of[3]; i++)
        spool_log_append_done(&b.log, i + 1, &b.tickets[i].location, NULL);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 0);
    for (unsigned i = 0; i < first_of[1]; i++)
        spool_log_append_done(&b.log, i + 1, &b.tickets[i].location, NULL);

    /* Nor before it is durable that they are done: copies may stand further on. */
    fake_settle(&b.storage);
    assert_false(b.storage.is_releasing);
    assert_int_equal(b.storage.released_count, 0);
    spool_log_flush(&b.log);
    spool_log_run(&b.log);
    assert_false(b.storage.is_releasing);
    assert_true(fake_answer_write(&b.storage, STATUS_OK));

    /* One release at a time, and none before the one before was answered. */
    spool_log_run(&b.log);
    assert_true(b.storage.is_releasing);
    assert_int_equal(b.storage.releasing.number, 1);
    assert_true(fake_answer_release(&b.storage, STATUS_IO));
    assert_int_equal(spool_log_take_event(&b.log), SPOOL_LOG_EVENT_RELEASE_FAILED);
    spool_log_run(&b.log);
    assert_false(b.storage.is_releasing);
    spool_log_retry(&b.log);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(b.storage.released[i], i + 1);
    assert_int_equal(spool_log_segments_count(&b.log), 1);
    assert_null(spool_log_head(&b.log));
    teardown(&b);
}

static void adopted_segments_stand_first_in_the_chain(void **unused)
{
    struct bench b;
    struct spool_segment *adopted;
    const struct spool_segment_file file = {
        .generation = 1, .salt = 1, .number = 9, .handle = -1
    };
    struct spool_location location = { .offset = 4096, .bytes = 88 };

    (void)unused;
    setup(&b);
    b.disk.segments[9].bytes = calloc(1, FAKE_SEGMENT_BYTES);
    b.disk.segments[9].header = (struct spool_segment_header){ 1, 1, 2, FAKE_SEGMENT_BYTES, false };
    b.disk.generation_next = 2;
    assert_int_equal(spool_log_adopt(&b.log, &file, 1, &adopted), STATUS_OK);
    fake_settle(&b.storage);
    fill_segments(&b, 3);
    for (unsigned i = 0; i < b.count; i++)
        spool_log_append_done(&b.log, i + 1, &b.tickets[i].location, NULL);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 0);
    assert_ptr_equal(spool_log_head(&b.log), adopted);
    location.segment = adopted;
    spool_log_append_done(&b.log, 1000, &location, NULL);
    fake_settle(&b.storage);
    assert_ptr_equal(spool_log_head(&b.log), location.segment);
    make_durable(&b);
    assert_int_equal(b.storage.released_count, 2);
    assert_int_equal(b.storage.released[0], 9);
    teardown(&b);
}

static void segments_are_adopted_while_new_mail_comes(void **unused)
{
    struct bench b;
    struct spool_segment *adopted[2];
    struct spool_segment_file file = { .generation = 1, .salt = 1, .number = 8, .handle = -1 };
    struct spool_location location = { .offset = 4096, .bytes = 88 };

    (void)unused;
    setup(&b);
    b.log.is_adopting = true; /* as options.is_adopting has it */
    for (unsigned i = 0; i < 2; i++) {
        b.disk.segments[8 + i].bytes = calloc(1, FAKE_SEGMENT_BYTES);
        b.disk.segments[8 + i].header =
            (struct spool_segment_header){ 1 + i, 1, 2, FAKE_SEGMENT_BYTES, false };
    }
    b.disk.generation_next = 3;
    fake_settle(&b.storage);
    fill_segments(&b, 3);
    for (unsigned i = 0; i < b.count; i++)
        spool_log_append_done(&b.log, i + 1, &b.tickets[i].location, NULL);
    make_durable(&b);
    assert_null(spool_log_head(&b.log));
    assert_int_equal(b.storage.released_count, 0);

    assert_int_equal(spool_log_adopt(&b.log, &file, 0, &adopted[0]), STATUS_OK);
    file.generation = 2;
    file.number = 9;
    assert_int_equal(spool_log_adopt(&b.log, &file, 1, &adopted[1]), STATUS_OK);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 0);
    spool_log_adopted(&b.log);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 1);
    assert_int_equal(b.storage.released[0], 8);
    assert_ptr_equal(spool_log_head(&b.log), adopted[1]);
    location.segment = adopted[1];
    spool_log_append_done(&b.log, 1000, &location, NULL);
    fake_settle(&b.storage);
    assert_ptr_equal(spool_log_head(&b.log), location.segment);
    make_durable(&b);
    assert_true(b.storage.released_count > 2);
    assert_int_equal(b.storage.released[1], 9);
    teardown(&b);
}

/* Until no segment has room for another record. */
static void fill_with_results(struct bench *b, uint64_t mid)
{
    const struct spool_result result = { .state = SPOOL_RESULT_DEFERRED };
    unsigned writes = 0;

    do {
        assert_true(writes++ < FAKE_SEGMENTS_MAX * FAKE_SEGMENT_BYTES / SPOOL_BLOCK_BYTES);
        spool_log_append_results(&b->log, mid, &result, 1);
        spool_log_flush(&b->log);
        fake_settle(&b->storage);
    } while (fake_answer_write(&b->storage, STATUS_OK));
    assert_true(spool_log_has_lazy(&b->log));
}

/* On a full disk results may need the very room that the head takes. */
static void a_head_whose_done_has_no_room_is_released(void **unused)
{
    struct bench b;
    unsigned last;

    (void)unused;
    ready(&b);
    fill_segments(&b, 2);
    last = b.count - 1; /* the others live in the head */
    b.disk.files_max = 2 + b.log.spares_count;
    fill_with_results(&b, last + 1);
    assert_int_equal(b.storage.released_count, 0);

    for (unsigned i = 0; i < last; i++)
        spool_log_append_done(&b.log, i + 1, &b.tickets[i].location, NULL);
    fake_settle(&b.storage);
    assert_int_equal(b.storage.released_count, 1);

    spool_log_retry(&b.log);
    fake_settle(&b.storage);
    make_durable(&b);
    teardown(&b);
}

static void what_is_written_no_more_is_let_go_of_at_once(void **unused)
{
    struct bench b;
    const struct spool_segment_file *first;

    (void)unused;
    ready(&b);
    commit(&b, 3000);
    first = spool_segment_file(b.tickets[0].location.segment);
    assert_int_equal(b.storage.sealed, 0);
    while (spool_log_segments_count(&b.log) < 2)
        commit(&b, 12000);
    assert_int_equal(b.storage.sealed, first->number);
    assert_int_equal(first->handle, -1);
    assert_int_equal(append(&b, 100), STATUS_OK);
    fake_settle(&b.storage);
    assert_true(fake_answer_write(&b.storage, STATUS_IO)); /* the end of a segment as well */
    assert_int_not_equal(b.storage.sealed, first->number);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_recycled_only_as_head_of_the_chain),
        cmocka_unit_test(adopted_segments_stand_first_in_the_chain),
        cmocka_unit_test(segments_are_adopted_while_new_mail_comes),
        cmocka_unit_test(a_head_whose_done_has_no_room_is_released),
        cmocka_unit_test(what_is_written_no_more_is_let_go_of_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
