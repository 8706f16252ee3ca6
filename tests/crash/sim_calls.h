/* tests/crash/sim_calls.h - the calls that the linker takes to the simulated disk (--wrap).
 *
 * Paths are one name below a folder, or one name below the root with a slash in front. A call that
 * is missing here meets a descriptor that the kernel does not know, and fails with EBADF.
 */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/check.h"

int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat64(int at, const char *path, int flags, ...);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdirat(int at, const char *path, mode_t mode);
int __wrap_close(int fd);
int __wrap_unlinkat(int at, const char *path, int flags);
int __wrap_renameat(int at, const char *from, int at_new, const char *to);
int __wrap_flock(int fd, int operation);
ssize_t __wrap_read(int fd, void *to, size_t bytes);
ssize_t __wrap_pread64(int fd, void *to, size_t bytes, off_t offset);
int __wrap_fstat64(int fd, struct stat *info);
int __wrap_fstatat64(int at, const char *path, struct stat *info, int flags);
DIR *__wrap_fdopendir(int fd);
struct dirent *__wrap_readdir64(DIR *folder);
int __wrap_closedir(DIR *folder);
int __wrap_fstatvfs64(int fd, struct statvfs *info);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t bytes, off_t offset);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t bytes);
int __wrap_posix_fadvise64(int fd, off_t offset, off_t bytes, int advice);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_syncfs(int fd);
ssize_t __wrap_getrandom(void *to, size_t bytes, unsigned flags);

/* Drops what a start that the power was cut under says of it. */
int __wrap_fprintf(FILE *to, const char *format, ...) PRINTF_LIKE(2, 3);
