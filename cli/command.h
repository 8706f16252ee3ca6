/* cli/command.h - one command of the program `postern`. */
#pragma once

enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1, /* it was asked the right way, and the answer is no */
    CLI_EXIT_MISUSE = 2  /* it was not: unknown option, missing argument */
};

struct cli_command {
    const char *name;
    const char *summary; /* one line for `postern --help` */
    /* argv[0] is the command's name. Returns an exit status, enum cli_exit. */
    int (*run)(int argc, char **argv);
};
