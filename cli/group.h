/* cli/group.h - a command that only has commands below it: `postern queue list`.
 *
 * Its --help and -h list them, a line each, and end with 0; without a word behind its name, the
 * same list is on standard error, and the end is a misuse.
 */
#pragma once
#include <stddef.h>

#include "cli/command.h"

struct cli_group {
    const char *name;  /* "queue" */
    const char *about; /* more of what there is to say, behind the list; lines, or "" */
    const struct cli_command *parts;
    size_t parts_count;
};

/* Runs the part that argv[1] names, with the arguments behind the group's name. */
int cli_group_run(const struct cli_group *group, int argc, char **argv);
