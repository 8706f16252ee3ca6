/* gateway/limits_describe.h - what is counted for one client, over all workers, for people to read.
 *
 * For the admin thread: it reads atomics and the listing, never a generation.
 */
#pragma once
#include "base/json.h"
#include "gateway/process.h"

/* Writes members into the JSON object that is open: "connections", an array with one object for
 * each listener: "listener", "endpoint", "connections". */
void gateway_limits_describe(struct gateway_process *process, const struct ip_address *address,
                             struct json_writer *w);
