/* tests/sim/fds.h - the descriptors of the simulated process, apart from the real ones.
 *
 * As in a kernel the lowest free number is given out, so that a descriptor used after its close
 * meets somebody else's file.
 */
#pragma once
#include <stdbool.h>

#define SIM_FD_FIRST 100000
#define SIM_FDS_MAX  4096

enum sim_fd_kind {
    SIM_FD_FREE,
    SIM_FD_FILE, /* a struct sim_node of disk.h, folders as well */
    SIM_FD_SOCKET,
    SIM_FD_LISTENER,
    SIM_FD_BELL
};

bool sim_fd_is_ours(int fd);                          /* else it is a real one */
int sim_fd_take(enum sim_fd_kind kind, void *object); /* or -EMFILE */
enum sim_fd_kind sim_fd_kind(int fd);
void *sim_fd_object(int fd, enum sim_fd_kind kind); /* NULL: it is no such descriptor */
void sim_fd_release(int fd);
unsigned sim_fds_of(enum sim_fd_kind kind); /* that are open */

/* The process has ended. `leave` sees what was open, before it goes. */
void sim_fds_end(void (*leave)(enum sim_fd_kind kind, void *object));
