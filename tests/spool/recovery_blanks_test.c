#include <pthread.h>

#include "tests/spool/recovery_bench.h"

static bool is_there(const struct bench *b, unsigned number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    return faccessat(b->directory.segments_fd, spool_segment_name(number, name), F_OK, 0) == 0;
}

static unsigned files_on(const struct fake_disk *d)
{
    unsigned files = 0;

    for (unsigned i = 1; i < FAKE_SEGMENTS_MAX; i++)
        files += d->segments[i].bytes != NULL;
    return files;
}

static unsigned number_of(const struct bench *b, unsigned i)
{
    return spool_segment_file(b->tickets[i].location.segment)->number;
}

/* The logs go on as after a restart. */
static void begin_anew(struct bench *b, unsigned log, uint64_t era)
{
    const struct spool_log_options options = {
        .log_id = log,
        .segment_bytes = FAKE_SEGMENT_BYTES,
        .batch_first = era * SPOOL_BATCH_ERA + 1,
        .sequence_first = era * SPOOL_BATCH_ERA + 1,
    };

    spool_log_finish(&b->logs[log]);
    fake_storage_init(&b->storages[log], &b->disk, &b->logs[log]);
    assert_int_equal(spool_log_init(&b->logs[log], &b->storages[log].storage, &options), STATUS_OK);
    fake_settle(&b->storages[log]);
}

static void what_was_prepared_and_not_used_is_unlinked(void **unused)
{
    struct bench b;
    unsigned files, used[2];

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    commit(&b, 2, 100);
    used[0] = number_of(&b, 0);
    used[1] = number_of(&b, 1);
    files = files_on(&b.disk);
    assert_true(files >= 2 * LOGS);
    fake_disk_save(&b.disk, b.path);

    /* Not by a reader. */
    assert_int_equal(recover(&b, true), STATUS_OK);
    assert_int_equal(b.recovery.blanks_unlinked, 0);
    assert_int_equal(b.recovery.segments_count, files);

    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(recover(&b, false), STATUS_OK);
        assert_int_equal(b.recovery.blanks_unlinked, again ? 0 : files - 2);
        assert_int_equal(b.recovery.segments_count, 2);
        assert_int_equal(b.recovery.messages_living, 2);
        ASSERT_DAMAGE(&b, 0);
        for (unsigned i = 1; i < FAKE_SEGMENTS_MAX; i++)
            assert_int_equal(is_there(&b, i), i == used[0] || i == used[1]);
    }
    teardown(&b);
}

/* What a run that came to write something had prepared as well, and what runs did that did not. */
static void many_runs_leave_no_more_than_one(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    for (unsigned era = 2; era < 8; era++) {
        commit(&b, 0, 100);
        begin_anew(&b, 0, era);
        if (era % 2 == 0)
            begin_anew(&b, 1, era);
    }
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, 0);
    assert_int_equal(b.recovery.segments_count, 6);
    assert_int_equal(b.recovery.messages_living, 6);
    for (unsigned i = 0; i < b.count; i++)
        assert_non_null(find(&b, i + 1));
    teardown(&b);
}

/* A file that was used before has behind its first block what it held then. */
static void a_file_that_was_used_before_is_blank_as_well(void **unused)
{
    unsigned last = 0, used;
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    used = number_of(&b, 0);
    for (unsigned i = 1; i < FAKE_SEGMENTS_MAX; i++)
        if (b.disk.segments[i].bytes != NULL)
            last = i;
    assert_int_not_equal(last, used);
    for (size_t at = 3 * SPOOL_BLOCK_BYTES; at < FAKE_SEGMENT_BYTES; at += SPOOL_BLOCK_BYTES)
        memcpy(b.disk.segments[last].bytes + at, b.disk.segments[used].bytes + SPOOL_BLOCK_BYTES,
               SPOOL_BLOCK_BYTES);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, 0);
    assert_int_equal(b.recovery.segments_count, 1);
    assert_false(is_there(&b, last));
    assert_int_equal(b.recovery.messages_living, 1);
    teardown(&b);
}

static void cut(const struct bench *b, unsigned number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];
    int fd = openat(b->directory.segments_fd, spool_segment_name(number, name), O_RDWR);

    assert_int_equal(ftruncate(fd, FAKE_SEGMENT_BYTES / 2), 0);
    (void)close(fd);
}

/* Only a device, or a person, can do that. */
static void a_segment_that_may_have_held_mail_is_kept(void **unused)
{
    enum { FIRST_BLOCK_LOST, ALL_LOST_WITHIN_AN_ERA, CUT_SHORT, CASES };

    (void)unused;
    for (int what = 0; what < CASES; what++) {
        struct bench b;
        unsigned number;
        char *batches;

        setup(&b);
        commit(&b, 0, 100);
        commit(&b, 0, 100);
        number = number_of(&b, 0);
        if (what != FIRST_BLOCK_LOST)
            while (spool_log_segments_count(&b.logs[0]) < 4)
                commit(&b, 0, 12000);
        if (what == ALL_LOST_WITHIN_AN_ERA)
            number = number_of(&b, b.count - 2);
        if (what == CUT_SHORT) /* it is blank */
            number = number_of(&b, b.count - 1) + 1;
        batches = b.disk.segments[number].bytes + SPOOL_BLOCK_BYTES;
        if (what == FIRST_BLOCK_LOST)
            memset(batches, 0, SPOOL_BLOCK_BYTES);
        if (what == ALL_LOST_WITHIN_AN_ERA)
            memset(batches, 0, FAKE_SEGMENT_BYTES - SPOOL_BLOCK_BYTES);
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        if (what == CUT_SHORT)
            cut(&b, number);
        assert_int_equal(recover(&b, false), STATUS_OK);
        assert_true(is_there(&b, number));
        assert_true(b.recovery.blanks_unlinked > 0); /* those of other logs */
        assert_non_null(find(&b, 2));
        teardown(&b);
    }
}

static void *read_ahead(void *recovery)
{
    spool_recovery_read_ahead(recovery);
    return NULL;
}

/* As the gateway does it: on two threads wherever there is more to read. */
static void what_is_left_is_read_ahead(void **unused)
{
    (void)unused;
    for (unsigned used = 0; used <= LOGS; used++) {
        const struct spool_recovery_options options = { .is_reader = false };
        unsigned steps_ahead = 0;
        struct bench b;
        pthread_t thread;

        setup(&b);
        for (unsigned i = 0; i < used; i++)
            commit(&b, i, 100);
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options), STATUS_OK);
        while (!spool_recovery_is_over(&b.recovery)) {
            bool has_more = spool_recovery_has_more(&b.recovery);

            steps_ahead += has_more;
            if (has_more)
                assert_int_equal(pthread_create(&thread, NULL, read_ahead, &b.recovery), 0);
            assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
            if (has_more)
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
        assert_int_equal(steps_ahead, used > 0 ? used - 1 : 0);
        assert_int_equal(b.recovery.segments_count, used);
        assert_int_equal(b.recovery.messages_living, used);
        ASSERT_DAMAGE(&b, 0);
        teardown(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_prepared_and_not_used_is_unlinked),
        cmocka_unit_test(many_runs_leave_no_more_than_one),
        cmocka_unit_test(a_file_that_was_used_before_is_blank_as_well),
        cmocka_unit_test(a_segment_that_may_have_held_mail_is_kept),
        cmocka_unit_test(what_is_left_is_read_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
