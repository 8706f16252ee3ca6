#include "tests/observe/support.h"

#include <sched.h>
#include <stdatomic.h>

#define TURNS_MAX 10000000 /* so much patience with the log's thread */

/* The clock of the log, in its own thread and in the test's. The definition below takes the
 * place of the one in the C library. */
static _Atomic uint64_t thread_ns = 1, thread_looks;
static uint64_t test_ns = 1;
static _Thread_local bool is_test;

int clock_gettime(clockid_t clock, struct timespec *t)
{
    uint64_t ns = is_test ? test_ns : atomic_load(&thread_ns);

    (void)clock;
    if (!is_test)
        atomic_fetch_add(&thread_looks, 1);
    *t = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000) };
    return 0;
}

/* Returns when the log's thread has drained the rings some more times. One that sleeps although
 * lines wait would do so once a second only. */
static void let_it_drain(void)
{
    uint64_t looks = atomic_load(&thread_looks);
    int turns = 0;

    while (atomic_load(&thread_looks) < looks + 300) {
        assert_true(turns++ < TURNS_MAX);
        (void)sched_yield();
    }
}

static void put(struct observe_log *log, unsigned writer, uint64_t stamp_ns, int number)
{
    test_ns = stamp_ns;
    observe_log_line(observe_log_writer(log, writer), OBSERVE_INFO, NOW_S, "N %d", number);
    observe_log_flush(observe_log_writer(log, writer));
}

/* Says that the file has exactly these lines behind its two first. */
static void assert_numbers(const int *numbers, size_t count)
{
    char *all = read_file(log_path), *rest = all, *line;

    skip_lines(&rest, 2);
    for (size_t i = 0; i < count; i++) {
        line = next_line(&rest);
        assert_non_null(line);
        assert_non_null(strstr(line, " N "));
        assert_int_equal(strtol(strstr(line, " N ") + 3, NULL, 10), numbers[i]);
    }
    line = next_line(&rest);
    assert_true(line == NULL || strstr(line, "Info: End Logfile") != NULL);
    free(all);
}

static off_t file_bytes(void)
{
    struct stat st;

    assert_int_equal(stat(log_path, &st), 0);
    return st.st_size;
}

static void wait_for_bytes(off_t more_than)
{
    int turns = 0;

    while (file_bytes() <= more_than) {
        assert_true(turns++ < TURNS_MAX);
        (void)sched_yield();
    }
}

static void lines_that_are_not_due_wait_and_are_not_slept_over(void **unused)
{
    struct observe_log *log;
    off_t begin;

    (void)unused;
    (void)unlink(log_path);
    atomic_store(&thread_ns, 100);
    log = open_log(log_path, 2);
    begin = file_bytes();
    put(log, 1, 100, 2); /* the same tick is too late */
    put(log, 0, 101, 3);
    put(log, 1, 102, 4);
    let_it_drain();
    assert_int_equal(file_bytes(), begin);
    put(log, 0, 103, 5);
    atomic_store(&thread_ns, 101);
    wait_for_bytes(begin);
    let_it_drain();
    assert_numbers((const int[]){ 2 }, 1);
    observe_log_destroy(log); /* writes everything */
    assert_numbers((const int[]){ 2, 3, 4, 5 }, 4);
}

#define WRITERS 5
#define LINES   15000 /* several times what is written at once */

static void what_waits_is_written_by_its_stamps_at_the_end(void **unused)
{
    static int expected[LINES];
    struct observe_log *log;
    unsigned seed = 3;

    (void)unused;
    (void)unlink(log_path);
    atomic_store(&thread_ns, 1);
    log = open_log(log_path, WRITERS);
    for (int i = 0; i < LINES; i++) {
        put(log, (unsigned)rand_r(&seed) % WRITERS, 1000 + (uint64_t)i, i);
        expected[i] = i;
    }
    assert_int_equal(observe_log_lost(log), 0);
    observe_log_destroy(log);
    assert_numbers(expected, LINES);
}

static int begin(void **unused)
{
    is_test = true;
    return make_folder(unused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_are_not_due_wait_and_are_not_slept_over),
        cmocka_unit_test(what_waits_is_written_by_its_stamps_at_the_end),
    };
    return cmocka_run_group_tests(tests, begin, remove_folder);
}
