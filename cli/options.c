#include "cli/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHORT_MAX   (2 * (CLI_OPTIONS_MAX + 2) + 2)
#define FIRST_VALUE 256 /* of options without a letter */

enum shared { SHARED_HELP = 1000, SHARED_CONFIG, SHARED_JSON };

int cli_error(const char *what, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    fprintf(stderr, "postern: %s: ", what);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_EXIT_FAILED;
}

int cli_misuse(const char *command, const char *format, ...)
{
    va_list args;

    (void)fflush(stdout);
    fprintf(stderr, "postern: %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see postern %s --help\n", command);
    return CLI_EXIT_MISUSE;
}

int cli_finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_error("standard output", "%m");
    return code;
}

static void print_option(char letter, const char *name, const char *argument, const char *help)
{
    char left[64], shown[4] = "   ";

    if (letter != '\0')
        (void)snprintf(shown, sizeof(shown), "-%c,", letter);
    (void)snprintf(left, sizeof(left), "%s --%s%s%s", shown, name, argument != NULL ? " " : "",
                   argument != NULL ? argument : "");
    printf("  %-26s %s\n", left, help);
}

static int print_help(const struct cli_usage *u)
{
    printf("usage: postern %s [OPTION...]%s%s\n\n%s\n", u->name, u->operands[0] != '\0' ? " " : "",
           u->operands, u->about);
    for (size_t i = 0; i < u->options_count; i++)
        print_option(u->options[i].letter, u->options[i].name, u->options[i].argument,
                     u->options[i].help);
    if (u->has_config)
        print_option('c', "config", "FILE", "default: " CLI_CONFIG_DEFAULT);
    if (u->has_json)
        print_option('\0', "json", NULL, "write JSON for programs");
    print_option('\0', "help", NULL, "this text");
    printf("\nExit status: 0 yes or done, 1 no or failed, 2 misused.\n");
    return cli_finish(CLI_EXIT_OK);
}

/* The tables that getopt_long() wants. */
struct tables {
    struct option longs[CLI_OPTIONS_MAX + 4];
    char shorts[SHORT_MAX];
};

static void add(struct tables *t, size_t *longs, size_t *shorts, const char *name, char letter,
                bool has_argument, int value)
{
    t->longs[(*longs)++] = (struct option){ name, has_argument, NULL, value };
    if (letter == '\0')
        return;
    t->shorts[(*shorts)++] = letter;
    if (has_argument)
        t->shorts[(*shorts)++] = ':';
}

static void fill_tables(const struct cli_usage *u, struct tables *t)
{
    size_t longs = 0, shorts = 0;

    *t = (struct tables){ 0 };
    t->shorts[shorts++] = ':'; /* a missing argument is told from an unknown option */
    add(t, &longs, &shorts, "help", '\0', false, SHARED_HELP);
    if (u->has_config)
        add(t, &longs, &shorts, "config", 'c', true, SHARED_CONFIG);
    if (u->has_json)
        add(t, &longs, &shorts, "json", '\0', false, SHARED_JSON);
    for (size_t i = 0; i < u->options_count; i++)
        add(t, &longs, &shorts, u->options[i].name, u->options[i].letter,
            u->options[i].argument != NULL, FIRST_VALUE + (int)i);
    ASSERT(longs < CLI_OPTIONS_MAX + 4 && shorts < SHORT_MAX);
}

/* The option that getopt_long() found: by its value, or by its letter. */
static const struct cli_option *find(const struct cli_usage *u, int value)
{
    if (value >= FIRST_VALUE && (size_t)(value - FIRST_VALUE) < u->options_count)
        return &u->options[value - FIRST_VALUE];
    for (size_t i = 0; i < u->options_count; i++)
        if (u->options[i].letter != '\0' && u->options[i].letter == value)
            return &u->options[i];
    return NULL;
}

int cli_parse(const struct cli_usage *u, int argc, char **argv, struct cli_arguments *arguments_out)
{
    struct cli_arguments a = { .config = CLI_CONFIG_DEFAULT };
    struct tables tables;
    int value;

    ASSERT(u->options_count <= CLI_OPTIONS_MAX);
    fill_tables(u, &tables);
    opterr = 0;
    optind = 0; /* commands may parse more than once in a process */
    while ((value = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
        const struct cli_option *option = find(u, value);

        if (value == SHARED_HELP)
            return print_help(u);
        if (value == '?' || value == ':')
            return cli_misuse(u->name, value == '?' ? "unknown option %s" : "%s needs an argument",
                              argv[optind - 1]);
        if (value == SHARED_CONFIG || (u->has_config && value == 'c'))
            a.config = optarg;
        else if (value == SHARED_JSON)
            a.json = true;
        else if (option != NULL)
            *option->value = optarg != NULL ? optarg : "";
    }
    a.operands = argv + optind;
    a.operands_count = argc - optind;
    if (a.operands_count < u->operands_min)
        return cli_misuse(u->name, "%s is missing", u->operands);
    if (a.operands_count > u->operands_max)
        return cli_misuse(u->name, "\"%s\" is one argument too many", a.operands[u->operands_max]);
    *arguments_out = a;
    return CLI_GO_ON;
}
