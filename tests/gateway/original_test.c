/* The beginning of a body file, read for a report: from files in a folder of the test. */
#include "gateway/original.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "delivery/dsn.h"
#include "gateway/worker.h"
#include "spool/crc32c.h"
#include "spool/draft.h"

#define TRACE     "Received: here\r\n"
#define TURNS_MAX 10000

static char folder[64];
static char body[2 * DELIVERY_DSN_ORIGINAL_MAX];
static struct gateway_process process;
static struct gateway_worker worker;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/postern-original-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 23);
    process = (struct gateway_process){ .workers = &worker, .workers_count = 1 };
    process.directory.bodies_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    worker = (struct gateway_worker){ .process = &process };
    gateway_originals_init(&worker.originals);
    return engine_loop_create(&(struct engine_loop_options){ 0 }, &worker.loop, NULL) == STATUS_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    engine_loop_destroy(worker.loop);
    (void)close(process.directory.bodies_fd);
    return rmdir(folder);
}

static void write_body(uint64_t mid, size_t bytes)
{
    char name[SPOOL_BODY_NAME_MAX];
    int fd = openat(process.directory.bodies_fd, spool_body_name(mid, name),
                    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, body, bytes), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
}

static void remove_body(uint64_t mid)
{
    char name[SPOOL_BODY_NAME_MAX];

    assert_int_equal(unlinkat(process.directory.bodies_fd, spool_body_name(mid, name), 0), 0);
}

/* One whose record says that its file has so many bytes. */
static struct spool_message *make(uint64_t mid, const char *trace, size_t bytes, uint32_t crc)
{
    const struct spool_envelope envelope = { .mid = mid };
    struct spool_draft draft;

    spool_draft_init(&draft);
    assert_int_equal(spool_draft_begin(&draft, &envelope, 0), STATUS_OK);
    assert_int_equal(spool_draft_add_recipient(&draft, SLICE("a@b")), STATUS_OK);
    assert_int_equal(spool_draft_trace(&draft, slice_from(trace)), STATUS_OK);
    assert_int_equal(spool_draft_body(&draft, SLICE("")), STATUS_OK);
    spool_draft_drop_body(&draft);
    spool_draft_set_body_file(&draft, bytes, crc);
    return spool_draft_complete(&draft);
}

/* What the handler is given, copied. */
struct got {
    struct gateway_original original;
    enum status status;
    size_t bytes;
    char *text;
};

static unsigned ended;

static void on_original(struct gateway_original *o, enum status status, struct slice text)
{
    struct got *got = CONTAINER_OF(o, struct got, original);

    got->status = status;
    got->bytes = text.len;
    got->text = strndup(text.data, text.len);
    ended++;
}

static void run_until(unsigned count)
{
    for (unsigned turns = 0; ended < count; turns++) {
        assert_true(turns < TURNS_MAX);
        assert_true(worker.originals.reading <= GATEWAY_ORIGINALS_READING_MAX);
        engine_loop_turn(worker.loop);
    }
    assert_int_equal(ended, count);
    assert_int_equal(worker.originals.reading, 0);
    assert_int_equal(engine_loop_owners(worker.loop), 0);
}

static void test_so_much_is_read_as_is_asked_for(void **state)
{
    static const struct {
        const char *trace;
        size_t in_file, in_record;
        bool is_damaged;
        size_t wanted;
        enum status status;
        size_t read; /* of the body */
    } cases[] = {
        { TRACE, 2000, 2000, false, 2000, STATUS_OK, 2000 },
        { TRACE, 2000, 2000, false, 5000, STATUS_OK, 2000 },
        { TRACE, 2000, 2000, false, 1999, STATUS_OK, 1999 },
        { TRACE, 2000, 2000, false, 0, STATUS_OK, 0 },
        { "", 2000, 2000, false, 700, STATUS_OK, 700 },
        { "", 2000, 2000, false, 2000, STATUS_OK, 2000 },
        { TRACE, DELIVERY_DSN_ORIGINAL_MAX, DELIVERY_DSN_ORIGINAL_MAX, false,
          DELIVERY_DSN_ORIGINAL_MAX, STATUS_OK, DELIVERY_DSN_ORIGINAL_MAX },
        { TRACE, sizeof(body), sizeof(body), false, DELIVERY_DSN_ORIGINAL_MAX, STATUS_OK,
          DELIVERY_DSN_ORIGINAL_MAX },
        { TRACE, 2000, 2000, true, 2000, STATUS_CORRUPT, 0 }, /* read to its end: it shows */
        { TRACE, 2000, 2000, true, 1999, STATUS_OK, 1999 },
        { TRACE, 1000, 2000, false, 1000, STATUS_OK, 1000 },
        { TRACE, 1000, 2000, false, 1001, STATUS_CORRUPT, 0 },
        { TRACE, 0, 2000, false, 1, STATUS_CORRUPT, 0 },
        { TRACE, 0, 0, false, 1000, STATUS_OK, 0 },
        { "", 1000, 2000, false, 2000, STATUS_CORRUPT, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t crc = spool_crc32c(0, body, cases[i].in_record) ^ cases[i].is_damaged;
        struct spool_message *m = make(i + 1, cases[i].trace, cases[i].in_record, crc);
        size_t trace_len = strlen(cases[i].trace);
        struct got got = { 0 };

        ended = 0;
        write_body(i + 1, cases[i].in_file);
        gateway_original_read(&worker, &got.original, m, cases[i].wanted, on_original);
        assert_int_equal(ended, 0);
        run_until(1);
        assert_int_equal(got.status, cases[i].status);
        assert_int_equal(got.bytes, trace_len + cases[i].read);
        assert_memory_equal(got.text, cases[i].trace, trace_len);
        assert_memory_equal(got.text + trace_len, body, cases[i].read);
        free(got.text);
        spool_message_destroy(m);
        remove_body(i + 1);
    }
}

static void test_without_a_file_the_trace_is_left(void **state)
{
    struct spool_message *m = make(7, TRACE, 2000, 0);
    struct got got = { 0 };

    (void)state;
    ended = 0;
    gateway_original_read(&worker, &got.original, m, 2000, on_original);
    run_until(1);
    assert_int_equal(got.status, STATUS_NOT_FOUND);
    assert_string_equal(got.text, TRACE);
    free(got.text);
    spool_message_destroy(m);
}

static void test_many_take_turns(void **state)
{
    enum { COUNT = 3 * GATEWAY_ORIGINALS_READING_MAX + 1 };
    static struct got got[COUNT];
    static struct spool_message *messages[COUNT];

    (void)state;
    ended = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        size_t bytes = 100 + i;

        /* Every third has no file. */
        messages[i] = make(i + 1, TRACE, bytes, spool_crc32c(0, body, bytes));
        if (i % 3 != 0)
            write_body(i + 1, bytes);
        gateway_original_read(&worker, &got[i].original, messages[i], 1000, on_original);
    }
    run_until(COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(got[i].status, i % 3 == 0 ? STATUS_NOT_FOUND : STATUS_OK);
        assert_int_equal(got[i].bytes, strlen(TRACE) + (i % 3 == 0 ? 0 : 100 + i));
        free(got[i].text);
        spool_message_destroy(messages[i]);
        if (i % 3 != 0)
            remove_body(i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_so_much_is_read_as_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_file_the_trace_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_take_turns, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
