#include "tests/crash/sim_calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/sim_parts.h"

struct sim_listing {
    int fd;
    struct dirent entry;
};

static int fail(int error)
{
    errno = error;
    return -1;
}

/* The folder that a call works in; AT_FDCWD and absolute paths: the root. */
static struct sim_file root_file(void)
{
    return (struct sim_file){ .disk = sim_current(), .inode = sim_current()->root };
}

static bool folder_of(int fd, const char **path, struct sim_file *folder_out)
{
    const struct sim_file *f = sim_file_of(fd);

    if (**path == '/') {
        *folder_out = root_file();
        (*path)++;
    } else if (f != NULL) {
        *folder_out = *f;
    } else {
        return false;
    }
    ASSERT(folder_out->inode->is_directory && strchr(*path, '/') == NULL);
    return true;
}

static struct sim_inode *lookup(const struct sim_file *folder, const char *name)
{
    if (*name == '\0' || strcmp(name, ".") == 0)
        return folder->inode;
    return sim_names_find(&folder->inode->names_now, name);
}

static int open_new(const struct sim_file *folder, const char *name)
{
    struct sim_inode *i;

    if (!sim_step(folder->disk))
        return fail(EIO);
    if (sim_fails(folder->disk))
        return fail(EIO);
    i = sim_inode_make(folder->disk, false);
    sim_inode_link(folder->inode, name, i);
    return sim_file_open(folder->disk, i);
}

static int open_old(const struct sim_file *folder, struct sim_inode *i, int flags)
{
    if ((flags & O_TRUNC) != 0 && i->now.bytes > 0) {
        if (!sim_step(folder->disk))
            return fail(EIO);
        sim_inode_resize(i, 0);
    }
    return sim_file_open(folder->disk, i);
}

int __wrap_openat64(int at, const char *path, int flags, ...)
{
    struct sim_file folder;
    struct sim_inode *i;
    int fd;

    if (!folder_of(at, &path, &folder))
        return fail(EBADF);
    if (folder.disk->is_dead)
        return fail(EIO);
    if ((flags & O_DIRECT) != 0 && folder.disk->refuses_direct)
        return fail(EINVAL);
    i = lookup(&folder, path);
    if (i == NULL && (flags & O_CREAT) == 0)
        return fail(ENOENT);
    if (i != NULL && (flags & O_EXCL) != 0)
        return fail(EEXIST);
    fd = i == NULL ? open_new(&folder, path) : open_old(&folder, i, flags);
    if (fd >= 0)
        sim_file_of(fd)->is_direct = (flags & O_DIRECT) != 0;
    return fd;
}

int __wrap_open64(const char *path, int flags, ...)
{
    return __wrap_openat64(AT_FDCWD, path, flags, 0);
}

int __wrap_mkdirat(int at, const char *path, mode_t mode)
{
    struct sim_file folder;

    (void)mode;
    if (!folder_of(at, &path, &folder))
        return fail(EBADF);
    if (lookup(&folder, path) != NULL)
        return fail(EEXIST);
    if (!sim_step(folder.disk))
        return fail(EIO);
    sim_inode_link(folder.inode, path, sim_inode_make(folder.disk, true));
    return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return __wrap_mkdirat(AT_FDCWD, path, mode);
}

int __wrap_close(int fd)
{
    if (sim_file_of(fd) == NULL)
        return fail(EBADF);
    sim_file_close(fd);
    return 0;
}

int __wrap_unlinkat(int at, const char *path, int flags)
{
    struct sim_file folder;

    (void)flags;
    if (!folder_of(at, &path, &folder))
        return fail(EBADF);
    if (!sim_step(folder.disk))
        return fail(EIO);
    if (lookup(&folder, path) == NULL)
        return fail(ENOENT);
    if (sim_fails(folder.disk))
        return fail(EIO);
    sim_inode_unlink(folder.disk, folder.inode, path);
    return 0;
}

int __wrap_renameat(int at, const char *from, int at_new, const char *to)
{
    struct sim_file folder, folder_new;

    if (!folder_of(at, &from, &folder) || !folder_of(at_new, &to, &folder_new))
        return fail(EBADF);
    if (!sim_step(folder.disk))
        return fail(EIO);
    if (lookup(&folder, from) == NULL)
        return fail(ENOENT);
    if (folder_new.inode == folder.inode) {
        sim_inode_rename(folder.disk, folder.inode, from, to);
    } else {
        ASSERT(strcmp(from, to) == 0 && lookup(&folder_new, to) == NULL);
        sim_inode_move(folder.inode, folder_new.inode, from);
    }
    return 0;
}

int __wrap_flock(int fd, int operation)
{
    struct sim_file *f = sim_file_of(fd);

    ASSERT(operation == (LOCK_EX | LOCK_NB));
    if (f == NULL)
        return fail(EBADF);
    if (f->inode->lock_fd >= 0 && f->inode->lock_fd != fd)
        return fail(EWOULDBLOCK);
    f->inode->lock_fd = fd;
    return 0;
}

/* --- reading --------------------------------------------------------------------------------- */

