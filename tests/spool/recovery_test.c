#include "spool/bytes.h"
#include "spool/crc32c.h"
#include "tests/spool/recovery_bench.h"

static void an_empty_spool_is_recovered_to_nothing(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    assert_int_equal(recover(&b, false), STATUS_OK);
    assert_int_equal(b.recovery.messages_living, 0);
    assert_int_equal(b.recovery.segments_count, 0);
    assert_int_equal(b.recovery.generation_next, 1);
    assert_int_equal(b.recovery.number_next, 1);
    assert_int_equal(b.recovery.batch_next, SPOOL_BATCH_ERA + 1);
    assert_int_equal(b.recovery.sequence_next, SPOOL_BATCH_ERA + 1);
    assert_null(spool_recovery_next(&b.recovery));
    teardown(&b);
}

static void check_living(struct bench *b)
{
    const struct spool_recovered_message *m;
    struct spool_message *message;
    unsigned seen = 0;

    assert_int_equal(b->recovery.messages_living, 2);
    assert_int_equal(b->recovery.messages_dead, 1);
    while ((m = spool_recovery_next(&b->recovery)) != NULL) {
        assert_int_equal(spool_recovery_load(&b->recovery, m, &message), STATUS_OK);
        fake_assert_message(message, m->mid, 2, m->mid * 100);
        spool_message_destroy(message);
        seen++;
    }
    assert_int_equal(seen, 2);
    m = find(b, 1);
    assert_int_equal(spool_recovery_result(m, 0).state, SPOOL_RESULT_DELIVERED);
    assert_int_equal(spool_recovery_result(m, 1).state, SPOOL_RESULT_DEFERRED);
    assert_int_equal(spool_recovery_result(m, 1).attempts, 2);
    assert_int_equal(spool_recovery_result(m, 1).next_attempt_wall_s, 5002);
    assert_int_equal(spool_recovery_result(find(b, 3), 1).state, SPOOL_RESULT_WAITING);
    assert_int_equal(b->recovery.mid_highest, 3);
}

static void living_messages_come_back_with_their_results(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    for (unsigned i = 1; i <= 3; i++)
        commit(&b, 0, i * 100);
    result(&b, 0, 1, 0, SPOOL_RESULT_DELIVERED, 1);
    result(&b, 0, 1, 1, SPOOL_RESULT_DEFERRED, 1);
    result(&b, 0, 1, 1, SPOOL_RESULT_DEFERRED, 2);
    spool_log_append_done(&b.logs[0], 2, &b.tickets[1].location, NULL);
    flush(&b, 0);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    check_living(&b);
    ASSERT_DAMAGE(&b, 0);
    /* Once more: the same. */
    assert_int_equal(recover(&b, false), STATUS_OK);
    check_living(&b);
    ASSERT_DAMAGE(&b, 0);
    teardown(&b);
}

static void logs_that_refer_to_each_other_stay_together(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    for (unsigned log = 0; log < LOGS; log++)
        commit(&b, log, 50);
    /* The message of log 3 got a result in log 1, as after a start with two workers: then the
     * segment is a newer one. */
    while (spool_log_segments_count(&b.logs[1]) < 4)
        commit(&b, 1, 12000);
    result(&b, 1, 4, 0, SPOOL_RESULT_DELIVERED, 1);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    for (size_t i = 0; i < b.recovery.segments_count; i++) {
        static const uint32_t homes[LOGS] = { 0, 1, 2, 1 };
        const struct spool_recovered_segment *s = &b.recovery.segments[i];

        assert_int_equal(s->home, homes[s->header.log_id]);
        assert_false(s->is_free);
        assert_true(i == 0 || s->header.generation > s[-1].header.generation);
    }
    assert_int_equal(spool_recovery_result(find(&b, 4), 0).state, SPOOL_RESULT_DELIVERED);
    teardown(&b);
}

