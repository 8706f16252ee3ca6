/* gateway/message_recover.h - messages that the spool held when the gateway started.
 *
 *     gateway_message_keep (_room) -> gateway_message_recall, where results were recorded
 *            -> gateway_message_settle -> gateway_message_start (message.h)
 *
 * For gateway/recovery.c. Until it is settled a message has no home, and whoever has it may
 * discard it.
 */
#pragma once
#include "gateway/message.h"
#include "spool/recovery.h"

/* What recovery needs to know of the configuration it was started with. */
struct gateway_message_keeping {
    struct gateway_process *process;
    struct gateway_lanes *lanes; /* for all that it makes */
    struct slice hostname;       /* the domain of <postmaster> */
    uint64_t message_bytes;      /* memory.messages */
};

/* The message that was found there, and that the view shows: its envelope and body are copied where
 * there is room for them in memory, else it is on the shelf. Any thread. STATUS_NO_MEMORY. */
MUST_USE enum status gateway_message_keep(const struct gateway_message_keeping *keeping,
                                          const struct spool_recovered_message *found,
                                          const struct spool_message *view,
                                          struct gateway_message **message_out);

/* Where the recovery may note what it finds of it, until the message is settled. */
struct spool_recovered_message *gateway_message_room(struct gateway_message *m);

/* Frees one that is not settled. */
void gateway_message_discard(struct gateway_message *m);

/* Everything was read, and this was recorded: one for each recipient. Any thread. */
void gateway_message_recall(struct gateway_message *m, const struct spool_result *results);

/* It is at home there from now on, and has lanes of the home's instead of those it was made with,
 * which it does not give back. On the home's thread. STATUS_NO_MEMORY: to be said again. */
MUST_USE enum status gateway_message_settle(struct gateway_message *m, struct gateway_worker *home,
                                            struct spool_segment *segment);
