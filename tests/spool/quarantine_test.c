#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "spool/pool.h"
#include "spool/quarantine.h"
#include "spool/recovery.h"
#include "tests/spool/fake_storage.h"

struct bench {
    const char *path;
    struct spool_directory directory;
    struct spool_pool pool;
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    size_t count;
};

static void setup(struct bench *b)
{
    *b = (struct bench){ .path = fake_folder() };
    assert_int_equal(spool_directory_open(&b->directory, b->path, false), STATUS_OK);
    assert_int_equal(
        spool_pool_init(&b->pool, &b->directory, SPOOL_SEGMENT_BYTES_MIN, 1, 1, 0, SIZE_MAX),
        STATUS_OK);
}

static void teardown(struct bench *b)
{
    spool_pool_finish(&b->pool);
    spool_directory_close(&b->directory);
    fake_folder_remove(b->path);
}

static struct spool_segment_file prepared(struct bench *b)
{
    struct spool_segment_file file;

    assert_int_equal(spool_pool_prepare(&b->pool, 0, &file), STATUS_OK);
    return file;
}

static bool is_segment(const struct bench *b, uint32_t number)
{
    int fd;

    if (spool_segment_open(&b->directory, number, O_RDONLY, &fd) != STATUS_OK)
        return false;
    assert_int_equal(close(fd), 0);
    return true;
}

static void list(struct bench *b)
{
    assert_int_equal(spool_quarantine_list(&b->directory, b->numbers, &b->count), STATUS_OK);
}

/* Its second block, where a damaged record might be. */
static void write_mark(const struct bench *b, uint32_t number, char mark)
{
    int fd;

    assert_int_equal(spool_segment_open(&b->directory, number, O_WRONLY, &fd), STATUS_OK);
    assert_int_equal(pwrite(fd, &mark, 1, SPOOL_BLOCK_BYTES), 1);
    assert_int_equal(close(fd), 0);
}

static char read_mark(const struct bench *b, uint32_t number)
{
    char mark = 0;
    int fd;

    assert_int_equal(spool_quarantine_open(&b->directory, number, &fd), STATUS_OK);
    assert_int_equal(pread(fd, &mark, 1, SPOOL_BLOCK_BYTES), 1);
    assert_int_equal(close(fd), 0);
    return mark;
}

static void a_spool_without_a_quarantine_has_an_empty_one(void **unused)
{
    struct bench b;
    int fd;

    (void)unused;
    setup(&b);
    list(&b);
    assert_int_equal(b.count, 0);
    assert_int_equal(spool_quarantine_open(&b.directory, 1, &fd), STATUS_NOT_FOUND);
    assert_int_equal(spool_quarantine_remove(&b.directory, 1), STATUS_NOT_FOUND);
    teardown(&b);
}

static void a_damaged_segment_is_moved_as_it_is_and_no_other(void **unused)
{
    struct spool_segment_file damaged, sound;
    struct bench b;
    uint64_t in_use;

    (void)unused;
    setup(&b);
    damaged = prepared(&b);
    sound = prepared(&b);
    write_mark(&b, damaged.number, 'x');
    spool_pool_add_damaged(&b.pool, damaged.number);
    spool_pool_add_damaged(&b.pool, damaged.number);
    in_use = spool_pool_bytes_in_use(&b.pool);

    assert_int_equal(spool_pool_release(&b.pool, &sound), STATUS_OK);
    assert_int_equal(spool_pool_release(&b.pool, &damaged), STATUS_OK);
    list(&b);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.numbers[0], damaged.number);
    assert_int_equal(read_mark(&b, damaged.number), 'x');
    assert_true(is_segment(&b, sound.number));
    assert_false(is_segment(&b, damaged.number));
    assert_false(spool_pool_is_damaged(&b.pool, damaged.number));
    assert_int_equal(spool_pool_bytes_in_use(&b.pool), in_use - 2 * SPOOL_SEGMENT_BYTES_MIN);
    /* Nor is it used again, while the other one is. */
    assert_int_equal(prepared(&b).number, sound.number);
    assert_int_not_equal(prepared(&b).number, damaged.number);

    assert_int_equal(spool_quarantine_remove(&b.directory, damaged.number), STATUS_OK);
    list(&b);
    assert_int_equal(b.count, 0);
    teardown(&b);
}