static void damage_in_the_middle_is_told_from_a_torn_end(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    for (unsigned i = 0; i < 3; i++)
        commit(&b, 0, 3000);
    bytes_of(&b, 1)[300] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_RECORD] = 1);
    assert_int_equal(damaged_segments(&b), 1);
    assert_int_equal(b.recovery.damage[0].mid, 2);
    assert_int_equal(b.recovery.damage[0].offset, b.tickets[1].location.offset);
    assert_int_equal(b.recovery.damage[0].bytes, b.tickets[1].location.bytes);
    assert_int_equal(b.recovery.messages_living, 2);

    bytes_of(&b, 1)[300] ^= 1;
    bytes_of(&b, 2)[300] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_TORN] = 1);
    assert_int_equal(damaged_segments(&b), 0);
    assert_int_equal(b.recovery.messages_living, 2);
    teardown(&b);
}

/* Nor is it passed over where nothing else of the batch is left: the record fills its blocks. */
static void a_damaged_header_at_the_end_is_no_torn_write(void **unused)
{
    static const unsigned places[] = { 0, 4, 8, 12, 20, 32, 40, 48, 56, 60, 64, 68, 76 };

    (void)unused;
    for (unsigned before = 0; before < 2; before++)
        for (unsigned is_full = 0; is_full < 2; is_full++) {
            struct spool_message *sample = fake_message(1, 2, 3000);
            size_t rest = 2 * SPOOL_BLOCK_BYTES - spool_message_record_bytes(sample);
            struct bench b;

            setup(&b);
            for (unsigned i = 0; i < before; i++)
                commit(&b, 0, 3000);
            commit(&b, 0, is_full ? 3000 + rest : 5000);
            assert_int_equal(b.tickets[before].location.bytes == 2 * SPOOL_BLOCK_BYTES, is_full);
            for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                bytes_of(&b, before)[places[i]] ^= 1;
                assert_int_equal(save_and_recover(&b), STATUS_OK);
                ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_RECORD] = 1);
                assert_int_equal(damaged_segments(&b), 1);
                assert_int_equal(b.recovery.messages_living, before);
                assert_int_equal(b.recovery.damage[0].offset, b.tickets[before].location.offset);
                bytes_of(&b, before)[places[i]] ^= 1;
            }
            assert_int_equal(save_and_recover(&b), STATUS_OK);
            ASSERT_DAMAGE(&b, 0);
            spool_message_destroy(sample);
            teardown(&b);
        }
}

static void a_later_segment_proves_that_the_end_was_written(void **unused)
{
    struct bench b;
    unsigned last;

    (void)unused;
    setup(&b);
    while (spool_log_segments_count(&b.logs[0]) < 2)
        commit(&b, 0, 12000);
    last = b.count - 2; /* of the first segment */
    bytes_of(&b, last)[300] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_RECORD] = 1);
    assert_int_equal(damaged_segments(&b), 1);
    /* Gone without a trace. */
    memset(bytes_of(&b, last), 0, (b.tickets[last].location.bytes + 4095u) & ~4095u);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BATCHES] = 1);
    assert_int_equal(damaged_segments(&b), 1);
    teardown(&b);
}

/* Nothing is left of it but its header: it is not to be used again as if nothing had been there. */
static void a_segment_between_two_that_lost_all_is_kept(void **unused)
{
    struct bench b;
    unsigned middle;

    (void)unused;
    setup(&b);
    commit(&b, 1, 100);
    while (spool_log_segments_count(&b.logs[0]) < 3)
        commit(&b, 0, 12000);
    middle = spool_segment_file(b.tickets[b.count - 2].location.segment)->number;
    memset(b.disk.segments[middle].bytes + SPOOL_BLOCK_BYTES, 0,
           FAKE_SEGMENT_BYTES - SPOOL_BLOCK_BYTES);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BATCHES] = 2);
    assert_int_equal(damaged_segments(&b), 2);
    for (size_t i = 0; i < b.recovery.segments_count; i++)
        if (b.recovery.segments[i].number == middle)
            assert_true(b.recovery.segments[i].is_damaged);
    teardown(&b);
}

