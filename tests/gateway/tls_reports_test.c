/* What workers gather, and the keeper that gets it: its thread, its files. */
#include "gateway/tls_reports.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/timer.h"
#include "gateway/worker.h"
#include "tests/engine/fake_backend.h"

#define THREADS     4
#define BATCHES     300
#define DAY         ((time_t)GATEWAY_TLS_DAY_S)
#define WAIT_MS_MAX 20000
#define PARTS_BYTES 65536

static char folder[64];
static struct gateway_process *process;
static struct gateway_worker *worker;
static struct config_loaded loaded;
static struct gateway_generation generation;
static struct gateway_view view;
static const struct hash_seed seed = { 3, 4 };

static void rang(struct engine_timer *timer)
{
    (void)timer;
}

static void pass(uint64_t ms)
{
    static struct engine_timer timer;

    engine_timer_start(worker->loop, &timer, ms, rang);
    while (engine_timer_is_running(&timer))
        engine_loop_turn(worker->loop);
}

static int set_up(void **unused)
{
    (void)unused;
    (void)snprintf(folder, sizeof(folder), "/tmp/postern-tls-reports-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    process = calloc(1, sizeof(*process));
    worker = aligned_alloc(alignof(struct gateway_worker), sizeof(*worker));
    assert_true(process != NULL && worker != NULL);
    memset((void *)worker, 0, sizeof(*worker));
    loaded.settings = (struct config_settings){
        .hostname = "mx.example.com",
        .tls_ca_path = "",
        .mta_sts.ca_path = "",
        .tls_reports = { .organization = "",
                         .contact = "",
                         .domain = "",
                         .dkim_domain = "",
                         .dkim_selector = "",
                         .dkim_key_path = "",
                         .send = true },
    };
    generation = (struct gateway_generation){ .config = &loaded };
    view = (struct gateway_view){ .generation = &generation, .users_count = 1 };
    process->workers = worker;
    process->workers_count = 1;
    process->directory.path_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    worker->process = process;
    worker->view = &view;
    gateway_tls_gatherer_init(&worker->tls_gatherer, worker);
    assert_int_equal(
        engine_loop_create(&(struct engine_loop_options){ .backend = &fake_backend_ops },
                           &worker->loop, NULL),
        STATUS_OK);
    fake_backend_of(worker->loop)->now_ms =
        (uint64_t)(observe_tls_report_day(clock_wall_s()) + DAY / 2) * 1000;
    pass(10);
    assert_int_equal(observe_log_create("/dev/null", 1, &process->log), STATUS_OK);
    assert_int_equal(gateway_tls_reports_create(process, 0, &process->tls_reports), STATUS_OK);
    return 0;
}

static void end(void)
{
    gateway_tls_reports_stop(process->tls_reports);
    pass(10); /* what was posted to the worker is dealt with */
    gateway_tls_reports_destroy(process->tls_reports);
    process->tls_reports = NULL;
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    for (int i = 0; dir != NULL && i < 1000 && (entry = readdir(dir)) != NULL; i++)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(path);
}

static int tear_down(void **unused)
{
    char path[96];

    (void)unused;
    if (process->tls_reports != NULL)
        end();
    gateway_tls_gatherer_finish(&worker->tls_gatherer);
    engine_loop_destroy(worker->loop);
    observe_log_destroy(process->log);
    (void)close(process->directory.path_fd);
    (void)snprintf(path, sizeof(path), "%s/tls-reports", folder);
    remove_all(path);
    (void)rmdir(folder);
    free(worker);
    free(process);
    return 0;
}

static void configure(void)
{
    assert_int_equal(gateway_tls_reports_configure(process->tls_reports, &loaded.settings),
                     STATUS_OK);
}

static const struct observe_tls_result one = { .report_domain = SLICE("a.example") };

static void see(int times)
{
    for (int i = 0; i < times; i++)
        gateway_tls_report_session(worker, &one);
}

/* The sessions in the files, and how many files there are. */
static uint64_t sessions_on_disk(size_t *files_out)
{
    static char text[PARTS_BYTES];
    char path[96];
    DIR *dir;
    const struct dirent *entry;
    uint64_t sessions = 0;
    size_t files = 0;

    (void)snprintf(path, sizeof(path), "%s/tls-reports", folder);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct gateway_tls_part *part;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
        ssize_t len = entry->d_name[0] != '.' ? read(fd, text, sizeof(text)) : 0;

        (void)close(fd);
        if (entry->d_name[0] == '.')
            continue;
        assert_true(len > 0);
        assert_int_equal(gateway_tls_part_read(slice_from(entry->d_name),
                                               (struct slice){ text, (size_t)len }, &seed, &part),
                         STATUS_OK);
        sessions += part->sessions;
        files++;
        gateway_tls_part_destroy(part);
    }
    if (dir != NULL)
        (void)closedir(dir);
    *files_out = files;
    return sessions;
}