static void a_full_quarantine_takes_nothing_and_loses_nothing(void **unused)
{
    struct spool_segment_file files[SPOOL_QUARANTINE_MAX + 1];
    struct bench b;

    (void)unused;
    setup(&b);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        files[i] = prepared(&b);
        write_mark(&b, files[i].number, (char)('A' + i));
        spool_pool_add_damaged(&b.pool, files[i].number);
    }
    for (size_t i = 0; i < SPOOL_QUARANTINE_MAX; i++)
        assert_int_equal(spool_pool_release(&b.pool, &files[i]), STATUS_OK);
    for (int again = 0; again < 2; again++)
        assert_int_equal(spool_pool_release(&b.pool, &files[SPOOL_QUARANTINE_MAX]), STATUS_LIMIT);
    list(&b);
    assert_int_equal(b.count, SPOOL_QUARANTINE_MAX);
    assert_true(is_segment(&b, files[SPOOL_QUARANTINE_MAX].number));
    for (size_t i = 0; i < b.count; i++) {
        assert_true(i == 0 || b.numbers[i] > b.numbers[i - 1]);
        assert_int_equal(read_mark(&b, b.numbers[i]), (char)('A' + i));
    }
    assert_int_equal(spool_quarantine_remove(&b.directory, files[3].number), STATUS_OK);
    assert_int_equal(spool_pool_release(&b.pool, &files[SPOOL_QUARANTINE_MAX]), STATUS_OK);
    assert_false(is_segment(&b, files[SPOOL_QUARANTINE_MAX].number));
    teardown(&b);
}

static void one_segment_never_replaces_another(void **unused)
{
    struct spool_segment_file file;
    struct bench b;

    (void)unused;
    setup(&b);
    file = prepared(&b);
    write_mark(&b, file.number, '1');
    assert_int_equal(spool_quarantine_take(&b.directory, file.number), STATUS_OK);
    /* A call whose sync had failed is repeated. */
    assert_int_equal(spool_quarantine_take(&b.directory, file.number), STATUS_OK);
    b.pool.number_next = file.number;
    assert_int_equal(prepared(&b).number, file.number);
    assert_int_equal(spool_quarantine_take(&b.directory, file.number), STATUS_BUSY);
    assert_int_equal(read_mark(&b, file.number), '1');
    assert_int_equal(spool_quarantine_take(&b.directory, 77), STATUS_NOT_FOUND);
    teardown(&b);
}

static void make_file(int folder_fd, const char *name)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

/* Orphaned bodies are unlinked when the quarantine is empty, and not before; the numbers of what
 * lies there are not given out again. */
static void the_quarantine_holds_body_files_and_numbers(void **unused)
{
    static const struct spool_recovery_options options = { .is_reader = false };
    struct spool_segment_file file;
    struct spool_recovery r;
    struct bench b;

    (void)unused;
    setup(&b);
    (void)prepared(&b);
    file = prepared(&b);
    make_file(b.directory.bodies_fd, "00000000000000ff");
    assert_int_equal(spool_quarantine_take(&b.directory, file.number), STATUS_OK);
    assert_int_equal(spool_recover(&r, &b.directory, &options), STATUS_OK);
    assert_int_equal(r.quarantined, 1);
    assert_int_equal(r.number_next, file.number + 1);
    assert_int_equal(r.segments_count, 0);
    assert_int_equal(r.blanks_unlinked, 1); /* the other one */
    assert_int_equal(r.bodies_kept, 1);
    spool_recovery_finish(&r);

    assert_int_equal(spool_quarantine_remove(&b.directory, file.number), STATUS_OK);
    assert_int_equal(spool_recover(&r, &b.directory, &options), STATUS_OK);
    assert_int_equal(r.quarantined, 0);
    assert_int_equal(r.bodies_unlinked, 1);
    spool_recovery_finish(&r);
    teardown(&b);
}

