#include "cli/spool_disk.h"

#include <stdio.h>

/* A disk of 15,000 rotations a minute takes 4 ms for one, and a synced write next to the one before
 * has to wait for almost a whole one. */
#define ROTATION_US 1000

/* A flush, or a write with FUA, that costs less than this part of the write is none. */
#define FLUSH_PERCENT 5

/* --- mounts ---------------------------------------------------------------------------------- */

static void copy(struct slice text, char *to, size_t room)
{
    (void)snprintf(to, room, "%.*s", SLICE_ARGS(text));
}

static bool device_parse(struct slice text, unsigned *major_out, unsigned *minor_out)
{
    uint64_t major, minor;

    if (!slice_to_number(slice_cut(&text, ':'), UINT32_MAX, &major) ||
        !slice_to_number(text, UINT32_MAX, &minor))
        return false;
    *major_out = (unsigned)major;
    *minor_out = (unsigned)minor;
    return true;
}

/* proc(5): "36 35 98:0 /root /mount rw,noatime master:1 - ext4 /dev/sda1 rw,data=ordered". The
 * number of words in front of the "-" is not fixed. */
bool cli_mount_parse(struct slice line, uint64_t id, struct cli_mount *mount_out)
{
    struct cli_mount m = { .major = 0 };
    struct slice mount_options, word, rest = slice_trim(line);
    uint64_t number;

    if (rest.len > 0 && rest.data[rest.len - 1] == '\n')
        rest.len--;
    if (!slice_to_number(slice_cut(&rest, ' '), UINT64_MAX, &number) || number != id)
        return false;
    (void)slice_cut(&rest, ' '); /* the mount above */
    if (!device_parse(slice_cut(&rest, ' '), &m.major, &m.minor))
        return false;
    (void)slice_cut(&rest, ' '); /* its root */
    (void)slice_cut(&rest, ' '); /* where it is mounted */
    mount_options = slice_cut(&rest, ' ');
    do {
        if (rest.len == 0)
            return false;
        word = slice_cut(&rest, ' ');
    } while (!slice_equal(word, SLICE("-")));
    copy(slice_cut(&rest, ' '), m.type, sizeof(m.type));
    copy(slice_cut(&rest, ' '), m.source, sizeof(m.source));
    (void)snprintf(m.options, sizeof(m.options), "%.*s,%.*s", SLICE_ARGS(mount_options),
                   SLICE_ARGS(rest));
    *mount_out = m;
    return true;
}

bool cli_mount_has(const struct cli_mount *mount, const char *option)
{
    struct slice rest = slice_from(mount->options);

    while (rest.len > 0)
        if (slice_equal(slice_cut(&rest, ','), slice_from(option)))
            return true;
    return false;
}

/* --- the verdict ----------------------------------------------------------------------------- */

