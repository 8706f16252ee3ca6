/* The folder of MTA-STS policies, in a folder of the test; and what comes of a policy host that
 * nobody is. */
#include "gateway/mta_sts_io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/worker.h"
#include "tests/engine/peer.h"

#define NOW_S 1700000000ull

static char folder[] = "/tmp/postern-mta-sts-XXXXXX";
static int spool_fd, policies_fd;
static struct gateway_mta_sts_io *io;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/postern-mta-sts-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    spool_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (gateway_mta_sts_io_create(spool_fd, &io) != STATUS_OK)
        return -1;
    policies_fd = openat(spool_fd, "mta-sts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return policies_fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = { "a.test", "b.test", "c.test", "d.test", "~new" };

    (void)state;
    gateway_mta_sts_io_destroy(io);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlinkat(policies_fd, names[i], 0);
    (void)close(policies_fd);
    (void)unlinkat(spool_fd, "mta-sts", AT_REMOVEDIR);
    (void)close(spool_fd);
    return rmdir(folder); /* which shows that nothing else is left */
}

static enum status run_fetched(enum gateway_mta_sts_file_verb verb, const char *domain,
                               uint64_t fetched_s, struct buffer *bytes)
{
    static struct gateway_mta_sts_file file;

    file = (struct gateway_mta_sts_file){ .verb = verb, .fetched_s = fetched_s, .bytes = *bytes };
    (void)snprintf(file.domain, sizeof(file.domain), "%s", domain);
    gateway_mta_sts_io_file(io, &file, NOW_S);
    *bytes = file.bytes;
    return file.status;
}

static enum status run(enum gateway_mta_sts_file_verb verb, const char *domain,
                       struct buffer *bytes)
{
    return run_fetched(verb, domain, NOW_S, bytes);
}

static bool is_there(const char *name)
{
    return faccessat(policies_fd, name, F_OK, 0) == 0;
}

static void make_fetched(struct buffer *bytes, const char *domain, uint64_t fetched_s,
                         uint64_t expires_s)
{
    const struct gateway_mta_sts_record record = { .domain = slice_from(domain),
                                                   .id = SLICE("1"),
                                                   .fetched_s = fetched_s,
                                                   .expires_s = expires_s,
                                                   .text = SLICE("text") };

    buffer_init(bytes, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    assert_int_equal(gateway_mta_sts_record_write(&record, bytes), STATUS_OK);
}

static void make_record(struct buffer *bytes, const char *domain, uint64_t expires_s)
{
    make_fetched(bytes, domain, NOW_S, expires_s);
}

static void keep(const char *name, const char *domain, uint64_t expires_s)
{
    int fd = openat(policies_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct slice bytes;
    struct buffer b;

    make_record(&b, domain, expires_s);
    bytes = buffer_contents(&b);
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
    (void)close(fd);
    buffer_finish(&b);
}

static void what_is_stored_can_be_loaded_and_removed(void **state)
{
    struct buffer out, in;
    struct stat info;

    (void)state;
    make_record(&out, "a.test", NOW_S + 1);
    buffer_init(&in, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "a.test", &in), STATUS_NOT_FOUND);
    assert_int_equal(run(GATEWAY_MTA_STS_STORE, "a.test", &out), STATUS_OK);
    assert_int_equal(run(GATEWAY_MTA_STS_STORE, "a.test", &out), STATUS_OK);
    assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "a.test", &in), STATUS_OK);
    assert_true(slice_equal(buffer_contents(&in), buffer_contents(&out)));
    assert_int_equal(fstatat(policies_fd, "a.test", &info, 0), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_false(is_there("~new"));
    assert_int_equal(run(GATEWAY_MTA_STS_REMOVE, "a.test", &in), STATUS_OK);
    assert_false(is_there("a.test"));
    assert_int_equal(run(GATEWAY_MTA_STS_REMOVE, "a.test", &in), STATUS_OK);
    buffer_finish(&in);
    buffer_finish(&out);
}

static void what_was_fetched_later_stays(void **state)
{
    static const struct {
        uint64_t first_s, first_expires_s, then_s;
        bool is_replaced;
    } cases[] = {
        { NOW_S - 10, NOW_S + 100, NOW_S - 9, true },
        { NOW_S - 10, NOW_S + 100, NOW_S - 10, true }, /* with another `tried`, say */
        { NOW_S - 10, NOW_S + 100, NOW_S - 11, false },
        { NOW_S, NOW_S + 100, 0, false },
        { NOW_S - 10, NOW_S, NOW_S - 11, true },      /* it is over */
        { NOW_S + 1, NOW_S + 100, NOW_S - 11, true }, /* by a clock that was wrong */
    };

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool is_removal = i % 2 == 1, is_replaced = cases[i / 2].is_replaced;
        uint64_t first_s = cases[i / 2].first_s, then_s = cases[i / 2].then_s;
        struct buffer first, then, in;

        make_fetched(&first, "a.test", first_s, cases[i / 2].first_expires_s);
        make_fetched(&then, "a.test", then_s, NOW_S + 200);
        buffer_init(&in, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
        assert_int_equal(run_fetched(GATEWAY_MTA_STS_STORE, "a.test", first_s, &first), STATUS_OK);
        assert_int_equal(run_fetched(is_removal ? GATEWAY_MTA_STS_REMOVE : GATEWAY_MTA_STS_STORE,
                                     "a.test", then_s, &then),
                         STATUS_OK);
        assert_int_equal(is_there("a.test"), !is_removal || !is_replaced);
        if (is_there("a.test")) {
            assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "a.test", &in), STATUS_OK);
            if (!slice_equal(buffer_contents(&in), buffer_contents(is_replaced ? &then : &first)))
                fail_msg("case %zu", i);
            /* What is left makes no difference for the next case. */
            assert_int_equal(unlinkat(policies_fd, "a.test", 0), 0);
        }
        buffer_finish(&first);
        buffer_finish(&then);
        buffer_finish(&in);
    }
}

