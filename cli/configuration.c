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

static bool load(const char *path, struct config_resolver *resolver,
                 struct config_loaded **loaded_out)
{
    const struct config_load_options options = { .generation = 1,
                                                 .resolver = resolver,
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
    return load(path, config_resolver_system(), loaded_out);
}

/* An address that is nobody's (RFC 6666) for a route that nobody takes: one of this machine could
 * look like mail that goes round in a circle. */
static bool resolve_to_nowhere(struct config_resolver *resolver, const char *host,
                               struct ip_address *addresses, size_t *count_out,
                               const char **why_out)
{
    (void)resolver;
    (void)host;
    (void)why_out;
    addresses[0] = (struct ip_address){ .bytes = { 0x01, 0x00 } };
    *count_out = 1;
    return true;
}

bool cli_load_admin_path(const char *path, char socket_path_out[static CONFIG_SOCKET_PATH_MAX + 1])
{
    struct config_resolver nowhere = { .resolve = resolve_to_nowhere };
    struct config_loaded *loaded = NULL;

    if (!load(path, &nowhere, &loaded))
        return false;
    ASSERT(strlen(loaded->settings.admin_socket_path) <= CONFIG_SOCKET_PATH_MAX);
    memcpy(socket_path_out, loaded->settings.admin_socket_path,
           strlen(loaded->settings.admin_socket_path) + 1);
    config_loaded_destroy(loaded);
    return true;
}
