#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/json.h"
#include "cli/options.h"
#include "gateway/tls_judge.h"

static const struct cli_usage usage = {
    .name = "check",
    .operands = "",
    .about =
        "Reads a configuration as `postern run` would, and says everything that is wrong\n"
        "with it: one line on standard error for each problem, FILE:LINE: reason. A line\n"
        "with \"warning:\" does not keep the gateway from running. Certificates are warned of\n"
        "30 days before they expire.\n",
    .has_config = true,
    .has_json = true,
};

static void print_json(const struct config_problems *problems, bool ok)
{
    putchar('{');
    cli_json_bool(true, "ok", ok);
    cli_print_problems_json(problems);
    fputs("}\n", stdout);
}

static int run(int argc, char **argv)
{
    const struct config_load_options options = { .generation = 1,
                                                 .machine = config_machine_here(),
                                                 .judge = gateway_tls_judge_ahead() };
    struct config_problems problems;
    struct config_loaded *loaded = NULL;
    struct cli_arguments a;
    int code = cli_parse(&usage, argc, argv, &a);
    bool ok;

    if (code != CLI_GO_ON)
        return code;
    config_problems_init(&problems);
    ok = config_load_file(a.config, &options, &loaded, &problems) == STATUS_OK;
    if (a.json)
        print_json(&problems, ok);
    else
        cli_print_problems(&problems, true);
    if (ok && !a.json)
        printf("%s: ok\n", a.config);
    config_loaded_destroy(loaded);
    config_problems_finish(&problems);
    return cli_finish(ok ? CLI_EXIT_OK : CLI_EXIT_FAILED);
}

const struct cli_command cli_check = { "check", "say everything that is wrong with a configuration",
                                       run };
