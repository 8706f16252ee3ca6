/* gateway/spool_start.h - opens the spool.
 *
 * Blocking; for the supervisor, before any worker runs. What goes wrong is said on standard
 * error in one line. What the spool holds is read later: gateway/recovery.h.
 */
#pragma once
#include "gateway/process.h"
#include "gateway/worker.h"

/* Opens and locks the directory, finds out how the disk can be written, lists the segments,
 * reserves identifiers. */
MUST_USE enum status gateway_spool_open(struct gateway_process *process,
                                        const struct config_settings *settings);
void gateway_spool_close(struct gateway_process *process);
