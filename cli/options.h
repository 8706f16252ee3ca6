/* cli/options.h - the manners that all commands share.
 *
 * --help, or -h, prints what the command does and ends with 0; a misuse is told on standard error
 * in one line and ends with 2; a failure is told as "postern: what: why" and ends with 1.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "cli/command.h"

#define CLI_CONFIG_DEFAULT "/etc/postern/postern.conf"
#define CLI_OPTIONS_MAX    24
#define CLI_GO_ON          (-1)

/* An option of one command; -h, -c and --json are shared and not listed. */
struct cli_option {
    const char *name;     /* "host", typed --host */
    char letter;          /* also typed as -x; not h or c; '\0': no short form */
    const char *argument; /* "NAME"; NULL: the option takes none */
    const char *help;     /* one line */
    const char **value;   /* set to the argument, or to "" for an option without one */

    /* Left out by most options. */
    size_t *values_count;      /* the option may be repeated: value is an array, and this says */
    size_t values_max;         /*   how many of its values_max elements were set */
    bool argument_is_optional; /* --starttls or --starttls=MODE; "" without it */
};

struct cli_usage {
    const char *name;     /* "explain sender" */
    const char *operands; /* "IP"; "" for none */
    const char *about;    /* what it does, lines of at most 80 columns, each ended by "\n" */
    bool has_config;      /* -c, --config FILE */
    bool has_json;        /* --json */
    const struct cli_option *options;
    size_t options_count; /* at most CLI_OPTIONS_MAX */
    int operands_min;
    int operands_max;
};

struct cli_arguments {
    const char *config; /* CLI_CONFIG_DEFAULT unless -c was given */
    bool json;
    char **operands;
    int operands_count;
};

/* CLI_GO_ON, with *arguments_out filled in; otherwise the exit status, everything said. */
MUST_USE int cli_parse(const struct cli_usage *usage, int argc, char **argv,
                       struct cli_arguments *arguments_out);

/* Prints "postern: WHAT: " and the formatted why. Returns CLI_EXIT_FAILED. */
int cli_error(const char *what, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same with a pointer to --help. Returns CLI_EXIT_MISUSE. */
int cli_misuse(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes sure that everything written to standard output has arrived: code, or CLI_EXIT_FAILED. */
MUST_USE int cli_finish(int code);
