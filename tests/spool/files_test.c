#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/ids.h"
#include "spool/pool.h"
#include "tests/spool/fake_storage.h"

#define NOW_S 1700000000

static struct spool_directory opened(const char *path)
{
    struct spool_directory d;

    assert_int_equal(spool_directory_open(&d, path, false), STATUS_OK);
    return d;
}

static void write_text(int folder_fd, const char *name, struct slice text)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    assert_int_equal(close(fd), 0);
}

static void a_spool_is_made_private_and_held_by_one(void **unused)
{
    const char *top = fake_folder();
    char path[128];
    struct spool_directory d, second;
    struct stat info;

    (void)unused;
    (void)snprintf(path, sizeof path, "%s/spool", top);
    assert_int_equal(spool_directory_open(&second, path, true), STATUS_NOT_FOUND);
    d = opened(path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(spool_directory_open(&second, path, false), STATUS_BUSY);
    assert_string_equal(second.step, "lock");
    assert_int_equal(spool_directory_open(&second, path, true), STATUS_OK);
    spool_directory_close(&second);
    spool_directory_close(&d);
    spool_directory_close(&d);
    d = opened(path);
    spool_directory_close(&d);
    fake_folder_remove(top);
}

static void a_format_that_is_not_ours_is_refused(void **unused)
{
    static const struct {
        struct slice text;
        enum status status;
    } cases[] = {
        { SLICE("postern spool 1\n"), STATUS_OK },
        { SLICE("postern spool 2\n"), STATUS_UNSUPPORTED },
        { SLICE("postern spool 10\n"), STATUS_UNSUPPORTED },
        { SLICE(""), STATUS_INVALID },
        { SLICE("maildir\n"), STATUS_INVALID },
    };
    const char *path = fake_folder();
    struct spool_directory d = opened(path);

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spool_directory again;

        write_text(d.path_fd, "format", cases[i].text);
        assert_int_equal(spool_directory_open(&again, path, true), cases[i].status);
        spool_directory_close(&again);
    }
    spool_directory_close(&d);
    fake_folder_remove(path);
}

static void only_segment_names_are_segment_names(void **unused)
{
    static const struct {
        const char *name;
        uint32_t number; /* 0: none */
    } cases[] = {
        { "00000001.seg", 1 }, { "99999999.seg", 99999999 }, { "00000000.seg", 0 },
        { "0000001.seg", 0 },  { "00000001.seg~", 0 },       { "0000000a.seg", 0 },
        { "+0000001.seg", 0 }, { "00000001.SEG", 0 },        { "", 0 },
    };
    char text[SPOOL_SEGMENT_NAME_MAX];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t number = 0;

        assert_int_equal(spool_segment_number(cases[i].name, &number), cases[i].number != 0);
        if (cases[i].number != 0) {
            assert_int_equal(number, cases[i].number);
            assert_string_equal(spool_segment_name(number, text), cases[i].name);
        }
    }
}

static struct spool_segment_header header_of(const struct spool_directory *d, uint32_t number)
{
    struct spool_segment_header h;
    char block[SPOOL_BLOCK_BYTES];
    int fd;

    assert_int_equal(spool_segment_open(d, number, O_RDONLY, &fd), STATUS_OK);
    assert_int_equal(read(fd, block, sizeof block), sizeof block);
    assert_int_equal(close(fd), 0);
    assert_int_equal(spool_segment_header_decode((struct slice){ block, sizeof block }, &h),
                     STATUS_OK);
    return h;
}

