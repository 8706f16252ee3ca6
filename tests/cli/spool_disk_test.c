#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/spool_disk.h"

static void a_mount_is_read_from_the_kernels_list(void **unused)
{
    static const struct {
        const char *line;
        const char *type, *source, *options; /* NULL: it is not that one */
        unsigned major, minor;
    } cases[] = {
        { "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext4 /dev/root rw,data=ordered\n", "ext4",
          "/dev/root", "rw,noatime,rw,data=ordered", 98, 0 },
        { "36 35 0:45 / / rw - tmpfs tmpfs rw,size=5k", "tmpfs", "tmpfs", "rw,rw,size=5k", 0, 45 },
        { "36 35 0:45 / /a\\040b rw shared:1 master:2 - xfs /dev/sda rw", "xfs", "/dev/sda",
          "rw,rw", 0, 45 },
        { "37 35 98:0 / / rw - ext4 /dev/root rw", NULL, NULL, NULL, 0, 0 },
        { "36 35 98 / / rw - ext4 /dev/root rw", NULL, NULL, NULL, 0, 0 },
        { "36 35 98:0 / / rw master:1", NULL, NULL, NULL, 0, 0 },
        { "36", NULL, NULL, NULL, 0, 0 },
        { "", NULL, NULL, NULL, 0, 0 },
        { "\n", NULL, NULL, NULL, 0, 0 },
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cli_mount m;
        bool is_it = cli_mount_parse(slice_from(cases[i].line), 36, &m);

        assert_int_equal(is_it, cases[i].type != NULL);
        if (!is_it)
            continue;
        assert_string_equal(m.type, cases[i].type);
        assert_string_equal(m.source, cases[i].source);
        assert_string_equal(m.options, cases[i].options);
        assert_int_equal(m.major, cases[i].major);
        assert_int_equal(m.minor, cases[i].minor);
    }
}

static void an_option_is_a_whole_word(void **unused)
{
    const struct cli_mount m = { .options = "rw,nobarrier,data=writeback" };

    (void)unused;
    assert_true(cli_mount_has(&m, "rw"));
    assert_true(cli_mount_has(&m, "nobarrier"));
    assert_true(cli_mount_has(&m, "data=writeback"));
    assert_false(cli_mount_has(&m, "barrier"));
    assert_false(cli_mount_has(&m, "data"));
    assert_false(cli_mount_has(&m, ""));
}

#define SOUND                                                                                      \
    {                                                                                              \
        true, true, 200, 100                                                                       \
    }
#define DISK .devices = { { .cache = CLI_DISK_CACHE_BACK } }, .devices_count = 1
#define ROTATES                                                                                    \
    .devices = { { .cache = CLI_DISK_CACHE_BACK, .is_rotating = true } }, .devices_count = 1
#define THROUGH .devices = { { .cache = CLI_DISK_CACHE_THROUGH } }, .devices_count = 1

