#include "cli/explain.h"

#include "base/slice.h"
#include "cli/commands.h"
#include "cli/group.h"

static const struct cli_command parts[] = {
    { "sender", "which row of the HAT decides about a host, and why", cli_explain_sender },
    { "destination", "how mail for a domain leaves", cli_explain_destination },
};

static const struct cli_group group = { "explain", "", parts, ARRAY_LEN(parts) };

static int run(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

const struct cli_command cli_explain = {
    "explain", "say what a configuration does with a host or a domain, and why", run
};