static void a_failed_write_is_no_damage(void **unused)
{
    struct bench b;
    struct spool_message *m;
    struct spool_ticket t;
    uint64_t random = 12345;

    (void)unused;
    setup(&b);
    commit(&b, 0, 3000);
    m = fake_message(900, 2, 9000);
    assert_int_equal(spool_log_append_message(&b.logs[0], m, NULL, &t), STATUS_OK);
    spool_log_run(&b.logs[0]);
    fake_power_cut(&b.storages[0], &random); /* some of it arrives */
    assert_true(fake_answer_write(&b.storages[0], STATUS_IO));
    assert_ptr_equal(spool_log_take_committed(&b.logs[0]), &t);
    fake_settle(&b.storages[0]);
    commit(&b, 0, 3000);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    assert_int_equal(b.recovery.damage_counts[SPOOL_DAMAGE_RECORD], 0);
    assert_int_equal(b.recovery.damage_counts[SPOOL_DAMAGE_BATCHES], 0);
    assert_true(b.recovery.messages_living >= 2);
    spool_message_destroy(m);
    teardown(&b);
}

static void a_broken_header_costs_no_message(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 3, 100);
    b.disk.segments[spool_segment_file(b.tickets[0].location.segment)->number].bytes[20] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_HEADER] = 1);
    assert_int_equal(b.recovery.messages_living, 1);
    assert_int_equal(damaged_segments(&b), 1);
    for (size_t i = 0; i < b.recovery.segments_count; i++)
        if (b.recovery.segments[i].is_broken) {
            assert_int_equal(b.recovery.segments[i].header.log_id, 3);
            assert_int_equal(b.recovery.segments[i].messages_living, 1);
        }
    teardown(&b);
}

static void a_segment_of_which_nothing_is_known_is_left_alone(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    b.disk.segments[3].bytes[20] ^= 1; /* prepared, not used: no first record either */
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_HEADER] = 1);
    assert_int_equal(b.recovery.damage[0].segment, 3);
    for (size_t i = 0; i < b.recovery.segments_count; i++)
        assert_int_not_equal(b.recovery.segments[i].number, 3);
    assert_true(b.recovery.number_next > 3);
    teardown(&b);
}

static void a_copied_segment_file_is_used_once(void **unused)
{
    struct bench b;
    struct fake_segment *copy;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    copy = &b.disk.segments[FAKE_SEGMENTS_MAX - 1];
    copy->bytes = calloc(1, FAKE_SEGMENT_BYTES);
    assert_non_null(copy->bytes);
    memcpy(copy->bytes, b.disk.segments[1].bytes, FAKE_SEGMENT_BYTES);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_HEADER] = 1);
    assert_int_equal(b.recovery.damage[0].segment, FAKE_SEGMENTS_MAX - 1);
    assert_int_equal(b.recovery.messages_living, 1);
    teardown(&b);
}

static void an_unknown_version_stops_everything(void **unused)
{
    struct bench b;
    char *header;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    header = b.disk.segments[2].bytes;
    spool_put_u32(header + 8, SPOOL_FORMAT_VERSION + 1);
    spool_put_u32(header + 60, spool_crc32c(0, header, 60));
    assert_int_equal(save_and_recover(&b), STATUS_UNSUPPORTED);
    assert_int_equal(b.recovery.failed_segment, 2);
    teardown(&b);
}

/* What version 1 wrote has zeros where version 2 has more to say. */
static void segments_of_the_version_before_are_read(void **unused)
{
    struct bench b;
    char *header;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    header = b.disk.segments[2].bytes;
    spool_put_u32(header + 8, 1);
    spool_put_u32(header + 60, spool_crc32c(0, header, 60));
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    assert_int_equal(b.recovery.messages_living, 1);
    assert_int_equal(b.recovery.damage_listed, 0);
    teardown(&b);
}

static void make_file(int folder_fd, const char *name, size_t bytes)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    assert_int_equal(close(fd), 0);
}

