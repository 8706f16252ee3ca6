/* gateway/admin_socket.h - the listening Unix socket of the admin thread, as a file.
 *
 * Its owner and group may connect (mode 0660), and the folder it lies in decides who reaches it.
 * A file that a gateway left behind when it was killed is taken over; one that somebody answers on
 * is not. Every call is of the supervisor's thread.
 */
#pragma once
#include <sys/types.h>

#include "base/slice.h"
#include "base/status.h"
#include "config/settings.h"

#define GATEWAY_ADMIN_SOCKET_MODE 0660
#define GATEWAY_ADMIN_WHY_MAX     160

/* The file that was bound, by more than its name. Zeroed: none. */
struct gateway_admin_file {
    char path[CONFIG_SOCKET_PATH_MAX + 1];
    dev_t device;
    ino_t inode; /* 0: none */
};

/* Binds and listens, non-blocking. STATUS_BUSY: somebody answers there, or is about to; any other
 * as errno says. why: a phrase, when it is not STATUS_OK. */
MUST_USE enum status gateway_admin_socket_open(const char *path, int *fd_out,
                                               struct gateway_admin_file *file_out,
                                               char why[static GATEWAY_ADMIN_WHY_MAX]);

/* Whether the file is still in its place. */
bool gateway_admin_file_is_there(const struct gateway_admin_file *file);

/* Removes the file, unless another has taken its place; file is empty then. */
void gateway_admin_file_remove(struct gateway_admin_file *file);
