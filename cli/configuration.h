/* cli/configuration.h - loading a configuration for a command that a person typed. */
#pragma once
#include <limits.h>

#include "config/load.h"

/* Prints each problem on standard error; warnings only when is_verbose. */
void cli_print_problems(const struct config_problems *problems, bool is_verbose);

/* The members "errors", "not_shown" and "problems" of a JSON object that has others already. */
void cli_print_problems_json(const struct config_problems *problems);

/* The configuration of the file, without asking for the other files that it names. False, with
 * its errors printed, when it has some. */
MUST_USE bool cli_load(const char *path, struct config_loaded **loaded_out);

/* Where the gateway of this configuration has its admin socket. Otherwise as cli_load(). */
MUST_USE bool cli_load_admin_path(const char *path,
                                  char socket_path_out[static CONFIG_SOCKET_PATH_MAX + 1]);

/* Where its spool is. Otherwise as cli_load(). */
MUST_USE bool cli_load_spool_path(const char *path, char spool_path_out[static PATH_MAX]);