static void segments_are_made_released_and_used_again(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    struct spool_pool p;
    struct spool_segment_file a, b, c;
    struct spool_segment_header h;
    struct stat info;
    int fd;

    (void)unused;
    assert_int_equal(spool_pool_init(&p, &d, FAKE_SEGMENT_BYTES, 5, 3, 0, 1), STATUS_OK);
    assert_int_equal(spool_pool_prepare(&p, 7, &a), STATUS_OK);
    assert_int_equal(spool_pool_prepare(&p, 8, &b), STATUS_OK);
    assert_int_equal(a.number, 3);
    assert_int_equal(b.number, 4);
    assert_int_equal(a.generation, 5);
    assert_int_equal(b.generation, 6);
    assert_int_not_equal(a.salt, b.salt);
    h = header_of(&d, 3);
    assert_int_equal(h.generation, 5);
    assert_int_equal(h.log_id, 7);
    assert_int_equal(h.salt, a.salt);
    assert_false(h.is_free);
    assert_int_equal(spool_segment_open(&d, 3, O_RDONLY, &fd), STATUS_OK);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, FAKE_SEGMENT_BYTES);
    assert_int_equal(info.st_blocks * 512 >= FAKE_SEGMENT_BYTES, true);
    assert_int_equal(close(fd), 0);

    assert_int_equal(spool_pool_release(&p, &a), STATUS_OK);
    assert_true(header_of(&d, 3).is_free);
    assert_int_equal(spool_pool_prepare(&p, 9, &c), STATUS_OK);
    assert_int_equal(c.number, 3);
    assert_int_equal(c.generation, 7);
    assert_false(header_of(&d, 3).is_free);

    /* One free file is kept, the second is unlinked. */
    assert_int_equal(spool_pool_release(&p, &b), STATUS_OK);
    assert_int_equal(spool_pool_release(&p, &c), STATUS_OK);
    assert_true(header_of(&d, 4).is_free);
    assert_int_equal(spool_segment_open(&d, 3, O_RDONLY, &fd), STATUS_NOT_FOUND);
    spool_pool_finish(&p);
    spool_pool_finish(&p);
    spool_directory_close(&d);
    fake_folder_remove(path);
}

/* By hand; the chain behind it is not to wait for it for ever. */
static void a_segment_that_was_deleted_is_released(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    char name[SPOOL_SEGMENT_NAME_MAX];
    struct spool_segment_file files[2];
    struct spool_pool p;

    (void)unused;
    assert_int_equal(spool_pool_init(&p, &d, SPOOL_SEGMENT_BYTES_MIN, 1, 1, 0, 8), STATUS_OK);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(spool_pool_prepare(&p, 0, &files[i]), STATUS_OK);
        assert_int_equal(unlinkat(d.segments_fd, spool_segment_name(files[i].number, name), 0), 0);
    }
    spool_pool_add_damaged(&p, files[1].number);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++)
        assert_int_equal(spool_pool_release(&p, &files[i]), STATUS_OK);
    assert_int_equal(spool_pool_bytes_in_use(&p), 0);
    assert_false(spool_pool_is_damaged(&p, files[1].number));
    spool_pool_finish(&p);
    spool_directory_close(&d);
    fake_folder_remove(path);
}

/* A crash is a run that ends without a word: nothing but the file is left. */
static void no_identifier_is_given_twice_across_crashes(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    uint64_t highest[SPOOL_ID_COUNT] = { 0 };

    (void)unused;
    for (unsigned run = 0; run < 20; run++) {
        struct spool_ids ids;

        assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
        for (unsigned take = 0; take < 5 + run; take++)
            for (int kind = 0; kind < SPOOL_ID_COUNT; kind++) {
                uint64_t id = spool_ids_take(&ids, (enum spool_id_kind)kind);

                assert_true(id > highest[kind]);
                highest[kind] = id;
            }
        /* Half of the runs get far enough to extend. */
        if (run % 2 == 0) {
            atomic_fetch_add(&ids.next[SPOOL_ID_MID], SPOOL_IDS_BLOCK / 2 + 1);
            assert_true(spool_ids_need_extend(&ids));
            assert_int_equal(spool_ids_extend(&ids), STATUS_OK);
            assert_false(spool_ids_need_extend(&ids));
            atomic_fetch_add(&ids.next[SPOOL_ID_MID], SPOOL_IDS_BLOCK / 2);
            highest[SPOOL_ID_MID] = spool_ids_take(&ids, SPOOL_ID_MID);
            assert_true(highest[SPOOL_ID_MID] > 0);
        }
    }
    spool_directory_close(&d);
    fake_folder_remove(path);
}

static void an_identifier_behind_the_reserved_ones_is_not_given(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    struct spool_ids ids;

    (void)unused;
    assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_ICID), 1);
    atomic_store(&ids.next[SPOOL_ID_ICID], SPOOL_IDS_BLOCK);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_ICID), SPOOL_IDS_BLOCK);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_ICID), 0);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_ICID), 0);
    assert_int_equal(spool_ids_extend(&ids), STATUS_OK);
    assert_true(spool_ids_take(&ids, SPOOL_ID_ICID) > SPOOL_IDS_BLOCK);
    spool_directory_close(&d);
    fake_folder_remove(path);
}

