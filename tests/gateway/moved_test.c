/* A message that compaction moves, and what else happens to it meanwhile. No segment is compacted:
 * the test stands in the middle of a move. */
#include "gateway/compaction.h"

#include "tests/gateway/message_rig.h"

#include <fcntl.h>
#include <unistd.h>

#include "gateway/alerts.h"
#include "gateway/report.h"

#define BATCH_BYTES 8192u

static const char *const recipients[] = { "a@x.example" };
static const struct spool_segment_file old_file = { 1, 5, 1, -1 }, new_file = { 2, 5, 2, -1 };

/* There is no segment for the log: what it is given waits. */
static void on_prepare(struct spool_storage *s)
{
    (void)s;
}

static void open_log(bool is_adopting)
{
    static const struct spool_storage_ops ops = { .segment_prepare = on_prepare };
    const struct spool_log_options options = { .batch_first = 1,
                                               .sequence_first = 1,
                                               .is_adopting = is_adopting };

    worker.store.worker = &worker;
    worker.store.storage.ops = &ops;
    gateway_compaction_init(&worker.compaction, &worker);
    assert_int_equal(spool_log_init(&worker.store.log, &worker.store.storage, &options), STATUS_OK);
}

/* As gateway/compaction.c leaves it when it has begun. */
static void begin_move(struct gateway_message *m)
{
    assert_int_equal(gateway_message_begin_errand(m), STATUS_OK);
    m->errand->is_move = true;
    worker.compaction.copies = 1;
    worker.state = GATEWAY_WORKER_RUNNING; /* since the message has started, and was not sent */
}

static void test_a_deletion_is_recorded_though_the_message_is_being_moved(void **state)
{
    struct gateway_message *m = start(recipients, 1, NULL);
    struct gateway_report *report;
    static struct spool_ticket sync; /* the log has it to its end */

    (void)state;
    open_log(false);
    begin_move(m);
    assert_int_equal(gateway_report_create(&m->items[0], 1, &report), STATUS_OK);
    gateway_report_add(report, &(struct spool_result){ .rid = 0, .state = SPOOL_RESULT_DELETED },
                       GATEWAY_NOTICE_NONE, NULL);
    gateway_report_post(report, worker.loop, true);
    poke(1);
    assert_int_equal(m->open_count, 0); /* its home has heard of it */
    assert_int_equal(spool_log_results_waiting(&worker.store.log), 1);
    spool_log_await_results(&worker.store.log, 0, &sync);
    assert_null(spool_log_take_committed(&worker.store.log)); /* nothing is durable yet */
}

/* Its record, in a segment's file. */
static struct spool_location write_record(const struct spool_segment_file *file,
                                          const struct spool_message *spool)
{
    static char block[SPOOL_BLOCK_BYTES + BATCH_BYTES];
    char name[SPOOL_SEGMENT_NAME_MAX];
    const struct spool_record r = { .type = SPOOL_RECORD_MESSAGE,
                                    .generation = file->generation,
                                    .salt = file->salt,
                                    .batch = 1,
                                    .batch_start = SPOOL_BLOCK_BYTES,
                                    .batch_bytes = BATCH_BYTES,
                                    .sequence = 1,
                                    .mid = spool_message_mid(spool) };
    struct spool_location location = { .offset = SPOOL_BLOCK_BYTES };
    int fd = openat(process.directory.segments_fd, spool_segment_name(file->number, name),
                    O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    memset(block, 0, sizeof(block));
    location.bytes =
        (uint32_t)spool_record_encode(&r, spool_message_payload(spool), block + SPOOL_BLOCK_BYTES);
    assert_int_equal(pwrite(fd, block, sizeof(block), 0), sizeof(block));
    assert_int_equal(close(fd), 0);
    assert_int_equal(spool_log_adopt(&worker.store.log, file, 1, &location.segment), STATUS_OK);
    return location;
}

static void remove_segment(const struct spool_segment_file *file)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    assert_int_equal(
        unlinkat(process.directory.segments_fd, spool_segment_name(file->number, name), 0), 0);
}

/* It has gone to the shelf while its results are written behind the copy, and its time comes: when
 * the old place has been read, or cannot be opened any more, the new one counts. */
static void fetched_while_it_moves(bool is_old_gone)
{
    char folder[] = "/tmp/postern-moved-XXXXXX";
    struct gateway_alerts *alerts;
    struct gateway_message *m;

    assert_non_null(mkdtemp(folder));
    process.directory.segments_fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(process.directory.segments_fd >= 0);
    assert_int_equal(observe_log_create("/dev/null", 3, &process.log), STATUS_OK);
    worker.log = observe_log_writer(process.log, 0);
    assert_int_equal(gateway_alerts_create(&process, 1, &alerts), STATUS_OK);
    process.alerts = alerts;
    open_log(true);
    m = start(recipients, 1, NULL);
    m->location = write_record(&old_file, m->spool);
    begin_move(m);
    m->errand->new_location = write_record(&new_file, m->spool);
    m->errand->ticket.kind = SPOOL_TICKET_RESULTS;
    config.settings.memory_message_bytes = 1;
    gateway_shelf_check(&worker);
    poke(2);
    assert_null(m->spool);
    if (is_old_gone)
        remove_segment(&old_file);
    assert_int_equal(gateway_item_fetch(&m->items[0], worker.loop, NULL), STATUS_OK);
    for (int i = 0; i < 50 && m->fetch == NULL; i++)
        poke(1);
    assert_non_null(m->fetch);
    gateway_message_ticket_back(&m->errand->ticket); /* the results are durable */
    config.settings.memory_message_bytes = 1u << 20;
    for (int i = 0; i < 200 && gateway_item_is_lent(&m->items[0]); i++)
        poke(1);
    assert_non_null(m->spool);
    assert_int_equal(worker.counters.values[OBSERVE_SPOOL_ERRORS], 0);
    if (!is_old_gone)
        remove_segment(&old_file);
    remove_segment(&new_file);
    assert_int_equal(close(process.directory.segments_fd), 0);
    assert_int_equal(rmdir(folder), 0);
    gateway_alerts_stop(alerts);
    gateway_alerts_destroy(alerts);
    observe_log_destroy(process.log);
}

static void test_a_fetch_goes_on_at_the_new_place(void **state)
{
    (void)state;
    fetched_while_it_moves(false);
}

static void test_a_fetch_does_not_mind_that_the_old_place_has_gone(void **state)
{
    (void)state;
    fetched_while_it_moves(true);
}

static int finish_log(void **state)
{
    int result = tear_down(state);

    if (worker.store.log.preparing != NULL)
        spool_log_segment_ready(&worker.store.log, STATUS_NO_SPACE, NULL);
    spool_log_finish(&worker.store.log);
    return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, finish_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deletion_is_recorded_though_the_message_is_being_moved),
        TEST(a_fetch_goes_on_at_the_new_place),
        TEST(a_fetch_does_not_mind_that_the_old_place_has_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
