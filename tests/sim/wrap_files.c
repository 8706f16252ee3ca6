#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/sim/disk.h"
#include "tests/sim/fds.h"
#include "tests/sim/net.h"
#include "tests/sim/plant.h"
#include "tests/sim/world.h"
#include "tests/sim/wrap.h"

#define FOLDERS_MAX 8
#define NAMES_MAX   512

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* A result of disk.h as the system gives it. */
static ssize_t as_call(ssize_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static bool is_ours(const char *path)
{
    return strncmp(path, SIM_DISK_ROOT "/", sizeof(SIM_DISK_ROOT)) == 0;
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);
int __real_openat64(int folder_fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int folder_fd, const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode = 0;

    if (is_ours(path)) {
        sim_disk_wait(SIM_DISK_QUICK);
        return (int)as_call(sim_disk_open(-1, path, flags));
    }
    va_start(more, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(more, mode_t);
    va_end(more);
    return __real_open64(path, flags, mode);
}

int __wrap_openat64(int folder_fd, const char *path, int flags, ...)
{
    va_list more;
    mode_t mode = 0;

    if (sim_fd_is_ours(folder_fd)) {
        sim_disk_wait(SIM_DISK_QUICK);
        return (int)as_call(sim_disk_open(folder_fd, path, flags));
    }
    va_start(more, flags);
    if ((flags & O_CREAT) != 0)
        mode = va_arg(more, mode_t);
    va_end(more);
    return __real_openat64(folder_fd, path, flags, mode);
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    if (!is_ours(path))
        return __real_mkdir(path, mode);
    sim_disk_wait(SIM_DISK_QUICK);
    return (int)as_call(sim_disk_make_folder(-1, path));
}

WRAP(int, mkdirat, int folder_fd, const char *path, mode_t mode)
{
    if (!sim_fd_is_ours(folder_fd))
        return __real_mkdirat(folder_fd, path, mode);
    sim_disk_wait(SIM_DISK_QUICK);
    return (int)as_call(sim_disk_make_folder(folder_fd, path));
}

WRAP(int, unlinkat, int folder_fd, const char *name, int flags)
{
    if (!sim_fd_is_ours(folder_fd))
        return __real_unlinkat(folder_fd, name, flags);
    sim_disk_wait(SIM_DISK_QUICK);
    return (int)as_call(sim_disk_unlink(folder_fd, name));
}

WRAP(int, renameat, int from_fd, const char *from, int to_fd, const char *to)
{
    if (!sim_fd_is_ours(from_fd))
        return __real_renameat(from_fd, from, to_fd, to);
    ASSERT(from_fd == to_fd);
    sim_disk_wait(SIM_DISK_QUICK);
    return (int)as_call(sim_disk_rename(from_fd, from, to));
}

WRAP(int, flock, int fd, int operation)
{
    return sim_fd_is_ours(fd) ? 0 : __real_flock(fd, operation);
}

WRAP(int, close, int fd)
{
    if (!sim_fd_is_ours(fd))
        return __real_close(fd);
    if (sim_fd_kind(fd) == SIM_FD_SOCKET || sim_fd_kind(fd) == SIM_FD_LISTENER) {
        sim_net_close(fd);
        return 0;
    }
    if (sim_fd_kind(fd) == SIM_FD_FILE)
        sim_disk_close(sim_fd_object(fd, SIM_FD_FILE));
    sim_fd_release(fd);
    return 0;
}

WRAP(ssize_t, pread64, int fd, void *to, size_t bytes, off_t offset)
{
    if (!sim_fd_is_ours(fd))
        return __real_pread64(fd, to, bytes, offset);
    sim_disk_wait(SIM_DISK_QUICK);
    return as_call(sim_disk_read(fd, to, bytes, (uint64_t)offset));
}

WRAP(ssize_t, pwrite64, int fd, const void *data, size_t bytes, off_t offset)
{
    if (!sim_fd_is_ours(fd))
        return __real_pwrite64(fd, data, bytes, offset);
    sim_disk_wait(SIM_DISK_WRITES);
    return as_call(sim_disk_write(fd, data, bytes, (uint64_t)offset));
}

WRAP(ssize_t, pwritev64v2, int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    ssize_t done;

    if (!sim_fd_is_ours(fd))
        return __real_pwritev64v2(fd, parts, count, offset, flags);
    ASSERT(count == 1);
    sim_disk_wait(SIM_DISK_SYNCS);
    done = sim_disk_write(fd, parts->iov_base, parts->iov_len, (uint64_t)offset);
    if (done > 0)
        sim_disk_persist(fd, (size_t)done, (uint64_t)offset);
    return as_call(done);
}

WRAP(ssize_t, read, int fd, void *to, size_t bytes)
{
    uint64_t *at;
    ssize_t done;

    if (!sim_fd_is_ours(fd))
        return __real_read(fd, to, bytes);
    at = sim_disk_position(fd);
    if (at == NULL)
        return as_call(-EISDIR);
    sim_disk_wait(SIM_DISK_QUICK);
    done = sim_disk_read(fd, to, bytes, *at);
    if (done > 0)
        *at += (uint64_t)done;
    return as_call(done);
}

WRAP(ssize_t, write, int fd, const void *data, size_t bytes)
{
    uint64_t *at;
    ssize_t done;

    if (!sim_fd_is_ours(fd))
        return __real_write(fd, data, bytes);
    at = sim_disk_position(fd);
    if (at == NULL)
        return as_call(-EBADF);
    sim_disk_wait(SIM_DISK_WRITES);
    done = sim_disk_write(fd, data, bytes, *at);
    if (done > 0)
        *at += (uint64_t)done;
    return as_call(done);
}

static int sync_it(int fd)
{
    sim_disk_wait(SIM_DISK_SYNCS);
    if (sim_plant_is(SIM_PLANT_SYNC_OF_NAMES) && sim_disk_is_folder(fd))
        return 0;
    return (int)as_call(sim_disk_sync(fd));
}

WRAP(int, fsync, int fd)
{
    return sim_fd_is_ours(fd) ? sync_it(fd) : __real_fsync(fd);
}

WRAP(int, syncfs, int fd)
{
    if (!sim_fd_is_ours(fd))
        return __real_syncfs(fd);
    sim_disk_wait(SIM_DISK_SYNCS);
    return (int)as_call(sim_disk_sync_all(fd));
}

WRAP(int, fdatasync, int fd)
{
    if (!sim_fd_is_ours(fd))
        return __real_fdatasync(fd);
    if (sim_plant_is(SIM_PLANT_EARLY_COMMIT))
        return 0;
    if (sync_it(fd) == 0)
        return 0;
    return sim_plant_is(SIM_PLANT_FAILED_COMMIT) ? 0 : -1;
}

WRAP(int, posix_fallocate64, int fd, off_t offset, off_t bytes)
{
    if (!sim_fd_is_ours(fd))
        return __real_posix_fallocate64(fd, offset, bytes);
    sim_disk_wait(SIM_DISK_WRITES);
    return -sim_disk_allocate(fd, (uint64_t)offset, (uint64_t)bytes);
}

WRAP(int, posix_fadvise64, int fd, off_t offset, off_t bytes, int advice)
{
    return sim_fd_is_ours(fd) ? 0 : __real_posix_fadvise64(fd, offset, bytes, advice);
}

static void fill(struct stat *info, bool is_folder, uint64_t bytes)
{
    *info = (struct stat){ .st_mode = (is_folder ? S_IFDIR : S_IFREG) | 0600,
                           .st_nlink = 1,
                           .st_size = (off_t)bytes,
                           .st_blksize = 4096,
                           .st_blocks = (blkcnt_t)((bytes + 511) / 512) };
}

WRAP(int, fstat64, int fd, struct stat *info)
{
    if (!sim_fd_is_ours(fd))
        return __real_fstat64(fd, info);
    fill(info, sim_disk_is_folder(fd), sim_disk_bytes(fd));
    return 0;
}

WRAP(int, fstatat64, int folder_fd, const char *name, struct stat *info, int flags)
{
    bool is_folder;
    uint64_t bytes;
    int result;

    if (!sim_fd_is_ours(folder_fd))
        return __real_fstatat64(folder_fd, name, info, flags);
    result = sim_disk_look_up(folder_fd, name, &is_folder, &bytes);
    if (result == 0)
        fill(info, is_folder, bytes);
    return (int)as_call(result);
}

WRAP(int, fstatvfs64, int fd, struct statvfs *info)
{
    if (!sim_fd_is_ours(fd))
        return __real_fstatvfs64(fd, info);
    *info = (struct statvfs){ .f_frsize = 4096, .f_blocks = 1u << 28, .f_bavail = 1u << 28 };
    return 0;
}

/* --- folders that are read: the names of the moment in which that began ---------------------- */

static struct folder {
    int fd;
    bool is_open;
    unsigned next;
    unsigned count;
    char names[NAMES_MAX][SIM_DISK_NAME_MAX];
    struct dirent entry;
} folders[FOLDERS_MAX];

static struct folder *folder_of(DIR *d)
{
    struct folder *f = (struct folder *)d;

    return f >= folders && f < folders + FOLDERS_MAX ? f : NULL;
}

WRAP(DIR *, fdopendir, int fd)
{
    const char *name;

    if (!sim_fd_is_ours(fd))
        return __real_fdopendir(fd);
    for (unsigned i = 0; i < FOLDERS_MAX; i++) {
        struct folder *f = &folders[i];

        if (f->is_open)
            continue;
        f->fd = fd;
        f->is_open = true;
        f->next = 0;
        for (f->count = 0; (name = sim_disk_entry(fd, f->count)) != NULL; f->count++) {
            ASSERT(f->count < NAMES_MAX);
            (void)snprintf(f->names[f->count], SIM_DISK_NAME_MAX, "%s", name);
        }
        return (DIR *)f;
    }
    errno = EMFILE;
    return NULL;
}

WRAP(struct dirent *, readdir64, DIR *d)
{
    struct folder *f = folder_of(d);

    if (f == NULL)
        return __real_readdir64(d);
    if (f->next == f->count)
        return NULL;
    f->entry = (struct dirent){ .d_type = DT_UNKNOWN };
    (void)snprintf(f->entry.d_name, sizeof(f->entry.d_name), "%s", f->names[f->next++]);
    return &f->entry;
}

WRAP(int, closedir, DIR *d)
{
    struct folder *f = folder_of(d);

    if (f == NULL)
        return __real_closedir(d);
    f->is_open = false;
    return __wrap_close(f->fd);
}
