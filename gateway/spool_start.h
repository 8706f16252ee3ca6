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

/* The spool's own limit, and what is to be left of its disk: sets process->spool_is_low, and says
 * whether that is a change. While it is low MAIL gets 452; results and bounces are still written,
 * which may take a segment or two more for each worker. */
bool gateway_spool_has_turned(struct gateway_process *process,
                              const struct config_settings *settings, bool *is_low_out);
