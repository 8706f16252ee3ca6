#include "cli/explain.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"

static const struct cli_usage usage = {
    .name = "explain",
    .operands = "sender|destination",
    .about = "postern explain sender IP [--host NAME] [--score N] [--country XX] [--listed ZONE]\n"
             "    [--reverse RESULT] [--running] [--listener NAME] [-c FILE] [--json]\n"
             "    which row of the HAT decides about a host, and why\n"
             "postern explain destination DOMAIN [-c FILE] [--json]\n"
             "    how mail for a domain leaves\n",
    .operands_min = 1,
    .operands_max = 1,
};

static int run(int argc, char **argv)
{
    struct cli_arguments a;
    int code;

    if (argc > 1 && strcmp(argv[1], "sender") == 0)
        return cli_explain_sender(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "destination") == 0)
        return cli_explain_destination(argc - 1, argv + 1);
    code = cli_parse(&usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    return cli_misuse("explain", "\"%s\" is neither \"sender\" nor \"destination\"", a.operands[0]);
}

const struct cli_command cli_explain = {
    "explain", "say what a configuration does with a host or a domain, and why", run
};
