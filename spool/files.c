#include "spool/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/body_file.h"

#define FORMAT_TEXT "postern spool 1\n"

static const struct spool_directory directory_closed = { -1, -1, -1, -1, "" };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void spool_directory_close(struct spool_directory *d)
{
    close_fd(&d->segments_fd);
    close_fd(&d->bodies_fd);
    close_fd(&d->lock_fd);
    close_fd(&d->path_fd);
}

static enum status from_errno(void)
{
    return status_from_errno(errno);
}

static enum status open_folder(int at, const char *name, bool is_reader, int *fd_out)
{
    int fd;

    if (!is_reader && mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return from_errno();
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return from_errno();
    *fd_out = fd;
    return STATUS_OK;
}

static enum status sync_fd(int fd)
{
    return fsync(fd) == 0 ? STATUS_OK : from_errno();
}

static enum status lock(struct spool_directory *d)
{
    d->lock_fd = openat(d->path_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return from_errno();
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? STATUS_BUSY : from_errno();
    return STATUS_OK;
}

/* Writes name durably: a crash leaves the old file or the new one. */
enum status spool_file_replace(int folder_fd, const char *name, const char *temporary,
                               struct slice contents)
{
    enum status status = STATUS_OK;
    int fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return from_errno();
    if (write(fd, contents.data, contents.len) != (ssize_t)contents.len || fsync(fd) != 0)
        status = errno != 0 ? from_errno() : STATUS_IO;
    if (close(fd) != 0 && status == STATUS_OK)
        status = from_errno();
    if (status == STATUS_OK && renameat(folder_fd, temporary, folder_fd, name) != 0)
        status = from_errno();
    return status == STATUS_OK ? sync_fd(folder_fd) : status;
}

enum status spool_file_read(int folder_fd, const char *name, char *to, size_t bytes_max,
                            size_t *bytes_out)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    enum status status = STATUS_OK;
    size_t fill = 0;
    ssize_t got;

    if (fd < 0)
        return from_errno();
    do {
        got = read(fd, to + fill, bytes_max - fill);
        if (got > 0)
            fill += (size_t)got;
    } while ((got > 0 && fill < bytes_max) || (got < 0 && errno == EINTR));
    if (got < 0)
        status = from_errno();
    (void)close(fd);
    if (status == STATUS_OK)
        *bytes_out = fill;
    return status;
}

/* What the start is going to read, and to act on, may come from a process that was killed, and lie
 * in the page cache only: a DONE, a segment's name. A start that unlinks a body because of the one
 * or commits mail under the other must not be ahead of the disk. The name of the spool itself is
 * made stable with it. Folders may be mounted on their own. */
static enum status sync_everything(const struct spool_directory *d)
{
    if (syncfs(d->path_fd) != 0 || syncfs(d->segments_fd) != 0 || syncfs(d->bodies_fd) != 0)
        return from_errno();
    return STATUS_OK;
}

/* The format is written last, when everything else is in its place. */
static enum status check_format(struct spool_directory *d, bool is_reader)
{
    char text[64];
    size_t len;
    enum status status = spool_file_read(d->path_fd, "format", text, sizeof text, &len);

    if (status == STATUS_NOT_FOUND && !is_reader)
        return spool_file_replace(d->path_fd, "format", "format.new", SLICE(FORMAT_TEXT));
    if (status != STATUS_OK)
        return status;
    if (slice_equal((struct slice){ text, len }, SLICE(FORMAT_TEXT)))
        return STATUS_OK;
    return len > 14 && memcmp(text, FORMAT_TEXT, 14) == 0 ? STATUS_UNSUPPORTED : STATUS_INVALID;
}

static enum status open_steps(struct spool_directory *d, const char *path, bool is_reader)
{
    d->step = "make";
    if (!is_reader && mkdir(path, 0700) != 0 && errno != EEXIST)
        return from_errno();
    d->step = "open";
    d->path_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->path_fd < 0)
        return from_errno();
    if (!is_reader) {
        d->step = "lock";
        TRY(lock(d));
    }
    d->step = "open segments of";
    TRY(open_folder(d->path_fd, "segments", is_reader, &d->segments_fd));
    d->step = "open bodies of";
    TRY(open_folder(d->path_fd, "bodies", is_reader, &d->bodies_fd));
    if (!is_reader) {
        d->step = "sync";
        TRY(sync_everything(d));
    }
    d->step = "read the format of";
    TRY(check_format(d, is_reader));
    d->step = "";
    return STATUS_OK;
}

enum status spool_directory_open(struct spool_directory *d, const char *path, bool is_reader)
{
    enum status status;
    int error;

    *d = directory_closed;
    status = open_steps(d, path, is_reader);
    if (status != STATUS_OK) {
        error = errno;
        spool_directory_close(d);
        errno = error;
    }
    return status;
}

const char *spool_segment_name(uint32_t number, char text[static SPOOL_SEGMENT_NAME_MAX])
{
    ASSERT(number <= SPOOL_SEGMENT_NUMBER_MAX);
    (void)snprintf(text, SPOOL_SEGMENT_NAME_MAX, "%08u.seg", number);
    return text;
}

bool spool_segment_number(const char *name, uint32_t *number_out)
{
    struct slice text = slice_from(name);
    uint64_t number;

    if (text.len != 12 || strcmp(name + 8, ".seg") != 0 ||
        !slice_to_number(slice_first(text, 8), SPOOL_SEGMENT_NUMBER_MAX, &number) || number == 0)
        return false;
    *number_out = (uint32_t)number;
    return true;
}

enum status spool_segment_open(const struct spool_directory *d, uint32_t number, int flags,
                               int *fd_out)
{
    char name[SPOOL_SEGMENT_NAME_MAX];
    int fd = openat(d->segments_fd, spool_segment_name(number, name), flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return from_errno();
    *fd_out = fd;
    return STATUS_OK;
}

enum status spool_body_open(const struct spool_directory *d, uint64_t mid, int flags, int *fd_out)
{
    char name[SPOOL_BODY_NAME_MAX];
    int fd = openat(d->bodies_fd, spool_body_name(mid, name), flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return from_errno();
    *fd_out = fd;
    return STATUS_OK;
}

enum status spool_body_unlink(const struct spool_directory *d, uint64_t mid)
{
    char name[SPOOL_BODY_NAME_MAX];

    return unlinkat(d->bodies_fd, spool_body_name(mid, name), 0) == 0 ? STATUS_OK : from_errno();
}

enum status spool_bodies_sync(const struct spool_directory *d)
{
    return sync_fd(d->bodies_fd);
}
