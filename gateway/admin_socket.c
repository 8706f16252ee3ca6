#include "gateway/admin_socket.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG    64
#define LOCK_TRIES 50 /* others hold the lock for microseconds, unless they mean us harm */
#define LOCK_US    2000

static enum status fail(const char *what, int error, char why[static GATEWAY_ADMIN_WHY_MAX])
{
    (void)snprintf(why, GATEWAY_ADMIN_WHY_MAX, "%s: %s", what, strerrordesc_np(error));
    return status_from_errno(error);
}

static enum status busy(const char *phrase, char why[static GATEWAY_ADMIN_WHY_MAX])
{
    (void)snprintf(why, GATEWAY_ADMIN_WHY_MAX, "%s", phrase);
    return STATUS_BUSY;
}

/* The folder, locked: between finding a file dead and putting one's own there, another gateway
 * could do the same, and the second would throw the first one's living socket away. */
static enum status lock_folder(const char *path, int *folder_out,
                               char why[static GATEWAY_ADMIN_WHY_MAX])
{
    const char *slash = strrchr(path, '/');
    char folder[CONFIG_SOCKET_PATH_MAX + 1] = ".";
    int fd;

    if (slash != NULL)
        (void)snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path),
                       path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail("its folder", errno, why);
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if (errno == EWOULDBLOCK && tries < LOCK_TRIES) {
            (void)usleep(LOCK_US);
            continue;
        }
        (void)close(fd);
        return busy("its folder is locked by another process", why);
    }
    *folder_out = fd;
    return STATUS_OK;
}

/* Removes a socket that nobody answers on. */
static enum status clear_way(const struct sockaddr_un *address,
                             char why[static GATEWAY_ADMIN_WHY_MAX])
{
    struct stat file;
    int fd, error;

    if (lstat(address->sun_path, &file) != 0)
        return errno == ENOENT ? STATUS_OK : fail("stat", errno, why);
    if (!S_ISSOCK(file.st_mode))
        return busy("there is a file, and it is no socket", why);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail("socket", errno, why);
    error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
    (void)close(fd);
    /* Only a refusal says that nobody is there: a full backlog is EAGAIN, and a socket that we may
     * not connect to could be anybody's. */
    if (error == 0 || error == EAGAIN)
        return busy("another process answers there", why);
    if (error != ECONNREFUSED)
        return fail("connect", error, why);
    return unlink(address->sun_path) == 0 || errno == ENOENT ? STATUS_OK
                                                             : fail("unlink", errno, why);
}

/* The mode is set before anybody can connect. Not by umask(), which is every thread's. */
static enum status bind_and_listen(int fd, const struct sockaddr_un *address,
                                   struct gateway_admin_file *file,
                                   char why[static GATEWAY_ADMIN_WHY_MAX])
{
    struct stat bound;

    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        return fail("bind", errno, why);
    if (chmod(address->sun_path, GATEWAY_ADMIN_SOCKET_MODE) != 0 ||
        lstat(address->sun_path, &bound) != 0 || listen(fd, BACKLOG) != 0) {
        enum status status = fail("listen", errno, why);

        (void)unlink(address->sun_path);
        return status;
    }
    *file = (struct gateway_admin_file){ .device = bound.st_dev, .inode = bound.st_ino };
    memcpy(file->path, address->sun_path, sizeof(file->path));
    return STATUS_OK;
}

enum status gateway_admin_socket_open(const char *path, int *fd_out,
                                      struct gateway_admin_file *file_out,
                                      char why[static GATEWAY_ADMIN_WHY_MAX])
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    enum status status;
    int fd, folder = -1;

    static_assert(sizeof(address.sun_path) == CONFIG_SOCKET_PATH_MAX + 1, "as the settings say");
    ASSERT(strlen(path) <= CONFIG_SOCKET_PATH_MAX);
    memcpy(address.sun_path, path, strlen(path) + 1);
    TRY(lock_folder(path, &folder, why));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    status = fd >= 0 ? clear_way(&address, why) : fail("socket", errno, why);
    if (status == STATUS_OK)
        status = bind_and_listen(fd, &address, file_out, why);
    (void)close(folder);
    if (status == STATUS_OK)
        *fd_out = fd;
    else if (fd >= 0)
        (void)close(fd);
    return status;
}

bool gateway_admin_file_is_there(const struct gateway_admin_file *file)
{
    struct stat now;

    return file->inode != 0 && lstat(file->path, &now) == 0 && now.st_dev == file->device &&
           now.st_ino == file->inode;
}

void gateway_admin_file_remove(struct gateway_admin_file *file)
{
    if (gateway_admin_file_is_there(file))
        (void)unlink(file->path);
    *file = (struct gateway_admin_file){ 0 };
}