static void find(struct cli_disk_verdict *v, enum cli_disk_weight weight, const char *text)
{
    ASSERT(v->count < CLI_DISK_FINDINGS_MAX);
    v->findings[v->count++] = (struct cli_disk_finding){ weight, text };
    if (weight > v->worst)
        v->worst = weight;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* What kinds of file systems mean. What begins with the name is of that kind. */
static void judge_kind(const char *type, struct cli_disk_verdict *v)
{
    static const struct {
        const char *type;
        enum cli_disk_weight weight;
        const char *text;
    } kinds[] = {
        { "tmpfs", CLI_DISK_BAD, "It is memory: a power cut, or a restart, takes all mail." },
        { "ramfs", CLI_DISK_BAD, "It is memory: a power cut, or a restart, takes all mail." },
        { "overlay", CLI_DISK_DOUBT,
          "It is the layer of a container, and goes with it: put the spool on a volume." },
        { "nfs", CLI_DISK_DOUBT,
          "The server decides what durable means: it has to export with \"sync\", from a disk of "
          "which all of this is true. One gateway at a time, and mounted \"hard\"." },
        { "cifs", CLI_DISK_DOUBT, "The server decides what durable means." },
        { "smb", CLI_DISK_DOUBT, "The server decides what durable means." },
        { "9p", CLI_DISK_DOUBT, "The host decides what durable means." },
        { "virtiofs", CLI_DISK_DOUBT, "The host decides what durable means." },
        { "fuse", CLI_DISK_DOUBT, "A program decides what durable means here." },
        { "ceph", CLI_DISK_DOUBT, "The cluster decides what durable means." },
        { "gluster", CLI_DISK_DOUBT, "The cluster decides what durable means." },
        { "zfs", CLI_DISK_DOUBT,
          "Its property \"sync\" cannot be seen from here: with sync=disabled mail is lost." },
        { "btrfs", CLI_DISK_NOTE,
          "Each write goes to another place (copy on write), which is slow for a log: "
          "chattr +C on the empty folder avoids that, and its checksums." },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (begins_with(type, kinds[i].type)) {
            find(v, kinds[i].weight, kinds[i].text);
            return;
        }
}

static void judge_options(const struct cli_mount *m, struct cli_disk_verdict *v)
{
    if (cli_mount_has(m, "nobarrier") || cli_mount_has(m, "barrier=0"))
        find(v, CLI_DISK_BAD,
             "It is mounted without barriers: the disk's cache is not flushed at a sync. "
             "Mount it without nobarrier and barrier=0.");
    if (cli_mount_has(m, "volatile"))
        find(v, CLI_DISK_BAD, "It is mounted volatile: it syncs nothing.");
    if (cli_mount_has(m, "soft") && begins_with(m->type, "nfs"))
        find(v, CLI_DISK_DOUBT, "It is mounted soft: a slow server is a failed disk.");
    if (cli_mount_has(m, "ro"))
        find(v, CLI_DISK_BAD, "It is mounted read-only.");
    if (cli_mount_has(m, "data=journal"))
        find(v, CLI_DISK_NOTE, "With data=journal everything is written twice.");
    if (cli_mount_has(m, "discard"))
        find(v, CLI_DISK_NOTE,
             "Mounted with discard, some disks are slow while files are deleted: fstrim does the "
             "same at a better time.");
}

static void judge_devices(const struct cli_disk_facts *f, const struct cli_disk_measures *m,
                          struct cli_disk_verdict *v)
{
    bool is_back = false, is_rotating = false, is_unknown = f->devices_count == 0;

    for (size_t i = 0; i < f->devices_count; i++) {
        is_back = is_back || f->devices[i].cache == CLI_DISK_CACHE_BACK;
        is_unknown = is_unknown || f->devices[i].cache == CLI_DISK_CACHE_UNKNOWN;
        is_rotating = is_rotating || f->devices[i].is_rotating;
    }
    if (is_unknown)
        find(v, CLI_DISK_NOTE, "What device is below cannot be seen from here.");
    if (is_back && m->is_direct && m->plain_p50_us > 0 &&
        m->durable_p50_us * 100 < m->plain_p50_us * (100 + FLUSH_PERCENT))
        find(v, CLI_DISK_DOUBT,
             "The device has a cache that a power cut empties, and flushing it costs no time. A "
             "virtual disk whose host ignores flushes (cache=unsafe) looks like that.");
    if (is_rotating && m->durable_p50_us < ROTATION_US)
        find(v, CLI_DISK_DOUBT,
             "The device says that it rotates, and is faster than any that does. Either it is a "
             "virtual disk or a controller with a battery, or somebody does not wait for the "
             "disk.");
}

void cli_disk_judge(const struct cli_disk_facts *facts, const struct cli_disk_measures *measures,
                    struct cli_disk_verdict *verdict_out)
{
    struct cli_disk_verdict v = { .count = 0 };

    if (!measures->reads_back)
        find(&v, CLI_DISK_BAD, "What is read is not what was written.");
    judge_kind(facts->mount.type, &v);
    judge_options(&facts->mount, &v);
    judge_devices(facts, measures, &v);
    if (!measures->is_direct)
        find(&v, CLI_DISK_NOTE,
             "O_DIRECT or RWF_DSYNC is refused: a thread writes and syncs, which is slower.");
    *verdict_out = v;
}
