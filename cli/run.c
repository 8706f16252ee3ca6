#include <stdbool.h>
#include <stddef.h>

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

/* Of jemalloc; not there where a sanitizer brings an allocator of its own. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *fresh, size_t fresh_bytes)
    __attribute__((weak));

/* What is freed goes back to the system after seconds, also in arenas that nobody uses any more:
 * what a start needed to find its mail would stay otherwise. Refused, it does. */
static void give_memory_back(void)
{
    bool yes = true;

    if (mallctl != NULL)
        (void)mallctl("background_thread", NULL, NULL, &yes, sizeof(yes));
}

static int run(int argc, char **argv)
{
    struct cli_arguments arguments;
    int code = cli_parse(&usage, argc, argv, &arguments);

    if (code != CLI_GO_ON)
        return code;
    if (probe != NULL)
        return cli_finish(gateway_probe());
    give_memory_back();
    return gateway_run(arguments.config);
}

const struct cli_command cli_run = {
    .name = "run",
    .summary = "run the gateway in the foreground",
    .run = run,
};
