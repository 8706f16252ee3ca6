/* gateway/recovery.h - reads what the spool held at start, while the workers take new mail.
 *
 *     create -> start -> steps on a thread of process->readers, one for each segment and some more,
 *               while the next segment is read on the other
 *            -> every living message is ready, in a list of its segment
 *            -> each worker adopts its segments and, bit by bit, their messages
 *
 * create() knows what new mail needs: generations, numbers, identifiers, free segments. Until a
 * worker has adopted, his log releases no segment (spool_log_options.is_adopting), and nothing
 * that was there before is touched. So a crash at any time finds all of it again, and the new
 * mail as well.
 *
 * Where memory or descriptors are short a segment is read later. A spool that cannot be read all
 * the same is a reason to end: what it holds would wait for ever. process->has_failed tells the
 * supervisor.
 */
#pragma once
#include "gateway/process.h"
#include "spool/recovery.h"

#define GATEWAY_RECOVERY_READY_MAX 65536u /* messages that are made ready in one go */
#define GATEWAY_RECOVERY_STEPS_MAX 1024u  /* messages and items that a worker adopts in one go */
#define GATEWAY_RECOVERY_BEGIN_MS  20u    /* while it has not begun */
#define GATEWAY_RECOVERY_RETRY_MS  1000u

struct gateway_recovery;

/* Blocking. process->directory is open; what comes out is process->recovery, to be destroyed also
 * after a failure. As spool_recovery_begin(). */
MUST_USE enum status gateway_recovery_create(struct gateway_process *process,
                                             const struct config_settings *settings);
/* Accepts NULL. No worker runs, and none is finished: a message may be half way to one. */
void gateway_recovery_destroy(struct gateway_recovery *r);

/* For gateway/spool_start.c, until start(). */
struct spool_recovery *gateway_recovery_spool(struct gateway_recovery *r);

/* On the thread of the first worker. */
void gateway_recovery_start(struct gateway_recovery *r);

/* Any thread. NULL: there was nothing to read. */
struct gateway_recovery_progress {
    size_t segments; /* with what they hold, when the gateway started */
    size_t read;     /* of these */
    bool is_over;    /* their messages are in the queue */
};
struct gateway_recovery_progress gateway_recovery_progress(const struct gateway_recovery *r);
