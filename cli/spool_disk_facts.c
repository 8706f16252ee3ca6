#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/spool_disk.h"

#define SYS_BLOCK_MAX 64
#define DEPTH_MAX     4 /* of devices upon devices */

/* --- the mount ------------------------------------------------------------------------------- */

static enum status find_mount(uint64_t id, struct cli_mount *mount_out)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool is_found = false;

    if (mounts == NULL)
        return status_from_errno(errno);
    while (!is_found && (len = getline(&line, &room, mounts)) > 0)
        is_found = cli_mount_parse((struct slice){ line, (size_t)len }, id, mount_out);
    free(line);
    (void)fclose(mounts);
    return is_found ? STATUS_OK : STATUS_NOT_FOUND;
}

/* --- devices, below /sys/dev/block/MAJOR:MINOR ------------------------------------------------ */

/* A small file, without its line end; "" when it cannot be read. */
static void read_text(const char *folder, const char *name, char *to, size_t room)
{
    char path[PATH_MAX];
    ssize_t got = -1;
    int fd;

    to[0] = '\0';
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    got = read(fd, to, room - 1);
    (void)close(fd);
    if (got < 0)
        got = 0;
    while (got > 0 && (to[got - 1] == '\n' || to[got - 1] == ' '))
        got--;
    to[got] = '\0';
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

/* folder: /sys/devices/.../block/sda. */
static void read_device(const char *folder, struct cli_disk_device *d)
{
    const char *name = strrchr(folder, '/');
    char text[CLI_DISK_NAME_MAX];

    *d = (struct cli_disk_device){ .cache = CLI_DISK_CACHE_UNKNOWN };
    (void)snprintf(d->name, sizeof(d->name), "%.*s", CLI_DISK_NAME_MAX - 1,
                   name != NULL ? name + 1 : folder);
    read_text(folder, "device/model", d->model, sizeof(d->model));
    read_text(folder, "queue/write_cache", text, sizeof(text));
    if (strcmp(text, "write back") == 0)
        d->cache = CLI_DISK_CACHE_BACK;
    if (strcmp(text, "write through") == 0)
        d->cache = CLI_DISK_CACHE_THROUGH;
    read_text(folder, "queue/fua", text, sizeof(text));
    d->has_fua = strcmp(text, "1") == 0;
    read_text(folder, "queue/rotational", text, sizeof(text));
    d->is_rotating = strcmp(text, "1") == 0;
}

static void add_device(struct cli_disk_facts *f, const char *number, unsigned depth);

/* The devices that this one is made of, as for LVM, RAID and encryption. */
static bool add_parts(struct cli_disk_facts *f, const char *folder, unsigned depth)
{
    char path[PATH_MAX], number[SYS_BLOCK_MAX], name[NAME_MAX + 8];
    struct dirent *entry;
    bool has_parts = false;
    DIR *parts;

    if (snprintf(path, sizeof(path), "%s/slaves", folder) >= (int)sizeof(path))
        return false;
    parts = opendir(path);
    while (parts != NULL && (entry = readdir(parts)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%s/dev", entry->d_name);
        read_text(path, name, number, sizeof(number));
        if (number[0] == '\0')
            continue;
        add_device(f, number, depth + 1);
        has_parts = true;
    }
    if (parts != NULL)
        (void)closedir(parts);
    return has_parts;
}

/* number: "8:1". */
static void add_device(struct cli_disk_facts *f, const char *number, unsigned depth)
{
    char link[SYS_BLOCK_MAX + 32], folder[PATH_MAX], *last;

    (void)snprintf(link, sizeof(link), "/sys/dev/block/%s", number);
    if (depth > DEPTH_MAX || realpath(link, folder) == NULL)
        return;
    if (exists(folder, "partition") && (last = strrchr(folder, '/')) != NULL)
        *last = '\0';
    if (add_parts(f, folder, depth) || f->devices_count == CLI_DISK_DEVICES_MAX)
        return;
    read_device(folder, &f->devices[f->devices_count++]);
}

/* Some file systems show another device number than that of their disk; then its name tells. */
static void find_devices(struct cli_disk_facts *f)
{
    char number[SYS_BLOCK_MAX];
    struct stat info;

    (void)snprintf(number, sizeof(number), "%u:%u", f->mount.major, f->mount.minor);
    add_device(f, number, 0);
    if (f->devices_count > 0 || f->mount.source[0] != '/' || stat(f->mount.source, &info) != 0 ||
        !S_ISBLK(info.st_mode))
        return;
    (void)snprintf(number, sizeof(number), "%u:%u", major(info.st_rdev), minor(info.st_rdev));
    add_device(f, number, 0);
}

enum status cli_disk_facts_read(int folder_fd, struct cli_disk_facts *facts_out)
{
    struct cli_disk_facts f = { .devices_count = 0 };
    struct statx info;

    if (statx(folder_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0)
        return status_from_errno(errno);
    if ((info.stx_mask & STATX_MNT_ID) == 0)
        return STATUS_UNSUPPORTED;
    TRY(find_mount(info.stx_mnt_id, &f.mount));
    find_devices(&f);
    *facts_out = f;
    return STATUS_OK;
}