static void the_folder_is_tidied_at_the_first_touch(void **state)
{
    struct buffer in;

    (void)state;
    keep("a.test", "a.test", NOW_S + 1);
    keep("b.test", "b.test", NOW_S); /* expired */
    keep("c.test", "x.test", NOW_S + 1);
    keep("~new", "d.test", NOW_S + 1);
    buffer_init(&in, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "d.test", &in), STATUS_NOT_FOUND);
    buffer_finish(&in);
    assert_true(is_there("a.test"));
    assert_false(is_there("b.test"));
    assert_false(is_there("c.test"));
    assert_false(is_there("~new"));
}

static void a_file_that_is_too_long_is_an_error(void **state)
{
    struct buffer in;
    int fd;

    (void)state;
    buffer_init(&in, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
    assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "a.test", &in), STATUS_NOT_FOUND);
    fd = openat(policies_fd, "a.test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)1 << 30), 0);
    (void)close(fd);
    assert_int_equal(run(GATEWAY_MTA_STS_LOAD, "a.test", &in), STATUS_LIMIT);
    buffer_finish(&in);
}

static void the_folder_may_be_there_already(void **state)
{
    struct gateway_mta_sts_io *again;

    (void)state;
    assert_int_equal(gateway_mta_sts_io_create(spool_fd, &again), STATUS_OK);
    gateway_mta_sts_io_destroy(again);
    assert_int_not_equal(gateway_mta_sts_io_create(-1, &again), STATUS_OK);
}

static void a_host_that_nobody_is_gives_a_reason(void **state)
{
    static const atomic_bool go = false, stop = true;
    static const struct {
        const atomic_bool *is_stopped;
        size_t addresses;
    } cases[] = { { &go, 1 }, { &go, GATEWAY_MTA_STS_ADDRESSES_MAX }, { &stop, 1 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gateway_mta_sts_fetch fetch = { .host = "mta-sts.a.test",
                                               .addresses_count = cases[i].addresses,
                                               .port = 9,
                                               .timeout_ms = 5000,
                                               .is_stopped = cases[i].is_stopped };

        gateway_mta_sts_fetch_init(&fetch);
        for (size_t k = 0; k < cases[i].addresses; k++)
            assert_true(
                ip_parse(k % 2 == 0 ? SLICE("127.0.0.1") : SLICE("::1"), &fetch.addresses[k]));
        gateway_mta_sts_fetch_run(&fetch);
        assert_false(fetch.is_ok);
        assert_memory_equal(fetch.reason, "https: ", 7);
        assert_true(strlen(fetch.reason) > 7);
        gateway_mta_sts_fetch_finish(&fetch);
    }
}

static unsigned done_count;

static void on_file(struct gateway_mta_sts_file *file)
{
    assert_int_equal(file->status, STATUS_NOT_FOUND);
    done_count++;
}

static void on_fetch(struct gateway_mta_sts_fetch *fetch)
{
    assert_false(fetch->is_ok);
    done_count++;
}

/* A worker that turns gets its answers; one that has ended has not to wait for them. */
static void the_threads_answer_on_the_loop_of_the_worker(void **state)
{
    static struct gateway_process process;
    static struct gateway_worker worker = { .process = &process };
    static struct gateway_mta_sts_file file;
    static struct gateway_mta_sts_fetch fetch;
    struct gateway_names *names = NULL;

    (void)state;
    process.mta_sts = io;
    assert_null(gateway_mta_sts_ops_real.source(&worker, &names));
    for (unsigned turns = 0; turns < 2; turns++) {
        worker.loop = peer_loop(NULL);
        file = (struct gateway_mta_sts_file){ .done = on_file, .domain = "a.test" };
        buffer_init(&file.bytes, GATEWAY_MTA_STS_RECORD_BYTES_MAX);
        fetch = (struct gateway_mta_sts_fetch){ .done = on_fetch,
                                                .host = "mta-sts.a.test",
                                                .addresses_count = 1,
                                                .port = 9,
                                                .timeout_ms = 5000 };
        assert_true(ip_parse(SLICE("127.0.0.1"), &fetch.addresses[0]));
        gateway_mta_sts_fetch_init(&fetch);
        done_count = 0;
        assert_int_equal(gateway_mta_sts_ops_real.file(&worker, &file), STATUS_OK);
        assert_int_equal(gateway_mta_sts_ops_real.fetch(&worker, &fetch), STATUS_OK);
        if (turns == 0)
            peer_turn_until(worker.loop, &done_count, 2);
        else
            gateway_mta_sts_io_destroy(io);
        assert_int_equal(done_count, turns == 0 ? 2 : 0);
        engine_loop_destroy(worker.loop);
        gateway_mta_sts_fetch_finish(&fetch);
        buffer_finish(&file.bytes);
    }
    io = NULL;
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(what_is_stored_can_be_loaded_and_removed),
        EACH(what_was_fetched_later_stays),
        EACH(the_folder_is_tidied_at_the_first_touch),
        EACH(a_file_that_is_too_long_is_an_error),
        EACH(the_folder_may_be_there_already),
        EACH(the_threads_answer_on_the_loop_of_the_worker),
        cmocka_unit_test(a_host_that_nobody_is_gives_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
