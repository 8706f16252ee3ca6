/* A disk that hangs, for test_hanging_disk.py (LD_PRELOAD): who asks for the room of a file system
 * waits as long as the file $HANGING_DISK is there. */
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

int fstatvfs64(int fd, struct statvfs64 *disk)
{
    int (*next)(int, struct statvfs64 *) =
        (int (*)(int, struct statvfs64 *))dlsym(RTLD_NEXT, "fstatvfs64");
    const char *path = getenv("HANGING_DISK");

    while (path != NULL && access(path, F_OK) == 0)
        (void)usleep(10000);
    return next(fd, disk);
}
