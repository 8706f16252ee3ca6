#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/group.h"
#include "cli/options.h"
#include "config/asyncos_destinations.h"

static const struct cli_usage destinations_usage = {
    .name = "export destinations",
    .operands = "",
    .about = "Prints the destinations as the file that destconfig of AsyncOS imports. What it has\n"
             "no key for is told on standard error.\n",
    .has_config = true,
};

static int run_destinations(int argc, char **argv)
{
    struct config_problems problems;
    struct config_loaded *loaded;
    struct cli_arguments a;
    struct buffer out;
    int code = cli_parse(&destinations_usage, argc, argv, &a);

    if (code != CLI_GO_ON)
        return code;
    if (!cli_load(a.config, &loaded))
        return CLI_EXIT_FAILED;
    config_problems_init(&problems);
    buffer_init(&out, CONFIG_ASYNCOS_OUTPUT_MAX);
    code = CLI_EXIT_OK;
    if (config_export_destinations(loaded, a.config, &out, &problems) == STATUS_OK)
        fwrite(buffer_contents(&out).data, 1, buffer_len(&out), stdout);
    else
        code = cli_error(destinations_usage.name, "there is not enough memory");
    cli_print_problems(&problems, true);
    buffer_finish(&out);
    config_problems_finish(&problems);
    config_loaded_destroy(loaded);
    return cli_finish(code);
}

static const struct cli_command parts[] = {
    { "destinations", "the destinations as the file that destconfig imports", run_destinations },
};

static const struct cli_group group = { "export", "", parts, ARRAY_LEN(parts) };

static int run(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

const struct cli_command cli_export = { "export", "print a table of ours as one of AsyncOS", run };
