/* gateway/alerts.h - telling people of trouble: in the mail log, by mail, and by a command.
 *
 * One thread, the keeper, holds the table that says what is sent and what is held back
 * (observe/alerts.h). It is no worker, and needs none but for mail: with a worker that hangs, a
 * spool that stands still or a supervisor that waits for a disk, the line in the log and the
 * command come at once, and the mail with the first worker that runs (gateway/alert_mail.h).
 *
 * Whoever sees trouble posts it here: one allocation and one atomic exchange, no lock, no wait. At
 * most GATEWAY_ALERTS_POSTED_MAX wait; what comes beyond is dropped, and how much that was is said.
 * Two posts of one thread keep their order.
 *
 *     create -> configure, raise, clear, latest -> stop -> the workers have ended -> destroy
 */
#pragma once
#include "config/settings.h"
#include "gateway/process.h"
#include "observe/alerts.h"

#define GATEWAY_ALERTS_POSTED_MAX 256
#define GATEWAY_ALERTS_LATEST_MAX 40
#define GATEWAY_ALERTS_TEXT_MAX   512 /* of a record, NUL included; the rest is cut */
#define GATEWAY_ALERTS_WRITERS    2   /* of the mail log: the keeper's, and the command's */

struct gateway_alerts; /* opaque */

/* process is borrowed, and its workers need not run yet. writers: two in a row, the first of which
 * has this index in process->log. Nothing is sent before gateway_alerts_configure(). */
MUST_USE enum status gateway_alerts_create(struct gateway_process *process, unsigned first_writer,
                                           struct gateway_alerts **alerts_out);

/* From now on; copies. The supervisor's thread. STATUS_NO_MEMORY: as before. */
MUST_USE enum status gateway_alerts_configure(struct gateway_alerts *alerts,
                                              const struct config_settings *settings);

/* Ends the threads, with what was posted so far in the log; a command that runs is given
 * GATEWAY_ALERT_COMMAND_GRACE_MS. What is posted later is dropped. Afterwards nothing is posted to
 * a worker. Accepts NULL. */
void gateway_alerts_stop(struct gateway_alerts *alerts);

/* After the workers' threads have ended. Accepts NULL. */
void gateway_alerts_destroy(struct gateway_alerts *alerts);

/* Any thread. alerts may be NULL: nobody is told. */
void gateway_alerts_raise(struct gateway_alerts *alerts, const struct observe_alert *alert);
void gateway_alerts_clear(struct gateway_alerts *alerts, enum observe_alert_kind kind,
                          struct slice subject);

/* What was sent, for `postern alerts`. */
struct gateway_alert_record {
    time_t wall_s;
    enum observe_alert_kind kind;
    enum observe_alert_step step;
    enum observe_severity severity;
    uint64_t count;
    char subject[OBSERVE_ALERT_SUBJECT_MAX];
    char text[GATEWAY_ALERTS_TEXT_MAX];
};

/* The latest ones, the newest first; at most `max` and GATEWAY_ALERTS_LATEST_MAX. Returns how many
 * there are. No worker may call it: it takes a lock. Accepts NULL. */
size_t gateway_alerts_latest(struct gateway_alerts *alerts, struct gateway_alert_record *records,
                             size_t max);
