/* gateway/alert_mail.h - alerts as messages through the gateway's own spool.
 *
 * The keeper writes the letter and posts it to a worker, which commits it like any other message
 * (gateway/own_mail.h); from then on it is queued, routed and retried as mail is. Letters wait
 * while no worker takes mail, and are tried again when the spool refused them, up to
 * GATEWAY_ALERT_MAIL_TRIES.
 *
 * No circles: the envelope sender is the null sender, so an alert that cannot be delivered makes no
 * bounce, whatever "from" says in the header; and a failure of required TLS is not mailed to
 * recipients at the domain that failed, who would get it by the way that is closed. (They get what
 * is said when it has recovered.) Trouble of other kinds on that way is one more alert about one
 * more subject, with the waits of observe/alerts.h.
 *
 * Every call is of the keeper's thread.
 */
#pragma once
#include "base/list.h"
#include "gateway/alert_settings.h"
#include "gateway/process.h"
#include "observe/alerts.h"

#define GATEWAY_ALERT_MAILS_MAX     64
#define GATEWAY_ALERT_MAIL_TRIES    10
#define GATEWAY_ALERT_MAIL_RETRY_MS 60000
#define GATEWAY_ALERT_MAIL_LOOK_MS  500 /* while letters wait for a worker */

struct gateway_alert_mails { /* Fields are private. */
    struct gateway_process *process;
    struct observe_log_writer *log;
    struct list letters;
    unsigned count;
};

void gateway_alert_mails_init(struct gateway_alert_mails *m, struct gateway_process *process,
                              struct observe_log_writer *log);

/* Drops what waits. No worker's thread may run any more. */
void gateway_alert_mails_finish(struct gateway_alert_mails *m);

/* Takes nothing. body: of observe_alert_body(). */
void gateway_alert_mail_send(struct gateway_alert_mails *m,
                             const struct gateway_alert_settings *settings,
                             const struct observe_alert_notice *notice, struct slice body,
                             uint64_t now_ms);

/* Goes on with what waits. Returns for how long nothing is to be done, in ms; UINT64_MAX: before
 * the next letter. */
uint64_t gateway_alert_mails_run(struct gateway_alert_mails *m, uint64_t now_ms);
