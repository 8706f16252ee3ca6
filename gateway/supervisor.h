/* gateway/supervisor.h - the process: starts the workers, waits for signals, ends it all.
 *
 * SIGHUP reads the configuration anew: a thread of low priority parses, checks and
 * compiles while the workers go on, then each gets its own view by message. A file with an error
 * changes nothing. SIGTERM and SIGINT stop gracefully within the grace time; a second one leaves at
 * once, and nothing that got a 250 is lost by that. SIGUSR1 opens the log file again, after a
 * rotation.
 */
#pragma once

/* Runs until a signal ends it. Returns the exit code: 0, or 1 when it could not start; why is on
 * standard error in one line for each reason. */
int gateway_run(const char *config_path);