ssize_t __wrap_pread64(int fd, void *to, size_t bytes, off_t offset)
{
    struct sim_file *f = sim_file_of(fd);

    if (f == NULL || f->disk->is_dead)
        return fail(f == NULL ? EBADF : EIO);
    return (ssize_t)sim_data_read(&f->inode->now, (uint64_t)offset, to, bytes);
}

ssize_t __wrap_read(int fd, void *to, size_t bytes)
{
    struct sim_file *f = sim_file_of(fd);
    ssize_t got = __wrap_pread64(fd, to, bytes, f != NULL ? (off_t)f->at : 0);

    if (got > 0)
        f->at += (uint64_t)got;
    return got;
}

static void describe(const struct sim_inode *i, struct stat *info)
{
    memset(info, 0, sizeof(*info));
    info->st_mode = i->is_directory ? S_IFDIR | 0700 : S_IFREG | 0600;
    info->st_size = (off_t)i->now.bytes;
}

int __wrap_fstat64(int fd, struct stat *info)
{
    struct sim_file *f = sim_file_of(fd);

    if (f == NULL || f->disk->is_dead)
        return fail(f == NULL ? EBADF : EIO);
    describe(f->inode, info);
    return 0;
}

int __wrap_fstatat64(int at, const char *path, struct stat *info, int flags)
{
    struct sim_file folder;
    struct sim_inode *i;

    (void)flags;
    if (!folder_of(at, &path, &folder))
        return fail(EBADF);
    i = lookup(&folder, path);
    if (i == NULL || folder.disk->is_dead)
        return fail(i == NULL ? ENOENT : EIO);
    describe(i, info);
    return 0;
}

DIR *__wrap_fdopendir(int fd)
{
    struct sim_listing *l = calloc(1, sizeof(*l));

    ASSERT(l != NULL);
    l->fd = fd;
    sim_file_of(fd)->listed = sim_file_of(fd)->inode->names_now.count;
    return (DIR *)l;
}

/* Backwards: what is removed while it is listed makes no other entry be missed. */
struct dirent *__wrap_readdir64(DIR *folder)
{
    struct sim_listing *l = (struct sim_listing *)folder;
    struct sim_file *f = sim_file_of(l->fd);
    const struct sim_names *names = &f->inode->names_now;

    if (f->disk->is_dead) {
        errno = EIO;
        return NULL;
    }
    if (f->listed > names->count)
        f->listed = names->count;
    if (f->listed == 0)
        return NULL;
    f->listed--;
    memcpy(l->entry.d_name, names->entries[f->listed].name, SIM_NAME_MAX);
    return &l->entry;
}

int __wrap_closedir(DIR *folder)
{
    struct sim_listing *l = (struct sim_listing *)folder;

    sim_file_close(l->fd);
    free(l);
    return 0;
}

int __wrap_fstatvfs64(int fd, struct statvfs *info)
{
    (void)fd;
    memset(info, 0, sizeof(*info));
    return 0;
}

/* --- writing --------------------------------------------------------------------------------- */

/* As O_DIRECT wants it. */
static bool is_aligned(const void *data, size_t bytes, off_t offset)
{
    return (uintptr_t)data % SIM_BLOCK == 0 && bytes % SIM_BLOCK == 0 && offset % SIM_BLOCK == 0;
}

static int write_now(int fd, const void *data, size_t bytes, off_t offset)
{
    struct sim_file *f = sim_file_of(fd);
    int error;

    if (f == NULL)
        return EBADF;
    ASSERT(!f->is_direct || is_aligned(data, bytes, offset));
    if (!sim_step(f->disk))
        return EIO;
    if (sim_fails(f->disk) && (f->disk->lies & SIM_LIE_ERRORS) == 0)
        return EIO;
    error = sim_inode_allocate(f->disk, f->inode, (uint64_t)offset + bytes);
    if (error == 0)
        sim_inode_write(f->inode, (uint64_t)offset, data, bytes);
    return error;
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t offset)
{
    int error = write_now(fd, data, bytes, offset);

    return error == 0 ? (ssize_t)bytes : fail(error);
}

ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
    struct sim_file *f = sim_file_of(fd);
    ssize_t done = __wrap_pwrite64(fd, data, bytes, f != NULL ? (off_t)f->at : 0);

    if (done > 0)
        f->at += (uint64_t)done;
    return done;
}

int sim_write_begin(int fd, const char *data, size_t bytes, off_t offset)
{
    struct sim_file *f = sim_file_of(fd);

    ASSERT(f->is_direct && is_aligned(data, bytes, offset));
    if (!sim_step(f->disk))
        return EIO;
    sim_inode_write(f->inode, (uint64_t)offset, data, bytes);
    return 0;
}

/* Of this write, in the inode; NULL: something has synced it meanwhile. */
static struct sim_change *change_of(struct sim_inode *i, size_t bytes, uint64_t offset)
{
    for (size_t n = i->changes_count; n > 0; n--) {
        struct sim_change *c = &i->changes[n - 1];

        if (c->kind == SIM_DATA && c->offset == offset && c->bytes == bytes)
            return c;
    }
    return NULL;
}

