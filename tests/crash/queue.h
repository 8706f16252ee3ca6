/* tests/crash/queue.h - the mail that a process answers for, as gateway/message.c and
 * gateway/shelf.c keep it, so that gateway/compaction.c can move it.
 *
 *     make -> the ticket of the MESSAGE -> enter -> remember... -> end -> the DONE is durable
 *
 * Half of it is in memory; the rest is on the shelf, and read from its segment when it is moved,
 * which fails now and then.
 */
#pragma once
#include "gateway/message.h"
#include "tests/crash/ledger.h"

/* m->queued: not in a list yet. */
void queue_make(struct ledger_mail *m, struct gateway_worker *home);
struct ledger_mail *queue_mail(struct gateway_message *message);
struct gateway_message *queue_message(struct ledger_mail *m);

/* It lives there; takes spool. found: what the start knows of it, or NULL. */
void queue_enter(struct ledger_mail *m, struct spool_message *spool,
                 const struct spool_location *location,
                 const struct spool_recovered_message *found);

/* False: no process can read it any more, and so it does not end. */
bool queue_is_readable(const struct ledger_mail *m);

/* A result was recorded. */
void queue_remember(struct ledger_mail *m, const struct spool_result *result);

/* It is over: DONE now, or when it is not being moved any more. */
void queue_end(struct ledger_mail *m);

/* m->queued is gone. Accepts NULL there. */
void queue_drop(struct ledger_mail *m);
