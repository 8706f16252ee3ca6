#include "spool/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "quarantine"

static enum status from_errno(void)
{
    return status_from_errno(errno);
}

static bool exists(int folder_fd, const char *name)
{
    struct stat info;

    return fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* Something else in its place, a file or a link to nowhere, is STATUS_IO: not to be taken for a
 * segment that has gone. */
static enum status open_folder(const struct spool_directory *d, int *fd_out)
{
    int fd = openat(d->path_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status = fd < 0 ? from_errno() : STATUS_OK;

    if (status == STATUS_NOT_FOUND && exists(d->path_fd, FOLDER))
        return STATUS_IO;
    if (status != STATUS_OK)
        return status;
    *fd_out = fd;
    return STATUS_OK;
}

static enum status sync_fd(int fd)
{
    return fsync(fd) == 0 ? STATUS_OK : from_errno();
}

/* Makes the folder where it is not there. Its name is durable before anything is moved into it. */
static enum status make_folder(const struct spool_directory *d)
{
    if (mkdirat(d->path_fd, FOLDER, 0700) != 0)
        return errno == EEXIST ? STATUS_OK : from_errno();
    return sync_fd(d->path_fd);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static enum status read_names(DIR *folder, uint32_t *numbers, size_t *count_out)
{
    struct dirent *entry;
    size_t count = 0;
    uint32_t number;

    errno = 0;
    while ((entry = readdir(folder)) != NULL) {
        if (spool_segment_number(entry->d_name, &number) && count < SPOOL_QUARANTINE_MAX)
            numbers[count++] = number;
        errno = 0;
    }
    if (errno != 0)
        return from_errno();
    qsort(numbers, count, sizeof *numbers, by_number);
    *count_out = count;
    return STATUS_OK;
}

enum status spool_quarantine_list(const struct spool_directory *d,
                                  uint32_t numbers_out[static SPOOL_QUARANTINE_MAX],
                                  size_t *count_out)
{
    enum status status;
    DIR *folder;
    int fd = -1;

    if (!exists(d->path_fd, FOLDER)) {
        *count_out = 0;
        return STATUS_OK;
    }
    TRY(open_folder(d, &fd));
    folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return STATUS_NO_MEMORY;
    }
    status = read_names(folder, numbers_out, count_out);
    (void)closedir(folder);
    return status;
}

/* Never over another one. One that is there already, and not in segments, was moved by a call whose
 * sync failed: only the syncs are repeated. */
static enum status move(const struct spool_directory *d, int folder_fd, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];

    (void)spool_segment_name(number, name);
    if (exists(folder_fd, name)) {
        if (exists(d->segments_fd, name))
            return STATUS_BUSY;
    } else if (renameat(d->segments_fd, name, folder_fd, name) != 0) {
        return from_errno();
    }
    TRY(sync_fd(folder_fd));
    return sync_fd(d->segments_fd);
}

enum status spool_quarantine_take(const struct spool_directory *d, uint32_t number)
{
    uint32_t numbers[SPOOL_QUARANTINE_MAX];
    enum status status;
    size_t count;
    int fd = -1;

    TRY(spool_quarantine_list(d, numbers, &count));
    if (count == SPOOL_QUARANTINE_MAX)
        return STATUS_LIMIT;
    TRY(make_folder(d));
    TRY(open_folder(d, &fd));
    status = move(d, fd, number);
    (void)close(fd);
    return status;
}

enum status spool_quarantine_open(const struct spool_directory *d, uint32_t number, int *fd_out)
{
    char path[sizeof(FOLDER) + SPOOL_SEGMENT_NAME_MAX], name[SPOOL_SEGMENT_NAME_MAX];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", FOLDER, spool_segment_name(number, name));
    fd = openat(d->path_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return from_errno();
    *fd_out = fd;
    return STATUS_OK;
}

enum status spool_quarantine_remove(const struct spool_directory *d, uint32_t number)
{
    char name[SPOOL_SEGMENT_NAME_MAX];
    enum status status = STATUS_OK;
    int fd = -1;

    TRY(open_folder(d, &fd));
    if (unlinkat(fd, spool_segment_name(number, name), 0) != 0)
        status = from_errno();
    else
        status = sync_fd(fd);
    (void)close(fd);
    return status;
}
