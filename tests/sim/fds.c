#include "tests/sim/fds.h"

#include <errno.h>
#include <stddef.h>

#include "tests/sim/world.h"

static struct {
    enum sim_fd_kind kind;
    void *object;
} table[SIM_FDS_MAX];

bool sim_fd_is_ours(int fd)
{
    return fd >= SIM_FD_FIRST && fd < SIM_FD_FIRST + SIM_FDS_MAX;
}

int sim_fd_take(enum sim_fd_kind kind, void *object)
{
    for (int i = 0; i < SIM_FDS_MAX; i++) {
        if (table[i].kind != SIM_FD_FREE)
            continue;
        table[i].kind = kind;
        table[i].object = object;
        return SIM_FD_FIRST + i;
    }
    return -EMFILE;
}

enum sim_fd_kind sim_fd_kind(int fd)
{
    return sim_fd_is_ours(fd) ? table[fd - SIM_FD_FIRST].kind : SIM_FD_FREE;
}

void *sim_fd_object(int fd, enum sim_fd_kind kind)
{
    return sim_fd_kind(fd) == kind ? table[fd - SIM_FD_FIRST].object : NULL;
}

void sim_fd_release(int fd)
{
    if (sim_fd_kind(fd) == SIM_FD_FREE)
        sim_fault("fd %d is closed, and was not open", fd);
    table[fd - SIM_FD_FIRST].kind = SIM_FD_FREE;
}

unsigned sim_fds_of(enum sim_fd_kind kind)
{
    unsigned count = 0;

    for (int i = 0; i < SIM_FDS_MAX; i++)
        count += table[i].kind == kind;
    return count;
}

void sim_fds_end(void (*leave)(enum sim_fd_kind kind, void *object))
{
    for (int i = 0; i < SIM_FDS_MAX; i++) {
        if (table[i].kind == SIM_FD_FREE)
            continue;
        leave(table[i].kind, table[i].object);
        table[i].kind = SIM_FD_FREE;
    }
}
