#include "cli/spool.h"

#include <string.h>

#include "base/slice.h"
#include "cli/commands.h"
#include "cli/options.h"

static const struct cli_usage usage = {
    .name = "spool",
    .operands = "verify|list|show|quarantine|selftest",
    .about = "postern spool verify [PATH]\n"
             "    reads all of it, and tells of every damage\n"
             "postern spool list [PATH]\n"
             "    the messages that are not yet delivered\n"
             "postern spool show MID [PATH]\n"
             "    one message: envelope, what became of it, itself\n"
             "postern spool quarantine list|show|remove\n"
             "    damaged segments that were put aside\n"
             "postern spool selftest DIR\n"
             "    how fast the disk is, and whether it keeps its word\n"
             "\n"
             "PATH is the spool; without it, that of the configuration (-c FILE). No gateway\n"
             "needs to run. While one does, what is printed is a snapshot.\n",
    .operands_min = 1,
    .operands_max = 1,
};

static int run(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } parts[] = {
        { "verify", cli_spool_verify },     { "list", cli_spool_list },
        { "show", cli_spool_show },         { "quarantine", cli_spool_quarantine },
        { "selftest", cli_spool_selftest },
    };
    struct cli_arguments a;
    int code;

    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(parts); i++)
        if (strcmp(argv[1], parts[i].name) == 0)
            return parts[i].run(argc - 1, argv + 1);
    code = cli_parse(&usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    return cli_misuse("spool", "\"%s\" is none of its commands", a.operands[0]);
}

const struct cli_command cli_spool = {
    .name = "spool",
    .summary = "look at a spool on the disk, and at the disk",
    .run = run,
};