/* The segment that is to be moved has not gone: it must not be forgotten. */
static void something_else_in_its_place_is_a_failure(void **unused)
{
    static const struct spool_recovery_options options = { .is_reader = false };

    (void)unused;
    for (unsigned is_link = 0; is_link < 2; is_link++) {
        struct spool_segment_file file;
        struct spool_recovery r;
        char text[SPOOL_RECOVERY_PART_MAX];
        struct bench b;

        setup(&b);
        file = prepared(&b);
        spool_pool_add_damaged(&b.pool, file.number);
        if (is_link)
            assert_int_equal(symlinkat("nowhere", b.directory.path_fd, "quarantine"), 0);
        else
            make_file(b.directory.path_fd, "quarantine");
        assert_int_equal(spool_pool_release(&b.pool, &file), STATUS_IO);
        assert_true(is_segment(&b, file.number));
        assert_int_equal(spool_recover(&r, &b.directory, &options), STATUS_IO);
        assert_string_equal(spool_recovery_failed_part(&r, text), "quarantine");

        assert_int_equal(unlinkat(b.directory.path_fd, "quarantine", 0), 0);
        assert_int_equal(spool_pool_release(&b.pool, &file), STATUS_OK);
        assert_false(is_segment(&b, file.number));
        list(&b);
        assert_int_equal(b.count, 1);
        teardown(&b);
    }
}

static void other_files_are_left_out(void **unused)
{
    struct bench b;
    int fd;

    (void)unused;
    setup(&b);
    assert_int_equal(spool_quarantine_take(&b.directory, prepared(&b).number), STATUS_OK);
    fd = openat(b.directory.path_fd, "quarantine", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    make_file(fd, "notes");
    make_file(fd, "00000000.seg");
    assert_int_equal(close(fd), 0);
    list(&b);
    assert_int_equal(b.count, 1);
    teardown(&b);
}

struct progress {
    struct spool_recovery_watch watch;
    size_t calls, all;
};

static void note_progress(struct spool_recovery_watch *watch, size_t segments_read, size_t segments)
{
    struct progress *p = CONTAINER_OF(watch, struct progress, watch);

    assert_int_equal(segments_read, p->calls++);
    p->all = segments;
}

static void recovery_tells_how_far_it_is(void **unused)
{
    struct progress p = { .watch = { .progress = note_progress } };
    const struct spool_recovery_options options = { .is_reader = true, .watch = &p.watch };
    struct spool_recovery r;
    struct bench b;

    (void)unused;
    setup(&b);
    for (int i = 0; i < 3; i++)
        (void)prepared(&b);
    assert_int_equal(spool_recover(&r, &b.directory, &options), STATUS_OK);
    assert_int_equal(p.all, 3);
    assert_int_equal(p.calls, 4);
    for (size_t i = 0; i < r.segments_count; i++)
        assert_int_equal(r.segments[i].fill, SPOOL_BLOCK_BYTES);
    spool_recovery_finish(&r);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spool_without_a_quarantine_has_an_empty_one),
        cmocka_unit_test(a_damaged_segment_is_moved_as_it_is_and_no_other),
        cmocka_unit_test(a_full_quarantine_takes_nothing_and_loses_nothing),
        cmocka_unit_test(one_segment_never_replaces_another),
        cmocka_unit_test(the_quarantine_holds_body_files_and_numbers),
        cmocka_unit_test(something_else_in_its_place_is_a_failure),
        cmocka_unit_test(other_files_are_left_out),
        cmocka_unit_test(recovery_tells_how_far_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
