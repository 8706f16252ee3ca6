#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/file.h"
#include "tests/engine/fake_backend.h"
#include "tests/engine/peer.h"

struct work {
    struct engine_file_request request;
    unsigned done;
    enum status status;
    size_t bytes;
};

static void done(struct engine_file_request *r, enum status status, size_t bytes)
{
    struct work *w = CONTAINER_OF(r, struct work, request);

    assert_false(engine_file_is_busy(r));
    w->done++;
    w->status = status;
    w->bytes = bytes;
}

static void expect(struct engine_loop *loop, struct work *w, enum status status, size_t bytes)
{
    assert_int_equal(w->done, 0);
    peer_turn_until(loop, &w->done, 1);
    assert_int_equal(w->status, status);
    assert_int_equal(w->bytes, bytes);
    assert_int_equal(w->done, 1);
    w->done = 0;
}

static void a_file_goes_through_its_whole_life(void **unused)
{
    static char out[100000];
    static char in[sizeof(out) + 1];
    char directory[] = "/tmp/postern-file-test-XXXXXX";
    struct engine_loop *loop = peer_loop(NULL);
    struct engine_file_request *r;
    struct work w = { .done = 0 };
    struct stat stat;
    int directory_fd;
    int fd;

    (void)unused;
    r = &w.request;
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (char)(i * 7);
    assert_non_null(mkdtemp(directory));
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    engine_file_open(loop, r, directory_fd, "segment", O_RDWR | O_CREAT | O_EXCL, 0600, done);
    assert_true(engine_file_is_busy(r));
    peer_turn_until(loop, &w.done, 1);
    assert_int_equal(w.status, STATUS_OK);
    fd = (int)w.bytes;
    w.done = 0;
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);

    engine_file_fallocate(loop, r, fd, 0, 0, 1 << 20, done);
    expect(loop, &w, STATUS_OK, 0);
    assert_int_equal(fstat(fd, &stat), 0);
    assert_int_equal(stat.st_size, 1 << 20);
    for (unsigned durable = 0; durable < 2; durable++) {
        engine_file_write(loop, r, fd, out, sizeof(out), 4096, durable == 1, done);
        expect(loop, &w, STATUS_OK, sizeof(out));
    }
    engine_file_sync(loop, r, fd, true, done);
    expect(loop, &w, STATUS_OK, 0);
    engine_file_read(loop, r, fd, in, sizeof(out), 4096, done);
    expect(loop, &w, STATUS_OK, sizeof(out));
    assert_memory_equal(in, out, sizeof(out));
    engine_file_read(loop, r, fd, in, sizeof(in), (1 << 20) - 10, done);
    expect(loop, &w, STATUS_OK, 10); /* the end of the file */

    engine_file_unlink(loop, r, directory_fd, "segment", done);
    expect(loop, &w, STATUS_OK, 0);
    engine_file_open(loop, r, directory_fd, "segment", O_RDONLY, 0, done);
    expect(loop, &w, STATUS_NOT_FOUND, 0);
    assert_int_equal(engine_file_error(r), ENOENT);
    (void)close(fd);
    (void)close(directory_fd);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(engine_loop_owners(loop), 0);
    engine_loop_destroy(loop);
}

static void a_write_ends_as_the_disk_says(void **unused)
{
    static const struct {
        int results[4]; /* of 10 bytes; 0x7fff ends the list */
        enum status status;
        int error;
        size_t bytes;
    } cases[] = {
        { { 10, 0x7fff }, STATUS_OK, 0, 10 },
        { { 4, 6, 0x7fff }, STATUS_OK, 0, 10 },
        { { -EINTR, 4, -EAGAIN, 6 }, STATUS_OK, 0, 10 },
        { { -EIO, 0x7fff }, STATUS_IO, EIO, 0 },
        { { 4, -EIO, 0x7fff }, STATUS_IO, EIO, 4 },
        { { 4, -ENOSPC, 0x7fff }, STATUS_NO_SPACE, ENOSPC, 4 },
        { { -EOPNOTSUPP, 0x7fff }, STATUS_UNSUPPORTED, EOPNOTSUPP, 0 },
        { { 0, 0x7fff }, STATUS_IO, EIO, 0 },
        { { 11, 0x7fff }, STATUS_IO, EPROTO, 0 },
    };
    struct engine_loop_options options = { .backend = &fake_backend_ops };
    struct engine_loop *loop = peer_loop(&options);
    struct fake_backend *f = fake_backend_of(loop);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct work w = { .done = 0 };
        size_t expected_offset = 8192;

        engine_file_write(loop, &w.request, 5, "0123456789", 10, 8192, true, done);
        for (size_t k = 0; k < 4 && cases[i].results[k] != 0x7fff; k++) {
            const struct engine_request *q = fake_pending(f, ENGINE_OP_WRITE, 5);

            assert_int_equal(w.done, 0);
            assert_int_equal(q->write.offset, expected_offset);
            assert_int_equal(q->write.len, 10 - (expected_offset - 8192));
            assert_int_equal(q->write.data[0], (int)('0' + (expected_offset - 8192)));
            assert_true(q->write.durable);
            if (cases[i].results[k] > 0)
                expected_offset += (size_t)cases[i].results[k];
            fake_complete(f, ENGINE_OP_WRITE, 5, cases[i].results[k]);
            engine_loop_turn(loop);
        }
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, cases[i].status);
        assert_int_equal(w.bytes, cases[i].bytes);
        assert_int_equal(engine_file_error(&w.request), cases[i].error);
    }
    engine_loop_destroy(loop);
}

