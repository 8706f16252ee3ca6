/* A folder of body files that the device does not give. */
#include <dirent.h>
#include <errno.h>

#include "tests/spool/recovery_bench.h"

struct dirent *__real_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder);
struct dirent *__real_readdir64(DIR *folder);
struct dirent *__wrap_readdir64(DIR *folder);

static int failing_fd = -1; /* of what this folder holds only so much is given */
static unsigned given;

/* Whether it is another descriptor of that folder. */
static bool is_failing(DIR *folder)
{
    struct stat one, other;

    return failing_fd >= 0 && fstat(dirfd(folder), &one) == 0 && fstat(failing_fd, &other) == 0 &&
           one.st_ino == other.st_ino && given-- == 0;
}

struct dirent *__wrap_readdir(DIR *folder)
{
    if (!is_failing(folder))
        return __real_readdir(folder);
    errno = EIO;
    return NULL;
}

struct dirent *__wrap_readdir64(DIR *folder)
{
    if (!is_failing(folder))
        return __real_readdir64(folder);
    errno = EIO;
    return NULL;
}

static void what_cannot_be_listed_holds_no_mail_back(void **unused)
{
    enum { ORPHANS = 4, ENTRIES = ORPHANS + 2 }; /* "." and ".." */

    (void)unused;
    for (unsigned n = 0; n <= ENTRIES + 1; n++) {
        bool is_read = n > ENTRIES; /* and its end as well */
        struct bench b;

        setup(&b);
        commit_with_body_file(&b, 1000); /* of which there is no body */
        fake_disk_save(&b.disk, b.path);
        assert_int_equal(spool_directory_open(&b.directory, b.path, false), STATUS_OK);
        for (uint64_t mid = 100; mid < 100 + ORPHANS; mid++)
            make_body(&b, mid);
        failing_fd = b.directory.bodies_fd;
        given = n;
        assert_int_equal(recover(&b, false), STATUS_OK);
        failing_fd = -1;
        assert_int_equal(b.recovery.messages_living, 1);
        assert_int_equal(find(&b, 1)->body_missing, is_read);
        ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BODIES] = !is_read, [SPOOL_DAMAGE_BODY] = is_read);
        assert_true(b.recovery.bodies_unlinked <= n);
        assert_int_equal(recover(&b, false), STATUS_OK);
        ASSERT_DAMAGE(&b, [SPOOL_DAMAGE_BODY] = 1);
        teardown(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_listed_holds_no_mail_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
