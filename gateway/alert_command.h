/* gateway/alert_command.h - a program of the operator's that is run for each alert.
 *
 * A thread of its own runs one after another, so that one that hangs holds up nothing but other
 * alerts' commands: at most GATEWAY_ALERT_COMMANDS_MAX wait. The program gets no arguments and no
 * shell; the alert's text on its standard input; an environment of PATH, POSTERN_HOSTNAME and
 * POSTERN_ALERT_KIND, _STEP, _SEVERITY, _ABOUT and _SUBJECT; a session of its own; default signals
 * and none of our descriptors. What it writes is logged, cut at GATEWAY_ALERT_OUTPUT_MAX. After
 * GATEWAY_ALERT_COMMAND_MS its process group is killed.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"
#include "observe/alert_text.h"
#include "observe/maillog.h"

#define GATEWAY_ALERT_COMMANDS_MAX     32
#define GATEWAY_ALERT_COMMAND_MS       30000
#define GATEWAY_ALERT_COMMAND_GRACE_MS 2000 /* when the gateway stops */
#define GATEWAY_ALERT_OUTPUT_MAX       1000

struct gateway_alert_command; /* opaque */

/* log: for this thread alone. */
MUST_USE enum status gateway_alert_command_create(struct observe_log_writer *log,
                                                  struct gateway_alert_command **command_out);

/* Ends the thread: what waits is not run. Accepts NULL. */
void gateway_alert_command_destroy(struct gateway_alert_command *command);

struct gateway_alert_call {
    const char *path;
    const char *hostname;
    const struct observe_alert_notice *notice;
    struct slice body;
};

/* Copies all of it. STATUS_LIMIT: too many wait; STATUS_NO_MEMORY. */
MUST_USE enum status gateway_alert_command_put(struct gateway_alert_command *command,
                                               const struct gateway_alert_call *call);