static const struct {
    struct cli_disk_facts facts;
    struct cli_disk_measures measures;
    enum cli_disk_weight worst;
    const char *because; /* in some finding; NULL: there is none at all */
} weighed[] = {
    { { .mount = { .type = "ext4", .options = "rw" }, DISK }, SOUND, CLI_DISK_NOTE, NULL },
    { { .mount = { .type = "xfs", .options = "rw" }, THROUGH }, SOUND, CLI_DISK_NOTE, NULL },
    { { .mount = { .type = "ext4" } }, SOUND, CLI_DISK_NOTE, "cannot be seen" },
    { { .mount = { .type = "tmpfs" } }, SOUND, CLI_DISK_BAD, "memory" },
    { { .mount = { .type = "overlay", .options = "rw" } }, SOUND, CLI_DISK_DOUBT, "container" },
    { { .mount = { .type = "overlay", .options = "rw,volatile" } },
      SOUND,
      CLI_DISK_BAD,
      "syncs nothing" },
    { { .mount = { .type = "nfs4" } }, SOUND, CLI_DISK_DOUBT, "The server decides" },
    { { .mount = { .type = "nfs", .options = "soft" } }, SOUND, CLI_DISK_DOUBT, "soft" },
    { { .mount = { .type = "fuse.sshfs" } }, SOUND, CLI_DISK_DOUBT, "A program" },
    { { .mount = { .type = "zfs" } }, SOUND, CLI_DISK_DOUBT, "sync=disabled" },
    { { .mount = { .type = "btrfs" }, DISK }, SOUND, CLI_DISK_NOTE, "chattr" },
    { { .mount = { .type = "ext4", .options = "rw,nobarrier" }, DISK },
      SOUND,
      CLI_DISK_BAD,
      "barriers" },
    { { .mount = { .type = "ext4", .options = "rw,barrier=0" }, DISK },
      SOUND,
      CLI_DISK_BAD,
      "barriers" },
    { { .mount = { .type = "ext4", .options = "rw,barrier=1" }, DISK },
      SOUND,
      CLI_DISK_NOTE,
      NULL },
    { { .mount = { .type = "ext4", .options = "ro" }, DISK }, SOUND, CLI_DISK_BAD, "read-only" },
    /* A flush that costs nothing, and one that does; without a cache none is needed. */
    { { .mount = { .type = "ext4" }, DISK },
      { true, true, 104, 100 },
      CLI_DISK_DOUBT,
      "costs no time" },
    { { .mount = { .type = "ext4" }, DISK }, { true, true, 106, 100 }, CLI_DISK_NOTE, NULL },
    { { .mount = { .type = "ext4" }, DISK }, { true, true, 100, 0 }, CLI_DISK_NOTE, NULL },
    { { .mount = { .type = "ext4" }, THROUGH }, { true, true, 100, 100 }, CLI_DISK_NOTE, NULL },
    /* A plain write that goes to the page cache is no measure. */
    { { .mount = { .type = "ext4" }, DISK }, { false, true, 2, 2 }, CLI_DISK_NOTE, "O_DIRECT" },
    { { .mount = { .type = "ext4" }, ROTATES },
      { true, true, 999, 100 },
      CLI_DISK_DOUBT,
      "rotates" },
    { { .mount = { .type = "ext4" }, ROTATES }, { true, true, 8000, 100 }, CLI_DISK_NOTE, NULL },
    { { .mount = { .type = "ext4" }, DISK },
      { true, false, 200, 100 },
      CLI_DISK_BAD,
      "not what was written" },
};

static void what_is_seen_is_weighed(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(weighed); i++) {
        struct cli_disk_verdict v;
        bool is_told = false;

        cli_disk_judge(&weighed[i].facts, &weighed[i].measures, &v);
        for (size_t f = 0; f < v.count && weighed[i].because != NULL; f++)
            is_told = is_told || strstr(v.findings[f].text, weighed[i].because) != NULL;
        if (v.worst != weighed[i].worst || is_told != (weighed[i].because != NULL))
            fail_msg("case %zu: weight %d, %zu findings", i, v.worst, v.count);
        if (weighed[i].because == NULL)
            assert_int_equal(v.count, 0);
    }
}

/* Everything that can be said at once has its place. */
static void the_worst_disk_of_all_is_told_all_of_it(void **unused)
{
    const struct cli_disk_facts facts = {
        .mount = { .type = "nfs",
                   .options = "ro,soft,volatile,nobarrier,barrier=0,data=journal,discard" },
        .devices = { { .cache = CLI_DISK_CACHE_BACK, .is_rotating = true },
                     { .cache = CLI_DISK_CACHE_UNKNOWN } },
        .devices_count = 2,
    };
    const struct cli_disk_measures direct = { true, false, 1, 1 }, other = { false, false, 1, 1 };
    struct cli_disk_verdict v;

    (void)unused;
    cli_disk_judge(&facts, &direct, &v);
    assert_int_equal(v.count, 11);
    assert_int_equal(v.worst, CLI_DISK_BAD);
    cli_disk_judge(&facts, &other, &v);
    assert_int_equal(v.count, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_is_read_from_the_kernels_list),
        cmocka_unit_test(an_option_is_a_whole_word),
        cmocka_unit_test(what_is_seen_is_weighed),
        cmocka_unit_test(the_worst_disk_of_all_is_told_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