static void free_unfinished_and_foreign_files_are_told_apart(void **unused)
{
    struct bench b;
    unsigned free_files = 0;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    b.disk.segments[2].header.is_free = true;
    spool_segment_header_encode(&b.disk.segments[2].header, b.disk.segments[2].bytes);
    fake_disk_save(&b.disk, b.path);
    assert_int_equal(recover(&b, false), STATUS_OK);
    make_file(b.directory.segments_fd, "00000060.seg", 8192); /* never got its header */
    make_file(b.directory.segments_fd, "00000061.seg", 0);
    make_file(b.directory.segments_fd, "core", 10);
    make_file(b.directory.bodies_fd, "notes.txt", 10);
    assert_int_equal(recover(&b, false), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_FOREIGN_FILE] = 2);
    for (size_t i = 0; i < b.recovery.segments_count; i++) {
        const struct spool_recovered_segment *s = &b.recovery.segments[i];

        free_files += s->is_free;
        assert_int_equal(s->is_free, s->number == 2 || s->number >= 60);
        if (s->number >= 60)
            assert_int_equal(s->header.bytes, 0);
    }
    assert_int_equal(free_files, 3);
    assert_int_equal(b.recovery.number_next, 62);
    assert_int_equal(faccessat(b.directory.segments_fd, "core", F_OK, 0), 0);
    teardown(&b);
}

static bool body_is_there(struct bench *b, uint64_t mid)
{
    char name[SPOOL_BODY_NAME_MAX];

    return faccessat(b->directory.bodies_fd, spool_body_name(mid, name), F_OK, 0) == 0;
}

static void body_files_are_kept_missed_or_orphans(void **unused)
{
    struct bench b;
    char name[SPOOL_BODY_NAME_MAX];

    (void)unused;
    setup(&b);
    commit_with_body_file(&b, 1000); /* 1: whole */
    commit_with_body_file(&b, 1000); /* 2: too short */
    commit_with_body_file(&b, 1000); /* 3: missing */
    commit(&b, 0, 3000);             /* 4: has no body file, but one is there */
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    make_file(b.directory.bodies_fd, spool_body_name(1, name), 1000);
    make_file(b.directory.bodies_fd, spool_body_name(2, name), 999);
    make_file(b.directory.bodies_fd, spool_body_name(4, name), 1000);
    make_file(b.directory.bodies_fd, spool_body_name(5, name), 1000); /* of nobody */

    /* A reader touches nothing. */
    assert_int_equal(recover(&b, true), STATUS_OK);
    assert_true(body_is_there(&b, 4) && body_is_there(&b, 5));
    assert_int_equal(b.recovery.bodies_kept, 2);

    /* With damaged records an orphan may be all that is left of a message. */
    bytes_of(&b, 0)[10] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    assert_int_equal(b.recovery.damage_counts[SPOOL_DAMAGE_RECORD], 1);
    assert_true(body_is_there(&b, 1) && body_is_there(&b, 5));
    bytes_of(&b, 0)[10] ^= 1;

    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BODY] = 2);
    assert_int_equal(damaged_segments(&b), 0);
    assert_true(body_is_there(&b, 1) && body_is_there(&b, 2));
    assert_false(body_is_there(&b, 4) || body_is_there(&b, 5));
    assert_int_equal(b.recovery.bodies_unlinked, 2);
    assert_false(find(&b, 1)->body_missing);
    assert_true(find(&b, 2)->body_missing && find(&b, 3)->body_missing);
    assert_int_equal(b.recovery.messages_living, 4);
    teardown(&b);
}

/* It is no body, and ends no start. */
static void a_folder_with_the_name_of_a_body_is_left_alone(void **unused)
{
    struct bench b;
    char name[SPOOL_BODY_NAME_MAX];

    (void)unused;
    setup(&b);
    commit_with_body_file(&b, 1000);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    for (uint64_t mid = 1; mid <= 2; mid++) /* of a message, and of nobody */
        assert_int_equal(mkdirat(b.directory.bodies_fd, spool_body_name(mid, name), 0700), 0);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BODY] = 1);
    assert_true(find(&b, 1)->body_missing);
    assert_true(body_is_there(&b, 1) && body_is_there(&b, 2));
    assert_int_equal(b.recovery.bodies_unlinked, 0);
    assert_int_equal(b.recovery.bodies_kept, 1);
    for (uint64_t mid = 1; mid <= 2; mid++)
        assert_int_equal(unlinkat(b.directory.bodies_fd, spool_body_name(mid, name), AT_REMOVEDIR),
                         0);
    teardown(&b);
}

