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

static void print_option(const struct cli_option *o)
{
    const char *before = o->argument_is_optional ? "[=" : o->argument != NULL ? " " : "";
    const char *after = o->argument_is_optional ? "]" : "";
    char left[64], shown[4] = "   ";

    if (o->letter != '\0')
        (void)snprintf(shown, sizeof(shown), "-%c,", o->letter);
    (void)snprintf(left, sizeof(left), "%s --%s%s%s%s", shown, o->name, before,
                   o->argument != NULL ? o->argument : "", after);
    printf("  %-26s %s\n", left, o->help);
}

static const struct cli_option help_option = { .name = "help", .letter = 'h', .help = "this text" };
static const struct cli_option json_option = { .name = "json", .help = "write JSON for programs" };
static const struct cli_option config_option = {
    .name = "config", .letter = 'c', .argument = "FILE", .help = "default: " CLI_CONFIG_DEFAULT
};

static int print_help(const struct cli_usage *u)
{
    printf("usage: postern %s [OPTION...]%s%s\n\n%s\n", u->name, u->operands[0] != '\0' ? " " : "",
           u->operands, u->about);
    for (size_t i = 0; i < u->options_count; i++)
        print_option(&u->options[i]);
    if (u->has_config)
        print_option(&config_option);
    if (u->has_json)
        print_option(&json_option);
    print_option(&help_option);
    printf("\nExit status: 0 yes or done, 1 no or failed, 2 misused.\n");
    return cli_finish(CLI_EXIT_OK);
}

/* The tables that getopt_long() wants. */
struct tables {
    struct option longs[CLI_OPTIONS_MAX + 4];
    char shorts[SHORT_MAX];
};

static void add(struct tables *t, size_t *longs, size_t *shorts, const struct cli_option *o,
                int value)
{
    int argument = o->argument == NULL       ? no_argument
                   : o->argument_is_optional ? optional_argument
                                             : required_argument;

    t->longs[(*longs)++] = (struct option){ o->name, argument, NULL, value };
    if (o->letter == '\0')
        return;
    t->shorts[(*shorts)++] = o->letter;
    if (argument != no_argument)
        t->shorts[(*shorts)++] = ':';
}

static void fill_tables(const struct cli_usage *u, struct tables *t)
{
    size_t longs = 0, shorts = 0;

    *t = (struct tables){ 0 };
    t->shorts[shorts++] = ':'; /* a missing argument is told from an unknown option */
    add(t, &longs, &shorts, &help_option, SHARED_HELP);
    if (u->has_config)
        add(t, &longs, &shorts, &config_option, SHARED_CONFIG);
    if (u->has_json)
        add(t, &longs, &shorts, &json_option, SHARED_JSON);
    for (size_t i = 0; i < u->options_count; i++)
        add(t, &longs, &shorts, &u->options[i], FIRST_VALUE + (int)i);
    ASSERT(longs < CLI_OPTIONS_MAX + 4 && shorts < SHORT_MAX);
}

/* False when it was given too often. */
static bool set(const struct cli_option *o, const char *argument)
{
    const char *value = argument != NULL ? argument : "";

    if (o->values_count == NULL) {
        *o->value = value;
        return true;
    }
    if (*o->values_count == o->values_max)
        return false;
    o->value[(*o->values_count)++] = value;
    return true;
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

        if (value == SHARED_HELP || value == help_option.letter)
            return print_help(u);
        if (value == '?' || value == ':')
            return cli_misuse(u->name, value == '?' ? "unknown option %s" : "%s needs an argument",
                              argv[optind - 1]);
        if (value == SHARED_CONFIG || (u->has_config && value == 'c'))
            a.config = optarg;
        else if (value == SHARED_JSON)
            a.json = true;
        else if (option != NULL && !set(option, optarg))
            return cli_misuse(u->name, "--%s can be given %zu times", option->name,
                              option->values_max);
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
