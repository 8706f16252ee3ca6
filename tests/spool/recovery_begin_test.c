/* Recovery step by step, beside new mail, and what is kept of the messages. */
#include <pthread.h>

#include "tests/spool/recovery_bench.h"

/* What new mail needs is known at once, and what it leaves on the disk is not touched. */
static void new_mail_may_come_as_soon_as_the_segments_are_listed(void **unused)
{
    const struct spool_recovery_options options = { .is_reader = false };
    struct bench b;
    char name[SPOOL_BODY_NAME_MAX];
    uint64_t generation;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    fake_disk_save(&b.disk, b.path);
    assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
    assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options), STATUS_OK);
    generation = b.recovery.generation_next;
    assert_true(generation > spool_segment_generation(b.tickets[0].location.segment));
    assert_int_equal(b.recovery.batch_next, generation * SPOOL_BATCH_ERA + 1);
    b.recovery.mid_limit = 2;

    commit(&b, 0, 100); /* MID 2, in the same segment: as if somebody had given it out before */
    fake_disk_save(&b.disk, b.path);
    make_body(&b, 1);
    make_body(&b, 2);
    while (!spool_recovery_is_over(&b.recovery))
        assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
    assert_int_equal(b.recovery.messages_living, 1);
    assert_non_null(find(&b, 1));
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_MESSAGE] = 1);
    assert_int_equal(damaged_segments(&b), 1);
    assert_int_equal(faccessat(b.directory.bodies_fd, spool_body_name(2, name), F_OK, 0), 0);
    teardown(&b);
}

/* Every read fails, which a folder in the place of the file does as well as a device. It is not
 * taken for an empty segment, and what may be in it keeps its generation. */
static void a_segment_that_the_device_does_not_give_is_kept(void **unused)
{
    char name[SPOOL_SEGMENT_NAME_MAX];
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    fake_disk_save(&b.disk, b.path);
    assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
    assert_int_equal(mkdirat(b.directory.segments_fd, spool_segment_name(77, name), 0700), 0);
    assert_int_equal(recover(&b, false), STATUS_OK);
    ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_HEADER] = 1);
    assert_int_equal(b.recovery.messages_living, 1);
    for (size_t i = 0; i < b.recovery.segments_count; i++)
        assert_true(b.recovery.segments[i].number != 77);
    assert_true(b.recovery.number_next > 77);
    assert_true(b.recovery.generation_next > 60000);
    assert_int_equal(unlinkat(b.directory.segments_fd, name, AT_REMOVEDIR), 0);
    teardown(&b);
}

static void bodies_of_new_mail_are_no_orphans(void **unused)
{
    const struct spool_recovery_options options = { .is_reader = false };
    char name[SPOOL_BODY_NAME_MAX];
    struct bench b;

    (void)unused;
    setup(&b);
    commit(&b, 0, 100);
    fake_disk_save(&b.disk, b.path);
    assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
    assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options), STATUS_OK);
    b.recovery.mid_limit = 8;
    make_body(&b, 7);
    make_body(&b, 8);
    while (!spool_recovery_is_over(&b.recovery))
        assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
    assert_int_equal(b.recovery.bodies_unlinked, 1);
    assert_int_equal(faccessat(b.directory.bodies_fd, spool_body_name(7, name), F_OK, 0), -1);
    assert_int_equal(faccessat(b.directory.bodies_fd, spool_body_name(8, name), F_OK, 0), 0);
    ASSERT_DAMAGE(&b, 0);
    teardown(&b);
}

/* Of the segment that message i lies in. */
static int open_segment_of(struct bench *b, unsigned i, int flags)
{
    int fd;

    assert_int_equal(spool_segment_open(&b->directory,
                                        spool_segment_file(b->tickets[i].location.segment)->number,
                                        flags, &fd),
                     STATUS_OK);
    return fd;
}

/* What a step looks at was read before, whatever has become of the file since; a file that is not
 * as long as it should be is read by the step, and reported. */
