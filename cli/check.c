#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/json.h"
#include "cli/options.h"
#include "tls/context.h"

static const struct cli_usage usage = {
    .name = "check",
    .operands = "",
    .about = "Reads a configuration as `postern run` would, and says everything that is wrong\n"
             "with it: one line on standard error for each problem, FILE:LINE: reason. A line\n"
             "with \"warning:\" does not keep the gateway from running.\n",
    .has_config = true,
    .has_json = true,
};

static bool is_used_before(const struct config_settings *settings, size_t listener)
{
    for (size_t i = 0; i < listener; i++)
        if (settings->listeners[i].certificate == settings->listeners[listener].certificate)
            return true;
    return false;
}

/* The certificates that listeners use must load, with keys that fit. */
static void check_certificates(const char *path, const struct config_settings *settings,
                               struct config_problems *problems)
{
    for (size_t i = 0; i < settings->listeners_count; i++) {
        const struct config_certificate *c = settings->listeners[i].certificate;
        struct tls_certificate_files files[CONFIG_CERTIFICATE_PAIRS_MAX];
        struct tls_context *context = NULL;
        struct tls_error error = { 0 };
        enum status status;

        if (c == NULL || is_used_before(settings, i))
            continue;
        for (size_t k = 0; k < c->pairs_count; k++)
            files[k] =
                (struct tls_certificate_files){ c->pairs[k].chain_path, c->pairs[k].key_path };
        const struct tls_server_options options = {
            .certificates = files,
            .certificates_count = c->pairs_count,
            .min_version =
                settings->tls_version_min == CONFIG_TLS_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_1_2,
        };

        status = tls_context_create_server(&options, &context, &error);
        if (status != STATUS_OK || error.text[0] != '\0')
            config_problems_add(problems, status != STATUS_OK ? CONFIG_ERROR : CONFIG_WARNING, path,
                                0, "certificate \"%s\" of listener \"%s\": %s", c->name,
                                settings->listeners[i].name,
                                error.text[0] != '\0' ? error.text : status_text(status));
        tls_context_destroy(context);
    }
}

static void print_json(const struct config_problems *problems, bool ok)
{
    putchar('{');
    cli_json_bool(true, "ok", ok);
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
    fputs(problems->count > 0 ? "\n]}\n" : "]}\n", stdout);
}

static int run(int argc, char **argv)
{
    struct config_problems problems;
    struct config_loaded *loaded = NULL;
    struct cli_arguments a;
    int code = cli_parse(&usage, argc, argv, &a);
    bool ok;

    if (code != CLI_GO_ON)
        return code;
    config_problems_init(&problems);
    ok = config_load(a.config, 1, &loaded, &problems) == STATUS_OK;
    if (ok)
        check_certificates(a.config, &loaded->settings, &problems);
    ok = ok && problems.errors_count == 0;
    if (a.json)
        print_json(&problems, ok);
    else
        cli_print_problems(&problems, true);
    if (ok && !a.json)
        printf("%s: ok\n", a.config);
    config_loaded_destroy(loaded);
    config_problems_finish(&problems);
    return cli_finish(ok ? CLI_EXIT_OK : CLI_EXIT_FAILED);
}

const struct cli_command cli_check = { "check", "say everything that is wrong with a configuration",
                                       run };
