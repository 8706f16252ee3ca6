/* cli/commands.h - the commands of the program, one file each. */
#pragma once
#include "cli/command.h"

extern const struct cli_command cli_alerts;       /* alerts.c */
extern const struct cli_command cli_check;        /* check.c */
extern const struct cli_command cli_destinations; /* destinations.c */
extern const struct cli_command cli_explain;      /* explain.c */
extern const struct cli_command cli_export;       /* export.c */
extern const struct cli_command cli_import;       /* import.c */
extern const struct cli_command cli_flush;        /* queue.c */
extern const struct cli_command cli_queue;        /* queue.c */
extern const struct cli_command cli_run;          /* run.c */
extern const struct cli_command cli_spool;        /* spool.c */
extern const struct cli_command cli_status;       /* status.c */
extern const struct cli_command cli_tls_check;    /* tls_check.c */
extern const struct cli_command cli_tls_reports;  /* tls_reports.c */
extern const struct cli_command cli_sink_command; /* sink.c */
extern const struct cli_command cli_load_command; /* load.c; cli_load() loads a configuration */