static void a_segment_may_be_read_ahead_of_its_step(void **unused)
{
    static const struct {
        bool is_cut;
        bool is_zeroed_behind;
        bool is_read_ahead;
        size_t living;
    } cases[] = {
        { false, false, true, 2 }, { false, true, true, 2 },  { false, true, false, 1 },
        { true, false, true, 2 },  { true, false, false, 2 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct spool_recovery_options options = { .is_reader = true };
        static const char zeros[4096];
        struct bench b;
        int fd;

        setup(&b);
        commit(&b, 0, 100);
        commit(&b, 1, 100);
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        fd = open_segment_of(&b, 1, O_RDWR);
        if (cases[i].is_cut)
            assert_int_equal(ftruncate(fd, 8192), 0);
        assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options), STATUS_OK);
        while (cases[i].is_read_ahead && spool_recovery_has_more(&b.recovery) &&
               b.recovery.segments[b.recovery.segments_read].header.log_id != 1) {
            spool_recovery_read_ahead(&b.recovery);
            assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
        }
        if (cases[i].is_read_ahead)
            spool_recovery_read_ahead(&b.recovery);
        if (cases[i].is_zeroed_behind)
            assert_int_equal(pwrite(fd, zeros, sizeof zeros, 4096), sizeof zeros);
        while (!spool_recovery_is_over(&b.recovery))
            assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
        assert_false(spool_recovery_has_more(&b.recovery));
        assert_int_equal(b.recovery.messages_living, cases[i].living);
        ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_RECORD] = cases[i].is_cut);
        (void)close(fd);
        teardown(&b);
    }
}

static void *read_ahead(void *recovery)
{
    spool_recovery_read_ahead(recovery);
    return NULL;
}

/* As the gateway does it: a step, which has to read its segment itself where that is cut, and the
 * thread that reads the next one have nothing in common. */
static void a_step_and_the_next_read_go_on_at_the_same_time(void **unused)
{
    (void)unused;
    for (unsigned cut = 0; cut <= LOGS; cut++) {
        const struct spool_recovery_options options = { .is_reader = true };
        struct bench b;
        pthread_t thread;

        setup(&b);
        for (unsigned i = 0; i < LOGS; i++)
            commit(&b, i, 100);
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        for (unsigned i = 0; i < cut; i++) {
            int fd = open_segment_of(&b, i, O_RDWR);

            assert_int_equal(ftruncate(fd, 8192), 0);
            (void)close(fd);
        }
        assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options), STATUS_OK);
        spool_recovery_read_ahead(&b.recovery);
        while (!spool_recovery_is_over(&b.recovery)) {
            bool has_more = spool_recovery_has_more(&b.recovery);

            if (has_more)
                assert_int_equal(pthread_create(&thread, NULL, read_ahead, &b.recovery), 0);
            assert_int_equal(spool_recovery_step(&b.recovery), STATUS_OK);
            if (has_more)
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
        assert_int_equal(b.recovery.messages_living, LOGS);
        ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_RECORD] = cut);
        teardown(&b);
    }
}

/* A header may say anything that its checksum fits: no generation is given out twice. */
static void a_spool_without_generations_left_is_refused(void **unused)
{
    static const struct {
        uint64_t generation;
        bool is_gap;
        enum status status;
    } cases[] = {
        { UINT32_MAX - 1, false, STATUS_OK },    { UINT32_MAX, false, STATUS_LIMIT },
        { UINT32_MAX - 1, true, STATUS_LIMIT },  { UINT64_MAX - 1, true, STATUS_LIMIT },
        { UINT64_MAX - 1, false, STATUS_LIMIT }, { UINT64_MAX, false, STATUS_LIMIT },
        { UINT64_MAX, true, STATUS_LIMIT },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct spool_segment_header header = { .generation = cases[i].generation,
                                                     .bytes = FAKE_SEGMENT_BYTES };
        const struct spool_recovery_options options = { .is_reader = false };
        char block[SPOOL_BLOCK_BYTES], name[SPOOL_SEGMENT_NAME_MAX];
        struct bench b;
        int fd;

        setup(&b);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        if (cases[i].is_gap)
            assert_int_equal(mkdirat(b.directory.segments_fd, spool_segment_name(77, name), 0700),
                             0);
        spool_segment_header_encode(&header, block);
        assert_int_equal(spool_segment_open(&b.directory, 1, O_RDWR | O_CREAT, &fd), STATUS_OK);
        assert_int_equal(ftruncate(fd, FAKE_SEGMENT_BYTES), 0);
        assert_int_equal(pwrite(fd, block, sizeof block, 0), sizeof block);
        (void)close(fd);
        assert_int_equal(spool_recovery_begin(&b.recovery, &b.directory, &options),
                         cases[i].status);
        if (cases[i].is_gap)
            assert_int_equal(unlinkat(b.directory.segments_fd, name, AT_REMOVEDIR), 0);
        teardown(&b);
    }
}