struct ordered {
    struct engine_file_request request;
    unsigned *count;
    unsigned place; /* among those that were done, from 1 */
};

static void done_in_order(struct engine_file_request *r, enum status status, size_t bytes)
{
    struct ordered *o = CONTAINER_OF(r, struct ordered, request);

    (void)bytes;
    assert_int_equal(status, STATUS_OK);
    o->place = ++*o->count;
}

static void writes_are_looked_at_before_what_else_is_complete(void **unused)
{
    struct engine_loop_options options = { .backend = &fake_backend_ops };
    struct engine_loop *loop = peer_loop(&options);
    struct fake_backend *f = fake_backend_of(loop);
    unsigned count = 0;
    struct ordered work[4];
    char in[1];

    (void)unused;
    for (unsigned i = 0; i < 4; i++)
        work[i] = (struct ordered){ .count = &count };
    engine_file_read(loop, &work[0].request, 5, in, 1, 0, done_in_order);
    engine_file_write(loop, &work[1].request, 6, "x", 1, 0, true, done_in_order);
    engine_file_read(loop, &work[2].request, 7, in, 1, 0, done_in_order);
    engine_file_write(loop, &work[3].request, 8, "x", 1, 0, true, done_in_order);
    for (int fd = 5; fd <= 8; fd++)
        fake_complete(f, fd % 2 != 0 ? ENGINE_OP_READ : ENGINE_OP_WRITE, fd, 1);
    engine_loop_turn(loop);
    assert_int_equal(work[1].place, 1);
    assert_int_equal(work[3].place, 2);
    assert_int_equal(work[0].place, 3);
    assert_int_equal(work[2].place, 4);
    engine_loop_destroy(loop);
}

static void a_disk_that_never_has_time_is_given_up(void **unused)
{
    struct engine_loop_options options = { .backend = &fake_backend_ops };
    struct engine_loop *loop = peer_loop(&options);
    struct fake_backend *f = fake_backend_of(loop);
    struct work w = { .done = 0 };
    unsigned tries = 0;

    (void)unused;
    engine_file_sync(loop, &w.request, 5, true, done);
    while (w.done == 0 && tries < 1000) {
        fake_complete(f, ENGINE_OP_FSYNC, 5, -EAGAIN);
        engine_loop_turn(loop);
        tries++;
    }
    assert_in_range(tries, 2, 200);
    assert_int_equal(w.status, STATUS_BUSY);
    engine_loop_destroy(loop);
}

static void beyond_the_limit_of_owners_a_request_fails_later(void **unused)
{
    struct engine_loop_options options = { .owners_max = 1 };
    struct engine_loop *loop = peer_loop(&options);
    struct work w = { .done = 0 };

    (void)unused;
    engine_file_sync(loop, &w.request, 5, true, done);
    expect(loop, &w, STATUS_NO_MEMORY, 0);
    engine_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_goes_through_its_whole_life),
        cmocka_unit_test(a_write_ends_as_the_disk_says),
        cmocka_unit_test(writes_are_looked_at_before_what_else_is_complete),
        cmocka_unit_test(a_disk_that_never_has_time_is_given_up),
        cmocka_unit_test(beyond_the_limit_of_owners_a_request_fails_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
