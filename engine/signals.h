/* engine/signals.h - the signals of the process, waited for by the supervisor's thread.
 *
 * engine_signals_block() is called first thing in main(), before any thread exists, so that all
 * threads inherit the mask and only engine_signals_wait() takes a signal.
 */
#pragma once
#include <stdint.h>

/* Blocks SIGHUP, SIGTERM, SIGINT and SIGUSR1; ignores SIGPIPE. */
void engine_signals_block(void);

/* The number of the next of these signals, or 0 when timeout_ms have passed without one. */
int engine_signals_wait(uint64_t timeout_ms);