struct keeper {
    struct spool_recovery_keeper base;
    uint64_t kept[MANY]; /* MIDs; 0: dropped */
    unsigned count;
    unsigned fails_at;
};

static enum status keep(struct spool_recovery_keeper *base,
                        const struct spool_recovered_message *found,
                        const struct spool_message *view, void **kept_out)
{
    struct keeper *k = CONTAINER_OF(base, struct keeper, base);
    uint64_t mid = found->mid;

    assert_int_equal(spool_message_mid(view), mid);
    assert_int_equal(spool_message_recipients_count(view), found->recipients_count);
    assert_int_equal(spool_message_record_bytes(view), found->bytes);
    assert_true(found->offset >= SPOOL_BLOCK_BYTES);
    assert_true(k->count < MANY);
    if (k->count == k->fails_at)
        return STATUS_NO_MEMORY;
    k->kept[k->count] = mid;
    *kept_out = &k->kept[k->count++];
    return STATUS_OK;
}

static void drop(struct spool_recovery_keeper *base, void *kept)
{
    uint64_t *mid = kept;

    (void)base;
    assert_true(*mid > 0);
    *mid = 0;
}

/* A keeper who gives room for what is found: it goes with what he keeps. */
struct lodging {
    struct spool_recovery_keeper base;
    struct lodger {
        struct spool_recovered_message found;
        uint64_t mid;
    } * lodgers[MANY];
    unsigned count;
};

static enum status keep_lodger(struct spool_recovery_keeper *base,
                               const struct spool_recovered_message *found,
                               const struct spool_message *view, void **kept_out)
{
    struct lodging *l = CONTAINER_OF(base, struct lodging, base);
    struct lodger *lodger = malloc(sizeof(*lodger));

    (void)view;
    assert_non_null(lodger);
    memset(lodger, 0xaa, sizeof(*lodger)); /* the room need not be clean */
    lodger->mid = found->mid;
    l->lodgers[l->count++] = lodger;
    *kept_out = lodger;
    return STATUS_OK;
}

static void drop_lodger(struct spool_recovery_keeper *base, void *kept)
{
    struct lodging *l = CONTAINER_OF(base, struct lodging, base);

    for (unsigned i = 0; i < l->count; i++)
        if (l->lodgers[i] == kept)
            l->lodgers[i] = NULL;
    free(kept);
}

static struct spool_recovered_message *room_of(struct spool_recovery_keeper *base, void *kept)
{
    struct lodger *lodger = kept;

    (void)base;
    return &lodger->found;
}