static void forget_change(struct sim_inode *i, struct sim_change *c)
{
    free(c->data);
    i->changes_count--;
    memmove(c, c + 1, (size_t)(i->changes + i->changes_count - c) * sizeof(*c));
}

static void write_failed(struct sim_file *f, struct sim_change *c)
{
    char sector[SIM_SECTOR];

    for (uint64_t at = 0; at < c->bytes; at += SIM_SECTOR) {
        if (sim_below(&f->disk->random, 2) == 0)
            sim_data_write(&f->inode->stable, c->offset + at, c->data + at, SIM_SECTOR);
        memset(sector, 0, sizeof(sector));
        (void)sim_data_read(&f->inode->stable, c->offset + at, sector, SIM_SECTOR);
        sim_data_write(&f->inode->now, c->offset + at, sector, SIM_SECTOR);
    }
    forget_change(f->inode, c);
}

int sim_write_end(int fd, const char *data, size_t bytes, off_t offset)
{
    struct sim_file *f = sim_file_of(fd);
    struct sim_change *c;

    if (!sim_step(f->disk))
        return EIO;
    c = change_of(f->inode, bytes, (uint64_t)offset);
    ASSERT(c != NULL && memcmp(c->data, data, bytes) == 0);
    if (sim_fails(f->disk)) {
        write_failed(f, c);
        return (f->disk->lies & SIM_LIE_ERRORS) != 0 ? 0 : EIO;
    }
    if ((f->disk->lies & SIM_LIE_WRITES) != 0)
        return 0;
    sim_data_write(&f->inode->stable, (uint64_t)offset, data, bytes);
    forget_change(f->inode, c);
    return 0;
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    struct sim_file *f = sim_file_of(fd);
    int error;

    ASSERT(count == 1 && flags == RWF_DSYNC);
    if (f == NULL || f->disk->refuses_direct)
        return fail(f == NULL ? EBADF : EOPNOTSUPP);
    error = write_now(fd, parts->iov_base, parts->iov_len, offset);
    if (error == 0)
        error = sim_write_end(fd, parts->iov_base, parts->iov_len, offset);
    return error == 0 ? (ssize_t)parts->iov_len : fail(error);
}

int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes)
{
    struct sim_file *f = sim_file_of(fd);
    int error;

    if (f == NULL)
        return EBADF;
    if (f->disk->refuses_allocation)
        return EOPNOTSUPP;
    if (!sim_step(f->disk))
        return EIO;
    error = sim_inode_allocate(f->disk, f->inode, (uint64_t)(offset + bytes));
    if (error == 0 && (uint64_t)(offset + bytes) > f->inode->prepared)
        f->inode->prepared = (uint64_t)(offset + bytes);
    if (error == 0 && (uint64_t)(offset + bytes) > f->inode->now.bytes)
        sim_inode_resize(f->inode, (uint64_t)(offset + bytes));
    return error;
}

int __wrap_posix_fadvise64(int fd, off_t offset, off_t bytes, int advice)
{
    (void)fd;
    (void)offset;
    (void)bytes;
    (void)advice;
    return 0;
}

/* --- syncing --------------------------------------------------------------------------------- */

static int sync_inode(int fd, unsigned lie_of_files)
{
    struct sim_file *f = sim_file_of(fd);
    unsigned lie;

    if (f == NULL)
        return fail(EBADF);
    if (!sim_step(f->disk))
        return fail(EIO);
    if (sim_fails(f->disk)) {
        sim_inode_sync_fails(f->disk, f->inode);
        return (f->disk->lies & SIM_LIE_ERRORS) != 0 ? 0 : fail(EIO);
    }
    lie = f->inode->is_directory ? SIM_LIE_DIRECTORIES : lie_of_files;
    if ((f->disk->lies & lie) == 0)
        sim_inode_sync(f->inode);
    return 0;
}

int __wrap_fsync(int fd)
{
    return sync_inode(fd, SIM_LIE_FILES);
}

int __wrap_fdatasync(int fd)
{
    return sync_inode(fd, SIM_LIE_WRITES);
}

int __wrap_syncfs(int fd)
{
    struct sim_file *f = sim_file_of(fd);

    if (f == NULL)
        return fail(EBADF);
    if (!sim_step(f->disk))
        return fail(EIO);
    for (struct sim_inode *i = f->disk->inodes; i != NULL; i = i->next)
        if ((f->disk->lies & SIM_LIE_SYNCFS) == 0)
            sim_inode_sync(i);
    return 0;
}

ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags)
{
    uint64_t value;

    (void)flags;
    ASSERT(bytes == sizeof(value));
    value = sim_random(&sim_current()->random);
    memcpy(to, &value, sizeof(value));
    return (ssize_t)bytes;
}

int __wrap_fprintf(FILE *to, const char *format, ...)
{
    static const char dropped[] = "postern: spool";
    va_list arguments;
    int done = 0;

    if (strncmp(format, dropped, sizeof(dropped) - 1) == 0)
        return 0;
    va_start(arguments, format);
    done = vfprintf(to, format, arguments);
    va_end(arguments);
    return done;
}
