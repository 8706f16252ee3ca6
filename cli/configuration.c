#include "cli/configuration.h"

#include <stdio.h>

#include "cli/json.h"

#define LINE_MAX_BYTES 8192

void cli_print_problems(const struct config_problems *problems, bool is_verbose)
{
    char line[LINE_MAX_BYTES];

    for (size_t i = 0; i < problems->count; i++)
        if (is_verbose || problems->items[i].severity == CONFIG_ERROR)
            fprintf(stderr, "%s\n", config_problem_format(&problems->items[i], line, sizeof(line)));
    if (problems->dropped_count > 0)
        fprintf(stderr, "and %zu more\n", problems->dropped_count);
}

void cli_print_problems_json(const struct config_problems *problems)
{
    cli_json_number(false, "errors", problems->errors_count);
    cli_json_number(false, "not_shown", problems->dropped_count);
    cli_json_name(false, "problems");
    putchar('[');
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *p = &problems->items[i];

        fputs(i > 0 ? ",\n  {" : "\n  {", stdout);
        cli_json_member(true, "file", slice_from(p->file));
        cli_json_number(false, "line", p->line);
        cli_json_member(false, "severity",
                        p->severity == CONFIG_ERROR ? SLICE("error") : SLICE("warning"));
        cli_json_member(false, "reason", slice_from(p->text));
        putchar('}');
    }
    fputs(problems->count > 0 ? "\n]" : "]", stdout);
}

static bool load(const char *path, struct config_machine *machine,
                 struct config_loaded **loaded_out)
{
    const struct config_load_options options = { .generation = 1,
                                                 .machine = machine,
                                                 .skip_files = true };
    struct config_problems problems;
    bool ok;

    config_problems_init(&problems);
    ok = config_load_file(path, &options, loaded_out, &problems) == STATUS_OK;
    if (!ok)
        cli_print_problems(&problems, false);
    config_problems_finish(&problems);
    return ok;
}

bool cli_load(const char *path, struct config_loaded **loaded_out)
{
    return load(path, config_machine_here(), loaded_out);
}

bool cli_load_admin_path(const char *path, char socket_path_out[static CONFIG_SOCKET_PATH_MAX + 1])
{
    struct config_loaded *loaded = NULL;

    if (!load(path, NULL, &loaded))
        return false;
    ASSERT(strlen(loaded->settings.admin_socket_path) <= CONFIG_SOCKET_PATH_MAX);
    memcpy(socket_path_out, loaded->settings.admin_socket_path,
           strlen(loaded->settings.admin_socket_path) + 1);
    config_loaded_destroy(loaded);
    return true;
}

bool cli_load_spool_path(const char *path, char spool_path_out[static PATH_MAX])
{
    struct config_loaded *loaded = NULL;
    size_t len;
    bool fits;

    if (!load(path, NULL, &loaded))
        return false;
    len = strlen(loaded->settings.spool_path);
    fits = len < PATH_MAX;
    if (fits)
        memcpy(spool_path_out, loaded->settings.spool_path, len + 1);
    else
        fprintf(stderr, "%s: spool.path is too long\n", path);
    config_loaded_destroy(loaded);
    return fits;
}
