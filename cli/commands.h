/* cli/commands.h - the commands of the program, one file each. */
#pragma once
#include "cli/command.h"

extern const struct cli_command cli_check;   /* check.c */
extern const struct cli_command cli_explain; /* explain.c */
extern const struct cli_command cli_run;     /* run.c */
