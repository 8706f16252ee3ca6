#include "cli/spool.h"

#include "base/slice.h"
#include "cli/commands.h"
#include "cli/group.h"

static const struct cli_command parts[] = {
    { "verify", "read all of it, and tell of every damage", cli_spool_verify },
    { "list", "the messages that are not yet delivered", cli_spool_list },
    { "show", "one message: envelope, what became of it, itself", cli_spool_show },
    { "quarantine", "list, show or remove damaged segments that were put aside",
      cli_spool_quarantine },
    { "selftest", "how fast a disk is, and whether it keeps its word", cli_spool_selftest },
};

static const struct cli_group group = {
    .name = "spool",
    .about = "The spool is that of the configuration (-c FILE), or PATH behind the other\n"
             "arguments. No gateway needs to run. While one does, what is printed is a snapshot.\n",
    .parts = parts,
    .parts_count = ARRAY_LEN(parts),
};

static int run(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

const struct cli_command cli_spool = {
    .name = "spool",
    .summary = "look at a spool on the disk, and at the disk",
    .run = run,
};
