/* gateway/helpers.h - the threads of the process for what can only be done blocking.
 *
 * One for the segments of the spool, committers where the disk wants them, those of MTA-STS. For
 * the supervisor, when the spool is open.
 */
#pragma once
#include "gateway/process.h"

/* Before any worker runs. What could not be had is on standard error. */
MUST_USE enum status gateway_helpers_start(struct gateway_process *process);

/* All workers have ended, and their loops are still there. */
void gateway_helpers_stop(struct gateway_process *process);
