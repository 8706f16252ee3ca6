/* tests/crash/mailing.h - what the rest of the gateway would do: mail comes in and goes out.
 *
 * Follows the rules of gateway/receipt.h and gateway/message.h: 250 when the ticket comes back, a
 * body file is removed when the DONE is durable or the commit has failed.
 */
#pragma once
#include "tests/crash/ledger.h"

/* One thing, by lot, at one of the workers. */
void mailing_step(struct ledger *l, uint64_t *random);

/* A message of a run that has just started; takes it. */
void mailing_adopt(struct ledger *l, struct gateway_worker *w, struct spool_message *message,
                   const struct spool_location *location,
                   const struct spool_recovered_message *found);

/* Before the run ends: nobody waits for anything any more. */
void mailing_abandon(struct ledger *l);

/* After it: frees what the mails hold. */
void mailing_forget(struct ledger *l);
