#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "cli/commands.h"
#include "cli/options.h"

static const struct cli_command *const commands[] = {
    &cli_run,    &cli_check,     &cli_destinations, &cli_explain,      &cli_import,
    &cli_export, &cli_status,    &cli_queue,        &cli_flush,        &cli_spool,
    &cli_alerts, &cli_tls_check, &cli_tls_reports,  &cli_sink_command, &cli_load_command,
};

static int print_help(void)
{
    printf("usage: postern COMMAND [OPTION...]\n\n"
           "Postern is an SMTP gateway: the gate in front of a mail system.\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n  --version    print the version\n"
           "  --help, -h   this text; postern COMMAND --help tells about a command\n");
    return cli_finish(CLI_EXIT_OK);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "postern: a command is missing; see postern --help\n");
        return CLI_EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0) {
        printf("postern %s\n", POSTERN_VERSION);
        return cli_finish(CLI_EXIT_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "postern: \"%s\" is not a command; see postern --help\n", argv[1]);
    return CLI_EXIT_MISUSE;
}