static void expect_on_disk(uint64_t sessions, size_t files)
{
    size_t found;

    assert_int_equal(sessions_on_disk(&found), sessions);
    assert_int_equal(found, files);
}

static void nothing_is_gathered_while_reports_are_off(void **unused)
{
    (void)unused;
    loaded.settings.tls_reports.send = false;
    configure();
    see(5);
    assert_null(worker->tls_gatherer.batch);
    gateway_tls_gatherer_end(&worker->tls_gatherer);
    end();
    expect_on_disk(0, 0);
}

static void what_was_gathered_when_they_are_switched_off_is_dropped(void **unused)
{
    (void)unused;
    configure();
    see(5);
    assert_non_null(worker->tls_gatherer.batch);
    loaded.settings.tls_reports.send = false;
    pass(GATEWAY_TLS_GATHER_MS + 10);
    assert_null(worker->tls_gatherer.batch);
    end();
    expect_on_disk(0, 0);
}

static void a_worker_gives_what_it_has_after_a_while_and_at_its_end(void **unused)
{
    (void)unused;
    configure();
    see(5);
    pass(GATEWAY_TLS_GATHER_MS - 100);
    assert_non_null(worker->tls_gatherer.batch);
    pass(200);
    assert_null(worker->tls_gatherer.batch);
    see(2);
    gateway_tls_gatherer_end(&worker->tls_gatherer);
    assert_null(worker->tls_gatherer.batch);
    pass(2 * GATEWAY_TLS_GATHER_MS); /* no timer is left */
    end();
    expect_on_disk(7, 1);
}

static void days_are_kept_apart(void **unused)
{
    const struct gateway_tls_batch *first;

    (void)unused;
    configure();
    see(5);
    first = worker->tls_gatherer.batch;
    /* The clock goes on, and the timer is late. */
    engine_timer_stop(worker->loop, &worker->tls_gatherer.timer);
    pass((uint64_t)DAY * 1000);
    see(2);
    assert_ptr_not_equal(worker->tls_gatherer.batch, first);
    gateway_tls_gatherer_end(&worker->tls_gatherer);
    end();
    expect_on_disk(7, 2);
}

static void what_an_earlier_process_gathered_is_gone_on_with(void **unused)
{
    (void)unused;
    configure();
    see(5);
    gateway_tls_gatherer_end(&worker->tls_gatherer);
    end();
    expect_on_disk(5, 1);
    assert_int_equal(gateway_tls_reports_create(process, 0, &process->tls_reports), STATUS_OK);
    configure();
    see(2);
    gateway_tls_gatherer_end(&worker->tls_gatherer);
    end();
    expect_on_disk(7, 1);
    loaded.settings.tls_reports.send = false; /* nothing is kept then */
    assert_int_equal(gateway_tls_reports_create(process, 0, &process->tls_reports), STATUS_OK);
    configure();
    end();
    expect_on_disk(0, 0);
}

static struct gateway_tls_batch *batch_of_one(void)
{
    struct gateway_tls_batch *batch =
        gateway_tls_batch_create(observe_tls_report_day(clock_wall_s()), &seed);

