#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/group.h"
#include "cli/json.h"
#include "cli/options.h"
#include "config/asyncos_destinations.h"
#include "config/asyncos_hat.h"
#include "config/asyncos_rat.h"
#include "config/asyncos_routes.h"

#define NAME_DEFAULT   "inbound"
#define READ_BYTES     65536
#define STANDARD_INPUT "-"

static const char *table_name;

static const struct cli_option import_options[] = {
    { "name", '\0', "NAME", "of the table in the output; default: " NAME_DEFAULT, &table_name },
};

static const struct cli_usage hat_usage = {
    .name = "import hat",
    .operands = "FILE",
    .about =
        "Reads a Host Access Table that AsyncOS has exported (listenerconfig > edit >\n"
        "hostaccess > export; \"-\" is standard input) and prints it as mail_flow_policies and\n"
        "hat of our configuration, comments included. Put it into a file of its own and\n"
        "take it in with @include.\n"
        "\n"
        "What cannot be carried over is told on standard error, FILE:LINE: warning: reason.\n"
        "What is not understood is an error, and then nothing is printed: a table with a\n"
        "row missing would be another table.\n",
    .has_json = true,
    .options = import_options,
    .options_count = ARRAY_LEN(import_options),
    .operands_min = 1,
    .operands_max = 1,
};

static const struct cli_usage rat_usage = {
    .name = "import rat",
    .operands = "FILE",
    .about = "Reads a Recipient Access Table that AsyncOS has exported (listenerconfig > edit >\n"
             "rcptaccess > export; \"-\" is standard input) and prints it as rat of our\n"
             "configuration, comments included. Put it into a file of its own and take it in\n"
             "with @include.\n"
             "\n"
             "What cannot be carried over is told on standard error, FILE:LINE: warning: reason.\n"
             "What is not understood is an error, and then nothing is printed.\n",
    .has_json = true,
    .options = import_options,
    .options_count = ARRAY_LEN(import_options),
    .operands_min = 1,
    .operands_max = 1,
};

static const struct cli_usage destinations_usage = {
    .name = "import destinations",
    .operands = "FILE",
    .about =
        "Reads the Destination Controls that AsyncOS has exported (destconfig > export; \"-\" is\n"
        "standard input) and prints them as destinations of our configuration, comments\n"
        "included. Put it into a file of its own and take it in with @include.\n"
        "\n"
        "What cannot be carried over is told on standard error, FILE:LINE: warning: reason.\n"
        "What is not understood is an error, and then nothing is printed.\n",
    .has_json = true,
    .operands_min = 1,
    .operands_max = 1,
};

static const struct cli_usage routes_usage = {
    .name = "import routes",
    .operands = "FILE",
    .about =
        "Reads the SMTP routes that AsyncOS has exported (smtproutes > export; \"-\" is standard\n"
        "input) and prints them as routes of our configuration, comments included. A line is\n"
        "a domain, \".domain\" or ALL, and its hosts: DOMAIN HOST[:PORT][/pri=N], ...\n"
        "\n"
        "What is not understood is an error, and then nothing is printed.\n",
    .has_json = true,
    .operands_min = 1,
    .operands_max = 1,
};

typedef enum status import_function(const struct config_asyncos_import *import, struct buffer *out,
                                    struct config_problems *problems);

/* False, with errno set, when it cannot be read. One byte more than a text may have is enough to
 * see that it is too large. */
static bool read_stream(FILE *stream, struct buffer *text)
{
    while (buffer_room(text) > 0) {
        size_t room_bytes = buffer_room(text) < READ_BYTES ? buffer_room(text) : READ_BYTES, got;
        char *room;

        errno = ENOMEM;
        if (buffer_reserve(text, room_bytes, &room) != STATUS_OK)
            return false;
        errno = 0;
        got = fread(room, 1, room_bytes, stream);
        buffer_commit(text, got);
        if (got < room_bytes)
            return !ferror(stream);
    }
    return true;
}

static bool read_file(const char *path, struct buffer *text)
{
    bool is_input = strcmp(path, STANDARD_INPUT) == 0;
    FILE *stream = is_input ? stdin : fopen(path, "re");
    bool ok = stream != NULL && read_stream(stream, text);
    int error = errno;

    if (stream != NULL && !is_input)
        (void)fclose(stream);
    errno = error;
    return ok;
}

static void print_json(const struct config_problems *problems, bool ok, struct slice configuration)
{
    putchar('{');
    cli_json_bool(true, "ok", ok);
    cli_print_problems_json(problems);
    cli_json_member(false, "configuration", configuration);
    fputs("}\n", stdout);
}

static int import(const char *path, bool json, struct slice text, import_function *function)
{
    const struct config_asyncos_import import = { .file = path, .name = table_name, .text = text };
    struct config_problems problems;
    struct buffer out;
    bool ok;

    config_problems_init(&problems);
    buffer_init(&out, CONFIG_ASYNCOS_OUTPUT_MAX);
    ok = function(&import, &out, &problems) == STATUS_OK;
    if (!ok)
        buffer_clear(&out);
    if (json) {
        print_json(&problems, ok, buffer_contents(&out));
    } else {
        cli_print_problems(&problems, true);
        if (ok)
            fwrite(buffer_contents(&out).data, 1, buffer_len(&out), stdout);
    }
    buffer_finish(&out);
    config_problems_finish(&problems);
    return ok ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}

static int run_table(const struct cli_usage *usage, import_function *function, int argc,
                     char **argv)
{
    struct cli_arguments a;
    struct buffer text;
    int code;

    table_name = NAME_DEFAULT;
    code = cli_parse(usage, argc, argv, &a);
    if (code != CLI_GO_ON)
        return code;
    if (!config_asyncos_name_is_valid(slice_from(table_name)))
        return cli_misuse(usage->name,
                          "\"%s\" is not a name: a letter, then letters, digits, \"-\", \"_\"",
                          table_name);
    buffer_init(&text, CONFIG_ASYNCOS_BYTES_MAX + 1);
    if (read_file(a.operands[0], &text))
        code = import(a.operands[0], a.json, buffer_contents(&text), function);
    else
        code = cli_error(usage->name, "cannot read %s: %m", a.operands[0]);
    buffer_finish(&text);
    return cli_finish(code);
}

static int run_hat(int argc, char **argv)
{
    return run_table(&hat_usage, config_import_hat, argc, argv);
}

static int run_rat(int argc, char **argv)
{
    return run_table(&rat_usage, config_import_rat, argc, argv);
}

static int run_destinations(int argc, char **argv)
{
    return run_table(&destinations_usage, config_import_destinations, argc, argv);
}

static int run_routes(int argc, char **argv)
{
    return run_table(&routes_usage, config_import_routes, argc, argv);
}

static const struct cli_command parts[] = {
    { "hat", "a Host Access Table, with its mail flow policies", run_hat },
    { "rat", "a Recipient Access Table", run_rat },
    { "destinations", "Destination Controls", run_destinations },
    { "routes", "SMTP routes", run_routes },
};

static const struct cli_group group = {
    .name = "import",
    .about =
        "Each reads a FILE that AsyncOS has exported, prints our configuration, and tells what\n"
        "it could not carry over.\n",
    .parts = parts,
    .parts_count = ARRAY_LEN(parts),
};

static int run(int argc, char **argv)
{
    return cli_group_run(&group, argc, argv);
}

const struct cli_command cli_import = { "import", "print a table of AsyncOS as our configuration",
                                        run };
