#include "cli/commands.h"
#include "cli/options.h"
#include "gateway/probe.h"
#include "gateway/supervisor.h"

static const char *probe;

static const struct cli_option options[] = {
    { .name = "probe",
      .help = "print what the kernel lets the engine do, and end",
      .value = &probe },
};

static const struct cli_usage usage = {
    .name = "run",
    .operands = "",
    .about = "Runs the gateway in the foreground until SIGTERM. SIGHUP reads the configuration\n"
             "again without dropping a session; SIGUSR1 opens the log file again; SIGTERM lets\n"
             "sessions end within the grace time, and a second SIGTERM leaves at once.\n",
    .has_config = true,
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int code = cli_parse(&usage, argc, argv, &arguments);

    if (code != CLI_GO_ON)
        return code;
    if (probe != NULL)
        return cli_finish(gateway_probe());
    return gateway_run(arguments.config);
}

const struct cli_command cli_run = {
    .name = "run",
    .summary = "run the gateway in the foreground",
    .run = run,
};
