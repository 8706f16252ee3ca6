#include "cli/spool_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/configuration.h"

/* Of a spool that changes meanwhile. */
#define TRIES 5

#define BTRFS_MAGIC     0x9123683e
#define OVERLAYFS_MAGIC 0x794c7630

/* --- whether a gateway uses it --------------------------------------------------------------- */

/* The next word of a line. */
static struct slice take_word(struct slice *rest)
{
    *rest = slice_trim(*rest);
    return slice_cut(rest, ' ');
}

static bool hex_number(struct slice text, uint64_t *value_out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 8)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.data[i]);

        if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
        value = value << 4 | (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *value_out = value;
    return true;
}

/* "1: FLOCK  ADVISORY  WRITE 2683 fd:01:1234 0 EOF"; who only waits has "->" in front of it. */
bool cli_spool_lock_is_held(const struct cli_spool_lock *lock, struct slice line)
{
    uint64_t major, minor, inode;
    struct slice place;

    (void)take_word(&line);
    if (!slice_equal(take_word(&line), SLICE("FLOCK")))
        return false;
    (void)take_word(&line);
    if (!slice_equal(take_word(&line), SLICE("WRITE")))
        return false;
    (void)take_word(&line);
    place = take_word(&line);
    if (!hex_number(slice_cut(&place, ':'), &major) ||
        !hex_number(slice_cut(&place, ':'), &minor) ||
        !slice_to_number(place, UINT64_MAX, &inode) || inode != lock->inode)
        return false;
    return !lock->has_device || (major == lock->major && minor == lock->minor);
}

/* By /proc/locks, because taking the lock, even for a moment and even shared, could keep a
 * gateway from starting. */
static bool is_in_use(const struct spool_directory *d)
{
    char line[256];
    struct cli_spool_lock lock;
    struct statfs system;
    struct stat info;
    bool is_held = false;
    FILE *locks;

    if (fstatat(d->path_fd, "lock", &info, 0) != 0)
        return false;
    locks = fopen("/proc/locks", "re");
    if (locks == NULL)
        return false;
    lock = (struct cli_spool_lock){
        .inode = info.st_ino,
        .major = major(info.st_dev),
        .minor = minor(info.st_dev),
        .has_device = fstatfs(d->path_fd, &system) == 0 && system.f_type != BTRFS_MAGIC &&
                      system.f_type != OVERLAYFS_MAGIC,
    };
    while (!is_held && fgets(line, sizeof(line), locks) != NULL)
        is_held = cli_spool_lock_is_held(&lock, slice_from(line));
    (void)fclose(locks);
    return is_held;
}

void cli_spool_tell_use(const struct cli_spool_reader *s)
{
    if (s->is_in_use)
        (void)cli_error(s->command, "%s: a gateway is using it: this is a snapshot", s->path);
}

/* --- opening and reading --------------------------------------------------------------------- */

/* A folder that is there, and no file of it is the one that each spool has. */
static bool is_other_folder(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool is_other = fd >= 0 && faccessat(fd, "format", F_OK, 0) != 0 && errno == ENOENT;

    if (fd >= 0)
        (void)close(fd);
    return is_other;
}

static void tell_failure(const struct cli_spool_reader *s, enum status status)
{
    if (status == STATUS_NOT_FOUND && is_other_folder(s->path))
        (void)cli_error(s->command, "%s: it is no spool: there is no file format in it", s->path);
    else
        (void)cli_error(s->command, "%s: cannot %s it: %s", s->path, s->directory.step,
                        status == STATUS_INVALID ? "it is no spool" : status_text(status));
}

bool cli_spool_open(struct cli_spool_reader *s, const char *command, const char *config,
                    const char *path)
{
    enum status status;

    *s = (struct cli_spool_reader){ .command = command };
    if (path == NULL && !cli_load_spool_path(config, s->path))
        return false;
    if (path != NULL && snprintf(s->path, sizeof(s->path), "%s", path) >= (int)sizeof(s->path)) {
        (void)cli_error(command, "%s: too long a name", path);
        return false;
    }
    status = spool_directory_open(&s->directory, s->path, true);
    if (status != STATUS_OK) {
        tell_failure(s, status);
        return false;
    }
    s->is_open = true;
    s->is_in_use = is_in_use(&s->directory);
    return true;
}

static void show_progress(struct spool_recovery_watch *watch, size_t segments_read, size_t segments)
{
    (void)watch;
    if (segments_read < segments)
        fprintf(stderr, "\rreading segment %zu of %zu ", segments_read + 1, segments);
    else
        fputs("\r\033[K", stderr);
    (void)fflush(stderr);
}

bool cli_spool_read(struct cli_spool_reader *s)
{
    struct spool_recovery_watch watch = { .progress = show_progress };
    struct spool_recovery_options options = {
        .is_reader = true,
        .watch = isatty(STDERR_FILENO) == 1 ? &watch : NULL,
    };
    char part[SPOOL_RECOVERY_PART_MAX];
    enum status status = STATUS_OK;

    for (unsigned tries = 0; tries < TRIES; tries++) {
        spool_recovery_finish(&s->recovery);
        status = spool_recover(&s->recovery, &s->directory, &options);
        if (status == STATUS_OK)
            return true;
        if (!s->is_in_use || status == STATUS_UNSUPPORTED || status == STATUS_NO_MEMORY)
            break;
    }
    (void)spool_recovery_failed_part(&s->recovery, part);
    if (status == STATUS_UNSUPPORTED && s->recovery.failed_segment > 0)
        (void)cli_error(s->command, "%s: segment %08u is of a format not known to this version",
                        s->path, s->recovery.failed_segment);
    else
        (void)cli_error(s->command, "%s: %s%scannot be read: %s", s->path, part,
                        part[0] != '\0' ? " " : "", status_text(status));
    return false;
}

void cli_spool_close(struct cli_spool_reader *s)
{
    spool_recovery_finish(&s->recovery);
    if (s->is_open)
        spool_directory_close(&s->directory);
    s->is_open = false;
}

const struct spool_recovered_message *cli_spool_find(const struct cli_spool_reader *s, uint64_t mid)
{
    return spool_recovery_find(&s->recovery, mid);
}

const struct spool_recovered_segment *cli_spool_segment(const struct cli_spool_reader *s,
                                                        uint32_t number)
{
    for (size_t i = 0; i < s->recovery.segments_count; i++)
        if (s->recovery.segments[i].number == number)
            return &s->recovery.segments[i];
    return NULL;
}