static void a_lost_file_does_not_bring_old_identifiers_back(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    struct spool_ids ids;

    (void)unused;
    assert_int_equal(spool_ids_open(&ids, &d, 123456, NOW_S), STATUS_OK);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_MID), 123457);
    spool_directory_close(&d);
    fake_folder_remove(path);
}

static void behind_a_damaged_file_identifiers_go_on_far_ahead(void **unused)
{
    static const struct slice damaged[] = {
        SLICE("POSTIDS\n and then something else, long enough .."),
        SLICE("POSTIDS\n"),
        SLICE(""),
    };
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    uint64_t expected = (uint64_t)NOW_S * SPOOL_IDS_BLOCK;
    struct spool_ids ids;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        write_text(d.path_fd, "ids", damaged[i]);
        assert_int_equal(spool_ids_open(&ids, &d, 123456, 0), STATUS_CORRUPT);
        assert_int_equal(spool_ids_open(&ids, &d, 123456, NOW_S), STATUS_OK);
        assert_true(ids.was_damaged);
        for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
            assert_int_equal(spool_ids_take(&ids, (enum spool_id_kind)kind), expected);
        assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
        assert_false(ids.was_damaged);
        assert_int_equal(spool_ids_take(&ids, SPOOL_ID_MID), expected + SPOOL_IDS_BLOCK);
    }
    /* What recovery has seen counts in any case. */
    write_text(d.path_fd, "ids", damaged[0]);
    assert_int_equal(spool_ids_open(&ids, &d, 2 * expected, NOW_S), STATUS_OK);
    assert_int_equal(spool_ids_take(&ids, SPOOL_ID_MID), 2 * expected + 1);
    spool_directory_close(&d);
    fake_folder_remove(path);
}

/* What is written to ids.new finds no room. */
static void a_full_disk_does_not_keep_identifiers_from_being_reserved(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    struct spool_ids ids;

    (void)unused;
    assert_int_equal(symlinkat("/dev/full", d.path_fd, "ids.new"), 0);
    assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S),
                     STATUS_NO_SPACE); /* there is no file yet */
    assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
    for (uint64_t run = 1; run < 4; run++) {
        assert_int_equal(symlinkat("/dev/full", d.path_fd, "ids.new"), 0);
        assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
        for (int kind = 0; kind < SPOOL_ID_COUNT; kind++)
            assert_int_equal(spool_ids_take(&ids, (enum spool_id_kind)kind),
                             1 + run * SPOOL_IDS_BLOCK);
    }
    spool_directory_close(&d);
    fake_folder_remove(path);
}

static void a_full_disk_does_not_keep_a_damaged_file_of_identifiers_damaged(void **unused)
{
    const char *path = fake_folder();
    struct spool_directory d = opened(path);
    struct spool_ids ids;

    (void)unused;
    write_text(d.path_fd, "ids",
               SLICE("somebody has written much more into this file than it ever has"));
    for (unsigned run = 0; run < 2; run++) {
        assert_int_equal(symlinkat("/dev/full", d.path_fd, "ids.new"), 0);
        assert_int_equal(spool_ids_open(&ids, &d, 0, NOW_S), STATUS_OK);
        assert_int_equal(ids.was_damaged, run == 0);
    }
    spool_directory_close(&d);
    fake_folder_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_does_not_keep_a_damaged_file_of_identifiers_damaged),
        cmocka_unit_test(a_spool_is_made_private_and_held_by_one),
        cmocka_unit_test(a_format_that_is_not_ours_is_refused),
        cmocka_unit_test(only_segment_names_are_segment_names),
        cmocka_unit_test(segments_are_made_released_and_used_again),
        cmocka_unit_test(a_segment_that_was_deleted_is_released),
        cmocka_unit_test(no_identifier_is_given_twice_across_crashes),
        cmocka_unit_test(an_identifier_behind_the_reserved_ones_is_not_given),
        cmocka_unit_test(a_lost_file_does_not_bring_old_identifiers_back),
        cmocka_unit_test(behind_a_damaged_file_identifiers_go_on_far_ahead),
        cmocka_unit_test(a_full_disk_does_not_keep_identifiers_from_being_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