/* A peer sends text that is a record of this very spool, but for the salt, which he cannot know;
 * then the record around it is damaged and the reader has to search through the text. */
static void a_record_inside_a_mail_is_not_believed(void **unused)
{
    struct bench b;
    char *at;
    struct spool_message *evil;
    struct spool_record r;

    (void)unused;
    setup(&b);
    commit(&b, 0, 8000);
    at = bytes_of(&b, 0);
    assert_int_equal(spool_record_decode((struct slice){ at, 9000 }, &r), STATUS_OK);
    evil = fake_message(666, 1, 20);
    r.mid = 666;
    r.type = SPOOL_RECORD_MESSAGE;
    r.salt ^= 1;
    (void)spool_record_encode(&r, spool_message_payload(evil), at + 1000);
    at[8] ^= 1;
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    assert_int_equal(b.recovery.messages_living, 0);
    assert_null(find(&b, 666));

    /* The test can fail: with the salt it would be believed. */
    r.salt ^= 1;
    (void)spool_record_encode(&r, spool_message_payload(evil), at + 1000);
    assert_int_equal(save_and_recover(&b), STATUS_OK);
    assert_non_null(find(&b, 666));
    spool_message_destroy(evil);
    teardown(&b);
}

/* The results behind the original go before the copy does. */
static void a_copy_counts_when_the_original_is_gone(void **unused)
{
    struct spool_ticket copy, *place;
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    while (spool_log_segments_count(&b.logs[0]) < 2)
        commit(&b, 0, 12000);
    assert_int_equal(spool_log_append_message(&b.logs[0], b.messages[0], NULL, &copy), STATUS_OK);
    fake_settle(&b.storages[0]);
    assert_true(fake_answer_write(&b.storages[0], STATUS_OK));
    assert_ptr_equal(spool_log_take_committed(&b.logs[0]), &copy);
    for (size_t segments = 2; segments > 0; segments--) {
        result(&b, 0, 1, 0, SPOOL_RESULT_DELIVERED, 1);
        place = segments == 2 ? &b.tickets[0] : &copy;
        assert_int_equal(spool_log_segments_count(&b.logs[0]), segments);
        assert_int_equal(save_and_recover(&b), STATUS_OK);
        assert_int_equal(b.recovery.segments[find(&b, 1)->segment].number,
                         spool_segment_file(place->location.segment)->number);
        assert_int_equal(find(&b, 1)->offset, place->location.offset);
        assert_int_equal(spool_recovery_result(find(&b, 1), 0).state, SPOOL_RESULT_DELIVERED);
        for (unsigned i = 0; segments == 2 && i < b.count; i++)
            spool_log_forget(&b.logs[0], &b.tickets[i].location);
    }
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_spool_is_recovered_to_nothing),
        cmocka_unit_test(living_messages_come_back_with_their_results),
        cmocka_unit_test(logs_that_refer_to_each_other_stay_together),
        cmocka_unit_test(damage_in_the_middle_is_told_from_a_torn_end),
        cmocka_unit_test(a_damaged_header_at_the_end_is_no_torn_write),
        cmocka_unit_test(a_later_segment_proves_that_the_end_was_written),
        cmocka_unit_test(a_segment_between_two_that_lost_all_is_kept),
        cmocka_unit_test(a_failed_write_is_no_damage),
        cmocka_unit_test(a_broken_header_costs_no_message),
        cmocka_unit_test(a_segment_of_which_nothing_is_known_is_left_alone),
        cmocka_unit_test(a_copied_segment_file_is_used_once),
        cmocka_unit_test(an_unknown_version_stops_everything),
        cmocka_unit_test(segments_of_the_version_before_are_read),
        cmocka_unit_test(free_unfinished_and_foreign_files_are_told_apart),
        cmocka_unit_test(body_files_are_kept_missed_or_orphans),
        cmocka_unit_test(a_folder_with_the_name_of_a_body_is_left_alone),
        cmocka_unit_test(a_record_inside_a_mail_is_not_believed),
        cmocka_unit_test(a_copy_counts_when_the_original_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