static void what_is_found_is_noted_in_room_of_the_keeper(void **unused)
{
    struct lodging l = {
        .base = { .keep = keep_lodger, .drop = drop_lodger, .room = room_of },
    };
    const struct spool_recovery_options options = { .keeper = &l.base };
    struct spool_result *results;
    struct bench b;

    (void)unused;
    setup(&b);
    for (unsigned n = 0; n < 4; n++)
        commit(&b, 0, 50);
    result(&b, 0, 1, 1, SPOOL_RESULT_DELIVERED, 2);
    result(&b, 0, 2, 0, SPOOL_RESULT_DEFERRED, 1);
    flush(&b, 0);
    spool_log_append_done(&b.logs[0], 2, &b.tickets[1].location, NULL);
    flush(&b, 0);
    result(&b, 0, 2, 1, SPOOL_RESULT_DEFERRED, 1); /* of one that is over */
    flush(&b, 0);
    fake_disk_save(&b.disk, b.path);
    assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
    assert_int_equal(spool_recover(&b.recovery, &b.directory, &options), STATUS_OK);
    assert_int_equal(l.count, 4);
    assert_null(l.lodgers[1]);
    assert_int_equal(b.recovery.messages_living, 3);
    assert_int_equal(b.recovery.messages_dead, 1);
    assert_null(spool_recovery_next(&b.recovery));
    assert_ptr_equal(find(&b, 1), &l.lodgers[0]->found);
    assert_null(find(&b, 2)); /* it is not among the living */
    assert_ptr_equal(spool_recovery_take_kept(&l.lodgers[0]->found, &results), l.lodgers[0]);
    assert_int_equal(results[1].attempts, 2);
    free(results);
    assert_int_equal(l.lodgers[2]->found.bytes, b.tickets[2].location.bytes);
    assert_ptr_equal(spool_recovery_take_kept(&l.lodgers[2]->found, &results), l.lodgers[2]);
    assert_null(results);
    spool_recovery_drop_messages(&b.recovery);
    assert_null(l.lodgers[3]); /* nobody took it */
    free(l.lodgers[0]);
    free(l.lodgers[2]);
    teardown(&b);
}

static void what_is_kept_of_messages_is_taken_or_dropped(void **unused)
{
    static const struct {
        unsigned fails_at;
        uint64_t kept[4]; /* behind the recovery, of MIDs 1 to 4 */
    } cases[] = {
        { MANY, { 1, 0, 3, 4 } },
        { 3, { 0, 0, 0, 0 } },
        { 0, { 0, 0, 0, 0 } },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct keeper k = { .base = { .keep = keep, .drop = drop }, .fails_at = cases[i].fails_at };
        const struct spool_recovery_options options = { .keeper = &k.base };
        struct spool_recovered_message *found;
        struct spool_result *results;
        struct bench b;
        enum status status;

        setup(&b);
        for (unsigned log = 0; log < 2; log++)
            for (unsigned n = 0; n < 2; n++)
                commit(&b, log, 50);
        result(&b, 0, 1, 1, SPOOL_RESULT_DELIVERED, 2);
        spool_log_append_done(&b.logs[0], 2, &b.tickets[1].location, NULL);
        flush(&b, 0);
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        status = spool_recover(&b.recovery, &b.directory, &options);
        assert_int_equal(status, cases[i].fails_at < MANY ? STATUS_NO_MEMORY : STATUS_OK);
        assert_memory_equal(k.kept, cases[i].kept, sizeof(cases[i].kept));
        while (status == STATUS_OK && (found = spool_recovery_next(&b.recovery)) != NULL) {
            if (found->mid == 4)
                continue; /* nobody takes it */
            assert_ptr_equal(spool_recovery_take_kept(found, &results), &k.kept[found->mid - 1]);
            assert_int_equal(results != NULL, found->mid == 1);
            assert_true(results == NULL || results[1].attempts == 2);
            free(results);
        }
        spool_recovery_drop_messages(&b.recovery);
        assert_int_equal(k.kept[0], cases[i].kept[0]);
        assert_int_equal(k.kept[2], cases[i].kept[2]);
        assert_int_equal(k.kept[3], 0);
        teardown(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_mail_may_come_as_soon_as_the_segments_are_listed),
        cmocka_unit_test(a_segment_that_the_device_does_not_give_is_kept),
        cmocka_unit_test(bodies_of_new_mail_are_no_orphans),
        cmocka_unit_test(a_segment_may_be_read_ahead_of_its_step),
        cmocka_unit_test(a_step_and_the_next_read_go_on_at_the_same_time),
        cmocka_unit_test(a_spool_without_generations_left_is_refused),
        cmocka_unit_test(what_is_kept_of_messages_is_taken_or_dropped),
        cmocka_unit_test(what_is_found_is_noted_in_room_of_the_keeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