    assert_non_null(batch);
    observe_tls_results_add(&batch->results, &one, 1);
    return batch;
}

/* Without settings the keeper waits for them, and so do batches. */
static void a_worker_keeps_what_a_keeper_behind_does_not_take(void **unused)
{
    (void)unused;
    for (int i = 0; i < GATEWAY_TLS_BATCHES_MAX; i++) {
        assert_true(gateway_tls_reports_has_room(process->tls_reports));
        gateway_tls_reports_take(process->tls_reports, batch_of_one());
    }
    assert_false(gateway_tls_reports_has_room(process->tls_reports));
    see(5);
    pass(3 * GATEWAY_TLS_GATHER_MS);
    assert_non_null(worker->tls_gatherer.batch);
    see(1);
    gateway_tls_gatherer_end(&worker->tls_gatherer); /* the last chance */
    assert_null(worker->tls_gatherer.batch);
    configure();
    end();
    expect_on_disk(GATEWAY_TLS_BATCHES_MAX + 6, 1);
}

static void *give_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < BATCHES; i++)
        gateway_tls_reports_take(process->tls_reports, batch_of_one());
    return NULL;
}

static void threads_give_at_once_and_nothing_is_lost(void **unused)
{
    pthread_t threads[THREADS];
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    size_t files;
    bool is_on;

    (void)unused;
    configure();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, give_many, NULL), 0);
    (void)gateway_tls_reports_facts(process->tls_reports, facts, &is_on);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    end();
    assert_int_equal(sessions_on_disk(&files), THREADS * BATCHES);
    assert_in_range(files, 1, 2);                   /* it may be midnight */
    gateway_tls_reports_take(NULL, batch_of_one()); /* nobody wants it */
}

/* The worker's thread is this one. Its lookups fail, because it has no resolver. */
static void what_workers_have_is_collected_before_it_is_sent(void **unused)
{
    struct gateway_tls_part_facts facts[GATEWAY_TLS_PARTS_MAX];
    uint64_t until_ms = clock_monotonic_ms() + WAIT_MS_MAX;
    bool is_on = false;
    size_t count = 0;

    (void)unused;
    assert_false(gateway_tls_reports_send(process->tls_reports, NULL));
    assert_false(gateway_tls_reports_send(NULL, NULL));
    configure();
    atomic_store(&worker->start, GATEWAY_WORKER_READY);
    while (!is_on && clock_monotonic_ms() < until_ms)
        (void)gateway_tls_reports_facts(process->tls_reports, facts, &is_on);
    assert_true(is_on);
    see(5);
    assert_true(gateway_tls_reports_send(process->tls_reports, NULL));
    while (clock_monotonic_ms() < until_ms) {
        pass(10);
        count = gateway_tls_reports_facts(process->tls_reports, facts, &is_on);
        if (count == 1 && facts[0].is_closed && worker->tls_gatherer.batch == NULL &&
            list_is_empty(&worker->tls_gatherer.lookups) &&
            facts[0].counts[GATEWAY_TLS_TARGET_WAITING] == 1)
            break;
    }
    assert_int_equal(count, 1);
    assert_true(facts[0].is_closed);
    assert_int_equal(facts[0].sessions, 5);
    assert_int_equal(facts[0].domains, 1);
    assert_int_equal(facts[0].counts[GATEWAY_TLS_TARGET_WAITING], 1);
    end();
    expect_on_disk(5, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_gathered_while_reports_are_off),
        TEST(what_was_gathered_when_they_are_switched_off_is_dropped),
        TEST(a_worker_gives_what_it_has_after_a_while_and_at_its_end),
        TEST(days_are_kept_apart),
        TEST(what_an_earlier_process_gathered_is_gone_on_with),
        TEST(a_worker_keeps_what_a_keeper_behind_does_not_take),
        TEST(threads_give_at_once_and_nothing_is_lost),
        TEST(what_workers_have_is_collected_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
