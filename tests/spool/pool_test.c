#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/pool.h"
#include "tests/spool/fake_storage.h"

#define FILES 3

struct bench {
    const char *path;
    struct spool_directory directory;
    struct spool_pool pool;
    uint64_t generation; /* of the last that was had */
};

static uint32_t prepared(struct bench *b)
{
    struct spool_segment_file file;

    assert_int_equal(spool_pool_prepare(&b->pool, 0, &file), STATUS_OK);
    assert_true(file.generation > b->generation);
    b->generation = file.generation;
    return file.number;
}

/* All files are free; the one with the highest number comes first. */
static void setup(struct bench *b)
{
    *b = (struct bench){ .path = fake_folder() };
    assert_int_equal(spool_directory_open(&b->directory, b->path, false), STATUS_OK);
    assert_int_equal(
        spool_pool_init(&b->pool, &b->directory, SPOOL_SEGMENT_BYTES_MIN, 1, 1, 0, SIZE_MAX),
        STATUS_OK);
    for (uint32_t i = 1; i <= FILES; i++)
        assert_int_equal(prepared(b), i);
    for (uint32_t i = 1; i <= FILES; i++)
        assert_int_equal(spool_pool_release(&b->pool, &(struct spool_segment_file){ .generation = i,
                                                                                    .number = i,
                                                                                    .handle = -1 }),
                         STATUS_OK);
    assert_int_equal(spool_pool_bytes_in_use(&b->pool), 0);
}

static void teardown(struct bench *b)
{
    spool_pool_finish(&b->pool);
    spool_directory_close(&b->directory);
    fake_folder_remove(b->path);
}

/* A folder stands where the file was. */
static void hide(const struct bench *b, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    spool_segment_name(number, name);
    assert_int_equal(renameat(b->directory.segments_fd, name, b->directory.segments_fd, "aside"),
                     0);
    assert_int_equal(mkdirat(b->directory.segments_fd, name, 0700), 0);
}

static void bring_back(const struct bench *b, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    spool_segment_name(number, name);
    assert_int_equal(unlinkat(b->directory.segments_fd, name, AT_REMOVEDIR), 0);
    assert_int_equal(renameat(b->directory.segments_fd, "aside", b->directory.segments_fd, name),
                     0);
}

static void a_free_file_that_fails_is_tried_last_and_not_lost(void **unused)
{
    struct bench b;

    (void)unused;
    setup(&b);
    hide(&b, FILES);
    assert_int_equal(prepared(&b), FILES + 1); /* a new one, in its place */
    assert_int_equal(prepared(&b), 2);
    assert_int_equal(prepared(&b), 1);
    assert_int_equal(prepared(&b), FILES + 2);
    assert_int_equal(spool_pool_bytes_in_use(&b.pool), 4 * SPOOL_SEGMENT_BYTES_MIN);
    bring_back(&b, FILES);
    assert_int_equal(prepared(&b), FILES);
    assert_int_equal(prepared(&b), FILES + 3);
    teardown(&b);
}

static void a_free_file_that_somebody_deleted_is_forgotten(void **unused)
{
    char name[SPOOL_SEGMENT_NAME_MAX];
    struct bench b;

    (void)unused;
    setup(&b);
    assert_int_equal(unlinkat(b.directory.segments_fd, spool_segment_name(FILES, name), 0), 0);
    assert_int_equal(prepared(&b), FILES + 1);
    assert_int_equal(prepared(&b), 2);
    assert_int_equal(prepared(&b), 1);
    assert_int_equal(spool_pool_bytes_in_use(&b.pool), 3 * SPOOL_SEGMENT_BYTES_MIN);
    assert_int_equal(prepared(&b), FILES + 2);
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_free_file_that_fails_is_tried_last_and_not_lost),
        cmocka_unit_test(a_free_file_that_somebody_deleted_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
